use async_trait::async_trait;
use infirmary_kernel::{
    Invalid, MessageContent, MessageId, MessageKind, OutgoingMessage, Page, PageRequest, PhoneNumber, StoreError,
    Timestamp, WriteError,
};
use infirmary_messaging::{
    Delivery, DeliveryReport, Failure, FailureReason, KeptMessage, Message, MessageLog, MessageState, Outbox,
    ProviderId, SentAgain, Settlement, Taken, TakenKey,
};
use rusqlite::{Connection, OptionalExtension, Params, Row, params};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    SqliteStore,
    rows::{OrWriteError, RowExt, blob, optional_blob, unopposed},
    statement::Statement,
    writer::Transaction,
};

/// Adds a message to the outbox: of whatever write has it in its trail.
pub(crate) fn insert(transaction: &Transaction<'_>, message: &OutgoingMessage) -> Result<(), WriteError> {
    let (code, report) = match &message.content {
        MessageContent::OneTimeCode { code } => (Some(code.expose_secret()), None),
        MessageContent::EmergencyAccess => (None, None),
        MessageContent::ReportReady { report } => (None, Some(blob(*report))),
    };
    transaction
        .run(
            "INSERT INTO messages (id, recipient, kind, code, report, created_at, expires_at, state, changed_at, due_at,
             takes, tries) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'pending', ?6, ?6, 0, 0)",
            params![
                blob(message.id),
                message.recipient.as_str(),
                message.content.kind().as_str(),
                code,
                report,
                message.created.unix_ms(),
                message.expires.unix_ms(),
            ],
        )
        .or_write_error()
        .map(|_| ())
}

/// Adds a message as another outbox kept it.
pub(crate) fn insert_kept(transaction: &Transaction<'_>, kept: &KeptMessage) -> Result<(), WriteError> {
    let message = &kept.message;
    transaction
        .run(
            "INSERT INTO messages (id, recipient, kind, code, report, created_at, expires_at, state, changed_at, due_at,
             takes, tries, provider_id, delivery, failure, failure_code)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
            params![
                blob(message.id),
                message.recipient.as_str(),
                message.kind.as_str(),
                kept.code.as_ref().map(ExposeSecret::expose_secret),
                optional_blob(message.report),
                message.created.unix_ms(),
                message.expires.unix_ms(),
                message.state.as_str(),
                message.changed.unix_ms(),
                kept.due.unix_ms(),
                kept.takes,
                message.tries,
                message.provider_id.as_ref().map(ProviderId::as_str),
                message.delivery.map(Delivery::as_str),
                message.failure.map(|failure| failure.reason.as_str()),
                message.failure.and_then(|failure| failure.code),
            ],
        )
        .or_write_error()
        .map(|_| ())
}

pub(crate) fn kept(row: &Row<'_>) -> rusqlite::Result<KeptMessage> {
    Ok(KeptMessage {
        message: message(row)?,
        code: row.get::<_, Option<String>>("code")?.map(SecretString::from),
        due: row.time("due_at")?,
        takes: row.get("takes")?,
    })
}

#[async_trait]
impl Outbox for SqliteStore {
    async fn take(&self, most: usize, now: Timestamp) -> Result<Vec<Taken>, StoreError> {
        // A worker looks often, and mostly there is nothing: a read does not wait for the disk.
        if self.oldest_due(now).await?.is_none() {
            return Ok(Vec::new());
        }
        self.write(move |transaction| take(transaction, most, now).or_write_error()).await.map_err(unopposed)
    }

    async fn settle(&self, taken: TakenKey, settlement: Settlement, now: Timestamp) -> Result<bool, StoreError> {
        let settled = self.write(move |transaction| settle(transaction, taken, &settlement, now).or_write_error());
        settled.await.map_err(unopposed)
    }

    async fn expire(&self, now: Timestamp) -> Result<usize, StoreError> {
        let any = "SELECT EXISTS (SELECT 1 FROM messages WHERE state = 'pending' AND expires_at <= ?)";
        if !self.look_up(move |connection| exists(connection, any, [now.unix_ms()])).await? {
            return Ok(0);
        }
        let expire =
            "UPDATE messages SET state = 'failed', changed_at = ?1, failure = ?2, failure_code = NULL, code = NULL
             WHERE state = 'pending' AND expires_at <= ?1";
        let expired = self.write(move |transaction| {
            transaction.run(expire, params![now.unix_ms(), FailureReason::Expired.as_str()]).or_write_error()
        });
        expired.await.map_err(unopposed)
    }

