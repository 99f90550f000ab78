//! Studies and the images in them: what was uploaded, kept to the byte, and shown.
//!
//! A study is one examination of one patient, with one or more images: PNG, JPEG or DICOM Part 10. The file of an image
//! stays as it was uploaded; what is looked at is a preview derived from it.
//!
//! Invariants
//! - What a file is, its bytes decide. What its sender calls it has to agree, or it is refused.
//! - An image was read before it is kept: a PNG or JPEG to its last pixel, a DICOM to the end of its first frame.
//! - Nothing of a file is held whole in memory, and nothing is allocated for pixels before they were counted.
//! - A preview carries no metadata: no position, no camera, no name.
//! - A patient sees a study once its diagnosis is confirmed, and only their own.
//! - Deliberately absent: writing. A study comes into being with its diagnosis and its charges, in `workflows`; and
//!   deletion: records stay.

mod dicom;
mod error;
mod image;
mod modality;
mod ports;
mod preview;
mod queries;
mod receive_image;
mod sniff;
mod study;

#[cfg(feature = "test-support")]
pub mod testing;

pub use dicom::{DicomAttributes, DicomUid, StudyDate};
pub use error::ImagingError;
pub use image::{
    Image, ImageFacts, ImageFormat, MAX_DICOM_BYTES, MAX_IMAGE_BYTES, MAX_PIXELS, MAX_SIDE_PIXELS, PreviewState,
};
pub use modality::Modality;
pub use ports::{FoundImage, FoundStudy, ImageReader, ImageStore, ReadError, Visible};
#[cfg(feature = "test-support")]
pub use ports::{MockImageReader, MockImageStore};
pub use preview::{PreviewSize, Previews};
pub use queries::{Content, Queries};
pub use receive_image::{Intake, ReceiveImage, ReceivedImage};
pub use sniff::{SNIFF_BYTES, Sniffed, recognise, sniff};
pub use study::{MAX_IMAGES_PER_STUDY, MAX_STUDY_BYTES, NewStudy, Study};
