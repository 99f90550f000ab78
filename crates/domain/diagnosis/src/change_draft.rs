use std::sync::Arc;

use infirmary_kernel::{Action, Caller, DiagnosisId, Gate, Trail};

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
        revising::admit(&self.gate, caller, id).await?;
        let found = revising::find(self.diagnoses.as_ref(), id, Some(seen_version)).await?;
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
