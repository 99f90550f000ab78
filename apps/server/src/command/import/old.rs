//! The replaced system's database, read as it is: fields that are now texts, now numbers, now absent.

use futures_util::TryStreamExt;
use infirmary_kernel::Timestamp;
use mongodb::{
    Client, Cursor, Database,
    bson::{Bson, Document, doc},
};

use crate::{command::CommandError, legacy::id::ObjectId};

/// Documents of one answer of the server.
const BATCH_DOCUMENTS: u32 = 1_000;

pub struct Old(Database);

impl Old {
    /// The address names the database. It may hold a password, so nothing of it is repeated.
    pub async fn connect(address: &str) -> Result<Self, CommandError> {
        let refused = |why: &str| CommandError::argument(format!("--from {why}"));
        let client = Client::with_uri_str(address).await.map_err(|_| refused("is no address of a MongoDB server"))?;
        let database = client.default_database();
        database.map(Self).ok_or_else(|| refused("names no database; give mongodb://host/database"))
    }

    /// About how many there are.
    pub async fn count(&self, collection: &str) -> Result<u64, CommandError> {
        self.0.collection::<Document>(collection).estimated_document_count().await.map_err(failed)
    }

    /// In the order of their ids, which is that of their making.
    pub async fn all(&self, collection: &str) -> Result<Cursor<Document>, CommandError> {
        let collection = self.0.collection::<Document>(collection);
        collection.find(doc! {}).sort(doc! {"_id": 1}).batch_size(BATCH_DOCUMENTS).await.map_err(failed)
    }

    /// The id of the newest.
    pub async fn newest(&self, collection: &str) -> Result<Option<ObjectId>, CommandError> {
        let collection = self.0.collection::<Document>(collection);
        let newest = collection.find(doc! {}).sort(doc! {"_id": -1}).limit(1).await.map_err(failed)?;
        let newest: Vec<Document> = newest.try_collect().await.map_err(failed)?;
        Ok(newest.first().and_then(|document| object_id(document, "_id")))
    }
}

pub fn failed(error: mongodb::error::Error) -> CommandError {
    CommandError::Source(Box::new(error))
}

/// As itself, or in its 24 digits.
pub fn object_id(document: &Document, field: &str) -> Option<ObjectId> {
    match document.get(field)? {
        Bson::ObjectId(id) => Some(ObjectId(id.bytes())),
        Bson::String(text) => ObjectId::parse(text.trim()),
        _ => None,
    }
}

pub fn text(document: &Document, field: &str) -> Option<String> {
    let text = match document.get(field)? {
        Bson::String(text) => text.trim().to_owned(),
        Bson::Int32(number) => number.to_string(),
        Bson::Int64(number) => number.to_string(),
        // A whole number that the old system counted in doubles.
        Bson::Double(number) => number.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

pub fn flag(document: &Document, field: &str) -> bool {
    matches!(document.get(field), Some(Bson::Boolean(true)))
        || text(document, field).is_some_and(|text| text.eq_ignore_ascii_case("true") || text == "1")
}

/// As a date, in words, or in milliseconds; else the moment that the id was made.
pub fn time(document: &Document, field: &str, id: ObjectId) -> Timestamp {
    let told = match document.get(field) {
        Some(Bson::DateTime(time)) => Some(Timestamp::from_unix_ms(time.timestamp_millis())),
        Some(Bson::String(text)) => Timestamp::parse(text.trim()).ok(),
        Some(Bson::Int64(millis)) => Some(Timestamp::from_unix_ms(*millis)),
        #[expect(clippy::cast_possible_truncation, reason = "milliseconds of a year that there is")]
        Some(Bson::Double(millis)) if millis.is_finite() => Some(Timestamp::from_unix_ms(*millis as i64)),
        _ => None,
    };
    told.unwrap_or_else(|| id.made_at())
}
