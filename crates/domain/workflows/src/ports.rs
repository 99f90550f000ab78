use async_trait::async_trait;
use infirmary_auth::NewAccount;
use infirmary_kernel::{Trail, WriteError};
use infirmary_patients::Patient;

/// Somebody who registered themselves: the account with its session, and the patient record that it is for.
#[derive(Debug, Clone)]
pub struct RegisteredAccount {
    pub account: NewAccount,
    pub patient: Patient,
    pub trail: Trail,
}

/// Accounts and patients together.
///
/// Laws
/// - Account, password, session, patient and audit event are all there, or none is.
/// - The laws of uniqueness of both domains hold, with their names: `email`, `mrn`, `account`.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait Registry: Send + Sync {
    async fn register_account(&self, registered: RegisteredAccount) -> Result<(), WriteError>;
}
