//! What the laws of the log cannot show: a file that another hand has written in.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::{cell::Cell, fs, path::Path};

use infirmary_audit::{AuditLog, ChainId, Flaw, Head, Place, Sealed, Verification, seal, verify_log};
use infirmary_kernel::{
    Action, Event, Journal, Role, Sha256Digest, StoreError, Subject, Timestamp,
    testing::{caller, fresh_id},
};
use infirmary_sqlite::SqliteStore;
use proptest::{
    prelude::*,
    sample,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};
use rusqlite::{Connection, params};
use uuid::Uuid;

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
    fill(store, 10).await
}

async fn fill(store: &SqliteStore, entries: usize) -> Head {
    let doctor = caller(Role::Doctor);
    for ms in 0..entries as i64 {
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
        ("UPDATE audit SET patient = x'00000000000000000000000000000000' WHERE number = 4", 4, "patient"),
        ("UPDATE audit SET account = NULL WHERE number = 4", 4, "account"),
        ("UPDATE audit SET at = at + 1 WHERE number = 4", 4, "at"),
        ("UPDATE audit SET action = 'audit.read' WHERE number = 4", 4, "action"),
    ];
    for (damage, sequence, column) in cases {
        assert_eq!(found_after(damage).await.unwrap(), Some((sequence, Flaw::WrongColumn { column })), "{damage}");
    }
    let form = "CAST(replace(CAST(form AS TEXT), '\"doctor\"', '\"admin\"') AS BLOB)";
    let cases = [
        (format!("UPDATE audit SET form = {form} WHERE number = 4"), 4, Flaw::WrongHash),
        ("UPDATE audit SET hash = zeroblob(32) WHERE number = 4".into(), 4, Flaw::WrongHash),
        ("DELETE FROM audit WHERE number = 4".into(), 4, Flaw::Missing { found: 5 }),
        ("DELETE FROM audit WHERE number = 1".into(), 1, Flaw::Missing { found: 2 }),
        ("DELETE FROM audit WHERE number > 7".into(), 8, Flaw::CutOff),
        ("DELETE FROM audit".into(), 1, Flaw::CutOff),
    ];
    for (damage, sequence, flaw) in cases {
        assert_eq!(found_after(&damage).await.unwrap(), Some((sequence, flaw)), "{damage}");
    }
}

#[tokio::test]
async fn a_column_that_cannot_be_read_is_damage_and_not_an_empty_log() {
    let unreadable = found_after("UPDATE audit SET hash = x'00' WHERE number = 4").await;
    assert!(
        matches!(&unreadable, Err(StoreError::Corrupt { reason }) if reason.contains("audit entry 4")),
        "{unreadable:?}"
    );
}

const ENTRIES: usize = 300;
/// Up to which entry the older file goes.
const ROLLED_BACK_TO: usize = 200;

/// What somebody does who can write the file, but not where the head is kept.
#[derive(Debug, Clone)]
enum Edit {
    /// A bit of an entry's form, in the bytes of the file itself.
    Flip {
        place: sample::Index,
        bit: u8,
    },
    FlipHash {
        byte: usize,
        bit: u8,
    },
    /// A column that entries are found by.
    Column(&'static str),
    /// What a column holds is not what it can hold.
    Unreadable(&'static str),
    Delete {
        entries: usize,
    },
    /// Another entry, made with care, and all that follow moved on.
    Insert,
    Swap {
        with: sample::Index,
    },
    Repeat,
    CutTail,
    RollBack,
    /// Changed, and all that follow sealed anew: it holds by itself.
    Rewrite,
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        3 => (any::<sample::Index>(), 0..8_u8).prop_map(|(place, bit)| Edit::Flip { place, bit }),
        2 => (0..32_usize, 0..8_u8).prop_map(|(byte, bit)| Edit::FlipHash { byte, bit }),
        2 => sample::select(vec!["at = at + 1", "account = NULL", "patient = randomblob(16)", "action = 'patient.find'"]).prop_map(Edit::Column),
        1 => sample::select(vec!["hash = x'00'", "account = x'00'", "patient = x''"]).prop_map(Edit::Unreadable),
        2 => (1..5_usize).prop_map(|entries| Edit::Delete { entries }),
        2 => Just(Edit::Insert),
        2 => any::<sample::Index>().prop_map(|with| Edit::Swap { with }),
        1 => Just(Edit::Repeat),
        2 => Just(Edit::CutTail),
        1 => Just(Edit::RollBack),
        2 => Just(Edit::Rewrite),
    ]
}

/// A house's file, an older copy of it, and the head that was exported last.
struct House {
    file: Vec<u8>,
    older: Vec<u8>,
    exported: Head,
}

impl House {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("infirmary.db");
        let store = SqliteStore::open(&path, 1).unwrap();
        fill(&store, ROLLED_BACK_TO).await;
        let older = whole(&path);
        let exported = fill(&store, ENTRIES - ROLLED_BACK_TO).await;
        Self { file: whole(&path), older, exported }
    }

