//! Leases in memory, and the laws of [`Leases`] as a suite: `infirmary_kernel::lease_laws!(make_leases)`, where
//! `make_leases` is an async function that gives the leases of a store that nobody asked yet, and whatever has to live as
//! long as they do.

#![allow(clippy::unwrap_used, reason = "a law that does not hold is a panic")]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::join_all;

use super::{ManualClock, fresh_id, locked};
use crate::{Clock, InstanceId, Lease, Leases, StoreError, Timestamp};

#[macro_export]
macro_rules! lease_laws {
    ($make:path) => {
        $crate::lease_laws!(@each $make:
            of_sixteen_who_ask_at_once_one_gets_the_lease
            a_lease_that_is_held_is_nobody_elses_until_it_is_over_for_both_clocks
            a_lease_by_a_clock_that_was_a_month_ahead_is_not_waited_for
            a_renewed_lease_lasts_from_the_renewal
            who_was_taken_over_cannot_renew_or_release
            a_released_lease_is_free_at_once_and_its_fences_go_on
            names_are_apart);
    };
    (@each $make:path: $($law:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $law() {
            let Some((leases, _keep)) = $crate::testing::made($make().await) else { return };
            $crate::testing::lease_laws::$law(&leases).await;
        })*
    };
}

const SECOND: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_secs(Lease::TTL_SECONDS);
const SKEW: Duration = Duration::from_secs(Lease::MAX_CLOCK_SKEW_SECONDS);
const NAME: &str = "sweeping";

fn start() -> Timestamp {
    ManualClock::default().now()
}

async fn acquire(leases: &impl Leases, holder: InstanceId, now: Timestamp) -> Option<Lease> {
    leases.acquire(NAME, holder, now).await.unwrap()
}

pub async fn of_sixteen_who_ask_at_once_one_gets_the_lease(leases: &impl Leases) {
    let (mut now, mut fence) = (start(), None);
    for _ in 0..3 {
        let asked = join_all((0..16).map(|_| leases.acquire(NAME, fresh_id(), now))).await;
        let got: Vec<Lease> = asked.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(got.len(), 1);
        assert!(fence < Some(got[0].fence), "{fence:?}");
        fence = Some(got[0].fence);
        now = now.plus(TTL + SKEW);
    }
}

pub async fn a_lease_that_is_held_is_nobody_elses_until_it_is_over_for_both_clocks(leases: &impl Leases) {
    let (first, second) = (fresh_id(), fresh_id());
    let lease = acquire(leases, first, start()).await.unwrap();
    assert_eq!((lease.name, lease.holder, lease.until), (NAME, first, start().plus(TTL)));
    for (holder, later) in [(second, SECOND), (first, SECOND), (second, TTL), (second, TTL + SKEW - SECOND / 1_000)] {
        assert_eq!(acquire(leases, holder, start().plus(later)).await, None, "{later:?}");
    }
    let taken_over = acquire(leases, second, start().plus(TTL + SKEW)).await.unwrap();
    assert!(taken_over.holder == second && taken_over.fence > lease.fence);
}

pub async fn a_lease_by_a_clock_that_was_a_month_ahead_is_not_waited_for(leases: &impl Leases) {
    let month = SECOND * (31 * 24 * 60 * 60);
    let ahead = acquire(leases, fresh_id(), start().plus(month)).await.unwrap();
    let taken_over = acquire(leases, fresh_id(), start()).await.unwrap();
    assert!(taken_over.fence > ahead.fence);
    assert_eq!(taken_over.until, start().plus(TTL));
    assert_eq!(leases.renew(&ahead, start().plus(month)).await.unwrap(), None);
}

pub async fn a_renewed_lease_lasts_from_the_renewal(leases: &impl Leases) {
    let lease = acquire(leases, fresh_id(), start()).await.unwrap();
    let later = start().plus(SECOND * 10);
    let renewed = leases.renew(&lease, later).await.unwrap().unwrap();
    assert_eq!(renewed, Lease { until: later.plus(TTL), ..lease });
    assert_eq!(acquire(leases, fresh_id(), start().plus(TTL + SKEW)).await, None);
    // Nobody took it meanwhile, so who was away may go on.
    let late = later.plus(Duration::from_secs(60 * 60));
    assert_eq!(leases.renew(&renewed, late).await.unwrap().map(|lease| lease.until), Some(late.plus(TTL)));
}

pub async fn who_was_taken_over_cannot_renew_or_release(leases: &impl Leases) {
    let holder = fresh_id();
    let lease = acquire(leases, holder, start()).await.unwrap();
    let later = start().plus(TTL + SKEW);
    // The same process, even: it is the holding that counts.
    let successor = acquire(leases, holder, later).await.unwrap();
    assert_eq!(leases.renew(&lease, later).await.unwrap(), None);
    leases.release(&lease).await.unwrap();
    assert_eq!(acquire(leases, fresh_id(), later).await, None, "it is still held");
    assert!(leases.renew(&successor, later).await.unwrap().is_some());
}

pub async fn a_released_lease_is_free_at_once_and_its_fences_go_on(leases: &impl Leases) {
    let lease = acquire(leases, fresh_id(), start()).await.unwrap();
    leases.release(&lease).await.unwrap();
    assert_eq!(leases.renew(&lease, start()).await.unwrap(), None, "what was released is over");
    let next = acquire(leases, fresh_id(), start()).await.unwrap();
    assert!(next.fence > lease.fence);
    leases.release(&lease).await.unwrap();
    assert_eq!(acquire(leases, fresh_id(), start()).await, None, "a second release does nothing to the next one");
}

pub async fn names_are_apart(leases: &impl Leases) {
    let lease = acquire(leases, fresh_id(), start()).await.unwrap();
    let other = leases.acquire("$other.{name}", fresh_id(), start()).await.unwrap().unwrap();
    assert_eq!(other.name, "$other.{name}");
    leases.release(&other).await.unwrap();
    assert_eq!(acquire(leases, fresh_id(), start()).await, None);
    assert!(leases.renew(&lease, start()).await.unwrap().is_some());
}

/// Clones are the same memory.
#[derive(Clone, Default)]
pub struct MemoryLeases(Arc<Mutex<HashMap<&'static str, Held>>>);

/// A name that was held; without a lease, it was released.
#[derive(Default)]
struct Held {
    lease: Option<Lease>,
    fence: u64,
}

#[async_trait]
impl Leases for MemoryLeases {
    async fn acquire(
        &self,
        name: &'static str,
        holder: InstanceId,
        now: Timestamp,
    ) -> Result<Option<Lease>, StoreError> {
        let mut leases = locked(&self.0);
        let held = leases.entry(name).or_default();
        if held.lease.is_some_and(|lease| !lease.is_free(now)) {
            return Ok(None);
        }
        held.fence += 1;
        held.lease = Some(Lease { name, holder, fence: held.fence, until: Lease::until(now) });
        Ok(held.lease)
    }

    async fn renew(&self, lease: &Lease, now: Timestamp) -> Result<Option<Lease>, StoreError> {
        let mut leases = locked(&self.0);
        let held = leases.get_mut(lease.name).and_then(|held| held.lease.as_mut());
        Ok(held.filter(|held| held.fence == lease.fence).map(|held| {
            held.until = Lease::until(now);
            *held
        }))
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let mut leases = locked(&self.0);
        if let Some(held) = leases.get_mut(lease.name).filter(|held| held.lease.is_some_and(|l| l.fence == lease.fence))
        {
            held.lease = None;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::MemoryLeases;

    async fn leases() -> (MemoryLeases, ()) {
        (MemoryLeases::default(), ())
    }

    lease_laws!(leases);
}
