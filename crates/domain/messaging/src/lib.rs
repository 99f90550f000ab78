//! What is told to people outside the building: the outbox, its worker, and what becomes of a message.
//!
//! A message is a row of the transaction that causes it ([`infirmary_kernel::Trail::messages`]). A worker in every process
//! takes those that are due, each for itself alone and for a while, and sends them. When the worker dies, another takes them
//! up after that while.
//!
//! Invariants
//! - At least once: a message is pending until it was sent, has failed for good, or is over. It goes under one key, its id,
//!   however often it is tried; while a worker lives, no other sends the same message.
//! - Tries are bounded, each has a time limit, and between them is a growing wait with a random part.
//! - A provider that fails is left alone for a while; messages wait meanwhile, and are not counted as tried.
//! - What expired is not sent. What failed is seen by an admin, who may send it again.
//! - A one-time code is kept no longer than until its message is sent, has failed or is over, and no listing shows it.

mod backoff;
mod breaker;
mod deliver_messages;
mod delivery;
mod error;
mod kept;
mod message;
mod ports;
mod queries;
mod record_deliveries;
mod retry_message;

#[cfg(feature = "test-support")]
pub mod testing;

pub use backoff::Policy;
pub use breaker::{Breaker, Passage};
pub use deliver_messages::{DeliverMessages, Outcome, Round, Settled};
pub use delivery::{Delivery, DeliveryReport, DeliveryStatus, ProviderId};
pub use error::{MessagingError, SendError, WebhookRefused};
pub use kept::KeptMessage;
pub use message::{Failure, FailureReason, Message, MessageState};
pub use ports::{DeliveryWebhook, MessageLog, MessageSender, Outbox, SentAgain, Settlement, Taken, TakenKey};
#[cfg(feature = "test-support")]
pub use ports::{MockDeliveryWebhook, MockMessageLog, MockMessageSender, MockOutbox};
pub use queries::Queries;
pub use record_deliveries::RecordDeliveries;
pub use retry_message::RetryMessage;
