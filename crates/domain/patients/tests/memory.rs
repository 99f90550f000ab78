//! The in-memory registry keeps the laws.

use infirmary_patients::testing::MemoryPatients;

async fn store() -> (MemoryPatients, ()) {
    (MemoryPatients::default(), ())
}

infirmary_patients::patient_store_laws!(store);
