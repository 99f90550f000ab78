use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use infirmary_kernel::{ImageId, Page, PageRequest, PatientId, StoreError, StudyId};

use crate::{Image, ImageFacts, ImageFormat, PreviewSize, Study};

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is the file's fault. The reason is a clause for people, without anything out of the file.
    #[error("the image cannot be read: {reason}")]
    Unreadable { reason: String },
    /// It is not: the file could not be opened, or too many are being read at this moment.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ReadError {
    pub fn unreadable(reason: impl Into<String>) -> Self {
        Self::Unreadable { reason: reason.into() }
    }
}

/// Reads image files.
///
/// Laws
/// - Nothing is allocated for pixels before they were counted: a side above [`crate::MAX_SIDE_PIXELS`] or a frame above
///   [`crate::MAX_PIXELS`] is unreadable.
/// - `inspect` of a PNG or JPEG that was cut off, at any byte before the last pixel, is unreadable.
/// - `inspect` of a DICOM file whose header can be read gives its attributes, also when its pixels cannot be decoded;
///   then the preview is unavailable, with the reason. One whose header cannot be read, or whose first frame is cut
///   off, is unreadable.
/// - `preview` of what `inspect` found available is a PNG within a square of the size, in the proportions of the image,
///   turned as its orientation says, never larger than the image, and without metadata.
/// - Memory is bounded, whatever the number and size of the files; more work than fits waits, and beyond a bound is
///   `Unavailable`. Nothing runs on a thread of the async runtime.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait ImageReader: Send + Sync {
    async fn inspect(&self, path: &Path, format: ImageFormat) -> Result<ImageFacts, ReadError>;
    async fn preview(&self, path: &Path, format: ImageFormat, size: PreviewSize) -> Result<Bytes, ReadError>;
}

/// A study as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundStudy {
    pub study: Study,
    /// By position.
    pub images: Vec<Image>,
    /// Whether the patient may see it.
    pub released: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundImage {
    pub image: Image,
    pub study: Study,
    pub released: bool,
}

/// Which studies a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visible {
    All,
    Released,
}

/// Studies and their images, to be read. They are written with their diagnosis, by the port of that workflow.
///
/// Laws
/// - What was written is found, to the last code point and byte count, as soon as its write was acknowledged.
/// - A study has its images in the order of their position.
/// - `released` is whether a diagnosis of the study is confirmed, or amended after that; it is read together with the
///   rest.
/// - `studies_of` gives the studies of that patient and no other, newest first (time of recording, then id), each with
///   all its images; with [`Visible::Released`] only those. Its pages are stable under inserts and equal times.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait ImageStore: Send + Sync {
    async fn find_image(&self, id: ImageId) -> Result<Option<FoundImage>, StoreError>;
    async fn find_study(&self, id: StudyId) -> Result<Option<FoundStudy>, StoreError>;
    async fn studies_of(
        &self,
        patient: PatientId,
        visible: Visible,
        page: &PageRequest,
    ) -> Result<Page<FoundStudy>, StoreError>;
}
