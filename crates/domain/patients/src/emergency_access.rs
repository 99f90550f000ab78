use std::{str::FromStr, time::Duration};

use infirmary_kernel::{
    AccountId, Cursor, EmergencyAccessId, Invalid, PatientId, SessionId, ShortText, Subject, Timestamp,
};

/// Why a doctor breaks the glass, as far as the patient is told. Concepts of the v3 code system ActReason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EmergencyReason {
    /// `ETREAT`
    EmergencyTreatment,
    /// `PATSFTY`
    PatientSafety,
    /// `COC`: for a colleague of the care team who is not there.
    CoordinationOfCare,
}

impl EmergencyReason {
    pub const ALL: [Self; 3] = [Self::EmergencyTreatment, Self::PatientSafety, Self::CoordinationOfCare];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EmergencyTreatment => "emergencyTreatment",
            Self::PatientSafety => "patientSafety",
            Self::CoordinationOfCare => "coordinationOfCare",
        }
    }
}

impl FromStr for EmergencyReason {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::ALL
            .into_iter()
            .find(|reason| reason.as_str() == text)
            .ok_or_else(|| Invalid::new("/reason", "must be emergencyTreatment, patientSafety or coordinationOfCare"))
    }
}

/// A doctor broke the glass: for a while, and from one session, the restricted record of one patient is open to them as if
/// they were of its care team. It ends before its time with the session, and when the restriction is lifted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmergencyAccess {
    pub id: EmergencyAccessId,
    pub patient: PatientId,
    pub account: AccountId,
    pub session: SessionId,
    pub reason: EmergencyReason,
    /// In the doctor's words, for who looks into it afterwards.
    pub note: ShortText,
    pub started_at: Timestamp,
    pub ends_at: Timestamp,
}

impl EmergencyAccess {
    pub const MINUTES: u64 = 60;

    pub fn end_of(started_at: Timestamp) -> Timestamp {
        started_at.plus(Duration::from_secs(Self::MINUTES * 60))
    }

    pub fn subject(&self) -> Subject {
        Subject::new("emergencyAccess", self.id).of_patient(self.patient)
    }

    /// Its place in the list, newest first.
    pub fn cursor(&self) -> Cursor {
        Cursor::at(self.started_at, self.id.as_uuid())
    }
}
