//! The laws of [`StudyRecorder`], [`ReportIssuer`] and [`Overview`], where the store is that of a [`Hospital`]:
//! `infirmary_workflows::record_laws!(make_store)`, as `registry_laws!`.

#![allow(clippy::unwrap_used, reason = "a law that does not hold is a panic")]

pub use infirmary_kernel::testing::made;

use std::collections::HashMap;

use futures_util::future::{join, join_all};
use infirmary_diagnosis::{
    ChangedDiagnosis, ContentChange, Diagnosis, DiagnosisFilter, DiagnosisStatus, DiagnosisStore, RecordedDiagnosis,
    testing::signed,
};
use infirmary_financials::{Charge, ChargeFilter, Void, VoidedCharge};
use infirmary_imaging::testing::study_now;
use infirmary_kernel::{
    AccountId, Action, Claim, Clock, Fingerprint, IdempotencyKey, Limit, PageRequest, PatientId, PersonName, Receipt,
    StudyId, WriteError, Written,
    testing::{ManualClock, fresh_id, trail, trail_with_claim},
};
use infirmary_reports::{Report, ReportFilter, ReportStatus, ReportStore, testing::report};

use super::{Hospital, confirmed, doctor, entries, issued, recorded, register};
use crate::{IssuedReport, ListedDiagnosis, ListedImage, Overview, PatientCounts, RecordedStudy};

#[macro_export]
macro_rules! record_laws {
    ($make:path) => {
        $crate::record_laws!(@each $make:
            a_study_is_there_with_images_diagnosis_version_charges_and_event
            a_member_that_fails_leaves_nothing_of_the_study
            sixteen_tasks_with_one_key_record_one_study
            a_reader_never_sees_half_of_a_study
            of_sixteen_reports_at_once_one_is_issued_and_charged
            an_amended_diagnosis_is_reported_again_for_nothing
            a_diagnosis_is_shown_with_all_that_was_written_beside_it
            pages_of_diagnoses_are_stable_and_each_has_its_own_images
            counts_are_of_the_patient_and_of_the_statuses);
    };
    (@each $make:path: $($law:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $law() {
            let Some((store, _keep)) = $crate::testing::record_laws::made($make().await) else { return };
            $crate::testing::record_laws::$law(&store).await;
        })*
    };
}

/// A study of the patient, who is registered, by the doctor.
async fn study_of(store: &impl Hospital, patient: PatientId, author: AccountId, images: u16) -> RecordedStudy {
    register(store, patient).await;
    let mut found = study_now(patient, images);
    found.study.author = author;
    recorded(found.study, found.images, true)
}

fn claim(account: AccountId, asked: &str, told: &str) -> Claim {
    Claim {
        account,
        key: IdempotencyKey::parse("one and the same").unwrap(),
        fingerprint: Fingerprint::of([asked.as_bytes()]),
        receipt: Receipt::json(&told),
        at: ManualClock::default().now(),
    }
}

async fn charges_of(store: &impl Hospital, patient: PatientId) -> Vec<Charge> {
    let filter = ChargeFilter { patient: Some(patient), ..ChargeFilter::default() };
    let page = store.list_charges(&filter, &PageRequest::default()).await.unwrap();
    page.items.into_iter().map(|view| view.charge).collect()
}

async fn listed(store: &impl Hospital, patient: PatientId) -> Vec<ListedDiagnosis> {
    let filter = DiagnosisFilter { patient: Some(patient), ..DiagnosisFilter::default() };
    store.diagnoses(&filter, &PageRequest::default()).await.unwrap().items
}

/// Whether anything of the study is to be seen, by whichever way it is looked for.
async fn parts_of(store: &impl Hospital, recorded: &RecordedStudy) -> Vec<&'static str> {
    let record = &recorded.record;
    let mut parts = Vec::new();
    if store.find_study(record.study.id).await.unwrap().is_some() {
        parts.push("study");
    }
    for image in &record.images {
        if store.find_image(image.id).await.unwrap().is_some() {
            parts.push("image");
        }
    }
    if DiagnosisStore::find(store, record.diagnosis.id).await.unwrap().is_some() {
        parts.push("diagnosis");
    }
    if !store.versions(record.diagnosis.id, &PageRequest::default()).await.unwrap().items.is_empty() {
        parts.push("version");
    }
    for charge in charges_of(store, record.study.patient).await {
        if record.charges.iter().any(|known| known.id == charge.id) {
            parts.push("charge");
        }
    }
    parts
}

pub async fn a_study_is_there_with_images_diagnosis_version_charges_and_event(store: &impl Hospital) {
    let recorded = study_of(store, fresh_id(), fresh_id(), 2).await;
    let before = entries(store).await;
    assert_eq!(store.record_study(recorded.clone()).await.unwrap(), Written::Now);
    let all = ["study", "image", "image", "diagnosis", "version", "charge", "charge"];
    assert_eq!(parts_of(store, &recorded).await, all);
    assert_eq!(entries(store).await, before + 1);
}

