use async_trait::async_trait;
use infirmary_auth::{
    Admission, AnsweredChallenge, Challenge, CodeCounter, CodePurpose, CodeStore, CountedRequest, CounterKey, Granted,
    OpenedChallenge, ResetPassword,
    code_limits::{self, CodeCounters},
};
use infirmary_kernel::{AccountId, ChallengeId, PhoneNumber, SessionId, StoreError, Timestamp, Trail, WriteError};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    SqliteStore, accounts, factors,
    rows::{OrWriteError, RowExt, blob, optional_blob, unopposed},
    sessions,
    writer::Transaction,
};

#[async_trait]
impl CodeStore for SqliteStore {
    async fn open(&self, opened: OpenedChallenge) -> Result<Admission, WriteError> {
        self.write(move |transaction| {
            let challenge = &opened.challenge;
            if let (Some(password), Some(account)) = (&opened.password, challenge.account) {
                accounts::prove(transaction, account, &password.proved)?;
                if let Some(replacement) = &password.replacement {
                    accounts::set_password(transaction, account, replacement)?;
                }
            }
            if let Some(request) = &opened.request {
                let admission = count(transaction, request).or_write_error()?;
                if admission != Admission::Admitted {
                    return Ok(admission);
                }
                transaction
                    .run(
                        "DELETE FROM challenges WHERE phone = ? AND purpose = ?",
                        params![challenge.phone.as_ref().map(PhoneNumber::as_str), challenge.purpose.as_str()],
                    )
                    .or_write_error()?;
            }
            insert(transaction, challenge)?;
            transaction.keep(&opened.trail).map(|_| Admission::Admitted)
        })
        .await
    }

    async fn find(&self, challenge: ChallengeId) -> Result<Option<Challenge>, StoreError> {
        self.look_up(move |connection| find(connection, challenge)).await
    }

    async fn attempt(
        &self,
        challenge: ChallengeId,
        session: Option<SessionId>,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(move |transaction| {
            transaction
                .run(
                    "UPDATE challenges SET tries = tries + 1 WHERE id = ? AND NOT proved AND tries < ? AND expires_at > ?
                     AND (session IS NULL OR session = ?)",
                    params![blob(challenge), Challenge::MAX_TRIES, at.unix_ms(), optional_blob(session)],
                )
                .map(|tried| tried == 1)
                .or_write_error()
        })
        .await
        .map_err(unopposed)
    }

    async fn answer(&self, answered: AnsweredChallenge) -> Result<(), WriteError> {
        self.write(move |transaction| {
            let challenge = blob(answered.challenge);
            let used = match answered.granted {
                Granted::Proof { until } => transaction.run(
                    "UPDATE challenges SET proved = 1, expires_at = ? WHERE id = ? AND NOT proved",
                    params![until.unix_ms(), challenge],
                ),
                _ => transaction.run("DELETE FROM challenges WHERE id = ? AND NOT proved", [challenge]),
            };
            if used.or_write_error()? == 0 || !is_active(transaction, answered.account)? {
                return Err(WriteError::Stale);
            }
            factors::spend(transaction, answered.account, &answered.spent)?;
            grant(transaction, answered.account, &answered.granted)?;
            transaction.keep(&answered.trail).map(|_| ())
        })
        .await
    }

    async fn reset_password(&self, reset: ResetPassword) -> Result<(), WriteError> {
        self.write(move |transaction| {
            let used = transaction
                .run(
                    "DELETE FROM challenges WHERE id = ? AND account = ? AND purpose = ? AND proved",
                    params![blob(reset.challenge), blob(reset.account), CodePurpose::PasswordReset.as_str()],
                )
                .or_write_error()?;
            if used == 0 || !is_active(transaction, reset.account)? {
                return Err(WriteError::Stale);
            }
            accounts::set_password(transaction, reset.account, &reset.password)?;
            sessions::end_all(transaction, reset.account, None)?;
            transaction.keep(&reset.trail).map(|_| ())
        })
        .await
    }

    async fn close(&self, challenge: ChallengeId, trail: Trail) -> Result<(), WriteError> {
        self.write(move |transaction| {
            let closed = transaction
                .run("DELETE FROM challenges WHERE id = ? AND account IS NULL", [blob(challenge)])
                .or_write_error()?;
            if closed == 0 { Err(WriteError::Stale) } else { transaction.keep(&trail).map(|_| ()) }
        })
        .await
    }
}

fn is_active(transaction: &Transaction<'_>, account: AccountId) -> Result<bool, WriteError> {
    accounts::find(transaction, account).map(|found| found.is_some_and(|found| found.is_active())).or_write_error()
}

