use async_trait::async_trait;
use infirmary_kernel::{KeyCheck, KeyCheckValue, StoreError};
use mongodb::bson::{RawDocument, doc};

use crate::{
    MongoStore,
    documents::{Fields, bytes},
    schema::HOUSE,
};

#[async_trait]
impl KeyCheck for MongoStore {
    async fn kept(&self) -> Result<Option<KeyCheckValue>, StoreError> {
        match self.find_one(&HOUSE, doc! { "_id": "house" }).await? {
            Some(house) => value_in(&house),
            None => Ok(None),
        }
    }

    async fn keep(&self, value: KeyCheckValue) -> Result<KeyCheckValue, StoreError> {
        let without = doc! { "_id": "house", "key_check": { "$exists": false } };
        let with = doc! { "$set": { "key_check": bytes(value.as_bytes().as_slice()) } };
        if self.change_or_make(&HOUSE, without, with).await?.is_some() {
            return Ok(value);
        }
        let gone = || StoreError::Corrupt { reason: "the house has a key check value, and has none".to_owned() };
        self.kept().await?.ok_or_else(gone)
    }
}

fn value_in(house: &RawDocument) -> Result<Option<KeyCheckValue>, StoreError> {
    Ok(house.optional_digest("key_check")?.map(|value| KeyCheckValue::from_bytes(*value.as_bytes())))
}
