//! The one thread that writes.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    thread::JoinHandle,
};

use infirmary_audit::Head;
use infirmary_kernel::{StoreError, WriteError};
use rusqlite::{Connection, Params};
use tokio::sync::{mpsc, oneshot};

use crate::{plans, trail};

/// Writes that may wait. More are told `Unavailable` at once, which is kinder than a queue that never ends.
const MAX_QUEUED_WRITES: usize = 4_096;
/// Writes that share one transaction, so that the first of them does not wait for ever.
const MAX_WRITES_IN_A_COMMIT: usize = 512;

/// What a write works on: the open transaction, and the end of the audit chain within it.
pub(crate) struct Transaction<'a> {
    connection: &'a Connection,
    pub(crate) chain: Cell<Head>,
}

impl Transaction<'_> {
    /// Runs a statement that is kept prepared; says how many rows it changed.
    pub(crate) fn run(&self, statement: &str, values: impl Params) -> rusqlite::Result<usize> {
        self.prepare_cached(statement)?.execute(values)
    }
}

impl std::ops::Deref for Transaction<'_> {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        self.connection
    }
}

pub(crate) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

/// A write in the queue: run first, answered after the commit.
trait Job: Send {
    /// Whether it succeeded, and its changes are to stay.
    fn run(&mut self, transaction: &Transaction<'_>) -> bool;
    fn answer(self: Box<Self>, commit: Result<(), &CommitError>);
}

/// Why a transaction was not committed; every write in it that succeeded is told.
enum CommitError {
    /// Nothing happened.
    NotBegun(String),
    /// The disk failed in the middle of it.
    Unknown(String),
}

impl CommitError {
    fn to_store_error(&self) -> StoreError {
        match self {
            Self::NotBegun(reason) => StoreError::Unavailable { reason: reason.clone() },
            Self::Unknown(reason) => StoreError::OutcomeUnknown { reason: reason.clone() },
        }
    }
}

struct Write<F, T> {
    work: Option<F>,
    result: Option<Result<T, WriteError>>,
    reply: oneshot::Sender<Result<T, WriteError>>,
}

impl<T, F> Job for Write<F, T>
where
    T: Send,
    F: FnOnce(&Transaction<'_>) -> Result<T, WriteError> + Send,
{
    fn run(&mut self, transaction: &Transaction<'_>) -> bool {
        let Some(work) = self.work.take() else { return false };
        let result = catch_unwind(AssertUnwindSafe(|| {
            let result = work(transaction);
            if cfg!(debug_assertions) {
                plans::examine(transaction);
            }
            result
        }));
        self.result = Some(result.unwrap_or_else(|_| Err(panicked().into())));
        matches!(self.result, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, commit: Result<(), &CommitError>) {
        let answer = match (self.result, commit) {
            (Some(Ok(_)) | None, Err(error)) => Err(error.to_store_error().into()),
            (Some(result), _) => result,
            (None, Ok(())) => Err(gone().into()),
        };
        // Who asked may have gone away meanwhile; the write stands all the same.
        let _ = self.reply.send(answer);
    }
}

/// The thread goes on for others.
fn panicked() -> StoreError {
    StoreError::Unavailable { reason: "the write ended in a panic".into() }
}

fn gone() -> StoreError {
    StoreError::Unavailable { reason: "the writer of the database has stopped".into() }
}

impl Writer {
    pub(crate) fn start(connection: Connection) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::channel(MAX_QUEUED_WRITES);
        let thread = std::thread::Builder::new()
            .name("sqlite-writer".into())
            .spawn(move || write_until_closed(connection, jobs))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, WriteError> + Send + 'static,
    ) -> Result<T, WriteError> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Write { work: Some(work), result: None, reply });
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                StoreError::Unavailable { reason: "too many writes are waiting".into() }
            }
            mpsc::error::TrySendError::Closed(_) => gone(),
        })?;
        answer.await.unwrap_or_else(|_| Err(gone().into()))
    }
}

impl Drop for Writer {
    /// What is in the queue is still written: it may have been answered as soon as it is.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn write_until_closed(connection: Connection, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
    let mut batch: Vec<Box<dyn Job>> = Vec::new();
    while let Some(first) = jobs.blocking_recv() {
        let commit = match begin(&connection) {
            Ok(transaction) => {
                run_in_savepoint(&transaction, first, &mut batch);
                while batch.len() < MAX_WRITES_IN_A_COMMIT {
                    let Ok(next) = jobs.try_recv() else { break };
                    run_in_savepoint(&transaction, next, &mut batch);
                }
                commit(&connection)
            }
            Err(error) => {
                batch.push(first);
                Err(CommitError::NotBegun(error.to_string()))
            }
        };
        if let Err(CommitError::Unknown(reason) | CommitError::NotBegun(reason)) = &commit {
            tracing::error!(%reason, writes = batch.len(), "a transaction was not committed");
        }
        for job in batch.drain(..) {
            job.answer(commit.as_ref().copied());
        }
    }
}

fn begin(connection: &Connection) -> rusqlite::Result<Transaction<'_>> {
    // A transaction that a failed commit left open would keep out every later one.
    if !connection.is_autocommit() {
        execute(connection, "ROLLBACK")?;
    }
    execute(connection, "BEGIN IMMEDIATE")?;
    // Read anew each time: another process (the command line) may have written meanwhile.
    Ok(Transaction { connection, chain: Cell::new(trail::head(connection)?) })
}

fn run_in_savepoint(transaction: &Transaction<'_>, mut job: Box<dyn Job>, batch: &mut Vec<Box<dyn Job>>) {
    let chain = transaction.chain.get();
    let ran = execute(transaction, "SAVEPOINT job").map(|()| job.run(transaction));
    let kept = match ran {
        Ok(true) => execute(transaction, "RELEASE job"),
        Ok(false) | Err(_) => {
            transaction.chain.set(chain);
            execute(transaction, "ROLLBACK TO job").and_then(|()| execute(transaction, "RELEASE job"))
        }
    };
    if let Err(error) = kept {
        // Only a failing disk does this; the commit then fails too and answers for all.
        tracing::error!(%error, "a savepoint could not be closed");
    }
    batch.push(job);
}

fn commit(connection: &Connection) -> Result<(), CommitError> {
    let Err(error) = execute(connection, "COMMIT") else { return Ok(()) };
    let reason = error.to_string();
    let rolled_back = connection.is_autocommit() || execute(connection, "ROLLBACK").is_ok();
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DiskFull) if rolled_back => {
            Err(CommitError::NotBegun(reason))
        }
        _ => Err(CommitError::Unknown(reason)),
    }
}

fn execute(connection: &Connection, statement: &'static str) -> rusqlite::Result<()> {
    connection.prepare_cached(statement)?.execute(()).map(|_| ())
}
