//! The laws of [`Inspection`], where its store is that of a [`Hospital`], too:
//! `infirmary_workflows::inspection_laws!(make_store)`, as `registry_laws!`. What is found wrong with a store that another
//! hand has written in, each adapter has to try by itself, on a [`furnished`] one.

#![allow(clippy::unwrap_used, reason = "a law that does not hold is a panic")]

pub use infirmary_kernel::testing::made;

use std::cell::Cell;

use futures_util::future::join;
use infirmary_diagnosis::{
    ChangedDiagnosis, ContentChange, DiagnosisStore, RecordedDiagnosis,
    testing::{draft, signed},
};
use infirmary_financials::{
    Allocation, Charge, Payment, PaymentMethod, RecordedCharge, Refund, RefundedPayment, Source, TakenPayment, Void,
    VoidedCharge,
};
use infirmary_imaging::{Study, testing::study_now};
use infirmary_kernel::{
    AccountId, Action, Clock, Currency, Id, Money, PatientId, Subject, Trail, WriteError,
    testing::{ManualClock, fresh_id, trail},
};
use infirmary_patients::{
    AddedMember, CareTeamMember, ChangedPatient, EmergencyAccess, EmergencyReason, Patient, PatientStore,
    RegisteredPatient, StartedEmergencyAccess, testing::patient,
};
use infirmary_reports::{Report, testing::report};

use super::{Hospital, confirmed, doctor, entries, issued, laws::registered, recorded};
use crate::{HouseCounts, Inspection, IssuedReport, NamedObject, ObjectOwner, RecordLaw, RecordedStudy};

#[macro_export]
macro_rules! inspection_laws {
    ($make:path) => {
        $crate::inspection_laws!(@each $make:
            a_store_that_only_this_code_wrote_to_has_no_flaws
            what_is_written_meanwhile_is_no_flaw
            every_object_is_given_once_whatever_the_size_of_the_batch
            an_owner_is_known_by_its_row
            everything_is_counted);
    };
    (@each $make:path: $($law:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $law() {
            let Some((store, _keep)) = $crate::testing::inspection_laws::made($make().await) else { return };
            $crate::testing::inspection_laws::$law(&store).await;
        })*
    };
}

/// The store of a hospital that is looked into.
pub trait Inspected: Hospital + Inspection {}
impl<S: Hospital + Inspection> Inspected for S {}

/// The trail of a write of the record.
fn told<T>(action: Action, kind: &'static str, id: Id<T>, patient: PatientId, version: Option<u32>) -> Trail {
    let mut trail = trail(action);
    trail.event.subject = Subject { version, ..Subject::new(kind, id).of_patient(patient) };
    trail
}

/// A house with something of everything, as the use cases would have written it: a doctor, and a patient with an account who
/// is restricted, has a care team and was come to by emergency access; two studies of three images each, the diagnosis of one
/// of which was amended and reported twice, and a diagnosis without images that went from draft to confirmed; a charge by hand
/// that was paid and refunded in part, and one that is void.
pub async fn furnished(store: &impl Inspected) {
    let doctor = doctor(store, "Ada Lovelace").await;
    let ada = who_registered(store).await;
    restricted(store, &ada, doctor).await;
    studied(store, ada.id, doctor).await;
    reported(store, studied(store, ada.id, doctor).await).await;
    drafted(store, ada.id, doctor).await;
    paid(store, ada.id, doctor).await;
}

async fn who_registered(store: &impl Inspected) -> Patient {
    let mut new = registered("ada@example.org", store.next_mrn().await.unwrap());
    new.trail = told(Action::ACCOUNT_REGISTER, "patient", new.patient.id, new.patient.id, Some(1));
    store.register_account(new.clone()).await.unwrap();
    new.patient
}

async fn restricted(store: &impl Inspected, ada: &Patient, doctor: AccountId) {
    let patient = Patient { restricted: true, version: 2, ..ada.clone() };
    let trail = told(Action::PATIENT_CHANGE, "patient", ada.id, ada.id, Some(2));
    PatientStore::change(store, ChangedPatient { patient, trail }).await.unwrap();
    let now = ManualClock::default().now();
    let member = CareTeamMember { patient: ada.id, account: doctor, added_at: now, added_by: doctor };
    let trail = told(Action::CARE_TEAM_ADD, "account", doctor, ada.id, None);
    assert!(store.add(AddedMember { member, trail }).await.unwrap());
    let access = EmergencyAccess {
        id: fresh_id(),
        patient: ada.id,
        account: doctor,
        session: fresh_id(),
        reason: EmergencyReason::PatientSafety,
        note: "بێهۆشە".to_owned().try_into().unwrap(),
        started_at: now,
        ends_at: EmergencyAccess::end_of(now),
    };
    let trail = told(Action::EMERGENCY_ACCESS_START, "emergencyAccess", access.id, ada.id, None);
    store.start_emergency_access(StartedEmergencyAccess { access, trail }).await.unwrap();
}

