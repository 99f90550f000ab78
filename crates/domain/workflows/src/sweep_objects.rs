use std::{sync::Arc, time::Duration};

use infirmary_kernel::{Clock, Objects, StoreError};

use crate::{Inspection, ObjectOwner, STRAY_HOURS, strays};

/// Removes objects that no row names and that are older than [`STRAY_HOURS`]: what is left of uploads whose transaction
/// failed, and previews of images that are not there. To be run every now and then, by any number of processes.
pub struct SweepObjects {
    pub inspection: Arc<dyn Inspection>,
    pub objects: Arc<dyn Objects>,
    pub clock: Arc<dyn Clock>,
}

/// How much a sweep removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweptObjects {
    pub objects: usize,
    pub bytes: u64,
}

impl SweepObjects {
    /// Removed in one run; the next one goes on. So many strays are a sign that something is wrong, and a slow end of it
    /// is time to see it.
    pub const MAX_REMOVED: usize = 10_000;

    pub async fn run(&self) -> Result<SweptObjects, StoreError> {
        let now = self.clock.now();
        let mut swept = SweptObjects::default();
        let mut listing = self.objects.list(None);
        while let Some((_, strays)) = strays::next_strays(&mut listing, self.inspection.as_ref()).await? {
            for stray in strays {
                // A key that this house does not make was put there by somebody, and is not ours to remove.
                let ours = ObjectOwner::of_key(&stray.key).is_some();
                if ours && strays::is_old(&stray, now, Duration::from_secs(STRAY_HOURS * 60 * 60)) {
                    self.objects.delete(&stray.key).await?;
                    swept.objects += 1;
                    swept.bytes += stray.bytes;
                    if swept.objects == Self::MAX_REMOVED {
                        return Ok(swept);
                    }
                }
            }
        }
        Ok(swept)
    }
}
