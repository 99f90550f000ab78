//! What the laws of an inspection do not tell of: a store that is opened to be read, and its copy.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use infirmary_kernel::{Journal, testing::trail};
use infirmary_sqlite::{OpenError, SqliteStore};
use infirmary_workflows::{HouseCounts, Inspection, testing::inspection_laws::furnished};
use tempfile::TempDir;

async fn filled() -> (SqliteStore, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("infirmary.db"), 1).unwrap();
    furnished(&store).await;
    (store, folder)
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
    assert_eq!(HouseCounts { audit_entries: now.audit_entries, ..copied }, now);
}
