//! What every write leaves in its own transaction: the audit entry, the idempotency record, and messages to be sent.

use async_trait::async_trait;
use infirmary_audit::{ChainHead, ChainId, Head, Place, Sealed, seal};
use infirmary_kernel::{
    AccountId, Claim, Event, Fingerprint, IdempotencyKey, Journal, Receipt, Receipts, StoreError, Trail, WriteError,
    Written,
};
use rusqlite::{Connection, Error, OptionalExtension, Row, params, types::Type};

use crate::{
    SqliteStore, messages,
    rows::{OrWriteError, RowExt, blob, optional_blob, unopposed},
    writer::Transaction,
};

/// A row that another hand has written cannot even be read: which one it is has to be told all the same.
#[derive(Debug, thiserror::Error)]
#[error("audit {place}: {source}")]
struct Unreadable {
    place: Place,
    source: Error,
}

/// What was read of the entry of that number.
pub(crate) fn of_entry<T>(number: i64, read: rusqlite::Result<T>) -> rusqlite::Result<T> {
    let (chain, sequence) = ChainId::of_number(number);
    let unreadable = |source| Unreadable { place: Place::Entry { chain, sequence }, source };
    read.map_err(|source| Error::FromSqlConversionFailure(0, Type::Blob, Box::new(unreadable(source))))
}

/// Of the chain that is written here.
pub(crate) fn head(connection: &Connection) -> rusqlite::Result<Head> {
    last_before(connection, ChainId::new(1).number(0)).map(|last| last.map(|last| last.head).unwrap_or_default())
}

/// The head of each chain, in the order of their numbers. From the last one on: before the first entry of a chain is the last
/// of the one before it.
pub(crate) fn heads(connection: &Connection) -> rusqlite::Result<Vec<ChainHead>> {
    let (mut heads, mut end) = (Vec::new(), i64::MAX);
    while let Some(last) = last_before(connection, end)? {
        end = last.chain.number(0);
        heads.push(last);
    }
    heads.reverse();
    Ok(heads)
}

fn last_before(connection: &Connection, number: i64) -> rusqlite::Result<Option<ChainHead>> {
    connection
        .prepare_cached("SELECT number, hash FROM audit WHERE number < ? ORDER BY number DESC LIMIT 1")?
        .query_row([number], |row| {
            let number = row.get(0)?;
            let (chain, sequence) = ChainId::of_number(number);
            Ok(ChainHead { chain, head: Head { sequence, hash: of_entry(number, row.digest(1))? } })
        })
        .optional()
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
            insert_claim(self, claim)?;
        }
        trail.messages.iter().try_for_each(|message| messages::insert(self, message))?;
        Ok(Written::Now)
    }

    pub(crate) fn seal(&self, event: &Event) -> rusqlite::Result<()> {
        let sealed = seal(ChainId::ONLY, &self.chain.get(), event);
        insert_sealed(self, &sealed)?;
        self.chain.set(sealed.head());
        Ok(())
    }
}

pub(crate) fn insert_sealed(transaction: &Transaction<'_>, sealed: &Sealed) -> rusqlite::Result<()> {
    let insert = "INSERT INTO audit (number, at, account, patient, action, form, hash) VALUES (?, ?, ?, ?, ?, ?, ?)";
    let values = params![
        sealed.chain.number(sealed.sequence),
        sealed.at.unix_ms(),
        optional_blob(sealed.account),
        optional_blob(sealed.patient),
        sealed.action.as_str(),
        sealed.canonical,
        sealed.hash.as_bytes(),
    ];
    transaction.run(insert, values).map(|_| ())
}

pub(crate) fn insert_claim(transaction: &Transaction<'_>, claim: &Claim) -> Result<(), WriteError> {
    let insert = "INSERT INTO claims (account, key, fingerprint, receipt, at) VALUES (?, ?, ?, ?, ?)";
    let values = params![
        blob(claim.account),
        claim.key.as_str(),
        claim.fingerprint.as_bytes(),
        claim.receipt.as_bytes(),
        claim.at.unix_ms(),
    ];
    transaction.run(insert, values).or_write_error().map(|_| ())
}

fn find_claim(connection: &Connection, account: AccountId, key: &IdempotencyKey) -> rusqlite::Result<Option<Claim>> {
    connection
        .prepare_cached("SELECT * FROM claims WHERE account = ? AND key = ?")?
        .query_row(params![blob(account), key.as_str()], claim)
        .optional()
}

pub(crate) fn claim(row: &Row<'_>) -> rusqlite::Result<Claim> {
    Ok(Claim {
        account: row.id("account")?,
        key: row.parsed("key", IdempotencyKey::parse)?,
        fingerprint: Fingerprint::from_bytes(row.get("fingerprint")?),
        receipt: Receipt::from_bytes(row.get("receipt")?),
        at: row.time("at")?,
    })
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
