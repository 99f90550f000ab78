use std::sync::Arc;

use infirmary_kernel::{
    Action, Caller, Cursor, DiagnosisId, Gate, Page, PageRequest, Permission, Reach, Refused, Subject, TaskId,
};

use crate::{Diagnosis, DiagnosisError, DiagnosisFilter, DiagnosisStore, DiagnosisVersion, Task, TaskStore};

/// Reads that only fetch.
pub struct Queries {
    pub gate: Gate,
    pub diagnoses: Arc<dyn DiagnosisStore>,
    pub tasks: Arc<dyn TaskStore>,
}

impl Queries {
    pub async fn diagnosis(&self, caller: &Caller, id: DiagnosisId) -> Result<Diagnosis, DiagnosisError> {
        let (diagnosis, _) = self.shown(caller, id).await?;
        self.gate.witness(caller, Action::DIAGNOSIS_READ, diagnosis.subject()).await?;
        Ok(diagnosis)
    }

    /// Newest first. A patient sees those versions that were shown to them when they were the newest.
    pub async fn versions(
        &self,
        caller: &Caller,
        id: DiagnosisId,
        page: &PageRequest,
    ) -> Result<Page<DiagnosisVersion>, DiagnosisError> {
        let (diagnosis, reach) = self.shown(caller, id).await?;
        DiagnosisVersion::after(page)?;
        let mut versions = self.diagnoses.versions(id, page).await?;
        versions.items.retain(|version| version.status.is_shown(reach));
        self.gate.witness(caller, Action::DIAGNOSIS_READ, diagnosis.subject()).await?;
        Ok(versions)
    }

    /// A patient is given their own, whether or not they name themselves; naming somebody else, they are turned away.
    pub async fn list(
        &self,
        caller: &Caller,
        mut filter: DiagnosisFilter,
        page: &PageRequest,
    ) -> Result<Page<Diagnosis>, DiagnosisError> {
        let about = |patient| Subject { patient, ..Subject::all("diagnosis") };
        let reach = self.gate.admit(caller, Permission::ReadStudies, about(filter.patient)).await?;
        match filter.patient {
            Some(patient) => {
                self.gate.confide(caller, Permission::ReadStudies, patient, about(filter.patient)).await?;
            }
            None => filter.reader = self.gate.reader(caller, Permission::ReadStudies),
        }
        if reach == Reach::Own {
            let own = caller.patient.filter(|own| filter.patient.is_none_or(|asked| asked == *own));
            if own.is_none() {
                return Err(self.gate.refuse(caller, about(filter.patient), Refused::Hidden).await.into());
            }
            filter.patient = own;
        }
        page.after_time()?;
        let subject = about(filter.patient);
        let found = async {
            match filter.shown(reach) {
                Some(filter) => self.diagnoses.list(&filter, page).await,
                None => Ok(Page { items: Vec::new(), next: None }),
            }
        };
        let patient_of = |diagnosis: &Diagnosis| diagnosis.patient;
        Ok(self.gate.witness_list(caller, Action::DIAGNOSIS_READ, subject, found, patient_of).await?)
    }

    /// In the order of the code, those out of use too. It is nobody's record, so that reading it leaves no entry.
    pub async fn tasks(&self, caller: &Caller, page: &PageRequest) -> Result<Page<Task>, DiagnosisError> {
        self.gate.admit(caller, Permission::ReadTasks, Subject::all("task")).await?;
        let mut tasks = self.tasks.all().await?;
        if let Some(after) = &page.after {
            tasks.retain(|task| task.code.as_str() > after.sort_key.as_str());
        }
        let place = |last: &Task| Cursor { sort_key: last.code.as_str().to_owned(), id: last.id.as_uuid() };
        Ok(Page::of_rows(tasks, page.limit, place))
    }

    pub async fn task(&self, caller: &Caller, id: TaskId) -> Result<Task, DiagnosisError> {
        self.gate.admit(caller, Permission::ReadTasks, Subject::new("task", id)).await?;
        self.tasks.find(id).await?.ok_or(DiagnosisError::NotFound)
    }

    async fn shown(&self, caller: &Caller, id: DiagnosisId) -> Result<(Diagnosis, Reach), DiagnosisError> {
        let subject = Subject::new("diagnosis", id);
        let reach = self.gate.admit(caller, Permission::ReadStudies, subject).await?;
        let diagnosis = self.diagnoses.find(id).await?.ok_or(DiagnosisError::NotFound)?;
        self.gate.confide(caller, Permission::ReadStudies, diagnosis.patient, diagnosis.subject()).await?;
        let theirs = reach == Reach::All || caller.is(diagnosis.patient);
        if theirs && diagnosis.status.is_shown(reach) {
            return Ok((diagnosis, reach));
        }
        Err(self.gate.refuse(caller, diagnosis.subject(), Refused::Hidden).await.into())
    }
}
