use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use infirmary_kernel::{
    Cursor, DiagnosisId, Page, PageRequest, PatientId, StoreError, StudyId, TaskCode, TaskId, WriteError, Written,
    testing::{MemoryConfidentiality, MemoryJournal, locked},
};

use crate::{
    ChangedDiagnosis, ChangedTask, CreatedTask, Diagnosis, DiagnosisFilter, DiagnosisStore, DiagnosisVersion,
    RecordedDiagnosis, Task, TaskStore,
};

/// Diagnoses in memory: every version there was, the last one being the diagnosis. Clones are the same memory.
#[derive(Clone, Default)]
pub struct MemoryDiagnoses {
    rows: Arc<Mutex<BTreeMap<DiagnosisId, Vec<Diagnosis>>>>,
    patients: Arc<Mutex<HashSet<PatientId>>>,
    pub journal: MemoryJournal,
    pub confidentiality: MemoryConfidentiality,
}

impl MemoryDiagnoses {
    /// A house with these patients.
    pub fn knowing(patients: impl IntoIterator<Item = PatientId>) -> Self {
        Self { patients: Arc::new(Mutex::new(patients.into_iter().collect())), ..Self::default() }
    }

    fn current(&self) -> Vec<Diagnosis> {
        locked(&self.rows).values().filter_map(|versions| versions.last().cloned()).collect()
    }
}

#[async_trait]
impl DiagnosisStore for MemoryDiagnoses {
    async fn record(&self, recorded: RecordedDiagnosis) -> Result<Written, WriteError> {
        let mut rows = locked(&self.rows);
        if let Some(before) = self.journal.repeated(&recorded.trail)? {
            return Ok(before);
        }
        let new = recorded.diagnosis;
        if !locked(&self.patients).contains(&new.patient) {
            return Err(WriteError::Conflict { law: Diagnosis::OF_A_KNOWN_PATIENT });
        }
        if new.study.is_some() && rows.values().flatten().any(|known| known.study == new.study) {
            return Err(WriteError::Conflict { law: Diagnosis::ONE_FOR_A_STUDY });
        }
        rows.insert(new.id, vec![new]);
        Ok(self.journal.keep(recorded.trail))
    }

    async fn change(&self, changed: ChangedDiagnosis) -> Result<Written, WriteError> {
        let mut rows = locked(&self.rows);
        if let Some(before) = self.journal.repeated(&changed.trail)? {
            return Ok(before);
        }
        match rows.get_mut(&changed.diagnosis.id) {
            Some(versions) if versions.len() + 1 == changed.diagnosis.version as usize => {
                versions.push(changed.diagnosis);
                Ok(self.journal.keep(changed.trail))
            }
            _ => Err(WriteError::Stale),
        }
    }

    async fn find(&self, id: DiagnosisId) -> Result<Option<Diagnosis>, StoreError> {
        Ok(self.current().into_iter().find(|diagnosis| diagnosis.id == id))
    }

    async fn of_study(&self, study: StudyId) -> Result<Option<Diagnosis>, StoreError> {
        Ok(self.current().into_iter().find(|diagnosis| diagnosis.study == Some(study)))
    }

    async fn versions(&self, id: DiagnosisId, page: &PageRequest) -> Result<Page<DiagnosisVersion>, StoreError> {
        let before = DiagnosisVersion::after(page).unwrap_or_default().unwrap_or(u32::MAX);
        let rows = locked(&self.rows);
        let versions = rows.get(&id).into_iter().flatten().rev().map(Diagnosis::as_version);
        let versions = versions.filter(|version| version.version < before).collect();
        Ok(Page::of_rows(versions, page.limit, DiagnosisVersion::cursor))
    }

    async fn list(&self, filter: &DiagnosisFilter, page: &PageRequest) -> Result<Page<Diagnosis>, StoreError> {
        let mut found: Vec<Diagnosis> =
            self.current().into_iter().filter(|diagnosis| filter.takes(diagnosis)).collect();
        found.retain(|diagnosis| self.confidentiality.shows(diagnosis.patient, filter.reader));
        found.sort_by_key(|diagnosis| std::cmp::Reverse((diagnosis.recorded_at, diagnosis.id)));
        if let Ok(Some((time, id))) = page.after_time() {
            found.retain(|diagnosis| (diagnosis.recorded_at, diagnosis.id.as_uuid()) < (time, id));
        }
        Ok(Page::of_rows(found, page.limit, |last| Cursor::at(last.recorded_at, last.id.as_uuid())))
    }
}

/// The catalogue in memory. Clones are the same catalogue.
#[derive(Clone, Default)]
pub struct MemoryTasks {
    rows: Arc<Mutex<BTreeMap<TaskCode, Task>>>,
    pub journal: MemoryJournal,
}

#[async_trait]
impl TaskStore for MemoryTasks {
    async fn create(&self, created: CreatedTask) -> Result<Written, WriteError> {
        let mut rows = locked(&self.rows);
        if let Some(before) = self.journal.repeated(&created.trail)? {
            return Ok(before);
        }
        if rows.contains_key(&created.task.code) {
            return Err(WriteError::Conflict { law: Task::ONE_FOR_A_CODE });
        }
        rows.insert(created.task.code.clone(), created.task);
        Ok(self.journal.keep(created.trail))
    }

    async fn change(&self, changed: ChangedTask) -> Result<(), WriteError> {
        match locked(&self.rows).values_mut().find(|known| known.id == changed.task.id) {
            Some(known) if known.version + 1 == changed.task.version => {
                *known = changed.task;
                self.journal.keep(changed.trail);
                Ok(())
            }
            _ => Err(WriteError::Stale),
        }
    }

    async fn find(&self, id: TaskId) -> Result<Option<Task>, StoreError> {
        Ok(locked(&self.rows).values().find(|task| task.id == id).cloned())
    }

    async fn all(&self) -> Result<Vec<Task>, StoreError> {
        Ok(locked(&self.rows).values().cloned().collect())
    }

    async fn by_codes(&self, codes: &[TaskCode]) -> Result<Vec<Task>, StoreError> {
        Ok(locked(&self.rows).values().filter(|task| codes.contains(&task.code)).cloned().collect())
    }
}
