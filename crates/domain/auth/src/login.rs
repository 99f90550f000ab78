use std::sync::Arc;

use infirmary_kernel::{Action, EmailAddress, Origin, Subject, Trail, WriteError};

use crate::{AuthError, Password, PasswordDoor, SessionStore, SessionTokens, StartedSession, TokenIssuer};

/// Somebody signs in with e-mail and password.
pub struct Login {
    pub door: PasswordDoor,
    pub sessions: Arc<dyn SessionStore>,
    pub issuer: TokenIssuer,
}

impl Login {
    pub async fn run(
        &self,
        email: &EmailAddress,
        password: &Password,
        origin: &Origin,
    ) -> Result<SessionTokens, AuthError> {
        let gate = &self.door.gate;
        let failure = |subject| gate.anonymous(Some(origin), Action::SESSION_START, subject);
        let proof = self.door.prove(email, password, origin, failure).await?;
        let replacement = if proof.outdated { Some(self.door.hasher.hash(password).await?) } else { None };
        let account = proof.account;

        let now = gate.now();
        let (session, refresh) = self.issuer.open(gate.mint(now), account.id, origin, now);
        let subject = Subject::new("session", session.id);
        let event = account.event(gate, Some(origin), Action::SESSION_START, subject, Some(session.id));
        let started =
            StartedSession { session: session.clone(), proved: proof.password, replacement, trail: Trail::new(event) };
        match self.sessions.start(started).await {
            Ok(()) => Ok(self.issuer.tokens(account, &session, &refresh, now)),
            // The account was disabled, or its password changed, while the password was compared.
            Err(WriteError::Stale) => Err(AuthError::BadCredentials),
            Err(error) => Err(error.into()),
        }
    }
}
