use hmac::{Hmac, Mac};
use infirmary_kernel::{MessageId, Sha256Digest, Timestamp};
use infirmary_messaging::{Delivery, DeliveryReport, DeliveryStatus, DeliveryWebhook, ProviderId, WebhookRefused};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// What Meta calls with the fate of messages.
pub struct WhatsAppWebhook {
    app_secret: SecretString,
    verify_token: SecretString,
}

impl WhatsAppWebhook {
    pub const fn new(app_secret: SecretString, verify_token: SecretString) -> Self {
        Self { app_secret, verify_token }
    }

    /// `X-Hub-Signature-256`: `sha256=` and the HMAC of the body in hexadecimal digits.
    fn is_signed(&self, signature: &str, body: &[u8]) -> bool {
        let Some(given) = signature.strip_prefix("sha256=").and_then(|digits| Sha256Digest::parse(digits).ok()) else {
            return false;
        };
        // HMAC takes keys of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.app_secret.expose_secret().as_bytes()) else {
            return false;
        };
        mac.update(body);
        mac.verify_slice(given.as_bytes()).is_ok()
    }
}

/// Of a call, what is about messages of ours. There is much else in it, and more to come.
#[derive(Deserialize)]
struct Call {
    #[serde(default)]
    entry: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    changes: Vec<Change>,
}

#[derive(Deserialize)]
struct Change {
    #[serde(default)]
    field: String,
    #[serde(default)]
    value: Value,
}

#[derive(Deserialize, Default)]
struct Value {
    #[serde(default)]
    statuses: Vec<Status>,
}

#[derive(Deserialize)]
struct Status {
    id: String,
    status: String,
    biz_opaque_callback_data: Option<String>,
    #[serde(default)]
    errors: Vec<StatusError>,
}

#[derive(Deserialize)]
struct StatusError {
    code: Option<u32>,
}

impl Status {
    fn report(&self, at: Timestamp) -> Option<DeliveryReport> {
        let status = match self.status.as_str() {
            "sent" => DeliveryStatus::Reached(Delivery::Sent),
            "delivered" => DeliveryStatus::Reached(Delivery::Delivered),
            "read" | "played" => DeliveryStatus::Reached(Delivery::Read),
            "failed" => DeliveryStatus::Failed { code: self.errors.iter().find_map(|error| error.code) },
            _ => return None,
        };
        let message = self.biz_opaque_callback_data.as_deref().and_then(|id| MessageId::parse(id).ok());
        Some(DeliveryReport { provider_id: ProviderId::parse(&self.id).ok()?, message, status, at })
    }
}

impl DeliveryWebhook for WhatsAppWebhook {
    fn subscribe(&self, mode: &str, token: &str, challenge: &str) -> Option<String> {
        // Digests, so that the time of comparing tells nothing of the token's length either.
        let digest = |text: &str| Sha256Digest::of(text.as_bytes());
        let same = digest(token).as_bytes().ct_eq(digest(self.verify_token.expose_secret()).as_bytes());
        // What is given back is a number of Meta's; anything longer is somebody else's.
        let plain =
            challenge.len() <= MAX_CHALLENGE_BYTES && challenge.bytes().all(|byte| byte.is_ascii_alphanumeric());
        (bool::from(same) && mode == "subscribe" && plain).then(|| challenge.to_owned())
    }

    fn read(&self, signature: &str, body: &[u8], now: Timestamp) -> Result<Vec<DeliveryReport>, WebhookRefused> {
        if !self.is_signed(signature, body) {
            return Err(WebhookRefused::Signature);
        }
        let call: Call = serde_json::from_slice(body).map_err(|_| WebhookRefused::Unreadable)?;
        let changes = call.entry.iter().flat_map(|entry| &entry.changes).filter(|change| change.field == "messages");
        Ok(changes.flat_map(|change| &change.value.statuses).filter_map(|status| status.report(now)).collect())
    }
}

const MAX_CHALLENGE_BYTES: usize = 128;
