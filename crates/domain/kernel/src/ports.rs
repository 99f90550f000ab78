use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use uuid::Uuid;

use crate::{AccountId, Claim, Event, Id, IdempotencyKey, StoreError, Timestamp};

/// The only way to learn the time.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

/// The only way to mint an id.
///
/// Laws: every value is a UUIDv7 of the moment given, and no two are the same.
pub trait IdSource: Send + Sync {
    fn uuid_v7(&self, now: Timestamp) -> Uuid;
}

impl dyn IdSource {
    pub fn mint<T>(&self, now: Timestamp) -> Id<T> {
        Id::from_uuid(self.uuid_v7(now))
    }
}

/// The only way to draw secrets: tokens, codes, salts.
///
/// Laws: every byte is filled, from a source fit for cryptography; there is no way to fail, since without randomness
/// nothing may go on.
pub trait Entropy: Send + Sync {
    fn fill(&self, bytes: &mut [u8]);
}

/// The house's own signature under what it gives away and will be shown again, such as a link.
///
/// Laws
/// - HMAC-SHA-256 (RFC 2104) under a secret of the deployment, the same on every instance: nobody without the secret can
///   make one.
/// - A purpose is a key of its own: what was signed for one says nothing for another, whatever the payloads.
/// - The caller compares in constant time.
pub trait Signer: Send + Sync {
    fn mac(&self, purpose: &'static str, payload: &[u8]) -> [u8; 32];
}

/// The audit trail, for what is not part of a write: reads and refusals.
///
/// Laws
/// - When it answers `Ok`, the entries are durable and each is linked to the one before it.
/// - Of events that are given together all become entries, one after the other in one chain, or none does.
/// - In a log of one chain, entries of one process keep the order in which they were given.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait Journal: Send + Sync {
    async fn append_all(&self, events: Vec<Event>) -> Result<(), StoreError>;

    async fn append(&self, event: Event) -> Result<(), StoreError> {
        self.append_all(vec![event]).await
    }
}

/// The idempotency records that writes have left.
///
/// Laws
/// - A claim is found as soon as the write that carried it was acknowledged, and never without that write.
/// - A claim is kept for [`Claim::KEPT_HOURS`] at least.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait Receipts: Send + Sync {
    async fn find(&self, account: AccountId, key: &IdempotencyKey) -> Result<Option<Claim>, StoreError>;
}

/// How many rows a sweep removed, by the name of what they were; what was not there is not named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept(BTreeMap<&'static str, usize>);

impl Swept {
    pub fn of(removed: impl IntoIterator<Item = (&'static str, usize)>) -> Self {
        Self(removed.into_iter().filter(|(_, rows)| *rows > 0).collect())
    }
}

impl fmt::Display for Swept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        let removed: Vec<String> = self.0.iter().map(|(what, rows)| format!("{rows} {what}")).collect();
        f.write_str(&removed.join(", "))
    }
}

/// Removes rows that are over: claims older than [`Claim::KEPT_HOURS`], and whatever else a domain says that a store may
/// forget.
///
/// Laws
/// - Nobody who asks for what was removed hears anything else than before.
/// - Nothing that is not over at `now` is removed; all that is over goes, however much it is, and no other write waits long
///   for that.
/// - Any number of processes may do it at once. A store that forgets by itself may have nothing to do.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait Sweep: Send + Sync {
    async fn sweep(&self, now: Timestamp) -> Result<Swept, StoreError>;
}

/// Whether a store can do its work at this moment: what a load balancer asks before it sends requests.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait Readiness: Send + Sync {
    async fn check(&self) -> Result<(), StoreError>;
}
