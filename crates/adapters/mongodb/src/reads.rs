//! Queries: what they are asked for is one page or one record, so they come in one batch, by one round trip.

use futures_util::TryStreamExt;
use infirmary_kernel::{Id, PageRequest, StoreError};
use mongodb::{
    ClientSession,
    action::{Action, Aggregate, Find},
    bson::{Bson, Document, RawDocumentBuf, doc},
    options::{Hint, ReadConcern, SessionOptions},
};

use crate::{
    MongoStore,
    documents::{DocumentExt, id, time, uuid},
    schema::Collection,
    store::{QUERY_TIMEOUT, WALK_TIMEOUT, answered, answered_within},
};

/// In the comment of a query that has to walk through a whole collection, before the reason why.
pub(crate) const MAY_WALK: &str = "walks: ";

/// Sums are few; a summary by day has as many rows as ten years have days.
pub(crate) const MAX_ROWS_AT_ONCE: u32 = 10_000;

/// A query for several documents. It names its index ([`Collection::hint`]).
pub(crate) struct Query {
    pub(crate) filter: Document,
    pub(crate) sort: Document,
    /// At most so many.
    pub(crate) limit: usize,
    pub(crate) index: &'static str,
}

impl Query {
    /// The documents of these ids.
    pub(crate) fn with_ids<T>(ids: impl IntoIterator<Item = Id<T>>) -> Self {
        let ids: Vec<Bson> = ids.into_iter().map(id).collect();
        Self { limit: ids.len(), filter: doc! { "_id": { "$in": ids } }, sort: doc! {}, index: "_id" }
    }

    fn pipeline(&self, kept: Vec<Document>, then: Vec<Document>) -> Vec<Document> {
        let mut stages = vec![doc! { "$match": &self.filter }];
        if !self.sort.is_empty() {
            stages.push(doc! { "$sort": &self.sort });
        }
        stages.extend(kept);
        stages.push(doc! { "$limit": self.limit as i64 });
        stages.extend(then);
        stages
    }
}

impl Collection {
    /// The index that a query names. A plan that the server chooses by looking at what it has can be another one tomorrow, and
    /// an index that is gone is told at once. Where the first field of the index leads to what is sought, and no other bounds
    /// it, there is nothing to choose, and nothing is named: some servers walk an index that is named from its beginning.
    pub(crate) fn hint(&self, index: &'static str, filter: Option<&Document>) -> Option<Hint> {
        let keys = self.keys_of(index);
        let is_plain = |filter: &Document| {
            let mut fields = keys.keys();
            fields.next().is_some_and(|first| leads(filter, first))
                && fields.all(|other| filter.get(other).is_none_or(is_exact))
        };
        (!filter.is_some_and(is_plain)).then_some(Hint::Keys(keys))
    }

    pub(crate) fn keys_of(&self, index: &'static str) -> Document {
        match self.indexes.iter().find(|known| known.name == index) {
            Some(index) => index.key_document(),
            // Of every collection, and named so by the server.
            None => doc! { "_id": 1 },
        }
    }
}

impl MongoStore {
    pub(crate) async fn find_one(
        &self,
        collection: &Collection,
        filter: Document,
    ) -> Result<Option<RawDocumentBuf>, StoreError> {
        answered(async { self.rows(collection).find_one(filter).max_time(QUERY_TIMEOUT).await }).await
    }

    pub(crate) async fn find(&self, collection: &Collection, query: Query) -> Result<Vec<RawDocumentBuf>, StoreError> {
        let hint = collection.hint(query.index, Some(&query.filter));
        answered(async {
            self.rows(collection)
                .find(query.filter)
                .sort(query.sort)
                .limit(query.limit as i64)
                .batch_size(query.limit as u32)
                .optional(hint, Find::hint)
                .max_time(QUERY_TIMEOUT)
                .await?
                .try_collect()
                .await
        })
        .await
    }

    pub(crate) async fn aggregate(
        &self,
        collection: &Collection,
        pipeline: Vec<Document>,
    ) -> Result<Vec<RawDocumentBuf>, StoreError> {
        answered(async {
            self.documents(collection)
                .aggregate(pipeline)
                .max_time(QUERY_TIMEOUT)
                .with_type::<RawDocumentBuf>()
                .await?
                .try_collect()
                .await
        })
        .await
    }

