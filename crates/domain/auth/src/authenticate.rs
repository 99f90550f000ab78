use std::sync::Arc;

use infirmary_kernel::{AccountId, BrokenGlass, Caller, Gate, Origin, SessionId};

use crate::{AccessTokens, AuthError, FactorPolicy, SessionStore};

/// Who is calling. The token says which session; the store says whether it lives and what its account may.
pub struct Authenticate {
    pub gate: Gate,
    pub tokens: Arc<dyn AccessTokens>,
    pub sessions: Arc<dyn SessionStore>,
    pub factor_policy: FactorPolicy,
}

impl Authenticate {
    pub async fn run(&self, token: &str, origin: Origin) -> Result<Caller, AuthError> {
        let claims = self.tokens.verify(token).filter(|claims| claims.holds_at(self.gate.now()));
        let claims = claims.ok_or(AuthError::Unauthenticated)?;
        self.session(claims.session, Some(claims.account), origin).await
    }

    /// The caller of a session whose id was proved in another way, by a signed link for one.
    pub async fn by_session(&self, session: SessionId, origin: Origin) -> Result<Caller, AuthError> {
        self.session(session, None, origin).await
    }

    async fn session(&self, id: SessionId, of: Option<AccountId>, origin: Origin) -> Result<Caller, AuthError> {
        let live = self.sessions.live(id).await?.ok_or(AuthError::Unauthenticated)?;
        if live.expires_at <= self.gate.now() || of.is_some_and(|account| account != live.account) {
            return Err(AuthError::Unauthenticated);
        }
        Ok(Caller {
            account: live.account,
            role: live.role,
            patient: live.patient,
            session: id,
            authenticated_at: live.authenticated_at,
            must_enrol: self.factor_policy.requires_of(live.role) && !live.second_factor,
            origin,
            broken_glass: BrokenGlass::default(),
        })
    }
}
