use std::collections::BTreeMap;

use async_trait::async_trait;
use infirmary_financials::{Period, Summary, SummaryBy, SummaryRow, Totals};
use infirmary_kernel::Currency;
use mongodb::bson::{Bson, Document, doc};

use super::sums::{CHARGE, PAYMENT, REFUND, Sums, VOID, unsummable};
use crate::{
    documents::{Fields, time},
    schema::{CHARGES, Collection, PAYMENTS, REFUNDS},
    transaction::{Done, Transaction, Work},
};

/// A summary that is asked for. It is read in a transaction, so that it is of one moment.
pub(super) struct Asked {
    pub(super) period: Period,
    pub(super) by: SummaryBy,
    pub(super) currency: Currency,
}

#[async_trait]
impl Work for Asked {
    type Answer = Summary;

    async fn run<'a>(&self, transaction: &mut Transaction<'a>) -> Done<'a, Summary> {
        let mut sums: BTreeMap<Option<String>, Sums> = BTreeMap::new();
        for &Happening { collection, at, index, column } in HAPPENINGS {
            for found in transaction.aggregate_by(collection, index, happened(self, at, column)).await? {
                let key = match self.by {
                    SummaryBy::Task => Some(found.optional_text("_id")?.unwrap_or(SummaryRow::NO_TASK)),
                    SummaryBy::Day | SummaryBy::Month | SummaryBy::Method => found.optional_text("_id")?,
                };
                sums.entry(key.map(str::to_owned)).or_default().add(column, found.number("sum")?)?;
            }
        }
        let mut totals = Totals::zero(self.currency);
        let mut rows = Vec::new();
        for (key, sums) in sums {
            let sum = sums.totals(self.currency)?;
            totals = totals.checked_add(sum).map_err(unsummable)?;
            // What is charged has no method: it is of the totals only.
            rows.extend(key.map(|key| SummaryRow { key, totals: sum }));
        }
        Ok((Summary { period: self.period, by: self.by, rows, totals }, None))
    }
}

/// What counts in a summary, and at which time of its document.
struct Happening {
    collection: &'static Collection,
    at: &'static str,
    index: &'static str,
    column: usize,
}

static HAPPENINGS: &[Happening] = &[
    Happening { collection: &CHARGES, at: "charged_at", index: "time", column: CHARGE },
    Happening { collection: &CHARGES, at: "voided_at", index: "voided", column: VOID },
    Happening { collection: &PAYMENTS, at: "received_at", index: "time", column: PAYMENT },
    Happening { collection: &REFUNDS, at: "refunded_at", index: "time", column: REFUND },
];

/// The sums of what happened in the period, by its key.
fn happened(&Asked { period, by, currency }: &Asked, at: &str, column: usize) -> Vec<Document> {
    let within = doc! { "$gte": time(period.from()), "$lt": time(period.to()) };
    let mut stages = vec![doc! { "$match": { at: within, "currency": currency.as_str() } }];
    let in_parts = by == SummaryBy::Task && matches!(column, PAYMENT | REFUND);
    if in_parts {
        stages.push(doc! { "$unwind": "$allocations" });
    }
    let date = |format: &str| doc! { "$dateToString": { "date": format!("${at}"), "format": format } };
    let key: Bson = match by {
        SummaryBy::Day => date("%Y-%m-%d").into(),
        SummaryBy::Month => date("%Y-%m").into(),
        SummaryBy::Task if in_parts => "$allocations.task".into(),
        SummaryBy::Task => "$task".into(),
        SummaryBy::Method => "$method".into(),
    };
    let amount = if in_parts { "$allocations.amount" } else { "$amount" };
    stages.push(doc! { "$group": { "_id": key, "sum": { "$sum": amount } } });
    stages
}
