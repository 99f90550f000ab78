//! Charges, payments and refunds: one document for each. A write reads the charges that it lies on, and puts what becomes of
//! them where they still are as they were read. Snapshots keep it so: of two transactions that change one charge, the server
//! undoes one, which then reads it anew.

mod discrepancies;
mod queries;
mod statement;
mod summary;
mod sums;

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use infirmary_financials::{
    Allocation, Charge, ChargeStatus, ChargeView, Ledger, Payment, PaymentMethod, PaymentView, RecordedCharge, Refund,
    RefundedPayment, Source, TakenPayment, Void, VoidedCharge,
};
use infirmary_kernel::{
    ChargeId, Currency, Money, PatientId, PaymentId, ShortText, StoreError, TaskCode, Trail, WriteError, Written,
};
use mongodb::bson::{Bson, Document, RawDocument, doc};

use crate::{
    MongoStore,
    documents::{DocumentExt, Fields, id, number, setting, time},
    reads::Query,
    schema::{CHARGES, PATIENTS, PAYMENTS, REFUNDS},
    transaction::{Transaction, Write, line},
};

#[async_trait]
impl Write for RecordedCharge {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        insert_charge(transaction, &self.charge).await
    }
}

#[async_trait]
impl Write for VoidedCharge {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    fn line(&self) -> Option<usize> {
        self.trail.event.subject.patient.map(line)
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        let found = transaction.find_one(&CHARGES, doc! { "_id": id(self.charge) }).await?;
        let before = found.map(|found| charge_view(&found)).transpose()?.ok_or(WriteError::Stale)?;
        let after = before.void(self.void.clone()).map_err(|_| WriteError::Stale)?;
        change(transaction, &[(before, after)]).await
    }
}

#[async_trait]
impl Write for TakenPayment {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    fn line(&self) -> Option<usize> {
        Some(line(self.payment.patient))
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        insert_payment(transaction, &self.payment).await
    }
}

#[async_trait]
impl Write for RefundedPayment {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    fn line(&self) -> Option<usize> {
        self.trail.event.subject.patient.map(line)
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        insert_refund(transaction, &self.refund).await
    }
}

#[async_trait]
impl Ledger for MongoStore {
    async fn record_charge(&self, recorded: RecordedCharge) -> Result<Written, WriteError> {
        self.write(&recorded).await
    }

    async fn void_charge(&self, voided: VoidedCharge) -> Result<Written, WriteError> {
        self.write(&voided).await
    }

    async fn take_payment(&self, taken: TakenPayment) -> Result<Written, WriteError> {
        self.write(&taken).await
    }

    async fn refund_payment(&self, refunded: RefundedPayment) -> Result<Written, WriteError> {
        self.write(&refunded).await
    }

    async fn charges(&self, ids: &[ChargeId]) -> Result<Vec<ChargeView>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let sought: Vec<Bson> = ids.iter().map(|charge| id(*charge)).collect();
        let filter = doc! { "_id": { "$in": sought } };
        let query = Query { filter, sort: doc! {}, limit: ids.len(), index: "_id" };
        let found = self.snapshot().await?.find(&CHARGES, query).await?;
        found.iter().map(|found| charge_view(found)).collect()
    }

    async fn open_charges(&self, patient: PatientId, most: usize) -> Result<Vec<ChargeView>, StoreError> {
        let query = Query {
            filter: doc! { "patient": id(patient), "status": ChargeStatus::Open.as_str() },
            sort: doc! { "charged_at": 1, "_id": 1 },
            limit: most,
            index: "patient_status",
        };
        let found = self.snapshot().await?.find(&CHARGES, query).await?;
        found.iter().map(|found| charge_view(found)).collect()
    }

    async fn payment(&self, sought: PaymentId) -> Result<Option<PaymentView>, StoreError> {
        let found = self.snapshot().await?.aggregate(&PAYMENTS, one_with_refunds(sought)).await?;
        found.first().map(|found| payment_view(found)).transpose()
    }
}

/// Adds a charge: of whoever writes one, within a transaction of theirs.
pub(crate) async fn insert_charge(transaction: &mut Transaction<'_>, new: &Charge) -> Result<(), WriteError> {
    insert_charges(transaction, std::slice::from_ref(new)).await
}

