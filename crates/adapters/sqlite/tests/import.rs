//! SQLite keeps the laws of the importer.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

mod common;

use std::collections::HashSet;

use infirmary_diagnosis::Diagnosis;
use infirmary_financials::{Allocation, Charge, Payment, PaymentMethod, Source};
use infirmary_imaging::{Image, Study, testing::study_now};
use infirmary_kernel::{
    AccountId, Action, Clock, Currency, Event, Money, PatientId, TaskCode, WriteError,
    testing::{ManualClock, fresh_id, trail},
};
use infirmary_patients::{Patient, PatientStore, testing::patient};
use infirmary_reports::{Report, testing::report};
use infirmary_sqlite::SqliteStore;
use infirmary_workflows::{
    Imported, ImportedId, ImportedRecord, Importer, Inspection, Overview, RecordLaw, ReportIssuer,
};

async fn store() -> (SqliteStore, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (SqliteStore::open(&folder.path().join("infirmary.db"), 2).unwrap(), folder)
}

fn event(record: &ImportedRecord, patient: PatientId) -> Event {
    let (action, kind, id) = match record {
        ImportedRecord::Account { account, .. } => (Action::ACCOUNT_REGISTER, "account", account.id.as_uuid()),
        ImportedRecord::Patient(patient) => (Action::PATIENT_REGISTER, "patient", patient.id.as_uuid()),
        ImportedRecord::Diagnosis(diagnosis) => (Action::DIAGNOSIS_RECORD, "diagnosis", diagnosis.id.as_uuid()),
        ImportedRecord::Study { study, .. } => (Action::STUDY_RECORD, "study", study.id.as_uuid()),
        ImportedRecord::Report { report, .. } => (Action::REPORT_ISSUE, "report", report.id.as_uuid()),
        ImportedRecord::Charge(charge) => (Action::CHARGE_CREATE, "charge", charge.id.as_uuid()),
        ImportedRecord::Payment(payment) => (Action::PAYMENT_TAKE, "payment", payment.id.as_uuid()),
    };
    let mut event = trail(action).event;
    event.subject.kind = kind.into();
    event.subject.id = Some(id);
    event.subject.patient = Some(patient);
    event
}

/// All records of one patient, as they come from elsewhere.
struct Old {
    patient: Patient,
    diagnosis: Diagnosis,
    study: Study,
    images: Vec<Image>,
    bill: Charge,
    author: AccountId,
}

impl Old {
    async fn new(store: &SqliteStore) -> Self {
        let patient = patient("ئازاد", store.reserve_mrns(1).await.unwrap());
        Self::of(store, patient).await
    }

    async fn of(store: &SqliteStore, patient: Patient) -> Self {
        let author = common::doctor(store, "Ada Lovelace").await;
        let found = study_now(patient.id, 1);
        let bill = Charge::new(
            fresh_id(),
            patient.id,
            Source::Hand,
            TaskCode::parse("XR").ok(),
            "X-Ray".to_owned().try_into().unwrap(),
            Money::new(29_900, Currency::GBP),
            ManualClock::default().now(),
            author,
        );
        Self {
            diagnosis: common::confirmed(fresh_id(), patient.id, author),
            study: Study { author, ..found.study },
            images: found.images,
            bill: bill.unwrap(),
            author,
            patient,
        }
    }

    fn imported(&self, record: ImportedRecord) -> Imported {
        Imported { event: event(&record, self.patient.id), record }
    }

    fn rows(&self) -> Vec<Imported> {
        vec![
            self.imported(ImportedRecord::Patient(self.patient.clone())),
            self.imported(ImportedRecord::Diagnosis(self.diagnosis.clone())),
            self.imported(ImportedRecord::Charge(self.bill.clone())),
        ]
    }

    fn study(&self) -> Imported {
        let source = Source::Study { study: self.study.id, diagnosis: self.diagnosis.id, author: self.author };
        self.imported(ImportedRecord::Study {
            study: self.study.clone(),
            images: self.images.clone(),
            diagnosis: self.diagnosis.id,
            charge: Charge { source, ..self.bill.clone() },
        })
    }

