use std::{future::Future, sync::Arc, time::Duration};

use infirmary_kernel::{Clock, InstanceId, Lease, Leases, StoreError};
use tokio::time::{sleep, timeout};

use super::Stop;

/// Does some work in one process at a time, of all that share a store. When that process dies, another goes on with it
/// within 30 seconds ([`Lease::MAX_CLOCK_SKEW_SECONDS`] has the sum).
pub struct Alone {
    pub leases: Arc<dyn Leases>,
    pub clock: Arc<dyn Clock>,
    pub name: &'static str,
    pub holder: InstanceId,
    pub pace: Pace,
}

/// Why something was not done alone, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum NotAlone {
    #[error("another process works on the store: a server, or another conversion; stop it first")]
    Held,
    #[error("the store could not be kept for this process alone: it did not answer in time")]
    Lost,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How often the store is asked.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// By who waits for the lease.
    pub ask: Duration,
    /// By who has it.
    pub renew: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let every = Duration::from_secs(Lease::RENEWED_EVERY_SECONDS);
        Self { ask: every, renew: every }
    }
}

impl Alone {
    /// Until it is told to stop. The work is begun whenever the lease is had, and dropped at whatever step when it is lost.
    pub async fn run<W: Future<Output = ()>>(&self, stop: Stop, work: impl Fn() -> W) {
        let mut unreachable = false;
        loop {
            match self.leases.acquire(self.name, self.holder, self.clock.now()).await {
                Ok(Some(lease)) => {
                    unreachable = false;
                    self.hold(lease, &stop, work()).await;
                }
                Ok(None) => unreachable = false,
                // Once for as long as it lasts: who watches the log has seen it.
                Err(error) if !unreachable => {
                    unreachable = true;
                    tracing::warn!(lease = self.name, %error, "a lease could not be asked for");
                }
                Err(_) => {}
            }
            if stop.within(self.pace.ask).await {
                return;
            }
        }
    }

    /// Does some work once, with the lease from beginning to end. Waits for one that a process has left when it died, and no
    /// longer: one that is renewed meanwhile is of a process that lives.
    pub async fn once<T>(&self, work: impl Future<Output = T>) -> Result<T, NotAlone> {
        let left = Duration::from_secs(Lease::TTL_SECONDS + Lease::MAX_CLOCK_SKEW_SECONDS) + self.pace.ask;
        let begun = self.clock.now();
        let lease = loop {
            match self.leases.acquire(self.name, self.holder, self.clock.now()).await? {
                Some(lease) => break lease,
                None if self.clock.now().since(begun) > left => return Err(NotAlone::Held),
                None => sleep(self.pace.ask).await,
            }
        };
        let done = tokio::select! {
            biased;
            () = self.keep(lease) => return Err(NotAlone::Lost),
            done = work => done,
        };
        if let Err(error) = self.leases.release(&lease).await {
            tracing::warn!(lease = self.name, %error, "the lease was not released; another goes on when it is over");
        }
        Ok(done)
    }

    async fn hold(&self, lease: Lease, stop: &Stop, work: impl Future<Output = ()>) {
        tracing::info!(lease = self.name, fence = lease.fence, "this process does the work of the house");
        tokio::select! {
            biased;
            () = stop.told() => {}
            () = self.keep(lease) => {
                tracing::warn!(lease = self.name, fence = lease.fence, "the lease was lost; another process may go on");
                return;
            }
            () = work => {}
        }
        if let Err(error) = self.leases.release(&lease).await {
            tracing::warn!(lease = self.name, %error, "the lease was not released; another goes on when it is over");
        }
    }

    /// Returns when the lease is not to be relied on any more.
    async fn keep(&self, mut lease: Lease) {
        loop {
            sleep(self.pace.renew).await;
            let now = self.clock.now();
            // An answer that comes after the end of the lease comes too late.
            let left = lease.until.since(now).max(Duration::from_millis(1));
            match timeout(left, self.leases.renew(&lease, now)).await {
                Ok(Ok(Some(renewed))) => lease = renewed,
                Ok(Ok(None)) | Err(_) => return,
                Ok(Err(_)) if lease.holds(self.clock.now()) => {}
                Ok(Err(_)) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use infirmary_kernel::{Id, Timestamp};
    use infirmary_sqlite::SqliteStore;
    use infirmary_system::SystemIds;
    use tokio::task::yield_now;

    use super::*;
    use crate::background::Stopper;

    /// Stands until it is moved.
    #[derive(Default)]
    struct StandingClock(std::sync::atomic::AtomicI64);

    impl StandingClock {
        fn advance(&self, seconds: u64) {
            self.0.fetch_add(i64::try_from(seconds * 1_000).unwrap(), Ordering::SeqCst);
        }
    }

    impl Clock for StandingClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_unix_ms(1_772_355_600_000 + self.0.load(Ordering::SeqCst))
        }
    }

    /// The work, and how many do it at this moment.
    #[derive(Default)]
    struct Work {
        doing: AtomicUsize,
        most: AtomicUsize,
        begun: AtomicUsize,
    }

    struct Doing<'a>(&'a Work);

