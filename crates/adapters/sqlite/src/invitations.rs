use async_trait::async_trait;
use infirmary_auth::{AcceptedInvitation, Account, AccountState, Invitation, InvitationStore, Invited};
use infirmary_kernel::{AccountId, Sha256Digest, StoreError, WriteError};
use rusqlite::{OptionalExtension, params};

use crate::{
    SqliteStore, accounts,
    rows::{OrWriteError, RowExt, blob},
    sessions,
    writer::Transaction,
};

#[async_trait]
impl InvitationStore for SqliteStore {
    async fn invite(&self, invited: Invited) -> Result<(), WriteError> {
        self.write(move |transaction| {
            let account = &invited.account;
            if account.version == 1 {
                accounts::insert(transaction, account)?;
            } else {
                let before = accounts::find(transaction, account.id).or_write_error()?;
                if before.is_none_or(|before| before.state != AccountState::Invited) {
                    return Err(WriteError::Stale);
                }
                accounts::update(transaction, account)?;
            }
            put(transaction, &invited.invitation)?;
            transaction.keep(&invited.trail).map(|_| ())
        })
        .await
    }

    async fn accept(&self, accepted: AcceptedInvitation) -> Result<(), WriteError> {
        self.write(move |transaction| {
            let account = &accepted.account;
            let removed = transaction
                .run(
                    "DELETE FROM invitations WHERE account = ? AND code = ?",
                    params![blob(account.id), accepted.code.as_bytes()],
                )
                .or_write_error()?;
            if removed == 0 {
                return Err(WriteError::Stale);
            }
            accounts::update(transaction, account)?;
            accounts::set_password(transaction, account.id, &accepted.password)?;
            sessions::insert(transaction, &accepted.session)?;
            transaction.keep(&accepted.trail).map(|_| ())
        })
        .await
    }

    async fn find_by_code(&self, code: Sha256Digest) -> Result<Option<(Invitation, Account)>, StoreError> {
        self.read_snapshot(move |connection| {
            let invitation = connection
                .prepare_cached("SELECT account, expires_at FROM invitations WHERE code = ?")?
                .query_row([code.as_bytes()], |row| {
                    Ok(Invitation { account: row.id("account")?, code, expires_at: row.time("expires_at")? })
                })
                .optional()?;
            let Some(invitation) = invitation else { return Ok(None) };
            let account = accounts::find(connection, invitation.account)?;
            Ok(account.map(|account| (invitation, account)))
        })
        .await
    }
}

/// The invitation takes the place of the account's one before.
pub(crate) fn put(transaction: &Transaction<'_>, invitation: &Invitation) -> Result<(), WriteError> {
    transaction
        .run(
            "INSERT INTO invitations (account, code, expires_at) VALUES (?, ?, ?)
             ON CONFLICT (account) DO UPDATE SET code = excluded.code, expires_at = excluded.expires_at",
            params![blob(invitation.account), invitation.code.as_bytes(), invitation.expires_at.unix_ms()],
        )
        .or_write_error()?;
    Ok(())
}

pub(crate) fn take_back(transaction: &Transaction<'_>, account: AccountId) -> Result<(), WriteError> {
    transaction.run("DELETE FROM invitations WHERE account = ?", [blob(account)]).or_write_error()?;
    Ok(())
}
