use std::{sync::Arc, time::Duration};

use infirmary_kernel::{Action, Entropy, Gate, Origin, SessionId, Sha256Digest, Subject, Timestamp, Trail, WriteError};

use crate::{Account, AuthError, Session, SessionStore, StandingClaims};

/// Somebody whose client holds a standing token has come back: their session goes on, as if it had been refreshed.
pub struct KeepSession {
    pub gate: Gate,
    pub sessions: Arc<dyn SessionStore>,
    pub entropy: Arc<dyn Entropy>,
}

impl KeepSession {
    /// Each try that finds another one ahead finds the session kept.
    const MAX_TRIES: usize = 4;

    /// The account, and until when the session lives now.
    pub async fn run(&self, session: SessionId, origin: &Origin) -> Result<(Account, Timestamp), AuthError> {
        for _ in 0..Self::MAX_TRIES {
            let (session, account) = self.sessions.find(session).await?.ok_or(AuthError::Unauthenticated)?;
            let now = self.gate.now();
            if session.is_over(now) {
                return Err(AuthError::Unauthenticated);
            }
            let fresh = Duration::from_secs(StandingClaims::FRESH_HOURS * 60 * 60);
            if now.since(session.refreshed_at) < fresh {
                return Ok((account, session.expires_at));
            }
            // Nobody holds the refresh token that is due from now on, as nobody held the one before.
            let mut unknown = [0; 32];
            self.entropy.fill(&mut unknown);
            let rotation = session.kept(Sha256Digest::of(&unknown), now);
            let expires_at = rotation.expires_at;
            let subject = Subject::new("session", session.id);
            let event = account.event(&self.gate, Some(origin), Action::SESSION_REFRESH, subject, Some(session.id));
            match self.sessions.rotate(rotation, Trail::new(event)).await {
                Ok(()) => return Ok((account, expires_at)),
                Err(WriteError::Stale) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(WriteError::Stale.into())
    }
}

impl Session {
    fn kept(&self, to: Sha256Digest, now: Timestamp) -> crate::Rotation {
        crate::Rotation {
            session: self.id,
            from: self.refresh,
            to,
            at: now,
            expires_at: Self::expiry(self.started_at, now),
        }
    }
}
