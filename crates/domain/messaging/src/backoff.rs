use std::time::Duration;

use infirmary_kernel::{Entropy, MessageKind};

/// How a kind of message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// For one try.
    pub timeout_seconds: u64,
    pub max_tries: u32,
    /// Before the second try; each further wait is twice the one before.
    pub first_wait_seconds: u64,
    pub max_wait_seconds: u64,
}

impl Policy {
    pub const fn of(kind: MessageKind) -> Self {
        match kind {
            // Somebody is waiting for it, and can ask for another.
            MessageKind::OneTimeCode => {
                Self { timeout_seconds: 5, max_tries: 2, first_wait_seconds: 2, max_wait_seconds: 2 }
            }
            MessageKind::EmergencyAccess | MessageKind::ReportReady => {
                Self { timeout_seconds: 10, max_tries: 10, first_wait_seconds: 30, max_wait_seconds: 60 * 60 }
            }
        }
    }

    pub const fn timeout(self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }

    /// After that many tries that failed: half of it is certain and half of it is chance, so that what failed together is
    /// not tried together again.
    pub fn wait(self, tries: u32, entropy: &dyn Entropy) -> Duration {
        let doubled =
            self.first_wait_seconds.saturating_mul(1_u64.checked_shl(tries.saturating_sub(1)).unwrap_or(u64::MAX));
        let half_ms = doubled.min(self.max_wait_seconds) * 1_000 / 2;
        let mut random = [0; 8];
        entropy.fill(&mut random);
        // The remainder favours no wait by more than one part in 2^40, of the longest.
        Duration::from_millis(half_ms + u64::from_be_bytes(random) % (half_ms + 1))
    }
}

#[cfg(all(test, feature = "test-support"))]
mod tests {
    use infirmary_kernel::testing::CountingEntropy;

    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_have_a_part_of_chance() {
        let (policy, entropy) = (Policy::of(MessageKind::ReportReady), CountingEntropy::default());
        for (tries, seconds) in [(1, 30), (2, 60), (3, 120), (7, 1_920), (8, 3_600), (9, 3_600), (u32::MAX, 3_600)] {
            let waits: Vec<Duration> = (0..50).map(|_| policy.wait(tries, &entropy)).collect();
            let (least, most) = (Duration::from_secs(seconds) / 2, Duration::from_secs(seconds));
            assert!(waits.iter().all(|wait| (least..=most).contains(wait)), "{tries}: {waits:?}");
            let (low, high) = (waits.iter().min(), waits.iter().max());
            assert!(
                low.is_some_and(|low| *low < least.mul_f64(1.2)) && high.is_some_and(|high| *high > most.mul_f64(0.9))
            );
        }
    }

    #[test]
    fn a_code_is_tried_twice_for_five_seconds_each() {
        let policy = Policy::of(MessageKind::OneTimeCode);
        assert_eq!((policy.timeout(), policy.max_tries), (Duration::from_secs(5), 2));
    }
}
