//! Rubbish goes, and nothing else.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use infirmary_kernel::{
    ImageId, ObjectKey, StoreError,
    testing::{ManualClock, MemoryObjects, fresh_id},
};
use infirmary_workflows::{
    Flaw, HouseCounts, Inspection, NamedObject, ObjectOwner, RecordLaw, STRAY_HOURS, SweepObjects, SweptObjects,
};

/// Rows of these owners, and nothing to say of the rest.
struct Rows(Vec<ObjectOwner>);

#[async_trait]
impl Inspection for Rows {
    async fn flaws(&self, _: RecordLaw, _: usize) -> Result<Vec<Flaw>, StoreError> {
        Ok(Vec::new())
    }
    async fn objects(&self, _: Option<ObjectOwner>, _: usize) -> Result<Vec<NamedObject>, StoreError> {
        Ok(Vec::new())
    }
    async fn known(&self, owners: &[ObjectOwner]) -> Result<Vec<ObjectOwner>, StoreError> {
        Ok(owners.iter().filter(|owner| self.0.contains(owner)).copied().collect())
    }
    async fn counts(&self) -> Result<HouseCounts, StoreError> {
        Ok(HouseCounts::default())
    }
}

#[tokio::test]
async fn objects_without_a_row_go_once_they_are_a_day_old() {
    let (kept, stray): (ImageId, ImageId) = (fresh_id(), fresh_id());
    let objects = MemoryObjects::default();
    // What somebody put there by hand is not ours to remove.
    let strange = ObjectKey::parse("notes/of-the-admin").unwrap();
    let stay = [ObjectKey::image(kept), ObjectKey::preview(kept, 512), strange];
    let go = [ObjectKey::image(stray), ObjectKey::preview(stray, 512), ObjectKey::report(fresh_id())];
    for key in stay.iter().chain(&go) {
        objects.put(key, vec![7; 10]);
    }
    let clock = Arc::new(ManualClock::default());
    let sweep = SweepObjects {
        inspection: Arc::new(Rows(vec![ObjectOwner::Image(kept)])),
        objects: Arc::new(objects.clone()),
        clock: clock.clone(),
    };
    clock.advance(Duration::from_secs(STRAY_HOURS * 60 * 60 - 1));
    assert_eq!(sweep.run().await.unwrap(), SweptObjects::default());
    clock.advance(Duration::from_secs(1));
    assert_eq!(sweep.run().await.unwrap(), SweptObjects { objects: 3, bytes: 30 });
    let mut left = objects.keys();
    left.sort();
    let mut stay = stay.to_vec();
    stay.sort();
    assert_eq!(left, stay);
}
