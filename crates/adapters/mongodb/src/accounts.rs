use async_trait::async_trait;
use infirmary_auth::{
    Account, AccountStore, ChangedAccount, ChangedPassword, Credential, Factors, NewAccount, PasswordHash, law,
};
use infirmary_kernel::{
    AccountId, Cursor, EmailAddress, Page, PageRequest, PersonName, PhoneNumber, Role, StoreError, Trail, WriteError,
};
use mongodb::bson::{Document, RawDocument, doc};

use crate::{
    MongoStore,
    documents::{DocumentExt, Fields, id, number, setting, time},
    reads::{Query, after_place, newest_first, one_more},
    schema::{ACCOUNTS, INVITATIONS},
    sessions,
    transaction::{Transaction, Write, line},
};

/// What every change that can take an admin away takes a turn of.
const ADMINS: &str = "admins";
/// Of an account; those that are not set are not there.
const OPTIONAL: [&str; 4] = ["phone", "phone_verified_at", "patient", "joined_at"];
/// What belongs to factors that an account does not have.
const AUTHENTICATOR: &str = "authenticator";
const RECOVERY: &str = "recovery";

struct Created {
    new: NewAccount,
    trail: Trail,
}

#[async_trait]
impl Write for Created {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        create(transaction, &self.new).await
    }
}

