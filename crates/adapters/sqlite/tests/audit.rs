//! What the laws of the log cannot show: a file that another hand has written in.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use infirmary_audit::{AuditLog, Flaw, Head, verify_log};
use infirmary_kernel::{
    Action, Event, Journal, Role, StoreError, Subject, Timestamp,
    testing::{caller, fresh_id},
};
use infirmary_sqlite::SqliteStore;
use rusqlite::Connection;

/// Ten reads of patients' records; then `damage` is done to the file. The first entry found bad, if any.
async fn found_after(damage: &str) -> Result<Option<(u64, Flaw)>, StoreError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("infirmary.db");
    let exported = filled(&SqliteStore::open(&path, 1).unwrap()).await;
    Connection::open(&path).unwrap().execute_batch(damage).unwrap();
    // Opened anew, as after the night in which it happened.
    let store = SqliteStore::open(&path, 1).unwrap();
    let verification = verify_log(&store, Some(exported), |_| {}).await?;
    Ok(verification.fault.map(|fault| (fault.place.sequence(), fault.flaw)))
}

async fn filled(store: &SqliteStore) -> Head {
    let doctor = caller(Role::Doctor);
    for ms in 0..10 {
        let at = Timestamp::from_unix_ms(1_772_355_600_000 + ms);
        let event = Event::by(fresh_id(), at, &doctor, Action::PATIENT_READ, Subject::patient(fresh_id()));
        store.append(event).await.unwrap();
    }
    store.heads().await.unwrap().exported()
}

#[tokio::test]
async fn a_log_that_nobody_touched_holds() {
    assert_eq!(found_after("").await.unwrap(), None);
}

#[tokio::test]
async fn whatever_is_done_to_the_file_the_first_bad_entry_is_named() {
    let cases = [
        ("UPDATE audit SET patient = x'00000000000000000000000000000000' WHERE sequence = 4", 4, "patient"),
        ("UPDATE audit SET account = NULL WHERE sequence = 4", 4, "account"),
        ("UPDATE audit SET at = at + 1 WHERE sequence = 4", 4, "at"),
        ("UPDATE audit SET action = 'audit.read' WHERE sequence = 4", 4, "action"),
    ];
    for (damage, sequence, column) in cases {
        assert_eq!(found_after(damage).await.unwrap(), Some((sequence, Flaw::WrongColumn { column })), "{damage}");
    }
    let form = "CAST(replace(CAST(form AS TEXT), '\"doctor\"', '\"admin\"') AS BLOB)";
    let cases = [
        (format!("UPDATE audit SET form = {form} WHERE sequence = 4"), 4, Flaw::WrongHash),
        ("UPDATE audit SET hash = zeroblob(32) WHERE sequence = 4".into(), 4, Flaw::WrongHash),
        ("DELETE FROM audit WHERE sequence = 4".into(), 4, Flaw::Missing { found: 5 }),
        ("DELETE FROM audit WHERE sequence = 1".into(), 1, Flaw::Missing { found: 2 }),
        ("DELETE FROM audit WHERE sequence > 7".into(), 8, Flaw::CutOff),
        ("DELETE FROM audit".into(), 1, Flaw::CutOff),
    ];
    for (damage, sequence, flaw) in cases {
        assert_eq!(found_after(&damage).await.unwrap(), Some((sequence, flaw)), "{damage}");
    }
}

#[tokio::test]
async fn a_column_that_cannot_be_read_is_damage_and_not_an_empty_log() {
    let unreadable = found_after("UPDATE audit SET hash = x'00' WHERE sequence = 4").await;
    assert!(matches!(unreadable, Err(StoreError::Corrupt { .. })), "{unreadable:?}");
}
