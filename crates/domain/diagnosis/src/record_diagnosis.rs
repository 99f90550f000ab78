use std::sync::Arc;

use infirmary_kernel::{Action, Caller, Done, Gate, Idempotency, Invalid, Permission, Receipt, Subject, WriteError};

use crate::{Diagnosis, DiagnosisError, DiagnosisStore, NewDiagnosis, RecordedDiagnosis};

/// A doctor records a diagnosis that has no images of this house. With images, it is recorded with its study.
pub struct RecordDiagnosis {
    pub gate: Gate,
    pub diagnoses: Arc<dyn DiagnosisStore>,
}

impl RecordDiagnosis {
    pub async fn run(
        &self,
        caller: &Caller,
        new: NewDiagnosis,
        idempotency: Option<Idempotency>,
        receipt: impl FnOnce(&Diagnosis) -> Receipt,
    ) -> Result<Done<Diagnosis>, DiagnosisError> {
        let about = Subject::all("diagnosis").of_patient(new.patient);
        self.gate.admit_to(caller, Permission::WriteStudies, new.patient, about).await?;
        let now = self.gate.now();
        let diagnosis = new.into_diagnosis(self.gate.mint(now), None, caller.account, now);
        let receipt = receipt(&diagnosis);
        let event = self.gate.event(caller, Action::DIAGNOSIS_RECORD, diagnosis.subject());
        let trail = self.gate.trail(caller, event, idempotency.as_ref(), &receipt);
        match self.diagnoses.record(RecordedDiagnosis { diagnosis: diagnosis.clone(), trail }).await {
            Ok(written) => Ok(Done::new(written, diagnosis, receipt)),
            Err(WriteError::Conflict { law: Diagnosis::OF_A_KNOWN_PATIENT }) => {
                Err(Invalid::new("/patientId", "is not a patient of this house").into())
            }
            Err(error) => Err(error.into()),
        }
    }
}
