use async_trait::async_trait;
use infirmary_auth::{Admission, Attempt, AttemptStore, Counter, CounterKey, attempts};
use infirmary_kernel::{Sha256Digest, StoreError, WriteError};
use mongodb::bson::{Document, RawDocument, doc};

use crate::{
    MongoStore,
    documents::{DocumentExt, Fields, bytes, number, time},
    schema::ATTEMPT_COUNTERS,
    transaction::{Done, Transaction, Work, unopposed},
};

struct Begun<'a>(&'a Attempt);
struct FailedAt<'a> {
    address: &'a CounterKey,
    attempt: &'a Attempt,
}
struct TakenBack<'a>(&'a CounterKey);

#[async_trait]
impl Work for Begun<'_> {
    type Answer = Admission;

    async fn run<'a>(&self, transaction: &mut Transaction<'a>) -> Done<'a, Admission> {
        let Self(attempt) = self;
        let mut email = Stored::load(transaction, &attempt.email).await?;
        let mut address = match &attempt.address {
            Some(key) => Some(Stored::load(transaction, key).await?),
            None => None,
        };
        let of_address = address.as_mut().map(|address| &mut address.counter);
        let admission = attempts::begin(&mut email.counter, of_address, attempt.at);
        email.save(transaction).await?;
        if let Some(address) = address {
            address.save(transaction).await?;
        }
        Ok((admission, None))
    }
}

#[async_trait]
impl Work for FailedAt<'_> {
    type Answer = ();

    async fn run<'a>(&self, transaction: &mut Transaction<'a>) -> Done<'a, ()> {
        let mut address = Stored::load(transaction, self.address).await?;
        attempts::fail(&mut address.counter, self.attempt);
        address.save(transaction).await?;
        Ok(((), None))
    }
}

#[async_trait]
impl Work for TakenBack<'_> {
    type Answer = ();

    async fn run<'a>(&self, transaction: &mut Transaction<'a>) -> Done<'a, ()> {
        let mut email = Stored::load(transaction, self.0).await?;
        attempts::take_back(&mut email.counter);
        email.save(transaction).await?;
        Ok(((), None))
    }
}

#[async_trait]
impl AttemptStore for MongoStore {
    async fn begin(&self, attempt: &Attempt) -> Result<Admission, StoreError> {
        self.transact(Some(line_of(&attempt.email)), &Begun(attempt)).await.map_err(unopposed)
    }

    async fn fail(&self, attempt: &Attempt) -> Result<(), StoreError> {
        let Some(address) = &attempt.address else { return Ok(()) };
        self.transact(Some(line_of(address)), &FailedAt { address, attempt }).await.map_err(unopposed)
    }

    async fn take_back(&self, attempt: &Attempt) -> Result<(), StoreError> {
        self.transact(Some(line_of(&attempt.email)), &TakenBack(&attempt.email)).await.map_err(unopposed)
    }

    async fn clear(&self, key: &CounterKey) -> Result<(), StoreError> {
        self.delete_all(&ATTEMPT_COUNTERS, doc! { "_id": key.as_str() }).await.map(|_| ())
    }
}

/// The line for a counter.
pub(crate) fn line_of(key: &CounterKey) -> usize {
    usize::from(Sha256Digest::of(key.as_str().as_bytes()).as_bytes()[0])
}

/// A counter, with what it was: one that did not change is not written, so that who is turned away again and again does
/// not keep the database busy.
struct Stored<'k> {
    key: &'k CounterKey,
    before: Counter,
    counter: Counter,
}

impl<'k> Stored<'k> {
    async fn load(transaction: &mut Transaction<'_>, key: &'k CounterKey) -> Result<Self, WriteError> {
        let found = transaction.find_one(&ATTEMPT_COUNTERS, doc! { "_id": key.as_str() }).await?;
        let before = found.map(|found| counter(&found)).transpose()?.unwrap_or_default();
        Ok(Self { key, counter: before.clone(), before })
    }

    async fn save(self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        let Self { key, before, counter } = self;
        if counter == before {
            return Ok(());
        }
        transaction.put(&ATTEMPT_COUNTERS, document(key, &counter)).await
    }
}

pub(crate) fn document(key: &CounterKey, counter: &Counter) -> Document {
    let emails: Vec<u8> = counter.emails.iter().flat_map(|email| email.to_be_bytes()).collect();
    doc! {
        "_id": key.as_str(),
        "failures": number(counter.failures),
        "since": time(counter.since),
        "blocked_until": time(counter.blocked_until),
        "blocks": number(counter.blocks),
        "emails": bytes(emails),
        "noted": counter.noted,
    }
    .with("forget_at", counter.forget_at().map(time))
}

pub(crate) fn counter(found: &RawDocument) -> Result<Counter, StoreError> {
    let (emails, _) = found.bytes("emails")?.as_chunks();
    Ok(Counter {
        failures: found.number("failures")?,
        since: found.time("since")?,
        blocked_until: found.time("blocked_until")?,
        blocks: found.number("blocks")?,
        emails: emails.iter().map(|email| u64::from_be_bytes(*email)).collect(),
        noted: found.flag("noted")?,
    })
}
