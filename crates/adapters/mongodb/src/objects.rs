//! What a document of an image or a report keeps of its object.

use infirmary_kernel::{ObjectKey, StoreError, StoredObject};
use mongodb::bson::{Document, RawDocument};

use crate::documents::{Fields, digest, number};

pub(crate) fn with_object(mut document: Document, object: &StoredObject) -> Document {
    document.insert("object", object.key.as_str());
    document.insert("bytes", number(i64::try_from(object.bytes).unwrap_or(i64::MAX)));
    document.insert("sha256", digest(&object.sha256));
    document
}

pub(crate) fn object(found: &RawDocument) -> Result<StoredObject, StoreError> {
    Ok(StoredObject {
        key: found.parsed("object", ObjectKey::parse)?,
        bytes: found.number("bytes")?,
        sha256: found.digest("sha256")?,
    })
}
