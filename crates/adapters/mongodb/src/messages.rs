use async_trait::async_trait;
use futures_util::future::try_join_all;
use infirmary_kernel::{
    Invalid, MessageContent, MessageId, MessageKind, OutgoingMessage, Page, PageRequest, PhoneNumber, StoreError,
    Timestamp, Trail, WriteError,
};
use infirmary_messaging::{
    Delivery, DeliveryReport, FailureReason, Message, MessageLog, MessageState, Outbox, ProviderId, SentAgain,
    Settlement, Taken, TakenKey,
};
use mongodb::bson::{Document, RawDocument, RawDocumentBuf, doc};
use secrecy::ExposeSecret;

use crate::{
    MongoStore,
    documents::{DocumentExt, Fields, id, number, setting, time},
    reads::{Query, after_place, newest_first, one_more},
    schema::MESSAGES,
    transaction::{Done, Transaction, Work, Write, line, unopposed},
};

/// Of a message, as it changes; those that are not set are not there.
const OPTIONAL: [&str; 5] = ["code", "provider_id", "delivery", "failure", "failure_code"];
const PENDING: &str = MessageState::Pending.as_str();
const FAILED: &str = MessageState::Failed.as_str();

impl Transaction<'_> {
    /// Adds messages to the outbox: of whatever write has them in its trail.
    pub(crate) async fn tell(&mut self, messages: &[OutgoingMessage]) -> Result<(), WriteError> {
        self.insert_all(&MESSAGES, messages.iter().map(document).collect()).await
    }
}

fn document(message: &OutgoingMessage) -> Document {
    let (code, report) = match &message.content {
        MessageContent::OneTimeCode { code } => (Some(code.expose_secret()), None),
        MessageContent::EmergencyAccess => (None, None),
        MessageContent::ReportReady { report } => (None, Some(id(*report))),
    };
    doc! {
        "_id": id(message.id),
        "recipient": message.recipient.as_str(),
        "kind": message.content.kind().as_str(),
        "created_at": time(message.created),
        "expires_at": time(message.expires),
        "state": PENDING,
        "changed_at": time(message.created),
        "due_at": time(message.created),
        "takes": number(0),
        "tries": number(0),
    }
    .with("code", code)
    .with("report", report)
}

#[async_trait]
impl Outbox for MongoStore {
    async fn take(&self, most: usize, now: Timestamp) -> Result<Vec<Taken>, StoreError> {
        let until = Taken::until(now);
        let mut taken = Vec::new();
        for kind in MessageKind::ALL {
            loop {
                let wanted = most - taken.len();
                let seen = if wanted == 0 { Vec::new() } else { self.find(&MESSAGES, due(kind, wanted, now)).await? };
                for seen in &seen {
                    // Another worker may have taken it meanwhile: then the next ones are looked at.
                    if let Some(found) = self.take_one(seen, until).await? {
                        taken.push(self::taken(&found, until)?);
                    }
                }
                if seen.len() < wanted || taken.len() == most {
                    break;
                }
            }
        }
        Ok(taken)
    }

    async fn settle(&self, taken: TakenKey, settlement: Settlement, now: Timestamp) -> Result<bool, StoreError> {
        let held = doc! { "_id": id(taken.id), "takes": number(taken.take), "state": PENDING };
        let settled = match settlement {
            Settlement::Sent(provider_id) => {
                let sent = doc! { "state": "sent", "changed_at": time(now), "provider_id": provider_id.as_str() };
                doc! { "$set": sent, "$unset": { "code": "" } }
            }
            Settlement::Again { due, counts } => {
                let again = doc! { "due_at": time(due) };
                doc! { "$set": again, "$inc": { "tries": number(if counts { 0 } else { -1 }) } }
            }
            Settlement::Failed(failure) => {
                let failed = doc! { "state": FAILED, "changed_at": time(now), "failure": failure.reason.as_str() };
                let failed = failed.with("failure_code", failure.code.map(number));
                doc! { "$set": failed, "$unset": { "code": "" } }
            }
        };
        self.update_one(&MESSAGES, held, settled).await
    }

