use std::time::Duration;

use async_trait::async_trait;
use infirmary_kernel::{MessageContent, OutgoingMessage};
use infirmary_messaging::{MessageSender, ProviderId, SendError};
use reqwest::{Client, Response, header, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::{Token, answers};

/// Where the house is known at Meta, and by which templates it writes.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `https://graph.facebook.com`, or what stands in for it.
    pub base_url: String,
    /// Of the Graph API, such as `v23.0`.
    pub version: String,
    pub phone_number_id: String,
    /// Of the category authentication, with a button to copy the code.
    pub code_template: String,
    /// Of the category utility, with one parameter in its body: the name of the house.
    pub report_template: String,
    /// Of the category utility, with one parameter in its body: the name of the house.
    pub emergency_template: String,
    /// Of all templates, such as `en` or `ar`.
    pub language: String,
    pub house_name: String,
}

/// An answer is some hundred bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1_024;
const CONNECT_SECONDS: u64 = 3;
/// In a header: more is no wait but a mistake.
const MAX_RETRY_AFTER_SECONDS: u64 = 24 * 60 * 60;

pub struct WhatsAppSender {
    client: Client,
    url: String,
    settings: Settings,
    token: Token,
}

impl WhatsAppSender {
    /// The process has chosen its TLS before.
    pub fn new(settings: Settings, token: Token) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(Duration::from_secs(CONNECT_SECONDS))
            .user_agent(concat!("infirmary/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let Settings { base_url, version, phone_number_id, .. } = &settings;
        let url = format!("{base_url}/{version}/{phone_number_id}/messages");
        Ok(Self { client, url, settings, token })
    }

    fn template(&self, content: &MessageContent) -> Value {
        let (name, components) = match content {
            MessageContent::OneTimeCode { code } => {
                let code = code.expose_secret();
                (&self.settings.code_template, json!([body(code), copy_button(code)]))
            }
            MessageContent::EmergencyAccess => {
                (&self.settings.emergency_template, json!([body(&self.settings.house_name)]))
            }
            MessageContent::ReportReady { .. } => {
                (&self.settings.report_template, json!([body(&self.settings.house_name)]))
            }
        };
        json!({"name": name, "language": {"code": self.settings.language}, "components": components})
    }
}

fn body(text: &str) -> Value {
    json!({"type": "body", "parameters": [{"type": "text", "text": text}]})
}

/// A button that copies is created as `otp` and addressed as `url`.
fn copy_button(code: &str) -> Value {
    json!({"type": "button", "sub_type": "url", "index": "0", "parameters": [{"type": "text", "text": code}]})
}

#[async_trait]
impl MessageSender for WhatsAppSender {
    async fn send(&self, message: &OutgoingMessage, timeout: Duration) -> Result<ProviderId, SendError> {
        let body = json!({
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": message.recipient.as_str(),
            "type": "template",
            "template": self.template(&message.content),
            // Comes back with every report, also when the answer to this very request is lost.
            "biz_opaque_callback_data": message.id.to_string(),
        });
        let token: SecretString = self.token.current();
        let request = self.client.post(&self.url).bearer_auth(token.expose_secret()).timeout(timeout).json(&body);
        let response = request.send().await.map_err(|error| unreachable(&error))?;
        let (status, retry_after) = (response.status(), retry_after(&response));
        let answer = read(response).await?;
        if status.is_success() {
            return answers::accepted(&answer);
        }
        let refused = answers::refused(status, retry_after, &answer);
        if matches!(refused, SendError::HouseRefused { .. }) {
            self.token.read_again();
        }
        Err(refused)
    }
}

/// In words of ours: those of the library have the address, and so the house's number at Meta.
fn unreachable(error: &reqwest::Error) -> SendError {
    let reason = if error.is_timeout() {
        "it did not answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    SendError::Unavailable { reason: reason.into(), code: None }
}

async fn read(mut response: Response) -> Result<Vec<u8>, SendError> {
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(&error))? {
        if answer.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(SendError::Unavailable { reason: "its answer is too long".into(), code: None });
        }
        answer.extend_from_slice(&chunk);
    }
    Ok(answer)
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds: u64 = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    (1..=MAX_RETRY_AFTER_SECONDS).contains(&seconds).then(|| Duration::from_secs(seconds))
}
