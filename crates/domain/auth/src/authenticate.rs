use std::sync::Arc;

use infirmary_kernel::{AccountId, BrokenGlass, Caller, Gate, Origin, Permission, SessionId, Subject};

use crate::{AccessTokens, Account, AuthError, FactorPolicy, LiveSession, SessionStore};

/// Who is calling. The token says which session; the store says whether it lives and what its account may.
pub struct Authenticate {
    pub gate: Gate,
    pub tokens: Arc<dyn AccessTokens>,
    pub sessions: Arc<dyn SessionStore>,
    pub factor_policy: FactorPolicy,
}

impl Authenticate {
    pub async fn run(&self, token: &str, origin: Origin) -> Result<Caller, AuthError> {
        self.by_token(token, origin).await.map(|(caller, _)| caller)
    }

    /// The own account of who is calling, as the look that found the session found it, too: the store is asked once. Nobody
    /// else's record is read, so the trail does not have it.
    pub async fn own_account(&self, token: &str, origin: Origin) -> Result<Account, AuthError> {
        let (caller, account) = self.by_token(token, origin).await?;
        self.gate.admit(&caller, Permission::OwnAccount, Subject::new("account", caller.account)).await?;
        Ok(account)
    }

    /// The caller of a session whose id was proved in another way, by a signed link for one.
    pub async fn by_session(&self, session: SessionId, origin: Origin) -> Result<Caller, AuthError> {
        self.session(session, None, origin).await.map(|(caller, _)| caller)
    }

    async fn by_token(&self, token: &str, origin: Origin) -> Result<(Caller, Account), AuthError> {
        let claims = self.tokens.verify(token).filter(|claims| claims.holds_at(self.gate.now()));
        let claims = claims.ok_or(AuthError::Unauthenticated)?;
        self.session(claims.session, Some(claims.account), origin).await
    }

    async fn session(
        &self,
        id: SessionId,
        of: Option<AccountId>,
        origin: Origin,
    ) -> Result<(Caller, Account), AuthError> {
        let live = self.sessions.live(id).await?.ok_or(AuthError::Unauthenticated)?;
        let LiveSession { account, authenticated_at, expires_at } = live;
        if expires_at <= self.gate.now() || of.is_some_and(|of| of != account.id) {
            return Err(AuthError::Unauthenticated);
        }
        let caller = Caller {
            account: account.id,
            role: account.role,
            patient: account.patient,
            session: id,
            authenticated_at,
            must_enrol: self.factor_policy.requires_of(account.role) && !account.factors.any(),
            origin,
            broken_glass: BrokenGlass::default(),
        };
        Ok((caller, account))
    }
}