    impl Drop for Doing<'_> {
        fn drop(&mut self) {
            self.0.doing.fetch_sub(1, Ordering::SeqCst);
        }
    }

    impl Work {
        async fn go_on(&self) {
            let _doing = Doing(self);
            self.begun.fetch_add(1, Ordering::SeqCst);
            let doing = self.doing.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(doing, Ordering::SeqCst);
            std::future::pending().await
        }

        fn doing(&self) -> usize {
            self.doing.load(Ordering::SeqCst)
        }

        fn begun(&self) -> usize {
            self.begun.load(Ordering::SeqCst)
        }
    }

    struct House {
        store: Arc<SqliteStore>,
        clock: Arc<StandingClock>,
        ids: SystemIds,
        _folder: tempfile::TempDir,
    }

    impl House {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Arc::new(SqliteStore::open(&folder.path().join("infirmary.db"), 1).unwrap());
            Self { store, clock: Arc::default(), ids: SystemIds::default(), _folder: folder }
        }

        fn process(&self) -> Alone {
            self.process_on(self.store.clone())
        }

        fn process_on(&self, leases: Arc<dyn Leases>) -> Alone {
            let ids: &dyn infirmary_kernel::IdSource = &self.ids;
            let holder: Id<_> = ids.mint(self.clock.now());
            let pace = Pace { ask: Duration::from_millis(2), renew: Duration::from_millis(2) };
            Alone { leases, clock: self.clock.clone(), name: "work", holder, pace }
        }
    }

    async fn until(holds: impl Fn() -> bool) {
        let waited = timeout(Duration::from_secs(30), async {
            while !holds() {
                sleep(Duration::from_millis(1)).await;
            }
        });
        waited.await.expect("it comes to that");
    }

    #[tokio::test]
    async fn of_two_processes_one_works_and_the_other_goes_on_when_it_is_told_to_stop() {
        let (house, work) = (House::new(), Work::default());
        let (first, second) = (house.process(), house.process());
        let (stopper, stop) = Stopper::new();
        let (last, last_stop) = Stopper::new();
        let one = first.run(stop, || work.go_on());
        let other = second.run(last_stop, || work.go_on());
        let watch = async {
            until(|| work.doing() == 1).await;
            // Half a minute and more, step by step: who works renews.
            for _ in 0..40 {
                house.clock.advance(1);
                for _ in 0..10 {
                    yield_now().await;
                }
                sleep(Duration::from_millis(10)).await;
            }
            assert_eq!((work.begun(), work.doing()), (1, 1));
            stopper.stop();
            until(|| work.begun() == 2).await;
            last.stop();
        };
        tokio::join!(one, other, watch);
        assert_eq!((work.doing(), work.most.load(Ordering::SeqCst)), (0, 1), "never two at once");
    }

    #[tokio::test]
    async fn when_the_one_dies_another_works_within_thirty_seconds_and_not_before_its_lease_is_over() {
        let (house, work) = (House::new(), Work::default());
        let dying = house.process();
        let (_stopper, stop) = Stopper::new();
        {
            let living = std::pin::pin!(dying.run(stop, || work.go_on()));
            tokio::select! {
                () = living => {}
                () = until(|| work.doing() == 1) => {}
            }
        }
        assert_eq!(work.doing(), 0, "it is gone, and has released nothing");
        let heir = house.process();
        let (stopper, stop) = Stopper::new();
        let watch = async {
            for _ in 0..19 {
                house.clock.advance(1);
                sleep(Duration::from_millis(10)).await;
                assert_eq!(work.doing(), 0);
            }
            // The lease, the skew of the clocks, and a round of asking.
            house.clock.advance(30 - 19 - Lease::RENEWED_EVERY_SECONDS);
            until(|| work.doing() == 1).await;
            stopper.stop();
        };
        tokio::join!(heir.run(stop, || work.go_on()), watch);
    }

    /// Cannot be reached from some moment on.
    struct Failing {
        store: Arc<SqliteStore>,
        away: std::sync::atomic::AtomicBool,
    }

    #[async_trait]
    impl Leases for Failing {
        async fn acquire(
            &self,
            name: &'static str,
            holder: InstanceId,
            now: Timestamp,
        ) -> Result<Option<Lease>, StoreError> {
            self.store.acquire(name, holder, now).await
        }
        async fn renew(&self, lease: &Lease, now: Timestamp) -> Result<Option<Lease>, StoreError> {
            if self.away.load(Ordering::SeqCst) {
                return Err(StoreError::Unavailable { reason: "away".into() });
            }
            self.store.renew(lease, now).await
        }
        async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
            self.store.release(lease).await
        }
    }

    #[tokio::test]
    async fn who_cannot_renew_stops_before_another_may_begin() {
        let (house, work) = (House::new(), Work::default());
        let failing = Arc::new(Failing { store: house.store.clone(), away: false.into() });
        let process = house.process_on(failing.clone());
        let (stopper, stop) = Stopper::new();
        let watch = async {
            until(|| work.doing() == 1).await;
            failing.away.store(true, Ordering::SeqCst);
            house.clock.advance(Lease::TTL_SECONDS - 1);
            sleep(Duration::from_millis(20)).await;
            assert_eq!(work.doing(), 1, "a short failure is waited for");
            house.clock.advance(1);
            until(|| work.doing() == 0).await;
            stopper.stop();
        };
        tokio::join!(process.run(stop, || work.go_on()), watch);
    }

    #[tokio::test]
    async fn who_was_taken_over_stops() {
        let (house, work) = (House::new(), Work::default());
        let process = house.process();
        let (stopper, stop) = Stopper::new();
        let watch = async {
            until(|| work.doing() == 1).await;
            // As after a pause of the whole process: another has the lease before it can renew.
            let over = house.clock.now().plus(Duration::from_secs(60));
            let ids: &dyn infirmary_kernel::IdSource = &house.ids;
            let taken = house.store.acquire("work", ids.mint(over), over).await.unwrap();
            assert!(taken.is_some());
            until(|| work.doing() == 0).await;
            stopper.stop();
        };
        tokio::join!(process.run(stop, || work.go_on()), watch);
        assert_eq!(work.begun(), 1);
    }

    #[tokio::test]
    async fn what_is_done_once_waits_for_the_lease_of_the_dead_and_not_for_one_that_is_renewed() {
        let (house, work) = (House::new(), Work::default());
        let living = house.process();
        let (stopper, stop) = Stopper::new();
        let watch = async {
            until(|| work.doing() == 1).await;
            let asking = async {
                let asked = house.process().once(async { panic!("not while another works") }).await;
                assert!(matches!(asked, Err::<(), _>(NotAlone::Held)), "{asked:?}");
                stopper.stop();
            };
            let passing = async {
                for _ in 0..40 {
                    house.clock.advance(1);
                    sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::join!(asking, passing);
        };
        tokio::join!(living.run(stop, || work.go_on()), watch);

        let dead = house.process();
        let taken = dead.leases.acquire("work", dead.holder, house.clock.now()).await.unwrap();
        assert!(taken.is_some());
        let next = house.process();
        let passing = async {
            for _ in 0..(Lease::TTL_SECONDS + Lease::MAX_CLOCK_SKEW_SECONDS) {
                house.clock.advance(1);
                sleep(Duration::from_millis(10)).await;
            }
        };
        let (done, ()) = tokio::join!(next.once(async { 7 }), passing);
        assert_eq!(done.unwrap(), 7);
        assert_eq!(house.process().once(async { 8 }).await.unwrap(), 8, "it was released");
    }

    #[tokio::test]
    async fn what_is_done_once_is_broken_off_when_the_lease_is_lost() {
        let house = House::new();
        let failing = Arc::new(Failing { store: house.store.clone(), away: false.into() });
        let process = house.process_on(failing.clone());
        let passing = async {
            failing.away.store(true, Ordering::SeqCst);
            sleep(Duration::from_millis(20)).await;
            house.clock.advance(Lease::TTL_SECONDS);
        };
        let (done, ()) = tokio::join!(process.once(std::future::pending::<()>()), passing);
        assert!(matches!(done, Err(NotAlone::Lost)), "{done:?}");
    }
}
