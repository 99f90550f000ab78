use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use infirmary_kernel::{Event, Journal, Page, PageRequest, StoreError, Timestamp, testing::locked};

use crate::{AuditLog, ChainHead, ChainId, Entry, EntryFilter, Head, Heads, Sealed, SealedRoot, seal, seal_root};

/// The log in memory. Clones are the same log; a test may reach in and spoil it.
#[derive(Clone, Default)]
pub struct MemoryAuditLog {
    /// Of all chains, in the order in which they were written.
    pub entries: Arc<Mutex<Vec<Sealed>>>,
    pub roots: Arc<Mutex<Vec<SealedRoot>>>,
    /// 0: one chain, and no roots.
    chains: u16,
}

impl MemoryAuditLog {
    /// Whose entries go to so many chains in turn.
    pub fn with_chains(chains: u16) -> Self {
        Self { chains, ..Self::default() }
    }
}

fn head_of(entries: &[Sealed], chain: ChainId) -> Head {
    entries.iter().rfind(|sealed| sealed.chain == chain).map(Sealed::head).unwrap_or_default()
}

fn chains_of(entries: &[Sealed]) -> Vec<ChainHead> {
    let chains: BTreeSet<ChainId> = entries.iter().map(|sealed| sealed.chain).collect();
    chains.into_iter().map(|chain| ChainHead { chain, head: head_of(entries, chain) }).collect()
}

#[async_trait]
impl Journal for MemoryAuditLog {
    async fn append_all(&self, events: Vec<Event>) -> Result<(), StoreError> {
        let mut entries = locked(&self.entries);
        let chain = match self.chains {
            0 => ChainId::ONLY,
            chains => ChainId::new(1 + (entries.len() % usize::from(chains)) as u16),
        };
        for event in events {
            let sealed = seal(chain, &head_of(&entries, chain), &event);
            entries.push(sealed);
        }
        Ok(())
    }
}

#[async_trait]
impl AuditLog for MemoryAuditLog {
    async fn find(&self, filter: &EntryFilter, page: &PageRequest) -> Result<Page<Entry>, StoreError> {
        let place = |sealed: &Sealed| (sealed.at, u128::from(sealed.chain.get()) << 64 | u128::from(sealed.sequence));
        let mut found: Vec<Sealed> =
            locked(&self.entries).iter().filter(|sealed| filter.takes(sealed)).cloned().collect();
        found.sort_by_key(|sealed| std::cmp::Reverse(place(sealed)));
        if let Ok(Some((time, id))) = page.after_time() {
            found.retain(|sealed| place(sealed) < (time, id.as_u128()));
        }
        let entries = found.iter().map(Sealed::open).collect::<Result<_, _>>()?;
        Ok(Page::of_rows(entries, page.limit, Entry::cursor))
    }

    async fn heads(&self) -> Result<Heads, StoreError> {
        let entries = locked(&self.entries);
        let root = locked(&self.roots).last().map(SealedRoot::head).unwrap_or_default();
        Ok(Heads { chains: chains_of(&entries), root: (self.chains > 0).then_some(root) })
    }

    async fn after(&self, chain: ChainId, sequence: u64, limit: usize) -> Result<Vec<Sealed>, StoreError> {
        let entries = locked(&self.entries);
        let of_chain = entries.iter().filter(|sealed| sealed.chain == chain);
        Ok(of_chain.filter(|sealed| sealed.sequence > sequence).take(limit).cloned().collect())
    }

    async fn roots_after(&self, sequence: u64, limit: usize) -> Result<Vec<SealedRoot>, StoreError> {
        Ok(locked(&self.roots).iter().filter(|root| root.sequence > sequence).take(limit).cloned().collect())
    }

    async fn close(&self, at: Timestamp) -> Result<Head, StoreError> {
        let entries = locked(&self.entries);
        if self.chains == 0 {
            return Ok(head_of(&entries, ChainId::ONLY));
        }
        let mut roots = locked(&self.roots);
        let root = roots.last().map(SealedRoot::head).unwrap_or_default();
        let closed: Vec<ChainHead> =
            roots.iter().filter_map(|root| root.open().ok()).flat_map(|root| root.heads).collect();
        let gone_on: Vec<ChainHead> = chains_of(&entries).into_iter().filter(|head| !closed.contains(head)).collect();
        if gone_on.is_empty() {
            return Ok(root);
        }
        let sealed = seal_root(&root, at, &gone_on);
        roots.push(sealed.clone());
        Ok(sealed.head())
    }
}