    async fn report(&self, report: &DeliveryReport) -> Result<bool, StoreError> {
        let report = report.clone();
        self.write(move |transaction| {
            let known = find_reported(transaction, &report).or_write_error()?;
            match known.and_then(|message| message.reported(&report)) {
                Some(reported) => update(transaction, &reported).or_write_error().map(|()| true),
                None => Ok(false),
            }
        })
        .await
        .map_err(unopposed)
    }

    async fn oldest_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.look_up(move |connection| {
            let mut find = connection.prepare_cached(
                "SELECT due_at FROM messages
                 WHERE state = 'pending' AND kind = ?1 AND due_at <= ?2 AND expires_at > ?2 ORDER BY due_at LIMIT 1",
            )?;
            let mut oldest: Option<Timestamp> = None;
            for kind in MessageKind::ALL {
                let due = find.query_row(params![kind.as_str(), now.unix_ms()], |row| row.time(0)).optional()?;
                oldest = [oldest, due].into_iter().flatten().min();
            }
            Ok(oldest)
        })
        .await
    }
}

#[async_trait]
impl MessageLog for SqliteStore {
    async fn find(&self, id: MessageId) -> Result<Option<Message>, StoreError> {
        self.look_up(move |connection| find(connection, id)).await
    }

    async fn list(&self, state: Option<MessageState>, page: &PageRequest) -> Result<Page<Message>, StoreError> {
        let page = page.clone();
        self.read(move |connection| {
            let rows = listing(state, &page).rows(connection, message)?;
            Ok(Page::of_rows(rows, page.limit, Message::cursor))
        })
        .await
    }

    async fn send_again(&self, again: SentAgain) -> Result<(), WriteError> {
        self.write(move |transaction| {
            let known = find(transaction, again.id).or_write_error()?;
            if !known.is_some_and(|message| message.can_be_sent_again()) {
                return Err(WriteError::Stale);
            }
            transaction
                .run(
                    "UPDATE messages SET state = 'pending', changed_at = ?2, due_at = ?2, expires_at = ?3, tries = 0,
                     provider_id = NULL, delivery = NULL, failure = NULL, failure_code = NULL WHERE id = ?1",
                    params![blob(again.id), again.at.unix_ms(), again.expires.unix_ms()],
                )
                .or_write_error()?;
            transaction.keep(&again.trail).map(|_| ())
        })
        .await
    }
}

fn take(connection: &Connection, most: usize, now: Timestamp) -> rusqlite::Result<Vec<Taken>> {
    let mut find = connection.prepare_cached(
        "SELECT id FROM messages WHERE state = 'pending' AND kind = ?1 AND due_at <= ?2 AND expires_at > ?2
         ORDER BY due_at, id LIMIT ?3",
    )?;
    let mut take = connection.prepare_cached(
        "UPDATE messages SET takes = takes + 1, tries = tries + 1, due_at = ?2 WHERE id = ?1
         RETURNING id, recipient, kind, code, report, created_at, expires_at, takes, tries",
    )?;
    let (mut taken, until) = (Vec::new(), Taken::until(now));
    for kind in MessageKind::ALL {
        let values = params![kind.as_str(), now.unix_ms(), most - taken.len()];
        let due = find.query_map(values, |row| row.get(0))?.collect::<rusqlite::Result<Vec<[u8; 16]>>>()?;
        for id in due {
            taken.push(take.query_row(params![id, until.unix_ms()], |row| taken_row(row, until))?);
        }
    }
    Ok(taken)
}

fn taken_row(row: &Row<'_>, until: Timestamp) -> rusqlite::Result<Taken> {
    let content = match row.parsed("kind", kind)? {
        MessageKind::OneTimeCode => MessageContent::OneTimeCode { code: row.get::<_, String>("code")?.into() },
        MessageKind::EmergencyAccess => MessageContent::EmergencyAccess,
        MessageKind::ReportReady => MessageContent::ReportReady { report: row.id("report")? },
    };
    let message = OutgoingMessage {
        id: row.id("id")?,
        recipient: row.parsed("recipient", PhoneNumber::parse)?,
        content,
        created: row.time("created_at")?,
        expires: row.time("expires_at")?,
    };
    Ok(Taken { message, take: row.get("takes")?, tries: row.get("tries")?, until })
}

fn settle(
    transaction: &Transaction<'_>,
    taken: TakenKey,
    settlement: &Settlement,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let (id, take) = (blob(taken.id), taken.take);
    let rows = match settlement {
        Settlement::Sent(provider_id) => transaction.run(
            "UPDATE messages SET state = 'sent', changed_at = ?3, provider_id = ?4, code = NULL
             WHERE id = ?1 AND takes = ?2 AND state = 'pending'",
            params![id, take, now.unix_ms(), provider_id.as_str()],
        ),
        Settlement::Again { due, counts } => transaction.run(
            "UPDATE messages SET due_at = ?3, tries = tries - ?4 WHERE id = ?1 AND takes = ?2 AND state = 'pending'",
            params![id, take, due.unix_ms(), u32::from(!counts)],
        ),
        Settlement::Failed(failure) => transaction.run(
            "UPDATE messages SET state = 'failed', changed_at = ?3, failure = ?4, failure_code = ?5, code = NULL
             WHERE id = ?1 AND takes = ?2 AND state = 'pending'",
            params![id, take, now.unix_ms(), failure.reason.as_str(), failure.code],
        ),
    };
    rows.map(|rows| rows == 1)
}

