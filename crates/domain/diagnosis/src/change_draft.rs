use std::sync::Arc;

use infirmary_kernel::{Action, Caller, DiagnosisId, Gate, Permission, Trail};

use crate::{ChangedDiagnosis, ContentChange, Diagnosis, DiagnosisError, DiagnosisStore, revising};

/// The author works on their draft.
pub struct ChangeDraft {
    pub gate: Gate,
    pub diagnoses: Arc<dyn DiagnosisStore>,
}

impl ChangeDraft {
    /// `seen_version` is the one that the caller saw: a change made meanwhile makes this one `Stale`.
    pub async fn run(
        &self,
        caller: &Caller,
        id: DiagnosisId,
        seen_version: u32,
        change: ContentChange,
    ) -> Result<Diagnosis, DiagnosisError> {
        let found = revising::admit(&self.gate, self.diagnoses.as_ref(), caller, Permission::WriteStudies, id).await?;
        let found = revising::seen(found, Some(seen_version))?;
        let subject = found.subject();
        let (diagnosis, fields) = match found.change(change, revising::signed(&self.gate, caller)) {
            Ok(changed) => changed,
            Err(refused) => return Err(revising::refuse(&self.gate, caller, subject, refused).await),
        };
        if fields.is_empty() {
            self.gate.witness(caller, Action::DIAGNOSIS_READ, subject).await?;
            return Ok(diagnosis);
        }
        let event = self.gate.event(caller, Action::DIAGNOSIS_CHANGE, diagnosis.subject()).changing(fields);
        let trail = Trail::new(event);
        self.diagnoses.change(ChangedDiagnosis { diagnosis: diagnosis.clone(), trail }).await?;
        Ok(diagnosis)
    }
}
