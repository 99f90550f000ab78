use std::sync::Arc;

use infirmary_auth::{AccountState, AccountStore};
use infirmary_kernel::{AccountId, Action, Caller, Gate, Invalid, PatientId, Permission, Role, Trail, WriteError};
use infirmary_patients::{AddedMember, CareTeamMember, CareTeamStore, RemovedMember};

use crate::WorkflowError;

/// An admin says who takes part in the care of a patient. It opens a record, or closes it, so they have to have proved lately
/// who they are.
pub struct ChangeCareTeam {
    pub gate: Gate,
    pub accounts: Arc<dyn AccountStore>,
    pub care_teams: Arc<dyn CareTeamStore>,
}

impl ChangeCareTeam {
    /// Adding somebody who is of the team already changes nothing.
    pub async fn add(&self, caller: &Caller, patient: PatientId, account: AccountId) -> Result<(), WorkflowError> {
        self.admit(caller, patient, account).await?;
        match self.accounts.find(account).await? {
            Some(staff) if staff.state != AccountState::Disabled && may_care(staff.role) => {}
            _ => return Err(Invalid::new("/accountId", "is of no doctor and no admin of this house").into()),
        }
        let subject = CareTeamMember::subject(patient, account);
        let event = self.gate.event(caller, Action::CARE_TEAM_ADD, subject);
        let member = CareTeamMember { patient, account, added_at: event.at, added_by: caller.account };
        match self.care_teams.add(AddedMember { member, trail: Trail::new(event) }).await {
            Ok(_) => Ok(()),
            Err(WriteError::Conflict { law: CareTeamMember::OF_A_KNOWN_PATIENT }) => Err(WorkflowError::NotFound),
            Err(WriteError::Conflict { law: CareTeamMember::FULL }) => Err(WorkflowError::CareTeamFull),
            Err(error) => Err(error.into()),
        }
    }

    pub async fn remove(&self, caller: &Caller, patient: PatientId, account: AccountId) -> Result<(), WorkflowError> {
        self.admit(caller, patient, account).await?;
        let subject = CareTeamMember::subject(patient, account);
        let trail = Trail::new(self.gate.event(caller, Action::CARE_TEAM_REMOVE, subject));
        match self.care_teams.remove(RemovedMember { patient, account, trail }).await {
            Err(WriteError::Stale) => Err(WorkflowError::NotFound),
            removed => Ok(removed?),
        }
    }

    async fn admit(&self, caller: &Caller, patient: PatientId, account: AccountId) -> Result<(), WorkflowError> {
        let subject = CareTeamMember::subject(patient, account);
        self.gate.admit_to(caller, Permission::ManageCareTeams, patient, subject.clone()).await?;
        Ok(self.gate.step_up(caller, subject).await?)
    }
}

/// An accountant has what a bill needs without being of a team, and nothing more by being of one.
const fn may_care(role: Role) -> bool {
    matches!(role, Role::Doctor | Role::Admin)
}
