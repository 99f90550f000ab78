use std::collections::HashMap;

use async_trait::async_trait;
use infirmary_financials::{
    ChargeFilter, ChargeStatus, ChargeView, Discrepancy, LedgerQueries, PaymentView, Period, Place, StatementRows,
    Summary, SummaryBy, Totals,
};
use infirmary_kernel::{Currency, Cursor, Page, PageRequest, PatientId, StoreError};
use mongodb::bson::{Bson, Document, RawDocument, doc};

use super::{
    charge_view, discrepancies, payment_view, statement::Account, summary::Asked, sums::unsummable, with_refunds,
};
use crate::{
    MongoStore,
    care_teams::given_patients,
    documents::{DocumentExt, Fields, id, number},
    reads::{Query, after_place, newest_first, one_more},
    schema::{CHARGES, PAYMENTS},
    transaction::unopposed,
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
        let account = Account { patient, currency, after, most };
        self.transact(None, &account).await.map_err(unopposed)
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
        let asked = Asked { period, by, currency };
        self.transact(None, &asked).await.map_err(unopposed)
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
