//! Writes. Each is a value that can be applied again from the start: when two transactions write the same thing, or a
//! primary steps down, the server undoes one and asks for that.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::TryStreamExt;
use infirmary_kernel::{Id, StoreError, Trail, WriteError, Written};
use mongodb::{
    ClientSession, SessionCursor,
    action::{Action, Aggregate, Find},
    bson::{Document, RawDocumentBuf, doc},
    error::Error,
    options::{ReadConcern, ReadPreference, SelectionCriteria, TransactionOptions, UpdateModifications},
};

use crate::{
    MongoStore,
    chains::Sealing,
    documents::number,
    failures::{duplicate, is_conflict, is_transient, is_unknown_commit, reason},
    reads::{MAX_ROWS_AT_ONCE, MAY_WALK, Query, matched},
    schema::{AUDIT, CLAIMS, Collection, TURNS},
    store::{answered, majority},
};

/// How often a transaction is begun whose server or connection fails. One that only meets others that write the same goes
/// on until its time is over: each time, one of them got through.
const MAX_TRIES: u32 = 5;
const MAX_COMMIT_TRIES: u32 = 5;
/// Of what comes by a cursor, in one round trip.
const MAX_STREAMED_AT_ONCE: u32 = 1_000;
/// For all tries together.
const WRITE_TIMEOUT_SECONDS: u64 = 10;
const MAX_COMMIT_SECONDS: u64 = 5;
/// So much before the work is given up, the server gives up a query of it, and says so.
const MARGIN: Duration = Duration::from_secs(2);
/// For a part of the house that is read in one transaction. Servers end one after a minute, or sooner where they are told to.
pub(crate) const PART_TIMEOUT: Duration = Duration::from_secs(50);
const FIRST_PAUSE_MS: u64 = 4;
const MAX_PAUSE_MS: u64 = 250;

/// A write: a value that says what is to be done, and may be asked more than once.
#[async_trait]
pub(crate) trait Write: Sync {
    /// Kept in the same transaction.
    fn trail(&self) -> &Trail;

    /// What many write at once, when there is such a thing ([`line`]): writers of this process then wait in line for it,
    /// instead of undoing each other. Nothing depends on it but how often that happens.
    fn line(&self) -> Option<usize> {
        None
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError>;
}

/// The line for a record.
pub(crate) fn line<T>(id: Id<T>) -> usize {
    // The last bits of an id are those that were drawn.
    id.as_uuid().as_u128() as usize
}

/// Why a try came to nothing.
enum Failed {
    /// Another transaction wrote the same.
    Met,
    /// The server or the connection.
    Server(String),
    /// For this reason, and it will not be another one the next time.
    Refused(WriteError),
    /// The claim of the trail was there.
    Claimed,
}

impl MongoStore {
    /// Applies the write and keeps its trail, in one transaction; it is acknowledged by the majority when this answers `Ok`.
    pub(crate) async fn write(&self, write: &impl Write) -> Result<Written, WriteError> {
        match (self.try_until_late(write.line(), &Applied(write)).await?, &write.trail().claim) {
            (Outcome::Committed(()), _) | (Outcome::Claimed, None) => Ok(Written::Now),
            (Outcome::Claimed, Some(claim)) => self.answered_before(claim).await,
        }
    }

    /// The same for what has an answer of its own, or leaves no trail.
    pub(crate) async fn transact<W: Work>(&self, line: Option<usize>, work: &W) -> Result<W::Answer, WriteError> {
        match self.try_until_late(line, work).await? {
            Outcome::Committed(answer) => Ok(answer),
            Outcome::Claimed => Err(unavailable("a claim was met where none was made")),
        }
    }