    fn payment(&self, pence: i64) -> Imported {
        let amount = Money::new(pence, Currency::GBP);
        self.imported(ImportedRecord::Payment(Payment {
            id: fresh_id(),
            patient: self.patient.id,
            amount,
            method: PaymentMethod::Other,
            received_at: self.bill.charged_at,
            received_by: self.author,
            allocations: vec![Allocation { charge: self.bill.id, amount }],
        }))
    }
}

async fn no_flaws(store: &SqliteStore) {
    for law in RecordLaw::ALL {
        assert_eq!(store.flaws(law, 10).await.unwrap(), [], "{}", law.as_str());
    }
}

#[tokio::test]
async fn the_same_batch_again_adds_nothing_and_what_is_there_is_known() {
    let (store, _folder) = store().await;
    let old = Old::new(&store).await;
    assert_eq!(store.import(old.rows()).await.unwrap(), 3);
    assert_eq!(store.import(old.rows()).await.unwrap(), 0);
    let (there, not) = (ImportedId::Diagnosis(old.diagnosis.id), ImportedId::Diagnosis(fresh_id()));
    assert_eq!(Importer::known(&store, &[there, not]).await.unwrap(), HashSet::from([there]));
    no_flaws(&store).await;
}

#[tokio::test]
async fn a_batch_with_a_record_that_is_refused_leaves_nothing() {
    let (store, _folder) = store().await;
    let old = Old::new(&store).await;
    let mut batch = old.rows();
    batch.push(old.imported(ImportedRecord::Patient(Patient { id: fresh_id(), ..old.patient.clone() })));
    assert!(matches!(store.import(batch).await, Err(WriteError::Conflict { law: "mrn" })));
    let ids = [ImportedId::Patient(old.patient.id), ImportedId::Charge(old.bill.id)];
    assert_eq!(Importer::known(&store, &ids).await.unwrap(), HashSet::new());
    no_flaws(&store).await;
}

#[tokio::test]
async fn a_study_that_comes_later_is_attached_once_and_its_bill_linked_to_it() {
    let (store, _folder) = store().await;
    let old = Old::new(&store).await;
    store.import(old.rows()).await.unwrap();
    assert_eq!(store.import(vec![old.study()]).await.unwrap(), 1);
    let another = Old { diagnosis: old.diagnosis.clone(), ..Old::of(&store, old.patient.clone()).await };
    assert_eq!(store.import(vec![old.study(), another.study()]).await.unwrap(), 0, "it has one");
    let detail = Overview::diagnosis(&store, old.diagnosis.id).await.unwrap().unwrap();
    assert_eq!((detail.study.map(|study| study.id), detail.tasks), (Some(old.study.id), vec!["X-Ray".to_owned()]));
    no_flaws(&store).await;
}

#[tokio::test]
async fn a_report_is_left_alone_where_the_diagnosis_was_reported_here() {
    let (store, _folder) = store().await;
    let old = Old::new(&store).await;
    store.import(old.rows()).await.unwrap();
    let now = ManualClock::default().now();
    let of_here = || common::issued(report(old.patient.id, old.diagnosis.id, 1, now));
    store.issue_report(of_here()).await.unwrap();
    let of_there = of_here();
    let report = Report { id: fresh_id(), ..of_there.report };
    let imported = old.imported(ImportedRecord::Report { report, charge: of_there.charge });
    assert_eq!(store.import(vec![imported]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_payment_is_left_alone_where_it_is_not_owed_any_more() {
    let (store, _folder) = store().await;
    let old = Old::new(&store).await;
    store.import(old.rows()).await.unwrap();
    assert_eq!(store.import(vec![old.payment(29_900), old.payment(100)]).await.unwrap(), 1);
    assert_eq!(store.import(vec![old.payment(1)]).await.unwrap(), 0);
    no_flaws(&store).await;
}

#[tokio::test]
async fn reserved_record_numbers_are_nobody_elses() {
    let (store, _folder) = store().await;
    let (first, second) = tokio::join!(store.reserve_mrns(100), store.reserve_mrns(100));
    let (first, second) = (first.unwrap().serial(), second.unwrap().serial());
    assert_eq!(first.abs_diff(second), 100);
    assert_eq!(store.next_mrn().await.unwrap().serial(), first.max(second) + 100);
}
