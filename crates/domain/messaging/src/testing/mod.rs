//! The laws of [`Outbox`] and [`MessageLog`] as a suite, and an outbox in memory that passes it.

pub mod laws;
mod memory;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use infirmary_kernel::{
    Clock, MessageContent, OutgoingMessage, PhoneNumber, Timestamp, Trail, WriteError,
    testing::{ManualClock, fresh_id},
};

use crate::{MessageLog, Outbox};

pub use memory::MemoryOutbox;

/// Some write of a store: what brings messages into its outbox.
#[async_trait]
pub trait Post: Send + Sync {
    /// Makes a write of whatever kind, of this trail; nothing stands against it but, perhaps, a claim that was used.
    async fn post(&self, trail: Trail) -> Result<(), WriteError>;
}

/// A store under test.
#[derive(Clone)]
pub struct PostHouse {
    pub outbox: Arc<dyn Outbox>,
    pub log: Arc<dyn MessageLog>,
    pub post: Arc<dyn Post>,
}

impl PostHouse {
    pub fn of<S: Outbox + MessageLog + 'static>(store: Arc<S>, post: Arc<dyn Post>) -> Self {
        Self { outbox: store.clone(), log: store, post }
    }
}

/// A code for somebody, that lives five minutes.
pub fn code(created: Timestamp) -> OutgoingMessage {
    let content = MessageContent::OneTimeCode { code: "012345".into() };
    message(content, created, Duration::from_secs(5 * 60))
}

/// A notice that lives three days.
pub fn notice(created: Timestamp) -> OutgoingMessage {
    message(MessageContent::ReportReady { report: fresh_id() }, created, Duration::from_secs(3 * 24 * 60 * 60))
}

fn message(content: MessageContent, created: Timestamp, ttl: Duration) -> OutgoingMessage {
    let recipient = PhoneNumber::parse("+9647501234567").expect("a number of a test is valid");
    OutgoingMessage { id: fresh_id(), recipient, content, created, expires: created.plus(ttl) }
}

/// When the manual clock starts.
pub fn start() -> Timestamp {
    ManualClock::default().now()
}