fn grant(transaction: &Transaction<'_>, account: AccountId, granted: &Granted) -> Result<(), WriteError> {
    match granted {
        Granted::Session(session) => sessions::insert(transaction, session),
        Granted::SecondFactor(challenge) => insert(transaction, challenge),
        Granted::Confirmation { session, at } => sessions::confirm(transaction, *session, account, *at),
        Granted::VerifiedPhone(account) => accounts::update(transaction, account),
        Granted::Proof { .. } => Ok(()),
    }
}

pub(crate) fn insert(transaction: &Transaction<'_>, new: &Challenge) -> Result<(), WriteError> {
    transaction
        .run(
            "INSERT INTO challenges (id, purpose, account, phone, session, code, tries, proved, expires_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                blob(new.id),
                new.purpose.as_str(),
                optional_blob(new.account),
                new.phone.as_ref().map(PhoneNumber::as_str),
                optional_blob(new.session),
                new.code.as_ref().map(|code| code.as_bytes()),
                new.tries,
                new.proved,
                new.expires_at.unix_ms(),
            ],
        )
        .or_write_error()
        .map(|_| ())
}

/// Ends every challenge of the account.
pub(crate) fn end_all(transaction: &Transaction<'_>, account: AccountId) -> Result<(), WriteError> {
    transaction.run("DELETE FROM challenges WHERE account = ?", [blob(account)]).or_write_error().map(|_| ())
}

fn find(connection: &Connection, id: ChallengeId) -> rusqlite::Result<Option<Challenge>> {
    connection.prepare_cached("SELECT * FROM challenges WHERE id = ?")?.query_row([blob(id)], challenge).optional()
}

pub(crate) fn challenge(row: &Row<'_>) -> rusqlite::Result<Challenge> {
    Ok(Challenge {
        id: row.id("id")?,
        purpose: row.parsed("purpose", str::parse)?,
        account: row.optional_id("account")?,
        phone: row.optional_parsed("phone", PhoneNumber::parse)?,
        session: row.optional_id("session")?,
        code: row.optional_digest("code")?,
        tries: row.get("tries")?,
        proved: row.get("proved")?,
        expires_at: row.time("expires_at")?,
    })
}

fn count(connection: &Connection, request: &CountedRequest) -> rusqlite::Result<Admission> {
    let house_key = CounterKey::house();
    let mut number = counter(connection, &request.number)?;
    let mut address = request.address.as_ref().map(|key| counter(connection, key)).transpose()?;
    let mut house = request.sent.then(|| counter(connection, &house_key)).transpose()?;
    let counters = CodeCounters { number: &mut number, address: address.as_mut(), house: house.as_mut() };
    let admission = code_limits::admit(counters, request);
    // Of a refusal, only the number has changed; and not even that after the first one.
    if matches!(admission, Admission::Refused { first: false, .. }) {
        return Ok(admission);
    }
    save(connection, &request.number, &number)?;
    if admission == Admission::Admitted {
        request.address.iter().zip(&address).try_for_each(|(key, counter)| save(connection, key, counter))?;
        house.iter().try_for_each(|counter| save(connection, &house_key, counter))?;
    }
    Ok(admission)
}

fn counter(connection: &Connection, key: &CounterKey) -> rusqlite::Result<CodeCounter> {
    connection
        .prepare_cached("SELECT * FROM code_counters WHERE key = ?")?
        .query_row([key.as_str()], counter_in)
        .optional()
        .map(Option::unwrap_or_default)
}

pub(crate) fn counter_in(row: &Row<'_>) -> rusqlite::Result<CodeCounter> {
    let (times, _) = row.get_ref("times")?.as_blob()?.as_chunks();
    Ok(CodeCounter {
        times: times.iter().map(|time| Timestamp::from_unix_ms(i64::from_be_bytes(*time))).collect(),
        total: row.get("total")?,
        since: row.optional_time("since")?,
        noted: row.get("noted")?,
    })
}

pub(crate) fn save(connection: &Connection, key: &CounterKey, counter: &CodeCounter) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO code_counters (key, times, total, since, noted, forget_at) VALUES (?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            key.as_str(),
            counter.times.iter().flat_map(|time| time.unix_ms().to_be_bytes()).collect::<Vec<u8>>(),
            counter.total,
            counter.since.map(|time| time.unix_ms()),
            counter.noted,
            counter.forget_at().unix_ms(),
        ])
        .map(|_| ())
}
