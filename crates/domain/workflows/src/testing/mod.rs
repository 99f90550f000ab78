//! The laws of ports that are each of several stores at once. They are proved where there is such a store, in its adapter.

pub mod import_laws;
pub mod inspection_laws;
pub mod laws;
mod memory_transfer;
pub mod record_laws;
#[allow(clippy::unwrap_used, reason = "a test may stop")]
mod records;
pub mod restriction_laws;
pub mod transfer_laws;
pub mod whole_house;

use infirmary_audit::AuditLog;
use infirmary_auth::AccountStore;
use infirmary_diagnosis::DiagnosisStore;
use infirmary_financials::{Ledger, LedgerQueries};
use infirmary_imaging::ImageStore;
use infirmary_patients::{CareTeamStore, PatientStore};
use infirmary_reports::ReportStore;

use crate::{Overview, Registry, ReportIssuer, StudyRecorder};

pub use memory_transfer::MemoryTransfer;
pub use records::{confirmed, doctor, entries, issued, recorded, register};

/// The store of a hospital.
pub trait Hospital:
    AccountStore
    + PatientStore
    + CareTeamStore
    + DiagnosisStore
    + ImageStore
    + ReportStore
    + Ledger
    + LedgerQueries
    + AuditLog
    + Registry
    + StudyRecorder
    + ReportIssuer
    + Overview
{
}
impl<S> Hospital for S where
    S: AccountStore
        + PatientStore
        + CareTeamStore
        + DiagnosisStore
        + ImageStore
        + ReportStore
        + Ledger
        + LedgerQueries
        + AuditLog
        + Registry
        + StudyRecorder
        + ReportIssuer
        + Overview
{
}
