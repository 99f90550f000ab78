use std::{sync::Arc, time::Duration};

use infirmary_kernel::{Action, Caller, Gate, MessageId, OutgoingMessage, Permission, Subject, Trail, WriteError};

use crate::{Message, MessageLog, MessageState, MessagingError, SentAgain};

/// Sends a message again that has failed.
pub struct RetryMessage {
    pub gate: Gate,
    pub log: Arc<dyn MessageLog>,
}

impl RetryMessage {
    pub async fn run(&self, caller: &Caller, id: MessageId) -> Result<Message, MessagingError> {
        let subject = Subject::new("message", id);
        self.gate.admit(caller, Permission::ManageMessages, subject.clone()).await?;
        let found = self.log.find(id).await?.ok_or(MessagingError::NotFound)?;
        if found.state != MessageState::Failed {
            return Err(MessagingError::NotFailed);
        }
        if !found.can_be_sent_again() {
            return Err(MessagingError::ContentGone);
        }
        let event = self.gate.event(caller, Action::MESSAGE_RETRY, subject);
        let at = event.at;
        let expires = at.plus(Duration::from_secs(OutgoingMessage::NOTICE_TTL_HOURS * 60 * 60));
        match self.log.send_again(SentAgain { id, at, expires, trail: Trail::new(event) }).await {
            Ok(()) => Ok(Message {
                state: MessageState::Pending,
                changed: at,
                expires,
                tries: 0,
                provider_id: None,
                delivery: None,
                failure: None,
                ..found
            }),
            // Another was quicker, with the same intent.
            Err(WriteError::Stale) => Err(MessagingError::NotFailed),
            Err(error) => Err(error.into()),
        }
    }
}
