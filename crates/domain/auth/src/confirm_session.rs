use std::sync::Arc;

use infirmary_kernel::{Action, Caller, Permission, Subject, Timestamp, Trail, WriteError};

use crate::{
    AuthError, CodeStore, ConfirmedSession, IssuedChallenge, OpenedChallenge, Password, PasswordDoor, ProvedPassword,
    SessionStore,
    answer_challenge::{issued, second_factor_due},
};

#[derive(Debug)]
pub enum Confirmation {
    /// The session counts as newly authenticated from then on.
    Done(Timestamp),
    SecondFactorDue(IssuedChallenge),
}

/// Somebody who is signed in proves once more who they are, as they did when they signed in: what step-up asks for.
pub struct ConfirmSession {
    pub door: PasswordDoor,
    pub sessions: Arc<dyn SessionStore>,
    pub codes: Arc<dyn CodeStore>,
}

impl ConfirmSession {
    pub async fn run(&self, caller: &Caller, password: &Password) -> Result<Confirmation, AuthError> {
        let gate = &self.door.gate;
        let subject = Subject::new("session", caller.session);
        gate.admit(caller, Permission::OwnAccount, subject.clone()).await?;
        let account = self.door.accounts.find(caller.account).await?.ok_or(AuthError::Unauthenticated)?;
        let failure = |subject| gate.event(caller, Action::SESSION_CONFIRM, subject);
        let proof = self.door.prove(&account.email, password, &caller.origin, failure).await?;
        let now = gate.now();
        let written = if proof.account.factors.any() {
            let challenge = second_factor_due(gate.mint(now), &proof.account, Some(caller.session), now);
            let due = issued(&challenge, &proof.account);
            let opened = OpenedChallenge {
                challenge,
                request: None,
                password: Some(ProvedPassword { proved: proof.password, replacement: None }),
                trail: Trail::new(gate.event(caller, Action::SESSION_CHALLENGE, subject)),
            };
            self.codes.open(opened).await.map(|_| Confirmation::SecondFactorDue(due))
        } else {
            let confirmed = ConfirmedSession {
                session: caller.session,
                account: caller.account,
                proved: proof.password,
                at: now,
                trail: Trail::new(gate.event(caller, Action::SESSION_CONFIRM, subject)),
            };
            self.sessions.confirm(confirmed).await.map(|()| Confirmation::Done(now))
        };
        match written {
            // The password changed, or the session ended, while the password was compared.
            Err(WriteError::Stale) => Err(AuthError::BadCredentials),
            other => Ok(other?),
        }
    }
}
