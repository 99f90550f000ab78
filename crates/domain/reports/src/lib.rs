//! Reports: what a house says of a diagnosis, as a document that can be checked.
//!
//! A report is the PDF of one version of a diagnosis: set here, or made elsewhere and uploaded. It carries a code by which
//! anyone who holds the paper can ask whether it is authentic and still current, without learning whose it is.
//!
//! Invariants
//! - One report for a version of a diagnosis. A newer version of the diagnosis makes the report superseded; that is derived,
//!   never stored.
//! - A PDF from outside is refused unless it opens, is not encrypted, and holds nothing that runs or hides: no script, no
//!   launch, no file within the file.
//! - Patients read their own reports, staff as the table of permissions has it; each read leaves a trail.
//! - Deliberately absent: issuing a report, which charges for it too: see the workflows. And deletion.

mod error;
mod ports;
mod queries;
mod receive_pdf;
mod report;
mod sheet;
mod verification;

#[cfg(feature = "test-support")]
pub mod testing;

pub use error::ReportError;
pub use ports::{InspectError, PdfInspector, PdfRefusal, ReportFilter, ReportStore, Typesetter};
#[cfg(feature = "test-support")]
pub use ports::{MockPdfInspector, MockReportStore, MockTypesetter};
pub use queries::{Queries, ReportPdf};
pub use receive_pdf::{ReceivePdf, ReceivedPdf};
pub use report::{Report, ReportStatus, ReportView, Source};
pub use sheet::{ReportSheet, SheetAmendment, SheetImage, SheetSigner, SheetStudy, SheetSubject};
pub use verification::{Verdict, VerificationCode};

/// Pages that a PDF from outside may have.
pub const MAX_PDF_PAGES: usize = 500;
/// Bytes that a PDF from outside may have.
pub const MAX_PDF_BYTES: u64 = 10 * 1024 * 1024;
