use infirmary_auth::AuthError;
use infirmary_diagnosis::DiagnosisStatus;
use infirmary_imaging::ImagingError;
use infirmary_kernel::{AccessError, Invalid, StoreError, TypesetError, WriteError};

#[derive(Debug, thiserror::Error)]
pub enum WorkflowError {
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("a value was refused")]
    Invalid(#[from] Invalid),
    #[error("there is no such record")]
    NotFound,
    /// A report is of a diagnosis that somebody stands for.
    #[error("the diagnosis is {status}; it has to be confirmed before it is reported")]
    NotConfirmed { status: DiagnosisStatus },
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error(transparent)]
    Imaging(#[from] ImagingError),
    #[error(transparent)]
    Typeset(#[from] TypesetError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl From<StoreError> for WorkflowError {
    fn from(error: StoreError) -> Self {
        Self::Access(AccessError::Store(error))
    }
}
