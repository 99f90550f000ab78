use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use infirmary_kernel::{Event, Journal, Page, PageRequest, StoreError, testing::locked};

use crate::{AuditLog, Entry, EntryFilter, Head, Sealed, seal};

/// The log in memory. Clones are the same log; a test may reach in and spoil it.
#[derive(Clone, Default)]
pub struct MemoryAuditLog {
    pub entries: Arc<Mutex<Vec<Sealed>>>,
}

fn head_of(entries: &[Sealed]) -> Head {
    entries.last().map(Sealed::head).unwrap_or_default()
}

#[async_trait]
impl Journal for MemoryAuditLog {
    async fn append(&self, event: Event) -> Result<(), StoreError> {
        let mut entries = locked(&self.entries);
        let sealed = seal(&head_of(&entries), &event);
        entries.push(sealed);
        Ok(())
    }
}

#[async_trait]
impl AuditLog for MemoryAuditLog {
    async fn find(&self, filter: &EntryFilter, page: &PageRequest) -> Result<Page<Entry>, StoreError> {
        let mut found: Vec<Sealed> =
            locked(&self.entries).iter().filter(|sealed| filter.takes(sealed)).cloned().collect();
        found.sort_by_key(|sealed| std::cmp::Reverse((sealed.at, sealed.sequence)));
        if let Ok(Some((time, place))) = page.after_time() {
            found.retain(|sealed| (sealed.at, u128::from(sealed.sequence)) < (time, place.as_u128()));
        }
        let entries = found.iter().map(Sealed::open).collect::<Result<_, _>>()?;
        Ok(Page::of_rows(entries, page.limit, Entry::cursor))
    }

    async fn head(&self) -> Result<Head, StoreError> {
        Ok(head_of(&locked(&self.entries)))
    }

    async fn after(&self, sequence: u64, limit: usize) -> Result<Vec<Sealed>, StoreError> {
        let entries = locked(&self.entries);
        Ok(entries.iter().filter(|sealed| sealed.sequence > sequence).take(limit).cloned().collect())
    }
}
