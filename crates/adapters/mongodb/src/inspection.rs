//! What must hold among the documents. A verification reads all of them, by parts of the house of a thousand ids each
//! ([`crate::parts`]): so it takes as much memory, and no longer than a server keeps a moment, however large the house is. What one
//! law says of one record is of one moment, and so are the counts, as far as the server keeps a snapshot for them.

mod books;
mod checks;
mod completeness;
mod flaws;
mod histories;
mod references;
mod shape;
mod storage;
mod trail;

use async_trait::async_trait;
use infirmary_kernel::StoreError;
use infirmary_workflows::{Flaw, HouseCounts, Inspection, NamedObject, ObjectOwner, RecordLaw};
use mongodb::bson::{Bson, Document, RawDocument, RawDocumentBuf, doc};
use uuid::Uuid;

use self::flaws::Flaws;
use crate::{
    MongoStore,
    documents::{Fields, number, uuid},
    objects::object,
    reads::{Query, Snapshot},
    schema::{ACCOUNTS, AUDIT, CHARGES, Collection, DIAGNOSES, IMAGES, PATIENTS, PAYMENTS, REFUNDS, REPORTS, STUDIES},
};

#[async_trait]
impl Inspection for MongoStore {
    async fn flaws(&self, law: RecordLaw, most: usize) -> Result<Vec<Flaw>, StoreError> {
        let mut flaws = Flaws::at_most(most);
        match law {
            RecordLaw::Storage => storage::find(self, &mut flaws).await?,
            RecordLaw::Shape => shape::find(self, &mut flaws).await?,
            RecordLaw::References => references::find(self, &mut flaws).await?,
            RecordLaw::Histories => {
                checks::check(self, &histories::Versions, &mut flaws).await?;
                histories::record_numbers(self, &mut flaws).await?;
            }
            RecordLaw::Completeness => {
                checks::check(self, &completeness::Studies, &mut flaws).await?;
                checks::check(self, &completeness::Reports, &mut flaws).await?;
            }
            RecordLaw::House => books::find(self, &mut flaws).await?,
            RecordLaw::Trail => checks::check(self, &trail::Trail, &mut flaws).await?,
        }
        Ok(flaws.found())
    }

    async fn objects(&self, after: Option<ObjectOwner>, most: usize) -> Result<Vec<NamedObject>, StoreError> {
        let (image, report) = match after {
            None => (Some(Uuid::nil()), Uuid::nil()),
            Some(ObjectOwner::Image(id)) => (Some(id.as_uuid()), Uuid::nil()),
            Some(ObjectOwner::Report(id)) => (None, id.as_uuid()),
        };
        let after = |id: Uuid, limit: usize| {
            let filter = doc! { "_id": { "$gt": uuid(id) } };
            Query { filter, sort: doc! { "_id": 1 }, limit, index: "_id" }
        };
        let mut snapshot = self.snapshot().await?;
        let mut objects = Vec::new();
        if let Some(image) = image {
            for found in snapshot.find(&IMAGES, after(image, most)).await? {
                objects.push(named(&found, ObjectOwner::Image(found.id("_id")?))?);
            }
        }
        if objects.len() < most {
            for found in snapshot.find(&REPORTS, after(report, most - objects.len())).await? {
                objects.push(named(&found, ObjectOwner::Report(found.id("_id")?))?);
            }
        }
        Ok(objects)
    }

    async fn known(&self, owners: &[ObjectOwner]) -> Result<Vec<ObjectOwner>, StoreError> {
        let (mut images, mut reports) = (Vec::new(), Vec::new());
        for owner in owners {
            match owner {
                ObjectOwner::Image(id) => images.push(uuid(id.as_uuid())),
                ObjectOwner::Report(id) => reports.push(uuid(id.as_uuid())),
            }
        }
        let mut known = Vec::new();
        for found in self.find_all(&IMAGES, images).await? {
            known.push(ObjectOwner::Image(found.id("_id")?));
        }
        for found in self.find_all(&REPORTS, reports).await? {
            known.push(ObjectOwner::Report(found.id("_id")?));
        }
        Ok(known)
    }

    async fn counts(&self) -> Result<HouseCounts, StoreError> {
        let mut snapshot = self.snapshot().await?;
        let (images, bytes_of_images) = count(&mut snapshot, &IMAGES).await?;
        let (reports, bytes_of_reports) = count(&mut snapshot, &REPORTS).await?;
        Ok(HouseCounts {
            accounts: count(&mut snapshot, &ACCOUNTS).await?.0,
            patients: count(&mut snapshot, &PATIENTS).await?.0,
            studies: count(&mut snapshot, &STUDIES).await?.0,
            images,
            diagnoses: count(&mut snapshot, &DIAGNOSES).await?.0,
            reports,
            charges: count(&mut snapshot, &CHARGES).await?.0,
            payments: count(&mut snapshot, &PAYMENTS).await?.0,
            refunds: count(&mut snapshot, &REFUNDS).await?.0,
            audit_entries: count(&mut snapshot, &AUDIT).await?.0,
            object_bytes: bytes_of_images + bytes_of_reports,
        })
    }
}

impl MongoStore {
    /// Those of the ids that are there.
    async fn find_all(&self, collection: &Collection, ids: Vec<Bson>) -> Result<Vec<RawDocumentBuf>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let (limit, filter) = (ids.len(), doc! { "_id": { "$in": ids } });
        self.find(collection, Query { filter, sort: doc! {}, limit, index: "_id" }).await
    }
}

fn named(found: &RawDocument, owner: ObjectOwner) -> Result<NamedObject, StoreError> {
    Ok(NamedObject { owner, object: object(found)? })
}

/// How many there are, and the bytes of their objects.
async fn count(snapshot: &mut Snapshot<'_>, collection: &Collection) -> Result<(u64, u64), StoreError> {
    let all: Document = doc! { "_id": Bson::Null, "count": { "$sum": number(1) }, "bytes": { "$sum": "$bytes" } };
    let counted = snapshot.walk(collection, "every document is counted", vec![doc! { "$group": all }]).await?;
    match counted.first() {
        Some(counted) => Ok((counted.number("count")?, counted.number("bytes")?)),
        None => Ok((0, 0)),
    }
}