    /// Does it to a copy, around the entry `sequence`. The number of the first entry that is not as it was.
    fn damage(&self, path: &Path, sequence: usize, edit: &Edit) -> usize {
        fs::write(path, &self.file).unwrap();
        let database = Connection::open(path).unwrap();
        // Whoever does this has time; the test has not.
        database.execute_batch("PRAGMA synchronous = OFF").unwrap();
        let run = |statement: &str| database.execute_batch(&statement.replace("THIS", &sequence.to_string())).unwrap();
        // Out of the way first: numbers are unique at each moment.
        let move_on = |from: usize, by: usize| {
            run(&format!(
                "UPDATE audit SET number = -number - {by} WHERE number >= {from}; UPDATE audit SET number = -number WHERE number < 0"
            ));
        };
        match edit {
            Edit::Flip { place, bit } => {
                let form: Vec<u8> = database
                    .query_row("SELECT form FROM audit WHERE number = ?", [sequence], |row| row.get(0))
                    .unwrap();
                let mut bytes = self.file.clone();
                // What moved to another page when the table grew is still there in the old one.
                let places = bytes.windows(form.len()).enumerate().filter(|(_, window)| *window == form);
                for at in places.map(|(at, _)| at).collect::<Vec<_>>() {
                    bytes[at + place.index(form.len())] ^= 1 << bit;
                }
                fs::write(path, bytes).unwrap();
                sequence
            }
            Edit::FlipHash { byte, bit } => {
                let mut hash: Vec<u8> = database
                    .query_row("SELECT hash FROM audit WHERE number = ?", [sequence], |row| row.get(0))
                    .unwrap();
                hash[*byte] ^= 1 << bit;
                database.execute("UPDATE audit SET hash = ? WHERE number = ?", params![hash, sequence]).unwrap();
                sequence
            }
            Edit::Column(change) | Edit::Unreadable(change) => {
                run(&format!("UPDATE audit SET {change} WHERE number = THIS"));
                sequence
            }
            Edit::Delete { entries } => {
                run(&format!("DELETE FROM audit WHERE number >= THIS AND number < THIS + {entries}"));
                sequence
            }
            Edit::Insert => {
                move_on(sequence, 1);
                let before = if sequence == 1 { Head::GENESIS } else { self.head(&database, sequence - 1) };
                let at = Timestamp::from_unix_ms(1_772_355_600_000);
                let event =
                    Event::by(fresh_id(), at, &caller(Role::Admin), Action::PATIENT_READ, Subject::patient(fresh_id()));
                insert(&database, &seal(ChainId::ONLY, &before, &event));
                // The new one is good in itself, unless it stands where the exported one stood: the one behind it names another
                // as the one before.
                if sequence == ENTRIES { sequence } else { sequence + 1 }
            }
            Edit::Swap { with } => {
                let with = (sequence + with.index(ENTRIES - 1)) % ENTRIES + 1;
                let (low, high) = (sequence.min(with), sequence.max(with));
                run(&format!(
                    "UPDATE audit SET number = -1 WHERE number = {low}; UPDATE audit SET number = {low} WHERE number = {high};
                     UPDATE audit SET number = {high} WHERE number = -1"
                ));
                low
            }
            Edit::Repeat => {
                move_on(sequence + 1, 1);
                run(
                    "INSERT INTO audit SELECT number + 1, at, account, patient, action, form, hash FROM audit WHERE number = THIS",
                );
                sequence + 1
            }
            Edit::CutTail => {
                run("DELETE FROM audit WHERE number >= THIS");
                sequence
            }
            Edit::RollBack => {
                fs::write(path, &self.older).unwrap();
                ROLLED_BACK_TO + 1
            }
            Edit::Rewrite => {
                run("DELETE FROM audit WHERE number >= THIS");
                let mut head = if sequence == 1 { Head::GENESIS } else { self.head(&database, sequence - 1) };
                for number in sequence..=ENTRIES {
                    let at = Timestamp::from_unix_ms(1_772_355_600_000 + number as i64);
                    let event = Event::by(
                        fresh_id(),
                        at,
                        &caller(Role::Admin),
                        Action::PATIENT_READ,
                        Subject::patient(fresh_id()),
                    );
                    let sealed = seal(ChainId::ONLY, &head, &event);
                    insert(&database, &sealed);
                    head = sealed.head();
                }
                // Only the head that was kept tells, and it tells of its own entry.
                ENTRIES
            }
        }
    }

