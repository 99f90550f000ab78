use std::time::Duration;

use async_trait::async_trait;
use infirmary_kernel::{MessageContent, OutgoingMessage};
use infirmary_messaging::{MessageSender, ProviderId, SendError};
use secrecy::ExposeSecret;

/// The sender of a house that has none yet: writes into the log of the server what would be sent. For development, and to
/// come in when no provider is set up.
///
/// It is the one place where a code is in a log, and each line says so.
#[derive(Debug, Default)]
pub struct LogSender;

#[async_trait]
impl MessageSender for LogSender {
    async fn send(&self, message: &OutgoingMessage, _: Duration) -> Result<ProviderId, SendError> {
        // Enough to tell two phones on a desk apart.
        let recipient = message.recipient.as_str();
        let last_digits = recipient.get(recipient.len().saturating_sub(3)..).unwrap_or_default();
        match &message.content {
            MessageContent::OneTimeCode { code } => tracing::warn!(
                recipient = format!("…{last_digits}"),
                code = code.expose_secret(),
                "DEVELOPMENT SENDER: no provider of messages is set up, so this code is in the log and nowhere else"
            ),
            MessageContent::EmergencyAccess => tracing::warn!(
                recipient = format!("…{last_digits}"),
                "DEVELOPMENT SENDER: no provider of messages is set up, so no admin was told of an emergency access"
            ),
            MessageContent::ReportReady { report } => tracing::warn!(
                recipient = format!("…{last_digits}"),
                report.id = %report,
                "DEVELOPMENT SENDER: no provider of messages is set up, so nobody was told of this report"
            ),
        }
        ProviderId::parse(&format!("log.{}", message.id))
            .map_err(|invalid| SendError::Unavailable { reason: invalid.to_string(), code: None })
    }
}