    async fn try_until_late<W: Work>(&self, line: Option<usize>, work: &W) -> Result<Outcome<W::Answer>, WriteError> {
        let committing = AtomicBool::new(false);
        let tried = async {
            // The guard is held until the last try is over.
            let _turn = match line {
                Some(line) => Some(self.line(line).lock().await),
                None => None,
            };
            self.try_until_done(work, &committing).await
        };
        match tokio::time::timeout(work.timeout(), tried).await {
            Ok(outcome) => outcome,
            Err(_) if committing.load(Ordering::Relaxed) => Err(unknown("the database did not answer in time")),
            Err(_) => Err(unavailable("the database did not answer in time")),
        }
    }

    async fn try_until_done<W: Work>(
        &self,
        work: &W,
        committing: &AtomicBool,
    ) -> Result<Outcome<W::Answer>, WriteError> {
        let (mut meetings, mut failures) = (0, 0);
        loop {
            let doubted = committing.load(Ordering::Relaxed);
            match self.try_once(work, committing).await {
                Ok(answer) => return Ok(Outcome::Committed(answer)),
                Err(Failed::Claimed) => return Ok(Outcome::Claimed),
                // What stands against it may be this same write, of a commit whose outcome was not heard.
                Err(Failed::Refused(_)) if doubted => return Err(unknown("the answer to the commit was lost")),
                Err(Failed::Refused(error)) => return Err(error),
                Err(Failed::Met) => {
                    meetings += 1;
                    self.pause(meetings).await;
                }
                Err(Failed::Server(reason)) => {
                    failures += 1;
                    if failures >= MAX_TRIES {
                        return Err(if doubted { unknown(reason) } else { unavailable(reason) });
                    }
                    self.pause(failures).await;
                }
            }
        }
    }

    async fn try_once<W: Work>(&self, work: &W, committing: &AtomicBool) -> Result<W::Answer, Failed> {
        let server = |error: Error| Failed::Server(reason(&error));
        let mut session = self.client().start_session().await.map_err(server)?;
        session.start_transaction().with_options(options()).await.map_err(server)?;
        let mut transaction =
            Transaction { store: self, session, again: None, query_timeout: work.timeout().saturating_sub(MARGIN) };
        let (answer, sealing) = match work.run(&mut transaction).await {
            Ok(done) => done,
            Err(error) => {
                return Err(match transaction.again.take() {
                    // The server has undone it already.
                    Some(again) => again,
                    None => {
                        // Else what it has written keeps others out until the server is told, or is tired of it.
                        let _ = transaction.session.abort_transaction().await;
                        Failed::Refused(error)
                    }
                });
            }
        };
        transaction.commit(committing).await?;
        if let Some(sealing) = sealing {
            sealing.stands();
        }
        Ok(answer)
    }

    /// Twice as long after each try, within a half more or less: else those who met once meet again.
    pub(crate) async fn pause(&self, tries: u32) {
        let mut dice = [0_u8; 1];
        self.entropy().fill(&mut dice);
        let full = FIRST_PAUSE_MS.saturating_mul(1 << tries.min(16)).min(MAX_PAUSE_MS);
        let micros = full * 1_000 / 2 + full * 1_000 * u64::from(dice[0]) / 256;
        tokio::time::sleep(Duration::from_micros(micros)).await;
    }
}

enum Outcome<T> {
    Committed(T),
    /// The claim of the trail was there already: nothing was done.
    Claimed,
}

/// What was done, and the audit entry of it, whose chain is held until the commit.
pub(crate) type Done<'a, T> = Result<(T, Option<Sealing<'a>>), WriteError>;

/// What is done within a transaction, as often as it takes.
#[async_trait]
pub(crate) trait Work: Sync {
    type Answer: Send;

    /// For all tries together.
    fn timeout(&self) -> Duration {
        Duration::from_secs(WRITE_TIMEOUT_SECONDS)
    }

    async fn run<'a>(&self, transaction: &mut Transaction<'a>) -> Done<'a, Self::Answer>;
}

/// A write and, around it, its trail.
struct Applied<'w, W>(&'w W);

