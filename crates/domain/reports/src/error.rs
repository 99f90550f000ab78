use infirmary_kernel::{AccessError, Invalid, StoreError, WriteError};

use crate::PdfRefusal;

#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("the request was refused")]
    Invalid(#[from] Invalid),
    /// No such report, or none that the caller may know of.
    #[error("there is no such report")]
    NotFound,
    /// The file is not one to keep.
    #[error("the PDF {0}")]
    Refused(PdfRefusal),
    /// The bytes stopped coming, or could not be read as what they were announced to be.
    #[error("the upload broke off: {reason}")]
    BrokenUpload { reason: String },
    /// Ask again in some seconds.
    #[error("too many documents are being worked on")]
    Busy,
    /// The row is there and its bytes are not: the object store lost them.
    #[error("the PDF of the report is not in the object store")]
    ObjectMissing,
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl From<StoreError> for ReportError {
    fn from(error: StoreError) -> Self {
        Self::Access(AccessError::Store(error))
    }
}