/// Adds charges, by two commands however many they are.
pub(crate) async fn insert_charges(transaction: &mut Transaction<'_>, new: &[Charge]) -> Result<(), WriteError> {
    let patients: BTreeSet<PatientId> = new.iter().map(|charge| charge.patient).collect();
    if patients.is_empty() {
        return Ok(());
    }
    let ids: Vec<Bson> = patients.iter().map(|patient| id(*patient)).collect();
    let known = Query { filter: doc! { "_id": { "$in": ids } }, sort: doc! {}, limit: patients.len(), index: "_id" };
    if transaction.find(&PATIENTS, known).await?.len() < patients.len() {
        return Err(WriteError::Conflict { law: Charge::OF_A_KNOWN_PATIENT });
    }
    transaction.insert_all(&CHARGES, new.iter().map(charge_document).collect()).await
}

/// Puts the charges as they are to be: of whoever has read them in the same transaction. A charge may have another task since.
pub(crate) async fn put_charges(transaction: &mut Transaction<'_>, views: &[ChargeView]) -> Result<(), WriteError> {
    let updates =
        views.iter().map(|view| (doc! { "_id": id(view.charge.id) }, setting(view_document(view), &["task"])));
    match transaction.update_each(&CHARGES, updates.collect()).await? {
        true => Ok(()),
        false => Err(WriteError::Stale),
    }
}

/// What of payments and refunds lies on the charge is of its task.
pub(crate) async fn follow_task(transaction: &mut Transaction<'_>, charge: &Charge) -> Result<(), WriteError> {
    let task = match &charge.task {
        Some(task) => doc! { "$set": { "allocations.$.task": task.as_str() } },
        None => doc! { "$unset": { "allocations.$.task": "" } },
    };
    let on_it = doc! { "patient": id(charge.patient), "allocations.charge": id(charge.id) };
    transaction.update_all(&PAYMENTS, on_it.clone(), task.clone()).await?;
    transaction.update_all(&REFUNDS, on_it, task).await
}

/// Adds a payment, and puts it on its charges: `Stale` when one of them is not owed that much.
pub(crate) async fn insert_payment(transaction: &mut Transaction<'_>, new: &Payment) -> Result<(), WriteError> {
    let changes = decide(transaction, new.patient, &new.allocations, more_paid).await?;
    change(transaction, &changes).await?;
    transaction.insert(&PAYMENTS, payment_document(new, &tasks(changes.iter().map(|(view, _)| view)))).await
}

/// The charge with so much more paid on it; `None` when that is not owed.
pub(crate) fn more_paid(view: &ChargeView, part: Money) -> Option<ChargeView> {
    let left = view.outstanding().checked_sub(part).ok()?;
    let paid = view.paid.checked_add(part).ok()?;
    (left.amount_minor() >= 0).then(|| ChargeView { paid, ..view.clone() })
}

/// Adds a refund, and takes it off the charges: `Stale` when there is no such payment, or not as much left of it.
async fn insert_refund(transaction: &mut Transaction<'_>, new: &Refund) -> Result<(), WriteError> {
    let found = transaction.aggregate(&PAYMENTS, one_with_refunds(new.payment)).await?;
    let found = found.first().map(|found| payment_view(found)).transpose()?;
    let before = found.filter(|known| is_left(known, new)).ok_or(WriteError::Stale)?;
    let due = doc! { "_id": id(new.payment), "refunded": number(before.refunded().amount_minor()) };
    let more = doc! { "$inc": { "refunded": number(new.amount.amount_minor()) } };
    if !transaction.update(&PAYMENTS, due, more).await? {
        return Err(WriteError::Stale);
    }
    let more_refunded = |view: &ChargeView, part: Money| {
        let left = view.net_paid().checked_sub(part).ok()?;
        let refunded = view.refunded.checked_add(part).ok()?;
        (left.amount_minor() >= 0).then(|| ChargeView { refunded, ..view.clone() })
    };
    let changes = decide(transaction, before.payment.patient, &new.allocations, more_refunded).await?;
    change(transaction, &changes).await?;
    transaction
        .insert(&REFUNDS, refund_document(new, &before.payment, &tasks(changes.iter().map(|(view, _)| view))))
        .await
}

fn is_left(payment: &PaymentView, refund: &Refund) -> bool {
    let left: HashMap<ChargeId, Money> = payment.remaining().map(|left| (left.charge, left.amount)).collect();
    payment.payment.amount.currency() == refund.amount.currency()
        && refund
            .allocations
            .iter()
            .all(|taken| left.get(&taken.charge).is_some_and(|left| left.amount_minor() >= taken.amount.amount_minor()))
}

