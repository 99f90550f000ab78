use bytes::Bytes;
use infirmary_kernel::{BirthDate, House, LongText, PersonName, ReportId, SheetPatient, ShortText, Timestamp};

use crate::VerificationCode;

/// What a report says. Whoever makes one has read the record; whoever sets it adds nothing.
#[derive(Debug, Clone)]
pub struct ReportSheet {
    pub report: ReportId,
    pub issued_at: Timestamp,
    pub house: House,
    pub subject: SheetSubject,
    /// Absent for a diagnosis without images.
    pub study: Option<SheetStudy>,
    /// The procedures, in words.
    pub tasks: Vec<String>,
    /// At most [`ReportSheet::MAX_IMAGES`].
    pub images: Vec<SheetImage>,
    /// How many images the study has beside those.
    pub images_left_out: usize,
    pub disease: ShortText,
    pub findings: LongText,
    pub conditions: LongText,
    pub author: SheetSigner,
    pub confirmed_by: SheetSigner,
    /// Of the diagnosis: 1 is the first.
    pub version: u32,
    /// Present from the second version on.
    pub amendment: Option<SheetAmendment>,
    pub code: VerificationCode,
    /// Where the code is checked; becomes the QR code.
    pub verification_url: String,
}

impl ReportSheet {
    pub const MAX_IMAGES: usize = 24;
}

/// Whom the report is about, as they are told from others.
#[derive(Debug, Clone)]
pub struct SheetSubject {
    pub patient: SheetPatient,
    pub birth_date: Option<BirthDate>,
    /// In a word: `female`.
    pub sex: Option<String>,
}

#[derive(Debug, Clone)]
pub struct SheetStudy {
    /// The DICOM code or words: `CT`.
    pub modality: String,
    pub at: Timestamp,
}

#[derive(Debug, Clone)]
pub struct SheetImage {
    pub caption: String,
    /// PNG, about 512 pixels on its longer side. `None`: the image could not be decoded, and the report says so.
    pub preview: Option<Bytes>,
}

#[derive(Debug, Clone)]
pub struct SheetSigner {
    pub name: PersonName,
    pub at: Timestamp,
}

#[derive(Debug, Clone)]
pub struct SheetAmendment {
    pub reason: ShortText,
    pub at: Timestamp,
}
