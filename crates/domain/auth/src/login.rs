use std::sync::Arc;

use infirmary_kernel::{Action, EmailAddress, Origin, Subject, Trail, WriteError};

use crate::{
    AuthError, CodeStore, IssuedChallenge, OpenedChallenge, Password, PasswordDoor, ProvedPassword, SessionStore,
    SessionTokens, StartedSession, TokenIssuer,
    answer_challenge::{issued, second_factor_due},
};

/// How far somebody came who showed a first factor.
#[derive(Debug)]
pub enum SignIn {
    Session(Box<SessionTokens>),
    SecondFactorDue(IssuedChallenge),
}

/// Somebody signs in with e-mail and password.
pub struct Login {
    pub door: PasswordDoor,
    pub sessions: Arc<dyn SessionStore>,
    pub codes: Arc<dyn CodeStore>,
    pub issuer: TokenIssuer,
}

impl Login {
    pub async fn run(&self, email: &EmailAddress, password: &Password, origin: &Origin) -> Result<SignIn, AuthError> {
        let gate = &self.door.gate;
        let failure = |subject| gate.anonymous(Some(origin), Action::SESSION_START, subject);
        let proof = self.door.prove(email, password, origin, failure).await?;
        let replacement = if proof.outdated { Some(self.door.hasher.hash(password).await?) } else { None };
        let account = proof.account;

        let now = gate.now();
        let event = |action, subject, session| account.event(gate, Some(origin), action, subject, session);
        let written = if account.factors.any() {
            let challenge = second_factor_due(gate.mint(now), &account, None, now);
            let due = issued(&challenge, &account);
            let subject = Subject::new("challenge", challenge.id);
            let opened = OpenedChallenge {
                challenge,
                request: None,
                password: Some(ProvedPassword { proved: proof.password, replacement }),
                trail: Trail::new(event(Action::SESSION_CHALLENGE, subject, None)),
            };
            self.codes.open(opened).await.map(|_| SignIn::SecondFactorDue(due))
        } else {
            let (session, refresh) = self.issuer.open(gate.mint(now), account.id, origin, now);
            let subject = Subject::new("session", session.id);
            let started = StartedSession {
                session: session.clone(),
                proved: proof.password,
                replacement,
                trail: Trail::new(event(Action::SESSION_START, subject, Some(session.id))),
            };
            let tokens = self.issuer.tokens(account.clone(), &session, &refresh, now);
            self.sessions.start(started).await.map(|()| SignIn::Session(Box::new(tokens)))
        };
        match written {
            // The account was disabled, or its password changed, while the password was compared.
            Err(WriteError::Stale) => Err(AuthError::BadCredentials),
            other => Ok(other?),
        }
    }
}
