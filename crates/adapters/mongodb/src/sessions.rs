use std::net::IpAddr;

use async_trait::async_trait;
use infirmary_auth::{Account, ConfirmedSession, LiveSession, Rotation, Session, SessionStore, StartedSession};
use infirmary_kernel::{AccountId, Invalid, SessionId, StoreError, Timestamp, Trail, WriteError};
use mongodb::bson::{Bson, Document, RawDocument, doc};

use crate::{
    MongoStore, accounts,
    documents::{DocumentExt, Fields, digest, id, time},
    reads::{Query, newest_first},
    schema::{ACCOUNTS, CHALLENGES, SESSIONS},
    transaction::{Transaction, Write, line},
};

/// Sessions beyond the limit that one start removes: more than can have come together.
const MAX_REMOVED: usize = 32;

#[async_trait]
impl Write for StartedSession {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    fn line(&self) -> Option<usize> {
        Some(line(self.session.account))
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        let alone = accounts::without_factors();
        accounts::prove(transaction, self.session.account, &self.proved, self.replacement.as_ref(), alone).await?;
        insert(transaction, &self.session).await
    }
}

struct Rotated {
    rotation: Rotation,
    trail: Trail,
}

#[async_trait]
impl Write for Rotated {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    fn line(&self) -> Option<usize> {
        Some(line(self.rotation.session))
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        let Rotation { session, from, to, at, expires_at } = &self.rotation;
        let due = doc! { "_id": id(*session), "refresh": digest(from) };
        let rotated = doc! {
            "refresh": digest(to),
            "previous": digest(from),
            "refreshed_at": time(*at),
            "expires_at": time(*expires_at),
        };
        if transaction.update(&SESSIONS, due, doc! { "$set": rotated }).await? {
            Ok(())
        } else {
            Err(WriteError::Stale)
        }
    }
}

#[async_trait]
impl Write for ConfirmedSession {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        accounts::prove(transaction, self.account, &self.proved, None, accounts::without_factors()).await?;
        confirm(transaction, self.session, self.account, self.at).await
    }
}

struct Ended {
    session: SessionId,
    account: AccountId,
    trail: Trail,
}

#[async_trait]
impl Write for Ended {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        let ended = doc! { "_id": id(self.session), "account": id(self.account) };
        if transaction.delete(&SESSIONS, ended).await? == 0 { Err(WriteError::Stale) } else { Ok(()) }
    }
}

#[async_trait]
impl SessionStore for MongoStore {
    async fn start(&self, started: StartedSession) -> Result<(), WriteError> {
        self.write(&started).await.map(|_| ())
    }

    async fn rotate(&self, rotation: Rotation, trail: Trail) -> Result<(), WriteError> {
        self.write(&Rotated { rotation, trail }).await.map(|_| ())
    }

    async fn confirm(&self, confirmed: ConfirmedSession) -> Result<(), WriteError> {
        self.write(&confirmed).await.map(|_| ())
    }

    async fn end(&self, session: SessionId, account: AccountId, trail: Trail) -> Result<(), WriteError> {
        self.write(&Ended { session, account, trail }).await.map(|_| ())
    }

    async fn live(&self, session: SessionId) -> Result<Option<LiveSession>, StoreError> {
        let found = self.aggregate(&SESSIONS, with_account(doc! { "_id": id(session) })).await?;
        let Some(session) = found.first() else { return Ok(None) };
        let account = session.documents("of")?.first().map(|found| accounts::account(found)).transpose()?;
        let Some(account) = account.filter(Account::is_active) else { return Ok(None) };
        let (authenticated_at, expires_at) = (session.time("authenticated_at")?, session.time("expires_at")?);
        Ok(Some(LiveSession { account, authenticated_at, expires_at }))
    }

    async fn find(&self, session: SessionId) -> Result<Option<(Session, Account)>, StoreError> {
        let found = self.aggregate(&SESSIONS, with_account(doc! { "_id": id(session) })).await?;
        let Some(found) = found.first() else { return Ok(None) };
        let account = found.documents("of")?.first().map(|account| accounts::account(account)).transpose()?;
        Ok(account.map(|account| Ok::<_, StoreError>((self::session(found)?, account))).transpose()?)
    }

