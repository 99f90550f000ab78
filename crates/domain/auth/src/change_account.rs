use std::sync::Arc;

use infirmary_kernel::{
    AccountId, Action, Caller, Gate, Invalid, Permission, PersonName, PhoneNumber, Role, Subject, Trail, WriteError,
};

use crate::{Account, AccountState, AccountStore, AttemptStore, AuthError, ChangedAccount, CounterKey};

/// What to change. `None` leaves a field as it is; `Some(None)` empties it.
#[derive(Debug, Clone, Default)]
pub struct AccountChange {
    pub name: Option<PersonName>,
    pub phone: Option<Option<PhoneNumber>>,
    pub role: Option<Role>,
    pub active: Option<bool>,
}

impl AccountChange {
    /// Applies the change; gives the names of the fields that are different now.
    pub(crate) fn apply(self, account: &mut Account) -> Result<Vec<&'static str>, AuthError> {
        let before = account.clone();
        if let Some(role) = self.role
            && role != account.role
        {
            if !role.is_staff() || !account.role.is_staff() {
                let detail =
                    "cannot change between patient and staff; a patient who joins the staff is invited as staff";
                return Err(Invalid::new("/role", detail).into());
            }
            account.role = role;
        }
        match self.active {
            Some(true) if account.state == AccountState::Disabled => account.enable(),
            Some(false) => account.disable(),
            _ => {}
        }
        if let Some(name) = self.name {
            account.name = name;
        }
        if let Some(phone) = self.phone
            && phone != account.phone
        {
            if account.factors.whatsapp {
                return Err(AuthError::PhoneIsFactor);
            }
            account.phone = phone;
            account.phone_verified_at = None;
        }
        let changed = [
            (account.name != before.name, "name"),
            (account.phone != before.phone, "phone"),
            (account.role != before.role, "role"),
            (account.state != before.state, "active"),
        ];
        Ok(changed.into_iter().filter_map(|(changed, name)| changed.then_some(name)).collect())
    }
}

/// An admin changes an account. Another role, or none, ends its sessions.
pub struct ChangeAccount {
    pub gate: Gate,
    pub accounts: Arc<dyn AccountStore>,
    pub attempts: Arc<dyn AttemptStore>,
}

impl ChangeAccount {
    /// `expected_version` is the one that the caller saw: a change made meanwhile by another makes this one `Stale`.
    pub async fn run(
        &self,
        caller: &Caller,
        id: AccountId,
        expected_version: u32,
        change: AccountChange,
    ) -> Result<Account, AuthError> {
        let subject = Subject::new("account", id);
        self.gate.admit(caller, Permission::ManageAccounts, subject.clone()).await?;
        // With another's phone one could later be them.
        if change.role.is_some() || change.phone.is_some() {
            self.gate.step_up(caller, subject).await?;
        }
        let account = self.accounts.find(id).await?.ok_or(AuthError::NotFound)?;
        if account.version != expected_version {
            return Err(WriteError::Stale.into());
        }
        self.write(caller, account, change, Action::ACCOUNT_CHANGE).await
    }

    /// Deactivates; the records of the account stay. Doing it twice is doing it once.
    pub async fn deactivate(&self, caller: &Caller, id: AccountId) -> Result<(), AuthError> {
        self.gate.admit(caller, Permission::ManageAccounts, Subject::new("account", id)).await?;
        let account = self.accounts.find(id).await?.ok_or(AuthError::NotFound)?;
        let change = AccountChange { active: Some(false), ..AccountChange::default() };
        self.write(caller, account, change, Action::ACCOUNT_DEACTIVATE).await.map(|_| ())
    }

    async fn write(
        &self,
        caller: &Caller,
        mut account: Account,
        change: AccountChange,
        action: Action,
    ) -> Result<Account, AuthError> {
        let before = account.state;
        let fields = change.apply(&mut account)?;
        if fields.is_empty() {
            self.gate.witness(caller, Action::ACCOUNT_READ, account.subject()).await?;
            return Ok(account);
        }
        if before == AccountState::Disabled && account.state != before {
            // An admin who lets somebody in again forgives them their failures: the way out of a password that is off.
            for key in [CounterKey::email(&account.email), CounterKey::second_factor(account.id)] {
                self.attempts.clear(&key).await?;
            }
        }
        account.version += 1;
        let cut_off = fields.contains(&"role") || account.state == AccountState::Disabled;
        let event = self.gate.event(caller, action, account.subject()).changing(fields);
        let trail = Trail::new(event);
        self.accounts.change(ChangedAccount { account: account.clone(), cut_off, trail }).await?;
        Ok(account)
    }
}