/// A charge as it was read, and as it is to be.
type Change = (ChargeView, ChargeView);

/// What becomes of the charges that these parts lie on, all of the patient. `Stale` when one is absent, or `after` gives none.
async fn decide(
    transaction: &mut Transaction<'_>,
    patient: PatientId,
    parts: &[Allocation],
    after: impl Fn(&ChargeView, Money) -> Option<ChargeView>,
) -> Result<Vec<Change>, WriteError> {
    let ids: Vec<Bson> = parts.iter().map(|part| id(part.charge)).collect();
    let filter = doc! { "_id": { "$in": ids }, "patient": id(patient) };
    let query = Query { filter, sort: doc! {}, limit: parts.len().max(1), index: "_id" };
    let found = transaction.find(&CHARGES, query).await?;
    let found = found.iter().map(|found| charge_view(found).map(|view| (view.charge.id, view)));
    let mut known: HashMap<ChargeId, ChargeView> = found.collect::<Result<_, _>>()?;
    let change = |part: &Allocation| {
        let before = known.remove(&part.charge)?;
        let after = part.amount.is_positive().then(|| after(&before, part.amount))??;
        Some((before, after))
    };
    parts.iter().map(change).collect::<Option<_>>().ok_or(WriteError::Stale)
}

/// Puts the charges as they are to be, where they are as they were read.
async fn change(transaction: &mut Transaction<'_>, changes: &[Change]) -> Result<(), WriteError> {
    let updates = changes.iter().map(|(before, after)| {
        let mut due = doc! { "_id": id(before.charge.id) };
        due.extend(standing(before));
        (due, doc! { "$set": standing(after) })
    });
    match transaction.update_each(&CHARGES, updates.collect()).await? {
        true => Ok(()),
        false => Err(WriteError::Stale),
    }
}

/// What payments, refunds and a void change on the document of a charge.
pub(crate) fn standing(view: &ChargeView) -> Document {
    let void = view.charge.voided.as_ref();
    doc! {
        "paid": minor(view.paid),
        "refunded": minor(view.refunded),
        "outstanding": minor(view.outstanding()),
        "status": view.status().as_str(),
    }
    .with("voided_at", void.map(|void| time(void.at)))
    .with("voided_by", void.map(|void| id(void.by)))
    .with("void_reason", void.map(|void| void.reason.as_str()))
}

fn minor(amount: Money) -> Bson {
    number(amount.amount_minor())
}

pub(crate) fn charge_document(new: &Charge) -> Document {
    view_document(&ChargeView::unpaid(new.clone()))
}

pub(crate) fn view_document(view: &ChargeView) -> Document {
    let (charge, source) = (&view.charge, &view.charge.source);
    let mut document = doc! {
        "_id": id(charge.id),
        "patient": id(charge.patient),
        "description": charge.description.as_str(),
        "amount": minor(charge.amount),
        "currency": charge.amount.currency().as_str(),
        "charged_at": time(charge.charged_at),
        "charged_by": id(charge.charged_by),
    }
    .with("study", source.study().map(id))
    .with("report", source.report().map(id))
    .with("diagnosis", source.diagnosis().map(id))
    .with("author", source.author().map(id))
    .with("task", charge.task.as_ref().map(TaskCode::as_str));
    document.extend(standing(view));
    document
}

pub(crate) fn charge_view(found: &RawDocument) -> Result<ChargeView, StoreError> {
    Ok(ChargeView { charge: charge(found)?, paid: money(found, "paid")?, refunded: money(found, "refunded")? })
}

pub(crate) fn charge(found: &RawDocument) -> Result<Charge, StoreError> {
    let source = match (found.optional_id("study")?, found.optional_id("report")?) {
        (Some(study), _) => Source::Study { study, diagnosis: found.id("diagnosis")?, author: found.id("author")? },
        (_, Some(report)) => Source::Report { report, diagnosis: found.id("diagnosis")?, author: found.id("author")? },
        (None, None) => Source::Hand,
    };
    let voided = match found.optional_time("voided_at")? {
        Some(at) => {
            Some(Void { at, by: found.id("voided_by")?, reason: found.parsed("void_reason", ShortText::parse)? })
        }
        None => None,
    };
    Ok(Charge {
        id: found.id("_id")?,
        patient: found.id("patient")?,
        source,
        task: found.optional_parsed("task", TaskCode::parse)?,
        description: found.parsed("description", ShortText::parse)?,
        amount: money(found, "amount")?,
        charged_at: found.time("charged_at")?,
        charged_by: found.id("charged_by")?,
        voided,
    })
}

