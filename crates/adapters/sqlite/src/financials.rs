mod queries;

use async_trait::async_trait;
use infirmary_financials::{
    Allocation, Charge, ChargeView, Ledger, Payment, PaymentMethod, PaymentView, RecordedCharge, Refund,
    RefundedPayment, Source, TakenPayment, Void, VoidedCharge,
};
use infirmary_kernel::{
    ChargeId, Currency, Money, PatientId, PaymentId, ShortText, StoreError, TaskCode, WriteError, Written,
};
use rusqlite::{Connection, Error, OptionalExtension, Row, ffi, params};

use crate::{
    SqliteStore,
    rows::{OrWriteError, RowExt, blob, optional_blob},
    writer::Transaction,
};

const LAWS: &[(&str, &str)] = &[
    ("charges.study", Charge::ONE_FOR_A_TASK_OF_A_STUDY),
    ("charges.diagnosis", Charge::ONE_FOR_THE_REPORT_ON_A_DIAGNOSIS),
];

/// What is paid on the charge `c` and what was given back of it. Each sum is read from an index alone.
macro_rules! paid {
    () => {
        "(SELECT coalesce(sum(a.amount), 0) FROM allocations a WHERE a.charge = c.id)"
    };
}
macro_rules! refunded {
    () => {
        "(SELECT coalesce(sum(r.amount), 0) FROM refund_allocations r WHERE r.charge = c.id)"
    };
}
/// The columns of a [`ChargeView`].
macro_rules! charge_columns {
    () => {
        concat!("c.*, ", paid!(), " AS paid, ", refunded!(), " AS refunded")
    };
}
/// What is owed on the charge `c`, were it not void.
macro_rules! outstanding {
    () => {
        concat!("(c.amount - ", paid!(), " + ", refunded!(), ")")
    };
}
pub(crate) use {charge_columns, outstanding, paid, refunded};

#[async_trait]
impl Ledger for SqliteStore {
    async fn record_charge(&self, recorded: RecordedCharge) -> Result<Written, WriteError> {
        self.write(move |transaction| {
            if let Some(before) = transaction.repeated(&recorded.trail)? {
                return Ok(before);
            }
            insert_charge(transaction, &recorded.charge)?;
            transaction.keep(&recorded.trail)
        })
        .await
    }

    async fn void_charge(&self, voided: VoidedCharge) -> Result<Written, WriteError> {
        self.write(move |transaction| {
            if let Some(before) = transaction.repeated(&voided.trail)? {
                return Ok(before);
            }
            void_charge(transaction, voided.charge, &voided.void)?;
            transaction.keep(&voided.trail)
        })
        .await
    }

    async fn take_payment(&self, taken: TakenPayment) -> Result<Written, WriteError> {
        self.write(move |transaction| {
            if let Some(before) = transaction.repeated(&taken.trail)? {
                return Ok(before);
            }
            insert_payment(transaction, &taken.payment)?;
            transaction.keep(&taken.trail)
        })
        .await
    }

    async fn refund_payment(&self, refunded: RefundedPayment) -> Result<Written, WriteError> {
        self.write(move |transaction| {
            if let Some(before) = transaction.repeated(&refunded.trail)? {
                return Ok(before);
            }
            insert_refund(transaction, &refunded.refund)?;
            transaction.keep(&refunded.trail)
        })
        .await
    }

    async fn charges(&self, ids: &[ChargeId]) -> Result<Vec<ChargeView>, StoreError> {
        let ids = ids.to_vec();
        self.read_snapshot(move |connection| {
            let mut find =
                connection.prepare_cached(concat!("SELECT ", charge_columns!(), " FROM charges c WHERE c.id = ?"))?;
            ids.iter().filter_map(|id| find.query_row([blob(*id)], charge_view).optional().transpose()).collect()
        })
        .await
    }

    async fn open_charges(&self, patient: PatientId, most: usize) -> Result<Vec<ChargeView>, StoreError> {
        self.read(move |connection| {
            connection
                .prepare_cached(concat!(
                    "SELECT ",
                    charge_columns!(),
                    " FROM charges c WHERE c.patient = ? AND c.voided_at IS NULL AND ",
                    outstanding!(),
                    " > 0 ORDER BY c.charged_at, c.id LIMIT ?",
                ))?
                .query_map(params![blob(patient), most], charge_view)?
                .collect()
        })
        .await
    }

    async fn payment(&self, id: PaymentId) -> Result<Option<PaymentView>, StoreError> {
        self.read_snapshot(move |connection| {
            let found = connection
                .prepare_cached("SELECT * FROM payments WHERE id = ?")?
                .query_row([blob(id)], payment)
                .optional()?;
            found.map(|payment| payment_view(connection, payment)).transpose()
        })
        .await
    }
}