pub async fn a_member_that_fails_leaves_nothing_of_the_study(store: &impl Hospital) {
    let first = study_of(store, fresh_id(), fresh_id(), 2).await;
    store.record_study(first.clone()).await.unwrap();
    let before = entries(store).await;

    let patient = first.record.study.patient;
    // The last charge, the last image, and the very first thing.
    let mut same_task = study_of(store, patient, fresh_id(), 3).await;
    same_task.record.charges[1].task = same_task.record.charges[0].task.clone();
    let mut same_image = study_of(store, patient, fresh_id(), 3).await;
    same_image.record.images[2].id = first.record.images[0].id;
    let mut no_patient = study_of(store, patient, fresh_id(), 3).await;
    let stranger = fresh_id();
    no_patient.record.study.patient = stranger;
    no_patient.record.diagnosis.patient = stranger;

    let law_of = async |recorded: &RecordedStudy| match store.record_study(recorded.clone()).await {
        Err(WriteError::Conflict { law }) => Some(law),
        Err(WriteError::Store(_)) => None,
        other => panic!("{other:?}"),
    };
    assert_eq!(law_of(&same_task).await, Some(Charge::ONE_FOR_A_TASK_OF_A_STUDY));
    assert_eq!(law_of(&same_image).await, None);
    assert_eq!(law_of(&no_patient).await, Some(Diagnosis::OF_A_KNOWN_PATIENT));
    assert_eq!(parts_of(store, &same_task).await, Vec::<&str>::new());
    assert_eq!(parts_of(store, &same_image).await, ["image"], "the one that was there before");
    assert_eq!(parts_of(store, &no_patient).await, Vec::<&str>::new());
    assert_eq!(entries(store).await, before, "no event tells of what did not happen");
}

pub async fn sixteen_tasks_with_one_key_record_one_study(store: &impl Hospital) {
    let (patient, doctor) = (fresh_id(), fresh_id());
    let mut tries = Vec::new();
    for attempt in 0..16 {
        let mut recorded = study_of(store, patient, doctor, 2).await;
        recorded.trail = trail_with_claim(Action::STUDY_RECORD, claim(doctor, "a study", &attempt.to_string()));
        tries.push(recorded);
    }
    let tasks = tries.iter().map(async |recorded| store.record_study(recorded.clone()).await.unwrap());
    let written: Vec<Written> = join_all(tasks).await;
    let winners: Vec<usize> = (0..16).filter(|attempt| written[*attempt] == Written::Now).collect();
    assert_eq!(winners.len(), 1);
    for (attempt, written) in written.into_iter().enumerate() {
        if attempt == winners[0] {
            assert_eq!(parts_of(store, &tries[attempt]).await.len(), 7);
        } else {
            assert_eq!(written, Written::Before(Receipt::json(&winners[0].to_string())));
            assert_eq!(parts_of(store, &tries[attempt]).await, Vec::<&str>::new());
        }
    }
    let mut other = study_of(store, patient, doctor, 1).await;
    other.trail = trail_with_claim(Action::STUDY_RECORD, claim(doctor, "another study", "x"));
    assert!(matches!(store.record_study(other.clone()).await, Err(WriteError::KeyReused)));
    assert_eq!(parts_of(store, &other).await, Vec::<&str>::new());
}

pub async fn a_reader_never_sees_half_of_a_study(store: &impl Hospital) {
    let patient = fresh_id();
    let doctor = doctor(store, "Ada").await;
    let mut studies = Vec::new();
    for _ in 0..40 {
        studies.push(study_of(store, patient, doctor, 3).await);
    }
    let write = async {
        for recorded in studies {
            store.record_study(recorded).await.unwrap();
        }
    };
    let read = async {
        let mut most = 0;
        while most < 40 {
            let seen = listed(store, patient).await;
            assert!(seen.iter().all(|listed| listed.images.len() == 3));
            let all = &DiagnosisStatus::ALL;
            let counts = store.counts(patient, all).await.unwrap().unwrap();
            let expected = PatientCounts { images: 3, reports: 0, transactions: 2, diagnoses: 1 };
            assert_eq!(counts.images, expected.images * counts.diagnoses);
            assert_eq!(counts.transactions, expected.transactions * counts.diagnoses);
            assert!(seen.len() >= most && counts.diagnoses >= seen.len() as u64);
            most = seen.len();
        }
    };
    join(write, read).await;
}

