use infirmary_auth::AuthError;
use infirmary_kernel::{AccessError, Invalid, StoreError, WriteError};

#[derive(Debug, thiserror::Error)]
pub enum WorkflowError {
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("a value was refused")]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl From<StoreError> for WorkflowError {
    fn from(error: StoreError) -> Self {
        Self::Access(AccessError::Store(error))
    }
}
