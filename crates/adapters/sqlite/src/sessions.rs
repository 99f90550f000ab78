use std::net::IpAddr;

use async_trait::async_trait;
use infirmary_auth::{Account, ConfirmedSession, LiveSession, Rotation, Session, SessionStore, StartedSession};
use infirmary_kernel::{AccountId, Invalid, SessionId, StoreError, Timestamp, Trail, WriteError};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    SqliteStore, accounts, codes,
    rows::{OrWriteError, RowExt, blob, optional_blob},
    writer::Transaction,
};

#[async_trait]
impl SessionStore for SqliteStore {
    async fn start(&self, started: StartedSession) -> Result<(), WriteError> {
        self.write(move |transaction| {
            let account = started.session.account;
            accounts::prove_alone(transaction, account, &started.proved)?;
            if let Some(replacement) = &started.replacement {
                accounts::set_password(transaction, account, replacement)?;
            }
            insert(transaction, &started.session)?;
            transaction.keep(&started.trail).map(|_| ())
        })
        .await
    }

    async fn rotate(&self, rotation: Rotation, trail: Trail) -> Result<(), WriteError> {
        self.write(move |transaction| {
            let rotated = transaction
                .run(
                    "UPDATE sessions SET refresh = ?3, previous = ?2, refreshed_at = ?4, expires_at = ?5
                     WHERE id = ?1 AND refresh = ?2",
                    params![
                        blob(rotation.session),
                        rotation.from.as_bytes(),
                        rotation.to.as_bytes(),
                        rotation.at.unix_ms(),
                        rotation.expires_at.unix_ms(),
                    ],
                )
                .or_write_error()?;
            if rotated == 0 {
                return Err(WriteError::Stale);
            }
            transaction.keep(&trail).map(|_| ())
        })
        .await
    }

    async fn confirm(&self, confirmed: ConfirmedSession) -> Result<(), WriteError> {
        self.write(move |transaction| {
            accounts::prove_alone(transaction, confirmed.account, &confirmed.proved)?;
            confirm(transaction, confirmed.session, confirmed.account, confirmed.at)?;
            transaction.keep(&confirmed.trail).map(|_| ())
        })
        .await
    }

    async fn end(&self, session: SessionId, account: AccountId, trail: Trail) -> Result<(), WriteError> {
        self.write(move |transaction| {
            let ended = transaction
                .run("DELETE FROM sessions WHERE id = ? AND account = ?", params![blob(session), blob(account)])
                .or_write_error()?;
            if ended == 0 {
                return Err(WriteError::Stale);
            }
            transaction.keep(&trail).map(|_| ())
        })
        .await
    }

    async fn live(&self, session: SessionId) -> Result<Option<LiveSession>, StoreError> {
        self.look_up(move |connection| {
            connection
                .prepare_cached(
                    "SELECT a.*, s.authenticated_at, s.expires_at FROM sessions s JOIN accounts a ON a.id = s.account
                     WHERE s.id = ? AND a.state = 'active'",
                )?
                .query_row([blob(session)], |row| {
                    Ok(LiveSession {
                        account: accounts::account(row)?,
                        authenticated_at: row.time("authenticated_at")?,
                        expires_at: row.time("expires_at")?,
                    })
                })
                .optional()
        })
        .await
    }

    async fn find(&self, session: SessionId) -> Result<Option<(Session, Account)>, StoreError> {
        self.read_snapshot(move |connection| {
            let Some(session) = find(connection, session)? else { return Ok(None) };
            let account = accounts::find(connection, session.account)?;
            Ok(account.map(|account| (session, account)))
        })
        .await
    }

    async fn of_account(&self, account: AccountId) -> Result<Vec<Session>, StoreError> {
        self.read(move |connection| {
            connection
                .prepare_cached("SELECT * FROM sessions WHERE account = ? ORDER BY started_at DESC, id DESC")?
                .query_map([blob(account)], session)?
                .collect()
        })
        .await
    }
}

/// Starts a session; the oldest one of the account goes when there are too many.
pub(crate) fn insert(transaction: &Transaction<'_>, new: &Session) -> Result<(), WriteError> {
    transaction
        .run(
            "INSERT INTO sessions (id, account, started_at, authenticated_at, refreshed_at, expires_at, agent, address,
             refresh, previous) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                blob(new.id),
                blob(new.account),
                new.started_at.unix_ms(),
                new.authenticated_at.unix_ms(),
                new.refreshed_at.unix_ms(),
                new.expires_at.unix_ms(),
                new.agent,
                new.address.map(|address| address.to_string()),
                new.refresh.as_bytes(),
                new.previous.as_ref().map(|previous| previous.as_bytes()),
            ],
        )
        .or_write_error()?;
    transaction
        .run(
            "DELETE FROM sessions WHERE id IN
             (SELECT id FROM sessions WHERE account = ? ORDER BY started_at DESC, id DESC LIMIT -1 OFFSET ?)",
            params![blob(new.account), Session::MAX_PER_ACCOUNT],
        )
        .or_write_error()?;
    Ok(())
}

/// Makes `at` the time at which the person of the session last proved who they are.
pub(crate) fn confirm(
    transaction: &Transaction<'_>,
    session: SessionId,
    account: AccountId,
    at: Timestamp,
) -> Result<(), WriteError> {
    let confirmed = transaction
        .run(
            "UPDATE sessions SET authenticated_at = ? WHERE id = ? AND account = ?",
            params![at.unix_ms(), blob(session), blob(account)],
        )
        .or_write_error()?;
    if confirmed == 0 { Err(WriteError::Stale) } else { Ok(()) }
}

/// Ends every session of the account but `keep`, and every challenge.
pub(crate) fn end_all(
    transaction: &Transaction<'_>,
    account: AccountId,
    keep: Option<SessionId>,
) -> Result<(), WriteError> {
    transaction
        .run("DELETE FROM sessions WHERE account = ? AND id IS NOT ?", params![blob(account), optional_blob(keep)])
        .or_write_error()?;
    codes::end_all(transaction, account)
}

fn find(connection: &Connection, id: SessionId) -> rusqlite::Result<Option<Session>> {
    connection.prepare_cached("SELECT * FROM sessions WHERE id = ?")?.query_row([blob(id)], session).optional()
}

pub(crate) fn session(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row.id("id")?,
        account: row.id("account")?,
        started_at: row.time("started_at")?,
        authenticated_at: row.time("authenticated_at")?,
        refreshed_at: row.time("refreshed_at")?,
        expires_at: row.time("expires_at")?,
        agent: row.get("agent")?,
        address: row.optional_parsed("address", ip_address)?,
        refresh: row.digest("refresh")?,
        previous: row.optional_digest("previous")?,
    })
}

fn ip_address(text: &str) -> Result<IpAddr, Invalid> {
    text.parse().map_err(|_| Invalid::new("/address", "is not an address of IPv4 or IPv6"))
}
