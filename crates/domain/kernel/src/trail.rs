use std::{borrow::Cow, fmt, net::IpAddr};

use uuid::Uuid;

use crate::{
    AccountId, AuditEntryId, Caller, Claim, Id, Origin, OutgoingMessage, PatientId, RequestId, Role, SessionId,
    Timestamp,
};

/// What was done, as `noun.verb`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Action(Cow<'static, str>);

macro_rules! actions {
    ($($name:ident = $text:literal;)*) => {
        impl Action {
            $(pub const $name: Self = Self(Cow::Borrowed($text));)*
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
}

actions! {
    ACCOUNT_REGISTER = "account.register";
    ACCOUNT_INVITE = "account.invite";
    ACCOUNT_READ = "account.read";
    ACCOUNT_CHANGE = "account.change";
    ACCOUNT_DEACTIVATE = "account.deactivate";
    ACCOUNT_RESTART = "account.restart";
    INVITATION_ACCEPT = "invitation.accept";
    PASSWORD_CHANGE = "password.change";
    PASSWORD_RESET = "password.reset";
    CODE_REQUEST = "code.request";
    CODE_VERIFY = "code.verify";
    PHONE_VERIFY = "phone.verify";
    FACTOR_CHANGE = "factor.change";
    SESSION_START = "session.start";
    SESSION_CHALLENGE = "session.challenge";
    SESSION_CONFIRM = "session.confirm";
    SESSION_REFRESH = "session.refresh";
    SESSION_REUSE = "session.reuse";
    SESSION_END = "session.end";
    PATIENT_REGISTER = "patient.register";
    PATIENT_FIND = "patient.find";
    PATIENT_READ = "patient.read";
    PATIENT_CHANGE = "patient.change";
    STUDY_RECORD = "study.record";
    STUDY_READ = "study.read";
    IMAGE_READ = "image.read";
    IMAGE_LINK = "image.link";
    DIAGNOSIS_RECORD = "diagnosis.record";
    DIAGNOSIS_READ = "diagnosis.read";
    DIAGNOSIS_CHANGE = "diagnosis.change";
    DIAGNOSIS_CONFIRM = "diagnosis.confirm";
    DIAGNOSIS_AMEND = "diagnosis.amend";
    DIAGNOSIS_RETRACT = "diagnosis.retract";
    REPORT_ISSUE = "report.issue";
    REPORT_READ = "report.read";
    REPORT_LINK = "report.link";
    TASK_CREATE = "task.create";
    TASK_CHANGE = "task.change";
    CHARGE_CREATE = "charge.create";
    CHARGE_READ = "charge.read";
    CHARGE_VOID = "charge.void";
    PAYMENT_TAKE = "payment.take";
    PAYMENT_READ = "payment.read";
    PAYMENT_REFUND = "payment.refund";
    STATEMENT_READ = "statement.read";
    SUMMARY_READ = "summary.read";
    AUDIT_READ = "audit.read";
    MESSAGE_READ = "message.read";
    MESSAGE_RETRY = "message.retry";
    CARE_TEAM_READ = "careTeam.read";
    CARE_TEAM_ADD = "careTeam.add";
    CARE_TEAM_REMOVE = "careTeam.remove";
    EMERGENCY_ACCESS_START = "emergencyAccess.start";
    EMERGENCY_ACCESS_READ = "emergencyAccess.read";
    ACCESS_REFUSED = "access.refused";
}

impl Action {
    pub fn from_stored(text: String) -> Self {
        Self(Cow::Owned(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What it was done to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// `patient`, `study`, `charge`, ...: the noun of the record.
    pub kind: Cow<'static, str>,
    pub id: Option<Uuid>,
    pub version: Option<u32>,
    /// Whose record it is. This is what a patient's access log is found by.
    pub patient: Option<PatientId>,
}

impl Subject {
    pub fn new<T>(kind: &'static str, id: Id<T>) -> Self {
        Self { kind: Cow::Borrowed(kind), id: Some(id.as_uuid()), ..Self::default() }
    }

    /// For what concerns many records at once, such as a search.
    pub fn all(kind: &'static str) -> Self {
        Self { kind: Cow::Borrowed(kind), ..Self::default() }
    }

    #[must_use]
    pub fn of_patient(mut self, patient: PatientId) -> Self {
        self.patient = Some(patient);
        self
    }

    #[must_use]
    pub fn at_version(mut self, version: u32) -> Self {
        self.version = Some(version);
        self
    }

    pub fn patient(id: PatientId) -> Self {
        Self::new("patient", id).of_patient(id)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Refused,
}

impl Outcome {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
        }
    }
}

/// Why somebody came to a record, where that is not the ordinary reason. A code of the v3 code system ActReason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// By emergency access to a restricted record.
    BreakTheGlass,
}

impl Purpose {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BreakTheGlass => "BTG",
        }
    }
}

/// Who did what to whose record, when and from where. Never free text, secrets or bytes: fields by name only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub id: AuditEntryId,
    pub at: Timestamp,
    pub account: Option<AccountId>,
    pub role: Option<Role>,
    pub session: Option<SessionId>,
    pub address: Option<IpAddr>,
    pub agent: Option<String>,
    pub request: Option<RequestId>,
    pub action: Action,
    pub subject: Subject,
    /// Names of the fields that changed.
    pub fields: Vec<Cow<'static, str>>,
    pub outcome: Outcome,
    /// The rule by which it was refused, or the reason it ended or was done for: a word of ours.
    pub rule: Option<Cow<'static, str>>,
    pub purpose: Option<Purpose>,
}

