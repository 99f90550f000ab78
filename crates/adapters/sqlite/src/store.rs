use std::{
    cmp::Ordering,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, TryLockError},
};

use async_trait::async_trait;
use infirmary_kernel::{Readiness, StoreError, WriteError};
use rusqlite::{Connection, OpenFlags, config::DbConfig};

use crate::{
    plans,
    readers::Readers,
    rows::store_error,
    schema,
    writer::{Transaction, Writer},
};

/// The database file and the threads that work on it. Clones share both.
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    // Dropped in this order: the writer closes last, and so is the one that folds the log into the file.
    lookups: Vec<Mutex<Connection>>,
    readers: Readers,
    writer: Writer,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the database {path} cannot be opened")]
    Open { path: PathBuf, source: rusqlite::Error },
    #[error("there is no database at {path}")]
    Absent { path: PathBuf },
    #[error(
        "the database {path} is of an older version (schema {found}, this one knows {known}); start the server once"
    )]
    Older { path: PathBuf, found: u32, known: u32 },
    #[error("the database {path} was written by a newer version of Infirmary (schema {found}, this one knows {known})")]
    Newer { path: PathBuf, found: u32, known: u32 },
    #[error("a thread for the database cannot be started")]
    Thread { source: std::io::Error },
}

impl SqliteStore {
    /// Opens the file, makes it when it is absent, and brings its tables to this version. Blocks; call it at start.
    ///
    /// `reader_threads` is also how many callers may look something up by its key at once; more are sent to the readers.
    pub fn open(path: &Path, reader_threads: usize) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Open { path: path.to_owned(), source };
        let mut connection =
            Connection::open_with_flags(path, flags() | OpenFlags::SQLITE_OPEN_CREATE).map_err(failed)?;
        configure(&mut connection).map_err(failed)?;
        schema::migrate(&mut connection).map_err(failed)?.map_err(|found| OpenError::Newer {
            path: path.to_owned(),
            found,
            known: schema::VERSION,
        })?;
        Self::start(path, connection, reader_threads)
    }

    /// Opens a file that is there, of this version, to be read: every write is refused. A server may be at work on it.
    pub fn open_to_read(path: &Path, reader_threads: usize) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Open { path: path.to_owned(), source };
        if !path.try_exists().is_ok_and(|there| there) {
            return Err(OpenError::Absent { path: path.to_owned() });
        }
        let mut connection = Connection::open_with_flags(path, flags()).map_err(failed)?;
        configure(&mut connection).map_err(failed)?;
        connection.pragma_update(None, "query_only", true).map_err(failed)?;
        let (found, known) = (schema::version(&connection).map_err(failed)?, schema::VERSION);
        let path_found = path.to_owned();
        match found.cmp(&known) {
            Ordering::Equal => Self::start(path, connection, reader_threads),
            Ordering::Less => Err(OpenError::Older { path: path_found, found, known }),
            Ordering::Greater => Err(OpenError::Newer { path: path_found, found, known }),
        }
    }

    fn start(path: &Path, writer: Connection, reader_threads: usize) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Open { path: path.to_owned(), source };
        let open_readers =
            || (0..reader_threads.max(1)).map(|_| open_reader(path)).collect::<Result<Vec<_>, _>>().map_err(failed);
        let readers = open_readers()?;
        let share = READERS_CACHE_KIB / i64::try_from(readers.len()).unwrap_or(1);
        for reader in &readers {
            reader.pragma_update(None, "cache_size", -share.max(PAGE_CACHE_KIB)).map_err(failed)?;
        }
        let lookups = open_readers()?.into_iter().map(Mutex::new).collect();
        let thread = |source| OpenError::Thread { source };
        let inner = Inner {
            path: path.to_owned(),
            lookups,
            readers: Readers::start(readers).map_err(thread)?,
            writer: Writer::start(writer).map_err(thread)?,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Runs `work` within a transaction of the writer thread; it is durable when this answers `Ok`. On an error of `work`
    /// nothing of it is there.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, WriteError> + Send + 'static,
    ) -> Result<T, WriteError> {
        self.inner.writer.run(work).await
    }

    /// Runs one query on a reader thread.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner.readers.run(query).await
    }

    /// Runs one query that finds a row or a few by their keys, on this thread: to hand it to another one would cost many
    /// times what it does itself.
    pub(crate) async fn look_up<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        if let Some(connection) = self.idle_lookup() {
            let result = query(&connection);
            if cfg!(debug_assertions) {
                plans::examine(&connection);
            }
            return result.map_err(|error| store_error(&error));
        }
        self.read(query).await
    }

    fn idle_lookup(&self) -> Option<MutexGuard<'_, Connection>> {
        self.inner.lookups.iter().find_map(|connection| match connection.try_lock() {
            Ok(idle) => Some(idle),
            // A query that panicked has left nothing behind: its statement was reset.
            Err(TryLockError::Poisoned(idle)) => Some(idle.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        })
    }

    /// Runs several queries that see the store at one moment, so that none shows half of a write.
    pub(crate) async fn read_snapshot<T: Send + 'static>(
        &self,
        queries: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.read(|connection| {
            let snapshot = connection.unchecked_transaction()?;
            let result = queries(&snapshot)?;
            snapshot.finish()?;
            Ok(result)
        })
        .await
    }
}

