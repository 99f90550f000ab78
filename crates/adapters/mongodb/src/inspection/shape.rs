use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use infirmary_kernel::{StoreError, WriteError};
use mongodb::{
    IndexModel,
    bson::{Bson, Document, doc},
};
use uuid::Uuid;

use super::{
    checks::{self, Check},
    flaws::Flaws,
};
use crate::{
    MongoStore,
    parts::Part,
    patients,
    reads::Query,
    schema::{COLLECTIONS, Collection, PATIENT_WORDS, PATIENTS},
    store::answered,
    transaction::Transaction,
};

/// That are looked for at once.
const ENTRIES_AT_ONCE: usize = 250;

/// Compares with what this version makes at start; and the index of words, which is kept by hand, with the patients.
pub(super) async fn find(store: &MongoStore, flaws: &mut Flaws) -> Result<(), StoreError> {
    let names = answered(async { store.database().list_collection_names().await }).await?;
    for collection in COLLECTIONS {
        // One without indexes comes to be with its first document.
        let found = match names.iter().any(|name| name == collection.name) {
            true => indexes(store, collection).await?,
            false => BTreeMap::new(),
        };
        for index in collection.indexes {
            let record = format!("index {} of {}", index.name, collection.name);
            match found.get(index.name) {
                None => flaws.add_part(record, "it is not there"),
                Some(shape) if *shape != self::shape(&index.model()) => {
                    flaws.add_part(record, "it is another one than this version makes");
                }
                Some(_) => {}
            }
        }
        for name in found.keys().filter(|name| *name != "_id_") {
            if collection.indexes.iter().all(|index| index.name != name) {
                flaws.add_part(format!("index {name} of {}", collection.name), "it is none of this version");
            }
        }
    }
    for name in names.iter().filter(|name| !name.starts_with("system.")) {
        if COLLECTIONS.iter().all(|collection| collection.name != name) {
            flaws.add_part(format!("collection {name}"), "it is none of this version");
        }
    }
    checks::check(store, &Words, flaws).await
}

/// By name.
async fn indexes(store: &MongoStore, collection: &Collection) -> Result<BTreeMap<String, Document>, StoreError> {
    let listed = async { store.documents(collection).list_indexes().await?.try_collect::<Vec<IndexModel>>().await };
    let named = |model: &IndexModel| {
        let name = model.options.as_ref().and_then(|options| options.name.clone()).unwrap_or_default();
        (name, shape(model))
    };
    Ok(answered(listed).await?.iter().map(named).collect())
}

/// What makes an index what it is, in one spelling: servers give numbers in any width.
fn shape(model: &IndexModel) -> Document {
    let options = model.options.clone().unwrap_or_default();
    let keys = model.keys.iter().map(|(field, way)| (field.clone(), whole(way)));
    doc! {
        "keys": keys.collect::<Document>(),
        "unique": options.unique.unwrap_or(false),
        "sparse": options.sparse.unwrap_or(false),
        "where": options.partial_filter_expression,
        "after_seconds": options.expire_after.map(|after| after.as_secs() as i64),
    }
}

fn whole(number: &Bson) -> Bson {
    let whole = number.as_i64().or_else(|| number.as_i32().map(i64::from));
    whole.or_else(|| number.as_f64().map(|number| number as i64)).map_or_else(|| number.clone(), Bson::Int64)
}

/// The index of words, which is kept by hand.
struct Words;

#[async_trait]
impl Check for Words {
    fn by(&self) -> &'static Collection {
        &PATIENTS
    }

    async fn look(&self, transaction: &mut Transaction<'_>, part: &Part, flaws: &mut Flaws) -> Result<(), WriteError> {
        let mut rest = transaction.open(&PATIENTS, part.own(), "_id", Document::new()).await?;
        let mut expected: BTreeMap<String, (Uuid, Document)> = BTreeMap::new();
        while let Some(found) = transaction.next(&mut rest).await? {
            let patient = patients::patient(&found)?;
            for entry in patients::words_of(&patient) {
                expected.insert(key(&entry), (patient.id.as_uuid(), entry));
            }
        }
        let ids: Vec<String> = expected.keys().cloned().collect();
        for ids in ids.chunks(ENTRIES_AT_ONCE) {
            let filter = doc! { "_id": { "$in": ids } };
            let entries = Query { filter, sort: doc! {}, limit: ids.len(), index: "_id" };
            for found in transaction.find(&PATIENT_WORDS, entries).await? {
                let found = Document::try_from(found).unwrap_or_default();
                let id = key(&found);
                if expected.get(&id).is_some_and(|(_, entry)| *entry == found) {
                    expected.remove(&id);
                }
            }
        }
        for (patient, _) in expected.into_values() {
            flaws.add("patient", patient, "an entry of it in the index of words is missing, or another one");
        }
        Ok(())
    }
}

fn key(entry: &Document) -> String {
    entry.get_str("_id").unwrap_or_default().to_owned()
}
