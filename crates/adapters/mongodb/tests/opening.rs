//! What is opened, and what is refused.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::{collections::BTreeMap, sync::Arc};

use infirmary_kernel::{Readiness, testing::CountingEntropy};
use infirmary_mongodb::{Address, MongoStore, OpenError, SCHEMA_VERSION, testing};
use mongodb::bson::{Document, doc};

async fn open(address: &str) -> Result<MongoStore, OpenError> {
    MongoStore::open(&Address::parse(address)?, Arc::new(CountingEntropy::default())).await
}

async fn refusal(address: &str) -> String {
    match open(address).await {
        Ok(_) => panic!("{address} was opened"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_server_without_transactions_is_refused_with_what_to_do() {
    let Some(server) = testing::standalone() else { return };
    let refused = refusal(&server.address).await;
    assert!(refused.contains("--replSet") && refused.contains("rs.initiate()"), "{refused}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_within_seconds() {
    let refused = refusal("mongodb://ada:secret@127.0.0.1:9/house?serverSelectionTimeoutMS=300").await;
    assert!(refused.contains("cannot be reached") && !refused.contains("secret"), "{refused}");
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let Some((_store, database)) = testing::store().await else { return };
    let house = database.client().await.collection::<Document>("house");
    let newer = i64::from(SCHEMA_VERSION) + 1;
    house.update_one(doc! { "_id": "house" }, doc! { "$set": { "schema": newer } }).await.unwrap();
    assert!(matches!(open(&database.address).await, Err(OpenError::Newer { .. })));
}

#[tokio::test]
async fn a_database_in_which_no_house_was_begun_is_not_opened_to_be_read() {
    let Some(database) = testing::database() else { return };
    let (address, entropy) = (Address::parse(&database.address).unwrap(), Arc::new(CountingEntropy::default()));
    let absent = MongoStore::open_to_read(&address, entropy.clone()).await;
    assert!(matches!(absent, Err(OpenError::Absent { .. })));
    database.open().await;
    MongoStore::open_to_read(&address, entropy).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_may_open_a_new_database_at_once() {
    let Some(database) = testing::database() else { return };
    let stores = futures_util::future::join_all((0..8).map(|_| database.open())).await;
    for store in stores {
        store.check().await.unwrap();
    }
}

#[tokio::test]
async fn what_expires_has_a_ttl_index_of_its_time() {
    let Some((_store, database)) = testing::store().await else { return };
    let mut found = BTreeMap::new();
    let client = database.client().await;
    for collection in client.list_collection_names().await.unwrap() {
        let mut indexes = client.collection::<Document>(&collection).list_indexes().await.unwrap();
        while indexes.advance().await.unwrap() {
            let index = indexes.deserialize_current().unwrap();
            if let Some(after) = index.options.and_then(|options| options.expire_after) {
                let field = index.keys.keys().next().unwrap().clone();
                found.insert((collection.clone(), field), after.as_secs());
            }
        }
    }
    let expected = [
        (("attempt_counters", "forget_at"), 0),
        (("challenges", "expires_at"), 0),
        (("claims", "at"), 48 * 60 * 60),
        (("code_counters", "forget_at"), 0),
        (("invitations", "expires_at"), 0),
        (("sessions", "expires_at"), 0),
    ];
    let expected: BTreeMap<_, _> = expected
        .into_iter()
        .map(|((collection, field), after)| ((collection.to_owned(), field.to_owned()), after))
        .collect();
    assert_eq!(found, expected);
}
