//! What Meta answers, and what follows from it.

use std::time::Duration;

use infirmary_messaging::{ProviderId, SendError};
use reqwest::StatusCode;
use serde::Deserialize;

#[derive(Deserialize)]
struct Accepted {
    messages: Vec<AcceptedMessage>,
}

#[derive(Deserialize)]
struct AcceptedMessage {
    id: String,
}

#[derive(Deserialize)]
struct Refused {
    error: GraphError,
}

#[derive(Deserialize)]
struct GraphError {
    code: i64,
}

pub(crate) fn accepted(body: &[u8]) -> Result<ProviderId, SendError> {
    let id = serde_json::from_slice::<Accepted>(body)
        .ok()
        .and_then(|accepted| accepted.messages.into_iter().next())
        .and_then(|message| ProviderId::parse(&message.id).ok());
    // It was taken, most likely: the webhook may still say so, before the next try.
    id.ok_or_else(|| SendError::Unavailable { reason: "the answer names no message".into(), code: None })
}

/// The number in the body says what is wrong; the status of HTTP only when there is none.
pub(crate) fn refused(status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> SendError {
    match serde_json::from_slice::<Refused>(body).ok().and_then(|refused| u32::try_from(refused.error.code).ok()) {
        Some(code) => by_code(code, status, retry_after),
        None => by_status(status, retry_after, None),
    }
}

/// <https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes>
fn by_code(number: u32, status: StatusCode, retry_after: Option<Duration>) -> SendError {
    let code = Some(number);
    match number {
        // 131026 cannot be delivered, 131030 is not on the list of a number for tests, 131021 is the sender itself, 130497 is in
        // a country that may not be written to, 130472 and 131049 and 131050 are Meta's or the recipient's own choice.
        131_026 | 131_030 | 131_021 | 130_497 | 130_472 | 131_049 | 131_050 => SendError::Recipient { code },
        131_056 => SendError::RecipientThrottled { code },
        // Calls of the app, of the account, and messages a second; 131048 is a number that too many have reported, 131057 an
        // account under maintenance.
        4 | 80_007 | 130_429 | 131_048 | 131_057 => SendError::Throttled { code, retry_after },
        // The token is over or not enough, the account is locked, restricted or has not paid, the number is not registered.
        0 | 3 | 10 | 33 | 190 | 200..=299 | 368 | 131_005 | 131_031 | 131_042 | 131_045 | 133_010 => {
            SendError::HouseRefused { code }
        }
        1 | 2 | 131_000 | 131_016 | 133_004 => SendError::Unavailable { reason: "its own error".into(), code },
        // Templates (132xxx) and parameters: the same message would be refused again.
        100 | 131_008 | 131_009 | 131_047 | 131_051 | 132_000..=132_999 => SendError::Rejected { code },
        _ => by_status(status, retry_after, code),
    }
}

fn by_status(status: StatusCode, retry_after: Option<Duration>, code: Option<u32>) -> SendError {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => SendError::HouseRefused { code },
        StatusCode::TOO_MANY_REQUESTS => SendError::Throttled { code, retry_after },
        StatusCode::REQUEST_TIMEOUT => SendError::Unavailable { reason: "HTTP status 408".into(), code },
        status if status.is_client_error() => SendError::Rejected { code },
        // Also what is no answer at all of such a service, such as a redirect: somebody is in between.
        status => SendError::Unavailable { reason: format!("HTTP status {}", status.as_u16()), code },
    }
}
