use std::sync::Arc;

use infirmary_kernel::{
    AccountId, Action, Caller, Gate, Limit, MAX_PAGE_ITEMS, NamePart, Page, PageRequest, Permission, Role, Subject,
};

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

    /// Those of the ids that there are, in any order.
    pub async fn accounts_by_id(&self, caller: &Caller, ids: &[AccountId]) -> Result<Vec<Account>, AuthError> {
        let subject = Subject::all("account");
        self.gate.admit(caller, Permission::ManageAccounts, subject.clone()).await?;
        let found = self.accounts.by_ids(ids).await?;
        self.gate.witness(caller, Action::ACCOUNT_READ, subject).await?;
        Ok(found)
    }

    /// The accounts of staff whose name has the part in it, oldest first. A house has as many staff as can be looked through.
    pub async fn staff_named(&self, caller: &Caller, part: &NamePart) -> Result<Vec<Account>, AuthError> {
        let subject = Subject::all("account");
        self.gate.admit(caller, Permission::ManageAccounts, subject.clone()).await?;
        let mut named = Vec::new();
        for role in Role::ALL.into_iter().filter(|role| role.is_staff()) {
            let mut page = PageRequest { limit: Limit::new(MAX_PAGE_ITEMS)?, after: None };
            loop {
                let found = self.accounts.list(Some(role), &page).await?;
                named.extend(found.items.into_iter().filter(|account| part.is_in(&account.name)));
                page.after = found.next;
                if page.after.is_none() {
                    break;
                }
            }
        }
        named.sort_by_key(|account| (account.created_at, account.id));
        self.gate.witness(caller, Action::ACCOUNT_READ, subject).await?;
        Ok(named)
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