    /// For a query that is more than a filter. What passes `kept` counts for its limit, and goes through `then`.
    pub(crate) async fn find_through(
        &self,
        collection: &Collection,
        query: Query,
        kept: Vec<Document>,
        then: Vec<Document>,
    ) -> Result<Vec<RawDocumentBuf>, StoreError> {
        if query.limit == 0 {
            return Ok(Vec::new());
        }
        answered(async {
            self.documents(collection)
                .aggregate(query.pipeline(kept, then))
                .optional(collection.hint(query.index, Some(&query.filter)), Aggregate::hint)
                .batch_size(whole(query.limit))
                .max_time(QUERY_TIMEOUT)
                .with_type::<RawDocumentBuf>()
                .await?
                .try_collect()
                .await
        })
        .await
    }

    /// For several queries that are to see the store at one moment.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot<'_>, StoreError> {
        let session = answered(async { self.client().start_session().snapshot(true).await }).await?;
        Ok(Snapshot { store: self, session })
    }
}

/// The store at one moment: that of the first query.
pub(crate) struct Snapshot<'a> {
    store: &'a MongoStore,
    session: ClientSession,
}

impl Snapshot<'_> {
    /// One more query of the same moment, after the first: several can be asked at once.
    pub(crate) async fn also_through(
        &self,
        collection: &Collection,
        query: Query,
        kept: Vec<Document>,
        then: Vec<Document>,
    ) -> Result<Vec<RawDocumentBuf>, StoreError> {
        let options = SessionOptions::builder().snapshot(true).snapshot_time(self.session.snapshot_time()).build();
        let session = answered(async { self.store.client().start_session().with_options(options).await }).await?;
        Snapshot { store: self.store, session }.find_through(collection, query, kept, then).await
    }

    pub(crate) async fn find_through(
        &mut self,
        collection: &Collection,
        query: Query,
        kept: Vec<Document>,
        then: Vec<Document>,
    ) -> Result<Vec<RawDocumentBuf>, StoreError> {
        if query.limit == 0 {
            return Ok(Vec::new());
        }
        answered(async {
            let mut cursor = self
                .store
                .documents(collection)
                .aggregate(query.pipeline(kept, then))
                .optional(collection.hint(query.index, Some(&query.filter)), Aggregate::hint)
                .batch_size(whole(query.limit))
                .max_time(QUERY_TIMEOUT)
                .read_concern(ReadConcern::snapshot())
                .with_type::<RawDocumentBuf>()
                .session(&mut self.session)
                .await?;
            cursor.stream(&mut self.session).try_collect().await
        })
        .await
    }

    pub(crate) async fn find(
        &mut self,
        collection: &Collection,
        query: Query,
    ) -> Result<Vec<RawDocumentBuf>, StoreError> {
        let hint = collection.hint(query.index, Some(&query.filter));
        answered(async {
            let mut cursor = self
                .store
                .rows(collection)
                .find(query.filter)
                .sort(query.sort)
                .limit(query.limit as i64)
                .batch_size(query.limit as u32)
                .optional(hint, Find::hint)
                .max_time(QUERY_TIMEOUT)
                .read_concern(ReadConcern::snapshot())
                .session(&mut self.session)
                .await?;
            cursor.stream(&mut self.session).try_collect().await
        })
        .await
    }

    pub(crate) async fn aggregate(
        &mut self,
        collection: &Collection,
        pipeline: Vec<Document>,
    ) -> Result<Vec<RawDocumentBuf>, StoreError> {
        answered(async {
            let mut cursor = self
                .store
                .documents(collection)
                .aggregate(pipeline)
                .batch_size(MAX_ROWS_AT_ONCE)
                .max_time(QUERY_TIMEOUT)
                .read_concern(ReadConcern::snapshot())
                .with_type::<RawDocumentBuf>()
                .session(&mut self.session)
                .await?;
            cursor.stream(&mut self.session).try_collect().await
        })
        .await
    }

    /// The same over what an index gives, for sums: it names that index, and what comes of it comes at once.
    pub(crate) async fn aggregate_by(
        &mut self,
        collection: &Collection,
        index: &'static str,
        pipeline: Vec<Document>,
    ) -> Result<Vec<RawDocumentBuf>, StoreError> {
        let hint = collection.hint(index, matched(&pipeline));
        answered(async {
            let mut cursor = self
                .store
                .documents(collection)
                .aggregate(pipeline)
                .optional(hint, Aggregate::hint)
                .batch_size(MAX_ROWS_AT_ONCE)
                .max_time(QUERY_TIMEOUT)
                .read_concern(ReadConcern::snapshot())
                .with_type::<RawDocumentBuf>()
                .session(&mut self.session)
                .await?;
            cursor.stream(&mut self.session).try_collect().await
        })
        .await
    }

    /// The same over all documents of a collection: `why` says why it has to be. May take minutes.
    pub(crate) async fn walk(
        &mut self,
        collection: &Collection,
        why: &str,
        pipeline: Vec<Document>,
    ) -> Result<Vec<RawDocumentBuf>, StoreError> {
        answered_within(WALK_TIMEOUT, async {
            let mut cursor = self
                .store
                .documents(collection)
                .aggregate(pipeline)
                .comment(format!("{MAY_WALK}{why}"))
                .batch_size(MAX_ROWS_AT_ONCE)
                .max_time(WALK_TIMEOUT)
                .read_concern(ReadConcern::snapshot())
                .with_type::<RawDocumentBuf>()
                .session(&mut self.session)
                .await?;
            cursor.stream(&mut self.session).try_collect().await
        })
        .await
    }
}