#[async_trait]
impl Readiness for SqliteStore {
    async fn check(&self) -> Result<(), StoreError> {
        self.read(|connection| connection.query_row("SELECT 1", (), |_| Ok(()))).await
    }
}

fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let mut reader = Connection::open_with_flags(path, flags())?;
    configure(&mut reader)?;
    reader.pragma_update(None, "query_only", true)?;
    Ok(reader)
}

fn flags() -> OpenFlags {
    // No two threads use one connection at a time, so SQLite's own mutexes are not needed.
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

/// How long a connection waits for another process (a backup, the command line) that holds the file.
const BUSY_TIMEOUT_MS: u64 = 5_000;
const CACHED_STATEMENTS: usize = 256;
const PAGE_CACHE_KIB: i64 = 4_096;
/// Of all reader threads together: searches and lists go through more pages than what is found by its key.
const READERS_CACHE_KIB: i64 = 32 * 1_024;

pub(crate) fn configure(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_millis(BUSY_TIMEOUT_MS))?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    // The plan of a statement is made once, without regard to the values that are bound. Else each use of a cached statement
    // would plan it anew (since SQLite 3.54, when its bindings are cleared), which takes longer than most of them run.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -PAGE_CACHE_KIB)?;
    if cfg!(debug_assertions) {
        plans::watch(connection)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rusqlite::{StatementStatus, params};

    use super::*;

    #[tokio::test]
    async fn a_panic_is_told_to_who_asked_and_the_store_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("infirmary.db"), 1).unwrap();
        let insert = "INSERT INTO claims (account, key, fingerprint, receipt, at) VALUES (?, 'key', ?, ?, 0)";
        let bytes = [0_u8; 32];
        let write = store.write(move |transaction| -> Result<(), _> {
            transaction.run(insert, params![bytes, bytes, bytes]).unwrap();
            panic!("in a write")
        });
        assert!(matches!(write.await, Err(WriteError::Store(StoreError::Unavailable { .. }))));
        let query = store.read(|_| -> rusqlite::Result<()> { panic!("in a query") });
        assert!(matches!(query.await, Err(StoreError::Unavailable { .. })));

        let claims = || {
            store.read(|connection| {
                connection.query_row("SELECT EXISTS (SELECT 1 FROM claims LIMIT 1)", (), |row| row.get::<_, bool>(0))
            })
        };
        assert!(!claims().await.unwrap(), "nothing of the write is there");
        store
            .write(move |transaction| Ok(transaction.run(insert, params![bytes, bytes, bytes]).unwrap()))
            .await
            .unwrap();
        assert!(claims().await.unwrap());
    }

    #[tokio::test]
    async fn a_cached_statement_is_planned_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("infirmary.db"), 1).unwrap();
        let planned_anew = store.look_up(|connection| {
            let mut planned_anew = 0;
            for account in [[1_u8; 16], [2; 16], [3; 16]] {
                let mut find = connection.prepare_cached("SELECT * FROM accounts WHERE id = ? AND version > ?")?;
                assert!(!find.exists(params![account, account[0]])?);
                planned_anew = find.get_status(StatementStatus::RePrepare);
            }
            Ok(planned_anew)
        });
        assert_eq!(planned_anew.await.unwrap(), 0);
    }
}
