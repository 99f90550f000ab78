//! The laws of [`crate::PatientStore`] and [`crate::CareTeamStore`] as suites, and a store in memory that passes them.

pub mod care_team_laws;
pub mod laws;
mod memory;

pub use memory::MemoryPatients;

use infirmary_kernel::{BirthDate, PersonName, PhoneNumber, testing::fresh_id};

use crate::{Mrn, Patient};

/// A patient of that name, registered at the time the manual clock starts.
pub fn patient(name: &str, mrn: Mrn) -> Patient {
    use infirmary_kernel::{Clock, testing::ManualClock};
    Patient {
        id: fresh_id(),
        mrn,
        name: PersonName::parse(name).expect("a name of a test is valid"),
        birth_date: BirthDate::parse("1984-02-29").ok(),
        sex: None,
        phone: PhoneNumber::parse("+9647501234567").ok(),
        email: None,
        address: None,
        account: None,
        restricted: false,
        registered_at: ManualClock::default().now(),
        version: 1,
    }
}
