//! What the use cases that make a new version of a diagnosis have in common.

use infirmary_kernel::{Caller, DiagnosisId, Gate, Permission, Refused, Subject, WriteError};

use crate::{Diagnosis, DiagnosisError, DiagnosisStore, Signature, StateRefused};

/// The diagnosis, for who may write of its patient.
pub(crate) async fn admit(
    gate: &Gate,
    diagnoses: &dyn DiagnosisStore,
    caller: &Caller,
    permission: Permission,
    id: DiagnosisId,
) -> Result<Diagnosis, DiagnosisError> {
    gate.admit(caller, permission, Subject::new("diagnosis", id)).await?;
    let diagnosis = diagnoses.find(id).await?.ok_or(DiagnosisError::NotFound)?;
    gate.confide(caller, permission, diagnosis.patient, diagnosis.subject()).await?;
    Ok(diagnosis)
}

/// The diagnosis, when it is in the version that the caller saw; with `None` they did not say.
pub(crate) fn seen(diagnosis: Diagnosis, seen_version: Option<u32>) -> Result<Diagnosis, WriteError> {
    match seen_version {
        Some(seen) if seen != diagnosis.version => Err(WriteError::Stale),
        _ => Ok(diagnosis),
    }
}

pub(crate) fn signed(gate: &Gate, caller: &Caller) -> Signature {
    Signature { by: caller.account, at: gate.now() }
}

/// A status that does not take the change is told. Who is not the author is turned away, and the trail has it.
pub(crate) async fn refuse(gate: &Gate, caller: &Caller, subject: Subject, refused: StateRefused) -> DiagnosisError {
    match refused {
        StateRefused::Status { .. } => DiagnosisError::State(refused),
        StateRefused::NotAuthor => {
            let rule = "only its author may change a draft or take it back; another doctor may confirm it";
            gate.refuse(caller, subject, Refused::NotTheirs { rule }).await.into()
        }
    }
}
