//! What a doctor says of a patient, and the catalogue of tasks by which the work is charged.
//!
//! A diagnosis is a draft until a doctor confirms it, and is amended with a reason after that. A task (`CT`, `REPORT`) has
//! a price for each moment; a charge keeps the price of its own.
//!
//! Invariants
//! - The author is the doctor who was signed in; a draft is changed by its author only.
//! - Every version is kept, with who made it, when, and why; a stale change changes nothing.
//! - Nothing follows `enteredInError`. Deliberately absent: deletion.
//! - Patients read what is confirmed: no draft, and nothing that was entered in error.
//! - At no moment does a task have two prices, and a price of the past does not change.

mod amend_diagnosis;
mod catalogue;
mod change_draft;
mod change_task;
mod confirm_diagnosis;
mod create_task;
mod diagnosis;
mod ensure_tasks;
mod error;
mod ports;
mod queries;
mod record_diagnosis;
mod retract_diagnosis;
mod revising;
mod task;

#[cfg(feature = "test-support")]
pub mod testing;

pub use amend_diagnosis::{AmendDiagnosis, Amendment};
pub use catalogue::{Catalogue, PricedTask};
pub use change_draft::ChangeDraft;
pub use change_task::{ChangeTask, NewPrice, TaskChange};
pub use confirm_diagnosis::ConfirmDiagnosis;
pub use create_task::{CreateTask, NewTask};
pub use diagnosis::{
    Content, ContentChange, Diagnosis, DiagnosisStatus, DiagnosisVersion, NewDiagnosis, Reasoned, Signature,
    StateRefused,
};
pub use ensure_tasks::EnsureTasks;
pub use error::DiagnosisError;
pub use ports::{
    ChangedDiagnosis, ChangedTask, CreatedTask, DiagnosisFilter, DiagnosisStore, MAX_TASKS, RecordedDiagnosis,
    TaskStore,
};
#[cfg(feature = "test-support")]
pub use ports::{MockDiagnosisStore, MockTaskStore};
pub use queries::Queries;
pub use record_diagnosis::RecordDiagnosis;
pub use retract_diagnosis::RetractDiagnosis;
pub use task::{Price, Prices, Task};
