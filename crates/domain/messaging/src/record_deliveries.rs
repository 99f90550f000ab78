use std::sync::Arc;

use infirmary_kernel::{Clock, StoreError};

use crate::{DeliveryWebhook, Outbox, WebhookRefused};

/// Takes in what the provider says became of messages. It calls from outside, so its signature is what lets it in.
pub struct RecordDeliveries {
    pub webhook: Arc<dyn DeliveryWebhook>,
    pub outbox: Arc<dyn Outbox>,
    pub clock: Arc<dyn Clock>,
}

impl RecordDeliveries {
    /// What the provider is to be answered when it asks whether it may call.
    pub fn subscribe(&self, mode: &str, token: &str, challenge: &str) -> Option<String> {
        self.webhook.subscribe(mode, token, challenge)
    }

    /// What it says of a message that is none of ours, or said before, changes nothing. An error of the store is the
    /// provider's to hear: it calls again.
    pub async fn run(&self, signature: &str, body: &[u8]) -> Result<Result<(), WebhookRefused>, StoreError> {
        let reports = match self.webhook.read(signature, body, self.clock.now()) {
            Ok(reports) => reports,
            Err(refused) => return Ok(Err(refused)),
        };
        for report in reports {
            self.outbox.report(&report).await?;
        }
        Ok(Ok(()))
    }
}
