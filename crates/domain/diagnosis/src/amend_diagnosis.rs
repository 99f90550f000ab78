use std::sync::Arc;

use infirmary_kernel::{Action, Caller, DiagnosisId, Done, Gate, Idempotency, Invalid, Permission, Receipt, ShortText};

use crate::{ChangedDiagnosis, ContentChange, Diagnosis, DiagnosisError, DiagnosisStore, revising};

#[derive(Debug, Clone)]
pub struct Amendment {
    pub change: ContentChange,
    pub reason: ShortText,
}

/// A doctor, the author or another, changes what is confirmed, and says why.
pub struct AmendDiagnosis {
    pub gate: Gate,
    pub diagnoses: Arc<dyn DiagnosisStore>,
}

impl AmendDiagnosis {
    /// With `seen_version`, what is amended is what the caller read.
    pub async fn run(
        &self,
        caller: &Caller,
        id: DiagnosisId,
        seen_version: Option<u32>,
        Amendment { change, reason }: Amendment,
        idempotency: Option<Idempotency>,
        receipt: impl FnOnce(&Diagnosis) -> Receipt,
    ) -> Result<Done<Diagnosis>, DiagnosisError> {
        let found = revising::admit(&self.gate, self.diagnoses.as_ref(), caller, Permission::WriteStudies, id).await?;
        // Before the version is looked at: the request that is repeated has made it another one.
        if let Some(receipt) = self.gate.earlier(caller, idempotency.as_ref()).await? {
            return Ok(Done::Before(receipt));
        }
        let found = revising::seen(found, seen_version)?;
        let signed = revising::signed(&self.gate, caller);
        let (diagnosis, fields) = found.amend(change, reason, signed).map_err(DiagnosisError::State)?;
        if fields.is_empty() {
            let detail = "has no change; an amendment changes disease, findings or conditions";
            return Err(Invalid::new("", detail).into());
        }
        let receipt = receipt(&diagnosis);
        let event = self.gate.event(caller, Action::DIAGNOSIS_AMEND, diagnosis.subject()).changing(fields);
        let trail = self.gate.trail(caller, event, idempotency.as_ref(), &receipt);
        let written = self.diagnoses.change(ChangedDiagnosis { diagnosis: diagnosis.clone(), trail }).await?;
        Ok(Done::new(written, diagnosis, receipt))
    }
}
