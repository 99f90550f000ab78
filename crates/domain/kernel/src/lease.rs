use std::time::Duration;

use async_trait::async_trait;

use crate::{InstanceId, StoreError, Timestamp};

/// The right to do one job alone, of all the processes on one store, until a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Which job: a name of this program's, the same in every process.
    pub name: &'static str,
    pub holder: InstanceId,
    /// Higher for every holding of the name than for all before it: a write that carries it can be told from one of a holder
    /// who does not know yet that it is over.
    pub fence: u64,
    pub until: Timestamp,
}

impl Lease {
    /// What a holding is good for. Its holder renews it long before.
    pub const TTL_SECONDS: u64 = 15;
    pub const RENEWED_EVERY_SECONDS: u64 = 5;
    /// How far the clocks of two machines may be apart: nobody takes a lease over before it has been over for that long.
    /// With the rest it makes the time until another goes on, at most 15 + 5 + 5 seconds.
    pub const MAX_CLOCK_SKEW_SECONDS: u64 = 5;
    /// An end that is further away was set by a clock that is wrong, and nobody waits for it.
    pub const MAX_AHEAD_SECONDS: u64 = 60;

    /// Whether the holder may still act on it. Asked before each step, by the holder's own clock.
    pub fn holds(&self, now: Timestamp) -> bool {
        now < self.until
    }

    /// Whether another may take it.
    pub fn is_free(&self, now: Timestamp) -> bool {
        let (latest_over, earliest_wrong) = Self::free_outside(now);
        self.until <= latest_over || self.until > earliest_wrong
    }

    /// A lease that ends after the first and no later than the second is nobody else's.
    pub fn free_outside(now: Timestamp) -> (Timestamp, Timestamp) {
        let over = now.minus(Duration::from_secs(Self::MAX_CLOCK_SKEW_SECONDS));
        (over, now.plus(Duration::from_secs(Self::MAX_AHEAD_SECONDS)))
    }

    pub fn until(now: Timestamp) -> Timestamp {
        now.plus(Duration::from_secs(Self::TTL_SECONDS))
    }
}

/// The leases of the processes that share a store.
///
/// Laws
/// - Of however many ask for a name at once, one gets it. It lasts until [`Lease::until`] of the moment it was asked for.
/// - While it is not free ([`Lease::is_free`]), nobody gets the name, its own holder included: who holds it renews it.
/// - Each holding of a name has a higher fence than every one before it, also than those that were released.
/// - `renew` prolongs the very holding it is given, as long as nobody took it over: `None` when it is another's, or was
///   released. So a holder who comes back after a pause cannot go on beside its successor.
/// - `release` frees the very holding it is given at once, and does nothing to a later one.
/// - Names are apart.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait Leases: Send + Sync {
    async fn acquire(
        &self,
        name: &'static str,
        holder: InstanceId,
        now: Timestamp,
    ) -> Result<Option<Lease>, StoreError>;
    async fn renew(&self, lease: &Lease, now: Timestamp) -> Result<Option<Lease>, StoreError>;
    async fn release(&self, lease: &Lease) -> Result<(), StoreError>;
}