#[async_trait]
impl Write for ChangedAccount {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    fn line(&self) -> Option<usize> {
        Some(line(self.account.id))
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        keep_an_admin(transaction, &self.account).await?;
        update(transaction, &self.account, doc! {}, doc! {}).await?;
        if self.cut_off {
            sessions::end_all(transaction, self.account.id, None).await?;
            transaction.delete(&INVITATIONS, doc! { "_id": id(self.account.id) }).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Write for ChangedPassword {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    fn line(&self) -> Option<usize> {
        Some(line(self.account))
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        let from = doc! { "_id": id(self.account), "password": self.from.as_stored() };
        if !transaction.update(&ACCOUNTS, from, doc! { "$set": { "password": self.to.as_stored() } }).await? {
            return Err(WriteError::Stale);
        }
        sessions::end_all(transaction, self.account, Some(self.keep)).await
    }
}

#[async_trait]
impl AccountStore for MongoStore {
    async fn create(&self, new: NewAccount, trail: Trail) -> Result<(), WriteError> {
        self.write(&Created { new, trail }).await.map(|_| ())
    }

    async fn change(&self, changed: ChangedAccount) -> Result<(), WriteError> {
        self.write(&changed).await.map(|_| ())
    }

    async fn change_password(&self, changed: ChangedPassword) -> Result<(), WriteError> {
        self.write(&changed).await.map(|_| ())
    }

    async fn find(&self, account: AccountId) -> Result<Option<Account>, StoreError> {
        let found = self.find_one(&ACCOUNTS, doc! { "_id": id(account) }).await?;
        found.map(|found| self::account(&found)).transpose()
    }

    async fn by_ids(&self, ids: &[AccountId]) -> Result<Vec<Account>, StoreError> {
        let found = self.find_through(&ACCOUNTS, Query::with_ids(ids.iter().copied()), Vec::new(), Vec::new()).await?;
        found.iter().map(|found| account(found)).collect()
    }

    async fn credential(&self, email: &EmailAddress) -> Result<Option<Credential>, StoreError> {
        let found = self.find_one(&ACCOUNTS, doc! { "email": email.as_str() }).await?;
        found
            .map(|found| {
                let password = found.optional_text("password")?.map(|hash| PasswordHash::from_stored(hash.to_owned()));
                Ok(Credential { account: account(&found)?, password })
            })
            .transpose()
    }

    async fn verified(&self, phone: &PhoneNumber) -> Result<Vec<Account>, StoreError> {
        let filter = doc! { "phone": phone.as_str(), "phone_verified_at": { "$exists": true }, "state": "active" };
        let found = self.find(&ACCOUNTS, Query { filter, sort: doc! {}, limit: 2, index: "phone" }).await?;
        found.iter().map(|found| account(found)).collect()
    }

    async fn list(&self, role: Option<Role>, page: &PageRequest) -> Result<Page<Account>, StoreError> {
        let filter = Document::new().with("role", role.map(Role::as_str));
        let index = if role.is_some() { "role" } else { "time" };
        let query = Query {
            filter: after_place(filter, "created_at", page),
            sort: newest_first("created_at"),
            limit: one_more(page),
            index,
        };
        let found = self.find(&ACCOUNTS, query).await?;
        let accounts = found.iter().map(|found| account(found)).collect::<Result<_, _>>()?;
        Ok(Page::of_rows(accounts, page.limit, |last| Cursor::at(last.created_at, last.id.as_uuid())))
    }
}

/// The account, with its password and first session.
pub(crate) async fn create(transaction: &mut Transaction<'_>, new: &NewAccount) -> Result<(), WriteError> {
    transaction.insert(&ACCOUNTS, with_password(&new.account, Some(&new.password))).await?;
    match &new.session {
        Some(session) => sessions::insert(transaction, session).await,
        None => Ok(()),
    }
}

pub(crate) async fn insert(transaction: &mut Transaction<'_>, new: &Account) -> Result<(), WriteError> {
    transaction.insert(&ACCOUNTS, document(new)).await
}

/// Makes the account what it is to be, and what `more` sets; unless it is the version before and what `and` says: `Stale`.
/// What belongs to factors that it does not have goes.
pub(crate) async fn update(
    transaction: &mut Transaction<'_>,
    changed: &Account,
    and: Document,
    more: Document,
) -> Result<(), WriteError> {
    let mut filter = doc! { "_id": id(changed.id), "version": number(i64::from(changed.version) - 1) };
    filter.extend(and);
    let mut fields = document(changed);
    fields.extend(more);
    let mut optional = OPTIONAL.to_vec();
    if !changed.factors.totp {
        fields.remove(AUTHENTICATOR);
        optional.push(AUTHENTICATOR);
    }
    if !changed.factors.any() {
        fields.remove(RECOVERY);
        optional.push(RECOVERY);
    }
    if transaction.update(&ACCOUNTS, filter, setting(fields, &optional)).await? {
        Ok(())
    } else {
        Err(WriteError::Stale)
    }
}

/// Touches the account, when it is active and what `and` says, and sets what `more` says; else `Stale`. What the transaction
/// does then is of the account as it is at the commit: whoever changes it meanwhile is undone, or undoes this.
pub(crate) async fn hold(
    transaction: &mut Transaction<'_>,
    account: AccountId,
    and: Document,
    more: Document,
) -> Result<(), WriteError> {
    let mut filter = doc! { "_id": id(account), "state": "active" };
    filter.extend(and);
    let mut update = doc! { "$inc": { "turns": number(1) } };
    if !more.is_empty() {
        update.insert("$set", more);
    }
    if transaction.update(&ACCOUNTS, filter, update).await? { Ok(()) } else { Err(WriteError::Stale) }
}

/// As [`hold`], of an account with that password, which takes the place of `replacement`, if any.
pub(crate) async fn prove(
    transaction: &mut Transaction<'_>,
    account: AccountId,
    password: &PasswordHash,
    replacement: Option<&PasswordHash>,
    and: Document,
) -> Result<(), WriteError> {
    let mut proved = doc! { "password": password.as_stored() };
    proved.extend(and);
    let replaced = Document::new().with("password", replacement.map(PasswordHash::as_stored));
    hold(transaction, account, proved, replaced).await
}

/// Of an account whose password suffices alone.
pub(crate) fn without_factors() -> Document {
    doc! { "totp": false, "whatsapp": false }
}

/// Stands against a change that would take the last active admin from the house.
async fn keep_an_admin(transaction: &mut Transaction<'_>, changed: &Account) -> Result<(), WriteError> {
    if changed.is_active_admin() {
        return Ok(());
    }
    let before = transaction.find_one(&ACCOUNTS, doc! { "_id": id(changed.id) }).await?;
    let before = before.map(|before| account(&before)).transpose()?;
    let is_next = |before: &Account| before.version + 1 == changed.version;
    if !before.is_some_and(|before| is_next(&before) && before.is_active_admin()) {
        return Ok(());
    }
    transaction.take_turn(ADMINS).await?;
    let others = doc! { "role": Role::Admin.as_str(), "state": "active", "_id": { "$ne": id(changed.id) } };
    let another = Query { filter: others, sort: doc! {}, limit: 1, index: "role" };
    let left = transaction.find(&ACCOUNTS, another).await?;
    if left.is_empty() { Err(WriteError::Conflict { law: law::LAST_ADMIN }) } else { Ok(()) }
}

pub(crate) fn with_password(account: &Account, password: Option<&PasswordHash>) -> Document {
    document(account).with("password", password.map(PasswordHash::as_stored))
}

/// All but the password and what belongs to the factors.
pub(crate) fn document(account: &Account) -> Document {
    doc! {
        "_id": id(account.id),
        "email": account.email.as_str(),
        "name": account.name.as_str(),
        "role": account.role.as_str(),
        "state": account.state.as_str(),
        "created_at": time(account.created_at),
        "version": number(account.version),
        "totp": account.factors.totp,
        "whatsapp": account.factors.whatsapp,
    }
    .with("phone", account.phone.as_ref().map(PhoneNumber::as_str))
    .with("phone_verified_at", account.phone_verified_at.map(time))
    .with("patient", account.patient.map(id))
    .with("joined_at", account.joined_at.map(time))
}

pub(crate) fn account(found: &RawDocument) -> Result<Account, StoreError> {
    Ok(Account {
        id: found.id("_id")?,
        email: found.parsed("email", EmailAddress::parse)?,
        name: found.parsed("name", PersonName::parse)?,
        phone: found.optional_parsed("phone", PhoneNumber::parse)?,
        phone_verified_at: found.optional_time("phone_verified_at")?,
        factors: Factors { totp: found.flag("totp")?, whatsapp: found.flag("whatsapp")? },
        role: found.parsed("role", str::parse)?,
        state: found.parsed("state", str::parse)?,
        patient: found.optional_id("patient")?,
        created_at: found.time("created_at")?,
        joined_at: found.optional_time("joined_at")?,
        version: found.number("version")?,
    })
}