fn find_reported(connection: &Connection, report: &DeliveryReport) -> rusqlite::Result<Option<Message>> {
    if let Some(own) = report.message.map(|id| find(connection, id)).transpose()?.flatten() {
        return Ok(Some(own));
    }
    connection
        .prepare_cached("SELECT * FROM messages WHERE provider_id = ?")?
        .query_row([report.provider_id.as_str()], message)
        .optional()
}

/// What a report may have changed.
fn update(transaction: &Transaction<'_>, reported: &Message) -> rusqlite::Result<()> {
    let statement = "UPDATE messages SET state = ?2, changed_at = ?3, provider_id = ?4, delivery = ?5, failure = ?6,
         failure_code = ?7, code = NULL WHERE id = ?1";
    let values = params![
        blob(reported.id),
        reported.state.as_str(),
        reported.changed.unix_ms(),
        reported.provider_id.as_ref().map(ProviderId::as_str),
        reported.delivery.map(Delivery::as_str),
        reported.failure.map(|failure| failure.reason.as_str()),
        reported.failure.and_then(|failure| failure.code),
    ];
    transaction.run(statement, values).map(|_| ())
}

fn find(connection: &Connection, id: MessageId) -> rusqlite::Result<Option<Message>> {
    connection.prepare_cached("SELECT * FROM messages WHERE id = ?")?.query_row([blob(id)], message).optional()
}

fn exists(connection: &Connection, statement: &str, values: impl Params) -> rusqlite::Result<bool> {
    connection.prepare_cached(statement)?.query_row(values, |row| row.get(0))
}

fn listing(state: Option<MessageState>, page: &PageRequest) -> Statement {
    let mut query = Statement::new("SELECT * FROM messages WHERE 1");
    query.push_if(state, " AND state = ?", MessageState::as_str);
    if let Ok(Some((time, id))) = page.after_time() {
        query.push(" AND (created_at, id) < (?, ?)", [Box::new(time.unix_ms()), Box::new(id.into_bytes())]);
    }
    query.push(" ORDER BY created_at DESC, id DESC LIMIT ?", [Box::new(page.limit.get() + 1)]);
    query
}

fn kind(text: &str) -> Result<MessageKind, Invalid> {
    MessageKind::from_stored(text).ok_or_else(|| Invalid::new("/kind", "is none of this version"))
}

pub(crate) fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    let delivery =
        |text: &str| Delivery::from_stored(text).ok_or_else(|| Invalid::new("/delivery", "is none of this version"));
    let reason = |text: &str| {
        FailureReason::from_stored(text).ok_or_else(|| Invalid::new("/failure", "is none of this version"))
    };
    let code = row.get("failure_code")?;
    Ok(Message {
        id: row.id("id")?,
        recipient: row.parsed("recipient", PhoneNumber::parse)?,
        kind: row.parsed("kind", kind)?,
        report: row.optional_id("report")?,
        created: row.time("created_at")?,
        expires: row.time("expires_at")?,
        state: row.parsed("state", str::parse)?,
        changed: row.time("changed_at")?,
        tries: row.get("tries")?,
        provider_id: row.optional_parsed("provider_id", ProviderId::parse)?,
        delivery: row.optional_parsed("delivery", delivery)?,
        failure: row.optional_parsed("failure", reason)?.map(|reason| Failure { reason, code }),
    })
}

#[cfg(test)]
mod tests {
    use infirmary_kernel::{Cursor, testing::fresh_id};

    use super::*;

    #[test]
    fn every_list_is_answered_from_its_index() {
        let mut connection = Connection::open_in_memory().unwrap();
        crate::schema::migrate(&mut connection).unwrap().unwrap();
        let after = Some(Cursor::at(Timestamp::from_unix_ms(5), fresh_id::<()>().as_uuid()));
        for (state, index) in [(None, "messages_by_time"), (Some(MessageState::Failed), "messages_by_state")] {
            for after in [None, after.clone()] {
                let page = PageRequest { after, ..PageRequest::default() };
                let plan = listing(state, &page).plan(&connection).join("; ");
                assert!(plan.contains(index), "{state:?}: {plan}");
            }
        }
    }
}
