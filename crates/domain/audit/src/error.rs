use infirmary_kernel::{AccessError, Invalid, StoreError};

#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("the question to the log was refused")]
    Invalid(#[from] Invalid),
}

impl From<StoreError> for AuditError {
    fn from(error: StoreError) -> Self {
        Self::Access(AccessError::Store(error))
    }
}
