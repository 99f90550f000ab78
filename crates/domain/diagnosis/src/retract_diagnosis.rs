use std::sync::Arc;

use infirmary_kernel::{Action, Caller, DiagnosisId, Gate, Permission, ShortText, Trail};

use crate::{ChangedDiagnosis, Diagnosis, DiagnosisError, DiagnosisStore, revising};

/// A doctor, the author or another, says that it should not have been recorded. The patient sees it no more.
pub struct RetractDiagnosis {
    pub gate: Gate,
    pub diagnoses: Arc<dyn DiagnosisStore>,
}

impl RetractDiagnosis {
    /// With `seen_version`, what is retracted is what the caller read.
    pub async fn run(
        &self,
        caller: &Caller,
        id: DiagnosisId,
        seen_version: Option<u32>,
        reason: ShortText,
    ) -> Result<Diagnosis, DiagnosisError> {
        let found = revising::admit(&self.gate, self.diagnoses.as_ref(), caller, Permission::WriteStudies, id).await?;
        let found = revising::seen(found, seen_version)?;
        let signed = revising::signed(&self.gate, caller);
        let subject = found.subject();
        let diagnosis = match found.retract(reason, signed) {
            Ok(retracted) => retracted,
            Err(refused) => return Err(revising::refuse(&self.gate, caller, subject, refused).await),
        };
        let event = self.gate.event(caller, Action::DIAGNOSIS_RETRACT, diagnosis.subject()).changing(["status"]);
        let trail = Trail::new(event);
        self.diagnoses.change(ChangedDiagnosis { diagnosis: diagnosis.clone(), trail }).await?;
        Ok(diagnosis)
    }
}
