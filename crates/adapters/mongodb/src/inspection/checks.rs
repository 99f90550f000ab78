//! What is looked for in each part of the house, in a transaction for each. What belongs together is in one part, in the order
//! of one id, so that it is put together as it comes.

use std::time::Duration;

use async_trait::async_trait;
use infirmary_kernel::{StoreError, WriteError};
use infirmary_workflows::Flaw;
use mongodb::{
    SessionCursor,
    bson::{Document, RawDocumentBuf},
};
use uuid::Uuid;

use super::flaws::Flaws;
use crate::{
    MongoStore,
    documents::Fields,
    parts::{Part, Parts},
    schema::Collection,
    transaction::{Done, PART_TIMEOUT, Transaction, Work, unopposed},
};

/// What is looked for in each part.
#[async_trait]
pub(super) trait Check: Sync {
    /// The collection whose ids the parts go by.
    fn by(&self) -> &'static Collection;

    async fn look(&self, transaction: &mut Transaction<'_>, part: &Part, flaws: &mut Flaws) -> Result<(), WriteError>;
}

pub(super) async fn check(store: &MongoStore, check: &impl Check, flaws: &mut Flaws) -> Result<(), StoreError> {
    let mut parts = Parts::by(check.by());
    while !flaws.is_full()
        && let Some(part) = parts.next(store).await?
    {
        let looking = Looking { check, part, most: flaws.most() };
        for flaw in store.transact(None, &looking).await.map_err(unopposed)? {
            flaws.add_flaw(flaw);
        }
    }
    Ok(())
}

struct Looking<'c, C> {
    check: &'c C,
    part: Part,
    most: usize,
}

#[async_trait]
impl<C: Check> Work for Looking<'_, C> {
    type Answer = Vec<Flaw>;

    fn timeout(&self) -> Duration {
        PART_TIMEOUT
    }

    async fn run<'a>(&self, transaction: &mut Transaction<'a>) -> Done<'a, Vec<Flaw>> {
        let mut flaws = Flaws::at_most(self.most);
        self.check.look(transaction, &self.part, &mut flaws).await?;
        Ok((flaws.found(), None))
    }
}

/// Which documents of a part.
pub(super) struct Of {
    pub(super) collection: &'static Collection,
    /// That leads an index of its name, and is an id in each of them.
    pub(super) key: &'static str,
    pub(super) filter: Document,
    /// What of them is needed beside the key; all of it when nothing is named.
    pub(super) fields: &'static [&'static str],
}

/// Documents in the order of an id in them, one after the other, however many there are.
pub(super) struct Ordered {
    cursor: SessionCursor<RawDocumentBuf>,
    key: &'static str,
    next: Option<RawDocumentBuf>,
}

impl Ordered {
    pub(super) async fn open(transaction: &mut Transaction<'_>, part: &Part, of: Of) -> Result<Self, WriteError> {
        let Of { collection, key, filter, fields } = of;
        let kept = fields.iter().map(|field| ((*field).to_owned(), 1.into()));
        let mut kept: Document = kept.collect();
        if !kept.is_empty() {
            kept.insert(key, 1);
        }
        let cursor = transaction.open(collection, part.of(key, filter), key, kept).await?;
        Ok(Self { cursor, key, next: None })
    }

    pub(super) async fn next(
        &mut self,
        transaction: &mut Transaction<'_>,
    ) -> Result<Option<RawDocumentBuf>, WriteError> {
        match self.next.take() {
            Some(next) => Ok(Some(next)),
            None => transaction.next(&mut self.cursor).await,
        }
    }

    /// Those of the id. To be asked for in the order of the ids; those of others before it are passed over.
    pub(super) async fn of(
        &mut self,
        transaction: &mut Transaction<'_>,
        id: Uuid,
    ) -> Result<Vec<RawDocumentBuf>, WriteError> {
        let mut those = Vec::new();
        while let Some(next) = self.next(transaction).await? {
            let key = next.id::<()>(self.key)?.as_uuid();
            if key > id {
                self.next = Some(next);
                break;
            }
            if key == id {
                those.push(next);
            }
        }
        Ok(those)
    }
}
