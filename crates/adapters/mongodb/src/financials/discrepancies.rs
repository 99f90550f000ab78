//! The laws of the books, each held against what is stored by one walk on the server, which gives the records where it does
//! not hold. Records that lie on each other are put together by what they have to agree in: no look-ups.

use std::collections::HashSet;

use infirmary_financials::{BookLaw, ChargeStatus, Discrepancy};
use infirmary_kernel::{Currency, StoreError};
use mongodb::bson::{Bson, Document, doc};

use crate::{
    MongoStore,
    documents::{Fields, number},
    schema::{CHARGES, Collection, PAYMENTS, REFUNDS},
};

/// At most `most` of them.
pub(super) async fn find(store: &MongoStore, currency: Currency, most: usize) -> Result<Vec<Discrepancy>, StoreError> {
    let mut snapshot = store.snapshot().await?;
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    for (law, collection, mut pipeline) in laws(currency) {
        if found.len() >= most {
            break;
        }
        pipeline.push(doc! { "$limit": most as i64 });
        for record in snapshot.walk(collection, "every record is verified", pipeline).await? {
            let Some(record) = record.optional_uuid("_id")? else { continue };
            if seen.insert((law, record)) {
                found.push(Discrepancy { law, record });
            }
        }
    }
    found.truncate(most);
    Ok(found)
}

/// `_id` of what comes of a pipeline is the record.
fn laws(currency: Currency) -> Vec<(BookLaw, &'static Collection, Vec<Document>)> {
    let other =
        || vec![doc! { "$match": { "currency": { "$ne": currency.as_str() } } }, doc! { "$project": { "_id": 1 } }];
    vec![
        (BookLaw::ChargeWithinBounds, &CHARGES, charges_that_do_not_hold()),
        (BookLaw::PaymentAllocated, &PAYMENTS, not_the_sum_of_its_parts()),
        (BookLaw::PaymentAllocated, &CHARGES, parts_of_payments_on_no_such_charge()),
        (BookLaw::RefundAllocated, &REFUNDS, not_the_sum_of_its_parts()),
        (BookLaw::RefundAllocated, &PAYMENTS, parts_of_refunds_of_no_such_payment()),
        (BookLaw::RefundAllocated, &PAYMENTS, payments_that_do_not_tell_their_refunds()),
        (BookLaw::BalanceOfPatient, &CHARGES, patients_out_of_balance(currency)),
        (BookLaw::OneCurrency, &CHARGES, other()),
        (BookLaw::OneCurrency, &PAYMENTS, other()),
    ]
}

fn union(with: &Collection, pipeline: Vec<Document>) -> Document {
    doc! { "$unionWith": { "coll": with.name, "pipeline": pipeline } }
}

fn unless(holds: Vec<Document>) -> Document {
    doc! { "$match": { "$expr": { "$not": [{ "$and": holds }] } } }
}

fn one() -> Document {
    doc! { "$literal": number(1) }
}

fn is_void() -> Document {
    doc! { "$eq": ["$status", ChargeStatus::Void.as_str()] }
}

/// What can be paid on a charge.
fn payable() -> Document {
    doc! { "$cond": [is_void(), number(0), "$amount"] }
}

/// What is paid on a charge is within its bounds, and what its document says of that is so.
fn charges_that_do_not_hold() -> Vec<Document> {
    let of_charges = |status: ChargeStatus| status.as_str();
    let unpaid = doc! { "$cond": [{ "$gt": ["$outstanding", number(0)] }, of_charges(ChargeStatus::Open), of_charges(ChargeStatus::Paid)] };
    let status = doc! { "$cond": [{ "$gt": ["$voided_at", Bson::Null] }, of_charges(ChargeStatus::Void), unpaid] };
    let on_charges = |sum: &str| {
        let part = doc! { "_id": "$allocations.charge", sum: "$allocations.amount" };
        vec![doc! { "$unwind": "$allocations" }, doc! { "$project": part }]
    };
    let net = doc! { "$subtract": ["$paid", "$refunded"] };
    vec![
        doc! { "$project": {
            "known": one(),
            "payable": payable(),
            "told_paid": "$paid",
            "told_refunded": "$refunded",
            "outstanding": "$outstanding",
            "misnamed": { "$cond": [{ "$eq": ["$status", status] }, number(0), number(1)] },
        } },
        union(&PAYMENTS, on_charges("paid")),
        union(&REFUNDS, on_charges("refunded")),
        doc! { "$group": {
            "_id": "$_id",
            "known": { "$sum": "$known" },
            "payable": { "$sum": "$payable" },
            "paid": { "$sum": "$paid" },
            "refunded": { "$sum": "$refunded" },
            "told_paid": { "$sum": "$told_paid" },
            "told_refunded": { "$sum": "$told_refunded" },
            "outstanding": { "$sum": "$outstanding" },
            "misnamed": { "$sum": "$misnamed" },
        } },
        doc! { "$match": { "known": 1 } },
        unless(vec![
            doc! { "$gte": [net.clone(), number(0)] },
            doc! { "$lte": [net.clone(), "$payable"] },
            doc! { "$eq": ["$paid", "$told_paid"] },
            doc! { "$eq": ["$refunded", "$told_refunded"] },
            doc! { "$eq": ["$outstanding", { "$subtract": ["$payable", net] }] },
            doc! { "$eq": ["$misnamed", number(0)] },
        ]),
    ]
}

