use std::sync::Arc;

use infirmary_kernel::{Action, Caller, DiagnosisId, Gate, Permission, Subject, Trail};

use crate::{ChangedDiagnosis, Diagnosis, DiagnosisError, DiagnosisStore, Signature, revising};

/// A doctor, the author or another, stands for a draft: from now on it is shown to the patient.
pub struct ConfirmDiagnosis {
    pub gate: Gate,
    pub diagnoses: Arc<dyn DiagnosisStore>,
}

impl ConfirmDiagnosis {
    /// With `seen_version`, what is confirmed is what the caller read.
    pub async fn run(
        &self,
        caller: &Caller,
        id: DiagnosisId,
        seen_version: Option<u32>,
    ) -> Result<Diagnosis, DiagnosisError> {
        revising::admit(&self.gate, caller, id).await?;
        let found = revising::find(self.diagnoses.as_ref(), id, seen_version).await?;
        self.confirm(caller, found, revising::signed(&self.gate, caller)).await
    }

    /// An admin says that its author stands for it. The signature is the author's; the trail has the admin.
    pub async fn run_for_doctor(
        &self,
        caller: &Caller,
        id: DiagnosisId,
        seen_version: Option<u32>,
    ) -> Result<Diagnosis, DiagnosisError> {
        self.gate.admit(caller, Permission::RecordForDoctors, Subject::new("diagnosis", id)).await?;
        let found = revising::find(self.diagnoses.as_ref(), id, seen_version).await?;
        let signed = Signature { by: found.author, at: self.gate.now() };
        self.confirm(caller, found, signed).await
    }

    async fn confirm(&self, caller: &Caller, found: Diagnosis, signed: Signature) -> Result<Diagnosis, DiagnosisError> {
        let diagnosis = found.confirm(signed).map_err(DiagnosisError::State)?;
        let event = self.gate.event(caller, Action::DIAGNOSIS_CONFIRM, diagnosis.subject()).changing(["status"]);
        let trail = Trail::new(event);
        self.diagnoses.change(ChangedDiagnosis { diagnosis: diagnosis.clone(), trail }).await?;
        Ok(diagnosis)
    }
}
