use std::time::Duration;

use async_trait::async_trait;
use infirmary_kernel::{Claim, StoreError, Sweep, Swept, Timestamp};
use infirmary_messaging::Message;
use rusqlite::params;

use crate::{
    SqliteStore,
    rows::{OrWriteError, unopposed},
};

/// Rows that one write removes: a rush of others does not wait longer than that.
const MAX_ROWS_IN_A_WRITE: usize = 500;

/// What may be forgotten, each with the statement that removes some of it and how long it is kept after the time in the row.
const OVER: &[(&str, &str, Duration)] = &[
    (
        "claims",
        "DELETE FROM claims WHERE (account, key) IN
         (SELECT account, key FROM claims WHERE at < ? ORDER BY at LIMIT ?)",
        hours(Claim::KEPT_HOURS),
    ),
    (
        "sessions",
        "DELETE FROM sessions WHERE id IN
         (SELECT id FROM sessions WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
        Duration::ZERO,
    ),
    (
        "invitations",
        "DELETE FROM invitations WHERE account IN
         (SELECT account FROM invitations WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
        Duration::ZERO,
    ),
    (
        "counters",
        "DELETE FROM attempt_counters WHERE key IN
         (SELECT key FROM attempt_counters WHERE forget_at <= ? ORDER BY forget_at LIMIT ?)",
        Duration::ZERO,
    ),
    (
        "challenges",
        "DELETE FROM challenges WHERE id IN
         (SELECT id FROM challenges WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
        Duration::ZERO,
    ),
    (
        "code counters",
        "DELETE FROM code_counters WHERE key IN
         (SELECT key FROM code_counters WHERE forget_at <= ? ORDER BY forget_at LIMIT ?)",
        Duration::ZERO,
    ),
    (
        "messages",
        "DELETE FROM messages WHERE id IN
         (SELECT id FROM messages WHERE created_at < ? AND +state <> 'pending' ORDER BY created_at LIMIT ?)",
        hours(Message::KEPT_DAYS * 24),
    ),
];

const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 60 * 60)
}

#[async_trait]
impl Sweep for SqliteStore {
    async fn sweep(&self, now: Timestamp) -> Result<Swept, StoreError> {
        let mut removed = Vec::with_capacity(OVER.len());
        for (what, statement, kept) in OVER {
            removed.push((*what, self.remove(statement, now.minus(*kept)).await?));
        }
        Ok(Swept::of(removed))
    }
}

impl SqliteStore {
    async fn remove(&self, statement: &'static str, until: Timestamp) -> Result<usize, StoreError> {
        let mut removed = 0;
        loop {
            let few = self.write(move |transaction| {
                transaction.run(statement, params![until.unix_ms(), MAX_ROWS_IN_A_WRITE]).or_write_error()
            });
            let rows = few.await.map_err(unopposed)?;
            removed += rows;
            if rows < MAX_ROWS_IN_A_WRITE {
                return Ok(removed);
            }
        }
    }
}
