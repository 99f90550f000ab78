use async_trait::async_trait;
use infirmary_auth::{Admission, Attempt, AttemptStore, Counter, CounterKey, attempts};
use infirmary_kernel::StoreError;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    SqliteStore,
    rows::{OrWriteError, RowExt, unopposed},
};

#[async_trait]
impl AttemptStore for SqliteStore {
    async fn begin(&self, attempt: &Attempt) -> Result<Admission, StoreError> {
        let attempt = attempt.clone();
        self.write(move |transaction| begin(transaction, &attempt).or_write_error()).await.map_err(unopposed)
    }

    async fn fail(&self, attempt: &Attempt) -> Result<(), StoreError> {
        let Some(address) = attempt.address.clone() else { return Ok(()) };
        let attempt = attempt.clone();
        self.write(move |transaction| fail(transaction, &address, &attempt).or_write_error()).await.map_err(unopposed)
    }

    async fn take_back(&self, attempt: &Attempt) -> Result<(), StoreError> {
        let key = attempt.email.clone();
        self.write(move |transaction| take_back(transaction, &key).or_write_error()).await.map_err(unopposed)
    }

    async fn clear(&self, key: &CounterKey) -> Result<(), StoreError> {
        let key = key.clone();
        let forget = "DELETE FROM attempt_counters WHERE key = ?";
        let cleared = self.write(move |transaction| transaction.run(forget, [key.as_str()]).or_write_error()).await;
        cleared.map(|_| ()).map_err(unopposed)
    }
}

fn begin(connection: &Connection, attempt: &Attempt) -> rusqlite::Result<Admission> {
    let mut email = Stored::load(connection, &attempt.email)?;
    let mut address = attempt.address.as_ref().map(|key| Stored::load(connection, key)).transpose()?;
    let admission =
        attempts::begin(&mut email.counter, address.as_mut().map(|address| &mut address.counter), attempt.at);
    email.save(connection)?;
    address.map_or(Ok(()), |address| address.save(connection))?;
    Ok(admission)
}

fn fail(connection: &Connection, address: &CounterKey, attempt: &Attempt) -> rusqlite::Result<()> {
    let mut address = Stored::load(connection, address)?;
    attempts::fail(&mut address.counter, attempt);
    address.save(connection)
}

fn take_back(connection: &Connection, email: &CounterKey) -> rusqlite::Result<()> {
    let mut email = Stored::load(connection, email)?;
    attempts::take_back(&mut email.counter);
    email.save(connection)
}

/// A counter, with what it was: one that did not change is not written, so that who is turned away again and again does
/// not keep the disk busy.
struct Stored<'a> {
    key: &'a CounterKey,
    before: Counter,
    counter: Counter,
}

impl<'a> Stored<'a> {
    fn load(connection: &Connection, key: &'a CounterKey) -> rusqlite::Result<Self> {
        let before = connection
            .prepare_cached("SELECT * FROM attempt_counters WHERE key = ?")?
            .query_row([key.as_str()], counter)
            .optional()?
            .unwrap_or_default();
        Ok(Self { key, counter: before.clone(), before })
    }

    fn save(self, connection: &Connection) -> rusqlite::Result<()> {
        let Self { key, before, counter } = self;
        if counter == before { Ok(()) } else { save(connection, key, &counter) }
    }
}

pub(crate) fn save(connection: &Connection, key: &CounterKey, counter: &Counter) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO attempt_counters
             (key, failures, since, blocked_until, blocks, emails, noted, forget_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            key.as_str(),
            counter.failures,
            counter.since.unix_ms(),
            counter.blocked_until.unix_ms(),
            counter.blocks,
            counter.emails.iter().flat_map(|email| email.to_be_bytes()).collect::<Vec<u8>>(),
            counter.noted,
            counter.forget_at().map(|time| time.unix_ms()),
        ])
        .map(|_| ())
}

pub(crate) fn counter(row: &Row<'_>) -> rusqlite::Result<Counter> {
    let (emails, _) = row.get_ref("emails")?.as_blob()?.as_chunks();
    Ok(Counter {
        failures: row.get("failures")?,
        since: row.time("since")?,
        blocked_until: row.time("blocked_until")?,
        blocks: row.get("blocks")?,
        emails: emails.iter().map(|email| u64::from_be_bytes(*email)).collect(),
        noted: row.get("noted")?,
    })
}
