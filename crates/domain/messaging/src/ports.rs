use std::time::Duration;

use async_trait::async_trait;
use infirmary_kernel::{MessageId, OutgoingMessage, Page, PageRequest, StoreError, Timestamp, Trail, WriteError};

use crate::{
    DeliveryReport, Failure, Message, MessageState, ProviderId,
    error::{SendError, WebhookRefused},
};

/// One taking of one message: what settles it. A worker that comes back after a pause settles nothing that another has taken
/// meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenKey {
    pub id: MessageId,
    pub take: u32,
}

/// A message that one worker may send, and no other, until `until`.
#[derive(Debug, Clone)]
pub struct Taken {
    pub message: OutgoingMessage,
    pub take: u32,
    /// This one among them.
    pub tries: u32,
    pub until: Timestamp,
}

impl Taken {
    /// For how long it is the worker's, and so how long it is left lying when that dies. Far more than a try takes, so that
    /// clocks that are some seconds apart do no harm.
    pub const SECONDS: u64 = 30;

    pub const fn key(&self) -> TakenKey {
        TakenKey { id: self.message.id, take: self.take }
    }

    pub fn until(now: Timestamp) -> Timestamp {
        now.plus(Duration::from_secs(Self::SECONDS))
    }
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    Sent(ProviderId),
    /// To be tried again from `due` on. Unless it `counts`, it is as if it had not been tried.
    Again {
        due: Timestamp,
        counts: bool,
    },
    Failed(Failure),
}

/// The messages that are to be sent. They come in by the trail of every write of the same store.
///
/// Laws
/// - A message is pending, and due at once, as soon as the write that carried it was acknowledged, and never without that
///   write; a write that was made before under its claim adds none.
/// - `take` gives at most `most` messages that are pending, due and not over, each to one worker: of however many who ask at
///   once. They are not due again before [`Taken::until`]. Codes come before all else, and what has been due the longest
///   first. Each taking of a message has a higher `take`, and is one more of its tries.
/// - `settle` holds for the very taking that it names, of a message that is still pending; else it gives `false`, and nothing
///   changes.
/// - `expire` makes what is pending and over at `now` failed ([`crate::FailureReason::Expired`]), and gives how many.
/// - `report` applies [`Message::reported`] to the message of the report's own id or, when there is none, to that of the
///   provider's; of many at once each sees what the ones before it did. It gives whether anything changed.
/// - The content of a one-time code is gone from the store as soon as its message is not pending any more.
/// - `oldest_due` gives since when the longest due of those that could be taken now is waiting.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait Outbox: Send + Sync {
    async fn take(&self, most: usize, now: Timestamp) -> Result<Vec<Taken>, StoreError>;
    async fn settle(&self, taken: TakenKey, settlement: Settlement, now: Timestamp) -> Result<bool, StoreError>;
    async fn expire(&self, now: Timestamp) -> Result<usize, StoreError>;
    async fn report(&self, report: &DeliveryReport) -> Result<bool, StoreError>;
    async fn oldest_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError>;
}

/// A failed message that is to be tried anew.
#[derive(Debug, Clone)]
pub struct SentAgain {
    pub id: MessageId,
    pub at: Timestamp,
    pub expires: Timestamp,
    pub trail: Trail,
}

/// The same messages, for whoever looks after them. Nothing here gives what a message says.
///
/// Laws
/// - `list` gives each message once, or each in that state, newest first (creation, then id); pages are stable under inserts
///   and equal times.
/// - `send_again` makes a failed message that can be sent again pending, due at `at`, until `expires`, as if it had not been
///   tried, in one transaction with its trail; takings go on being counted. Else it is `Stale`, and nothing changes.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait MessageLog: Send + Sync {
    async fn find(&self, id: MessageId) -> Result<Option<Message>, StoreError>;
    async fn list(&self, state: Option<MessageState>, page: &PageRequest) -> Result<Page<Message>, StoreError>;
    async fn send_again(&self, again: SentAgain) -> Result<(), WriteError>;
}

/// The way out of the building.
///
/// Laws
/// - It answers within `timeout`.
/// - `Ok` when the provider has taken the message, and every error but `Unavailable` when it has not.
/// - The provider is given the id of the message, and gives it back in what it reports.
/// - Neither the recipient nor what the message says is in an error or a log.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait MessageSender: Send + Sync {
    async fn send(&self, message: &OutgoingMessage, timeout: Duration) -> Result<ProviderId, SendError>;
}

/// The way back in: what the provider calls when something became of a message.
///
/// Laws
/// - `subscribe` gives what is to be answered when the provider shows the token that the house has given it; comparing takes
///   the same time whatever is shown.
/// - `read` gives the reports of a body that the provider signed, byte for byte, and refuses every other body, comparing in
///   constant time. What is none of its messages' fate is left out.
#[cfg_attr(feature = "test-support", mockall::automock)]
pub trait DeliveryWebhook: Send + Sync {
    fn subscribe(&self, mode: &str, token: &str, challenge: &str) -> Option<String>;
    fn read(&self, signature: &str, body: &[u8], now: Timestamp) -> Result<Vec<DeliveryReport>, WebhookRefused>;
}
