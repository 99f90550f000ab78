use std::sync::Arc;

use infirmary_kernel::{Action, Caller, Gate, MessageId, Page, PageRequest, Permission, Subject};

use crate::{Message, MessageLog, MessageState, MessagingError};

/// Reads that only fetch.
pub struct Queries {
    pub gate: Gate,
    pub log: Arc<dyn MessageLog>,
}

impl Queries {
    /// All messages, or those in one state; never what they say.
    pub async fn list(
        &self,
        caller: &Caller,
        state: Option<MessageState>,
        page: &PageRequest,
    ) -> Result<Page<Message>, MessagingError> {
        let subject = Subject::all("message");
        self.gate.admit(caller, Permission::ManageMessages, subject.clone()).await?;
        page.after_time()?;
        let found = self.log.list(state, page).await?;
        self.gate.witness(caller, Action::MESSAGE_READ, subject).await?;
        Ok(found)
    }

    pub async fn find(&self, caller: &Caller, id: MessageId) -> Result<Message, MessagingError> {
        let subject = Subject::new("message", id);
        self.gate.admit(caller, Permission::ManageMessages, subject.clone()).await?;
        let found = self.log.find(id).await?.ok_or(MessagingError::NotFound)?;
        self.gate.witness(caller, Action::MESSAGE_READ, subject).await?;
        Ok(found)
    }
}
