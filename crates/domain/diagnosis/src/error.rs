use infirmary_kernel::{AccessError, Invalid, StoreError, TaskCode, WriteError};

use crate::StateRefused;

#[derive(Debug, thiserror::Error)]
pub enum DiagnosisError {
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("the values were refused")]
    Invalid(#[from] Invalid),
    /// No such diagnosis or task, or none that the caller may know of.
    #[error("there is no such record")]
    NotFound,
    /// The diagnosis is in a status that does not take the change; the message says what it would take.
    #[error(transparent)]
    State(StateRefused),
    #[error("the code {} is that of another task", .code.as_str())]
    CodeTaken { code: TaskCode },
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl From<StoreError> for DiagnosisError {
    fn from(error: StoreError) -> Self {
        Self::Access(AccessError::Store(error))
    }
}
