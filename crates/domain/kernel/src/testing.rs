//! For the tests of every crate: a clock that stands until it is moved, ids in order, callers, a journal and objects in
//! memory.

pub mod key_check_laws;
pub mod lease_laws;
pub mod object_laws;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    AccountId, BrokenGlass, Caller, Claim, Clock, Confidentiality, Entropy, Event, Gate, Id, IdSource, IdempotencyKey,
    Journal, Origin, OutgoingMessage, PatientId, Receipts, Role, SessionId, Signer, Standing, StoreError, Timestamp,
    Trail, WriteError, Written,
};

pub use lease_laws::MemoryLeases;
pub use object_laws::{MemoryObjects, keep_object, read_object};

/// Starts at 2026-03-01T09:00:00Z.
pub struct ManualClock(AtomicI64);

impl Default for ManualClock {
    fn default() -> Self {
        Self(AtomicI64::new(1_772_355_600_000))
    }
}

impl ManualClock {
    pub fn advance(&self, duration: Duration) {
        self.0.fetch_add(i64::try_from(duration.as_millis()).unwrap_or(0), Ordering::SeqCst);
    }

    pub fn set(&self, time: Timestamp) {
        self.0.store(time.unix_ms(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.0.load(Ordering::SeqCst))
    }
}

/// UUIDv7 with a counter where the random bits would be. Each source starts elsewhere, so that two never collide.
pub struct CountingIds(AtomicU64);

impl Default for CountingIds {
    fn default() -> Self {
        static SOURCES: AtomicU64 = AtomicU64::new(1);
        Self(AtomicU64::new(SOURCES.fetch_add(1, Ordering::Relaxed) << 40))
    }
}

impl IdSource for CountingIds {
    fn uuid_v7(&self, now: Timestamp) -> Uuid {
        let count = u128::from(self.0.fetch_add(1, Ordering::Relaxed));
        let ms = (now.unix_ms() as u128) & 0xffff_ffff_ffff;
        let high = (count >> 62) & 0xfff;
        let low = count & 0x3fff_ffff_ffff_ffff;
        Uuid::from_u128((ms << 80) | (0x7 << 76) | (high << 64) | (0b10 << 62) | low)
    }
}

/// SHA-256 over a counter: bytes that look random, and are the same in every run. Starts at the count given.
#[derive(Default)]
pub struct CountingEntropy(AtomicU64);

impl CountingEntropy {
    pub const fn starting_at(count: u64) -> Self {
        Self(AtomicU64::new(count))
    }
}

impl Entropy for CountingEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(32) {
            let block = Sha256::digest(self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes());
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }
}

/// Under a secret that everybody knows.
pub struct TestSigner;

impl Signer for TestSigner {
    fn mac(&self, purpose: &'static str, payload: &[u8]) -> [u8; 32] {
        Sha256::new().chain_update(purpose).chain_update([0]).chain_update(payload).finalize().into()
    }
}

pub fn fresh_id<T>() -> Id<T> {
    static IDS: std::sync::LazyLock<CountingIds> = std::sync::LazyLock::new(CountingIds::default);
    Id::from_uuid(IDS.uuid_v7(ManualClock::default().now()))
}

pub fn origin() -> Origin {
    Origin { request: fresh_id(), address: Some([127, 0, 0, 1].into()), agent: Some("tests".into()) }
}

pub fn caller(role: Role) -> Caller {
    Caller {
        account: fresh_id(),
        role,
        patient: None,
        session: fresh_id(),
        authenticated_at: ManualClock::default().now(),
        must_enrol: false,
        origin: origin(),
        broken_glass: BrokenGlass::default(),
    }
}

/// The patient themselves.
pub fn patient_caller(patient: PatientId) -> Caller {
    Caller { patient: Some(patient), ..caller(Role::Patient) }
}

/// The trail of a write that nobody repeats.
pub fn trail(action: crate::Action) -> Trail {
    let caller = caller(Role::Admin);
    let event = Event::by(fresh_id(), ManualClock::default().now(), &caller, action, crate::Subject::all("test"));
    Trail::new(event)
}

pub fn trail_with_claim(action: crate::Action, claim: Claim) -> Trail {
    Trail { claim: Some(claim), ..trail(action) }
}

/// What a suite of laws makes for each of its tests: a store and whatever has to live as long as it does. Or nothing, where
/// what such a store needs is not there; then the maker has said so, and the test is skipped.
pub trait Made {
    type Parts;
    fn parts(self) -> Option<Self::Parts>;
}

impl<S, K> Made for (S, K) {
    type Parts = Self;
    fn parts(self) -> Option<Self> {
        Some(self)
    }
}

impl<T> Made for Option<T> {
    type Parts = T;
    fn parts(self) -> Self {
        self
    }
}

pub fn made<M: Made>(made: M) -> Option<M::Parts> {
    made.parts()
}

