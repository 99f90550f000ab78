//! The in-memory registry keeps the laws.

use infirmary_patients::testing::MemoryPatients;

async fn store() -> (MemoryPatients, ()) {
    (MemoryPatients::default(), ())
}

mod patients {
    use super::store;
    infirmary_patients::patient_store_laws!(store);
}

mod care_teams {
    use super::store;
    infirmary_patients::care_team_laws!(store);
}
