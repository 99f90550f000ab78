use async_trait::async_trait;
use infirmary_financials::{Entry, PaymentMethod, Place, Posting, StatementRows};
use infirmary_kernel::{Currency, PatientId, ShortText, StoreError, TaskCode};
use mongodb::bson::{Bson, Document, RawDocument, doc};

use super::{
    money,
    sums::{CHARGE, PAYMENT, REFUND, Sums, VOID},
};
use crate::{
    documents::{Fields, id, number, time, uuid},
    schema::{CHARGES, Collection, PAYMENTS, REFUNDS},
    transaction::{Done, Transaction, Work},
};

/// A statement that is asked for. It is read in a transaction, so that it is of one moment.
pub(super) struct Account {
    pub(super) patient: PatientId,
    pub(super) currency: Currency,
    pub(super) after: Option<Place>,
    pub(super) most: usize,
}

#[async_trait]
impl Work for Account {
    type Answer = StatementRows;

    async fn run<'a>(&self, transaction: &mut Transaction<'a>) -> Done<'a, StatementRows> {
        let (mut all, mut before) = (Sums::default(), Sums::default());
        let mut entries: Vec<Entry> = Vec::new();
        for (collection, postings) in postings() {
            for found in transaction.aggregate_by(collection, "patient", account(self, postings)).await? {
                for sum in found.documents("sums")? {
                    let column = sum.number("_id")?;
                    all.add(column, sum.number("all")?)?;
                    before.add(column, sum.number("before")?)?;
                }
                let read = found.documents("entries")?.into_iter().map(entry);
                entries.extend(read.collect::<Result<Vec<_>, _>>()?);
            }
        }
        entries.sort_by_key(Entry::place);
        entries.truncate(self.most);
        let (opening, totals) = (before.totals(self.currency)?.balance(), all.totals(self.currency)?);
        Ok((StatementRows { opening, entries, totals }, None))
    }
}

/// The collections of an account, with what a document of each has posted; what has no time was not.
fn postings() -> [(&'static Collection, Vec<Document>); 3] {
    let posting = |at: &str, rank: usize| doc! { "at": at, "rank": rank as i64 };
    [
        (&CHARGES, vec![posting("$charged_at", CHARGE), posting("$voided_at", VOID)]),
        (&PAYMENTS, vec![posting("$received_at", PAYMENT)]),
        (&REFUNDS, vec![posting("$refunded_at", REFUND)]),
    ]
}

/// What the postings of a patient sum up to, in all and up to the place, and the first of those after it.
fn account(asked: &Account, postings: Vec<Document>) -> Vec<Document> {
    let later = match asked.after {
        Some(Place { at, rank, id }) => {
            let place = vec![time(at), number(i64::from(rank)), uuid(id)];
            doc! { "$gt": [["$posting.at", "$posting.rank", "$_id"], place] }.into()
        }
        None => Bson::Boolean(true),
    };
    let before = doc! { "$sum": { "$cond": [later.clone(), number(0), "$amount"] } };
    let sums = doc! { "$group": { "_id": "$posting.rank", "all": { "$sum": "$amount" }, "before": before } };
    vec![
        doc! { "$match": { "patient": id(asked.patient), "currency": asked.currency.as_str() } },
        doc! { "$unset": "allocations" },
        doc! { "$set": { "posting": postings } },
        doc! { "$unwind": "$posting" },
        doc! { "$match": { "posting.at": { "$ne": null } } },
        doc! { "$facet": {
            "sums": [sums],
            "entries": [
                { "$match": { "$expr": later } },
                { "$sort": { "posting.at": 1, "posting.rank": 1, "_id": 1 } },
                { "$limit": asked.most as i64 },
            ],
        } },
    ]
}

fn entry(found: &RawDocument) -> Result<Entry, StoreError> {
    let posting = found.document("posting")?;
    let task = || found.optional_parsed("task", TaskCode::parse);
    let description = || found.parsed("description", ShortText::parse);
    let method = || found.parsed("method", PaymentMethod::parse);
    let kind = match posting.number("rank")? {
        PAYMENT => Posting::Payment { payment: found.id("_id")?, method: method()? },
        REFUND => Posting::Refund {
            refund: found.id("_id")?,
            payment: found.id("payment")?,
            method: method()?,
            reason: found.parsed("reason", ShortText::parse)?,
        },
        VOID => Posting::Void {
            charge: found.id("_id")?,
            task: task()?,
            description: description()?,
            reason: found.parsed("void_reason", ShortText::parse)?,
        },
        _ => Posting::Charge { charge: found.id("_id")?, task: task()?, description: description()? },
    };
    Ok(Entry { at: posting.time("at")?, posting: kind, amount: money(found, "amount")? })
}
