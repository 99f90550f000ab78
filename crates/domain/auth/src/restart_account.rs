use std::{sync::Arc, time::Duration};

use infirmary_kernel::{AccountId, Action, Caller, Entropy, Gate, Permission, Subject, Timestamp, Trail, WriteError};

use crate::{
    Account, AccountState, AccountStore, AttemptStore, AuthError, ChangedAccount, CounterKey, Factors, Invitation,
    InvitationCode, InvitationStore, Invited,
};

/// An admin lets somebody begin again who has lost their password or their second factor and stands at the desk: the password
/// is off, sessions and factors are gone, and a code like that of an invitation lets its holder choose a new password.
///
/// Two writes: should the second be lost, which is told as an outcome that is not known, the account waits, and this is done
/// again.
pub struct RestartAccount {
    pub gate: Gate,
    pub accounts: Arc<dyn AccountStore>,
    pub invitations: Arc<dyn InvitationStore>,
    pub attempts: Arc<dyn AttemptStore>,
    pub entropy: Arc<dyn Entropy>,
}

impl RestartAccount {
    pub async fn run(&self, caller: &Caller, id: AccountId) -> Result<(Account, InvitationCode, Timestamp), AuthError> {
        let subject = Subject::new("account", id);
        self.gate.admit(caller, Permission::ManageAccounts, subject.clone()).await?;
        self.gate.step_up(caller, subject).await?;
        let mut account = self.accounts.find(id).await?.ok_or(AuthError::NotFound)?;
        if account.state == AccountState::Disabled {
            return Err(AuthError::Disabled);
        }
        for key in [CounterKey::email(&account.email), CounterKey::second_factor(account.id)] {
            self.attempts.clear(&key).await?;
        }
        let was_active = account.is_active();
        if was_active {
            account.state = AccountState::Invited;
            account.joined_at = None;
            account.factors = Factors::NONE;
            account.phone_verified_at = None;
            account.version += 1;
            let event = self.gate.event(caller, Action::ACCOUNT_RESTART, account.subject());
            let event = event.changing(["password", "factors", "phoneVerified"]);
            let trail = Trail::new(event);
            self.accounts.change(ChangedAccount { account: account.clone(), cut_off: true, trail }).await?;
        }
        account.version += 1;
        let code = InvitationCode::draw(&*self.entropy);
        let expires_at = self.gate.now().plus(Duration::from_secs(Invitation::TTL_HOURS * 60 * 60));
        let invitation = Invitation { account: account.id, code: code.digest(), expires_at };
        let trail = Trail::new(self.gate.event(caller, Action::ACCOUNT_INVITE, account.subject()));
        match self.invitations.invite(Invited { account: account.clone(), invitation, trail }).await {
            Ok(()) => Ok((account, code, expires_at)),
            Err(WriteError::Store(error)) if was_active => Err(WriteError::Store(error.after_others()).into()),
            Err(error) => Err(error.into()),
        }
    }
}
