//! The patient registry: who is treated here, and how to find them.
//!
//! A patient has a medical record number that this house makes, a name in any script, and contact details. Patients are
//! found by the beginning of any word of their name, by phone or by number, whatever the accents and the case.
//!
//! Invariants
//! - A medical record number is given once and never again.
//! - A change says which version it changes; a stale one changes nothing.
//! - A likely duplicate is not registered unless the caller, who was shown the candidates, insists.
//! - To a restricted record come its care team, and a doctor who breaks the glass: for an hour, with a reason, not unseen.
//!   Others do not find the patient by name, phone or birth date.
//! - Accountants see of a patient what a bill needs; patients see and change only themselves.
//! - Deliberately absent: deletion. Records stay. And writing care teams, which needs to know who is staff: see the
//!   workflows.

mod care_team;
mod change_patient;
mod emergency_access;
mod error;
mod patient;
mod ports;
mod queries;
mod register_patient;
mod search;

#[cfg(feature = "test-support")]
pub mod testing;

pub use care_team::CareTeamMember;
pub use change_patient::{ChangePatient, PatientChange};
pub use emergency_access::{EmergencyAccess, EmergencyReason};
pub use error::PatientError;
pub use patient::{AdministrativeSex, Mrn, Patient};
pub use ports::{
    AddedMember, CareTeamStore, ChangedPatient, MAX_CANDIDATES, PatientStore, RegisteredPatient, RemovedMember,
    StartedEmergencyAccess,
};
#[cfg(feature = "test-support")]
pub use ports::{MockCareTeamStore, MockPatientStore};
pub use queries::Queries;
pub use register_patient::{NewPatient, RegisterPatient};
pub use search::{SearchTerms, index_words};
