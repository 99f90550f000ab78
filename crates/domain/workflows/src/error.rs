use infirmary_auth::AuthError;
use infirmary_diagnosis::DiagnosisStatus;
use infirmary_imaging::ImagingError;
use infirmary_kernel::{AccessError, Invalid, StoreError, TypesetError, WriteError};
use infirmary_patients::CareTeamMember;

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
    /// Nobody is let in twice: the record is not restricted, or the caller is of its care team.
    #[error("the record is open to you already")]
    OpenAlready,
    /// [`CareTeamMember::FULL`].
    #[error("a care team has at most {} members", CareTeamMember::MAX_PER_PATIENT)]
    CareTeamFull,
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
