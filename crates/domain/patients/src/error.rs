use infirmary_kernel::{AccessError, Invalid, StoreError, WriteError};

use crate::Patient;

#[derive(Debug, thiserror::Error)]
pub enum PatientError {
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("the patient's details were refused")]
    Invalid(#[from] Invalid),
    /// No such patient, or none that the caller may know of.
    #[error("there is no such patient")]
    NotFound,
    /// Same phone, or same name and birth date. Register again with `allow_duplicate` when none of them is the person.
    #[error("the patient is probably registered already")]
    LikelyDuplicate { candidates: Vec<Patient> },
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl From<StoreError> for PatientError {
    fn from(error: StoreError) -> Self {
        Self::Access(AccessError::Store(error))
    }
}
