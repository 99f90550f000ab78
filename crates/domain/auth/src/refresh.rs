use std::sync::Arc;

use infirmary_kernel::{Action, Gate, Origin, Subject, Trail, WriteError};

use crate::{Account, AuthError, Refresh, RefreshToken, Session, SessionStore, SessionTokens, TokenIssuer};

/// The holder of a refresh token gets new tokens, and that one is used up.
pub struct RefreshSession {
    pub gate: Gate,
    pub sessions: Arc<dyn SessionStore>,
    pub issuer: TokenIssuer,
}

impl RefreshSession {
    /// Each try that finds another one ahead leads to the answer of that one, or to the end of the session.
    const MAX_TRIES: usize = 4;

    pub async fn run(&self, token: &str, origin: &Origin) -> Result<SessionTokens, AuthError> {
        let signer = &*self.issuer.signer;
        let token = RefreshToken::parse(token, signer).ok_or(AuthError::Unauthenticated)?;
        for _ in 0..Self::MAX_TRIES {
            let (session, account) = self.sessions.find(token.session()).await?.ok_or(AuthError::Unauthenticated)?;
            let now = self.gate.now();
            match session.refresh_with(&token, signer, now) {
                Refresh::Over => return Err(AuthError::Unauthenticated),
                Refresh::Repeat(successor) => return Ok(self.issuer.tokens(account, &session, &successor, now)),
                Refresh::Reused => return self.end(&session, &account, origin).await,
                Refresh::Rotate(rotation, successor) => {
                    let trail = self.trail(&session, &account, origin, Action::SESSION_REFRESH);
                    match self.sessions.rotate(rotation.clone(), trail).await {
                        Ok(()) => {
                            let session = session.rotated(&rotation);
                            return Ok(self.issuer.tokens(account, &session, &successor, now));
                        }
                        Err(WriteError::Stale) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
        Err(WriteError::Stale.into())
    }

    /// Two hold the same token, and one of them stole it. Neither goes on; the answer tells the thief nothing.
    async fn end(&self, session: &Session, account: &Account, origin: &Origin) -> Result<SessionTokens, AuthError> {
        let mut trail = self.trail(session, account, origin, Action::SESSION_REUSE);
        trail.event = trail.event.refused("refresh token used before");
        match self.sessions.end(session.id, account.id, trail).await {
            Ok(()) | Err(WriteError::Stale) => Err(AuthError::Unauthenticated),
            Err(error) => Err(error.into()),
        }
    }

    fn trail(&self, session: &Session, account: &Account, origin: &Origin, action: Action) -> Trail {
        let subject = Subject::new("session", session.id);
        Trail::new(account.event(&self.gate, Some(origin), action, subject, Some(session.id)))
    }
}
