use std::sync::Arc;

use tokio::sync::Semaphore;

/// Runs long computations off the async threads: some at once, some waiting, no more.
#[derive(Clone)]
pub(crate) struct Workers {
    /// One for each that runs or waits.
    places: Arc<Semaphore>,
    /// One for each that runs.
    running: Arc<Semaphore>,
}

#[derive(Debug)]
pub(crate) enum NotRun {
    Busy,
    /// It panicked. The text is that of the panic, which must hold nothing of the data.
    Broken(String),
}

impl Workers {
    pub(crate) fn new(at_once: usize, waiting: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(at_once + waiting)), running: Arc::new(Semaphore::new(at_once)) }
    }

    /// At most half of the cores: the other half serves requests.
    pub(crate) fn half_of_the_cores(waiting: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::new((cores / 2).max(1), waiting)
    }

    pub(crate) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, NotRun> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| NotRun::Busy)?;
        let running = self.running.clone().acquire_owned().await.map_err(|_| NotRun::Busy)?;
        // The permits go with the work, not with the caller: one who gives up does not make room before the thread does.
        tokio::task::spawn_blocking(move || {
            let _permits = (place, running);
            work()
        })
        .await
        .map_err(|error| NotRun::Broken(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn what_finds_no_place_is_told_so_at_once() {
        let workers = Workers::new(1, 1);
        let (release, held) = mpsc::channel::<()>();
        let first = tokio::spawn({
            let workers = workers.clone();
            async move { workers.run(move || held.recv().is_ok()).await }
        });
        while workers.places.available_permits() > 1 {
            tokio::task::yield_now().await;
        }
        let second = tokio::spawn({
            let workers = workers.clone();
            async move { workers.run(|| 2).await }
        });
        while workers.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(workers.run(|| 3).await, Err(NotRun::Busy)));
        release.send(()).unwrap();
        assert!(first.await.unwrap().unwrap());
        assert_eq!(second.await.unwrap().unwrap(), 2);
        assert_eq!(workers.run(|| 3).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_panic_gives_its_place_back() {
        let workers = Workers::new(1, 0);
        assert!(matches!(workers.run(|| panic!("a bug")).await, Err::<(), _>(NotRun::Broken(_))));
        assert_eq!(workers.run(|| 1).await.unwrap(), 1);
    }
}
