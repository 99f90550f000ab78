//! Between documents and domain values. Ids are UUIDs (binary subtype 4), times are dates, amounts are minor units; what is
//! absent is left out, as an index of what is there would count a `null`.

use infirmary_kernel::{Id, Invalid, Sha256Digest, StoreError, Timestamp};
use mongodb::bson::{
    Binary, Bson, DateTime, Document, RawArray, RawBsonRef, RawDocument, doc, raw::RawBinaryRef, spec::BinarySubtype,
};
use uuid::Uuid;

pub(crate) fn uuid(id: Uuid) -> Bson {
    Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes: id.as_bytes().to_vec() })
}

pub(crate) fn id<T>(id: Id<T>) -> Bson {
    uuid(id.as_uuid())
}

pub(crate) fn time(time: Timestamp) -> Bson {
    Bson::DateTime(DateTime::from_millis(time.unix_ms()))
}

pub(crate) fn bytes(bytes: impl Into<Vec<u8>>) -> Bson {
    Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: bytes.into() })
}

pub(crate) fn digest(digest: &Sha256Digest) -> Bson {
    bytes(digest.as_bytes().as_slice())
}

/// Whole numbers are 64 bits wide, everywhere.
pub(crate) fn number(number: impl Into<i64>) -> Bson {
    Bson::Int64(number.into())
}

pub(crate) trait DocumentExt {
    /// With the field, when there is a value for it.
    #[must_use]
    fn with(self, field: &str, value: Option<impl Into<Bson>>) -> Self;
    /// As a filter, without what `left_out` takes.
    #[must_use]
    fn but_not(self, left_out: Document) -> Self;
}

impl DocumentExt for Document {
    fn with(mut self, field: &str, value: Option<impl Into<Bson>>) -> Self {
        if let Some(value) = value {
            self.insert(field, value);
        }
        self
    }

    fn but_not(mut self, left_out: Document) -> Self {
        match self.get_array_mut("$nor") {
            Ok(others) => others.push(left_out.into()),
            Err(_) => _ = self.insert("$nor", vec![left_out]),
        }
        self
    }
}

/// The update that makes a document's fields these; those of `optional` that are not among them go.
pub(crate) fn setting(mut fields: Document, optional: &[&str]) -> Document {
    fields.remove("_id");
    let gone: Document = optional
        .iter()
        .filter(|field| !fields.contains_key(**field))
        .map(|field| ((*field).to_owned(), Bson::from("")))
        .collect();
    if gone.is_empty() {
        doc! { "$set": fields }
    } else {
        doc! { "$set": fields, "$unset": gone }
    }
}

fn corrupt(field: &str) -> StoreError {
    StoreError::Corrupt { reason: format!("the field {field} of a document is not what it should be") }
}

/// The fields of a document that was found. A field that has to be there and is not, or is of another type, is damage.
pub(crate) trait Fields {
    fn field(&self, field: &str) -> Result<Option<RawBsonRef<'_>>, StoreError>;

    fn optional_uuid(&self, field: &str) -> Result<Option<Uuid>, StoreError> {
        self.optional(field, |value| match value.as_binary()? {
            RawBinaryRef { subtype: BinarySubtype::Uuid, bytes } => Uuid::from_slice(bytes).ok(),
            _ => None,
        })
    }

    fn id<T>(&self, field: &str) -> Result<Id<T>, StoreError> {
        self.optional_id(field)?.ok_or_else(|| corrupt(field))
    }

    fn optional_id<T>(&self, field: &str) -> Result<Option<Id<T>>, StoreError> {
        Ok(self.optional_uuid(field)?.map(Id::from_uuid))
    }

    fn time(&self, field: &str) -> Result<Timestamp, StoreError> {
        self.optional_time(field)?.ok_or_else(|| corrupt(field))
    }

    fn optional_time(&self, field: &str) -> Result<Option<Timestamp>, StoreError> {
        self.optional(field, |value| value.as_datetime().map(|time| Timestamp::from_unix_ms(time.timestamp_millis())))
    }

    fn bytes(&self, field: &str) -> Result<&[u8], StoreError> {
        self.optional(field, |value| value.as_binary().map(|binary| binary.bytes))?.ok_or_else(|| corrupt(field))
    }

    fn digest(&self, field: &str) -> Result<Sha256Digest, StoreError> {
        self.optional_digest(field)?.ok_or_else(|| corrupt(field))
    }

    fn optional_digest(&self, field: &str) -> Result<Option<Sha256Digest>, StoreError> {
        self.optional(field, |value| value.as_binary()?.bytes.try_into().ok().map(Sha256Digest::from_bytes))
    }

    fn number<T: TryFrom<i64>>(&self, field: &str) -> Result<T, StoreError> {
        self.optional_number(field)?.ok_or_else(|| corrupt(field))
    }

    /// A sum or a count of the server's can be narrower than what was stored.
    fn optional_number<T: TryFrom<i64>>(&self, field: &str) -> Result<Option<T>, StoreError> {
        self.optional(field, |value| {
            let number = value.as_i64().or_else(|| value.as_i32().map(i64::from))?;
            T::try_from(number).ok()
        })
    }

    fn flag(&self, field: &str) -> Result<bool, StoreError> {
        self.optional(field, |value| value.as_bool())?.ok_or_else(|| corrupt(field))
    }

