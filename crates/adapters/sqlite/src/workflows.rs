//! The writes that span domains, of the inserts of each.

use async_trait::async_trait;
use infirmary_kernel::{DiagnosisId, WriteError, Written};
use infirmary_workflows::{
    IssuedReport, RecordedStudy, RegisteredAccount, Registry, ReportIssuer, StudyRecord, StudyRecorder,
};
use rusqlite::OptionalExtension;

use crate::{
    SqliteStore, accounts, diagnosis, financials, imaging, patients, reports,
    rows::{OrWriteError, blob},
    writer::Transaction,
};

#[async_trait]
impl Registry for SqliteStore {
    async fn register_account(&self, registered: RegisteredAccount) -> Result<(), WriteError> {
        self.write(move |transaction| {
            accounts::create(transaction, &registered.account)?;
            patients::insert(transaction, &registered.patient)?;
            transaction.keep(&registered.trail).map(|_| ())
        })
        .await
    }
}

#[async_trait]
impl StudyRecorder for SqliteStore {
    async fn record_study(&self, recorded: RecordedStudy) -> Result<Written, WriteError> {
        self.write(move |transaction| {
            if let Some(before) = transaction.repeated(&recorded.trail)? {
                return Ok(before);
            }
            let StudyRecord { study, images, diagnosis, charges } = &recorded.record;
            // First, as it names the law when the patient is none of the registry.
            diagnosis::insert(transaction, diagnosis)?;
            imaging::insert(transaction, study, images)?;
            charges.iter().try_for_each(|charge| financials::insert_charge(transaction, charge))?;
            transaction.keep(&recorded.trail)
        })
        .await
    }
}

#[async_trait]
impl ReportIssuer for SqliteStore {
    async fn issue_report(&self, issued: IssuedReport) -> Result<Written, WriteError> {
        self.write(move |transaction| {
            if let Some(before) = transaction.repeated(&issued.trail)? {
                return Ok(before);
            }
            let IssuedReport { report, charge, trail } = &issued;
            if version_of(transaction, report.diagnosis)? != Some(report.diagnosis_version) {
                return Err(WriteError::Stale);
            }
            reports::insert(transaction, report)?;
            if !is_charged(transaction, report.diagnosis)? {
                financials::insert_charge(transaction, charge)?;
            }
            transaction.keep(trail)
        })
        .await
    }
}

fn version_of(transaction: &Transaction<'_>, diagnosis: DiagnosisId) -> Result<Option<u32>, WriteError> {
    transaction
        .prepare_cached("SELECT version FROM diagnoses WHERE id = ?")
        .and_then(|mut find| find.query_row([blob(diagnosis)], |row| row.get(0)).optional())
        .or_write_error()
}

/// Whether the report on the diagnosis was charged, of whichever version.
fn is_charged(transaction: &Transaction<'_>, diagnosis: DiagnosisId) -> Result<bool, WriteError> {
    transaction
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM charges WHERE diagnosis = ? AND report IS NOT NULL)")
        .and_then(|mut find| find.query_row([blob(diagnosis)], |row| row.get(0)))
        .or_write_error()
}
