use std::sync::Arc;

use infirmary_kernel::{Action, Caller, Gate, Permission, SessionId, Subject, Trail, WriteError};

use crate::{AuthError, SessionStore};

/// Somebody ends one of their own sessions: the one they call by (sign-out), or another (a lost phone).
pub struct EndSession {
    pub gate: Gate,
    pub sessions: Arc<dyn SessionStore>,
}

impl EndSession {
    /// Signs the caller out. Whoever ended the session a moment before did the same.
    pub async fn logout(&self, caller: &Caller) -> Result<(), AuthError> {
        match self.run(caller, caller.session).await {
            Err(AuthError::NotFound) => Ok(()),
            other => other,
        }
    }

    pub async fn run(&self, caller: &Caller, id: SessionId) -> Result<(), AuthError> {
        let subject = Subject::new("session", id);
        self.gate.admit(caller, Permission::OwnAccount, subject.clone()).await?;
        let trail = Trail::new(self.gate.event(caller, Action::SESSION_END, subject));
        match self.sessions.end(id, caller.account, trail).await {
            Err(WriteError::Stale) => Err(AuthError::NotFound),
            other => Ok(other?),
        }
    }
}
