use std::sync::Arc;

use infirmary_kernel::{Action, EmailAddress, Gate, PersonName, Role, Subject, Trail};

use crate::{Account, AccountState, AccountStore, AuthError, Factors, NewAccount, PasswordHasher, PasswordPolicy};

/// The command line makes an admin: the first one, or one more when all others lost their passwords. Who may run it may
/// read the store, so there is no gate to pass; the trail has it.
pub struct CreateAdmin {
    pub gate: Gate,
    pub accounts: Arc<dyn AccountStore>,
    pub hasher: Arc<dyn PasswordHasher>,
    pub policy: PasswordPolicy,
}

impl CreateAdmin {
    pub async fn run(&self, email: EmailAddress, name: PersonName, password: &str) -> Result<Account, AuthError> {
        let password = self.policy.choose(password, &email, &name, Factors::NONE)?;
        let password = self.hasher.hash(password.as_password()).await?;
        let now = self.gate.now();
        let account = Account {
            id: self.gate.mint(now),
            email,
            name,
            phone: None,
            phone_verified_at: None,
            factors: Factors::NONE,
            role: Role::Admin,
            state: AccountState::Active,
            patient: None,
            created_at: now,
            joined_at: Some(now),
            version: 1,
        };
        let subject = Subject::new("account", account.id).at_version(account.version);
        let trail = Trail::new(self.gate.anonymous(None, Action::ACCOUNT_REGISTER, subject));
        self.accounts.create(NewAccount { account: account.clone(), password, session: None }, trail).await?;
        Ok(account)
    }
}
