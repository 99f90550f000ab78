use std::sync::Arc;

use infirmary_auth::AccountStore;
use infirmary_kernel::{
    Action, Caller, Done, Gate, Idempotency, Limit, MAX_PAGE_ITEMS, OutgoingMessage, PageRequest, PatientId,
    Permission, PhoneNumber, Receipt, Role, ShortText, Standing, Subject, Timestamp,
};
use infirmary_patients::{CareTeamStore, EmergencyAccess, EmergencyReason, StartedEmergencyAccess};

use crate::WorkflowError;

/// A doctor breaks the glass: says why, has proved lately who they are, and comes to the restricted record of one patient for
/// [`EmergencyAccess::MINUTES`]. The admins are told at once, and the patient sees it in the access log.
pub struct StartEmergencyAccess {
    pub gate: Gate,
    pub accounts: Arc<dyn AccountStore>,
    pub care_teams: Arc<dyn CareTeamStore>,
}

impl StartEmergencyAccess {
    /// So many admins are told; a house has fewer, and each looks into the same log.
    pub const MAX_NOTICES: usize = 20;

    pub async fn run(
        &self,
        caller: &Caller,
        patient: PatientId,
        reason: EmergencyReason,
        note: ShortText,
        idempotency: Option<Idempotency>,
        receipt: impl FnOnce(&EmergencyAccess) -> Receipt,
    ) -> Result<Done<EmergencyAccess>, WorkflowError> {
        let subject = Subject::all("emergencyAccess").of_patient(patient);
        self.gate.admit(caller, Permission::UseEmergencyAccess, subject.clone()).await?;
        self.gate.step_up(caller, subject).await?;
        if let Some(receipt) = self.gate.earlier(caller, idempotency.as_ref()).await? {
            return Ok(Done::Before(receipt));
        }
        match self.gate.standing(caller, patient).await? {
            Standing::NoRecord => return Err(WorkflowError::NotFound),
            Standing::Open | Standing::CareTeam => return Err(WorkflowError::OpenAlready),
            Standing::EmergencyAccess | Standing::Outside => {}
        }
        let now = self.gate.now();
        let access = EmergencyAccess {
            id: self.gate.mint(now),
            patient,
            account: caller.account,
            session: caller.session,
            reason,
            note,
            started_at: now,
            ends_at: EmergencyAccess::end_of(now),
        };
        let receipt = receipt(&access);
        let event = self.gate.event(caller, Action::EMERGENCY_ACCESS_START, access.subject()).because(reason.as_str());
        let trail = self.gate.trail(caller, event, idempotency.as_ref(), &receipt).telling(self.notices(now).await?);
        let started = StartedEmergencyAccess { access: access.clone(), trail };
        let written = self.care_teams.start_emergency_access(started).await?;
        Ok(Done::new(written, access, receipt))
    }

    /// To every active admin who has a phone; to one phone once.
    async fn notices(&self, now: Timestamp) -> Result<Vec<OutgoingMessage>, WorkflowError> {
        let mut phones: Vec<PhoneNumber> = Vec::new();
        let mut page = PageRequest { limit: Limit::new(MAX_PAGE_ITEMS)?, after: None };
        loop {
            let found = self.accounts.list(Some(Role::Admin), &page).await?;
            let active = found.items.into_iter().filter(|admin| admin.is_active());
            for phone in active.filter_map(|admin| admin.phone) {
                if phones.len() < Self::MAX_NOTICES && !phones.contains(&phone) {
                    phones.push(phone);
                }
            }
            page.after = found.next;
            if page.after.is_none() || phones.len() == Self::MAX_NOTICES {
                break;
            }
        }
        let notice = |phone| OutgoingMessage::emergency_access(self.gate.mint(now), phone, now);
        Ok(phones.into_iter().map(notice).collect())
    }
}
