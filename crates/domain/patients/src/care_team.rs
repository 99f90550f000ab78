use infirmary_kernel::{AccountId, PatientId, Subject, Timestamp};

/// Somebody who takes part in the care of a patient (FHIR: `CareTeam.participant`), and so comes to the record when it is
/// restricted. There may be a team before there is a restriction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CareTeamMember {
    pub patient: PatientId,
    pub account: AccountId,
    pub added_at: Timestamp,
    pub added_by: AccountId,
}

impl CareTeamMember {
    pub const MAX_PER_PATIENT: usize = 100;
    /// Law: a care team has so many members at most.
    pub const FULL: &'static str = "a care team has at most 100 members";
    /// Law: the patient is one of the registry.
    pub const OF_A_KNOWN_PATIENT: &'static str = "a care team is of a known patient";

    /// The membership of that account.
    pub fn subject(patient: PatientId, account: AccountId) -> Subject {
        Subject::new("careTeam", account).of_patient(patient)
    }
}
