use infirmary_kernel::{Action, Caller, Permission, Subject, Trail, WriteError};

use crate::{AuthError, ChangedPassword, Password, PasswordDoor, PasswordPolicy};

/// Somebody who knows their password chooses another. Their other sessions end.
pub struct ChangePassword {
    pub door: PasswordDoor,
    pub policy: PasswordPolicy,
}

impl ChangePassword {
    pub async fn run(&self, caller: &Caller, current: &Password, new: &str) -> Result<(), AuthError> {
        let gate = &self.door.gate;
        let subject = Subject::new("account", caller.account);
        gate.admit(caller, Permission::OwnAccount, subject.clone()).await?;
        let account = self.door.accounts.find(caller.account).await?.ok_or(AuthError::Unauthenticated)?;
        let new = self.policy.choose(new, &account.email, &account.name, account.factors)?;
        let failure = |subject| gate.event(caller, Action::PASSWORD_CHANGE, subject);
        let proof = self.door.prove(&account.email, current, &caller.origin, failure).await?;
        let changed = ChangedPassword {
            account: account.id,
            from: proof.password,
            to: self.door.hasher.hash(new.as_password()).await?,
            keep: caller.session,
            trail: Trail::new(gate.event(caller, Action::PASSWORD_CHANGE, subject)),
        };
        match self.door.accounts.change_password(changed).await {
            // Another change came first, and the password that was proved is not the password any more.
            Err(WriteError::Stale) => Err(AuthError::BadCredentials),
            other => Ok(other?),
        }
    }
}
