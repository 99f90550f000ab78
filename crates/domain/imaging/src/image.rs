use std::{fmt, str::FromStr};

use infirmary_kernel::{FileName, ImageId, Invalid, PatientId, StoredObject, StudyId};

use crate::DicomAttributes;

/// Of a PNG or JPEG file.
pub const MAX_IMAGE_BYTES: u64 = 20 * 1024 * 1024;
/// Of a DICOM file, which holds many frames, often uncompressed.
pub const MAX_DICOM_BYTES: u64 = 200 * 1024 * 1024;
pub const MAX_SIDE_PIXELS: u32 = 16_384;
/// Of one frame.
pub const MAX_PIXELS: u64 = 100_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImageFormat {
    Png,
    Jpeg,
    Dicom,
}

impl ImageFormat {
    pub const ALL: [Self; 3] = [Self::Png, Self::Jpeg, Self::Dicom];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
            Self::Dicom => "dicom",
        }
    }

    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Dicom => "application/dicom",
        }
    }

    /// What a file of the format is usually called by, without the dot.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Dicom => "dcm",
        }
    }

    pub const fn max_bytes(self) -> u64 {
        match self {
            Self::Png | Self::Jpeg => MAX_IMAGE_BYTES,
            Self::Dicom => MAX_DICOM_BYTES,
        }
    }
}

impl FromStr for ImageFormat {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::ALL
            .into_iter()
            .find(|format| format.as_str() == text)
            .ok_or_else(|| Invalid::new("/format", "must be png, jpeg or dicom"))
    }
}

impl fmt::Display for ImageFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::Dicom => "DICOM",
        })
    }
}

/// Whether there is something to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PreviewState {
    Available,
    /// The file is kept all the same. The reason is a clause for people: `its transfer syntax is not supported: ...`.
    Unavailable {
        reason: String,
    },
}

/// What a file was found to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFacts {
    /// As it is stored; a preview of a JPEG may be turned by its orientation. 0 when a DICOM file holds no pixels.
    pub width: u32,
    pub height: u32,
    pub frames: u32,
    /// Of a DICOM file.
    pub dicom: Option<DicomAttributes>,
    pub preview: PreviewState,
}

/// One uploaded file of a study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub id: ImageId,
    pub study: StudyId,
    pub patient: PatientId,
    /// Its place in the study, from 0, as uploaded.
    pub position: u16,
    pub format: ImageFormat,
    pub object: StoredObject,
    /// For display; what the client called it.
    pub file_name: Option<FileName>,
    pub facts: ImageFacts,
}
