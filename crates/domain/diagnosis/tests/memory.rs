//! The in-memory stores keep the laws.

use infirmary_diagnosis::testing::{MemoryDiagnoses, MemoryTasks, laws::House};
use infirmary_kernel::testing::fresh_id;

async fn tasks() -> (MemoryTasks, ()) {
    (MemoryTasks::default(), ())
}

async fn house() -> House<MemoryDiagnoses> {
    let (patients, doctors) = ([fresh_id(), fresh_id()], [fresh_id(), fresh_id()]);
    let store = MemoryDiagnoses::knowing(patients);
    House { store, patients, doctors, study: Some(fresh_id()), keep: Box::new(()) }
}

mod diagnoses {
    use super::house;
    infirmary_diagnosis::diagnosis_store_laws!(house);
}

mod tasks {
    use super::tasks;
    infirmary_diagnosis::task_store_laws!(tasks);
}
