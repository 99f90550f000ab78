use std::{fmt, path::Path};

use async_trait::async_trait;
use infirmary_kernel::{AccountId, DiagnosisId, Page, PageRequest, PatientId, ReportId, StoreError, TypesetError};

use crate::{MAX_PDF_BYTES, MAX_PDF_PAGES, ReportSheet, ReportView, VerificationCode};

/// Sets a report as PDF.
///
/// Laws
/// - The same sheet gives the same bytes.
/// - Every text of the sheet is in the document as it is: none of it is taken for markup. Each paragraph runs in the
///   direction of its first strong character (UAX #9, P2), with letters joined where the script joins them.
/// - A character that cannot be shown is marked, and the document says so; it never goes missing silently.
/// - It does not block the async threads, and at most a bounded number of documents is set or waits at once.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait Typesetter: Send + Sync {
    async fn report(&self, sheet: ReportSheet) -> Result<Vec<u8>, TypesetError>;
}

/// Why a PDF from outside is not taken. Each says what would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PdfRefusal {
    /// Does not begin with `%PDF-`.
    NotPdf,
    TooLarge,
    /// Truncated, damaged, or nested beyond reason.
    Unreadable,
    Encrypted,
    /// A script, a launch of a program, or another action that reaches outside the document.
    Active,
    EmbeddedFile,
    NoPages,
    TooManyPages,
}

impl PdfRefusal {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotPdf => "is not a PDF; its first bytes must be %PDF-",
            Self::TooLarge => "is larger than 10 MiB",
            Self::Unreadable => "cannot be read as a PDF: it is truncated or damaged; export it again",
            Self::Encrypted => "is encrypted; export it without a password and without restrictions",
            Self::Active => "holds a script or an action that reaches outside the document; print it to a new PDF",
            Self::EmbeddedFile => "holds another file; export it without attachments",
            Self::NoPages => "has no page",
            Self::TooManyPages => "has more than 500 pages",
        }
    }
}

const _: () = assert!(MAX_PDF_PAGES == 500 && MAX_PDF_BYTES == 10 * 1024 * 1024, "the refusals name these limits");

impl fmt::Display for PdfRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    #[error("the PDF {0}")]
    Refused(PdfRefusal),
    /// As many files as may wait are waiting.
    #[error("too many files are being inspected; try again in some seconds")]
    Busy,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Looks into a PDF that was made elsewhere.
///
/// Laws
/// - It gives the number of pages, 1 to [`MAX_PDF_PAGES`], of a file of at most [`MAX_PDF_BYTES`] that begins with `%PDF-`,
///   is whole and not encrypted, and holds no script, no launch, no other action that reaches outside, no embedded file.
///   Any other file is refused, also when what is refused stands in a compressed object, or under an escaped name.
/// - No bytes make it panic. Its time is linear in the size of the file, and its memory bounded whatever the file expands
///   to.
/// - It does not block the async threads, and at most a bounded number of files is inspected or waits at once.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait PdfInspector: Send + Sync {
    async fn inspect(&self, file: &Path) -> Result<usize, InspectError>;
}

/// Which reports. Absent: any.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReportFilter {
    pub patient: Option<PatientId>,
    pub diagnosis: Option<DiagnosisId>,
    /// Of a restricted patient only when this account is of the care team; `None`: whosever they are.
    pub reader: Option<AccountId>,
}

/// The reports that were issued. They are written by the workflow that issues them, together with their charge.
///
/// Laws
/// - Every read gives the report as it was issued, with the status that follows from the version that its diagnosis has at
///   that moment: [`crate::ReportStatus::Current`] when it is the one reported.
/// - `find`, `of_version` and `by_code` give `None` for what was never issued.
/// - `list` gives what all parts of the filter match, newest first (issued, then id); pages are stable under inserts and
///   equal times.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait ReportStore: Send + Sync {
    async fn find(&self, id: ReportId) -> Result<Option<ReportView>, StoreError>;
    /// The one report of a version of a diagnosis.
    async fn of_version(&self, diagnosis: DiagnosisId, version: u32) -> Result<Option<ReportView>, StoreError>;
    async fn list(&self, filter: &ReportFilter, page: &PageRequest) -> Result<Page<ReportView>, StoreError>;
    async fn by_code(&self, code: &VerificationCode) -> Result<Option<ReportView>, StoreError>;
}
