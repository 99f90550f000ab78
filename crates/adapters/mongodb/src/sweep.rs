use std::time::Duration;

use async_trait::async_trait;
use infirmary_kernel::{StoreError, Sweep, Swept, Timestamp};
use infirmary_messaging::{Message, MessageState};
use mongodb::bson::{Bson, doc};

use crate::{
    MongoStore,
    documents::{Fields, id, time},
    reads::Query,
    schema::MESSAGES,
};

/// Documents that one write removes.
const MAX_DOCUMENTS_IN_A_WRITE: usize = 200;

/// What has a time at which it is over the server removes by itself (`schema.rs`, [`crate::schema::Kind::Expiring`]). Of
/// messages, it would not tell those that are still to be sent.
#[async_trait]
impl Sweep for MongoStore {
    async fn sweep(&self, now: Timestamp) -> Result<Swept, StoreError> {
        let kept_since = now.minus(Duration::from_secs(Message::KEPT_DAYS * 24 * 60 * 60));
        let mut messages = 0;
        for state in [MessageState::Sent, MessageState::Failed] {
            messages += self.remove_messages(state, kept_since).await?;
        }
        Ok(Swept::of([("messages", messages)]))
    }
}

impl MongoStore {
    async fn remove_messages(&self, state: MessageState, before: Timestamp) -> Result<usize, StoreError> {
        let mut removed = 0;
        loop {
            let old = Query {
                filter: doc! { "state": state.as_str(), "created_at": { "$lt": time(before) } },
                sort: doc! {},
                limit: MAX_DOCUMENTS_IN_A_WRITE,
                index: "state",
            };
            let few = self.find(&MESSAGES, old).await?;
            let ids: Vec<Bson> =
                few.iter().map(|few| Ok(id(few.id::<()>("_id")?))).collect::<Result<_, StoreError>>()?;
            if !ids.is_empty() {
                // One that was put into the outbox again meanwhile stays.
                let over = doc! { "_id": { "$in": ids }, "state": state.as_str() };
                removed += usize::try_from(self.delete_all(&MESSAGES, over).await?).unwrap_or(usize::MAX);
            }
            if few.len() < MAX_DOCUMENTS_IN_A_WRITE {
                return Ok(removed);
            }
        }
    }
}
