//! The laws of [`Importer`], where its store is that of a [`Hospital`], too: `infirmary_workflows::import_laws!(make_store)`,
//! as `registry_laws!`.

#![allow(clippy::unwrap_used, reason = "a law that does not hold is a panic")]

pub use infirmary_kernel::testing::made;

use std::collections::HashSet;

use infirmary_auth::{Account, PasswordHash, testing::account};
use infirmary_diagnosis::Diagnosis;
use infirmary_financials::{Allocation, Charge, ChargeStatus, Payment, PaymentMethod, Period, Source, SummaryBy};
use infirmary_imaging::{Image, Study, testing::study_now};
use infirmary_kernel::{
    AccountId, Action, Clock, Currency, Event, Money, PatientId, Role, TaskCode, WriteError,
    testing::{ManualClock, fresh_id, trail},
};
use infirmary_patients::{Mrn, Patient, PatientStore, testing::patient};
use infirmary_reports::{Report, testing::report};

use super::{Hospital, confirmed, doctor, entries, issued};
use crate::{Imported, ImportedId, ImportedRecord, Importer, Inspection, Overview, RecordLaw};

#[macro_export]
macro_rules! import_laws {
    ($make:path) => {
        $crate::import_laws!(@each $make:
            the_same_batch_again_adds_nothing_and_what_is_there_is_known
            a_batch_with_a_record_that_is_refused_leaves_nothing
            records_of_one_batch_stand_on_each_other
            a_study_that_comes_later_is_attached_once_and_its_bill_linked_to_it
            what_was_paid_by_hand_is_paid_for_what_it_turns_out_to_be
            a_report_is_left_alone_where_the_diagnosis_was_reported
            a_payment_is_left_alone_where_it_is_not_owed_any_more
            an_account_comes_with_its_password_and_its_patient
            reserved_record_numbers_are_nobody_elses);
    };
    (@each $make:path: $($law:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $law() {
            let Some((store, _keep)) = $crate::testing::import_laws::made($make().await) else { return };
            $crate::testing::import_laws::$law(&store).await;
        })*
    };
}

/// The store of a hospital that takes what another system kept.
pub trait Successor: Hospital + Importer + Inspection {}
impl<S: Hospital + Importer + Inspection> Successor for S {}

