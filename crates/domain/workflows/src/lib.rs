//! The few writes that span domains, each decided here as one value and given to one port, which makes it atomic.
//!
//! Invariants
//! - All of a value is written, with its audit event and its claim, or none of it.
//! - Bytes are durable before the rows that name them are written; a blob without a row is rubbish to sweep, a row without
//!   a blob is a lie to a doctor. A failed write never deletes bytes: after an unknown outcome the row may exist.
//! - What is decided is decided in pure functions, from what was read, so a store may write the value again from the start.

mod change_care_team;
mod convert_house;
mod convert_objects;
mod error;
mod import;
mod inspection;
mod issue_report;
mod overview;
mod ports;
mod record_study;
mod register_account;
mod start_emergency_access;
mod strays;
mod sweep_objects;
mod transfer;
mod verify_house;

#[cfg(feature = "test-support")]
pub mod testing;

pub use change_care_team::ChangeCareTeam;
pub use convert_house::{ConversionError, ConvertHouse, Converted, ConvertedStore};
pub use convert_objects::{ConvertObjects, CopiedObjects};
pub use error::WorkflowError;
pub use import::{Imported, ImportedId, ImportedRecord};
pub use inspection::{Flaw, HouseCounts, NamedObject, ObjectOwner, RecordLaw};
pub use issue_report::{IssueReport, Issued};
pub use overview::{
    DiagnosisDetail, ListedDiagnosis, ListedImage, MAX_NAMED_PATIENTS, OverviewQueries, PatientCounts, PatientSummary,
};
pub use ports::{
    Importer, Inspection, IssuedReport, Overview, RecordedStudy, RegisteredAccount, Registry, ReportIssuer,
    StudyRecorder, Transfer,
};
#[cfg(feature = "test-support")]
pub use ports::{
    MockImporter, MockInspection, MockOverview, MockRegistry, MockReportIssuer, MockStudyRecorder, MockTransfer,
};
pub use record_study::{NewStudyRecord, RecordStudy, StudyRecord};
pub use register_account::{NewRegistration, RegisterAccount};
pub use start_emergency_access::StartEmergencyAccess;
pub use strays::STRAY_HOURS;
pub use sweep_objects::{SweepObjects, SweptObjects};
pub use transfer::{Conversion, ConversionPart, HouseRecord, RecordKey, RecordKind, RecordPlace};
pub use verify_house::{Finding, Stage, Verified, VerifyHouse, Watch};
