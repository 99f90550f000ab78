use std::collections::BTreeSet;

use async_trait::async_trait;
use infirmary_auth::{
    Account, AccountStore, ChangedAccount, ChangedPassword, Credential, Factors, NewAccount, PasswordHash, law,
};
use infirmary_kernel::{
    AccountId, Cursor, EmailAddress, Page, PageRequest, PersonName, PhoneNumber, Role, StoreError, Trail, WriteError,
};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use crate::{
    SqliteStore, factors, invitations,
    rows::{OrWriteError, RowExt, blob, optional_blob, place_after},
    sessions,
    writer::Transaction,
};

const LAWS: &[(&str, &str)] = &[("accounts.email", law::EMAIL)];

#[async_trait]
impl AccountStore for SqliteStore {
    async fn create(&self, new: NewAccount, trail: Trail) -> Result<(), WriteError> {
        self.write(move |transaction| {
            create(transaction, &new)?;
            transaction.keep(&trail).map(|_| ())
        })
        .await
    }

    async fn change(&self, changed: ChangedAccount) -> Result<(), WriteError> {
        self.write(move |transaction| {
            let account = &changed.account;
            keep_an_admin(transaction, account)?;
            update(transaction, account)?;
            factors::drop_unused(transaction, account)?;
            if changed.cut_off {
                sessions::end_all(transaction, account.id, None)?;
                invitations::take_back(transaction, account.id)?;
            }
            transaction.keep(&changed.trail).map(|_| ())
        })
        .await
    }

    async fn change_password(&self, changed: ChangedPassword) -> Result<(), WriteError> {
        self.write(move |transaction| {
            let replaced = transaction
                .run(
                    "UPDATE accounts SET password = ?3 WHERE id = ?1 AND password = ?2",
                    params![blob(changed.account), changed.from.as_stored(), changed.to.as_stored()],
                )
                .or_write_error()?;
            if replaced == 0 {
                return Err(WriteError::Stale);
            }
            sessions::end_all(transaction, changed.account, Some(changed.keep))?;
            transaction.keep(&changed.trail).map(|_| ())
        })
        .await
    }

    async fn find(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        self.look_up(move |connection| find(connection, id)).await
    }

    async fn by_ids(&self, ids: &[AccountId]) -> Result<Vec<Account>, StoreError> {
        let ids: BTreeSet<_> = ids.iter().copied().collect();
        self.read(move |connection| ids.into_iter().filter_map(|id| find(connection, id).transpose()).collect()).await
    }

    async fn credential(&self, email: &EmailAddress) -> Result<Option<Credential>, StoreError> {
        let email = email.clone();
        self.look_up(move |connection| {
            connection
                .prepare_cached("SELECT * FROM accounts WHERE email = ?")?
                .query_row([email.as_str()], |row| {
                    let password: Option<String> = row.get("password")?;
                    Ok(Credential { account: account(row)?, password: password.map(PasswordHash::from_stored) })
                })
                .optional()
        })
        .await
    }

    async fn verified(&self, phone: &PhoneNumber) -> Result<Vec<Account>, StoreError> {
        let phone = phone.clone();
        self.look_up(move |connection| {
            connection
                .prepare_cached(
                    "SELECT * FROM accounts WHERE phone = ? AND phone_verified_at IS NOT NULL AND state = 'active' LIMIT 2",
                )?
                .query_map([phone.as_str()], account)?
                .collect()
        })
        .await
    }

    async fn list(&self, role: Option<Role>, page: &PageRequest) -> Result<Page<Account>, StoreError> {
        let (time, id) = place_after(page);
        let limit = page.limit;
        self.read(move |connection| {
            let select = |statement, values: &[&dyn ToSql]| {
                connection.prepare_cached(statement)?.query_map(values, account)?.collect::<Result<Vec<_>, _>>()
            };
            let rows = match role {
                None => select(
                    "SELECT * FROM accounts WHERE (created_at, id) < (?, ?) ORDER BY created_at DESC, id DESC LIMIT ?",
                    params![time, id, limit.get() + 1],
                ),
                Some(role) => select(
                    "SELECT * FROM accounts WHERE role = ? AND (created_at, id) < (?, ?)
                     ORDER BY created_at DESC, id DESC LIMIT ?",
                    params![role.as_str(), time, id, limit.get() + 1],
                ),
            }?;
            Ok(Page::of_rows(rows, limit, |last| Cursor::at(last.created_at, last.id.as_uuid())))
        })
        .await
    }
}

/// The account, with its password and first session.
pub(crate) fn create(transaction: &Transaction<'_>, new: &NewAccount) -> Result<(), WriteError> {
    insert(transaction, &new.account)?;
    set_password(transaction, new.account.id, &new.password)?;
    new.session.as_ref().map_or(Ok(()), |session| sessions::insert(transaction, session))
}

