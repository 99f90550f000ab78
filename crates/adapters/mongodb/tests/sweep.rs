//! What is over is removed, and nothing else. What has a time at which it is over the server removes by itself (`opening.rs`).

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::time::Duration;

use infirmary_kernel::{
    Action, Clock, OutgoingMessage, Sweep, Swept, Timestamp,
    testing::{ManualClock, trail},
};
use infirmary_messaging::{
    Delivery, DeliveryReport, DeliveryStatus, FailureReason, Message, MessageLog, Outbox, ProviderId, Settlement,
    testing::{code, notice},
};
use infirmary_mongodb::{MongoStore, testing};
use infirmary_patients::{PatientStore, RegisteredPatient, testing::patient};
use mongodb::bson::{DateTime, Document, doc};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn start() -> Timestamp {
    ManualClock::default().now()
}

fn kept() -> Duration {
    DAY * u32::try_from(Message::KEPT_DAYS).unwrap()
}

async fn send(store: &MongoStore, messages: impl IntoIterator<Item = OutgoingMessage>) {
    let patient = patient("Ada", store.next_mrn().await.unwrap());
    let trail = trail(Action::PATIENT_REGISTER).telling(messages);
    store.register(RegisteredPatient { patient, trail }).await.unwrap();
}

#[tokio::test]
async fn a_message_that_is_settled_goes_after_its_days_and_one_that_is_not_stays() {
    let Some((store, _database)) = testing::store().await else { return };
    let (over, pending) = (code(start()), notice(start()));
    send(&store, [over.clone()]).await;
    send(&store, [OutgoingMessage { expires: start().plus(DAY * 365), ..pending.clone() }]).await;
    assert_eq!(store.expire(start().plus(HOUR)).await.unwrap(), 1);
    assert_eq!(store.sweep(start().plus(kept())).await.unwrap(), Swept::default());
    let swept = store.sweep(start().plus(kept() + HOUR)).await.unwrap();
    assert_eq!(swept, Swept::of([("messages", 1)]));
    assert_eq!(MessageLog::find(&store, over.id).await.unwrap(), None);
    assert!(MessageLog::find(&store, pending.id).await.unwrap().is_some());
}

#[tokio::test]
async fn however_much_is_over_all_of_it_goes() {
    let Some((store, database)) = testing::store().await else { return };
    let messages = database.client().await.collection::<Document>("messages");
    let at = DateTime::from_millis(start().unix_ms());
    let settled = |number: i64| {
        let state = if number % 2 == 0 { "sent" } else { "failed" };
        doc! { "_id": uuid(number), "state": state, "created_at": at }
    };
    messages.insert_many((0..900).map(settled)).await.unwrap();
    messages.insert_one(doc! { "_id": uuid(9_999), "state": "pending", "created_at": at }).await.unwrap();
    let later = start().plus(DAY * 365);
    assert_eq!(store.sweep(later).await.unwrap(), Swept::of([("messages", 900)]));
    assert_eq!(messages.count_documents(doc! {}).await.unwrap(), 1);
    assert_eq!(store.sweep(later).await.unwrap(), Swept::default());
}

fn uuid(number: i64) -> mongodb::bson::Uuid {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    mongodb::bson::Uuid::from_bytes(bytes)
}

#[tokio::test]
async fn a_code_is_not_in_its_document_any_more_when_the_message_is_settled() {
    let Some((store, database)) = testing::store().await else { return };
    let all = database.client().await.collection::<Document>("messages");
    let with_code = async || all.count_documents(doc! { "code": { "$exists": true } }).await.unwrap();
    let messages = [code(start()), code(start()), code(start()), code(start())];
    send(&store, messages.clone()).await;
    assert_eq!(with_code().await, 4);
    let taken = store.take(3, start()).await.unwrap();
    let settle = async |place: usize, settlement| store.settle(taken[place].key(), settlement, start()).await.unwrap();
    assert!(settle(0, Settlement::Sent(ProviderId::parse("wamid.0").unwrap())).await);
    assert!(settle(1, Settlement::Failed(FailureReason::Recipient.with(None))).await);
    let arrived = DeliveryReport {
        provider_id: ProviderId::parse("wamid.2").unwrap(),
        message: Some(taken[2].message.id),
        status: DeliveryStatus::Reached(Delivery::Sent),
        at: start(),
    };
    assert!(store.report(&arrived).await.unwrap());
    assert_eq!(with_code().await, 1);
    assert_eq!(store.expire(messages[3].expires).await.unwrap(), 1);
    assert_eq!(with_code().await, 0);
}
