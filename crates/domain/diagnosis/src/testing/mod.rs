//! The laws of [`crate::DiagnosisStore`] and [`crate::TaskStore`] as suites, and stores in memory that pass them.

pub mod laws;
mod memory;
pub mod task_laws;

pub use memory::{MemoryDiagnoses, MemoryTasks};

use infirmary_kernel::{
    AccountId, Clock, Currency, LongText, Money, PatientId, ShortText, TaskCode, Timestamp,
    testing::{ManualClock, fresh_id},
};

use crate::{Content, Diagnosis, NewDiagnosis, Signature, Task, create_task::NewTask};

/// A number of milliseconds after the moment at which the manual clock starts.
pub fn at(offset_ms: u64) -> Timestamp {
    ManualClock::default().now().plus(std::time::Duration::from_millis(offset_ms))
}

pub fn content(disease: &str) -> Content {
    Content {
        disease: ShortText::parse(disease).expect("a disease of a test is valid"),
        findings: LongText::parse("No displaced fracture.\nپشکنین باشە").expect("valid"),
        conditions: LongText::parse("").expect("valid"),
    }
}

pub fn draft(patient: PatientId, author: AccountId, disease: &str) -> Diagnosis {
    NewDiagnosis { patient, content: content(disease), confirmed: false }.into_diagnosis(
        fresh_id(),
        None,
        author,
        at(0),
    )
}

pub fn signed(by: AccountId, offset_ms: u64) -> Signature {
    Signature { by, at: at(offset_ms) }
}

pub fn task(code: &str) -> Task {
    let new = NewTask {
        code: TaskCode::parse(code).expect("a code of a test is valid"),
        name: ShortText::parse("X-ray of the chest, دوو لا").expect("valid"),
        description: LongText::parse("Two planes.\n$set {%_}").expect("valid"),
        price: Money::new(29_900, Currency::GBP),
    };
    new.into_task(fresh_id(), Currency::GBP, at(0)).expect("valid")
}
