use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use infirmary_kernel::{
    MessageContent, MessageId, OutgoingMessage, Page, PageRequest, StoreError, Timestamp, Trail, WriteError, Written,
    testing::{MemoryJournal, locked},
};

use super::Post;
use crate::{
    DeliveryReport, FailureReason, Message, MessageLog, MessageState, Outbox, SentAgain, Settlement, Taken, TakenKey,
};

struct Row {
    message: Message,
    content: Option<MessageContent>,
    due: Timestamp,
    takes: u32,
}

impl Row {
    fn new(new: OutgoingMessage) -> Self {
        let report = match new.content {
            MessageContent::ReportReady { report } => Some(report),
            MessageContent::OneTimeCode { .. } | MessageContent::EmergencyAccess => None,
        };
        let message = Message {
            id: new.id,
            recipient: new.recipient,
            kind: new.content.kind(),
            report,
            created: new.created,
            expires: new.expires,
            state: MessageState::Pending,
            changed: new.created,
            tries: 0,
            provider_id: None,
            delivery: None,
            failure: None,
        };
        Self { message, content: Some(new.content), due: new.created, takes: 0 }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.message.state == MessageState::Pending && self.due <= now && self.message.expires > now
    }

    /// As it is from now on; a code is forgotten when it is not to be sent any more.
    fn become_(&mut self, message: Message) {
        if message.state != MessageState::Pending && matches!(self.content, Some(MessageContent::OneTimeCode { .. })) {
            self.content = None;
        }
        self.message = message;
    }
}

/// Clones are the same memory.
#[derive(Clone, Default)]
pub struct MemoryOutbox {
    rows: Arc<Mutex<BTreeMap<MessageId, Row>>>,
    pub journal: MemoryJournal,
}

impl MemoryOutbox {
    /// Whether the content is still there.
    pub fn keeps_content(&self, id: MessageId) -> bool {
        locked(&self.rows).get(&id).is_some_and(|row| row.content.is_some())
    }
}

#[async_trait]
impl Post for MemoryOutbox {
    async fn post(&self, trail: Trail) -> Result<(), WriteError> {
        let mut rows = locked(&self.rows);
        if let Some(Written::Before(_)) = self.journal.repeated(&trail)? {
            return Ok(());
        }
        if trail.messages.iter().any(|message| rows.contains_key(&message.id)) {
            return Err(StoreError::Unavailable { reason: "one id is one message".into() }.into());
        }
        rows.extend(trail.messages.iter().map(|message| (message.id, Row::new(message.clone()))));
        self.journal.keep(trail);
        Ok(())
    }
}

#[async_trait]
impl Outbox for MemoryOutbox {
    async fn take(&self, most: usize, now: Timestamp) -> Result<Vec<Taken>, StoreError> {
        let mut rows = locked(&self.rows);
        let mut due: Vec<&mut Row> = rows.values_mut().filter(|row| row.is_due(now)).collect();
        due.sort_by_key(|row| (row.message.kind, row.due, row.message.id));
        let take = |row: &mut Row| {
            row.takes += 1;
            row.message.tries += 1;
            row.due = Taken::until(now);
            let message = OutgoingMessage {
                id: row.message.id,
                recipient: row.message.recipient.clone(),
                content: row.content.clone()?,
                created: row.message.created,
                expires: row.message.expires,
            };
            Some(Taken { message, take: row.takes, tries: row.message.tries, until: row.due })
        };
        Ok(due.into_iter().take(most).filter_map(take).collect())
    }

    async fn settle(&self, taken: TakenKey, settlement: Settlement, now: Timestamp) -> Result<bool, StoreError> {
        let mut rows = locked(&self.rows);
        let row = rows.get_mut(&taken.id);
        let Some(row) = row.filter(|row| row.message.state == MessageState::Pending && row.takes == taken.take) else {
            return Ok(false);
        };
        let before = row.message.clone();
        match settlement {
            Settlement::Sent(provider_id) => row.become_(Message {
                state: MessageState::Sent,
                changed: now,
                provider_id: Some(provider_id),
                ..before
            }),
            Settlement::Again { due, counts } => {
                row.due = due;
                row.message.tries -= u32::from(!counts);
            }
            Settlement::Failed(failure) => {
                row.become_(Message { state: MessageState::Failed, changed: now, failure: Some(failure), ..before });
            }
        }
        Ok(true)
    }

    async fn expire(&self, now: Timestamp) -> Result<usize, StoreError> {
        let mut rows = locked(&self.rows);
        let over =
            rows.values_mut().filter(|row| row.message.state == MessageState::Pending && row.message.expires <= now);
        let mut expired = 0;
        for row in over {
            let failure = Some(FailureReason::Expired.with(None));
            row.become_(Message { state: MessageState::Failed, changed: now, failure, ..row.message.clone() });
            expired += 1;
        }
        Ok(expired)
    }

    async fn report(&self, report: &DeliveryReport) -> Result<bool, StoreError> {
        let mut rows = locked(&self.rows);
        let own = report.message.filter(|id| rows.contains_key(id));
        let by_provider = || {
            let known = |row: &&Row| row.message.provider_id.as_ref() == Some(&report.provider_id);
            rows.values().find(known).map(|row| row.message.id)
        };
        let row = own.or_else(by_provider).and_then(|id| rows.get_mut(&id));
        let Some((row, reported)) = row.and_then(|row| row.message.reported(report).map(|reported| (row, reported)))
        else {
            return Ok(false);
        };
        row.become_(reported);
        Ok(true)
    }

    async fn oldest_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        Ok(locked(&self.rows).values().filter(|row| row.is_due(now)).map(|row| row.due).min())
    }
}

#[async_trait]
impl MessageLog for MemoryOutbox {
    async fn find(&self, id: MessageId) -> Result<Option<Message>, StoreError> {
        Ok(locked(&self.rows).get(&id).map(|row| row.message.clone()))
    }

    async fn list(&self, state: Option<MessageState>, page: &PageRequest) -> Result<Page<Message>, StoreError> {
        let rows = locked(&self.rows);
        let taken = rows.values().filter(|row| state.is_none_or(|state| row.message.state == state));
        let mut all: Vec<Message> = taken.map(|row| row.message.clone()).collect();
        all.sort_by_key(|message| Reverse((message.created, message.id)));
        if let Ok(Some((time, id))) = page.after_time() {
            all.retain(|message| (message.created, message.id.as_uuid()) < (time, id));
        }
        Ok(Page::of_rows(all, page.limit, Message::cursor))
    }

    async fn send_again(&self, again: SentAgain) -> Result<(), WriteError> {
        let mut rows = locked(&self.rows);
        let row = rows.get_mut(&again.id).filter(|row| row.message.can_be_sent_again()).ok_or(WriteError::Stale)?;
        row.message = Message {
            state: MessageState::Pending,
            changed: again.at,
            expires: again.expires,
            tries: 0,
            provider_id: None,
            delivery: None,
            failure: None,
            ..row.message.clone()
        };
        row.due = again.at;
        self.journal.keep(again.trail);
        Ok(())
    }
}
