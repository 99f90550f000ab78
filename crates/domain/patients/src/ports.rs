use async_trait::async_trait;
use infirmary_kernel::{NamePart, Page, PageRequest, PatientId, StoreError, Trail, WriteError, Written};

use crate::{Mrn, Patient, SearchTerms};

/// A patient to be added. Its number is the one that [`PatientStore::next_mrn`] gave.
#[derive(Debug, Clone)]
pub struct RegisteredPatient {
    pub patient: Patient,
    pub trail: Trail,
}

/// A patient as it is to be from now on. `patient.version` is one more than the version that was read.
#[derive(Debug, Clone)]
pub struct ChangedPatient {
    pub patient: Patient,
    pub trail: Trail,
}

/// The registry.
///
/// Laws
/// - A write is there whole, with its audit event and its claim, or not at all.
/// - `register` with a claim that was used: [`Written::Before`] with that receipt, and nothing is added. With another
///   fingerprint: `KeyReused`.
/// - No two patients have one record number, or one account: `Conflict`, with the law `mrn` or `account`.
/// - `next_mrn` never gives a number twice, whether or not it was used.
/// - `change` of a version that is not the stored one: `Stale`, and nothing changes.
/// - `find` gives what was written, to the last code point.
/// - `search` gives each patient once whose words begin with every term, in the order of the first matching word of the
///   first term, then of the id; its pages are stable under inserts.
/// - `list` gives all, newest first; pages are stable under inserts and equal times.
/// - `named` gives those whose folded name has the part, wherever it stands, oldest first (time of registration, then id), at
///   most `most`.
/// - `candidates` gives those with the same phone, or the same folded name and the same birth date, at most
///   [`MAX_CANDIDATES`].
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait PatientStore: Send + Sync {
    async fn next_mrn(&self) -> Result<Mrn, StoreError>;
    async fn register(&self, registered: RegisteredPatient) -> Result<Written, WriteError>;
    async fn change(&self, changed: ChangedPatient) -> Result<(), WriteError>;
    async fn find(&self, id: PatientId) -> Result<Option<Patient>, StoreError>;
    async fn search(&self, terms: &SearchTerms, page: &PageRequest) -> Result<Page<Patient>, StoreError>;
    async fn list(&self, page: &PageRequest) -> Result<Page<Patient>, StoreError>;
    async fn named(&self, part: &NamePart, most: usize) -> Result<Vec<Patient>, StoreError>;
    async fn candidates(&self, patient: &Patient) -> Result<Vec<Patient>, StoreError>;
}

pub const MAX_CANDIDATES: usize = 5;
