//! What tests of writes that span domains begin with.

use infirmary_audit::AuditLog;
use infirmary_auth::{Account, AccountStore, NewAccount, PasswordHash, testing::account};
use infirmary_diagnosis::{Diagnosis, NewDiagnosis, testing::content};
use infirmary_financials::{Charge, Source};
use infirmary_imaging::{Image, Study};
use infirmary_kernel::{
    AccountId, Action, Clock, Currency, DiagnosisId, Money, PatientId, PersonName, Role, TaskCode,
    testing::{ManualClock, fresh_id, trail},
};
use infirmary_patients::{Patient, PatientStore, RegisteredPatient, testing::patient};
use infirmary_reports::Report;

use crate::{IssuedReport, RecordedStudy, StudyRecord};

/// The patient of the id is in the registry from now on.
pub async fn register(store: &impl PatientStore, id: PatientId) -> Patient {
    if let Some(known) = store.find(id).await.unwrap() {
        return known;
    }
    let patient = Patient { id, ..patient("ئازاد عەلی", store.next_mrn().await.unwrap()) };
    let registered = RegisteredPatient { patient: patient.clone(), trail: trail(Action::PATIENT_REGISTER) };
    store.register(registered).await.unwrap();
    patient
}

/// An account of a doctor of that name.
pub async fn doctor(store: &impl AccountStore, name: &str) -> AccountId {
    let account = account(&format!("{}@example.org", fresh_id::<()>()), Role::Doctor);
    let account = Account { name: PersonName::parse(name).unwrap(), ..account };
    let id = account.id;
    let new = NewAccount { account, password: PasswordHash::from_stored("x".to_owned()), session: None };
    store.create(new, trail(Action::ACCOUNT_REGISTER)).await.unwrap();
    id
}

pub fn confirmed(id: DiagnosisId, patient: PatientId, author: AccountId) -> Diagnosis {
    let new = NewDiagnosis { patient, content: content("fracture of the radius"), confirmed: true };
    new.into_diagnosis(id, None, author, ManualClock::default().now())
}

fn charge(patient: PatientId, source: Source, task: &str, by: AccountId) -> Charge {
    let task = TaskCode::parse(task).unwrap();
    let description = format!("The task {task}").try_into().unwrap();
    let amount = Money::new(29_900, Currency::GBP);
    let now = ManualClock::default().now();
    Charge::new(fresh_id(), patient, source, Some(task), description, amount, now, by).unwrap()
}

/// A study with a diagnosis of its own and two charges.
pub fn recorded(study: Study, images: Vec<Image>, released: bool) -> RecordedStudy {
    let new = NewDiagnosis { patient: study.patient, content: content("pneumonia"), confirmed: released };
    let diagnosis = new.into_diagnosis(fresh_id(), Some(study.id), study.author, study.recorded_at);
    let source = Source::Study { study: study.id, diagnosis: diagnosis.id, author: study.author };
    let charges = ["CT", "XR"].map(|task| charge(study.patient, source, task, study.author)).to_vec();
    let record = StudyRecord { study, images, diagnosis, charges };
    RecordedStudy { record, trail: trail(Action::STUDY_RECORD) }
}

/// With the charge that is made for it.
pub fn issued(report: Report) -> IssuedReport {
    let source = Source::Report { report: report.id, diagnosis: report.diagnosis, author: report.issued_by };
    let charge = charge(report.patient, source, "REPORT", report.issued_by);
    IssuedReport { report, charge, trail: trail(Action::REPORT_ISSUE) }
}

/// How many there are in the audit log.
pub async fn entries(store: &impl AuditLog) -> u64 {
    store.heads().await.unwrap().chains.iter().map(|chain| chain.head.sequence).sum()
}
