//! What every write leaves in its own transaction: the audit entry and the idempotency record.

use std::{fmt::Display, time::Duration};

use async_trait::async_trait;
use infirmary_kernel::{
    AccountId, Claim, Event, Fingerprint, IdempotencyKey, Invalid, Journal, Receipt, Receipts, StoreError, WriteError,
    Written,
};
use mongodb::bson::{Document, RawDocument, doc};

use crate::{
    MongoStore, chains,
    documents::{Fields, bytes, time},
    failures::{duplicate, is_conflict, write_error},
    schema::{AUDIT, CLAIMS},
    transaction::{Done, Transaction, Work, unopposed},
};

/// For all tries of one entry together.
const APPEND_TIMEOUT_SECONDS: u64 = 10;

impl Transaction<'_> {
    /// The first thing written: when the key was used before, nothing else is.
    pub(crate) async fn claim(&mut self, claim: &Claim) -> Result<(), WriteError> {
        self.insert(&CLAIMS, claim_document(claim)).await
    }
}

impl MongoStore {
    /// What was answered when the key was used before.
    pub(crate) async fn answered_before(&self, claim: &Claim) -> Result<Written, WriteError> {
        match Receipts::find(self, claim.account, &claim.key).await? {
            Some(known) if known.fingerprint == claim.fingerprint => Ok(Written::Before(known.receipt)),
            Some(_) => Err(WriteError::KeyReused),
            None => Err(StoreError::Unavailable { reason: "a claim was removed at this moment".to_owned() }.into()),
        }
    }

    async fn append_until_done(&self, event: &Event) -> Result<(), StoreError> {
        let mut meetings = 0;
        loop {
            let mut held = self.lanes().take().await?;
            let sealed = held.seal(self, event).await?;
            match self.documents(&AUDIT).insert_one(chains::entry(&sealed)).await {
                Ok(_) => {
                    held.sealing(sealed.head()).stands();
                    return Ok(());
                }
                Err(error) if duplicate(&error).is_some() || is_conflict(&error) => held.leave(),
                Err(error) => return Err(write_error(&error)),
            }
            drop(held);
            meetings += 1;
            self.pause(meetings).await;
        }
    }
}

/// Events of several entries, which are there together.
struct Noted(Vec<Event>);

#[async_trait]
impl Work for Noted {
    type Answer = ();

    async fn run<'a>(&self, transaction: &mut Transaction<'a>) -> Done<'a, ()> {
        let events: Vec<&Event> = self.0.iter().collect();
        Ok(((), Some(transaction.seal(&events).await?)))
    }
}

pub(crate) fn claim_id(account: impl Display, key: &str) -> String {
    format!("{account}:{key}")
}

pub(crate) fn claim_document(claim: &Claim) -> Document {
    doc! {
        "_id": claim_id(claim.account, claim.key.as_str()),
        "fingerprint": bytes(claim.fingerprint.as_bytes().as_slice()),
        "receipt": bytes(claim.receipt.as_bytes()),
        "at": time(claim.at),
    }
}

pub(crate) fn claim(found: &RawDocument) -> Result<Claim, StoreError> {
    let (account, key) = found.parsed("_id", |of| {
        let (account, key) = of.split_once(':').ok_or_else(|| Invalid::new("", "must be an account and a key"))?;
        Ok((AccountId::parse(account)?, IdempotencyKey::parse(key)?))
    })?;
    Ok(Claim {
        account,
        key,
        fingerprint: Fingerprint::from_bytes(*found.digest("fingerprint")?.as_bytes()),
        receipt: Receipt::from_bytes(found.bytes("receipt")?.to_vec()),
        at: found.time("at")?,
    })
}

#[async_trait]
impl Journal for MongoStore {
    async fn append_all(&self, events: Vec<Event>) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        let [event] = events.as_slice() else {
            return self.transact(None, &Noted(events)).await.map_err(unopposed);
        };
        // One document is atomic by itself, and there with the answer: no commit has to follow.
        let limit = Duration::from_secs(APPEND_TIMEOUT_SECONDS);
        tokio::time::timeout(limit, self.append_until_done(event)).await.unwrap_or_else(|_| {
            Err(StoreError::OutcomeUnknown { reason: "the database did not answer in time".to_owned() })
        })
    }
}

#[async_trait]
impl Receipts for MongoStore {
    async fn find(&self, account: AccountId, key: &IdempotencyKey) -> Result<Option<Claim>, StoreError> {
        let found = self.find_one(&CLAIMS, doc! { "_id": claim_id(account, key.as_str()) }).await?;
        found.map(|found| claim(&found)).transpose()
    }
}
