//! A whole house, record by record: what goes from one store to another, whatever they are made of.

use std::fmt;

use infirmary_audit::{Sealed, SealedRoot};
use infirmary_auth::{
    Account, Challenge, CodeCounter, Counter, CounterKey, Invitation, KeptFactors, PasswordHash, Session,
};
use infirmary_diagnosis::{Diagnosis, DiagnosisVersion, Task};
use infirmary_financials::{Charge, Payment, Refund};
use infirmary_imaging::{Image, Study};
use infirmary_kernel::{Claim, ConversionId, Id, KeyCheckValue, Timestamp};
use infirmary_messaging::KeptMessage;
use infirmary_patients::{CareTeamMember, EmergencyAccess, Mrn, Patient};
use infirmary_reports::Report;
use uuid::Uuid;

/// What a house is made of, in the order in which it is copied: whatever a record names comes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    KeyCheck,
    Task,
    Account,
    Invitation,
    Session,
    Challenge,
    AttemptCounter,
    CodeCounter,
    MrnCounter,
    Patient,
    EmergencyAccess,
    Study,
    Diagnosis,
    DiagnosisVersion,
    Report,
    Charge,
    Payment,
    Refund,
    Message,
    Claim,
    AuditEntry,
    AuditRoot,
}

impl RecordKind {
    pub const ALL: [Self; 22] = [
        Self::KeyCheck,
        Self::Task,
        Self::Account,
        Self::Invitation,
        Self::Session,
        Self::Challenge,
        Self::AttemptCounter,
        Self::CodeCounter,
        Self::MrnCounter,
        Self::Patient,
        Self::EmergencyAccess,
        Self::Study,
        Self::Diagnosis,
        Self::DiagnosisVersion,
        Self::Report,
        Self::Charge,
        Self::Payment,
        Self::Refund,
        Self::Message,
        Self::Claim,
        Self::AuditEntry,
        Self::AuditRoot,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeyCheck => "key check value",
            Self::Task => "task",
            Self::Account => "account",
            Self::Invitation => "invitation",
            Self::Session => "session",
            Self::Challenge => "challenge",
            Self::AttemptCounter => "counter of attempts",
            Self::CodeCounter => "counter of codes",
            Self::MrnCounter => "counter of record numbers",
            Self::Patient => "patient",
            Self::EmergencyAccess => "emergency access",
            Self::Study => "study",
            Self::Diagnosis => "diagnosis",
            Self::DiagnosisVersion => "version of a diagnosis",
            Self::Report => "report",
            Self::Charge => "charge",
            Self::Payment => "payment",
            Self::Refund => "refund",
            Self::Message => "message",
            Self::Claim => "claim",
            Self::AuditEntry => "audit entry",
            Self::AuditRoot => "audit root",
        }
    }

    pub fn from_stored(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Whether a store may forget records of the kind by itself, when their time is over.
    pub const fn fades(self) -> bool {
        matches!(
            self,
            Self::Invitation | Self::Session | Self::Challenge | Self::AttemptCounter | Self::CodeCounter | Self::Claim
        )
    }
}

/// Where a record stands among those of its kind: by its id, then a number, then a text. What a kind has none of is nil, 0 or
/// empty, and so is all of the key that every record comes after.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    /// Of a claim, the account; of a version, the diagnosis.
    pub id: Uuid,
    /// Of a version, its number; of an audit entry, [`infirmary_audit::ChainId::number`]; of a root, its place.
    pub number: u64,
    /// Of a claim or a counter, its key.
    pub text: String,
}

impl RecordKey {
    fn id<T>(id: Id<T>) -> Self {
        Self { id: id.as_uuid(), ..Self::default() }
    }

    fn number(number: u64) -> Self {
        Self { number, ..Self::default() }
    }

    fn text(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }
}

/// Without the text, which can be what a client called a request.
impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.id.is_nil(), self.number) {
            (true, 0) => Ok(()),
            (true, number) => write!(f, " {number}"),
            (false, 0) => write!(f, " {}", self.id),
            (false, number) => write!(f, " {} {number}", self.id),
        }
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a record stands among all of a house.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordPlace {
    pub kind: RecordKind,
    pub key: RecordKey,
}

impl fmt::Display for RecordPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.kind.as_str(), self.key)
    }
}

/// A record with all that a store keeps of it. What a store derives from others (words, sums) is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HouseRecord {
    KeyCheck(KeyCheckValue),
    Task(Task),
    Account {
        account: Account,
        password: Option<PasswordHash>,
        /// Recovery codes in their order.
        factors: KeptFactors,
    },
    Invitation(Invitation),
    Session(Session),
    Challenge(Challenge),
    AttemptCounter(CounterKey, Counter),
    CodeCounter(CounterKey, CodeCounter),
    /// The last record number that was given.
    MrnCounter(Mrn),
    Patient {
        patient: Patient,
        /// In the order of their accounts.
        care_team: Vec<CareTeamMember>,
    },
    EmergencyAccess(EmergencyAccess),
    Study {
        study: Study,
        /// By position.
        images: Vec<Image>,
    },
    /// Without its history.
    Diagnosis(Diagnosis),
    DiagnosisVersion(DiagnosisVersion),
    Report(Report),
    Charge(Charge),
    Payment(Payment),
    Refund(Refund),
    Message(KeptMessage),
    Claim(Claim),
    /// As it is: its chain, its place and its hash stay.
    AuditEntry(Sealed),
    AuditRoot(SealedRoot),
}

