use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use infirmary_audit::AuditLog;
use infirmary_kernel::{Clock, Sweep};
use infirmary_workflows::SweepObjects;
use tokio::time::sleep;

use super::{FIRST_AFTER, HOUR};

/// Work that is done every now and then. What fails is tried again the next time.
pub struct Job {
    pub first_after: Duration,
    pub every: Duration,
    pub work: Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>,
}

impl Job {
    pub(super) async fn repeat(&self) {
        sleep(self.first_after).await;
        loop {
            (self.work)().await;
            sleep(self.every).await;
        }
    }
}

/// How old what no root of the audit log covers may become.
const CLOSE_EVERY: Duration = Duration::from_secs(60);

/// The chains of the audit log under one head. A log of one chain has nothing to do.
pub fn close_audit_log(log: Arc<dyn AuditLog>, clock: Arc<dyn Clock>) -> Job {
    let work = move || -> BoxFuture<'static, ()> {
        let (log, clock) = (log.clone(), clock.clone());
        Box::pin(async move {
            match log.close(clock.now()).await {
                Ok(head) => tracing::debug!(%head, "closed the audit log"),
                Err(error) => tracing::warn!(%error, "the audit log could not be closed"),
            }
        })
    };
    // At once, whoever did it before: else a house whose servers are often started anew would never come to it.
    Job { first_after: Duration::ZERO, every: CLOSE_EVERY, work: Box::new(work) }
}

/// Rows past their time.
pub fn sweep_rows(store: Arc<dyn Sweep>, clock: Arc<dyn Clock>) -> Job {
    hourly(move || {
        let (store, clock) = (store.clone(), clock.clone());
        Box::pin(async move {
            match store.sweep(clock.now()).await {
                Ok(swept) => tracing::info!(%swept, "removed rows that are over"),
                Err(error) => tracing::warn!(%error, "rows that are over could not be removed"),
            }
        })
    })
}

/// Objects of more than a day that no row names.
pub fn sweep_objects(strays: SweepObjects) -> Job {
    let strays = Arc::new(strays);
    hourly(move || {
        let strays = strays.clone();
        Box::pin(async move {
            match strays.run().await {
                Ok(swept) if swept.objects == SweepObjects::MAX_REMOVED => {
                    let (objects, bytes) = (swept.objects, swept.bytes);
                    tracing::warn!(objects, bytes, "removed many objects that no row names");
                }
                Ok(swept) => {
                    tracing::info!(objects = swept.objects, bytes = swept.bytes, "removed objects without a row");
                }
                Err(error) => tracing::warn!(%error, "objects without a row could not be removed"),
            }
        })
    })
}

fn hourly(work: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static) -> Job {
    Job { first_after: FIRST_AFTER, every: HOUR, work: Box::new(work) }
}
