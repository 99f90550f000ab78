//! `/api`: the replaced system's routes, as its clients call them, over the same use cases as `/v1`.
//!
//! Its texts, statuses, positions in arrays and names of fields are a contract with programs that nobody can change any
//! more; `tests/api/legacy*.rs` speak it. What was a hole there is closed by the use cases. A client holds one token for
//! three days ([`infirmary_auth::StandingClaims`]), which is good here and not at `/v1`.

mod auth;
mod body;
mod caller;
mod diagnoses;
mod documents;
mod files;
mod financials;
mod lists;
mod refusal;
mod reports;
mod studies;
mod tasks;
mod upload;
mod users;

use std::sync::Arc;

use actix_web::{HttpResponse, http::StatusCode};
use infirmary_auth::{KeepSession, StandingTokens};
use tokio::sync::Semaphore;

pub use self::{caller::FreshToken, refusal::Refusal};
use crate::legacy::phone::HomeCountry;

pub struct Legacy {
    pub tokens: Arc<dyn StandingTokens>,
    pub keep: KeepSession,
    /// Of phone numbers that come without a country.
    pub calling_code: Option<HomeCountry>,
    /// One permit for each upload that is being read.
    pub uploads: Semaphore,
}

/// Uploads that are read at once; each holds a file that is being written and some chunks of it.
pub const MAX_UPLOADS_AT_ONCE: usize = 16;

pub fn routes(config: &mut impl crate::http::Operations) {
    config
        .configure(auth::routes)
        .configure(users::routes)
        .configure(studies::routes)
        .configure(diagnoses::routes)
        .configure(reports::routes)
        .configure(financials::routes)
        .configure(tasks::routes)
        .configure(files::routes);
}

/// Clients that are told no charset read another one.
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json; charset=utf-8";

fn text(status: StatusCode, text: impl Into<String>) -> HttpResponse {
    HttpResponse::build(status).content_type(HTML).body(text.into())
}

fn done(text_of_it: &'static str) -> HttpResponse {
    text(StatusCode::OK, text_of_it)
}

fn json(value: &impl serde::Serialize) -> HttpResponse {
    HttpResponse::Ok().content_type(JSON).body(serde_json::to_vec(value).unwrap_or_default())
}
