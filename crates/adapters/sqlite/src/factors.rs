use async_trait::async_trait;
use infirmary_auth::{Account, Authenticator, ChangedFactors, FactorStore, KeptFactors, Spent};
use infirmary_kernel::{AccountId, Sha256Digest, StoreError, WriteError};
use rusqlite::{Connection, OptionalExtension, params};

use crate::{
    SqliteStore, accounts,
    rows::{OrWriteError, RowExt, blob},
    sessions,
    writer::Transaction,
};

#[async_trait]
impl FactorStore for SqliteStore {
    async fn change(&self, changed: ChangedFactors) -> Result<(), WriteError> {
        self.write(move |transaction| {
            let account = blob(changed.account.id);
            // Before what hangs on the account is dropped or added: an account that is not there has nothing of it.
            accounts::update(transaction, &changed.account)?;
            if let Some(authenticator) = &changed.authenticator {
                put_authenticator(transaction, changed.account.id, authenticator)?;
            }
            if let Some(codes) = &changed.recovery {
                transaction.run("DELETE FROM recovery_codes WHERE account = ?", [account]).or_write_error()?;
                insert_recovery_codes(transaction, changed.account.id, codes)?;
            }
            drop_unused(transaction, &changed.account)?;
            sessions::end_all(transaction, changed.account.id, Some(changed.keep))?;
            transaction.keep(&changed.trail).map(|_| ())
        })
        .await
    }

    async fn find(&self, account: AccountId) -> Result<KeptFactors, StoreError> {
        self.read_snapshot(move |connection| find(connection, account)).await
    }
}

pub(crate) fn find(connection: &Connection, account: AccountId) -> rusqlite::Result<KeptFactors> {
    let authenticator = connection
        .prepare_cached("SELECT seed, last_step FROM authenticators WHERE account = ?")?
        .query_row([blob(account)], |row| {
            Ok(Authenticator { seed: row.get("seed")?, last_step: row.get("last_step")? })
        })
        .optional()?;
    let recovery = connection
        .prepare_cached("SELECT code FROM recovery_codes WHERE account = ? ORDER BY code")?
        .query_map([blob(account)], |row| row.digest(0))?
        .collect::<Result<_, _>>()?;
    Ok(KeptFactors { authenticator, recovery })
}

pub(crate) fn put_authenticator(
    transaction: &Transaction<'_>,
    account: AccountId,
    Authenticator { seed, last_step }: &Authenticator,
) -> Result<(), WriteError> {
    let put = "INSERT OR REPLACE INTO authenticators (account, seed, last_step) VALUES (?, ?, ?)";
    transaction.run(put, params![blob(account), seed, last_step]).or_write_error().map(|_| ())
}

pub(crate) fn insert_recovery_codes(
    transaction: &Transaction<'_>,
    account: AccountId,
    codes: &[Sha256Digest],
) -> Result<(), WriteError> {
    let insert = "INSERT INTO recovery_codes (account, code) VALUES (?, ?)";
    codes.iter().try_for_each(|code| {
        transaction.run(insert, params![blob(account), code.as_bytes()]).or_write_error().map(|_| ())
    })
}

/// What an account without these factors does not keep.
pub(crate) fn drop_unused(transaction: &Transaction<'_>, account: &Account) -> Result<(), WriteError> {
    if !account.factors.totp {
        transaction.run("DELETE FROM authenticators WHERE account = ?", [blob(account.id)]).or_write_error()?;
    }
    if !account.factors.any() {
        transaction.run("DELETE FROM recovery_codes WHERE account = ?", [blob(account.id)]).or_write_error()?;
    }
    Ok(())
}

pub(crate) fn spend(transaction: &Transaction<'_>, account: AccountId, spent: &Spent) -> Result<(), WriteError> {
    let spent = match spent {
        Spent::Code => return Ok(()),
        Spent::Step(step) => transaction.run(
            "UPDATE authenticators SET last_step = ?2 WHERE account = ?1 AND last_step < ?2",
            params![blob(account), step],
        ),
        Spent::RecoveryCode(code) => transaction
            .run("DELETE FROM recovery_codes WHERE account = ? AND code = ?", params![blob(account), code.as_bytes()]),
    };
    if spent.or_write_error()? == 0 { Err(WriteError::Stale) } else { Ok(()) }
}