    async fn of_account(&self, account: AccountId) -> Result<Vec<Session>, StoreError> {
        self.find(&SESSIONS, of(account, Session::MAX_PER_ACCOUNT)).await?.iter().map(|found| session(found)).collect()
    }
}

/// What is found, each with its account as `of`: one query, so both are of one moment.
pub(crate) fn with_account(filter: Document) -> Vec<Document> {
    let lookup = doc! { "from": ACCOUNTS.name, "localField": "account", "foreignField": "_id", "as": "of" };
    vec![doc! { "$match": filter }, doc! { "$lookup": lookup }]
}

fn of(account: AccountId, limit: usize) -> Query {
    Query { filter: doc! { "account": id(account) }, sort: newest_first("started_at"), limit, index: "account" }
}

/// Starts a session of an account that the transaction holds; the oldest one goes when there are too many.
pub(crate) async fn insert(transaction: &mut Transaction<'_>, new: &Session) -> Result<(), WriteError> {
    let session = doc! {
        "_id": id(new.id),
        "account": id(new.account),
        "started_at": time(new.started_at),
        "authenticated_at": time(new.authenticated_at),
        "refreshed_at": time(new.refreshed_at),
        "expires_at": time(new.expires_at),
        "refresh": digest(&new.refresh),
    }
    .with("agent", new.agent.as_deref())
    .with("address", new.address.map(|address| address.to_string()))
    .with("previous", new.previous.as_ref().map(digest));
    transaction.insert(&SESSIONS, session).await?;
    let all = transaction.find(&SESSIONS, of(new.account, Session::MAX_PER_ACCOUNT + MAX_REMOVED)).await?;
    let beyond = all.iter().skip(Session::MAX_PER_ACCOUNT);
    let beyond: Vec<Bson> =
        beyond.map(|session| Ok(id(session.id::<()>("_id")?))).collect::<Result<_, StoreError>>()?;
    if !beyond.is_empty() {
        transaction.delete(&SESSIONS, doc! { "_id": { "$in": beyond } }).await?;
    }
    Ok(())
}

/// Makes `at` the time at which the person of the session last proved who they are.
pub(crate) async fn confirm(
    transaction: &mut Transaction<'_>,
    session: SessionId,
    account: AccountId,
    at: Timestamp,
) -> Result<(), WriteError> {
    let lives = doc! { "_id": id(session), "account": id(account) };
    let confirmed = doc! { "$set": { "authenticated_at": time(at) } };
    if transaction.update(&SESSIONS, lives, confirmed).await? { Ok(()) } else { Err(WriteError::Stale) }
}

/// Ends every session of the account but `keep`, and every challenge.
pub(crate) async fn end_all(
    transaction: &mut Transaction<'_>,
    account: AccountId,
    keep: Option<SessionId>,
) -> Result<(), WriteError> {
    let sessions = doc! { "account": id(account) }.with("_id", keep.map(|keep| doc! { "$ne": id(keep) }));
    transaction.delete(&SESSIONS, sessions).await?;
    transaction.delete(&CHALLENGES, doc! { "account": id(account) }).await.map(|_| ())
}

pub(crate) fn session(found: &RawDocument) -> Result<Session, StoreError> {
    Ok(Session {
        id: found.id("_id")?,
        account: found.id("account")?,
        started_at: found.time("started_at")?,
        authenticated_at: found.time("authenticated_at")?,
        refreshed_at: found.time("refreshed_at")?,
        expires_at: found.time("expires_at")?,
        agent: found.optional_text("agent")?.map(str::to_owned),
        address: found.optional_parsed("address", ip_address)?,
        refresh: found.digest("refresh")?,
        previous: found.optional_digest("previous")?,
    })
}

fn ip_address(text: &str) -> Result<IpAddr, Invalid> {
    text.parse().map_err(|_| Invalid::new("/address", "is not an address of IPv4 or IPv6"))
}
