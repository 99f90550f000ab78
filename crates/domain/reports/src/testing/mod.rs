//! For tests: reports to have, a store in memory, and the laws of [`crate::ReportStore`].

pub mod laws;
mod memory;

use infirmary_kernel::{
    DiagnosisId, ObjectKey, PatientId, ReportId, Sha256Digest, StoredObject, Timestamp,
    testing::{CountingEntropy, fresh_id},
};
pub use memory::MemoryReports;

use crate::{Report, Source, VerificationCode};

/// The report of a version of a diagnosis, set here.
pub fn report(patient: PatientId, diagnosis: DiagnosisId, diagnosis_version: u32, issued_at: Timestamp) -> Report {
    static ENTROPY: CountingEntropy = CountingEntropy::starting_at(0);
    let id: ReportId = fresh_id();
    Report {
        id,
        diagnosis,
        diagnosis_version,
        patient,
        issued_by: fresh_id(),
        issued_at,
        source: Source::Typeset,
        object: StoredObject { key: ObjectKey::report(id), bytes: 5, sha256: Sha256Digest::of(b"%PDF-") },
        code: VerificationCode::draw(&ENTROPY),
    }
}
