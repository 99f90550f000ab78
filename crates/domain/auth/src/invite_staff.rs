use std::{sync::Arc, time::Duration};

use infirmary_kernel::{
    AccountId, Action, Caller, EmailAddress, Entropy, Gate, Invalid, Permission, PersonName, PhoneNumber, Role,
    Subject, Timestamp, Trail, WriteError,
};

use crate::{
    Account, AccountState, AccountStore, AuthError, Factors, Invitation, InvitationCode, InvitationStore, Invited,
};

#[derive(Debug, Clone)]
pub struct NewStaff {
    pub email: EmailAddress,
    pub name: PersonName,
    pub role: Role,
    pub phone: Option<PhoneNumber>,
}

impl NewStaff {
    fn into_account(self, id: AccountId, now: Timestamp) -> Account {
        Account {
            id,
            email: self.email,
            name: self.name,
            phone: self.phone,
            phone_verified_at: None,
            factors: Factors::NONE,
            role: self.role,
            state: AccountState::Invited,
            patient: None,
            created_at: now,
            joined_at: None,
            version: 1,
        }
    }

    /// The account of somebody who was asked and did not come yet, as it is to be now.
    fn again(self, known: Account) -> Account {
        Account {
            name: self.name,
            phone: self.phone,
            phone_verified_at: None,
            role: self.role,
            version: known.version + 1,
            ..known
        }
    }
}

/// An admin asks somebody to join the staff. The code goes to the admin, who hands it on; no admin sees a password.
///
/// Inviting an e-mail again that still waits gives a fresh code and ends the old one: so a lost answer is retried, and no
/// receipt keeps a code.
pub struct InviteStaff {
    pub gate: Gate,
    pub accounts: Arc<dyn AccountStore>,
    pub invitations: Arc<dyn InvitationStore>,
    pub entropy: Arc<dyn Entropy>,
}

impl InviteStaff {
    /// Each try is another one's invitation of the same e-mail at the same moment.
    const MAX_TRIES: usize = 4;

    pub async fn run(
        &self,
        caller: &Caller,
        staff: NewStaff,
    ) -> Result<(Account, InvitationCode, Timestamp), AuthError> {
        self.gate.admit(caller, Permission::ManageAccounts, Subject::all("account")).await?;
        self.gate.step_up(caller, Subject::all("account")).await?;
        if !staff.role.is_staff() {
            return Err(
                Invalid::new("/role", "must be admin, doctor or accountant; patients register themselves").into()
            );
        }
        let code = InvitationCode::draw(&*self.entropy);
        for _ in 0..Self::MAX_TRIES {
            let now = self.gate.now();
            let account = match self.accounts.credential(&staff.email).await? {
                None => staff.clone().into_account(self.gate.mint(now), now),
                Some(known) if known.account.state == AccountState::Invited && known.account.role.is_staff() => {
                    staff.clone().again(known.account)
                }
                Some(_) => return Err(AuthError::EmailTaken),
            };
            let expires_at = now.plus(Duration::from_secs(Invitation::TTL_HOURS * 60 * 60));
            let invitation = Invitation { account: account.id, code: code.digest(), expires_at };
            let event = self.gate.event(caller, Action::ACCOUNT_INVITE, account.subject());
            let trail = Trail::new(event);
            match self
                .invitations
                .invite(Invited { account: account.clone(), invitation, trail })
                .await
                .map_err(AuthError::from)
            {
                Ok(()) => return Ok((account, code, expires_at)),
                Err(AuthError::EmailTaken | AuthError::Write(WriteError::Stale)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(WriteError::Stale.into())
    }
}
