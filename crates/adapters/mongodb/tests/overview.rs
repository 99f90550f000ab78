//! However many there are, what is read of records takes as many round trips.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::collections::BTreeMap;

use infirmary_diagnosis::{DiagnosisFilter, DiagnosisStatus, DiagnosisStore};
use infirmary_imaging::{ImageStore, Visible, testing::study_now};
use infirmary_kernel::{
    AccountId, Clock, PageRequest, PatientId,
    testing::{ManualClock, fresh_id},
};
use infirmary_mongodb::{MongoStore, testing};
use infirmary_reports::{ReportFilter, ReportStore, testing::report};
use infirmary_workflows::{
    Overview, ReportIssuer, StudyRecord, StudyRecorder,
    testing::{doctor, issued, recorded, register},
};

/// A study of a new patient by a new doctor, with images, diagnosis, charges and a report.
async fn treated(store: &MongoStore) -> (PatientId, AccountId, StudyRecord) {
    let (patient, author) = (fresh_id(), doctor(store, "Ada").await);
    register(store, patient).await;
    let mut found = study_now(patient, 3);
    found.study.author = author;
    let recorded = recorded(found.study, found.images, true);
    let record = recorded.record.clone();
    store.record_study(recorded).await.unwrap();
    let report = report(patient, record.diagnosis.id, 1, ManualClock::default().now());
    store.issue_report(issued(report)).await.unwrap();
    (patient, author, record)
}

fn aggregates(count: u64) -> BTreeMap<String, u64> {
    BTreeMap::from([("aggregate".to_owned(), count)])
}

#[tokio::test]
async fn a_list_takes_as_many_round_trips_whatever_its_length() {
    let Some((store, _database)) = testing::store().await else { return };
    let page = PageRequest::default();
    for length in [1, 8] {
        while ReportStore::list(&store, &ReportFilter::default(), &page).await.unwrap().items.len() < length {
            treated(&store).await;
        }
        for reader in [None, Some(fresh_id())] {
            let filter = DiagnosisFilter { reader, ..DiagnosisFilter::default() };
            let (listed, sent) = store.commands().of(Overview::diagnoses(&store, &filter, &page)).await;
            assert_eq!((listed.unwrap().items.len(), sent), (length, aggregates(6)));
            let (listed, sent) = store.commands().of(DiagnosisStore::list(&store, &filter, &page)).await;
            assert_eq!((listed.unwrap().items.len(), sent), (length, aggregates(1)));
            let filter = ReportFilter { reader, ..ReportFilter::default() };
            let (listed, sent) = store.commands().of(ReportStore::list(&store, &filter, &page)).await;
            assert_eq!((listed.unwrap().items.len(), sent), (length, aggregates(1)));
        }
    }
    let none = DiagnosisFilter { patient: Some(fresh_id()), ..DiagnosisFilter::default() };
    let (listed, sent) = store.commands().of(Overview::diagnoses(&store, &none, &page)).await;
    assert_eq!((listed.unwrap().items, sent), (vec![], aggregates(1)));
}

#[tokio::test]
async fn a_record_with_what_is_beside_it_is_one_round_trip() {
    let Some((store, _database)) = testing::store().await else { return };
    let (patient, author, record) = treated(&store).await;
    let commands = store.commands();
    let (found, sent) = commands.of(Overview::diagnosis(&store, record.diagnosis.id)).await;
    assert_eq!((found.unwrap().unwrap().images.len(), sent), (3, aggregates(1)));
    let (found, sent) = commands.of(store.counts(patient, &DiagnosisStatus::ALL)).await;
    let in_transaction = [("aggregate".to_owned(), 1), ("commitTransaction".to_owned(), 1)];
    assert_eq!((found.unwrap().unwrap().images, sent), (3, BTreeMap::from(in_transaction)));
    let (found, sent) = commands.of(store.names(&[author, fresh_id()])).await;
    assert_eq!((found.unwrap().len(), sent), (1, aggregates(1)));
    let (found, sent) = commands.of(store.find_study(record.study.id)).await;
    assert_eq!((found.unwrap().unwrap().images.len(), sent), (3, aggregates(1)));
    let (found, sent) = commands.of(store.find_image(record.images[0].id)).await;
    assert_eq!((found.unwrap().unwrap().study, sent), (record.study, aggregates(1)));
    let (found, sent) = commands.of(store.studies_of(patient, Visible::Released, &PageRequest::default())).await;
    assert_eq!((found.unwrap().items.len(), sent), (1, aggregates(2)));
}
