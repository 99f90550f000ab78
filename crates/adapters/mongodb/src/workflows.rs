//! The writes that span domains, of the inserts of each.

use async_trait::async_trait;
use infirmary_kernel::{DiagnosisId, Trail, WriteError, Written};
use infirmary_workflows::{
    IssuedReport, RecordedStudy, RegisteredAccount, Registry, ReportIssuer, StudyRecord, StudyRecorder,
};
use mongodb::bson::doc;

use crate::{
    MongoStore, accounts, diagnosis, documents, financials, imaging, patients, reports,
    schema::CHARGES,
    transaction::{Transaction, Write, line},
};

#[async_trait]
impl Write for RegisteredAccount {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        accounts::create(transaction, &self.account).await?;
        patients::insert(transaction, &self.patient).await
    }
}

#[async_trait]
impl Registry for MongoStore {
    async fn register_account(&self, registered: RegisteredAccount) -> Result<(), WriteError> {
        self.write(&registered).await.map(|_| ())
    }
}

#[async_trait]
impl Write for RecordedStudy {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        let StudyRecord { study, images, diagnosis, charges } = &self.record;
        // First, as it names the law when the patient is none of the registry.
        diagnosis::insert(transaction, diagnosis).await?;
        imaging::insert(transaction, study, images).await?;
        financials::insert_charges(transaction, charges).await
    }
}

#[async_trait]
impl StudyRecorder for MongoStore {
    async fn record_study(&self, recorded: RecordedStudy) -> Result<Written, WriteError> {
        self.write(&recorded).await
    }
}

#[async_trait]
impl Write for IssuedReport {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    fn line(&self) -> Option<usize> {
        Some(line(self.report.diagnosis))
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        let IssuedReport { report, charge, .. } = self;
        // Whoever else reports on the diagnosis, or changes it, is undone or undoes this.
        if !diagnosis::stays_at(transaction, report.diagnosis, report.diagnosis_version).await? {
            return Err(WriteError::Stale);
        }
        reports::insert(transaction, report).await?;
        if is_charged(transaction, report.diagnosis).await? {
            return Ok(());
        }
        financials::insert_charge(transaction, charge).await
    }
}

#[async_trait]
impl ReportIssuer for MongoStore {
    async fn issue_report(&self, issued: IssuedReport) -> Result<Written, WriteError> {
        self.write(&issued).await
    }
}

/// Whether the report on the diagnosis was charged, of whichever version.
async fn is_charged(transaction: &mut Transaction<'_>, diagnosis: DiagnosisId) -> Result<bool, WriteError> {
    let of_report = doc! { "diagnosis": documents::id(diagnosis), "report": { "$exists": true } };
    Ok(transaction.find_one(&CHARGES, of_report).await?.is_some())
}
