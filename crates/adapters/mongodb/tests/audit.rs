//! What the laws of the log cannot show: a database that another hand has written in.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use infirmary_audit::{AuditLog, Head, verify_log};
use infirmary_kernel::{
    Action, Event, Journal, Role, Subject, Timestamp,
    testing::{caller, fresh_id},
};
use infirmary_mongodb::{MongoStore, testing};
use mongodb::bson::{Binary, Document, doc, spec::BinarySubtype};

/// Ten reads of patients' records, closed; they are one chain, as nobody else writes.
async fn filled(store: &MongoStore) -> Head {
    let doctor = caller(Role::Doctor);
    for ms in 0..10 {
        let at = Timestamp::from_unix_ms(1_772_355_600_000 + ms);
        let event = Event::by(fresh_id(), at, &doctor, Action::PATIENT_READ, Subject::patient(fresh_id()));
        store.append(event).await.unwrap();
    }
    store.close(Timestamp::from_unix_ms(1_772_355_700_000)).await.unwrap()
}

#[tokio::test]
async fn whatever_is_done_to_the_database_the_first_bad_entry_is_named() {
    let zeros = |bytes| Binary { subtype: BinarySubtype::Generic, bytes: vec![0; bytes] };
    let fourth = |chain: i64| doc! { "_id": (chain << 48) | 4 };
    type Damage = Box<dyn Fn(i64) -> (Document, Option<Document>)>;
    let set = move |change: Document| -> Damage {
        Box::new(move |chain| (fourth(chain), Some(doc! { "$set": change.clone() })))
    };
    let patient = Binary { subtype: BinarySubtype::Uuid, bytes: vec![0; 16] };
    let cases: Vec<(Damage, &str)> = vec![
        (set(doc! { "patient": patient }), "entry 4 of chain N: the column patient"),
        (set(doc! { "action": "audit.read" }), "entry 4 of chain N: the column action"),
        (set(doc! { "hash": zeros(32) }), "entry 4 of chain N: its hash"),
        (set(doc! { "form": zeros(9) }), "entry 4 of chain N: its hash"),
        (Box::new(move |chain| (fourth(chain), None)), "entry 4 of chain N: is missing"),
        (
            Box::new(|chain| (doc! { "_id": { "$gt": (chain << 48) | 7 } }, None)),
            "entry 8 of chain N: was closed by root 1",
        ),
        (Box::new(|_| (doc! {}, None)), "entry 1 of chain N: was closed by root 1"),
    ];
    for (damage, expected) in cases {
        let Some((store, database)) = testing::store().await else { return };
        let exported = filled(&store).await;
        assert_eq!(verify_log(&store, Some(exported), |_| {}).await.unwrap().fault, None);
        let chain = store.heads().await.unwrap().chains[0].chain.get();
        let entries = database.client().await.collection::<Document>("audit");
        match damage(chain.into()) {
            (filter, Some(update)) => assert_eq!(entries.update_one(filter, update).await.unwrap().modified_count, 1),
            (filter, None) => assert!(entries.delete_many(filter).await.unwrap().deleted_count > 0),
        }
        let told = verify_log(&store, Some(exported), |_| {}).await.unwrap().fault.unwrap().to_string();
        assert!(told.contains(&expected.replace('N', &chain.to_string())), "{told}, not {expected}");
    }
}

#[tokio::test]
async fn a_root_that_is_gone_is_told_by_the_head_that_was_exported() {
    let Some((store, database)) = testing::store().await else { return };
    let exported = filled(&store).await;
    let roots = database.client().await.collection::<Document>("audit_roots");
    assert_eq!(roots.delete_many(doc! {}).await.unwrap().deleted_count, 1);
    let told = verify_log(&store, Some(exported), |_| {}).await.unwrap().fault.unwrap().to_string();
    assert_eq!(told, "audit root 1: was exported, and the log ends before it");
}

#[tokio::test]
async fn a_field_that_cannot_be_read_is_damage_and_not_an_empty_log() {
    let Some((store, database)) = testing::store().await else { return };
    filled(&store).await;
    let entries = database.client().await.collection::<Document>("audit");
    entries.update_many(doc! {}, doc! { "$set": { "hash": "text" } }).await.unwrap();
    let unreadable = verify_log(&store, None, |_| {}).await;
    assert!(matches!(unreadable, Err(infirmary_kernel::StoreError::Corrupt { .. })), "{unreadable:?}");
}