#[async_trait]
impl<W: Write> Work for Applied<'_, W> {
    type Answer = ();

    async fn run<'a>(&self, transaction: &mut Transaction<'a>) -> Done<'a, ()> {
        let trail = self.0.trail();
        if let Some(claim) = &trail.claim {
            transaction.claim(claim).await?;
        }
        self.0.apply(transaction).await?;
        Ok(((), Some(transaction.keep(trail).await?)))
    }
}

fn options() -> TransactionOptions {
    TransactionOptions::builder()
        .read_concern(ReadConcern::snapshot())
        .write_concern(majority())
        .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
        .max_commit_time(Duration::from_secs(MAX_COMMIT_SECONDS))
        .build()
}

fn unavailable(reason: impl Into<String>) -> WriteError {
    StoreError::Unavailable { reason: reason.into() }.into()
}

fn unknown(reason: impl Into<String>) -> WriteError {
    StoreError::OutcomeUnknown { reason: reason.into() }.into()
}

/// Of a write that no law stands against.
pub(crate) fn unopposed(error: WriteError) -> StoreError {
    match error {
        WriteError::Store(error) => error,
        other => StoreError::Unavailable { reason: other.to_string() },
    }
}

/// An open transaction. What it reads is of the moment it began.
pub(crate) struct Transaction<'a> {
    store: &'a MongoStore,
    session: ClientSession,
    again: Option<Failed>,
    /// For each of its queries.
    query_timeout: Duration,
}