    fn head(&self, database: &Connection, sequence: usize) -> Head {
        let hash = database.query_row("SELECT hash FROM audit WHERE number = ?", [sequence], |row| row.get(0)).unwrap();
        Head { sequence: sequence as u64, hash: Sha256Digest::from_bytes(hash) }
    }
}

fn insert(database: &Connection, sealed: &Sealed) {
    let blob = |id: Uuid| id.into_bytes();
    database
        .execute(
            "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)",
            params![
                sealed.sequence,
                sealed.at.unix_ms(),
                sealed.account.map(|id| blob(id.as_uuid())),
                sealed.patient.map(|id| blob(id.as_uuid())),
                sealed.action.as_str(),
                sealed.canonical,
                sealed.hash.as_bytes(),
            ],
        )
        .unwrap();
}

/// The file with what its log of writes holds.
fn whole(path: &Path) -> Vec<u8> {
    Connection::open(path).unwrap().query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(())).unwrap();
    fs::read(path).unwrap()
}

#[test]
fn two_hundred_edits_of_a_file_are_all_named() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let house = runtime.block_on(House::new());
    let folder = tempfile::tempdir().unwrap();
    // A file for each: a store that is closed writes in its own for a moment longer.
    let path = |number: usize| folder.path().join(format!("{number}.db"));
    let verify = |path: &Path| {
        runtime.block_on(async { verify_log(&SqliteStore::open(path, 1).unwrap(), Some(house.exported), |_| {}).await })
    };
    fs::write(path(0), &house.file).unwrap();
    assert_eq!(verify(&path(0)).unwrap(), Verification { head: house.exported, fault: None });
    let tried = Cell::new(0);

    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    // The same edits in every run; more than one way to a bad log is not found by chance.
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
        .run(&(1..=ENTRIES, edit()), |(sequence, edit)| {
            let path = path(tried.replace(tried.get() + 1) + 1);
            let first = house.damage(&path, sequence, &edit);
            let verified = verify(&path);
            fs::remove_file(path).unwrap();
            match verified {
                Ok(verification) => {
                    let fault = verification.fault.expect("it was not noticed");
                    prop_assert_eq!(fault.place, Place::entry(first as u64), "{}", fault);
                    prop_assert!(!matches!(edit, Edit::Unreadable(_)));
                }
                Err(StoreError::Corrupt { reason }) => {
                    prop_assert!(
                        matches!(edit, Edit::Unreadable(_)) && reason.contains(&format!("audit entry {first}:")),
                        "{}",
                        reason
                    );
                }
                Err(other) => panic!("{other}"),
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(tried.get(), 200);
}
