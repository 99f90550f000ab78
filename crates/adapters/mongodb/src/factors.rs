use async_trait::async_trait;
use infirmary_auth::{Authenticator, ChangedFactors, FactorStore, KeptFactors, Spent};
use infirmary_kernel::{AccountId, Sha256Digest, StoreError, Trail, WriteError};
use mongodb::bson::{Bson, Document, RawDocument, doc};

use crate::{
    MongoStore, accounts,
    documents::{DocumentExt, Fields, bytes, digest, id, number},
    schema::ACCOUNTS,
    sessions,
    transaction::{Transaction, Write, line},
};

#[async_trait]
impl Write for ChangedFactors {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    fn line(&self) -> Option<usize> {
        Some(line(self.account.id))
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        let kept = fields(self.authenticator.as_ref(), self.recovery.as_deref());
        accounts::update(transaction, &self.account, doc! {}, kept).await?;
        sessions::end_all(transaction, self.account.id, Some(self.keep)).await
    }
}

#[async_trait]
impl FactorStore for MongoStore {
    async fn change(&self, changed: ChangedFactors) -> Result<(), WriteError> {
        self.write(&changed).await.map(|_| ())
    }

    async fn find(&self, account: AccountId) -> Result<KeptFactors, StoreError> {
        let found = self.find_one(&ACCOUNTS, doc! { "_id": id(account) }).await?;
        found.map_or_else(|| Ok(KeptFactors::default()), |found| kept(&found))
    }
}

/// Of an account.
pub(crate) fn kept(found: &RawDocument) -> Result<KeptFactors, StoreError> {
    let authenticator = found
        .optional_document("authenticator")?
        .map(|kept| {
            let damaged = |_| StoreError::Corrupt { reason: "the seed of an authenticator is cut".to_owned() };
            let seed = kept.bytes("seed")?.try_into().map_err(damaged)?;
            Ok::<_, StoreError>(Authenticator { seed, last_step: kept.number("last_step")? })
        })
        .transpose()?;
    Ok(KeptFactors { authenticator, recovery: found.digests("recovery")? })
}

pub(crate) fn fields(authenticator: Option<&Authenticator>, recovery: Option<&[Sha256Digest]>) -> Document {
    let authenticator = authenticator.map(|Authenticator { seed, last_step }| {
        doc! { "seed": bytes(seed.as_slice()), "last_step": step(*last_step) }
    });
    let recovery = recovery.map(|codes| codes.iter().map(digest).collect::<Vec<Bson>>());
    Document::new().with("authenticator", authenticator).with("recovery", recovery)
}

/// Holds the account, and takes from it what answered a challenge; `Stale` when that is spent, or the account is not active.
pub(crate) async fn spend(
    transaction: &mut Transaction<'_>,
    account: AccountId,
    spent: &Spent,
) -> Result<(), WriteError> {
    match spent {
        Spent::Code => accounts::hold(transaction, account, doc! {}, doc! {}).await,
        Spent::Step(last) => {
            let before = doc! { "authenticator.last_step": { "$lt": step(*last) } };
            let after = doc! { "authenticator.last_step": step(*last) };
            accounts::hold(transaction, account, before, after).await
        }
        Spent::RecoveryCode(code) => {
            let kept = doc! { "_id": id(account), "state": "active", "recovery": digest(code) };
            let spent = doc! { "$pull": { "recovery": digest(code) }, "$inc": { "turns": number(1) } };
            if transaction.update(&ACCOUNTS, kept, spent).await? { Ok(()) } else { Err(WriteError::Stale) }
        }
    }
}

/// Steps of half a minute since 1970: far below what is cut here.
fn step(step: u64) -> Bson {
    number(i64::try_from(step).unwrap_or(i64::MAX))
}
