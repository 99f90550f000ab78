use async_trait::async_trait;

use crate::{AccountId, PatientId, SessionId, StoreError, Timestamp};

/// How somebody stands to the record of one patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// There is no record of that patient.
    NoRecord,
    /// The record is not restricted.
    Open,
    /// The record is restricted, and they are of its care team.
    CareTeam,
    /// The record is restricted; they are not of its care team, and broke the glass in this session.
    EmergencyAccess,
    /// The record is restricted, and closed to them.
    Outside,
}

/// Which records are restricted (`R` of the v3 code system Confidentiality, by which FHIR labels them), and who may come to
/// them all the same.
///
/// Laws
/// - The answer is what holds at the moment of asking: every write that was acknowledged before counts.
/// - Of a patient who is not restricted: [`Standing::Open`]; of one whom there is not: [`Standing::NoRecord`].
/// - Emergency access is of the session that it was given to, of that patient alone, and over from its end on. Being of the
///   care team goes before it.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait Confidentiality: Send + Sync {
    /// One read: this is asked at every request of staff about a patient.
    async fn standing(
        &self,
        patient: PatientId,
        account: AccountId,
        session: SessionId,
        at: Timestamp,
    ) -> Result<Standing, StoreError>;
}
