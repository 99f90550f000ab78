//! What lists give to a reader, where the store is that of patients, care teams and all that hangs on them:
//! `infirmary_workflows::restriction_laws!(make_store)`, as `registry_laws!`.

#![allow(clippy::unwrap_used, reason = "a law that does not hold is a panic")]

pub use infirmary_kernel::testing::made;

use std::time::Duration;

use infirmary_diagnosis::{
    Diagnosis, DiagnosisFilter, DiagnosisStatus, DiagnosisStore, NewDiagnosis, testing::content,
};
use infirmary_financials::{Charge, ChargeFilter, Source};
use infirmary_imaging::testing::study;
use infirmary_kernel::{
    AccountId, Action, Clock, Currency, DiagnosisId, Limit, Money, Page, PageRequest, PatientId, ReportId, StoreError,
    TaskCode, Timestamp,
    testing::{ManualClock, fresh_id, trail},
};
use infirmary_patients::{
    AddedMember, CareTeamMember, ChangedPatient, Patient, PatientStore, RegisteredPatient, RemovedMember,
    testing::patient,
};
use infirmary_reports::{ReportFilter, ReportStore, testing::report};

use super::{Hospital, doctor};
use crate::{IssuedReport, Overview, RecordedStudy, StudyRecord};

#[macro_export]
macro_rules! restriction_laws {
    ($make:path) => {
        $crate::restriction_laws!(@each $make:
            a_reader_is_given_the_restricted_records_of_their_care_teams_and_all_that_are_open
            pages_for_a_reader_lead_past_what_they_are_not_given);
    };
    (@each $make:path: $($law:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $law() {
            let Some((store, _keep)) = $crate::testing::restriction_laws::made($make().await) else { return };
            $crate::testing::restriction_laws::$law(&store).await;
        })*
    };
}

fn at(minutes: u64) -> Timestamp {
    ManualClock::default().now().plus(Duration::from_secs(minutes * 60))
}

/// A patient with a study, its diagnosis, a report on that, and a charge for each.
async fn treated(store: &impl Hospital, author: AccountId, minutes: u64) -> (Patient, Diagnosis, ReportId) {
    let patient = patient("ئازاد Ada", store.next_mrn().await.unwrap());
    let registered = RegisteredPatient { patient: patient.clone(), trail: trail(Action::PATIENT_REGISTER) };
    store.register(registered).await.unwrap();
    let found = study(patient.id, 2, at(minutes));
    let study = infirmary_imaging::Study { author, ..found.study };
    let new = NewDiagnosis { patient: patient.id, content: content("pneumonia"), confirmed: true };
    let diagnosis = new.into_diagnosis(fresh_id(), Some(study.id), author, at(minutes));
    let charge = |source, task: &str| {
        let (task, amount) = (TaskCode::parse(task).unwrap(), Money::new(29_900, Currency::GBP));
        let description = "what was done".to_owned().try_into().unwrap();
        Charge::new(fresh_id(), patient.id, source, Some(task), description, amount, at(minutes), author).unwrap()
    };
    let charges = vec![charge(Source::Study { study: study.id, diagnosis: diagnosis.id, author }, "CT")];
    let record = StudyRecord { study, images: found.images, diagnosis: diagnosis.clone(), charges };
    store.record_study(RecordedStudy { record, trail: trail(Action::STUDY_RECORD) }).await.unwrap();
    let report = report(patient.id, diagnosis.id, 1, at(minutes));
    let (id, source) = (report.id, Source::Report { report: report.id, diagnosis: diagnosis.id, author });
    let charge = charge(source, "REPORT");
    store.issue_report(IssuedReport { report, charge, trail: trail(Action::REPORT_ISSUE) }).await.unwrap();
    (patient, diagnosis, id)
}

async fn restrict(store: &impl Hospital, patient: &Patient) {
    let patient = Patient { restricted: true, version: patient.version + 1, ..patient.clone() };
    let changed = ChangedPatient { patient, trail: trail(Action::PATIENT_CHANGE) };
    PatientStore::change(store, changed).await.unwrap();
}

async fn add(store: &impl Hospital, patient: PatientId, account: AccountId) {
    let member = CareTeamMember { patient, account, added_at: at(0), added_by: fresh_id() };
    assert!(store.add(AddedMember { member, trail: trail(Action::CARE_TEAM_ADD) }).await.unwrap());
}

async fn diagnoses(store: &impl Hospital, filter: DiagnosisFilter) -> Vec<DiagnosisId> {
    let page = PageRequest::default();
    let plain = DiagnosisStore::list(store, &filter, &page).await.unwrap().items;
    let listed = Overview::diagnoses(store, &filter, &page).await.unwrap().items;
    let of_listed: Vec<_> = listed.iter().map(|listed| listed.diagnosis.clone()).collect();
    assert_eq!(of_listed, plain, "both lists are the same: {filter:?}");
    for listed in &listed {
        assert_eq!((listed.images.len(), listed.report.is_some()), (2, true), "with all that belongs to it");
    }
    plain.iter().map(|diagnosis| diagnosis.id).collect()
}

