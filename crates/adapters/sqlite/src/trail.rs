//! What every write leaves in its own transaction: the audit entry, the idempotency record, and messages to be sent.

use async_trait::async_trait;
use infirmary_audit::{ChainId, Head, seal};
use infirmary_kernel::{
    AccountId, Claim, Event, Fingerprint, IdempotencyKey, Journal, Receipt, Receipts, StoreError, Trail, WriteError,
    Written,
};
use rusqlite::{Connection, Error, OptionalExtension, params, types::Type};

use crate::{
    SqliteStore, messages,
    rows::{OrWriteError, RowExt, blob, optional_blob, unopposed},
    writer::Transaction,
};

/// A row that another hand has written cannot even be read: which one it is has to be told all the same.
#[derive(Debug, thiserror::Error)]
#[error("audit entry {sequence}: {source}")]
struct Unreadable {
    sequence: u64,
    source: Error,
}

pub(crate) fn of_entry<T>(sequence: u64, read: rusqlite::Result<T>) -> rusqlite::Result<T> {
    read.map_err(|source| Error::FromSqlConversionFailure(0, Type::Blob, Box::new(Unreadable { sequence, source })))
}

pub(crate) fn head(connection: &Connection) -> rusqlite::Result<Head> {
    connection
        .prepare_cached(
            "SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1 /* walks: no further than the last */",
        )?
        .query_row((), |row| {
            let sequence = row.get(0)?;
            Ok(Head { sequence, hash: of_entry(sequence, row.digest(1))? })
        })
        .optional()
        .map(|head| head.unwrap_or(Head::GENESIS))
}

impl Transaction<'_> {
    /// What was answered when the trail's key was used before. Ask first, and change nothing when there is an answer.
    pub(crate) fn repeated(&self, trail: &Trail) -> Result<Option<Written>, WriteError> {
        let Some(claim) = &trail.claim else { return Ok(None) };
        match find_claim(self, claim.account, &claim.key).or_write_error()? {
            Some(known) if known.fingerprint == claim.fingerprint => Ok(Some(Written::Before(known.receipt))),
            Some(_) => Err(WriteError::KeyReused),
            None => Ok(None),
        }
    }

    /// Seals the event into the chain, and keeps the claim and the messages.
    pub(crate) fn keep(&self, trail: &Trail) -> Result<Written, WriteError> {
        self.seal(&trail.event).or_write_error()?;
        if let Some(claim) = &trail.claim {
            self.prepare_cached("INSERT INTO claims (account, key, fingerprint, receipt, at) VALUES (?, ?, ?, ?, ?)")
                .and_then(|mut insert| {
                    insert.execute(params![
                        blob(claim.account),
                        claim.key.as_str(),
                        claim.fingerprint.as_bytes(),
                        claim.receipt.as_bytes(),
                        claim.at.unix_ms(),
                    ])
                })
                .or_write_error()?;
        }
        trail.messages.iter().try_for_each(|message| messages::insert(self, message))?;
        Ok(Written::Now)
    }

    pub(crate) fn seal(&self, event: &Event) -> rusqlite::Result<()> {
        let sealed = seal(ChainId::ONLY, &self.chain.get(), event);
        let head = sealed.head();
        self.prepare_cached(
            "INSERT INTO audit (sequence, at, account, patient, action, form, hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            sealed.sequence,
            event.at.unix_ms(),
            optional_blob(event.account),
            optional_blob(event.subject.patient),
            event.action.as_str(),
            sealed.canonical,
            sealed.hash.as_bytes(),
        ])?;
        self.chain.set(head);
        Ok(())
    }
}

fn find_claim(connection: &Connection, account: AccountId, key: &IdempotencyKey) -> rusqlite::Result<Option<Claim>> {
    connection
        .prepare_cached("SELECT fingerprint, receipt, at FROM claims WHERE account = ? AND key = ?")?
        .query_row(params![blob(account), key.as_str()], |row| {
            Ok(Claim {
                account,
                key: key.clone(),
                fingerprint: Fingerprint::from_bytes(row.get(0)?),
                receipt: Receipt::from_bytes(row.get(1)?),
                at: row.time("at")?,
            })
        })
        .optional()
}

#[async_trait]
impl Journal for SqliteStore {
    async fn append_all(&self, events: Vec<Event>) -> Result<(), StoreError> {
        let write = move |transaction: &Transaction<'_>| {
            events.iter().try_for_each(|event| transaction.seal(event)).or_write_error()
        };
        self.write(write).await.map_err(unopposed)
    }
}

#[async_trait]
impl Receipts for SqliteStore {
    async fn find(&self, account: AccountId, key: &IdempotencyKey) -> Result<Option<Claim>, StoreError> {
        let key = key.clone();
        self.look_up(move |connection| find_claim(connection, account, &key)).await
    }
}