impl<'a> Transaction<'a> {
    pub(crate) fn store(&self) -> &'a MongoStore {
        self.store
    }

    /// Adds the messages and the audit entry of the trail. To be the last thing done, so that the chain is held for as short
    /// as can be.
    pub(crate) async fn keep(&mut self, trail: &Trail) -> Result<Sealing<'a>, WriteError> {
        self.tell(&trail.messages).await?;
        self.seal(&[&trail.event]).await
    }

    /// Two transactions whose laws are about what neither writes (that one admin is left, say) do not see each other. Those
    /// that take a turn of the same name do: one of them is undone, and runs again when the other is there.
    pub(crate) async fn take_turn(&mut self, name: &str) -> Result<(), WriteError> {
        let taken = self
            .store
            .documents(&TURNS)
            .update_one(doc! { "_id": name }, doc! { "$inc": { "turns": number(1) } })
            .upsert(true)
            .session(&mut self.session)
            .await;
        self.done(taken).map(|_| ())
    }

    pub(crate) async fn find_one(
        &mut self,
        collection: &Collection,
        filter: Document,
    ) -> Result<Option<RawDocumentBuf>, WriteError> {
        let found =
            self.store.rows(collection).find_one(filter).max_time(self.query_timeout).session(&mut self.session).await;
        self.done(found)
    }

    pub(crate) async fn find(
        &mut self,
        collection: &Collection,
        query: Query,
    ) -> Result<Vec<RawDocumentBuf>, WriteError> {
        let hint = collection.hint(query.index, Some(&query.filter));
        let found = async {
            let mut cursor = self
                .store
                .rows(collection)
                .find(query.filter)
                .sort(query.sort)
                .limit(query.limit as i64)
                .batch_size(query.limit as u32)
                .optional(hint, Find::hint)
                .max_time(self.query_timeout)
                .session(&mut self.session)
                .await?;
            cursor.stream(&mut self.session).try_collect().await
        }
        .await;
        self.done(found)
    }

    pub(crate) async fn aggregate(
        &mut self,
        collection: &Collection,
        pipeline: Vec<Document>,
    ) -> Result<Vec<RawDocumentBuf>, WriteError> {
        let found = async {
            let mut cursor = self
                .store
                .documents(collection)
                .aggregate(pipeline)
                .batch_size(MAX_ROWS_AT_ONCE)
                .max_time(self.query_timeout)
                .with_type::<RawDocumentBuf>()
                .session(&mut self.session)
                .await?;
            cursor.stream(&mut self.session).try_collect().await
        }
        .await;
        self.done(found)
    }

    /// The same over what an index gives, which it names; what comes of it comes at once.
    pub(crate) async fn aggregate_by(
        &mut self,
        collection: &Collection,
        index: &'static str,
        pipeline: Vec<Document>,
    ) -> Result<Vec<RawDocumentBuf>, WriteError> {
        let hint = collection.hint(index, matched(&pipeline));
        let found = async {
            let mut cursor = self
                .store
                .documents(collection)
                .aggregate(pipeline)
                .optional(hint, Aggregate::hint)
                .batch_size(MAX_ROWS_AT_ONCE)
                .max_time(self.query_timeout)
                .with_type::<RawDocumentBuf>()
                .session(&mut self.session)
                .await?;
            cursor.stream(&mut self.session).try_collect().await
        }
        .await;
        self.done(found)
    }

    /// All that the filter takes, in the order of the index, for [`Transaction::next`]; of each document these fields, or all
    /// when none is named. It may be more than is held at once.
    pub(crate) async fn open(
        &mut self,
        collection: &Collection,
        filter: Document,
        index: &'static str,
        fields: Document,
    ) -> Result<SessionCursor<RawDocumentBuf>, WriteError> {
        let hint = collection.hint(index, Some(&filter));
        let rows = self.store.rows(collection);
        let opened = rows
            .find(filter)
            .projection(fields)
            .sort(collection.keys_of(index))
            .optional(hint, Find::hint)
            .batch_size(MAX_STREAMED_AT_ONCE)
            .max_time(self.query_timeout)
            .comment(format!("{MAY_WALK}every document of a part is read"))
            .session(&mut self.session)
            .await;
        self.done(opened)
    }

    pub(crate) async fn next(
        &mut self,
        cursor: &mut SessionCursor<RawDocumentBuf>,
    ) -> Result<Option<RawDocumentBuf>, WriteError> {
        let next = cursor.next(&mut self.session).await.transpose();
        self.done(next)
    }

    pub(crate) async fn insert(&mut self, collection: &Collection, document: Document) -> Result<(), WriteError> {
        let inserted = self.store.documents(collection).insert_one(document).session(&mut self.session).await;
        self.done(inserted).map(|_| ())
    }

    /// None is as good as some.
    pub(crate) async fn insert_all(
        &mut self,
        collection: &Collection,
        documents: Vec<Document>,
    ) -> Result<(), WriteError> {
        if documents.is_empty() {
            return Ok(());
        }
        let inserted = self.store.documents(collection).insert_many(documents).session(&mut self.session).await;
        self.done(inserted).map(|_| ())
    }

    /// Whether there was such a document.
    pub(crate) async fn update(
        &mut self,
        collection: &Collection,
        filter: Document,
        update: impl Into<UpdateModifications>,
    ) -> Result<bool, WriteError> {
        let updated = self.store.documents(collection).update_one(filter, update).session(&mut self.session).await;
        Ok(self.done(updated)?.matched_count > 0)
    }

    /// One command for all of them; whether there was a document for each.
    pub(crate) async fn update_each(
        &mut self,
        collection: &Collection,
        updates: Vec<(Document, Document)>,
    ) -> Result<bool, WriteError> {
        if updates.is_empty() {
            return Ok(true);
        }
        let wanted = updates.len() as i64;
        let statements: Vec<Document> = updates.into_iter().map(|(q, u)| doc! { "q": q, "u": u }).collect();
        let command = doc! { "update": collection.name, "updates": statements };
        let updated = self.store.database().run_command(command).session(&mut self.session).await;
        let updated = self.done(updated)?;
        if let Ok(errors) = updated.get_array("writeErrors") {
            let code = errors.first().and_then(|error| error.as_document()?.get_i32("code").ok()).unwrap_or(0);
            return Err(unavailable(format!("the database refused a write ({code})")));
        }
        let found = updated.get("n").and_then(|n| n.as_i64().or_else(|| n.as_i32().map(i64::from)));
        Ok(found == Some(wanted))
    }

    pub(crate) async fn update_all(
        &mut self,
        collection: &Collection,
        filter: Document,
        update: Document,
    ) -> Result<(), WriteError> {
        let updated = self.store.documents(collection).update_many(filter, update).session(&mut self.session).await;
        self.done(updated).map(|_| ())
    }

    /// Takes the place of the document with its `_id`, when there is one.
    pub(crate) async fn put(&mut self, collection: &Collection, document: Document) -> Result<(), WriteError> {
        let id = document.get("_id").cloned().unwrap_or_default();
        let put = self
            .store
            .documents(collection)
            .replace_one(doc! { "_id": id }, document)
            .upsert(true)
            .session(&mut self.session)
            .await;
        self.done(put).map(|_| ())
    }

    /// How many there were.
    pub(crate) async fn delete(&mut self, collection: &Collection, filter: Document) -> Result<u64, WriteError> {
        let deleted = self.store.documents(collection).delete_many(filter).session(&mut self.session).await;
        Ok(self.done(deleted)?.deleted_count)
    }

    /// What an operation means for the transaction. After an error no other may follow.
    fn done<T>(&mut self, result: mongodb::error::Result<T>) -> Result<T, WriteError> {
        result.map_err(|error| {
            if let Some(duplicate) = duplicate(&error) {
                if duplicate.collection == CLAIMS.name {
                    self.again = Some(Failed::Claimed);
                }
                return duplicate.to_write_error();
            }
            self.again = if is_conflict(&error) {
                Some(Failed::Met)
            } else if is_transient(&error) {
                Some(Failed::Server(reason(&error)))
            } else {
                None
            };
            unavailable(reason(&error))
        })
    }

    /// The audit entry met another of the same place: its chain is now somebody else's.
    pub(crate) fn met(&mut self) {
        self.again = Some(Failed::Met);
    }

    pub(crate) async fn insert_entries(&mut self, entries: Vec<Document>) -> mongodb::error::Result<()> {
        let log = self.store.documents(&AUDIT);
        log.insert_many(entries).session(&mut self.session).await.map(|_| ())
    }

    pub(crate) fn fail<T>(&mut self, error: Error) -> Result<T, WriteError> {
        self.done(Err(error))
    }

    async fn commit(mut self, committing: &AtomicBool) -> Result<(), Failed> {
        committing.store(true, Ordering::Relaxed);
        let undecided = Undecided { store: self.store.clone(), session: Some(self.session.id().clone()) };
        let mut tries = 0;
        loop {
            let Err(error) = self.session.commit_transaction().await else {
                undecided.decided();
                return Ok(());
            };
            tries += 1;
            if is_transient(&error) {
                undecided.decided();
                // Nothing of it happened; of a try before whose answer was lost, that is not as sure.
                committing.store(tries > 1, Ordering::Relaxed);
                return Err(if is_conflict(&error) { Failed::Met } else { Failed::Server(reason(&error)) });
            }
            if !is_unknown_commit(&error) || tries >= MAX_COMMIT_TRIES {
                return Err(Failed::Refused(unknown(reason(&error))));
            }
            self.store.pause(tries).await;
        }
    }
}

/// A commit that was sent, and whose outcome is not known. When it is given up as that, the server may not even have got it:
/// then what the transaction has written would keep others out until the server is tired of it, which takes a minute. So its
/// session is ended there, and with it the transaction, unless that was committed.
struct Undecided {
    store: MongoStore,
    session: Option<Document>,
}

impl Undecided {
    fn decided(mut self) {
        self.session = None;
    }
}

impl Drop for Undecided {
    fn drop(&mut self) {
        let (Some(session), Ok(runtime)) = (self.session.take(), tokio::runtime::Handle::try_current()) else { return };
        let store = self.store.clone();
        runtime.spawn(async move {
            let admin = store.client().database("admin");
            // Who uses the session next, if it is that soon, hears that its transaction is gone, and runs it again.
            if let Err(error) = answered(admin.run_command(doc! { "killSessions": [session] })).await {
                tracing::warn!(%error, "a transaction that was given up may keep others out for a while");
            }
        });
    }
}