pub async fn a_reader_is_given_the_restricted_records_of_their_care_teams_and_all_that_are_open(store: &impl Hospital) {
    let author = doctor(store, "Ada").await;
    let (open, of_open, report_of_open) = treated(store, author, 1).await;
    let (ada, of_ada, report_of_ada) = treated(store, author, 2).await;
    let (eve, of_eve, report_of_eve) = treated(store, author, 3).await;
    for patient in [&ada, &eve] {
        restrict(store, patient).await;
    }
    let (member, outside) = (doctor(store, "Ada").await, doctor(store, "Ada").await);
    add(store, ada.id, member).await;
    let page = PageRequest::default();
    let all =
        [(eve.id, of_eve.id, report_of_eve), (ada.id, of_ada.id, report_of_ada), (open.id, of_open.id, report_of_open)];
    let check = async |reader: Option<AccountId>, patients: &[PatientId]| {
        let expected: Vec<_> = all.iter().filter(|(patient, ..)| patients.contains(patient)).collect();
        let any = || DiagnosisFilter { reader, ..DiagnosisFilter::default() };
        let ids: Vec<_> = expected.iter().map(|(_, diagnosis, _)| *diagnosis).collect();
        for filter in [
            any(),
            DiagnosisFilter { author: Some(author), ..any() },
            DiagnosisFilter { statuses: vec![DiagnosisStatus::Confirmed], ..any() },
            DiagnosisFilter { from: Some(at(0)), to: Some(at(9)), ..any() },
        ] {
            assert_eq!(diagnoses(store, filter).await, ids, "{reader:?}");
        }
        let of_ada_only = DiagnosisFilter { patient: Some(ada.id), ..any() };
        assert_eq!(diagnoses(store, of_ada_only).await.len(), usize::from(patients.contains(&ada.id)));

        let filter = ReportFilter { reader, ..ReportFilter::default() };
        let reports = ReportStore::list(store, &filter, &page).await.unwrap().items;
        let reports: Vec<_> = reports.iter().map(|view| view.report.id).collect();
        assert_eq!(reports, expected.iter().map(|(_, _, report)| *report).collect::<Vec<_>>());
        let filter = ReportFilter { diagnosis: Some(of_ada.id), reader, ..ReportFilter::default() };
        let reports = ReportStore::list(store, &filter, &page).await.unwrap().items;
        assert_eq!(reports.len(), usize::from(patients.contains(&ada.id)));

        for author in [None, Some(author)] {
            let filter = ChargeFilter { author, reader, ..ChargeFilter::default() };
            let charges = store.list_charges(&filter, &page).await.unwrap().items;
            let mut charged: Vec<_> = charges.iter().map(|view| view.charge.patient).collect();
            charged.dedup();
            assert_eq!(charges.len(), 2 * expected.len());
            assert_eq!(charged, expected.iter().map(|(patient, ..)| *patient).collect::<Vec<_>>());
        }
    };
    check(None, &[eve.id, ada.id, open.id]).await;
    check(Some(member), &[ada.id, open.id]).await;
    check(Some(outside), &[open.id]).await;
    check(Some(author), &[open.id]).await;
    let removed = RemovedMember { patient: ada.id, account: member, trail: trail(Action::CARE_TEAM_REMOVE) };
    store.remove(removed).await.unwrap();
    check(Some(member), &[open.id]).await;
}

pub async fn pages_for_a_reader_lead_past_what_they_are_not_given(store: &impl Hospital) {
    let (author, reader) = (doctor(store, "Ada").await, Some(doctor(store, "Ada").await));
    let (mut of_open, mut reports_of_open) = (Vec::new(), Vec::new());
    for number in 0..9 {
        let (patient, diagnosis, report) = treated(store, author, number).await;
        if number % 4 == 1 {
            of_open.insert(0, diagnosis.id);
            reports_of_open.insert(0, report);
        } else {
            restrict(store, &patient).await;
        }
    }
    let filter = DiagnosisFilter { reader, ..DiagnosisFilter::default() };
    let found = one_by_one(async |page| Overview::diagnoses(store, &filter, page).await).await;
    assert_eq!(found.iter().map(|listed| listed.diagnosis.id).collect::<Vec<_>>(), of_open);
    let filter = ReportFilter { reader, ..ReportFilter::default() };
    let found = one_by_one(async |page| ReportStore::list(store, &filter, page).await).await;
    assert_eq!(found.iter().map(|view| view.report.id).collect::<Vec<_>>(), reports_of_open);
    let filter = ChargeFilter { reader, ..ChargeFilter::default() };
    let found = one_by_one(async |page| store.list_charges(&filter, page).await).await;
    assert_eq!(found.len(), 2 * of_open.len());
}

/// A list in pages of one, none of which is empty.
async fn one_by_one<T>(list: impl AsyncFn(&PageRequest) -> Result<Page<T>, StoreError>) -> Vec<T> {
    let (mut found, mut page) = (Vec::new(), PageRequest { limit: Limit::new(1).unwrap(), after: None });
    loop {
        let part = list(&page).await.unwrap();
        assert_eq!(part.items.len(), 1);
        found.extend(part.items);
        page.after = part.next;
        if page.after.is_none() {
            return found;
        }
    }
}
