use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use infirmary_financials::{
    ChargeFilter, ChargeStatus, ChargeView, Discrepancy, Entry, LedgerQueries, PaymentMethod, PaymentView, Period,
    Place, Posting, StatementRows, Summary, SummaryBy, SummaryRow, Totals,
};
use infirmary_kernel::{Currency, Cursor, MoneyError, Page, PageRequest, PatientId, ShortText, StoreError, TaskCode};
use mongodb::bson::{Bson, Document, RawDocument, doc};

use super::{charge_view, discrepancies, money, payment_view, with_refunds};
use crate::{
    MongoStore,
    care_teams::given_patients,
    documents::{DocumentExt, Fields, id, number, time, uuid},
    reads::{Query, after_place, newest_first, one_more},
    schema::{CHARGES, Collection, PAYMENTS, REFUNDS},
};

#[async_trait]
impl LedgerQueries for MongoStore {
    async fn list_charges(&self, filter: &ChargeFilter, page: &PageRequest) -> Result<Page<ChargeView>, StoreError> {
        let (given, mut snapshot) = (given_patients(filter.reader), self.snapshot().await?);
        let found = snapshot.find_through(&CHARGES, listing(filter, page), given, Vec::new()).await?;
        let views = found.iter().map(|found| charge_view(found)).collect::<Result<_, _>>()?;
        let place = |last: &ChargeView| Cursor::at(last.charge.charged_at, last.charge.id.as_uuid());
        Ok(Page::of_rows(views, page.limit, place))
    }

    async fn list_payments(
        &self,
        patient: Option<PatientId>,
        page: &PageRequest,
    ) -> Result<Page<PaymentView>, StoreError> {
        let query = Query {
            filter: after_place(Document::new().with("patient", patient.map(id)), "received_at", page),
            sort: newest_first("received_at"),
            limit: one_more(page),
            index: if patient.is_some() { "patient" } else { "time" },
        };
        let mut snapshot = self.snapshot().await?;
        let found = snapshot.find_through(&PAYMENTS, query, Vec::new(), vec![with_refunds()]).await?;
        let views = found.iter().map(|found| payment_view(found)).collect::<Result<_, _>>()?;
        let place = |last: &PaymentView| Cursor::at(last.payment.received_at, last.payment.id.as_uuid());
        Ok(Page::of_rows(views, page.limit, place))
    }

