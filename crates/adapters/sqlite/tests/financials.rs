//! What the laws of the ledger cannot show: books that another hand has written in.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use infirmary_financials::{
    BookLaw, Discrepancy, LedgerQueries, NewPayment, NewRefund, PaymentMethod,
    testing::{Books, CURRENCY, idempotency, money, receipt, text},
};
use infirmary_kernel::{
    Action, Done, PatientId,
    testing::{fresh_id, trail},
};
use infirmary_patients::{PatientStore, RegisteredPatient, testing::patient};
use infirmary_sqlite::SqliteStore;
use rusqlite::Connection;
use uuid::Uuid;

async fn known(store: &SqliteStore) -> PatientId {
    let patient = patient("Ada", store.next_mrn().await.unwrap());
    let registered = RegisteredPatient { patient: patient.clone(), trail: trail(Action::PATIENT_REGISTER) };
    store.register(registered).await.unwrap();
    patient.id
}

/// A hundred charged, eighty paid, thirty given back; then `damage` is done to the file. What is found wrong.
async fn found_after(damage: &str) -> Vec<(BookLaw, &'static str)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("infirmary.db");
    let store = SqliteStore::open(&path, 1).unwrap();
    let owing = known(&store).await;
    let books = Books::over(&store, [owing, known(&store).await, fresh_id()]);
    let charge = books.charge(owing, 100).await.id;
    let new = NewPayment { patient: owing, amount: money(80), method: PaymentMethod::Cash, charges: None };
    let taken = books.taking().run(&books.accountant(), new, idempotency("pay", ""), |_| receipt("")).await.unwrap();
    let Done::Now { value: payment, .. } = taken else { panic!("it was not taken before") };
    let refund = NewRefund { amount: money(30), reason: text("paid twice") };
    let refunding = books.refunding();
    let given =
        refunding.run(&books.accountant(), payment.id, refund, idempotency("refund", ""), |_| receipt("")).await;
    let Done::Now { value: refund, .. } = given.unwrap() else { panic!("it was not given back before") };
    assert_eq!(store.discrepancies(CURRENCY, 10).await.unwrap(), []);

    let hand = Connection::open(&path).unwrap();
    hand.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;").unwrap();
    hand.execute_batch(damage).unwrap();
    let name = |record: Uuid| match record {
        _ if record == charge.as_uuid() => "charge",
        _ if record == payment.id.as_uuid() => "payment",
        _ if record == refund.id.as_uuid() => "refund",
        _ if record == owing.as_uuid() => "patient",
        _ => "other",
    };
    assert!(store.discrepancies(CURRENCY, 1).await.unwrap().len() <= 1);
    let found = store.discrepancies(CURRENCY, 10).await.unwrap();
    found.into_iter().map(|Discrepancy { law, record }| (law, name(record))).collect()
}

#[tokio::test]
async fn what_another_hand_has_written_is_found_and_named() {
    use BookLaw::{BalanceOfPatient, ChargeWithinBounds, OneCurrency, PaymentAllocated, RefundAllocated};
    assert_eq!(found_after("").await, []);
    assert_eq!(found_after("UPDATE charges SET amount = 49").await, [(ChargeWithinBounds, "charge")]);
    assert_eq!(
        found_after("UPDATE charges SET voided_at = 0, voided_by = id, void_reason = 'x'").await,
        [(ChargeWithinBounds, "charge"), (BalanceOfPatient, "patient")]
    );
    assert_eq!(
        found_after("UPDATE payments SET amount = 81").await,
        [(PaymentAllocated, "payment"), (BalanceOfPatient, "patient")]
    );
    assert_eq!(
        found_after("UPDATE payments SET patient = (SELECT max(id) FROM patients)").await[0],
        (PaymentAllocated, "payment")
    );
    assert_eq!(
        found_after("UPDATE refunds SET amount = 29").await,
        [(RefundAllocated, "refund"), (BalanceOfPatient, "patient")]
    );
    assert_eq!(found_after("UPDATE refunds SET currency = 'USD'").await[0], (RefundAllocated, "refund"));
    assert_eq!(
        found_after("UPDATE refund_allocations SET amount = 81; UPDATE refunds SET amount = 81").await,
        [(ChargeWithinBounds, "charge"), (RefundAllocated, "refund")]
    );
    assert_eq!(
        found_after(
            "UPDATE charges SET currency = 'USD'; UPDATE payments SET currency = 'USD'; UPDATE refunds SET currency = 'USD'"
        )
        .await,
        [(OneCurrency, "charge"), (OneCurrency, "payment")]
    );
}
