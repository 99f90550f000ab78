//! Writes of one document that leave no trail. Each is atomic by itself, and the driver sends it once more under the same
//! number when the answer was lost.

use infirmary_kernel::StoreError;
use mongodb::{
    bson::{Document, RawDocumentBuf},
    options::{ReturnDocument, UpdateModifications},
};

use crate::{
    MongoStore,
    failures::{duplicate, write_error},
    schema::Collection,
    store::answered_write,
};

impl MongoStore {
    /// Whether there was such a document.
    pub(crate) async fn update_one(
        &self,
        collection: &Collection,
        filter: Document,
        update: impl Into<UpdateModifications>,
    ) -> Result<bool, StoreError> {
        let documents = self.documents(collection);
        Ok(answered_write(documents.update_one(filter, update)).await?.matched_count > 0)
    }

    /// How many there were.
    pub(crate) async fn update_all(
        &self,
        collection: &Collection,
        filter: Document,
        update: Document,
    ) -> Result<u64, StoreError> {
        let documents = self.documents(collection);
        Ok(answered_write(documents.update_many(filter, update)).await?.matched_count)
    }

    pub(crate) async fn delete_all(&self, collection: &Collection, filter: Document) -> Result<u64, StoreError> {
        let documents = self.documents(collection);
        Ok(answered_write(documents.delete_many(filter)).await?.deleted_count)
    }

    /// The document as it is afterwards; `None` when there is no such one.
    pub(crate) async fn change_one(
        &self,
        collection: &Collection,
        filter: Document,
        update: Document,
    ) -> Result<Option<RawDocumentBuf>, StoreError> {
        let rows = self.rows(collection);
        answered_write(rows.find_one_and_update(filter, update).return_document(ReturnDocument::After)).await
    }

    /// The same, and makes the document when there is none with that `_id`. `None` when there is one with it that is not of
    /// the filter.
    pub(crate) async fn change_or_make(
        &self,
        collection: &Collection,
        filter: Document,
        update: Document,
    ) -> Result<Option<RawDocumentBuf>, StoreError> {
        let rows = self.rows(collection);
        let limit = crate::store::ANSWER_TIMEOUT;
        let changed = rows.find_one_and_update(filter, update).upsert(true).return_document(ReturnDocument::After);
        match tokio::time::timeout(limit, changed.into_future()).await {
            Ok(Ok(changed)) => Ok(changed),
            Ok(Err(error)) if duplicate(&error).is_some() => Ok(None),
            Ok(Err(error)) => Err(write_error(&error)),
            Err(_) => Err(crate::store::late()),
        }
    }
}