async fn studied(store: &impl Inspected, patient: PatientId, doctor: AccountId) -> RecordedStudy {
    let found = study_now(patient, 3);
    let mut new = recorded(Study { author: doctor, ..found.study }, found.images, true);
    new.trail = told(Action::STUDY_RECORD, "study", new.record.study.id, patient, None);
    store.record_study(new.clone()).await.unwrap();
    new
}

async fn reported(store: &impl Inspected, of: RecordedStudy) {
    let (mut diagnosis, doctor) = (of.record.diagnosis, of.record.study.author);
    for version in 1..=2 {
        let report = report(diagnosis.patient, diagnosis.id, version, ManualClock::default().now());
        let IssuedReport { report, charge, .. } = issued(Report { issued_by: doctor, ..report });
        let trail = told(Action::REPORT_ISSUE, "report", report.id, report.patient, Some(version));
        store.issue_report(IssuedReport { report, charge, trail }).await.unwrap();
        let reason = "seen again".to_owned().try_into().unwrap();
        let (amended, _) = diagnosis.amend(ContentChange::default(), reason, signed(doctor, 1)).unwrap();
        diagnosis = amended;
        let trail =
            told(Action::DIAGNOSIS_AMEND, "diagnosis", diagnosis.id, diagnosis.patient, Some(diagnosis.version));
        DiagnosisStore::change(store, ChangedDiagnosis { diagnosis: diagnosis.clone(), trail }).await.unwrap();
    }
}

async fn drafted(store: &impl Inspected, patient: PatientId, doctor: AccountId) {
    let draft = draft(patient, doctor, "pneumonia");
    let about = |action, version| told(action, "diagnosis", draft.id, patient, Some(version));
    let trail = about(Action::DIAGNOSIS_RECORD, 1);
    store.record(RecordedDiagnosis { diagnosis: draft.clone(), trail }).await.unwrap();
    let trail = about(Action::DIAGNOSIS_CONFIRM, 2);
    let diagnosis = draft.clone().confirm(signed(doctor, 1)).unwrap();
    DiagnosisStore::change(store, ChangedDiagnosis { diagnosis, trail }).await.unwrap();
}

async fn paid(store: &impl Inspected, patient: PatientId, by: AccountId) {
    let (now, pounds) = (ManualClock::default().now(), |pounds: i64| Money::new(pounds * 100, Currency::GBP));
    let charge = async || {
        let description = "a plaster".to_owned().try_into().unwrap();
        let charge = Charge::new(fresh_id(), patient, Source::Hand, None, description, pounds(7), now, by).unwrap();
        let trail = told(Action::CHARGE_CREATE, "charge", charge.id, patient, None);
        store.record_charge(RecordedCharge { charge: charge.clone(), trail }).await.unwrap();
        charge.id
    };
    let (voided, charge) = (charge().await, charge().await);
    let void = Void { at: now, by, reason: "twice".to_owned().try_into().unwrap() };
    let trail = told(Action::CHARGE_VOID, "charge", voided, patient, None);
    store.void_charge(VoidedCharge { charge: voided, void, trail }).await.unwrap();
    let payment = Payment {
        id: fresh_id(),
        patient,
        amount: pounds(5),
        method: PaymentMethod::Cash,
        received_at: now,
        received_by: by,
        allocations: vec![Allocation { charge, amount: pounds(5) }],
    };
    let trail = told(Action::PAYMENT_TAKE, "payment", payment.id, patient, None);
    store.take_payment(TakenPayment { payment: payment.clone(), trail }).await.unwrap();
    for _ in 0..2 {
        let refund = Refund {
            id: fresh_id(),
            payment: payment.id,
            amount: pounds(1),
            reason: "too much".to_owned().try_into().unwrap(),
            refunded_at: now,
            refunded_by: by,
            allocations: vec![Allocation { charge, amount: pounds(1) }],
        };
        let trail = told(Action::PAYMENT_REFUND, "payment", payment.id, patient, None);
        store.refund_payment(RefundedPayment { refund, trail }).await.unwrap();
    }
}

