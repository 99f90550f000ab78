use std::sync::{Mutex, PoisonError};

use infirmary_kernel::{IdSource, Timestamp};
use uuid::{Builder, Uuid};

use crate::entropy::random;

/// UUIDv7 (RFC 9562 §6.2, method 2): within a millisecond each id is a random step above the one before, so the ids of a
/// process sort in the order they were made as long as the clock does not go back.
#[derive(Debug, Default)]
pub struct SystemIds {
    last: Mutex<(u64, u128)>,
}

/// Of the bits that follow the time: 74, and those of version and variant are set over 6 more.
const TAIL_BITS: u32 = 74;

impl SystemIds {
    fn tail(&self, ms: u64) -> u128 {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (last_ms, last_tail) = *last;
        let stepped = last_tail + 1 + u128::from(u32::from_be_bytes(random()));
        let tail = if ms == last_ms && stepped >> TAIL_BITS == 0 {
            stepped
        } else {
            // The highest bit stays free, so that there is room for 2^40 steps.
            u128::from_be_bytes(random()) >> (128 - TAIL_BITS + 1)
        };
        *last = (ms, tail);
        tail
    }
}

impl IdSource for SystemIds {
    fn uuid_v7(&self, now: Timestamp) -> Uuid {
        let ms = u64::try_from(now.unix_ms()).unwrap_or(0);
        let tail = self.tail(ms);
        // The version takes the place of 4 bits and the variant that of 2.
        let (high, low) = (tail >> 62, tail & ((1 << 62) - 1));
        let spread = (high << 64) | low;
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&spread.to_be_bytes()[6..]);
        Builder::from_unix_timestamp_millis(ms, &bytes).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use infirmary_kernel::{Clock, testing::ManualClock};
    use uuid::{Variant, Version};

    use super::*;

    #[test]
    fn ids_of_one_moment_are_distinct_and_sort_as_they_were_made() {
        let (ids, now) = (SystemIds::default(), ManualClock::default().now());
        let made: Vec<Uuid> = (0..10_000).map(|_| ids.uuid_v7(now)).collect();
        assert!(made.is_sorted());
        assert_eq!(made.iter().collect::<HashSet<_>>().len(), made.len());
        for id in made {
            assert_eq!((id.get_version(), id.get_variant()), (Some(Version::SortRand), Variant::RFC4122));
            assert_eq!(id.as_u128() >> 80, u128::try_from(now.unix_ms()).unwrap());
        }
    }

    #[test]
    fn threads_and_processes_do_not_make_the_same_ids() {
        let now = ManualClock::default().now();
        let sources = [SystemIds::default(), SystemIds::default()];
        let made: Vec<Uuid> = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..4)
                .map(|n| {
                    scope.spawn({
                        let ids = &sources[n % 2];
                        move || (0..1_000).map(|_| ids.uuid_v7(now)).collect::<Vec<_>>()
                    })
                })
                .collect();
            handles.into_iter().flat_map(|handle| handle.join().unwrap()).collect()
        });
        assert_eq!(made.iter().collect::<HashSet<_>>().len(), 4_000);
    }
}