impl HouseRecord {
    pub const fn kind(&self) -> RecordKind {
        match self {
            Self::KeyCheck(_) => RecordKind::KeyCheck,
            Self::Task(_) => RecordKind::Task,
            Self::Account { .. } => RecordKind::Account,
            Self::Invitation(_) => RecordKind::Invitation,
            Self::Session(_) => RecordKind::Session,
            Self::Challenge(_) => RecordKind::Challenge,
            Self::AttemptCounter(..) => RecordKind::AttemptCounter,
            Self::CodeCounter(..) => RecordKind::CodeCounter,
            Self::MrnCounter(_) => RecordKind::MrnCounter,
            Self::Patient { .. } => RecordKind::Patient,
            Self::EmergencyAccess(_) => RecordKind::EmergencyAccess,
            Self::Study { .. } => RecordKind::Study,
            Self::Diagnosis(_) => RecordKind::Diagnosis,
            Self::DiagnosisVersion(_) => RecordKind::DiagnosisVersion,
            Self::Report(_) => RecordKind::Report,
            Self::Charge(_) => RecordKind::Charge,
            Self::Payment(_) => RecordKind::Payment,
            Self::Refund(_) => RecordKind::Refund,
            Self::Message(_) => RecordKind::Message,
            Self::Claim(_) => RecordKind::Claim,
            Self::AuditEntry(_) => RecordKind::AuditEntry,
            Self::AuditRoot(_) => RecordKind::AuditRoot,
        }
    }

    pub fn key(&self) -> RecordKey {
        match self {
            // There is one.
            Self::KeyCheck(_) | Self::MrnCounter(_) => RecordKey::number(1),
            Self::Task(task) => RecordKey::id(task.id),
            Self::Account { account, .. } => RecordKey::id(account.id),
            Self::Invitation(invitation) => RecordKey::id(invitation.account),
            Self::Session(session) => RecordKey::id(session.id),
            Self::Challenge(challenge) => RecordKey::id(challenge.id),
            Self::AttemptCounter(key, _) | Self::CodeCounter(key, _) => RecordKey::text(key.as_str()),
            Self::Patient { patient, .. } => RecordKey::id(patient.id),
            Self::EmergencyAccess(access) => RecordKey::id(access.id),
            Self::Study { study, .. } => RecordKey::id(study.id),
            Self::Diagnosis(diagnosis) => RecordKey::id(diagnosis.id),
            Self::DiagnosisVersion(version) => {
                RecordKey { number: version.version.into(), ..RecordKey::id(version.diagnosis) }
            }
            Self::Report(report) => RecordKey::id(report.id),
            Self::Charge(charge) => RecordKey::id(charge.id),
            Self::Payment(payment) => RecordKey::id(payment.id),
            Self::Refund(refund) => RecordKey::id(refund.id),
            Self::Message(kept) => RecordKey::id(kept.message.id),
            Self::Claim(claim) => RecordKey { id: claim.account.as_uuid(), ..RecordKey::text(claim.key.as_str()) },
            Self::AuditEntry(sealed) => RecordKey::number(sealed.chain.number(sealed.sequence).unsigned_abs()),
            Self::AuditRoot(root) => RecordKey::number(root.sequence),
        }
    }

    pub fn place(&self) -> RecordPlace {
        RecordPlace { kind: self.kind(), key: self.key() }
    }
}

/// What a store knows of a conversion that it takes part in. While it knows of one, it is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversion {
    /// The same on both sides.
    pub id: ConversionId,
    pub begun_at: Timestamp,
    pub part: ConversionPart,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConversionPart {
    /// It is copied to another store, and must not change meanwhile.
    Source,
    /// It was copied: the house goes on in the other store.
    Left,
    /// It is filled from another store, and was up to that record: it is not whole yet.
    Target { filled: Option<RecordPlace> },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_listed_in_their_order_and_come_back_from_what_is_stored() {
        assert!(RecordKind::ALL.is_sorted());
        for kind in RecordKind::ALL {
            assert_eq!(RecordKind::from_stored(kind.as_str()), Some(kind));
        }
    }

    #[test]
    fn a_place_is_shown_without_what_a_client_wrote() {
        let key = RecordKey { id: Uuid::from_u128(7), number: 0, text: "secret".to_owned() };
        let place = RecordPlace { kind: RecordKind::Claim, key };
        assert_eq!(place.to_string(), "claim 00000000-0000-0000-0000-000000000007");
        assert!(!format!("{place:?}").contains("secret"));
    }
}
