use std::{borrow::Cow, sync::Arc};

use infirmary_kernel::{
    AccountId, Action, Caller, Gate, Outcome, Page, PageRequest, Permission, Purpose, Refused, Role, Subject, Timestamp,
};

use crate::{AuditError, AuditLog, Entry, EntryFilter, Head};

/// Reads that only fetch.
pub struct Queries {
    pub gate: Gate,
    pub log: Arc<dyn AuditLog>,
}

/// What a patient is told of somebody who came to their record: not from where, and not by which rule they were refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    pub at: Timestamp,
    pub action: Action,
    /// `None`: done by the command line, or by somebody not signed in.
    pub account: Option<AccountId>,
    pub role: Option<Role>,
    /// [`Outcome::Refused`]: they tried, and saw nothing.
    pub outcome: Outcome,
    /// [`Purpose::BreakTheGlass`]: the record is restricted, and they came to it by emergency access.
    pub purpose: Option<Purpose>,
    /// For what they say that they broke the glass, of that entry.
    pub reason: Option<Cow<'static, str>>,
}

impl From<Entry> for Access {
    fn from(entry: Entry) -> Self {
        let Entry { at, action, account, role, outcome, purpose, rule, .. } = entry;
        let began = action == Action::EMERGENCY_ACCESS_START && outcome == Outcome::Done;
        Self { at, action, account, role, outcome, purpose, reason: rule.filter(|_| began) }
    }
}

impl Queries {
    /// Reading about a patient is an access to that patient's record, and is in their access log.
    pub async fn entries(
        &self,
        caller: &Caller,
        filter: &EntryFilter,
        page: &PageRequest,
    ) -> Result<Page<Entry>, AuditError> {
        let subject = Subject { patient: filter.patient, ..Subject::all("audit") };
        self.gate.admit(caller, Permission::ReadAudit, subject.clone()).await?;
        self.gate.step_up(caller, subject.clone()).await?;
        page.after_time()?;
        let found = self.log.find(filter, page).await?;
        self.gate.witness(caller, Action::AUDIT_READ, subject).await?;
        Ok(found)
    }

    /// How far the log has come, to the last entry: to be kept where the log's machine cannot write.
    pub async fn head(&self, caller: &Caller) -> Result<Head, AuditError> {
        self.gate.admit(caller, Permission::ReadAudit, Subject::all("audit")).await?;
        Ok(self.log.close(self.gate.now()).await?)
    }

    /// Who came to the caller's own record, but for themselves: their own visits would hide the others'.
    pub async fn access_log(&self, caller: &Caller, page: &PageRequest) -> Result<Page<Access>, AuditError> {
        let subject = Subject { patient: caller.patient, ..Subject::all("audit") };
        self.gate.admit(caller, Permission::ReadOwnAccessLog, subject.clone()).await?;
        let Some(patient) = caller.patient else {
            return Err(self.gate.refuse(caller, subject, Refused::Hidden).await.into());
        };
        page.after_time()?;
        let others =
            EntryFilter { patient: Some(patient), except_account: Some(caller.account), ..EntryFilter::default() };
        let found = self.log.find(&others, page).await?;
        self.gate.witness(caller, Action::AUDIT_READ, subject).await?;
        Ok(found.map(Access::from))
    }
}
