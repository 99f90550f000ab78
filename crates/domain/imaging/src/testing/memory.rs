use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use infirmary_kernel::{Cursor, ImageId, Page, PageRequest, PatientId, StoreError, StudyId, testing::locked};

use super::Seed;
use crate::{FoundImage, FoundStudy, ImageStore, Visible};

/// Studies in memory. Clones are the same memory.
#[derive(Clone, Default)]
pub struct MemoryImages {
    rows: Arc<Mutex<BTreeMap<StudyId, FoundStudy>>>,
}

impl MemoryImages {
    pub fn insert(&self, found: FoundStudy) {
        locked(&self.rows).insert(found.study.id, found);
    }

    /// As when its diagnosis is confirmed.
    pub fn release(&self, study: StudyId) {
        if let Some(found) = locked(&self.rows).get_mut(&study) {
            found.released = true;
        }
    }
}

#[async_trait]
impl Seed for MemoryImages {
    async fn study(&self, found: &FoundStudy) {
        self.insert(found.clone());
    }
}

#[async_trait]
impl ImageStore for MemoryImages {
    async fn find_image(&self, id: ImageId) -> Result<Option<FoundImage>, StoreError> {
        let rows = locked(&self.rows);
        Ok(rows.values().find_map(|found| {
            let image = found.images.iter().find(|image| image.id == id)?.clone();
            Some(FoundImage { image, study: found.study.clone(), released: found.released })
        }))
    }

    async fn find_study(&self, id: StudyId) -> Result<Option<FoundStudy>, StoreError> {
        Ok(locked(&self.rows).get(&id).cloned())
    }

    async fn studies_of(
        &self,
        patient: PatientId,
        visible: Visible,
        page: &PageRequest,
    ) -> Result<Page<FoundStudy>, StoreError> {
        let mut found: Vec<FoundStudy> = locked(&self.rows)
            .values()
            .filter(|found| found.study.patient == patient && (visible == Visible::All || found.released))
            .cloned()
            .collect();
        let place = |found: &FoundStudy| (found.study.recorded_at, found.study.id.as_uuid());
        found.sort_by_key(|found| std::cmp::Reverse(place(found)));
        if let Ok(Some(after)) = page.after_time() {
            found.retain(|found| place(found) < after);
        }
        found.truncate(page.limit.get() + 1);
        Ok(Page::of_rows(found, page.limit, |last| Cursor::at(last.study.recorded_at, last.study.id.as_uuid())))
    }
}