    fn optional_flag(&self, field: &str) -> Result<Option<bool>, StoreError> {
        self.optional(field, |value| value.as_bool())
    }

    fn text(&self, field: &str) -> Result<&str, StoreError> {
        self.optional_text(field)?.ok_or_else(|| corrupt(field))
    }

    fn optional_text(&self, field: &str) -> Result<Option<&str>, StoreError> {
        self.optional(field, |value| value.as_str())
    }

    /// Text that was written from a valid value and has to be valid still.
    fn parsed<T>(&self, field: &str, parse: impl FnOnce(&str) -> Result<T, Invalid>) -> Result<T, StoreError> {
        parse(self.text(field)?).map_err(|_| corrupt(field))
    }

    fn optional_parsed<T>(
        &self,
        field: &str,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Result<Option<T>, StoreError> {
        self.optional_text(field)?.map(parse).transpose().map_err(|_| corrupt(field))
    }

    fn document(&self, field: &str) -> Result<&RawDocument, StoreError> {
        self.optional_document(field)?.ok_or_else(|| corrupt(field))
    }

    fn optional_document(&self, field: &str) -> Result<Option<&RawDocument>, StoreError> {
        self.optional(field, |value| value.as_document())
    }

    /// The documents of an array.
    fn documents(&self, field: &str) -> Result<Vec<&RawDocument>, StoreError> {
        let array: &RawArray = self.optional(field, |value| value.as_array())?.ok_or_else(|| corrupt(field))?;
        array
            .into_iter()
            .map(|item| item.ok().and_then(|item| item.as_document()).ok_or_else(|| corrupt(field)))
            .collect()
    }

    /// Of an array that may be absent.
    fn optional_documents(&self, field: &str) -> Result<Vec<&RawDocument>, StoreError> {
        match self.field(field)? {
            Some(_) => self.documents(field),
            None => Ok(Vec::new()),
        }
    }

    fn times(&self, field: &str) -> Result<Vec<Timestamp>, StoreError> {
        let array = self.optional(field, |value| value.as_array())?.ok_or_else(|| corrupt(field))?;
        let time = |item: RawBsonRef<'_>| Some(Timestamp::from_unix_ms(item.as_datetime()?.timestamp_millis()));
        array.into_iter().map(|item| item.ok().and_then(time).ok_or_else(|| corrupt(field))).collect()
    }

    fn texts(&self, field: &str) -> Result<Vec<&str>, StoreError> {
        let array: &RawArray = self.optional(field, |value| value.as_array())?.ok_or_else(|| corrupt(field))?;
        array.into_iter().map(|item| item.ok().and_then(|item| item.as_str()).ok_or_else(|| corrupt(field))).collect()
    }

    /// Of an array that may be absent.
    fn digests(&self, field: &str) -> Result<Vec<Sha256Digest>, StoreError> {
        let Some(array) = self.optional(field, |value| value.as_array())? else { return Ok(Vec::new()) };
        let digest = |item: RawBsonRef<'_>| item.as_binary()?.bytes.try_into().ok().map(Sha256Digest::from_bytes);
        array.into_iter().map(|item| item.ok().and_then(digest).ok_or_else(|| corrupt(field))).collect()
    }

    /// `None` when the field is absent; damage when it is something else.
    fn optional<'a, T>(
        &'a self,
        field: &str,
        read: impl FnOnce(RawBsonRef<'a>) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        match self.field(field)? {
            None | Some(RawBsonRef::Null) => Ok(None),
            Some(value) => read(value).map(Some).ok_or_else(|| corrupt(field)),
        }
    }
}

impl Fields for RawDocument {
    fn field(&self, field: &str) -> Result<Option<RawBsonRef<'_>>, StoreError> {
        self.get(field).map_err(|_| corrupt(field))
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::{RawDocumentBuf, rawdoc};

    use super::*;

    #[test]
    fn values_come_back_and_what_is_of_another_type_is_damage() {
        let uuid = Uuid::from_u128(7);
        let written = doc! { "id": super::uuid(uuid), "n": number(-5), "none": Bson::Null }
            .with("at", Some(time(Timestamp::from_unix_ms(-1))))
            .with("absent", None::<Bson>);
        let raw = RawDocumentBuf::try_from(&written).unwrap();
        assert_eq!(raw.id::<()>("id").unwrap().as_uuid(), uuid);
        assert_eq!(raw.number::<i32>("n").unwrap(), -5);
        assert_eq!(raw.time("at").unwrap(), Timestamp::from_unix_ms(-1));
        assert_eq!(raw.optional_time("absent").unwrap(), None);
        assert_eq!(raw.optional_text("none").unwrap(), None);
        assert!(matches!(raw.number::<u32>("n"), Err(StoreError::Corrupt { .. })));
        assert!(matches!(raw.text("absent"), Err(StoreError::Corrupt { .. })));
        assert!(matches!(raw.optional_text("n"), Err(StoreError::Corrupt { .. })));
        let generic = rawdoc! { "id": Binary { subtype: BinarySubtype::Generic, bytes: vec![0; 16] } };
        assert!(generic.id::<()>("id").is_err());
    }

    #[test]
    fn an_optional_field_that_is_not_set_goes() {
        let update = setting(doc! { "_id": 1, "name": "a", "phone": "b" }, &["phone", "email"]);
        assert_eq!(update, doc! { "$set": { "name": "a", "phone": "b" }, "$unset": { "email": "" } });
    }
}