/// Adds a charge: of whoever writes one, within a transaction of theirs.
pub(crate) fn insert_charge(transaction: &Transaction<'_>, new: &Charge) -> Result<(), WriteError> {
    let (source, void) = (&new.source, new.voided.as_ref());
    let inserted = transaction
        .prepare_cached(
            "INSERT INTO charges (id, patient, study, report, diagnosis, author, task, description, amount, currency,
             charged_at, charged_by, voided_at, voided_by, void_reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                blob(new.id),
                blob(new.patient),
                optional_blob(source.study()),
                optional_blob(source.report()),
                optional_blob(source.diagnosis()),
                optional_blob(source.author()),
                new.task.as_ref().map(TaskCode::as_str),
                new.description.as_str(),
                new.amount.amount_minor(),
                new.amount.currency().as_str(),
                new.charged_at.unix_ms(),
                blob(new.charged_by),
                void.map(|void| void.at.unix_ms()),
                void.map(|void| blob(void.by)),
                void.map(|void| void.reason.as_str()),
            ])
        });
    match inserted {
        // The patient is the only record that a charge refers to, and the message does not name it.
        Err(Error::SqliteFailure(failure, _)) if failure.extended_code == ffi::SQLITE_CONSTRAINT_FOREIGNKEY => {
            Err(WriteError::Conflict { law: Charge::OF_A_KNOWN_PATIENT })
        }
        other => other.or_conflict(LAWS).map(|_| ()),
    }
}

/// Makes a charge void, or is `Stale`: each of the three below changes rows only where the decision holds still.
pub(crate) fn void_charge(transaction: &Transaction<'_>, id: ChargeId, void: &Void) -> Result<(), WriteError> {
    let changed = transaction
        .prepare_cached(concat!(
            "UPDATE charges AS c SET voided_at = ?2, voided_by = ?3, void_reason = ?4
             WHERE c.id = ?1 AND c.voided_at IS NULL AND ",
            paid!(),
            " = ",
            refunded!(),
        ))
        .and_then(|mut update| {
            update.execute(params![blob(id), void.at.unix_ms(), blob(void.by), void.reason.as_str()])
        })
        .or_write_error()?;
    unless_stale(changed)
}

/// Without what of it lies on charges.
pub(crate) fn insert_payment_alone(transaction: &Transaction<'_>, new: &Payment) -> Result<(), WriteError> {
    transaction
        .prepare_cached(
            "INSERT INTO payments (id, patient, amount, currency, method, received_at, received_by)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                blob(new.id),
                blob(new.patient),
                new.amount.amount_minor(),
                new.amount.currency().as_str(),
                new.method.as_str(),
                new.received_at.unix_ms(),
                blob(new.received_by),
            ])
        })
        .or_write_error()
        .map(|_| ())
}

pub(crate) fn insert_payment(transaction: &Transaction<'_>, new: &Payment) -> Result<(), WriteError> {
    insert_payment_alone(transaction, new)?;
    let mut insert = transaction
        .prepare_cached(concat!(
            "INSERT INTO allocations (payment, charge, position, amount) SELECT ?1, c.id, ?3, ?4 FROM charges c
             WHERE c.id = ?2 AND c.patient = ?5 AND c.currency = ?6 AND c.voided_at IS NULL AND ",
            outstanding!(),
            " >= ?4",
        ))
        .or_write_error()?;
    for (position, allocation) in new.allocations.iter().enumerate() {
        let inserted = insert.execute(params![
            blob(new.id),
            blob(allocation.charge),
            position,
            allocation.amount.amount_minor(),
            blob(new.patient),
            allocation.amount.currency().as_str(),
        ]);
        unless_stale(inserted.or_write_error()?)?;
    }
    Ok(())
}

/// Without what it takes back from charges.
pub(crate) fn insert_refund_alone(transaction: &Transaction<'_>, new: &Refund) -> Result<(), WriteError> {
    let inserted = transaction
        .prepare_cached(
            "INSERT INTO refunds (id, payment, patient, currency, amount, reason, refunded_at, refunded_by)
             SELECT ?1, p.id, p.patient, p.currency, ?3, ?4, ?5, ?6 FROM payments p WHERE p.id = ?2 AND p.currency = ?7",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                blob(new.id),
                blob(new.payment),
                new.amount.amount_minor(),
                new.reason.as_str(),
                new.refunded_at.unix_ms(),
                blob(new.refunded_by),
                new.amount.currency().as_str(),
            ])
        })
        .or_write_error()?;
    unless_stale(inserted)
}

