//! The house is gone through a part at a time, each in a short transaction that reads of one moment. What belongs together
//! is in one part, in the order of one id, so that it is put together as it comes.

use std::time::Duration;

use async_trait::async_trait;
use infirmary_kernel::{StoreError, WriteError};
use infirmary_workflows::Flaw;
use mongodb::{
    SessionCursor,
    bson::{Bson, Document, RawDocumentBuf, doc},
};
use uuid::Uuid;

use super::flaws::Flaws;
use crate::{
    MongoStore,
    documents::{Fields, uuid},
    reads::Query,
    schema::Collection,
    transaction::{Done, PART_TIMEOUT, Transaction, Work, unopposed},
};

/// Of the collection by which a law goes.
const DOCUMENTS_AT_ONCE: i64 = 1_000;

/// What is above `after`, and not above `last`: all, at both ends of the house.
pub(super) struct Part {
    after: Option<Bson>,
    last: Option<Bson>,
}

impl Part {
    /// What of the filter has an id in the field that is of this part.
    pub(super) fn of(&self, field: &str, mut filter: Document) -> Document {
        let first = || doc! { "$gte": uuid(Uuid::nil()) };
        let mut bounds = self.after.as_ref().map_or_else(first, |after| doc! { "$gt": after });
        if let Some(last) = &self.last {
            bounds.insert("$lte", last);
        }
        filter.insert(field, bounds);
        filter
    }

    /// The same of the collection that the parts are of, which are told by whatever its documents have as ids.
    pub(super) fn own(&self) -> Document {
        let after = self.after.iter().map(|after| ("$gt".to_owned(), after.clone()));
        let last = self.last.iter().map(|last| ("$lte".to_owned(), last.clone()));
        let bounds: Document = after.chain(last).collect();
        if bounds.is_empty() {
            Document::new()
        } else {
            doc! { "_id": bounds }
        }
    }
}

/// The parts of the house by the ids of a collection.
pub(super) struct Parts {
    by: &'static Collection,
    after: Option<Bson>,
    over: bool,
}

impl Parts {
    pub(super) const fn by(by: &'static Collection) -> Self {
        Self { by, after: None, over: false }
    }

    pub(super) async fn next(&mut self, store: &MongoStore) -> Result<Option<Part>, StoreError> {
        if self.over {
            return Ok(None);
        }
        let filter = self.after.as_ref().map_or_else(Document::new, |after| doc! { "_id": { "$gt": after } });
        let query = Query { filter, sort: doc! { "_id": 1 }, limit: 1, index: "_id" };
        let (skip, id) = (doc! { "$skip": DOCUMENTS_AT_ONCE - 1 }, doc! { "$project": { "_id": 1 } });
        let last = store.find_through(self.by, query, vec![skip], vec![id]).await?;
        let last = last.first().map_or(Ok(None), |last| last.field("_id"))?.map(Bson::try_from).transpose();
        let last =
            last.map_err(|_| StoreError::Corrupt { reason: format!("an id of {} is not BSON", self.by.name) })?;
        self.over = last.is_none();
        Ok(Some(Part { after: std::mem::replace(&mut self.after, last.clone()), last }))
    }
}

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
