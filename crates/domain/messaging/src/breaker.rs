use std::time::Duration;

use infirmary_kernel::Timestamp;

/// Keeps a provider that fails from being asked again and again. Each process has its own: nothing but its own patience
/// depends on it.
#[derive(Debug, Clone, Default)]
pub struct Breaker {
    failures: u32,
    open_until: Option<Timestamp>,
}

/// Whether the provider may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    Open,
    /// With one message, to see whether it has recovered.
    One,
    Shut,
}

impl Breaker {
    /// In a row, after which it shuts.
    pub const MAX_FAILURES: u32 = 5;
    pub const SHUT_SECONDS: u64 = 30;

    pub fn passage(&self, now: Timestamp) -> Passage {
        match self.open_until {
            Some(until) if now < until => Passage::Shut,
            Some(_) => Passage::One,
            None => Passage::Open,
        }
    }

    /// The provider did its part, whatever it said of the message.
    pub fn answered(&mut self) {
        *self = Self::default();
    }

    pub fn failed(&mut self, now: Timestamp) {
        self.failures += 1;
        if self.failures >= Self::MAX_FAILURES || self.open_until.is_some() {
            self.shut(now, Duration::from_secs(Self::SHUT_SECONDS));
        }
    }

    /// At once, for that long: the provider has said that it takes nothing from us.
    pub fn shut(&mut self, now: Timestamp, wait: Duration) {
        let until = now.plus(wait);
        self.open_until = Some(self.open_until.map_or(until, |known| known.max(until)));
    }
}

#[cfg(all(test, feature = "test-support"))]
mod tests {
    use infirmary_kernel::{Clock, testing::ManualClock};

    use super::*;

    #[test]
    fn it_shuts_after_five_failures_in_a_row_and_lets_one_through_later() {
        let (mut breaker, now) = (Breaker::default(), ManualClock::default().now());
        for _ in 0..4 {
            breaker.failed(now);
        }
        assert_eq!(breaker.passage(now), Passage::Open);
        breaker.answered();
        for _ in 0..4 {
            breaker.failed(now);
        }
        assert_eq!(breaker.passage(now), Passage::Open, "not in a row");
        breaker.failed(now);
        let later = now.plus(Duration::from_secs(Breaker::SHUT_SECONDS));
        assert_eq!(breaker.passage(later.minus(Duration::from_millis(1))), Passage::Shut);
        assert_eq!(breaker.passage(later), Passage::One);
        breaker.failed(later);
        assert_eq!(breaker.passage(later), Passage::Shut, "the one failed");
        let (latest, second) = (later.plus(Duration::from_secs(Breaker::SHUT_SECONDS)), Duration::from_secs(1));
        assert_eq!(breaker.passage(latest), Passage::One);
        breaker.answered();
        assert_eq!(breaker.passage(latest), Passage::Open);
        breaker.shut(latest, second * 60);
        breaker.shut(latest, second);
        assert_eq!(breaker.passage(latest.plus(second * 59)), Passage::Shut, "the longer wait holds");
    }
}
