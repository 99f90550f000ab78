use std::sync::Arc;

use infirmary_kernel::{Action, Gate, Origin, Signer, Trail, WriteError};

use crate::{
    Account, AccountStore, AttemptStore, AuthError, CodePurpose, CodeStore, CounterKey, PasswordHasher, PasswordPolicy,
    codes::Proof,
};

/// Somebody who proved by a code that the phone of an account is theirs chooses its password. Every session of it ends, and
/// its failures are forgiven: this is the way back to a password that is off.
pub struct ResetPasswordByCode {
    pub gate: Gate,
    pub accounts: Arc<dyn AccountStore>,
    pub codes: Arc<dyn CodeStore>,
    pub attempts: Arc<dyn AttemptStore>,
    pub hasher: Arc<dyn PasswordHasher>,
    pub policy: PasswordPolicy,
    pub signer: Arc<dyn Signer>,
}

impl ResetPasswordByCode {
    pub async fn run(&self, proof: &str, password: &str, origin: &Origin) -> Result<(), AuthError> {
        let id = Proof::parse(proof, &*self.signer).ok_or(AuthError::BadProof)?;
        let now = self.gate.now();
        let proved = self.codes.find(id).await?.filter(|challenge| {
            challenge.proved && challenge.purpose == CodePurpose::PasswordReset && !challenge.is_over(now)
        });
        let account = proved.and_then(|challenge| challenge.account).ok_or(AuthError::BadProof)?;
        let account = self.accounts.find(account).await?.filter(Account::is_active).ok_or(AuthError::BadProof)?;
        // A password that is refused leaves the proof: another one may be chosen within its time.
        let password = self.policy.choose(password, &account.email, &account.name, account.factors)?;
        let password = self.hasher.hash(password.as_password()).await?;
        let event = account.event(&self.gate, Some(origin), Action::PASSWORD_RESET, account.subject(), None);
        let reset = crate::ResetPassword { challenge: id, account: account.id, password, trail: Trail::new(event) };
        // Before the write: after it there is no proof left to come back with, should this fail.
        self.attempts.clear(&CounterKey::email(&account.email)).await?;
        match self.codes.reset_password(reset).await {
            Err(WriteError::Stale) => Err(AuthError::BadProof),
            other => Ok(other?),
        }
    }
}
