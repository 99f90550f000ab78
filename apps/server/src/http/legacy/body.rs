//! Bodies as these clients send them: JSON of one level, whose values are now texts, now numbers.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use futures_util::StreamExt;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};

use super::Refusal;
use crate::http::{
    extract::{MAX_JSON_BYTES, from_json},
    incoming::Incoming,
};

/// A body of which nothing was read yet: it is read once the caller is known.
pub struct Unread {
    pub request: HttpRequest,
    pub payload: Payload,
}

impl FromRequest for Unread {
    type Error = Refusal;
    type Future = Ready<Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        ready(Ok(Self { request: request.clone(), payload: payload.take() }))
    }
}

impl Unread {
    /// As JSON, whatever the headers call it. No body is one without fields.
    pub async fn fields<T: DeserializeOwned>(self) -> Result<T, Refusal> {
        let mut body = Incoming::new(&self.request, self.payload, MAX_JSON_BYTES as u64)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&chunk?);
        }
        let bytes = if bytes.is_empty() { b"{}" } else { bytes.as_slice() };
        Ok(from_json(bytes)?)
    }
}

/// A text, or what is written as a number or a truth value, as text; `null` and other values are absent.
pub fn loose<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => Some(text),
        serde_json::Value::Number(number) => Some(number.to_string()),
        serde_json::Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    })
}

/// A field that has to be there and to say something.
pub fn required(field: Option<String>, refusal: &'static str) -> Result<String, Refusal> {
    field.filter(|text| !text.trim().is_empty()).ok_or(Refusal::bad(refusal))
}

pub fn is_true(field: Option<&str>) -> bool {
    field.is_some_and(|text| matches!(text.trim().to_ascii_lowercase().as_str(), "true" | "1" | "yes"))
}
