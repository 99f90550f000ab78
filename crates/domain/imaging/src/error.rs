use infirmary_kernel::{AccessError, Invalid, StoreError, WriteError};

use crate::{ImageFormat, ReadError};

#[derive(Debug, thiserror::Error)]
pub enum ImagingError {
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("the study's details were refused")]
    Invalid(#[from] Invalid),
    /// The bytes are none of what is taken. 415.
    #[error("the file is {found}; give PNG, JPEG or DICOM (Part 10)")]
    UnsupportedType { found: &'static str },
    /// It is something that is taken, under the name of something else. 415.
    #[error("the file has {declared}, but its bytes are {found}; name it for what it is")]
    Disagreement { declared: String, found: ImageFormat },
    /// 413.
    #[error("the file is larger than a {format} file may be, {max_bytes} bytes")]
    TooLarge { format: ImageFormat, max_bytes: u64 },
    /// The file begins as an image and cannot be read as one: cut off, damaged, or of too many pixels. 422.
    #[error("the {format} file cannot be read: {reason}")]
    Unreadable { format: ImageFormat, reason: String },
    /// No such study or image, or none that the caller may know of.
    #[error("there is no such study or image")]
    NotFound,
    /// The file is kept, and there is nothing of it to look at.
    #[error("there is no preview of the image: {reason}")]
    NoPreview { reason: String },
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl From<StoreError> for ImagingError {
    fn from(error: StoreError) -> Self {
        Self::Access(AccessError::Store(error))
    }
}

impl ReadError {
    pub(crate) fn of(self, format: ImageFormat) -> ImagingError {
        match self {
            Self::Unreadable { reason } => ImagingError::Unreadable { format, reason },
            Self::Store(error) => error.into(),
        }
    }
}