pub(crate) fn insert(transaction: &Transaction<'_>, new: &Account) -> Result<(), WriteError> {
    let insert = "INSERT INTO accounts (id, email, name, phone, role, state, patient, created_at, joined_at, version,
         phone_verified_at, totp, whatsapp) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
    bind(new, |values| transaction.run(insert, values)).or_conflict(LAWS)?;
    Ok(())
}

pub(crate) fn update(transaction: &Transaction<'_>, changed: &Account) -> Result<(), WriteError> {
    let update = "UPDATE accounts SET email = ?2, name = ?3, phone = ?4, role = ?5, state = ?6, patient = ?7,
         created_at = ?8, joined_at = ?9, version = ?10, phone_verified_at = ?11, totp = ?12, whatsapp = ?13 WHERE id = ?1 AND version = ?10 - 1";
    let updated = bind(changed, |values| transaction.run(update, values)).or_conflict(LAWS)?;
    if updated == 0 { Err(WriteError::Stale) } else { Ok(()) }
}

/// The values of a row but the password, in the order of both statements above.
fn bind<T>(account: &Account, run: impl FnOnce(&[&dyn ToSql]) -> T) -> T {
    run(params![
        blob(account.id),
        account.email.as_str(),
        account.name.as_str(),
        account.phone.as_ref().map(PhoneNumber::as_str),
        account.role.as_str(),
        account.state.as_str(),
        optional_blob(account.patient),
        account.created_at.unix_ms(),
        account.joined_at.map(|time| time.unix_ms()),
        account.version,
        account.phone_verified_at.map(|time| time.unix_ms()),
        account.factors.totp,
        account.factors.whatsapp,
    ])
}

pub(crate) fn set_password(
    transaction: &Transaction<'_>,
    account: AccountId,
    password: &PasswordHash,
) -> Result<(), WriteError> {
    transaction
        .run("UPDATE accounts SET password = ? WHERE id = ?", params![password.as_stored(), blob(account)])
        .or_write_error()?;
    Ok(())
}

/// Stands against what follows a password that is not the stored one any more, or is of an account that is not active.
pub(crate) fn prove(
    transaction: &Transaction<'_>,
    account: AccountId,
    password: &PasswordHash,
) -> Result<Factors, WriteError> {
    transaction
        .prepare_cached("SELECT totp, whatsapp FROM accounts WHERE id = ? AND state = 'active' AND password = ?")
        .and_then(|mut ask| {
            let factors = |row: &Row<'_>| Ok(Factors { totp: row.get(0)?, whatsapp: row.get(1)? });
            ask.query_row(params![blob(account), password.as_stored()], factors).optional()
        })
        .or_write_error()?
        .ok_or(WriteError::Stale)
}

/// As [`prove`]; and against a password that does not suffice alone.
pub(crate) fn prove_alone(
    transaction: &Transaction<'_>,
    account: AccountId,
    password: &PasswordHash,
) -> Result<(), WriteError> {
    if prove(transaction, account, password)?.any() { Err(WriteError::Stale) } else { Ok(()) }
}

/// Stands against a change that would take the last active admin from the house.
fn keep_an_admin(transaction: &Transaction<'_>, changed: &Account) -> Result<(), WriteError> {
    if changed.is_active_admin() {
        return Ok(());
    }
    let before = find(transaction, changed.id).or_write_error()?;
    let is_next = |before: &Account| before.version + 1 == changed.version;
    if !before.is_some_and(|before| is_next(&before) && before.is_active_admin()) {
        return Ok(());
    }
    let another: bool = transaction
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM accounts WHERE role = 'admin' AND state = 'active' AND id <> ?)")
        .and_then(|mut ask| ask.query_row([blob(changed.id)], |row| row.get(0)))
        .or_write_error()?;
    if another { Ok(()) } else { Err(WriteError::Conflict { law: law::LAST_ADMIN }) }
}

pub(crate) fn find(connection: &Connection, id: AccountId) -> rusqlite::Result<Option<Account>> {
    connection.prepare_cached("SELECT * FROM accounts WHERE id = ?")?.query_row([blob(id)], account).optional()
}

pub(crate) fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        id: row.id("id")?,
        email: row.parsed("email", EmailAddress::parse)?,
        name: row.parsed("name", PersonName::parse)?,
        phone: row.optional_parsed("phone", PhoneNumber::parse)?,
        phone_verified_at: row.optional_time("phone_verified_at")?,
        factors: Factors { totp: row.get("totp")?, whatsapp: row.get("whatsapp")? },
        role: row.parsed("role", str::parse)?,
        state: row.parsed("state", str::parse)?,
        patient: row.optional_id("patient")?,
        created_at: row.time("created_at")?,
        joined_at: row.optional_time("joined_at")?,
        version: row.get("version")?,
    })
}
