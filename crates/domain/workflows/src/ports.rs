use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use infirmary_auth::NewAccount;
use infirmary_diagnosis::{DiagnosisFilter, DiagnosisStatus};
use infirmary_financials::Charge;
use infirmary_kernel::{
    AccountId, ConversionId, DiagnosisId, Page, PageRequest, PatientId, PersonName, StoreError, Trail, WriteError,
    Written,
};
use infirmary_patients::{Mrn, Patient};
use infirmary_reports::Report;

use crate::{
    Conversion, DiagnosisDetail, Flaw, HouseCounts, HouseRecord, Imported, ImportedId, ListedDiagnosis, NamedObject,
    ObjectOwner, PatientCounts, RecordKey, RecordKind, RecordLaw, StudyRecord,
};

/// Somebody who registered themselves: the account with its session, and the patient record that it is for.
#[derive(Debug, Clone)]
pub struct RegisteredAccount {
    pub account: NewAccount,
    pub patient: Patient,
    pub trail: Trail,
}

/// Accounts and patients together.
///
/// Laws
/// - Account, password, session, patient and audit event are all there, or none is.
/// - The laws of uniqueness of both domains hold, with their names: `email`, `mrn`, `account`.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait Registry: Send + Sync {
    async fn register_account(&self, registered: RegisteredAccount) -> Result<(), WriteError>;
}

/// A study to be added, with all that belongs to it. Its bytes are kept already.
#[derive(Debug, Clone)]
pub struct RecordedStudy {
    pub record: StudyRecord,
    pub trail: Trail,
}

/// Images, diagnosis and charges together.
///
/// Laws
/// - Study, images, diagnosis with its first version, charges, audit event and claim are all there, or none is; a reader
///   never sees half.
/// - With a claim that was used: [`Written::Before`] with that receipt, and nothing is added. With another fingerprint:
///   `KeyReused`.
/// - The laws of uniqueness of the domains hold, with their names; the patient is one of the registry.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait StudyRecorder: Send + Sync {
    async fn record_study(&self, recorded: RecordedStudy) -> Result<Written, WriteError>;
}

/// A report to be added, and what it is charged. Its bytes are kept already.
#[derive(Debug, Clone)]
pub struct IssuedReport {
    pub report: Report,
    /// Added unless the report on this diagnosis was charged before: an amended diagnosis is reported again for nothing.
    pub charge: Charge,
    pub trail: Trail,
}

/// Reports and charges together.
///
/// Laws
/// - Report, charge, audit event and claim are all there, or none is.
/// - With a claim that was used: as [`StudyRecorder`].
/// - One report of a version of a diagnosis: `Conflict` with [`Report::ONE_FOR_A_VERSION`]. However many ask at once, the
///   report on a diagnosis is charged once.
/// - `Stale` when the diagnosis has another version than the one reported.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait ReportIssuer: Send + Sync {
    async fn issue_report(&self, issued: IssuedReport) -> Result<Written, WriteError>;
}

/// Takes records of another system, many at a time.
///
/// Laws
/// - `import` adds the records of a batch in their order and in one transaction, each with its event, and gives how many it
///   added. On an error none of them is there.
/// - A record whose id is there is left alone, with all that belongs to it: the same batch again adds nothing.
/// - The charge of a study or a report may be there, by hand: then it is linked to them, and stays what it is beside.
/// - A study is left alone, too, when its diagnosis has one; a report when that version of the diagnosis has one, or the
///   report on the diagnosis was charged; and a payment when what it would pay is not owed any more: somebody did it here
///   meanwhile.
/// - The laws of uniqueness of the domains hold, with their names.
/// - `known` gives those of the ids that are there.
/// - `reserve_mrns` gives the first of so many record numbers in a row, which are given to nobody else.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait Importer: Send + Sync {
    async fn import(&self, batch: Vec<Imported>) -> Result<u64, WriteError>;
    async fn known(&self, ids: &[ImportedId]) -> Result<HashSet<ImportedId>, StoreError>;
    async fn reserve_mrns(&self, count: u64) -> Result<Mrn, StoreError>;
}

