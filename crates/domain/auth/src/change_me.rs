use std::sync::Arc;

use infirmary_kernel::{Action, Caller, Gate, Permission, PersonName, PhoneNumber, Subject, Trail, WriteError};

use crate::{Account, AccountChange, AccountStore, AuthError, ChangedAccount};

/// Somebody changes their own account.
pub struct ChangeMe {
    pub gate: Gate,
    pub accounts: Arc<dyn AccountStore>,
}

impl ChangeMe {
    pub async fn run(
        &self,
        caller: &Caller,
        expected_version: u32,
        name: Option<PersonName>,
        phone: Option<Option<PhoneNumber>>,
    ) -> Result<Account, AuthError> {
        let subject = Subject::new("account", caller.account);
        self.gate.admit(caller, Permission::OwnAccount, subject.clone()).await?;
        // Codes will go to the phone.
        if phone.is_some() {
            self.gate.step_up(caller, subject).await?;
        }
        let mut account = self.accounts.find(caller.account).await?.ok_or(AuthError::Unauthenticated)?;
        if account.version != expected_version {
            return Err(WriteError::Stale.into());
        }
        let fields = AccountChange { name, phone, ..AccountChange::default() }.apply(&mut account)?;
        if fields.is_empty() {
            return Ok(account);
        }
        account.version += 1;
        let event = self.gate.event(caller, Action::ACCOUNT_CHANGE, account.subject()).changing(fields);
        let trail = Trail::new(event);
        self.accounts.change(ChangedAccount { account: account.clone(), cut_off: false, trail }).await?;
        Ok(account)
    }
}
