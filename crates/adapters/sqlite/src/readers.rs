//! Threads that read, each with its own connection.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    thread::JoinHandle,
};

use crossbeam_channel::{Sender, TrySendError, bounded};
use infirmary_kernel::StoreError;
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::{plans, rows::store_error};

/// Queries that may wait; more are told `Unavailable` at once.
const MAX_QUEUED_READS: usize = 4_096;

type Query = Box<dyn FnOnce(&Connection) + Send>;

pub(crate) struct Readers {
    queue: Option<Sender<Query>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    pub(crate) fn start(connections: Vec<Connection>) -> std::io::Result<Self> {
        let (queue, queries) = bounded::<Query>(MAX_QUEUED_READS);
        let threads = connections
            .into_iter()
            .map(|connection| {
                let queries = queries.clone();
                std::thread::Builder::new().name("sqlite-reader".into()).spawn(move || {
                    for query in queries {
                        // Who asked hears of a panic by the answer that does not come; the thread goes on for others.
                        let _ = catch_unwind(AssertUnwindSafe(|| query(&connection)));
                    }
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { queue: Some(queue), threads })
    }

    pub(crate) async fn run<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let stopped = || StoreError::Unavailable { reason: "the readers of the database have stopped".into() };
        let panicked = || StoreError::Unavailable { reason: "the query ended in a panic".into() };
        let (reply, answer) = oneshot::channel();
        let job = Box::new(move |connection: &Connection| {
            // Who asked may have gone away meanwhile; then nobody needs the answer, nor the work.
            if !reply.is_closed() {
                let result = query(connection);
                if cfg!(debug_assertions) {
                    plans::examine(connection);
                }
                let _ = reply.send(result);
            }
        });
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Unavailable { reason: "too many reads are waiting".into() },
            TrySendError::Disconnected(_) => stopped(),
        })?;
        answer.await.map_err(|_| panicked())?.map_err(|error| store_error(&error))
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