/// Whether the filter gives the field one value, a few, or a range with both its ends: every planner that is worth the name
/// goes by an index that begins with that field.
pub(crate) fn leads(filter: &Document, field: &str) -> bool {
    let has_both_ends = |asked: &Bson| {
        let has =
            |ends: [&str; 2]| asked.as_document().is_some_and(|asked| ends.iter().any(|end| asked.contains_key(end)));
        has(["$gt", "$gte"]) && has(["$lt", "$lte"])
    };
    filter.get(field).is_some_and(|asked| is_exact(asked) || has_both_ends(asked))
}

/// One value, or a few.
pub(crate) fn is_exact(asked: &Bson) -> bool {
    asked.as_document().is_none_or(|asked| {
        asked.keys().all(|operator| !operator.starts_with('$') || operator == "$in" || operator == "$eq")
    })
}

/// The filter that a pipeline begins with.
pub(crate) fn matched(pipeline: &[Document]) -> Option<&Document> {
    pipeline.first()?.get_document("$match").ok()
}

/// The size of a first batch that holds all of a page: with room for one more, it is seen to be the last.
const fn whole(limit: usize) -> u32 {
    limit as u32 + 1
}

/// What a list in the order of `field` and id, newest first, has after the cursor of the page.
pub(crate) fn after_place(filter: Document, field: &str, page: &PageRequest) -> Document {
    let Ok(Some((at, id))) = page.after_time() else { return filter };
    before_place(filter, field, time(at), uuid(id))
}

/// What comes after (`at`, `id`) when both fall. The bound on the time alone leads into the index, and of that very moment
/// those are left out that came before: by `$nor`, in which no planner looks for another index, as it does in an `$or`.
pub(crate) fn before_place(mut filter: Document, field: &str, at: Bson, id: Bson) -> Document {
    // A bound that the filter has on the time already is kept beside it.
    let mut bound = filter.get_document(field).cloned().unwrap_or_default();
    bound.insert("$lte", at.clone());
    filter.insert(field, bound);
    filter.but_not(doc! { field: at, "_id": { "$gte": id } })
}

/// In the order of `field` and id, newest first.
pub(crate) fn newest_first(field: &str) -> Document {
    doc! { field: -1, "_id": -1 }
}

/// To know whether there is more.
pub(crate) fn one_more(page: &PageRequest) -> usize {
    page.limit.get() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::CHARGES;

    #[test]
    fn an_index_is_named_unless_the_first_field_of_it_leads_and_no_other_bounds_it() {
        let is_named = |filter: Document| CHARGES.hint("patient_status", Some(&filter)).is_some();
        for plain in [
            doc! { "patient": 1 },
            doc! { "patient": { "$in": [1, 2] }, "status": "open", "paid": { "$gt": 0 } },
            doc! { "patient": { "$gt": 1, "$lte": 2 } },
        ] {
            assert!(!is_named(plain.clone()), "{plain}");
        }
        for open in [
            doc! {},
            doc! { "status": "open" },
            doc! { "patient": { "$gt": 1 } },
            doc! { "patient": { "$ne": 1 } },
            doc! { "patient": 1, "charged_at": { "$lte": 2 } },
        ] {
            assert!(is_named(open.clone()), "{open}");
        }
        assert_eq!(CHARGES.hint("time", None), Some(Hint::Keys(doc! { "charged_at": -1, "_id": -1 })));
    }

    #[test]
    fn what_is_left_out_of_a_filter_adds_up() {
        let filter = doc! { "a": 1 }.but_not(doc! { "b": 2 }).but_not(doc! { "c": 3 });
        assert_eq!(filter, doc! { "a": 1, "$nor": [{ "b": 2 }, { "c": 3 }] });
    }
}