pub async fn a_store_that_only_this_code_wrote_to_has_no_flaws(store: &impl Inspected) {
    for furnish in [false, true] {
        if furnish {
            furnished(store).await;
        }
        for law in RecordLaw::ALL {
            assert_eq!(store.flaws(law, 10).await.unwrap(), [], "{}", law.as_str());
        }
        assert_eq!(store.discrepancies(Currency::GBP, 10).await.unwrap(), []);
    }
    // Nor has one where something was refused.
    let stranger = confirmed(fresh_id(), fresh_id(), fresh_id());
    let refused = store.record(RecordedDiagnosis { diagnosis: stranger, trail: trail(Action::DIAGNOSIS_RECORD) }).await;
    assert!(matches!(refused, Err(WriteError::Conflict { .. })));
    for law in RecordLaw::ALL {
        assert_eq!(store.flaws(law, 10).await.unwrap(), [], "{}", law.as_str());
    }
}

pub async fn what_is_written_meanwhile_is_no_flaw(store: &impl Inspected) {
    let doctor = doctor(store, "Ada Lovelace").await;
    let ada = who_registered(store).await;
    let written = Cell::new(false);
    let write = async {
        for _ in 0..12 {
            reported(store, studied(store, ada.id, doctor).await).await;
            paid(store, ada.id, doctor).await;
        }
        written.set(true);
    };
    let look = async {
        while !written.get() {
            for law in RecordLaw::ALL {
                assert_eq!(store.flaws(law, 10).await.unwrap(), [], "{}", law.as_str());
            }
        }
    };
    join(write, look).await;
}

pub async fn every_object_is_given_once_whatever_the_size_of_the_batch(store: &impl Inspected) {
    assert_eq!(store.objects(None, 100).await.unwrap(), []);
    furnished(store).await;
    let all = store.objects(None, 100).await.unwrap();
    assert_eq!(all.len(), 8);
    assert!(all.is_sorted_by_key(|named| named.owner));
    assert!(all.iter().all(|named| named.object.key == named.owner.key()));
    for most in 1..=9 {
        let mut found = Vec::new();
        loop {
            let after = found.last().map(|last: &NamedObject| last.owner);
            let batch = store.objects(after, most).await.unwrap();
            assert!(batch.len() <= most);
            if batch.is_empty() {
                break;
            }
            found.extend(batch);
        }
        assert_eq!(found, all, "{most} at once");
    }
}

pub async fn an_owner_is_known_by_its_row(store: &impl Inspected) {
    furnished(store).await;
    let owners: Vec<_> = store.objects(None, 100).await.unwrap().into_iter().map(|named| named.owner).collect();
    let strangers = [ObjectOwner::Image(fresh_id()), ObjectOwner::Report(fresh_id())];
    let mut known = Inspection::known(store, &[owners.as_slice(), &strangers].concat()).await.unwrap();
    known.sort_unstable();
    assert_eq!(known, owners);
    assert_eq!(Inspection::known(store, &strangers).await.unwrap(), []);
    assert_eq!(Inspection::known(store, &[]).await.unwrap(), []);
}

pub async fn everything_is_counted(store: &impl Inspected) {
    assert_eq!(Inspection::counts(store).await.unwrap(), HouseCounts::default());
    furnished(store).await;
    // One more, so that no two numbers that stand beside each other are one.
    let stray = patient("Bob", store.next_mrn().await.unwrap());
    let trail = told(Action::PATIENT_REGISTER, "patient", stray.id, stray.id, Some(1));
    store.register(RegisteredPatient { patient: stray, trail }).await.unwrap();
    let counts = Inspection::counts(store).await.unwrap();
    let object_bytes = store.objects(None, 100).await.unwrap().iter().map(|named| named.object.bytes).sum();
    let expected = HouseCounts {
        accounts: 2,
        patients: 2,
        studies: 2,
        images: 6,
        diagnoses: 3,
        reports: 2,
        charges: 7,
        payments: 1,
        refunds: 2,
        audit_entries: entries(store).await,
        object_bytes,
    };
    assert_eq!((counts, counts.objects()), (expected, 8));
    assert!(counts.audit_entries > 15 && object_bytes > 6_000);
}
