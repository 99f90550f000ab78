use std::{
    fmt,
    net::IpAddr,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{AccountId, Invalid, PatientId, RequestId, SessionId, Timestamp};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Admin,
    Doctor,
    Accountant,
    Patient,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Admin, Self::Doctor, Self::Accountant, Self::Patient];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Doctor => "doctor",
            Self::Accountant => "accountant",
            Self::Patient => "patient",
        }
    }

    pub const fn is_staff(self) -> bool {
        !matches!(self, Self::Patient)
    }
}

impl FromStr for Role {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| Invalid::new("/role", "is not a role; give admin, doctor, accountant or patient"))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a request came from; what the audit trail keeps of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    pub request: RequestId,
    pub address: Option<IpAddr>,
    /// `User-Agent`, cut to [`Origin::MAX_AGENT_CHARS`].
    pub agent: Option<String>,
}

impl Origin {
    pub const MAX_AGENT_CHARS: usize = 200;
}

/// Somebody whose session was found alive in the store, with the role the store has for them at this moment.
///
/// Only authentication makes one: a use case that takes a `Caller` cannot be reached without.
#[derive(Debug, Clone)]
pub struct Caller {
    pub account: AccountId,
    pub role: Role,
    /// The caller's own patient record, for the role [`Role::Patient`].
    pub patient: Option<PatientId>,
    pub session: SessionId,
    /// When the caller last proved who they are: what step-up asks for.
    pub authenticated_at: Timestamp,
    /// The house asks a second factor of the role, and the account has none yet: until then the caller may use the own
    /// account, which is where one is set up, and nothing else.
    pub must_enrol: bool,
    pub origin: Origin,
    pub broken_glass: BrokenGlass,
}

/// The records that a request was let into by emergency access. The gate notes them where it lets the caller in, and every
/// event of that caller about such a record says so, whoever makes it. Clones are the same request.
#[derive(Debug, Clone, Default)]
pub struct BrokenGlass(Arc<Mutex<Vec<PatientId>>>);

impl BrokenGlass {
    pub(crate) fn note(&self, patient: PatientId) {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !records.contains(&patient) {
            records.push(patient);
        }
    }

    pub(crate) fn covers(&self, patient: PatientId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&patient)
    }
}

impl Caller {
    /// How old the proof may be for what asks for a recent one (SECURITY: step-up): refunds, role changes, the audit log.
    pub const STEP_UP_MINUTES: u64 = 15;

    /// Whether the caller proved who they are within `age` before `now`. A proof of a time to come is none: some clock was
    /// put back since.
    pub fn authenticated_within(&self, now: Timestamp, age: Duration) -> bool {
        now.is_within(self.authenticated_at, age)
    }

    pub fn is(&self, patient: PatientId) -> bool {
        self.patient == Some(patient)
    }
}

#[cfg(all(test, feature = "test-support"))]
mod tests {
    use super::*;
    use crate::{
        Clock,
        testing::{ManualClock, caller},
    };

    #[test]
    fn a_proof_is_recent_for_as_long_as_asked_and_not_again_when_a_clock_is_put_back() {
        let (caller, now) = (caller(Role::Admin), ManualClock::default().now());
        let quarter = Duration::from_secs(Caller::STEP_UP_MINUTES * 60);
        for (seconds, recent) in [(-86_400, false), (-6, false), (-5, true), (0, true), (900, true), (901, false)] {
            let at = Timestamp::from_unix_ms(now.unix_ms() + seconds * 1_000);
            assert_eq!(caller.authenticated_within(at, quarter), recent, "{seconds}");
        }
    }
}
