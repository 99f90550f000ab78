use std::{
    sync::{Mutex, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use infirmary_kernel::{Clock, Timestamp};

/// The machine's clock, steady for the whole process.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

static STEADY: SteadyClock<WallClock> = SteadyClock::over(WallClock);

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        STEADY.now()
    }
}

#[derive(Debug)]
struct WallClock;

impl Clock for WallClock {
    /// A clock before 1970 is taken for 1970.
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Another clock, kept from going back: what is over stays over when the clock of a machine is put back. Meanwhile time goes
/// on as fast as it does, so that whoever waits does not wait for the clock to catch up.
#[derive(Debug)]
pub struct SteadyClock<C> {
    clock: C,
    /// When the other clock was last the later one, and what it said.
    latest: Mutex<Latest>,
}

#[derive(Debug)]
enum Latest {
    Never,
    Followed(Timestamp, Instant),
    Left(Timestamp, Instant),
}

impl<C> SteadyClock<C> {
    pub const fn over(clock: C) -> Self {
        Self { clock, latest: Mutex::new(Latest::Never) }
    }
}

impl<C: Clock> Clock for SteadyClock<C> {
    fn now(&self) -> Timestamp {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let wall = self.clock.now();
        match *latest {
            Latest::Followed(then, seen) | Latest::Left(then, seen) => {
                let steady = then.plus(seen.elapsed());
                if wall < steady {
                    if matches!(*latest, Latest::Followed(..)) && steady.since(wall).as_secs() > 0 {
                        tracing::warn!(
                            seconds = steady.since(wall).as_secs(),
                            "the machine's clock was put back; this process goes on by its own until it is started anew",
                        );
                        *latest = Latest::Left(then, seen);
                    }
                    return steady;
                }
            }
            Latest::Never => {}
        }
        *latest = Latest::Followed(wall, Instant::now());
        wall
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use infirmary_kernel::testing::ManualClock;

    use super::*;

    #[test]
    fn a_clock_that_is_put_back_does_not_take_the_time_with_it() {
        let wall = Arc::new(ManualClock::default());
        let steady = SteadyClock::over(wall.clone());
        let begun = steady.now();
        assert_eq!(begun, wall.now());
        wall.set(begun.minus(Duration::from_secs(86_400)));
        let mut last = steady.now();
        assert!(begun <= last && last.since(begun) < Duration::from_secs(60), "{last}");
        // It does not stand still either: whoever waits is waited for.
        let waiting = Instant::now();
        while steady.now() <= last {
            assert!(waiting.elapsed() < Duration::from_secs(60));
        }
        last = steady.now();
        wall.set(begun.plus(Duration::from_secs(4 * 86_400)));
        assert_eq!(steady.now(), wall.now(), "it goes ahead with the other one");
        wall.set(begun);
        assert!(steady.now() > last);
    }

    #[test]
    fn all_of_the_process_have_one_time() {
        let mut last = SystemClock.now();
        for _ in 0..1_000 {
            let now = SystemClock.now();
            assert!(now >= last && now.since(last) < Duration::from_secs(60));
            last = now;
        }
    }
}
