use std::time::Duration;

use infirmary_kernel::StoreError;
use infirmary_messaging::{DeliverMessages, Outcome, Round, SendError, Settled};

use super::Stop;
use crate::http::metrics::MessageMetrics;

/// Sends the messages of the house; every process does.
pub struct Courier {
    pub deliver: DeliverMessages,
    pub metrics: MessageMetrics,
}

/// How long a message may lie before it is seen.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// While the store cannot be reached.
const STORE_AWAY: Duration = Duration::from_secs(5);
const BACKLOG_EVERY: Duration = Duration::from_secs(10);

impl Courier {
    /// Until it is told to stop: then what is being sent is sent to its end.
    pub async fn run(&self, stop: Stop) {
        futures_util::future::join(self.send(&stop), self.watch_backlog(&stop)).await;
    }

    async fn send(&self, stop: &Stop) {
        let mut away = false;
        loop {
            let wait = match self.deliver.run().await {
                Ok(round) => {
                    away = false;
                    self.note(&round);
                    if round.is_full() { Duration::ZERO } else { LOOK_EVERY }
                }
                Err(error) => {
                    if !away {
                        tracing::warn!(%error, "the outbox cannot be reached; messages wait");
                    }
                    away = true;
                    STORE_AWAY
                }
            };
            if stop.within(wait).await {
                return;
            }
        }
    }

    async fn watch_backlog(&self, stop: &Stop) {
        loop {
            if let Ok(oldest) = self.oldest_due().await {
                self.metrics.backlog(oldest);
            }
            if stop.within(BACKLOG_EVERY).await {
                return;
            }
        }
    }

    async fn oldest_due(&self) -> Result<Duration, StoreError> {
        Ok(self.deliver.oldest_due().await?.unwrap_or_default())
    }

    fn note(&self, round: &Round) {
        if round.expired > 0 {
            self.metrics.expired(round.expired);
            tracing::warn!(messages = round.expired, "messages were over before they could be sent");
        }
        for Settled { id, kind, outcome } in &round.settled {
            self.metrics.observe(*kind, outcome);
            match outcome {
                Outcome::Sent => tracing::debug!(message.id = %id, message.kind = %kind, "sent"),
                Outcome::PutOff(error @ SendError::HouseRefused { .. }) => {
                    tracing::error!(message.id = %id, %error, "no message is sent until the token or the account is mended");
                }
                Outcome::PutOff(error) => {
                    tracing::warn!(message.id = %id, message.kind = %kind, %error, "a message is tried again later");
                }
                Outcome::Failed(failure, error) => {
                    let (reason, code) = (failure.reason.as_str(), failure.code);
                    let error = error.as_ref().map(tracing::field::display);
                    tracing::warn!(message.id = %id, message.kind = %kind, reason, code, error, "a message has failed");
                }
                Outcome::Left => tracing::warn!(message.id = %id, "this process was held up; the message is left"),
            }
        }
    }
}
