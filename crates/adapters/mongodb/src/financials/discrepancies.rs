//! The laws of the books, each held against what is stored by a query on the server, which gives the records where it does
//! not hold. What belongs together is of one patient, and is put together by what it has to agree in, without look-ups. So
//! the house is gone through by its patients, a part of them at a time, each in a short transaction that reads of one moment.

use std::{collections::HashSet, time::Duration};

use async_trait::async_trait;
use infirmary_financials::{BookLaw, ChargeStatus, Discrepancy};
use infirmary_kernel::{Currency, StoreError};
use mongodb::bson::{Bson, Document, doc};

use crate::{
    MongoStore,
    documents::{Fields, number},
    parts::{Part, Parts},
    schema::{CHARGES, Collection, PATIENTS, PAYMENTS, REFUNDS},
    transaction::{Done, PART_TIMEOUT, Transaction, Work, unopposed},
};

/// At most `most` of them.
pub(super) async fn find(store: &MongoStore, currency: Currency, most: usize) -> Result<Vec<Discrepancy>, StoreError> {
    let mut found = Vec::new();
    // Also of patients who are not in the registry: the first and the last part have no end.
    let mut parts = Parts::by(&PATIENTS);
    while found.len() < most
        && let Some(part) = parts.next(store).await?
    {
        let books = Books { part, currency, most: most - found.len() };
        found.extend(store.transact(None, &books).await.map_err(unopposed)?);
    }
    Ok(found)
}

/// What is wrong in the books of some patients.
struct Books {
    part: Part,
    currency: Currency,
    most: usize,
}

#[async_trait]
impl Work for Books {
    type Answer = Vec<Discrepancy>;

    fn timeout(&self) -> Duration {
        PART_TIMEOUT
    }

    async fn run<'a>(&self, transaction: &mut Transaction<'a>) -> Done<'a, Vec<Discrepancy>> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        for (law, collection, mut pipeline) in self.laws() {
            if found.len() >= self.most {
                break;
            }
            pipeline.push(doc! { "$limit": self.most as i64 });
            for record in transaction.aggregate_by(collection, "patient", pipeline).await? {
                let Some(record) = record.optional_uuid("_id")? else { continue };
                if seen.insert((law, record)) {
                    found.push(Discrepancy { law, record });
                }
            }
        }
        found.truncate(self.most);
        Ok((found, None))
    }
}

impl Books {
    /// `_id` of what comes of a pipeline is the record.
    fn laws(&self) -> Vec<(BookLaw, &'static Collection, Vec<Document>)> {
        vec![
            (BookLaw::ChargeWithinBounds, &CHARGES, self.charges_that_do_not_hold()),
            (BookLaw::PaymentAllocated, &PAYMENTS, self.not_the_sum_of_its_parts()),
            (BookLaw::PaymentAllocated, &CHARGES, self.parts_of_payments_on_no_such_charge()),
            (BookLaw::RefundAllocated, &REFUNDS, self.not_the_sum_of_its_parts()),
            (BookLaw::RefundAllocated, &PAYMENTS, self.parts_of_refunds_of_no_such_payment()),
            (BookLaw::RefundAllocated, &PAYMENTS, self.payments_that_do_not_tell_their_refunds()),
            (BookLaw::BalanceOfPatient, &CHARGES, self.patients_out_of_balance()),
            (BookLaw::OneCurrency, &CHARGES, self.in_another_currency()),
            (BookLaw::OneCurrency, &PAYMENTS, self.in_another_currency()),
        ]
    }

    fn ours(&self) -> Document {
        doc! { "$match": self.part.of("patient", Document::new()) }
    }

    fn ours_in_currency(&self) -> Document {
        doc! { "$match": self.part.of("patient", doc! { "currency": self.currency.as_str() }) }
    }

    fn in_another_currency(&self) -> Vec<Document> {
        let other = doc! { "$ne": self.currency.as_str() };
        vec![doc! { "$match": self.part.of("patient", doc! { "currency": other }) }, doc! { "$project": { "_id": 1 } }]
    }