fn money(found: &RawDocument, field: &str) -> Result<Money, StoreError> {
    Ok(Money::new(found.number(field)?, found.parsed("currency", Currency::parse)?))
}

/// Of the charges that have one.
pub(crate) fn tasks<'a>(views: impl IntoIterator<Item = &'a ChargeView>) -> HashMap<ChargeId, &'a TaskCode> {
    views.into_iter().filter_map(|view| Some((view.charge.id, view.charge.task.as_ref()?))).collect()
}

fn allocation_documents(parts: &[Allocation], tasks: &HashMap<ChargeId, &TaskCode>) -> Vec<Document> {
    let document = |part: &Allocation| {
        doc! { "charge": id(part.charge), "amount": minor(part.amount) }
            .with("task", tasks.get(&part.charge).map(|task| task.as_str()))
    };
    parts.iter().map(document).collect()
}

fn allocations(found: &RawDocument, currency: Currency) -> Result<Vec<Allocation>, StoreError> {
    let allocation = |part: &RawDocument| {
        Ok(Allocation { charge: part.id("charge")?, amount: Money::new(part.number("amount")?, currency) })
    };
    found.documents("allocations")?.into_iter().map(allocation).collect()
}

pub(crate) fn payment_document(new: &Payment, tasks: &HashMap<ChargeId, &TaskCode>) -> Document {
    doc! {
        "_id": id(new.id),
        "patient": id(new.patient),
        "amount": minor(new.amount),
        "currency": new.amount.currency().as_str(),
        "method": new.method.as_str(),
        "received_at": time(new.received_at),
        "received_by": id(new.received_by),
        "refunded": number(0),
        "allocations": allocation_documents(&new.allocations, tasks),
    }
}

pub(crate) fn refund_document(new: &Refund, payment: &Payment, tasks: &HashMap<ChargeId, &TaskCode>) -> Document {
    doc! {
        "_id": id(new.id),
        "payment": id(new.payment),
        "patient": id(payment.patient),
        "amount": minor(new.amount),
        "currency": new.amount.currency().as_str(),
        "method": payment.method.as_str(),
        "reason": new.reason.as_str(),
        "refunded_at": time(new.refunded_at),
        "refunded_by": id(new.refunded_by),
        "allocations": allocation_documents(&new.allocations, tasks),
    }
}

/// The payment as [`payment_view`] reads it.
fn one_with_refunds(payment: PaymentId) -> Vec<Document> {
    vec![doc! { "$match": { "_id": id(payment) } }, with_refunds()]
}

/// To each payment its refunds, oldest first.
fn with_refunds() -> Document {
    doc! { "$lookup": {
        "from": REFUNDS.name,
        "localField": "_id",
        "foreignField": "payment",
        "pipeline": [{ "$sort": { "refunded_at": 1, "_id": 1 } }],
        "as": "refunds",
    } }
}

fn payment_view(found: &RawDocument) -> Result<PaymentView, StoreError> {
    let refunds = found.documents("refunds")?.into_iter().map(refund).collect::<Result<_, _>>()?;
    Ok(PaymentView { payment: payment(found)?, refunds })
}

pub(crate) fn payment(found: &RawDocument) -> Result<Payment, StoreError> {
    let amount = money(found, "amount")?;
    Ok(Payment {
        id: found.id("_id")?,
        patient: found.id("patient")?,
        amount,
        method: found.parsed("method", PaymentMethod::parse)?,
        received_at: found.time("received_at")?,
        received_by: found.id("received_by")?,
        allocations: allocations(found, amount.currency())?,
    })
}

pub(crate) fn refund(found: &RawDocument) -> Result<Refund, StoreError> {
    let amount = money(found, "amount")?;
    Ok(Refund {
        id: found.id("_id")?,
        payment: found.id("payment")?,
        amount,
        reason: found.parsed("reason", ShortText::parse)?,
        refunded_at: found.time("refunded_at")?,
        refunded_by: found.id("refunded_by")?,
        allocations: allocations(found, amount.currency())?,
    })
}
