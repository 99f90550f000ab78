use std::sync::Arc;

use infirmary_kernel::{Action, Caller, DiagnosisId, Gate, Permission, Trail};

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
        let found = revising::admit(&self.gate, self.diagnoses.as_ref(), caller, Permission::WriteStudies, id).await?;
        let found = revising::seen(found, seen_version)?;
        self.confirm(caller, found, revising::signed(&self.gate, caller)).await
    }

    /// An admin says that its author stands for it. The signature is the author's; the trail has the admin.
    pub async fn run_for_doctor(
        &self,
        caller: &Caller,
        id: DiagnosisId,
        seen_version: Option<u32>,
    ) -> Result<Diagnosis, DiagnosisError> {
        let permission = Permission::RecordForDoctors;
        let found = revising::admit(&self.gate, self.diagnoses.as_ref(), caller, permission, id).await?;
        let found = revising::seen(found, seen_version)?;
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
