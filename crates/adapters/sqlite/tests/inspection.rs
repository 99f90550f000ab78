//! The laws of the inspection of a store; what it finds wrong is tried on whole houses, by the command line.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

mod common;

use infirmary_imaging::testing::study_now;
use infirmary_kernel::{
    Journal,
    testing::{fresh_id, trail},
};
use infirmary_sqlite::{OpenError, SqliteStore};
use infirmary_workflows::{Inspection, ObjectOwner, ReportIssuer, StudyRecorder};
use tempfile::TempDir;

/// Two studies of three images each, and a report.
async fn filled() -> (SqliteStore, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("infirmary.db"), 1).unwrap();
    let patient = fresh_id();
    common::register(&store, patient).await;
    for _ in 0..2 {
        let found = study_now(patient, 3);
        let recorded = common::recorded(found.study, found.images, true);
        let diagnosis = recorded.record.diagnosis.clone();
        store.record_study(recorded).await.unwrap();
        if store.counts().await.unwrap().reports == 0 {
            let report = infirmary_reports::testing::report(patient, diagnosis.id, 1, diagnosis.recorded_at);
            store.issue_report(common::issued(report)).await.unwrap();
        }
    }
    (store, folder)
}

#[tokio::test]
async fn every_object_is_given_once_whatever_the_size_of_the_batch() {
    let (store, _folder) = filled().await;
    let all = store.objects(None, 100).await.unwrap();
    assert_eq!(all.len(), 7);
    assert!(all.is_sorted_by_key(|named| named.owner));
    for most in 1..=8 {
        let mut found = Vec::new();
        loop {
            let batch = store.objects(found.last().map(|last: &infirmary_workflows::NamedObject| last.owner), most);
            let batch = batch.await.unwrap();
            assert!(batch.len() <= most);
            if batch.is_empty() {
                break;
            }
            found.extend(batch);
        }
        assert_eq!(found, all, "{most} at once");
    }
}

#[tokio::test]
async fn an_owner_is_known_by_its_row_and_rows_are_counted() {
    let (store, _folder) = filled().await;
    let owners: Vec<_> = store.objects(None, 100).await.unwrap().into_iter().map(|named| named.owner).collect();
    let strangers = [ObjectOwner::Image(fresh_id()), ObjectOwner::Report(fresh_id())];
    let mut known = store.known(&[owners.as_slice(), &strangers].concat()).await.unwrap();
    known.sort_unstable();
    assert_eq!(known, owners);
    let counts = store.counts().await.unwrap();
    assert_eq!((counts.patients, counts.studies, counts.images, counts.diagnoses, counts.reports), (1, 2, 6, 2, 1));
    assert_eq!((counts.charges, counts.payments, counts.refunds, counts.objects()), (5, 0, 0, 7));
    let bytes: u64 = store.objects(None, 100).await.unwrap().iter().map(|named| named.object.bytes).sum();
    assert_eq!(counts.object_bytes, bytes);
}

#[tokio::test]
async fn what_is_opened_to_be_read_is_there_and_takes_no_write() {
    let (store, folder) = filled().await;
    let path = folder.path().join("infirmary.db");
    let event = trail(infirmary_kernel::Action::PATIENT_READ).event;
    let reading = SqliteStore::open_to_read(&path, 1).unwrap();
    assert_eq!(reading.counts().await.unwrap(), store.counts().await.unwrap());
    assert!(reading.append(event.clone()).await.is_err());
    // The one that writes goes on, and the other sees it.
    store.append(event).await.unwrap();
    assert_eq!(reading.counts().await.unwrap(), store.counts().await.unwrap());

    let absent = folder.path().join("absent.db");
    assert!(matches!(SqliteStore::open_to_read(&absent, 1), Err(OpenError::Absent { .. })));
    assert!(!absent.exists());
    let empty = folder.path().join("empty.db");
    std::fs::write(&empty, b"").unwrap();
    assert!(matches!(SqliteStore::open_to_read(&empty, 1), Err(OpenError::Older { found: 0, .. })));
}

#[tokio::test]
async fn a_snapshot_is_of_one_moment_while_others_write() {
    let (store, folder) = filled().await;
    let writing = {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..200 {
                store.append(trail(infirmary_kernel::Action::PATIENT_READ).event).await.unwrap();
            }
        })
    };
    let copy = folder.path().join("copy.db");
    store.snapshot_into(&copy).await.unwrap();
    writing.await.unwrap();
    let copy = SqliteStore::open_to_read(&copy, 1).unwrap();
    let verification = infirmary_audit::verify_log(&copy, None, |_| {}).await.unwrap();
    assert_eq!(verification.fault, None);
    let (copied, now) = (copy.counts().await.unwrap(), store.counts().await.unwrap());
    assert_eq!(copied.audit_entries, verification.head.sequence);
    assert_eq!(infirmary_workflows::HouseCounts { audit_entries: now.audit_entries, ..copied }, now);
}