impl Event {
    /// An event of somebody not (yet) known, or of the command line (`origin` absent).
    pub fn anonymous(
        id: AuditEntryId,
        at: Timestamp,
        origin: Option<&Origin>,
        action: Action,
        subject: Subject,
    ) -> Self {
        Self {
            id,
            at,
            account: None,
            role: None,
            session: None,
            address: origin.and_then(|origin| origin.address),
            agent: origin.and_then(|origin| origin.agent.clone()),
            request: origin.map(|origin| origin.request),
            action,
            subject,
            fields: Vec::new(),
            outcome: Outcome::Done,
            rule: None,
            purpose: None,
        }
    }

    pub fn by(id: AuditEntryId, at: Timestamp, caller: &Caller, action: Action, subject: Subject) -> Self {
        let glass_broken = subject.patient.is_some_and(|patient| caller.broken_glass.covers(patient));
        Self {
            account: Some(caller.account),
            role: Some(caller.role),
            session: Some(caller.session),
            purpose: glass_broken.then_some(Purpose::BreakTheGlass),
            ..Self::anonymous(id, at, Some(&caller.origin), action, subject)
        }
    }

    #[must_use]
    pub fn changing(mut self, fields: impl IntoIterator<Item = &'static str>) -> Self {
        self.fields = fields.into_iter().map(Cow::Borrowed).collect();
        self
    }

    /// `reason` is a word of ours.
    #[must_use]
    pub fn because(mut self, reason: &'static str) -> Self {
        self.rule = Some(Cow::Borrowed(reason));
        self
    }

    #[must_use]
    pub fn refused(mut self, rule: &'static str) -> Self {
        self.outcome = Outcome::Refused;
        self.rule = Some(Cow::Borrowed(rule));
        self
    }
}

/// What every write carries beside its rows, into the same transaction: its audit entry, its idempotency record, and what is
/// to be told outside because of it.
#[derive(Debug, Clone)]
pub struct Trail {
    pub event: Event,
    pub claim: Option<Claim>,
    /// Kept in the outbox, once, when the write is made; not when it was made before under the same claim.
    pub messages: Vec<OutgoingMessage>,
}

impl Trail {
    /// Of a write that nobody repeats and nobody outside hears of.
    pub const fn new(event: Event) -> Self {
        Self { event, claim: None, messages: Vec::new() }
    }

    #[must_use]
    pub fn telling(mut self, messages: impl IntoIterator<Item = OutgoingMessage>) -> Self {
        self.messages.extend(messages);
        self
    }
}
