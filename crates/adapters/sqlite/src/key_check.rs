use async_trait::async_trait;
use infirmary_kernel::{KeyCheck, KeyCheckValue, StoreError};
use rusqlite::{Connection, OptionalExtension};

use crate::{
    SqliteStore,
    rows::{OrWriteError, unopposed},
};

#[async_trait]
impl KeyCheck for SqliteStore {
    async fn kept(&self) -> Result<Option<KeyCheckValue>, StoreError> {
        self.look_up(|connection| kept(connection).optional()).await
    }

    async fn keep(&self, value: KeyCheckValue) -> Result<KeyCheckValue, StoreError> {
        self.write(move |transaction| {
            transaction
                .run("INSERT INTO house (id, key_check) VALUES (1, ?) ON CONFLICT DO NOTHING", [value.as_bytes()])
                .or_write_error()?;
            kept(transaction).or_write_error()
        })
        .await
        .map_err(unopposed)
    }
}

fn kept(connection: &Connection) -> rusqlite::Result<KeyCheckValue> {
    connection
        .prepare_cached("SELECT key_check FROM house WHERE id = 1")?
        .query_row((), |row| row.get(0).map(KeyCheckValue::from_bytes))
}
