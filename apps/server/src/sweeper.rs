//! The background work of a server.

use std::{sync::Arc, time::Duration};

use infirmary_kernel::{Clock, Objects, Sweep};
use infirmary_sqlite::SqliteStore;
use infirmary_workflows::SweepObjects;
use tokio::time::sleep;

/// After the start, so that a start has the machine for itself.
const FIRST_AFTER_SECONDS: u64 = 60;
const EVERY_SECONDS: u64 = 60 * 60;

/// Removes what is over: rows past their time, objects that no row names, uploads that died. Any number of processes may
/// do it at once; each removal is of something that nobody needs.
pub struct Sweeper {
    pub store: SqliteStore,
    pub objects: Arc<dyn Objects>,
    pub strays: SweepObjects,
    pub clock: Arc<dyn Clock>,
}

impl Sweeper {
    /// Goes on until it is dropped. What fails is tried again the next time.
    pub async fn run(self) {
        sleep(Duration::from_secs(FIRST_AFTER_SECONDS)).await;
        loop {
            self.once().await;
            sleep(Duration::from_secs(EVERY_SECONDS)).await;
        }
    }

    async fn once(&self) {
        match self.store.sweep(self.clock.now()).await {
            Ok(swept) => tracing::info!(%swept, "removed rows that are over"),
            Err(error) => tracing::warn!(%error, "rows that are over could not be removed"),
        }
        match self.strays.run().await {
            Ok(swept) if swept.objects == SweepObjects::MAX_REMOVED => {
                tracing::warn!(objects = swept.objects, bytes = swept.bytes, "removed many objects that no row names");
            }
            Ok(swept) => tracing::info!(objects = swept.objects, bytes = swept.bytes, "removed objects without a row"),
            Err(error) => tracing::warn!(%error, "objects without a row could not be removed"),
        }
        if let Err(error) = self.objects.upkeep().await {
            tracing::error!(%error, "the store of objects is not as it should be");
        }
    }
}
