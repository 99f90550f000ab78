//! Records of another system: each is looked for by its key, and added where it is not there.

use std::collections::HashSet;

use async_trait::async_trait;
use infirmary_financials::Charge;
use infirmary_kernel::{ChargeId, DiagnosisId, Money, StoreError, TaskCode, WriteError};
use infirmary_patients::Mrn;
use infirmary_workflows::{Imported, ImportedId, ImportedRecord, Importer};
use rusqlite::{Connection, params};

use crate::{
    SqliteStore, accounts, diagnosis,
    financials::{self, outstanding, paid, refunded},
    imaging, patients, reports,
    rows::{OrWriteError, blob, optional_blob, unopposed},
    writer::Transaction,
};

#[async_trait]
impl Importer for SqliteStore {
    async fn import(&self, batch: Vec<Imported>) -> Result<u64, WriteError> {
        self.write(move |transaction| {
            let mut added = 0;
            for Imported { record, event } in &batch {
                if is_known(transaction, record.id()).or_write_error()? || !add(transaction, record)? {
                    continue;
                }
                transaction.seal(event).or_write_error()?;
                added += 1;
            }
            Ok(added)
        })
        .await
    }

    async fn known(&self, ids: &[ImportedId]) -> Result<HashSet<ImportedId>, StoreError> {
        let ids = ids.to_vec();
        self.read_snapshot(move |connection| {
            let mut known = HashSet::new();
            for id in ids {
                if is_known(connection, id)? {
                    known.insert(id);
                }
            }
            Ok(known)
        })
        .await
    }

    async fn reserve_mrns(&self, count: u64) -> Result<Mrn, StoreError> {
        let reserved = self.write(move |transaction| {
            transaction
                .prepare_cached("UPDATE mrn_counter SET last = last + ?1 WHERE only = 1 RETURNING last - ?1 + 1")
                .and_then(|mut take| take.query_row([count], |row| row.get(0)))
                .or_write_error()
        });
        reserved.await.map(Mrn::from_serial).map_err(unopposed)
    }
}

fn is_known(connection: &Connection, id: ImportedId) -> rusqlite::Result<bool> {
    let (sql, id) = match id {
        ImportedId::Account(id) => ("SELECT EXISTS (SELECT 1 FROM accounts WHERE id = ?)", blob(id)),
        ImportedId::Patient(id) => ("SELECT EXISTS (SELECT 1 FROM patients WHERE id = ?)", blob(id)),
        ImportedId::Diagnosis(id) => ("SELECT EXISTS (SELECT 1 FROM diagnoses WHERE id = ?)", blob(id)),
        ImportedId::Study(id) => ("SELECT EXISTS (SELECT 1 FROM studies WHERE id = ?)", blob(id)),
        ImportedId::Report(id) => ("SELECT EXISTS (SELECT 1 FROM reports WHERE id = ?)", blob(id)),
        ImportedId::Charge(id) => ("SELECT EXISTS (SELECT 1 FROM charges WHERE id = ?)", blob(id)),
        ImportedId::Payment(id) => ("SELECT EXISTS (SELECT 1 FROM payments WHERE id = ?)", blob(id)),
    };
    connection.prepare_cached(sql)?.query_row([id], |row| row.get(0))
}

/// Whether it was added: what somebody did here meanwhile is not done again.
fn add(transaction: &Transaction<'_>, record: &ImportedRecord) -> Result<bool, WriteError> {
    match record {
        ImportedRecord::Account { account, password, patient } => {
            accounts::insert(transaction, account)?;
            if let Some(password) = password {
                accounts::set_password(transaction, account.id, password)?;
            }
            patient.iter().try_for_each(|patient| patients::insert(transaction, patient))?;
        }
        ImportedRecord::Patient(patient) => patients::insert(transaction, patient)?,
        ImportedRecord::Diagnosis(diagnosis) => diagnosis::insert(transaction, diagnosis)?,
        ImportedRecord::Study { study, images, diagnosis, charge } => {
            let attached = transaction
                .prepare_cached("UPDATE diagnoses SET study = ? WHERE id = ? AND study IS NULL")
                .and_then(|mut attach| attach.execute(params![blob(study.id), blob(*diagnosis)]))
                .or_write_error()?;
            if attached == 0 {
                return Ok(false);
            }
            imaging::insert(transaction, study, images)?;
            add_or_link(transaction, charge)?;
        }
        ImportedRecord::Report { report, charge } => {
            if is_reported(transaction, report.diagnosis, report.diagnosis_version).or_write_error()? {
                return Ok(false);
            }
            reports::insert(transaction, report)?;
            add_or_link(transaction, charge)?;
        }
        ImportedRecord::Charge(charge) => financials::insert_charge(transaction, charge)?,
        ImportedRecord::Payment(payment) => {
            for allocation in &payment.allocations {
                if !is_owed(transaction, allocation.charge, allocation.amount).or_write_error()? {
                    return Ok(false);
                }
            }
            financials::insert_payment(transaction, payment)?;
        }
    }
    Ok(true)
}

/// A charge that was taken by hand is of what it turns out to be for.
fn add_or_link(transaction: &Transaction<'_>, charge: &Charge) -> Result<(), WriteError> {
    if !is_known(transaction, ImportedId::Charge(charge.id)).or_write_error()? {
        return financials::insert_charge(transaction, charge);
    }
    let source = &charge.source;
    transaction
        .prepare_cached(
            "UPDATE charges SET study = ?2, report = ?3, diagnosis = ?4, author = ?5, task = ?6
             WHERE id = ?1 AND study IS NULL AND report IS NULL",
        )
        .and_then(|mut link| {
            link.execute(params![
                blob(charge.id),
                optional_blob(source.study()),
                optional_blob(source.report()),
                optional_blob(source.diagnosis()),
                optional_blob(source.author()),
                charge.task.as_ref().map(TaskCode::as_str),
            ])
        })
        .or_write_error()?;
    Ok(())
}

/// Whether that version has a report, or the report on the diagnosis was charged.
fn is_reported(connection: &Connection, diagnosis: DiagnosisId, version: u32) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM reports WHERE diagnosis = ?1 AND diagnosis_version = ?2)
             OR EXISTS (SELECT 1 FROM charges WHERE diagnosis = ?1 AND report IS NOT NULL)",
        )?
        .query_row(params![blob(diagnosis), version], |row| row.get(0))
}

fn is_owed(connection: &Connection, charge: ChargeId, amount: Money) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(concat!(
            "SELECT EXISTS (SELECT 1 FROM charges c WHERE c.id = ? AND c.voided_at IS NULL AND c.currency = ? AND ",
            outstanding!(),
            " >= ?)"
        ))?
        .query_row(params![blob(charge), amount.currency().as_str(), amount.amount_minor()], |row| row.get(0))
}
