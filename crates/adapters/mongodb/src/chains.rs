//! The audit chains that this process writes.
//!
//! A transaction holds its chain from sealing its entry to the end of the commit: a majority's round trip. So a process has
//! several, and takes the first that is free. A house has [`MAX_CHAINS`]; each process draws some of them. That two have
//! drawn the same is told by the server, as no two entries have one place, and then the one that came second draws again.
//! So nobody has to give chains out, and one that a dead process has left is taken up by another in time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use infirmary_audit::{ChainId, Head, Sealed, seal};
use infirmary_kernel::{Event, StoreError, WriteError};
use mongodb::bson::{Document, doc};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    MongoStore,
    documents::{DocumentExt, Fields, bytes, digest, id, number, time},
    failures::{duplicate, is_conflict, store_error},
    reads::Query,
    schema::{AUDIT, AUDIT_CHAINS},
    store::answered,
    transaction::Transaction,
};

/// Of one process: so many of its writes can be in their commit at once.
pub(crate) const LANES: usize = 16;
/// Numbered from 1; number 0 is that of a log with one chain.
const MAX_CHAINS: u16 = 256;

/// The chains of this process that no write holds at the moment.
pub(crate) struct Lanes {
    turns: Semaphore,
    free: Mutex<BTreeMap<usize, Lane>>,
    own: Mutex<BTreeSet<ChainId>>,
}

#[derive(Default)]
struct Lane {
    chain: Option<ChainId>,
    /// Absent while it is not known how the last write went.
    head: Option<Head>,
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            turns: Semaphore::new(LANES),
            free: Mutex::new((0..LANES).map(|number| (number, Lane::default())).collect()),
            own: Mutex::default(),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lanes {
    /// The first that is free: a house at rest writes one chain.
    pub(crate) async fn take(&self) -> Result<Held<'_>, StoreError> {
        let closed = || StoreError::Unavailable { reason: "the audit chains are closed".to_owned() };
        let turn = self.turns.acquire().await.map_err(|_| closed())?;
        let (number, lane) = locked(&self.free).pop_first().ok_or_else(closed)?;
        Ok(Held { lanes: self, number, lane, _turn: turn })
    }
}

/// A chain that nobody else in this process writes meanwhile.
pub(crate) struct Held<'a> {
    lanes: &'a Lanes,
    number: usize,
    lane: Lane,
    _turn: SemaphorePermit<'a>,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        locked(&self.lanes.free).insert(self.number, std::mem::take(&mut self.lane));
    }
}

impl<'a> Held<'a> {
    /// The chain and its head, which is not known any more until [`Sealing::stands`].
    async fn open(&mut self, store: &MongoStore) -> Result<(ChainId, Head), StoreError> {
        let chain = match self.lane.chain {
            Some(chain) => chain,
            None => {
                let chain = self.draw(store);
                store.begin_chain(chain).await?;
                self.lane.chain = Some(chain);
                chain
            }
        };
        let head = match self.lane.head.take() {
            Some(head) => head,
            None => store.chain_head(chain).await?,
        };
        Ok((chain, head))
    }

    fn draw(&self, store: &MongoStore) -> ChainId {
        let mut own = locked(&self.lanes.own);
        loop {
            let mut dice = [0; 2];
            store.entropy().fill(&mut dice);
            let chain = ChainId::new(1 + u16::from_be_bytes(dice) % MAX_CHAINS);
            if own.insert(chain) {
                return chain;
            }
        }
    }

    /// Another process writes this chain.
    pub(crate) fn leave(&mut self) {
        if let Some(chain) = self.lane.chain.take() {
            locked(&self.lanes.own).remove(&chain);
        }
        self.lane.head = None;
    }

    /// The event as the next entry of the chain.
    pub(crate) async fn seal(&mut self, store: &MongoStore, event: &Event) -> Result<Sealed, StoreError> {
        let (chain, head) = self.open(store).await?;
        Ok(seal(chain, &head, event))
    }

    /// The events as the next entries, and the head that the last of them makes.
    async fn seal_all(&mut self, store: &MongoStore, events: &[&Event]) -> Result<(Vec<Sealed>, Head), StoreError> {
        let (chain, mut head) = self.open(store).await?;
        let next = |event: &&Event| {
            let sealed = seal(chain, &head, event);
            head = sealed.head();
            sealed
        };
        Ok((events.iter().map(next).collect(), head))
    }

    pub(crate) const fn sealing(self, head: Head) -> Sealing<'a> {
        Sealing { held: self, head }
    }
}

/// Entries that are written and not committed yet.
pub(crate) struct Sealing<'a> {
    held: Held<'a>,
    head: Head,
}

impl Sealing<'_> {
    /// They are there, for good.
    pub(crate) fn stands(mut self) {
        self.held.lane.head = Some(self.head);
    }
}

impl<'a> Transaction<'a> {
    /// The events become entries of a chain, which is held until the transaction is over. To be the last thing written.
    pub(crate) async fn seal(&mut self, events: &[&Event]) -> Result<Sealing<'a>, WriteError> {
        let mut held = self.store().lanes().take().await?;
        let (sealed, head) = held.seal_all(self.store(), events).await?;
        match self.insert_entries(sealed.iter().map(entry).collect()).await {
            Ok(()) => Ok(held.sealing(head)),
            Err(error) if duplicate(&error).is_some() || is_conflict(&error) => {
                held.leave();
                self.met();
                Err(store_error(&error).into())
            }
            Err(error) => self.fail(error),
        }
    }
}

impl MongoStore {
    async fn begin_chain(&self, chain: ChainId) -> Result<(), StoreError> {
        answered(async {
            self.documents(&AUDIT_CHAINS)
                .update_one(doc! { "_id": number(chain.get()) }, doc! { "$set": { "begun": true } })
                .upsert(true)
                .await
        })
        .await
        .map(|_| ())
    }

    pub(crate) async fn chain_head(&self, chain: ChainId) -> Result<Head, StoreError> {
        let of_chain = doc! { "_id": { "$gt": chain.number(0), "$lte": chain.number(u64::MAX) } };
        let last = Query { filter: of_chain, sort: doc! { "_id": -1 }, limit: 1, index: "_id" };
        let found = self.find(&AUDIT, last).await?;
        found.first().map_or(Ok(Head::GENESIS), |entry| {
            let (_, sequence) = ChainId::of_number(entry.number("_id")?);
            Ok(Head { sequence, hash: entry.digest("hash")? })
        })
    }
}

pub(crate) fn entry(sealed: &Sealed) -> Document {
    doc! {
        "_id": sealed.chain.number(sealed.sequence),
        "at": time(sealed.at),
        "action": sealed.action.as_str(),
        "form": bytes(sealed.canonical.as_slice()),
        "hash": digest(&sealed.hash),
    }
    .with("account", sealed.account.map(id))
    .with("patient", sealed.patient.map(id))
}