/// A lock whose holder panicked is a test that failed already.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What in-memory stores share: the events, claims and messages of all writes. Clones are the same memory.
#[derive(Clone, Default)]
pub struct MemoryJournal {
    events: Arc<Mutex<Vec<Event>>>,
    claims: Arc<Mutex<HashMap<(AccountId, String), Claim>>>,
    messages: Arc<Mutex<Vec<OutgoingMessage>>>,
}

impl MemoryJournal {
    pub fn events(&self) -> Vec<Event> {
        locked(&self.events).clone()
    }

    pub fn messages(&self) -> Vec<OutgoingMessage> {
        locked(&self.messages).clone()
    }

    /// Call it under the store's own lock, before any change: `Some` when the trail's key was used before, and nothing is
    /// to be changed.
    pub fn repeated(&self, trail: &Trail) -> Result<Option<Written>, WriteError> {
        let Some(claim) = &trail.claim else { return Ok(None) };
        match locked(&self.claims).get(&(claim.account, claim.key.as_str().to_owned())) {
            Some(known) if known.fingerprint == claim.fingerprint => Ok(Some(Written::Before(known.receipt.clone()))),
            Some(_) => Err(WriteError::KeyReused),
            None => Ok(None),
        }
    }

    /// Call it under the same lock, when the change is made.
    pub fn keep(&self, trail: Trail) -> Written {
        locked(&self.events).push(trail.event);
        locked(&self.messages).extend(trail.messages);
        if let Some(claim) = trail.claim {
            locked(&self.claims).insert((claim.account, claim.key.as_str().to_owned()), claim);
        }
        Written::Now
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn append_all(&self, events: Vec<Event>) -> Result<(), StoreError> {
        locked(&self.events).extend(events);
        Ok(())
    }
}

#[async_trait]
impl Receipts for MemoryJournal {
    async fn find(&self, account: AccountId, key: &IdempotencyKey) -> Result<Option<Claim>, StoreError> {
        Ok(locked(&self.claims).get(&(account, key.as_str().to_owned())).cloned())
    }
}

/// Which records are restricted, what their care teams are, and who has emergency access until when: what in-memory stores
/// share of it. Clones are the same memory.
#[derive(Clone, Default)]
pub struct MemoryConfidentiality(Arc<Mutex<Restrictions>>);

#[derive(Default)]
struct Restrictions {
    restricted: HashSet<PatientId>,
    care_teams: HashSet<(PatientId, AccountId)>,
    emergency: Vec<(PatientId, SessionId, Timestamp)>,
}

impl MemoryConfidentiality {
    pub fn restrict(&self, patient: PatientId) {
        locked(&self.0).restricted.insert(patient);
    }

    /// Ends emergency access, too.
    pub fn lift(&self, patient: PatientId) {
        let mut all = locked(&self.0);
        all.restricted.remove(&patient);
        all.emergency.retain(|(of, ..)| *of != patient);
    }

    pub fn add_to_care_team(&self, patient: PatientId, account: AccountId) -> bool {
        locked(&self.0).care_teams.insert((patient, account))
    }

    pub fn remove_from_care_team(&self, patient: PatientId, account: AccountId) -> bool {
        locked(&self.0).care_teams.remove(&(patient, account))
    }

    pub fn break_glass(&self, patient: PatientId, session: SessionId, until: Timestamp) {
        locked(&self.0).emergency.push((patient, session, until));
    }

    /// Whether a list for that reader ([`Gate::reader`]) has the records of the patient.
    pub fn shows(&self, patient: PatientId, reader: Option<AccountId>) -> bool {
        let all = locked(&self.0);
        let Some(account) = reader else { return true };
        !all.restricted.contains(&patient) || all.care_teams.contains(&(patient, account))
    }
}

#[async_trait]
impl Confidentiality for MemoryConfidentiality {
    async fn standing(
        &self,
        patient: PatientId,
        account: AccountId,
        session: SessionId,
        at: Timestamp,
    ) -> Result<Standing, StoreError> {
        let all = locked(&self.0);
        let broken =
            |(of, by, until): &(PatientId, SessionId, Timestamp)| *of == patient && *by == session && *until > at;
        Ok(if !all.restricted.contains(&patient) {
            Standing::Open
        } else if all.care_teams.contains(&(patient, account)) {
            Standing::CareTeam
        } else if all.emergency.iter().any(broken) {
            Standing::EmergencyAccess
        } else {
            Standing::Outside
        })
    }
}

/// A gate over memory, with its parts at hand.
pub struct TestGate {
    pub gate: Gate,
    pub journal: MemoryJournal,
    pub confidentiality: MemoryConfidentiality,
    pub clock: Arc<ManualClock>,
}

impl Default for TestGate {
    fn default() -> Self {
        let (journal, confidentiality) = (MemoryJournal::default(), MemoryConfidentiality::default());
        let clock = Arc::new(ManualClock::default());
        let gate = Gate::new(
            Arc::new(journal.clone()),
            Arc::new(journal.clone()),
            Arc::new(confidentiality.clone()),
            clock.clone(),
            Arc::new(CountingIds::default()),
        );
        Self { gate, journal, confidentiality, clock }
    }
}