fn event(record: &ImportedRecord, patient: PatientId) -> Event {
    let (action, kind, id) = match record {
        ImportedRecord::Account { patient: Some(patient), .. } => {
            (Action::ACCOUNT_REGISTER, "patient", patient.id.as_uuid())
        }
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
    async fn new(store: &impl Successor) -> Self {
        let patient = patient("ئازاد", store.reserve_mrns(1).await.unwrap());
        Self::of(patient, doctor(store, "Ada Lovelace").await)
    }

    fn of(patient: Patient, author: AccountId) -> Self {
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
            diagnosis: confirmed(fresh_id(), patient.id, author),
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

    fn registration(&self) -> Imported {
        self.imported(ImportedRecord::Patient(self.patient.clone()))
    }

    fn finding(&self) -> Imported {
        self.imported(ImportedRecord::Diagnosis(self.diagnosis.clone()))
    }

    fn by_hand(&self) -> Imported {
        self.imported(ImportedRecord::Charge(self.bill.clone()))
    }

    fn rows(&self) -> Vec<Imported> {
        vec![self.registration(), self.finding(), self.by_hand()]
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

    /// Each time another one.
    fn report(&self) -> Imported {
        let issued = issued(report(self.patient.id, self.diagnosis.id, 1, ManualClock::default().now()));
        let report = Report { issued_by: self.author, ..issued.report };
        let source = Source::Report { report: report.id, diagnosis: self.diagnosis.id, author: self.author };
        self.imported(ImportedRecord::Report { report, charge: Charge { source, ..issued.charge } })
    }

    /// Each time another one.
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

    async fn bill_in(&self, store: &impl Successor) -> (Source, ChargeStatus) {
        let found = store.charges(&[self.bill.id]).await.unwrap();
        (found[0].charge.source, found[0].status())
    }
}

/// All records of so many patients: of each, six.
pub async fn records_of(store: &impl Successor, patients: u64) -> Vec<Imported> {
    let (first, author) = (store.reserve_mrns(patients).await.unwrap(), doctor(store, "Ada Lovelace").await);
    let of = |number| Old::of(patient("ئازاد", Mrn::from_serial(first.serial() + number)), author);
    let all = (0..patients).map(of).flat_map(|old| {
        [old.registration(), old.finding(), old.study(), old.by_hand(), old.payment(29_900), old.report()]
    });
    all.collect()
}

async fn no_flaws(store: &impl Successor) {
    for law in RecordLaw::ALL {
        assert_eq!(store.flaws(law, 10).await.unwrap(), [], "{}", law.as_str());
    }
    assert_eq!(store.discrepancies(Currency::GBP, 10).await.unwrap(), []);
}

pub async fn the_same_batch_again_adds_nothing_and_what_is_there_is_known(store: &impl Successor) {
    let old = Old::new(store).await;
    let before = entries(store).await;
    assert_eq!(store.import(old.rows()).await.unwrap(), 3);
    assert_eq!(entries(store).await, before + 3, "each has its event");
    assert_eq!(store.import(old.rows()).await.unwrap(), 0);
    assert_eq!(store.import(Vec::new()).await.unwrap(), 0);
    assert_eq!(entries(store).await, before + 3);
    let (there, not) = (ImportedId::Diagnosis(old.diagnosis.id), ImportedId::Diagnosis(fresh_id()));
    assert_eq!(Importer::known(store, &[there, not]).await.unwrap(), HashSet::from([there]));
    assert_eq!(Importer::known(store, &[]).await.unwrap(), HashSet::new());
    no_flaws(store).await;
}

pub async fn a_batch_with_a_record_that_is_refused_leaves_nothing(store: &impl Successor) {
    let old = Old::new(store).await;
    let before = entries(store).await;
    let mut batch = old.rows();
    batch.push(old.imported(ImportedRecord::Patient(Patient { id: fresh_id(), ..old.patient.clone() })));
    assert!(matches!(store.import(batch).await, Err(WriteError::Conflict { law: "mrn" })));
    let of_nobody = vec![old.registration(), Old::new(store).await.finding()];
    let refused = store.import(of_nobody).await;
    assert!(matches!(refused, Err(WriteError::Conflict { law: Diagnosis::OF_A_KNOWN_PATIENT })), "{refused:?}");
    let ids = [ImportedId::Patient(old.patient.id), ImportedId::Charge(old.bill.id)];
    assert_eq!(Importer::known(store, &ids).await.unwrap(), HashSet::new());
    // Those that the doctors' accounts have.
    assert_eq!(entries(store).await, before + 1);
    no_flaws(store).await;
}

pub async fn records_of_one_batch_stand_on_each_other(store: &impl Successor) {
    let (one, other) = (Old::new(store).await, Old::new(store).await);
    let mut batch = vec![one.registration(), one.registration(), one.finding(), one.study(), one.by_hand()];
    batch.extend([one.payment(29_000), one.payment(901), one.payment(900), one.report(), one.report()]);
    // The bill comes before it is told what it is for.
    batch.extend([other.registration(), other.finding(), other.by_hand(), other.study(), other.study()]);
    assert_eq!(store.import(batch).await.unwrap(), 10);
    let bill = |of: &Old, status| {
        (Source::Study { study: of.study.id, diagnosis: of.diagnosis.id, author: of.author }, status)
    };
    assert_eq!(one.bill_in(store).await, bill(&one, ChargeStatus::Paid));
    assert_eq!(other.bill_in(store).await, bill(&other, ChargeStatus::Open));
    for (of, reported) in [(&one, true), (&other, false)] {
        let detail = Overview::diagnosis(store, of.diagnosis.id).await.unwrap().unwrap();
        assert_eq!((detail.study.as_ref(), &detail.images), (Some(&of.study), &of.images));
        assert_eq!(detail.report.is_some(), reported);
        assert_eq!(detail.diagnosis, Diagnosis { study: Some(of.study.id), ..of.diagnosis.clone() });
    }
    no_flaws(store).await;
}

pub async fn a_study_that_comes_later_is_attached_once_and_its_bill_linked_to_it(store: &impl Successor) {
    let old = Old::new(store).await;
    store.import(old.rows()).await.unwrap();
    assert_eq!(store.import(vec![old.study()]).await.unwrap(), 1);
    let another = Old { diagnosis: old.diagnosis.clone(), ..Old::of(old.patient.clone(), old.author) };
    assert_eq!(store.import(vec![old.study(), another.study()]).await.unwrap(), 0, "it has one");
    let detail = Overview::diagnosis(store, old.diagnosis.id).await.unwrap().unwrap();
    assert_eq!((detail.study.map(|study| study.id), detail.tasks), (Some(old.study.id), vec!["X-Ray".to_owned()]));
    no_flaws(store).await;
}

pub async fn what_was_paid_by_hand_is_paid_for_what_it_turns_out_to_be(store: &impl Successor) {
    let start = ManualClock::default().now();
    let period = Period::new(start, start.plus(std::time::Duration::from_secs(1))).unwrap();
    let paid_for = async |task: &str| {
        let by_task = store.summary(period, SummaryBy::Task, Currency::GBP).await.unwrap();
        by_task.rows.iter().find(|row| row.key == task).map_or(0, |row| row.totals.paid().amount_minor())
    };
    for at_once in [false, true] {
        let before = paid_for("XR").await;
        let mut old = Old::new(store).await;
        old.bill.task = None;
        let mut batch = old.rows();
        batch.push(old.payment(10_000));
        old.bill.task = TaskCode::parse("XR").ok();
        if !at_once {
            store.import(std::mem::take(&mut batch)).await.unwrap();
            assert_eq!((paid_for("other").await, paid_for("XR").await), (10_000, before));
        }
        batch.push(old.study());
        store.import(batch).await.unwrap();
        assert_eq!((paid_for("other").await, paid_for("XR").await), (0, before + 10_000), "{at_once}");
    }
    no_flaws(store).await;
}

pub async fn a_report_is_left_alone_where_the_diagnosis_was_reported(store: &impl Successor) {
    let old = Old::new(store).await;
    store.import(old.rows()).await.unwrap();
    let now = ManualClock::default().now();
    let of_here = || issued(report(old.patient.id, old.diagnosis.id, 1, now));
    store.issue_report(of_here()).await.unwrap();
    assert_eq!(store.import(vec![old.report()]).await.unwrap(), 0);
    let reported_there = Old::new(store).await;
    store.import(reported_there.rows()).await.unwrap();
    assert_eq!(store.import(vec![reported_there.report()]).await.unwrap(), 1);
    assert_eq!(store.import(vec![reported_there.report()]).await.unwrap(), 0);
}

pub async fn a_payment_is_left_alone_where_it_is_not_owed_any_more(store: &impl Successor) {
    let old = Old::new(store).await;
    store.import(old.rows()).await.unwrap();
    assert_eq!(store.import(vec![old.payment(20_000), old.payment(9_901), old.payment(9_900)]).await.unwrap(), 2);
    assert_eq!(store.import(vec![old.payment(1)]).await.unwrap(), 0);
    assert_eq!(old.bill_in(store).await, (Source::Hand, ChargeStatus::Paid));
    no_flaws(store).await;
}

pub async fn an_account_comes_with_its_password_and_its_patient(store: &impl Successor) {
    let mrn = store.reserve_mrns(1).await.unwrap();
    let id = fresh_id();
    let account = Account { patient: Some(id), ..account("ada@example.org", Role::Patient) };
    let patient = Patient { id, account: Some(account.id), ..patient("Ada", mrn) };
    let password = PasswordHash::from_stored("$2b$12$x".to_owned());
    let record = |account: &Account| ImportedRecord::Account {
        account: account.clone(),
        password: Some(password.clone()),
        patient: Some(patient.clone()),
    };
    let imported = |record: ImportedRecord| vec![Imported { event: event(&record, id), record }];
    assert_eq!(store.import(imported(record(&account))).await.unwrap(), 1);
    assert_eq!(store.import(imported(record(&account))).await.unwrap(), 0);
    let credential = store.credential(&account.email).await.unwrap().unwrap();
    assert_eq!((&credential.account, credential.password), (&account, Some(password.clone())));
    assert_eq!(PatientStore::find(store, id).await.unwrap(), Some(patient.clone()));
    let same_email = Account { id: fresh_id(), ..account };
    let refused = store.import(imported(record(&same_email))).await;
    assert!(matches!(refused, Err(WriteError::Conflict { law: "email" })), "{refused:?}");
    no_flaws(store).await;
}

pub async fn reserved_record_numbers_are_nobody_elses(store: &impl Successor) {
    let (first, second) = futures_util::future::join(store.reserve_mrns(100), store.reserve_mrns(100)).await;
    let (first, second) = (first.unwrap().serial(), second.unwrap().serial());
    assert!(first.abs_diff(second) >= 100);
    assert!(store.next_mrn().await.unwrap().serial() >= first.max(second) + 100);
}