/// Reads that span domains, each of one moment and in a fixed number of queries, whatever the number of rows.
///
/// Laws
/// - `diagnosis` gives what was written in all the domains, to the last code point; images by position; the report of the
///   newest version that has one.
/// - `diagnoses` gives what the filter takes, newest first (time of recording, then id); pages are stable under inserts and
///   equal times.
/// - `counts` counts diagnoses of those statuses, images of studies and reports of diagnoses of those statuses, and charges
///   that are not void; `None` when there is no such patient.
/// - `names` gives those of the accounts that exist.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait Overview: Send + Sync {
    async fn diagnosis(&self, id: DiagnosisId) -> Result<Option<DiagnosisDetail>, StoreError>;
    async fn diagnoses(
        &self,
        filter: &DiagnosisFilter,
        page: &PageRequest,
    ) -> Result<Page<ListedDiagnosis>, StoreError>;
    async fn counts(
        &self,
        patient: PatientId,
        statuses: &[DiagnosisStatus],
    ) -> Result<Option<PatientCounts>, StoreError>;
    async fn names(&self, accounts: &[AccountId]) -> Result<HashMap<AccountId, PersonName>, StoreError>;
}

/// What is read to verify a house, to back it up, and to tell rubbish from objects. Nobody's record is shown by it.
///
/// Laws
/// - Nothing is written, and memory is bounded whatever the number of rows.
/// - `flaws` of a store that only this code wrote to is empty for every law; an answer is of one moment.
/// - `objects` gives every object that a row names, each once: of images, then of reports, each in the order of the ids.
/// - `known` gives those of the owners that have a row, in any order.
/// - `counts` are of one moment.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait Inspection: Send + Sync {
    /// At most `most` of what is wrong.
    async fn flaws(&self, law: RecordLaw, most: usize) -> Result<Vec<Flaw>, StoreError>;
    /// The first `most` after the one given.
    async fn objects(&self, after: Option<ObjectOwner>, most: usize) -> Result<Vec<NamedObject>, StoreError>;
    async fn known(&self, owners: &[ObjectOwner]) -> Result<Vec<ObjectOwner>, StoreError>;
    async fn counts(&self) -> Result<HouseCounts, StoreError>;
}

/// A whole store, to be copied to another or filled from one. Nobody's gate is before it: it is for who has the store itself.
///
/// Laws
/// - `records` gives those of a kind that come after a key, in the order of their keys, at most so many, each as it was
///   written, with all that the store keeps of it. `count` says how many there are, as far as the store knows without looking
///   at each.
/// - `add` adds the records in one transaction: all of them, or none. They go on where the last ones ended, in the order of
///   their places; those up to there are left alone, so the same records again add nothing. Only a store that is the target
///   of that very conversion takes any (`Stale`).
/// - Records stand as the writes of the other store left them: what a write is held against here (what is owed, how many
///   sessions there may be) is not asked again. The laws of uniqueness are.
/// - What was added is found by every port as if it had been written here, and the house goes on with it: record numbers,
///   chains of the audit log, claims.
/// - `conversion` gives what was set last.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait Transfer: Send + Sync {
    /// The key that every record comes after is [`RecordKey::default`].
    async fn records(&self, kind: RecordKind, after: &RecordKey, most: usize) -> Result<Vec<HouseRecord>, StoreError>;
    async fn count(&self, kind: RecordKind) -> Result<u64, StoreError>;
    async fn add(&self, conversion: ConversionId, records: Vec<HouseRecord>) -> Result<(), WriteError>;
    async fn conversion(&self) -> Result<Option<Conversion>, StoreError>;
    async fn set_conversion(&self, conversion: Option<Conversion>) -> Result<(), StoreError>;
}
