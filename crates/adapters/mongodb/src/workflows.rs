//! The writes that span domains, of the inserts of each.

use async_trait::async_trait;
use infirmary_kernel::{Trail, WriteError};
use infirmary_workflows::{RegisteredAccount, Registry};

use crate::{
    MongoStore, accounts, patients,
    transaction::{Transaction, Write},
};

#[async_trait]
impl Write for RegisteredAccount {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        accounts::create(transaction, &self.account).await?;
        patients::insert(transaction, &self.patient).await
    }
}

#[async_trait]
impl Registry for MongoStore {
    async fn register_account(&self, registered: RegisteredAccount) -> Result<(), WriteError> {
        self.write(&registered).await.map(|_| ())
    }
}