/// Payments, or refunds, that are not what their allocations sum up to, or have one that is not positive.
fn not_the_sum_of_its_parts() -> Vec<Document> {
    let amounts = doc! { "$map": { "input": "$allocations", "as": "part", "in": "$$part.amount" } };
    let positive =
        doc! { "$map": { "input": "$allocations", "as": "part", "in": { "$gt": ["$$part.amount", number(0)] } } };
    vec![
        unless(vec![doc! { "$eq": ["$amount", { "$sum": amounts }] }, doc! { "$allElementsTrue": [positive] }]),
        doc! { "$project": { "_id": 1 } },
    ]
}

/// Allocations of payments that are not of a charge of the patient, in its currency and with its task.
fn parts_of_payments_on_no_such_charge() -> Vec<Document> {
    let part = doc! {
        "charge": "$allocations.charge",
        "patient": "$patient",
        "currency": "$currency",
        "task": "$allocations.task",
    };
    let charge = doc! { "charge": "$_id", "patient": "$patient", "currency": "$currency", "task": "$task" };
    vec![
        doc! { "$project": { "_id": charge, "known": one() } },
        union(
            &PAYMENTS,
            vec![doc! { "$unwind": "$allocations" }, doc! { "$project": { "_id": part, "payment": "$_id" } }],
        ),
        doc! { "$group": { "_id": "$_id", "known": { "$sum": "$known" }, "payment": { "$min": "$payment" } } },
        doc! { "$match": { "known": 0 } },
        doc! { "$group": { "_id": "$payment" } },
    ]
}

/// Allocations of refunds that are more than what the payment has on the charge: nothing, when it is another's.
fn parts_of_refunds_of_no_such_payment() -> Vec<Document> {
    let parts = |payment: &str, others: Document| {
        let mut part = doc! { "_id": {
            "payment": payment,
            "patient": "$patient",
            "currency": "$currency",
            "method": "$method",
            "charge": "$allocations.charge",
            "task": "$allocations.task",
        } };
        part.extend(others);
        vec![doc! { "$unwind": "$allocations" }, doc! { "$project": part }]
    };
    let mut pipeline = parts("$_id", doc! { "left": "$allocations.amount" });
    let taken = doc! { "left": { "$subtract": [number(0), "$allocations.amount"] }, "refund": "$_id" };
    pipeline.extend([
        union(&REFUNDS, parts("$payment", taken)),
        doc! { "$group": { "_id": "$_id", "left": { "$sum": "$left" }, "refunds": { "$addToSet": "$refund" } } },
        doc! { "$match": { "left": { "$lt": 0 } } },
        doc! { "$unwind": "$refunds" },
        doc! { "$group": { "_id": "$refunds" } },
    ]);
    pipeline
}

/// Payments whose documents say that something else was given back of them than their refunds do.
fn payments_that_do_not_tell_their_refunds() -> Vec<Document> {
    vec![
        doc! { "$project": { "known": one(), "told": "$refunded" } },
        union(&REFUNDS, vec![doc! { "$project": { "_id": "$payment", "refunded": "$amount" } }]),
        doc! { "$group": {
            "_id": "$_id",
            "known": { "$sum": "$known" },
            "told": { "$sum": "$told" },
            "refunded": { "$sum": "$refunded" },
        } },
        doc! { "$match": { "known": 1 } },
        unless(vec![doc! { "$eq": ["$told", "$refunded"] }]),
    ]
}

/// Charges − voids − payments + refunds is what is outstanding on the charges.
fn patients_out_of_balance(currency: Currency) -> Vec<Document> {
    let ours = doc! { "$match": { "currency": currency.as_str() } };
    let of_patient = |over: Bson| doc! { "$project": { "_id": "$patient", "over": over } };
    let net_paid = doc! { "$cond": [is_void(), number(0), { "$subtract": ["$paid", "$refunded"] }] };
    let paid = doc! { "$subtract": [number(0), "$amount"] };
    vec![
        ours.clone(),
        of_patient(net_paid.into()),
        union(&PAYMENTS, vec![ours.clone(), of_patient(paid.into())]),
        union(&REFUNDS, vec![ours, of_patient("$amount".into())]),
        doc! { "$group": { "_id": "$_id", "over": { "$sum": "$over" } } },
        doc! { "$match": { "over": { "$ne": 0 } } },
    ]
}
