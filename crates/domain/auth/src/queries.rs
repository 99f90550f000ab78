use std::sync::Arc;

use infirmary_kernel::{AccountId, Action, Caller, Gate, Page, PageRequest, Permission, Role, Subject};

use crate::{Account, AccountStore, AuthError, Session, SessionStore};

/// Reads that only fetch.
pub struct Queries {
    pub gate: Gate,
    pub accounts: Arc<dyn AccountStore>,
    pub sessions: Arc<dyn SessionStore>,
}

impl Queries {
    /// The caller's own account. Nobody else's record is read, so the trail does not have it.
    pub async fn me(&self, caller: &Caller) -> Result<Account, AuthError> {
        self.gate.admit(caller, Permission::OwnAccount, Subject::new("account", caller.account)).await?;
        self.accounts.find(caller.account).await?.ok_or(AuthError::Unauthenticated)
    }

    /// The caller's own sessions that live, newest first.
    pub async fn sessions(&self, caller: &Caller) -> Result<Vec<Session>, AuthError> {
        self.gate.admit(caller, Permission::OwnAccount, Subject::all("session")).await?;
        let now = self.gate.now();
        let mut sessions = self.sessions.of_account(caller.account).await?;
        sessions.retain(|session| !session.is_over(now));
        Ok(sessions)
    }

    pub async fn account(&self, caller: &Caller, id: AccountId) -> Result<Account, AuthError> {
        let subject = Subject::new("account", id);
        self.gate.admit(caller, Permission::ManageAccounts, subject.clone()).await?;
        let account = self.accounts.find(id).await?.ok_or(AuthError::NotFound)?;
        self.gate.witness(caller, Action::ACCOUNT_READ, subject).await?;
        Ok(account)
    }

    /// All accounts, or those of one role; newest first.
    pub async fn accounts(
        &self,
        caller: &Caller,
        role: Option<Role>,
        page: &PageRequest,
    ) -> Result<Page<Account>, AuthError> {
        let subject = Subject::all("account");
        self.gate.admit(caller, Permission::ManageAccounts, subject.clone()).await?;
        page.after_time()?;
        let found = self.accounts.list(role, page).await?;
        self.gate.witness(caller, Action::ACCOUNT_READ, subject).await?;
        Ok(found)
    }
}