    async fn expire(&self, now: Timestamp) -> Result<usize, StoreError> {
        // A worker looks often, and mostly there is nothing: a read does not wait for the majority.
        let over = doc! { "state": PENDING, "expires_at": { "$lte": time(now) } };
        let any = Query { filter: over.clone(), sort: doc! {}, limit: 1, index: "over" };
        if self.find(&MESSAGES, any).await?.is_empty() {
            return Ok(0);
        }
        let failed = doc! { "state": FAILED, "changed_at": time(now), "failure": FailureReason::Expired.as_str() };
        let expired = doc! { "$set": failed, "$unset": { "code": "", "failure_code": "" } };
        Ok(usize::try_from(self.update_all(&MESSAGES, over, expired).await?).unwrap_or(usize::MAX))
    }

    async fn report(&self, report: &DeliveryReport) -> Result<bool, StoreError> {
        self.transact(report.message.map(line), &Reported(report)).await.map_err(unopposed)
    }

    async fn oldest_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let of_each = try_join_all(MessageKind::ALL.map(|kind| self.find(&MESSAGES, due(kind, 1, now)))).await?;
        let due = of_each.iter().flatten().map(|message| message.time("due_at"));
        Ok(due.collect::<Result<Vec<_>, _>>()?.into_iter().min())
    }
}

impl MongoStore {
    /// Unless somebody has taken it since it was seen.
    async fn take_one(&self, seen: &RawDocument, until: Timestamp) -> Result<Option<RawDocumentBuf>, StoreError> {
        let message: MessageId = seen.id("_id")?;
        let takes: i64 = seen.number("takes")?;
        let as_seen = doc! { "_id": id(message), "takes": takes, "state": PENDING };
        let taken = doc! {
            "$inc": { "takes": number(1), "tries": number(1) },
            "$set": { "due_at": time(until) },
        };
        self.change_one(&MESSAGES, as_seen, taken).await
    }
}

/// Those that have been due the longest, first.
fn due(kind: MessageKind, limit: usize, now: Timestamp) -> Query {
    let filter = doc! {
        "state": PENDING,
        "kind": kind.as_str(),
        "due_at": { "$lte": time(now) },
        "expires_at": { "$gt": time(now) },
    };
    Query { filter, sort: doc! { "due_at": 1, "_id": 1 }, limit, index: "due" }
}

struct Reported<'a>(&'a DeliveryReport);

#[async_trait]
impl Work for Reported<'_> {
    type Answer = bool;

    async fn run<'a>(&self, transaction: &mut Transaction<'a>) -> Done<'a, bool> {
        let Self(report) = self;
        let own = match report.message {
            Some(own) => transaction.find_one(&MESSAGES, doc! { "_id": id(own) }).await?,
            None => None,
        };
        let found = match own {
            Some(own) => Some(own),
            None => transaction.find_one(&MESSAGES, doc! { "provider_id": report.provider_id.as_str() }).await?,
        };
        let known = found.map(|found| message(&found)).transpose()?;
        let Some(reported) = known.and_then(|known| known.reported(report)) else { return Ok((false, None)) };
        let fields = doc! { "state": reported.state.as_str(), "changed_at": time(reported.changed) }
            .with("provider_id", reported.provider_id.as_ref().map(ProviderId::as_str))
            .with("delivery", reported.delivery.map(Delivery::as_str))
            .with("failure", reported.failure.map(|failure| failure.reason.as_str()))
            .with("failure_code", reported.failure.and_then(|failure| failure.code).map(number));
        transaction.update(&MESSAGES, doc! { "_id": id(reported.id) }, setting(fields, &OPTIONAL)).await?;
        Ok((true, None))
    }
}

