use std::time::Duration;

use infirmary_kernel::{Claim, StoreError, Timestamp};
use rusqlite::params;

use crate::{
    SqliteStore,
    rows::{OrWriteError, unopposed},
};

/// Rows that one write removes: a rush of others does not wait longer than that.
const MAX_ROWS_IN_A_WRITE: usize = 500;

/// How many rows a sweep removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    pub claims: usize,
    pub sessions: usize,
    pub invitations: usize,
    pub counters: usize,
}

impl SqliteStore {
    /// Removes what is over at `now`: claims older than [`Claim::KEPT_HOURS`], sessions and invitations past their time,
    /// counters of attempts that may be forgotten. Nobody who asks for them hears anything else than before. To be called
    /// every now and then, by any number of processes.
    pub async fn sweep(&self, now: Timestamp) -> Result<Swept, StoreError> {
        let claimed_before = now.minus(Duration::from_secs(Claim::KEPT_HOURS * 60 * 60));
        Ok(Swept {
            claims: self
                .remove(
                    "DELETE FROM claims WHERE (account, key) IN
                     (SELECT account, key FROM claims WHERE at < ? ORDER BY at LIMIT ?)",
                    claimed_before,
                )
                .await?,
            sessions: self
                .remove(
                    "DELETE FROM sessions WHERE id IN
                     (SELECT id FROM sessions WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
                    now,
                )
                .await?,
            invitations: self
                .remove(
                    "DELETE FROM invitations WHERE account IN
                     (SELECT account FROM invitations WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
                    now,
                )
                .await?,
            counters: self
                .remove(
                    "DELETE FROM attempt_counters WHERE key IN
                     (SELECT key FROM attempt_counters WHERE forget_at <= ? ORDER BY forget_at LIMIT ?)",
                    now,
                )
                .await?,
        })
    }

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