/// A confirmed diagnosis without images.
async fn diagnosis(store: &impl Hospital) -> Diagnosis {
    let (patient, author) = (fresh_id(), doctor(store, "Ada Lovelace").await);
    register(store, patient).await;
    let diagnosis = confirmed(fresh_id(), patient, author);
    let recorded = RecordedDiagnosis { diagnosis: diagnosis.clone(), trail: trail(Action::DIAGNOSIS_RECORD) };
    store.record(recorded).await.unwrap();
    diagnosis
}

async fn amended(store: &impl Hospital, diagnosis: Diagnosis) -> Diagnosis {
    let reason = "seen again".to_owned().try_into().unwrap();
    let (diagnosis, _) = diagnosis.amend(ContentChange::default(), reason, signed(fresh_id(), 1)).unwrap();
    let trail = trail(Action::DIAGNOSIS_AMEND);
    DiagnosisStore::change(store, ChangedDiagnosis { diagnosis: diagnosis.clone(), trail }).await.unwrap();
    diagnosis
}

fn report_of(diagnosis: &Diagnosis) -> IssuedReport {
    issued(report(diagnosis.patient, diagnosis.id, diagnosis.version, ManualClock::default().now()))
}

pub async fn of_sixteen_reports_at_once_one_is_issued_and_charged(store: &impl Hospital) {
    let diagnosis = diagnosis(store).await;
    let tasks = (0..16).map(async |_| {
        let issued = report_of(&diagnosis);
        store.issue_report(issued.clone()).await.map(|_| issued.report.id)
    });
    let mut winners = Vec::new();
    for outcome in join_all(tasks).await {
        match outcome {
            Ok(report) => winners.push(report),
            Err(WriteError::Conflict { law: Report::ONE_FOR_A_VERSION }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    let filter = ReportFilter { patient: Some(diagnosis.patient), ..ReportFilter::default() };
    let reports = ReportStore::list(store, &filter, &PageRequest::default()).await.unwrap().items;
    assert_eq!(reports.iter().map(|view| view.report.id).collect::<Vec<_>>(), winners);
    assert_eq!(winners.len(), 1);
    let charges = charges_of(store, diagnosis.patient).await;
    assert_eq!(charges.iter().map(|charge| charge.source.report()).collect::<Vec<_>>(), [Some(winners[0])]);
}

pub async fn an_amended_diagnosis_is_reported_again_for_nothing(store: &impl Hospital) {
    let first = diagnosis(store).await;
    store.issue_report(report_of(&first)).await.unwrap();
    let second = amended(store, first.clone()).await;

    let stale = report_of(&first);
    assert!(matches!(store.issue_report(stale).await, Err(WriteError::Stale)), "it has another version now");
    let ahead = report_of(&Diagnosis { version: 3, ..second.clone() });
    assert!(matches!(store.issue_report(ahead).await, Err(WriteError::Stale)));
    let of_none = report_of(&Diagnosis { id: fresh_id(), ..first.clone() });
    assert!(matches!(store.issue_report(of_none).await, Err(WriteError::Stale)));

    let doctor = fresh_id();
    let mut issued = report_of(&second);
    issued.trail = trail_with_claim(Action::REPORT_ISSUE, claim(doctor, "a report", "told"));
    assert_eq!(store.issue_report(issued.clone()).await.unwrap(), Written::Now);
    assert_eq!(store.issue_report(issued).await.unwrap(), Written::Before(Receipt::json(&"told")));
    assert_eq!(charges_of(store, first.patient).await.len(), 1);
    let newest = Overview::diagnosis(store, first.id).await.unwrap().unwrap().report.unwrap();
    assert_eq!((newest.report.diagnosis_version, newest.status), (2, ReportStatus::Current));
    assert_eq!(listed(store, first.patient).await[0].report, Some(newest));

    let third = amended(store, second).await;
    let newest = Overview::diagnosis(store, first.id).await.unwrap().unwrap().report.unwrap();
    assert_eq!((newest.report.diagnosis_version, newest.status), (2, ReportStatus::Superseded));
    assert_eq!(third.version, 3);
}

pub async fn a_diagnosis_is_shown_with_all_that_was_written_beside_it(store: &impl Hospital) {
    let (ada, dara) = (doctor(store, "Ada Lovelace").await, doctor(store, "دارا").await);
    let mut recorded = study_of(store, fresh_id(), ada, 3).await;
    recorded.record.diagnosis.confirmed = Some(signed(dara, 5));
    let record = recorded.record.clone();
    store.record_study(recorded).await.unwrap();
    let issued = report_of(&record.diagnosis);
    store.issue_report(issued.clone()).await.unwrap();

    let detail = Overview::diagnosis(store, record.diagnosis.id).await.unwrap().unwrap();
    assert_eq!((&detail.diagnosis, &detail.images), (&record.diagnosis, &record.images));
    assert_eq!(detail.study, Some(record.study.clone()));
    assert_eq!(detail.patient, register(store, record.study.patient).await);
    assert_eq!(detail.author.as_str(), "Ada Lovelace");
    assert_eq!(detail.confirmed_by.as_ref().map(PersonName::as_str), Some("دارا"));
    assert_eq!(detail.tasks, ["The task CT", "The task XR"]);
    assert_eq!(detail.report.as_ref().map(|view| &view.report), Some(&issued.report));
    let expected = ListedDiagnosis {
        diagnosis: detail.diagnosis,
        patient: detail.patient.name,
        author: detail.author,
        modality: Some(record.study.modality),
        images: detail.images.iter().map(ListedImage::from).collect(),
        report: detail.report,
    };
    assert_eq!(listed(store, record.study.patient).await, [expected]);
    assert_eq!(Overview::diagnosis(store, fresh_id()).await.unwrap(), None);

    let plain = diagnosis(store).await;
    let detail = Overview::diagnosis(store, plain.id).await.unwrap().unwrap();
    assert_eq!((detail.study, detail.images, detail.tasks, detail.report), (None, vec![], vec![], None));

    let names = store.names(&[ada, dara, fresh_id()]).await.unwrap();
    assert_eq!(names.len(), 2);
    assert_eq!(names[&dara].as_str(), "دارا");
    assert_eq!(store.names(&[]).await.unwrap(), HashMap::new());
}

pub async fn pages_of_diagnoses_are_stable_and_each_has_its_own_images(store: &impl Hospital) {
    let patient = fresh_id();
    let doctor = doctor(store, "Ada").await;
    let mut written: HashMap<_, StudyId> = HashMap::new();
    for images in 1..=7 {
        let recorded = study_of(store, patient, doctor, images).await;
        written.insert(recorded.record.diagnosis.id, recorded.record.study.id);
        store.record_study(recorded).await.unwrap();
    }
    let filter = DiagnosisFilter { patient: Some(patient), ..DiagnosisFilter::default() };
    let mut request = PageRequest { limit: Limit::new(3).unwrap(), after: None };
    let mut seen = Vec::new();
    loop {
        let page = store.diagnoses(&filter, &request).await.unwrap();
        for listed in &page.items {
            let study = store.find_study(listed.diagnosis.study.unwrap()).await.unwrap().unwrap();
            assert_eq!(listed.images, study.images.iter().map(ListedImage::from).collect::<Vec<_>>());
            let positions: Vec<u16> = listed.images.iter().map(|image| image.position).collect();
            assert_eq!(positions, (0..positions.len() as u16).collect::<Vec<_>>());
            seen.push((listed.diagnosis.id, listed.images.len()));
        }
        // What is recorded meanwhile is newer, and is not in the pages that follow.
        store.record_study(study_of(store, patient, doctor, 1).await).await.unwrap();
        let Some(next) = page.next else { break };
        request.after = Some(next);
    }
    assert_eq!(seen.iter().map(|(_, images)| *images).collect::<Vec<_>>(), [7, 6, 5, 4, 3, 2, 1]);
    assert!(seen.iter().all(|(id, _)| written.contains_key(id)));
}

pub async fn counts_are_of_the_patient_and_of_the_statuses(store: &impl Hospital) {
    let (patient, doctor) = (fresh_id(), fresh_id());
    let shown = [DiagnosisStatus::Confirmed, DiagnosisStatus::Amended];
    assert_eq!(store.counts(patient, &shown).await.unwrap(), None, "there is no such patient");
    register(store, patient).await;
    assert_eq!(store.counts(patient, &shown).await.unwrap(), Some(PatientCounts::default()));

    let confirmed = study_of(store, patient, doctor, 2).await;
    store.record_study(confirmed.clone()).await.unwrap();
    let mut draft = study_of(store, patient, doctor, 3).await;
    draft.record.diagnosis.status = DiagnosisStatus::Draft;
    store.record_study(draft).await.unwrap();
    store.record_study(study_of(store, fresh_id(), doctor, 5).await).await.unwrap();
    store.issue_report(report_of(&confirmed.record.diagnosis)).await.unwrap();
    let void = Void { at: ManualClock::default().now(), by: doctor, reason: "twice".to_owned().try_into().unwrap() };
    let voided = VoidedCharge { charge: confirmed.record.charges[0].id, void, trail: trail(Action::CHARGE_VOID) };
    store.void_charge(voided).await.unwrap();

    let counts = async |statuses: &[DiagnosisStatus]| store.counts(patient, statuses).await.unwrap().unwrap();
    let of_confirmed = PatientCounts { diagnoses: 1, images: 2, reports: 1, transactions: 4 };
    assert_eq!(counts(&shown).await, of_confirmed);
    assert_eq!(counts(&DiagnosisStatus::ALL).await, PatientCounts { diagnoses: 2, images: 5, ..of_confirmed });
    assert_eq!(counts(&[]).await, PatientCounts { transactions: 4, ..PatientCounts::default() });
}
