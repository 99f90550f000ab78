use infirmary_kernel::StoreError;
use mongodb::{
    SessionCursor,
    bson::{Document, RawDocumentBuf},
    options::ReadConcern,
};
use uuid::Uuid;

use crate::{
    documents::Fields,
    reads::{MAY_WALK, Snapshot},
    schema::Collection,
    store::{WALK_TIMEOUT, answered_within},
};

/// Documents that come by one round trip.
pub(super) const BATCH_DOCUMENTS: u32 = 1_000;

/// Which documents.
pub(super) struct Of {
    pub(super) collection: &'static Collection,
    /// Which begins with `key`, and is sparse only where the filter takes none that it lacks.
    pub(super) index: &'static str,
    /// An id in each.
    pub(super) key: &'static str,
    pub(super) filter: Document,
    /// What of them is needed beside the id; all of it when nothing is named.
    pub(super) fields: &'static [&'static str],
}

/// Documents in the order of an id in them, one after the other, however many there are.
pub(super) struct Ordered {
    cursor: SessionCursor<RawDocumentBuf>,
    key: &'static str,
    next: Option<RawDocumentBuf>,
}

impl Ordered {
    pub(super) async fn open(snapshot: &mut Snapshot<'_>, of: Of) -> Result<Self, StoreError> {
        let Of { collection, index, key, filter, fields } = of;
        let order = collection.keys_of(index);
        let mut kept: Document = fields.iter().map(|field| ((*field).to_owned(), 1.into())).collect();
        if !kept.is_empty() {
            kept.insert(key, 1);
        }
        let found = answered_within(WALK_TIMEOUT, async {
            let rows = snapshot.store.rows(collection);
            rows.find(filter)
                .projection(kept)
                .sort(order)
                .hint(collection.hint(index))
                .batch_size(BATCH_DOCUMENTS)
                .max_time(WALK_TIMEOUT)
                .comment(format!("{MAY_WALK}every document is verified"))
                .read_concern(ReadConcern::snapshot())
                .session(&mut snapshot.session)
                .await
        });
        Ok(Self { cursor: found.await?, key, next: None })
    }

    pub(super) async fn next(&mut self, snapshot: &mut Snapshot<'_>) -> Result<Option<RawDocumentBuf>, StoreError> {
        match self.next.take() {
            Some(next) => Ok(Some(next)),
            None => {
                let next = async { self.cursor.next(&mut snapshot.session).await.transpose() };
                answered_within(WALK_TIMEOUT, next).await
            }
        }
    }

    /// Those of the id. To be asked for in the order of the ids; those of others before it are passed over.
    pub(super) async fn of(
        &mut self,
        snapshot: &mut Snapshot<'_>,
        id: Uuid,
    ) -> Result<Vec<RawDocumentBuf>, StoreError> {
        let mut those = Vec::new();
        while let Some(next) = self.next(snapshot).await? {
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
