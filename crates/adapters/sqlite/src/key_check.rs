use async_trait::async_trait;
use infirmary_kernel::{KeyCheck, KeyCheckValue, StoreError, WriteError};
use rusqlite::{Connection, OptionalExtension};

use crate::{
    SqliteStore,
    rows::{OrWriteError, unopposed},
    writer::Transaction,
};

#[async_trait]
impl KeyCheck for SqliteStore {
    async fn kept(&self) -> Result<Option<KeyCheckValue>, StoreError> {
        self.look_up(|connection| kept(connection).optional()).await
    }

    async fn keep(&self, value: KeyCheckValue) -> Result<KeyCheckValue, StoreError> {
        self.write(move |transaction| {
            insert(transaction, value)?;
            kept(transaction).or_write_error()
        })
        .await
        .map_err(unopposed)
    }
}

/// Unless there is one.
pub(crate) fn insert(transaction: &Transaction<'_>, value: KeyCheckValue) -> Result<(), WriteError> {
    let insert = "INSERT INTO house (id, key_check) VALUES (1, ?) ON CONFLICT DO NOTHING";
    transaction.run(insert, [value.as_bytes()]).or_write_error().map(|_| ())
}

pub(crate) fn kept(connection: &Connection) -> rusqlite::Result<KeyCheckValue> {
    connection
        .prepare_cached("SELECT key_check FROM house WHERE id = 1")?
        .query_row((), |row| row.get(0).map(KeyCheckValue::from_bytes))
}