#[async_trait]
impl Write for SentAgain {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        let found = transaction.find_one(&MESSAGES, doc! { "_id": id(self.id) }).await?;
        let known = found.map(|found| message(&found)).transpose()?;
        if !known.is_some_and(|message| message.can_be_sent_again()) {
            return Err(WriteError::Stale);
        }
        let fields = doc! {
            "state": PENDING,
            "changed_at": time(self.at),
            "due_at": time(self.at),
            "expires_at": time(self.expires),
            "tries": number(0),
        };
        let failed = doc! { "_id": id(self.id), "state": FAILED };
        let again = transaction.update(&MESSAGES, failed, setting(fields, &OPTIONAL)).await?;
        if again { Ok(()) } else { Err(WriteError::Stale) }
    }
}

#[async_trait]
impl MessageLog for MongoStore {
    async fn find(&self, sought: MessageId) -> Result<Option<Message>, StoreError> {
        let found = self.find_one(&MESSAGES, doc! { "_id": id(sought) }).await?;
        found.map(|found| message(&found)).transpose()
    }

    async fn list(&self, state: Option<MessageState>, page: &PageRequest) -> Result<Page<Message>, StoreError> {
        let filter = Document::new().with("state", state.map(MessageState::as_str));
        let query = Query {
            filter: after_place(filter, "created_at", page),
            sort: newest_first("created_at"),
            limit: one_more(page),
            index: if state.is_some() { "state" } else { "time" },
        };
        let found = self.find(&MESSAGES, query).await?;
        let messages = found.iter().map(|found| message(found)).collect::<Result<_, _>>()?;
        Ok(Page::of_rows(messages, page.limit, Message::cursor))
    }

    async fn send_again(&self, again: SentAgain) -> Result<(), WriteError> {
        self.write(&again).await.map(|_| ())
    }
}

fn taken(found: &RawDocument, until: Timestamp) -> Result<Taken, StoreError> {
    let content = match found.parsed("kind", kind)? {
        MessageKind::OneTimeCode => MessageContent::OneTimeCode { code: found.text("code")?.to_owned().into() },
        MessageKind::EmergencyAccess => MessageContent::EmergencyAccess,
        MessageKind::ReportReady => MessageContent::ReportReady { report: found.id("report")? },
    };
    let message = OutgoingMessage {
        id: found.id("_id")?,
        recipient: found.parsed("recipient", PhoneNumber::parse)?,
        content,
        created: found.time("created_at")?,
        expires: found.time("expires_at")?,
    };
    Ok(Taken { message, take: found.number("takes")?, tries: found.number("tries")?, until })
}

fn kind(text: &str) -> Result<MessageKind, Invalid> {
    MessageKind::from_stored(text).ok_or_else(|| Invalid::new("/kind", "is none of this version"))
}

pub(crate) fn message(found: &RawDocument) -> Result<Message, StoreError> {
    let delivery =
        |text: &str| Delivery::from_stored(text).ok_or_else(|| Invalid::new("/delivery", "is none of this version"));
    let reason = |text: &str| {
        FailureReason::from_stored(text).ok_or_else(|| Invalid::new("/failure", "is none of this version"))
    };
    let code = found.optional_number("failure_code")?;
    Ok(Message {
        id: found.id("_id")?,
        recipient: found.parsed("recipient", PhoneNumber::parse)?,
        kind: found.parsed("kind", kind)?,
        report: found.optional_id("report")?,
        created: found.time("created_at")?,
        expires: found.time("expires_at")?,
        state: found.parsed("state", str::parse)?,
        changed: found.time("changed_at")?,
        tries: found.number("tries")?,
        provider_id: found.optional_parsed("provider_id", ProviderId::parse)?,
        delivery: found.optional_parsed("delivery", delivery)?,
        failure: found.optional_parsed("failure", reason)?.map(|reason| reason.with(code)),
    })
}
