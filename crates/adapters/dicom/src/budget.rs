//! How much is decoded at once.

use std::{
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use infirmary_kernel::StoreError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Of all that is decoded at one time. What alone needs more, such as a progressive JPEG of more than forty megapixels,
/// waits until it is alone.
const MAX_DECODED_MIB: u32 = 256;
/// Who comes later is told to come again: they would wait for seconds.
const MAX_WAITING: usize = 256;

#[derive(Clone)]
pub struct Budget {
    jobs: Arc<Semaphore>,
    mebibytes: Arc<Semaphore>,
    inside: Arc<AtomicUsize>,
    most_inside: usize,
}

/// Leave to work. It goes with the work and not with who waits for it: work on another thread is not stopped when its
/// future is dropped, and still uses what it uses.
pub struct Turn {
    budget: Budget,
    _job: OwnedSemaphorePermit,
    memory: Option<OwnedSemaphorePermit>,
    _inside: Inside,
}

struct Inside(Arc<AtomicUsize>);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn unavailable(reason: &str) -> StoreError {
    StoreError::Unavailable { reason: reason.into() }
}

impl Budget {
    /// One job for each core: more would only wait for each other.
    pub fn new() -> Self {
        Self::of(std::thread::available_parallelism().map_or(1, NonZero::get), MAX_WAITING)
    }

    fn of(jobs: usize, waiting: usize) -> Self {
        Self {
            jobs: Arc::new(Semaphore::new(jobs)),
            mebibytes: Arc::new(Semaphore::new(MAX_DECODED_MIB as usize)),
            inside: Arc::default(),
            most_inside: jobs + waiting,
        }
    }

    pub async fn turn(&self) -> Result<Turn, StoreError> {
        let before = self.inside.fetch_add(1, Ordering::Relaxed);
        let inside = Inside(self.inside.clone());
        if before >= self.most_inside {
            return Err(unavailable("too many images are being read"));
        }
        let job = self.jobs.clone().acquire_owned().await.map_err(|_| unavailable("images are not read any more"))?;
        Ok(Turn { budget: self.clone(), _job: job, memory: None, _inside: inside })
    }
}

impl Turn {
    pub async fn take(&mut self, bytes: u64) -> Result<(), StoreError> {
        let mebibytes = u32::try_from(bytes.div_ceil(1024 * 1024)).unwrap_or(u32::MAX).min(MAX_DECODED_MIB);
        let memory = self.budget.mebibytes.clone().acquire_many_owned(mebibytes).await;
        self.memory = Some(memory.map_err(|_| unavailable("images are not read any more"))?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_comes_when_all_places_are_taken_is_turned_away() {
        let budget = Budget::of(1, 0);
        let first = budget.turn().await.unwrap();
        assert!(matches!(budget.turn().await, Err(StoreError::Unavailable { .. })));
        drop(first);
        assert!(budget.turn().await.is_ok());
    }

    #[tokio::test]
    async fn memory_is_given_up_to_the_budget_and_all_of_it_to_who_needs_more() {
        let budget = Budget::of(3, 0);
        let mut small = budget.turn().await.unwrap();
        small.take(1).await.unwrap();
        let mut large = budget.turn().await.unwrap();
        {
            let mut waiting = std::pin::pin!(large.take(u64::MAX));
            assert!(is_pending(waiting.as_mut()));
            drop(small);
            waiting.await.unwrap();
        }
        assert_eq!(budget.mebibytes.available_permits(), 0);
        drop(large);
        assert_eq!(budget.mebibytes.available_permits(), MAX_DECODED_MIB as usize);
    }

    fn is_pending(future: std::pin::Pin<&mut impl Future>) -> bool {
        future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending()
    }
}
