use async_trait::async_trait;
use infirmary_kernel::{
    AccountId, DiagnosisId, Page, PageRequest, PatientId, Reach, StoreError, StudyId, TaskCode, TaskId, Timestamp,
    Trail, WriteError, Written,
};

use crate::{Diagnosis, DiagnosisStatus, DiagnosisVersion, Task};

/// A diagnosis to be added.
#[derive(Debug, Clone)]
pub struct RecordedDiagnosis {
    pub diagnosis: Diagnosis,
    pub trail: Trail,
}

/// A diagnosis as it is to be from now on. Its version is one more than the one that was read.
#[derive(Debug, Clone)]
pub struct ChangedDiagnosis {
    pub diagnosis: Diagnosis,
    pub trail: Trail,
}

/// Which diagnoses a list holds; each part that is given has to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiagnosisFilter {
    pub patient: Option<PatientId>,
    pub author: Option<AccountId>,
    /// One of these; empty: of any.
    pub statuses: Vec<DiagnosisStatus>,
    /// Recorded from this moment on.
    pub from: Option<Timestamp>,
    /// Recorded before this moment.
    pub to: Option<Timestamp>,
    /// Of a restricted patient only when this account is of the care team; `None`: whosever they are.
    pub reader: Option<AccountId>,
}

impl DiagnosisFilter {
    /// Whether it takes the diagnosis, as far as that can be told from it: who may read of the patient it does not say.
    pub fn takes(&self, diagnosis: &Diagnosis) -> bool {
        self.patient.is_none_or(|patient| diagnosis.patient == patient)
            && self.author.is_none_or(|author| diagnosis.author == author)
            && (self.statuses.is_empty() || self.statuses.contains(&diagnosis.status))
            && self.from.is_none_or(|from| diagnosis.recorded_at >= from)
            && self.to.is_none_or(|to| diagnosis.recorded_at < to)
    }

    /// What is left of it for who reaches so far ([`DiagnosisStatus::is_shown`]); `None`: nothing. That the patient is the
    /// caller's own is the gate's to see.
    #[must_use]
    pub fn shown(mut self, reach: Reach) -> Option<Self> {
        if reach == Reach::All {
            return Some(self);
        }
        if self.statuses.is_empty() {
            self.statuses = DiagnosisStatus::ALL.to_vec();
        }
        self.statuses.retain(|status| status.is_shown(reach));
        (!self.statuses.is_empty()).then_some(self)
    }
}

/// Diagnoses and what they said before. A diagnosis of a study is added by the port of that workflow.
///
/// Laws
/// - A write is there whole, with its audit event, its claim and its version, or not at all.
/// - A write with a claim that was used: [`Written::Before`] with that receipt, and nothing is changed. With another
///   fingerprint: `KeyReused`.
/// - `record` keeps [`Diagnosis::OF_A_KNOWN_PATIENT`] and [`Diagnosis::ONE_FOR_A_STUDY`], as `Conflict` with their names.
/// - `change` of a version that is not one more than the stored one: `Stale`, and nothing changes.
/// - `find` and `of_study` give what was written, to the last code point.
/// - `versions` gives [`Diagnosis::as_version`] of every version there was, newest first, each once; what was written of a
///   version stays.
/// - `list` gives what the filter takes, newest first (time of recording, then id); pages are stable under inserts, changes
///   and equal times.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait DiagnosisStore: Send + Sync {
    async fn record(&self, recorded: RecordedDiagnosis) -> Result<Written, WriteError>;
    async fn change(&self, changed: ChangedDiagnosis) -> Result<Written, WriteError>;
    async fn find(&self, id: DiagnosisId) -> Result<Option<Diagnosis>, StoreError>;
    async fn of_study(&self, study: StudyId) -> Result<Option<Diagnosis>, StoreError>;
    async fn versions(&self, id: DiagnosisId, page: &PageRequest) -> Result<Page<DiagnosisVersion>, StoreError>;
    async fn list(&self, filter: &DiagnosisFilter, page: &PageRequest) -> Result<Page<Diagnosis>, StoreError>;
}

/// A task to be added.
#[derive(Debug, Clone)]
pub struct CreatedTask {
    pub task: Task,
    pub trail: Trail,
}

/// A task as it is to be from now on. Its version is one more than the one that was read.
#[derive(Debug, Clone)]
pub struct ChangedTask {
    pub task: Task,
    pub trail: Trail,
}

/// The catalogue.
///
/// Laws
/// - A write is there whole, with its prices, its audit event and its claim, or not at all.
/// - `create` with a claim that was used: [`Written::Before`] with that receipt, and nothing is added. With another
///   fingerprint: `KeyReused`.
/// - No two tasks have one code: `Conflict`, with the law [`Task::ONE_FOR_A_CODE`].
/// - `change` of a version that is not one more than the stored one: `Stale`, and nothing changes.
/// - `all` gives every task, in the order of the code; `by_codes` those of the codes that exist, in any order.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait TaskStore: Send + Sync {
    async fn create(&self, created: CreatedTask) -> Result<Written, WriteError>;
    async fn change(&self, changed: ChangedTask) -> Result<(), WriteError>;
    async fn find(&self, id: TaskId) -> Result<Option<Task>, StoreError>;
    /// At most [`MAX_TASKS`].
    async fn all(&self) -> Result<Vec<Task>, StoreError>;
    async fn by_codes(&self, codes: &[TaskCode]) -> Result<Vec<Task>, StoreError>;
}

/// Tasks that a catalogue may have.
pub const MAX_TASKS: usize = 1_000;
