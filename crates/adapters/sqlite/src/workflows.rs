//! The writes that span domains, of the inserts of each.

use async_trait::async_trait;
use infirmary_kernel::WriteError;
use infirmary_workflows::{RegisteredAccount, Registry};

use crate::{SqliteStore, accounts, patients};

#[async_trait]
impl Registry for SqliteStore {
    async fn register_account(&self, registered: RegisteredAccount) -> Result<(), WriteError> {
        self.write(move |transaction| {
            accounts::create(transaction, &registered.account)?;
            patients::insert(transaction, &registered.patient)?;
            transaction.keep(&registered.trail).map(|_| ())
        })
        .await
    }
}
