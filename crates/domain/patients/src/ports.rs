use async_trait::async_trait;
use infirmary_kernel::{AccountId, NamePart, Page, PageRequest, PatientId, StoreError, Trail, WriteError, Written};

use crate::{CareTeamMember, EmergencyAccess, Mrn, Patient, SearchTerms};

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
/// - `change` that lifts a restriction ends every emergency access to the record in the same transaction.
/// - `find` and `by_mrn` give what was written, to the last code point.
/// - What is given many at once, is given for a reader: a restricted patient is in it when there is none, or when that account
///   is of the care team.
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
    async fn by_mrn(&self, mrn: Mrn) -> Result<Option<Patient>, StoreError>;
    async fn search(
        &self,
        terms: &SearchTerms,
        reader: Option<AccountId>,
        page: &PageRequest,
    ) -> Result<Page<Patient>, StoreError>;
    async fn list(&self, reader: Option<AccountId>, page: &PageRequest) -> Result<Page<Patient>, StoreError>;
    async fn named(&self, part: &NamePart, reader: Option<AccountId>, most: usize) -> Result<Vec<Patient>, StoreError>;
    async fn candidates(&self, patient: &Patient, reader: Option<AccountId>) -> Result<Vec<Patient>, StoreError>;
}

pub const MAX_CANDIDATES: usize = 5;

/// Somebody to be of the care team from now on.
#[derive(Debug, Clone)]
pub struct AddedMember {
    pub member: CareTeamMember,
    pub trail: Trail,
}

/// Somebody to be of the care team no longer.
#[derive(Debug, Clone)]
pub struct RemovedMember {
    pub patient: PatientId,
    pub account: AccountId,
    pub trail: Trail,
}

/// Emergency access that begins.
#[derive(Debug, Clone)]
pub struct StartedEmergencyAccess {
    pub access: EmergencyAccess,
    pub trail: Trail,
}

/// Care teams, and who broke the glass. What follows of both is told by [`infirmary_kernel::Confidentiality`].
///
/// Laws
/// - A write is there whole, with its audit event, its claim and its messages, or not at all; what follows of it holds from its
///   acknowledgement on.
/// - `add` gives whether they were not of the team before; if they were, nothing changes, and no event is kept. Beyond
///   [`CareTeamMember::MAX_PER_PATIENT`], also of many at once: `Conflict` with [`CareTeamMember::FULL`].
/// - `remove` of who is not of the team: `Stale`, and nothing changes.
/// - `members` gives the team in the order in which they came to it (time, then account).
/// - `start_emergency_access` with a claim that was used: [`Written::Before`] with that receipt, and nothing is added. With
///   another fingerprint: `KeyReused`.
/// - The patient of a write is one of the registry: else `Conflict` with [`CareTeamMember::OF_A_KNOWN_PATIENT`].
/// - `emergency_accesses` gives all there were to that record, newest first (start, then id), with the note that was given;
///   pages are stable under inserts and equal times. One that was ended before its time is over since then.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait CareTeamStore: Send + Sync {
    async fn add(&self, added: AddedMember) -> Result<bool, WriteError>;
    async fn remove(&self, removed: RemovedMember) -> Result<(), WriteError>;
    async fn members(&self, patient: PatientId) -> Result<Vec<CareTeamMember>, StoreError>;
    async fn start_emergency_access(&self, started: StartedEmergencyAccess) -> Result<Written, WriteError>;
    async fn emergency_accesses(
        &self,
        patient: PatientId,
        page: &PageRequest,
    ) -> Result<Page<EmergencyAccess>, StoreError>;
}
