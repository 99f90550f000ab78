//! The house is gone through a part at a time, so that each is read of one moment, by a short transaction.

use infirmary_kernel::StoreError;
use mongodb::bson::{Bson, Document, doc};
use uuid::Uuid;

use crate::{
    MongoStore,
    documents::{Fields, uuid},
    reads::Query,
    schema::Collection,
};

/// Of the collection that the parts are of.
const DOCUMENTS_AT_ONCE: i64 = 1_000;

/// What is above `after`, and not above `last`: all, at both ends of the house.
pub(crate) struct Part {
    after: Option<Bson>,
    last: Option<Bson>,
}

impl Part {
    /// What of the filter has an id in the field that is of this part.
    pub(crate) fn of(&self, field: &str, mut filter: Document) -> Document {
        let first = || doc! { "$gte": uuid(Uuid::nil()) };
        let mut bounds = self.after.as_ref().map_or_else(first, |after| doc! { "$gt": after });
        if let Some(last) = &self.last {
            bounds.insert("$lte", last);
        }
        filter.insert(field, bounds);
        filter
    }

    /// The same of the collection that the parts are of, which are told by whatever its documents have as ids.
    pub(crate) fn own(&self) -> Document {
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
pub(crate) struct Parts {
    by: &'static Collection,
    after: Option<Bson>,
    over: bool,
}

impl Parts {
    pub(crate) const fn by(by: &'static Collection) -> Self {
        Self { by, after: None, over: false }
    }

    pub(crate) async fn next(&mut self, store: &MongoStore) -> Result<Option<Part>, StoreError> {
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
