//! What a server does beside answering: it sends messages and looks after its objects, as every process does; and of all the
//! processes on one store, one sweeps.

mod alone;
mod courier;
mod jobs;

use std::{sync::Arc, time::Duration};

use futures_util::future::{join, join_all};
use infirmary_kernel::Objects;
use tokio::{sync::watch, time::sleep};

pub use alone::{Alone, Pace};
pub use courier::Courier;
pub use jobs::{Job, close_audit_log, sweep_objects, sweep_rows};

pub struct Background {
    pub alone: Alone,
    /// Done by one process at a time.
    pub jobs: Vec<Job>,
    pub courier: Courier,
    pub objects: Arc<dyn Objects>,
}

/// After the start, so that a start has the machine for itself.
const FIRST_AFTER: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

impl Background {
    /// Goes on until it is told to stop; then what is being sent is sent to its end, and the lease is another's to take.
    pub async fn run(self, stop: Stop) {
        let jobs = || async {
            join_all(self.jobs.iter().map(Job::repeat)).await;
        };
        join(join(self.alone.run(stop.clone(), jobs), self.courier.run(stop.clone())), self.look_after_objects(stop))
            .await;
    }

    async fn look_after_objects(&self, stop: Stop) {
        let mut wait = FIRST_AFTER;
        while !stop.within(wait).await {
            wait = HOUR;
            if let Err(error) = self.objects.upkeep().await {
                tracing::error!(%error, "the store of objects is not as it should be");
            }
        }
    }
}

/// Told to stop, or not yet.
#[derive(Clone)]
pub struct Stop(watch::Receiver<bool>);

/// Stops what it was made with, also when it is dropped.
pub struct Stopper(watch::Sender<bool>);

impl Stopper {
    pub fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Stop(receiver))
    }

    pub fn stop(self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Returns when it was told.
    pub async fn told(&self) {
        // An error says that the one who would tell is gone.
        let _ = self.0.clone().wait_for(|told| *told).await;
    }

    /// Waits for so long; `true`, and at once, when it was told.
    pub async fn within(&self, wait: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.told() => true,
            () = sleep(wait) => false,
        }
    }
}