fn insert_refund(transaction: &Transaction<'_>, new: &Refund) -> Result<(), WriteError> {
    insert_refund_alone(transaction, new)?;
    let mut insert = transaction
        .prepare_cached(
            "INSERT INTO refund_allocations (refund, charge, position, amount) SELECT ?1, a.charge, ?4, ?5
             FROM allocations a WHERE a.payment = ?2 AND a.charge = ?3 AND a.amount >= ?5 + (
                 SELECT coalesce(sum(t.amount), 0) FROM refunds r JOIN refund_allocations t ON t.refund = r.id
                 WHERE r.payment = ?2 AND t.charge = ?3)",
        )
        .or_write_error()?;
    for (position, taken) in new.allocations.iter().enumerate() {
        let inserted = insert.execute(params![
            blob(new.id),
            blob(new.payment),
            blob(taken.charge),
            position,
            taken.amount.amount_minor(),
        ]);
        unless_stale(inserted.or_write_error()?)?;
    }
    Ok(())
}

const fn unless_stale(rows: usize) -> Result<(), WriteError> {
    if rows == 0 { Err(WriteError::Stale) } else { Ok(()) }
}

fn money(row: &Row<'_>, column: &str) -> rusqlite::Result<Money> {
    Ok(Money::new(row.get(column)?, row.parsed("currency", Currency::parse)?))
}

fn charge_view(row: &Row<'_>) -> rusqlite::Result<ChargeView> {
    Ok(ChargeView { charge: charge(row)?, paid: money(row, "paid")?, refunded: money(row, "refunded")? })
}

pub(crate) fn charge(row: &Row<'_>) -> rusqlite::Result<Charge> {
    let source = match (row.optional_id("study")?, row.optional_id("report")?) {
        (Some(study), _) => Source::Study { study, diagnosis: row.id("diagnosis")?, author: row.id("author")? },
        (_, Some(report)) => Source::Report { report, diagnosis: row.id("diagnosis")?, author: row.id("author")? },
        (None, None) => Source::Hand,
    };
    let voided = match row.optional_time("voided_at")? {
        Some(at) => Some(Void { at, by: row.id("voided_by")?, reason: row.parsed("void_reason", ShortText::parse)? }),
        None => None,
    };
    Ok(Charge {
        id: row.id("id")?,
        patient: row.id("patient")?,
        source,
        task: row.optional_parsed("task", TaskCode::parse)?,
        description: row.parsed("description", ShortText::parse)?,
        amount: money(row, "amount")?,
        charged_at: row.time("charged_at")?,
        charged_by: row.id("charged_by")?,
        voided,
    })
}

/// Without its allocations.
pub(crate) fn payment(row: &Row<'_>) -> rusqlite::Result<Payment> {
    Ok(Payment {
        id: row.id("id")?,
        patient: row.id("patient")?,
        amount: money(row, "amount")?,
        method: row.parsed("method", PaymentMethod::parse)?,
        received_at: row.time("received_at")?,
        received_by: row.id("received_by")?,
        allocations: Vec::new(),
    })
}

/// The payment with what hangs on it. The statements run within the process: one for each payment of a page costs no
/// round trip.
fn payment_view(connection: &Connection, mut payment: Payment) -> rusqlite::Result<PaymentView> {
    payment.allocations = allocations(connection, &payment)?;
    let refunds = connection
        .prepare_cached("SELECT * FROM refunds WHERE payment = ? ORDER BY refunded_at, id")?
        .query_map([blob(payment.id)], |row| refund(connection, row))?
        .collect::<Result<_, _>>()?;
    Ok(PaymentView { payment, refunds })
}

pub(crate) fn allocations(connection: &Connection, payment: &Payment) -> rusqlite::Result<Vec<Allocation>> {
    connection
        .prepare_cached("SELECT charge, amount FROM allocations WHERE payment = ? ORDER BY position")?
        .query_map([blob(payment.id)], |row| allocation(row, payment.amount.currency()))?
        .collect()
}

pub(crate) fn refund(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<Refund> {
    let (id, amount) = (row.id("id")?, money(row, "amount")?);
    let allocations = connection
        .prepare_cached("SELECT charge, amount FROM refund_allocations WHERE refund = ? ORDER BY position")?
        .query_map([blob(id)], |row| allocation(row, amount.currency()))?
        .collect::<Result<_, _>>()?;
    Ok(Refund {
        id,
        payment: row.id("payment")?,
        amount,
        reason: row.parsed("reason", ShortText::parse)?,
        refunded_at: row.time("refunded_at")?,
        refunded_by: row.id("refunded_by")?,
        allocations,
    })
}

fn allocation(row: &Row<'_>, currency: Currency) -> rusqlite::Result<Allocation> {
    Ok(Allocation { charge: row.id("charge")?, amount: Money::new(row.get("amount")?, currency) })
}
