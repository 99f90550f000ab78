//! `/verify`: for whoever holds a report and asks whether it is authentic. Public, and without personal data.

use std::sync::LazyLock;

use actix_web::{
    HttpRequest, HttpResponse, get,
    http::header::{self, HeaderValue},
    web,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use infirmary_kernel::{Sha256Digest, Timestamp};
use infirmary_reports::{ReportStatus, Verdict, VerificationCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::{App, access::Access, problem::Problem, reports::ReportStatusBody};

pub fn routes(config: &mut impl crate::http::Operations) {
    config.service(Access::Anyone, verify);
}

/// What anyone may know of a report whose code they hold.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Verification)]
struct VerificationBody {
    /// Whether a report with this code was issued here.
    authentic: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<ReportStatusBody>,
    /// The house that issued it.
    #[serde(skip_serializing_if = "Option::is_none")]
    house: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    issued_at: Option<Timestamp>,
}

impl From<Verdict> for VerificationBody {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Authentic { house, issued_at, status } => Self {
                authentic: true,
                status: Some(status.into()),
                house: Some(house.as_str().to_owned()),
                issued_at: Some(issued_at),
            },
            Verdict::Unknown => Self { authentic: false, status: None, house: None, issued_at: None },
        }
    }
}

/// Is a report authentic and current? For anyone who holds it; a page for people, JSON when `Accept` asks for it
#[utoipa::path(tag = "Reports", responses((status = 200, description = "The answer, also when no report has the code",
    content((VerificationBody = "application/json"), (String = "text/html")))))]
#[get("/verify/{code}")]
async fn verify(app: web::Data<App>, code: web::Path<String>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    // What is no code at all is of no report either.
    let verdict = match VerificationCode::parse(&code) {
        Ok(code) => app.reports.queries.verify(&code).await?,
        Err(_) => Verdict::Unknown,
    };
    if wants_json(&request) {
        return Ok(HttpResponse::Ok().json(VerificationBody::from(verdict)));
    }
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_SECURITY_POLICY, PAGE_CSP.clone()))
        .content_type("text/html; charset=utf-8")
        .body(page(&verdict)))
}

fn wants_json(request: &HttpRequest) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let place = |media_type: &str| accept.find(media_type);
    match (place("application/json"), place("text/html")) {
        (Some(json), Some(html)) => json < html,
        (json, None) => json.is_some(),
        (None, Some(_)) => false,
    }
}

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1.5rem}\
h1{font-size:1.6rem;margin:0 0 .5rem}\
h1::before{display:inline-block;width:1.5em;content:'\\2715'}\
.current h1::before{content:'\\2713'}\
.superseded h1::before{content:'!'}";

/// Its own style, by its hash, and nothing else.
static PAGE_CSP: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256Digest::of(STYLE.as_bytes()).as_bytes());
    let policy = format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; frame-ancestors 'none'");
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

fn page(verdict: &Verdict) -> String {
    let (class, title, text) = match verdict {
        Verdict::Authentic { house, issued_at, status } => {
            let house = escaped(house.as_str());
            let day: String = issued_at.to_string().chars().take("2026-03-01".len()).collect();
            let issued = format!("This report was issued by {house} on {day} (UTC).");
            match status {
                ReportStatus::Current => ("current", "Authentic and current", issued),
                ReportStatus::Superseded => (
                    "superseded",
                    "Authentic, but not current",
                    format!("{issued} The diagnosis has changed since: ask {house} for the report that replaces it."),
                ),
            }
        }
        Verdict::Unknown => (
            "unknown",
            "No such report",
            "No report with this code was issued here. Compare the code with the one that is printed; if they are the \
             same, do not rely on the report."
                .to_owned(),
        ),
    };
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"robots\" content=\"noindex\">\
         <title>{title}</title><style>{STYLE}</style></head>\
         <body class=\"{class}\"><main><h1>{title}</h1><p>{text}</p></main></body></html>"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