    async fn statement(
        &self,
        patient: PatientId,
        currency: Currency,
        after: Option<Place>,
        most: usize,
    ) -> Result<StatementRows, StoreError> {
        let mut snapshot = self.snapshot().await?;
        let (mut all, mut before) = (Sums::default(), Sums::default());
        let mut entries: Vec<Entry> = Vec::new();
        for (collection, postings) in postings() {
            let account = account(patient, currency, postings, after, most);
            let found = snapshot.aggregate_by(collection, "patient", account).await?;
            for found in &found {
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
        entries.truncate(most);
        Ok(StatementRows { opening: before.totals(currency)?.balance(), entries, totals: all.totals(currency)? })
    }

    /// What was paid and given back is read from the charges that it lies on: one look at each of them.
    async fn totals_of_patients(&self, patients: &[PatientId], currency: Currency) -> Result<Vec<Totals>, StoreError> {
        if patients.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<Bson> = patients.iter().map(|patient| id(*patient)).collect();
        let charged = doc! { "patient": { "$in": ids }, "currency": currency.as_str() };
        let sums = vec![doc! { "$match": charged }, four_sums("$patient")];
        let found = self.snapshot().await?.aggregate_by(&CHARGES, "patient", sums).await?;
        let totals = found.iter().map(|found| Ok((found.id("_id")?, four(found, currency)?)));
        let totals: HashMap<PatientId, Totals> = totals.collect::<Result<_, StoreError>>()?;
        let of = |patient| totals.get(patient).copied().unwrap_or(Totals::zero(currency));
        Ok(patients.iter().map(of).collect())
    }

    async fn totals_of_house(&self, currency: Currency) -> Result<Totals, StoreError> {
        let sums = vec![doc! { "$match": { "currency": currency.as_str() } }, four_sums(Bson::Null)];
        let why = "the totals of the house are of all its charges";
        let found = self.snapshot().await?.walk(&CHARGES, why, sums).await?;
        found.first().map_or(Ok(Totals::zero(currency)), |found| four(found, currency))
    }

    async fn summary(&self, period: Period, by: SummaryBy, currency: Currency) -> Result<Summary, StoreError> {
        let mut snapshot = self.snapshot().await?;
        let mut sums: BTreeMap<Option<String>, Sums> = BTreeMap::new();
        for &Happening { collection, at, index, column } in HAPPENINGS {
            let found = snapshot.aggregate_by(collection, index, happened(at, column, period, by, currency)).await?;
            for found in &found {
                let key = match by {
                    SummaryBy::Task => Some(found.optional_text("_id")?.unwrap_or(SummaryRow::NO_TASK)),
                    SummaryBy::Day | SummaryBy::Month | SummaryBy::Method => found.optional_text("_id")?,
                };
                sums.entry(key.map(str::to_owned)).or_default().add(column, found.number("sum")?)?;
            }
        }
        let mut all = Totals::zero(currency);
        let mut rows = Vec::new();
        for (key, sums) in sums {
            let totals = sums.totals(currency)?;
            all = all.checked_add(totals).map_err(unsummable)?;
            // What is charged has no method: it is of the totals only.
            rows.extend(key.map(|key| SummaryRow { key, totals }));
        }
        Ok(Summary { period, by, rows, totals: all })
    }

    async fn discrepancies(&self, currency: Currency, most: usize) -> Result<Vec<Discrepancy>, StoreError> {
        discrepancies::find(self, currency, most).await
    }
}

/// Whose patients they are is looked at beside it ([`given_patients`]).
fn listing(filter: &ChargeFilter, page: &PageRequest) -> Query {
    let index = match (filter.patient, filter.author, filter.status) {
        (Some(_), _, Some(_)) => "patient_status",
        (Some(_), _, None) => "patient",
        (None, Some(_), _) => "author",
        (None, None, Some(_)) => "status",
        (None, None, None) => "time",
    };
    let all = Document::new()
        .with("patient", filter.patient.map(id))
        .with("author", filter.author.map(id))
        .with("status", filter.status.map(ChargeStatus::as_str));
    Query {
        filter: after_place(all, "charged_at", page),
        sort: newest_first("charged_at"),
        limit: one_more(page),
        index,
    }
}

fn unsummable(error: MoneyError) -> StoreError {
    StoreError::Corrupt { reason: error.to_string() }
}

/// Sums in minor units by the ranks of what was posted: of charges, payments, refunds and voids.
#[derive(Default)]
struct Sums([i64; 4]);

const CHARGE: usize = 0;
const PAYMENT: usize = 1;
const REFUND: usize = 2;
const VOID: usize = 3;

impl Sums {
    fn add(&mut self, column: usize, sum: i64) -> Result<(), StoreError> {
        let kept = self.0.get_mut(column).ok_or_else(|| unsummable(MoneyError::Overflow))?;
        *kept = kept.checked_add(sum).ok_or_else(|| unsummable(MoneyError::Overflow))?;
        Ok(())
    }

    fn totals(&self, currency: Currency) -> Result<Totals, StoreError> {
        let Self([charged, paid, refunded, voided]) = *self;
        Totals::new(currency, charged, voided, paid, refunded).map_err(unsummable)
    }
}

/// The four sums of charges, by `key`.
fn four_sums(key: impl Into<Bson>) -> Document {
    let voided = doc! { "$cond": [{ "$eq": ["$status", ChargeStatus::Void.as_str()] }, "$amount", number(0)] };
    doc! { "$group": {
        "_id": key,
        "charged": { "$sum": "$amount" },
        "voided": { "$sum": voided },
        "paid": { "$sum": "$paid" },
        "refunded": { "$sum": "$refunded" },
    } }
}

fn four(found: &RawDocument, currency: Currency) -> Result<Totals, StoreError> {
    let sum = |field| found.number(field);
    Totals::new(currency, sum("charged")?, sum("voided")?, sum("paid")?, sum("refunded")?).map_err(unsummable)
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
fn account(
    patient: PatientId,
    currency: Currency,
    postings: Vec<Document>,
    after: Option<Place>,
    most: usize,
) -> Vec<Document> {
    let later = match after {
        Some(Place { at, rank, id }) => {
            let place = vec![time(at), number(i64::from(rank)), uuid(id)];
            doc! { "$gt": [["$posting.at", "$posting.rank", "$_id"], place] }.into()
        }
        None => Bson::Boolean(true),
    };
    let before = doc! { "$sum": { "$cond": [later.clone(), number(0), "$amount"] } };
    let sums = doc! { "$group": { "_id": "$posting.rank", "all": { "$sum": "$amount" }, "before": before } };
    vec![
        doc! { "$match": { "patient": id(patient), "currency": currency.as_str() } },
        doc! { "$unset": "allocations" },
        doc! { "$set": { "posting": postings } },
        doc! { "$unwind": "$posting" },
        doc! { "$match": { "posting.at": { "$ne": null } } },
        doc! { "$facet": {
            "sums": [sums],
            "entries": [
                { "$match": { "$expr": later } },
                { "$sort": { "posting.at": 1, "posting.rank": 1, "_id": 1 } },
                { "$limit": most as i64 },
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
fn happened(at: &str, column: usize, period: Period, by: SummaryBy, currency: Currency) -> Vec<Document> {
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