    /// What is paid on a charge is within its bounds, and what its document says of that is so.
    fn charges_that_do_not_hold(&self) -> Vec<Document> {
        let [open, paid, void] = ChargeStatus::ALL.map(ChargeStatus::as_str);
        let status = doc! { "$cond": [{ "$gt": ["$outstanding", number(0)] }, open, paid] };
        let status = doc! { "$cond": [{ "$gt": ["$voided_at", Bson::Null] }, void, status] };
        let on_charges = |sum: &str| {
            let part = doc! { "_id": "$allocations.charge", sum: "$allocations.amount" };
            vec![self.ours(), doc! { "$unwind": "$allocations" }, doc! { "$project": part }]
        };
        let net = doc! { "$subtract": ["$paid", "$refunded"] };
        vec![
            self.ours(),
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
    fn not_the_sum_of_its_parts(&self) -> Vec<Document> {
        let amounts = doc! { "$map": { "input": "$allocations", "as": "part", "in": "$$part.amount" } };
        let positive =
            doc! { "$map": { "input": "$allocations", "as": "part", "in": { "$gt": ["$$part.amount", number(0)] } } };
        vec![
            self.ours(),
            unless(vec![doc! { "$eq": ["$amount", { "$sum": amounts }] }, doc! { "$allElementsTrue": [positive] }]),
            doc! { "$project": { "_id": 1 } },
        ]
    }

    /// Allocations of payments that are not of a charge of the patient, in its currency and with its task.
    fn parts_of_payments_on_no_such_charge(&self) -> Vec<Document> {
        let part = doc! {
            "charge": "$allocations.charge",
            "patient": "$patient",
            "currency": "$currency",
            "task": "$allocations.task",
        };
        let charge = doc! { "charge": "$_id", "patient": "$patient", "currency": "$currency", "task": "$task" };
        let parts = doc! { "$project": { "_id": part, "payment": "$_id" } };
        vec![
            self.ours(),
            doc! { "$project": { "_id": charge, "known": one() } },
            union(&PAYMENTS, vec![self.ours(), doc! { "$unwind": "$allocations" }, parts]),
            doc! { "$group": { "_id": "$_id", "known": { "$sum": "$known" }, "payment": { "$min": "$payment" } } },
            doc! { "$match": { "known": 0 } },
            doc! { "$group": { "_id": "$payment" } },
        ]
    }

    /// Allocations of refunds that are more than what the payment has on the charge: nothing, when it is another's.
    fn parts_of_refunds_of_no_such_payment(&self) -> Vec<Document> {
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
            vec![self.ours(), doc! { "$unwind": "$allocations" }, doc! { "$project": part }]
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
    fn payments_that_do_not_tell_their_refunds(&self) -> Vec<Document> {
        vec![
            self.ours(),
            doc! { "$project": { "known": one(), "told": "$refunded" } },
            union(&REFUNDS, vec![self.ours(), doc! { "$project": { "_id": "$payment", "refunded": "$amount" } }]),
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
    fn patients_out_of_balance(&self) -> Vec<Document> {
        let of_patient = |over: Bson| doc! { "$project": { "_id": "$patient", "over": over } };
        let net_paid = doc! { "$cond": [is_void(), number(0), { "$subtract": ["$paid", "$refunded"] }] };
        let paid = doc! { "$subtract": [number(0), "$amount"] };
        vec![
            self.ours_in_currency(),
            of_patient(net_paid.into()),
            union(&PAYMENTS, vec![self.ours_in_currency(), of_patient(paid.into())]),
            union(&REFUNDS, vec![self.ours_in_currency(), of_patient("$amount".into())]),
            doc! { "$group": { "_id": "$_id", "over": { "$sum": "$over" } } },
            doc! { "$match": { "over": { "$ne": 0 } } },
        ]
    }
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
