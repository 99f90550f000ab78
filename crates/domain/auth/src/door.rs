use std::sync::Arc;

use infirmary_kernel::{EmailAddress, Event, Gate, Origin, Subject};

use crate::{
    Account, AccountStore, Admission, Attempt, AttemptStore, AuthError, Credential, Password, PasswordHash,
    PasswordHasher, Verdict,
};

/// Where passwords are shown. Every use case that takes one passes here, so all share the counters.
#[derive(Clone)]
pub struct PasswordDoor {
    pub gate: Gate,
    pub accounts: Arc<dyn AccountStore>,
    pub attempts: Arc<dyn AttemptStore>,
    pub hasher: Arc<dyn PasswordHasher>,
}

/// An active account whose password was shown.
#[derive(Debug)]
pub(crate) struct Proof {
    pub account: Account,
    pub password: PasswordHash,
    pub outdated: bool,
}

impl PasswordDoor {
    /// `event` makes the event of a failure; the e-mail, known or not, is not in it.
    pub(crate) async fn prove(
        &self,
        email: &EmailAddress,
        password: &Password,
        origin: &Origin,
        event: impl Fn(Subject) -> Event,
    ) -> Result<Proof, AuthError> {
        let attempt = Attempt::new(email, origin.address, self.gate.now());
        if let Admission::Refused { retry_after, first } = self.attempts.begin(&attempt).await? {
            if first {
                self.gate.note(event(Subject::all("account")).refused("too many attempts")).await?;
            }
            return Err(AuthError::TooManyAttempts { retry_after });
        }
        let known = self.accounts.credential(email).await?;
        let stored = known.as_ref().filter(|known| known.account.is_active()).and_then(|known| known.password.clone());
        let verdict = match self.hasher.verify(password, stored.clone()).await {
            Ok(verdict) => verdict,
            Err(error) => {
                self.attempts.take_back(&attempt).await?;
                return Err(error.into());
            }
        };
        match (verdict, known, stored) {
            (Verdict::Right | Verdict::RightButOutdated, Some(Credential { account, .. }), Some(password)) => {
                self.attempts.clear(&attempt.email).await?;
                Ok(Proof { account, password, outdated: verdict == Verdict::RightButOutdated })
            }
            (_, known, _) => {
                self.attempts.fail(&attempt).await?;
                let subject = known.map_or(Subject::all("account"), |known| Subject::new("account", known.account.id));
                self.gate.note(event(subject).refused("wrong e-mail or password")).await?;
                Err(AuthError::BadCredentials)
            }
        }
    }
}
