//! Figures for Prometheus: requests by route and status, how long they took, and what becomes of messages.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, get, web};
use infirmary_kernel::{MessageKind, Sha256Digest};
use infirmary_messaging::{Outcome, SendError};
use prometheus::{
    Encoder, Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};
use secrecy::ExposeSecret;

use super::{App, extract::bearer, problem::Problem};

pub struct Metrics {
    registry: Registry,
    request_seconds: HistogramVec,
    messages: MessageMetrics,
}

/// What the courier counts. Clones are the same figures.
#[derive(Clone)]
pub struct MessageMetrics {
    tries: IntCounterVec,
    expired: IntCounter,
    oldest_due_seconds: Gauge,
    house_refused: IntGauge,
}

impl MessageMetrics {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let tries = Opts::new("infirmary_message_tries_total", "Tries to send a message, by how they ended");
        let figures = Self {
            tries: IntCounterVec::new(tries, &["kind", "outcome"])?,
            expired: IntCounter::new(
                "infirmary_messages_expired_total",
                "Messages that were over before they were sent",
            )?,
            oldest_due_seconds: Gauge::new(
                "infirmary_messages_oldest_due_seconds",
                "For how long the longest waiting message has been due",
            )?,
            house_refused: IntGauge::new(
                "infirmary_messages_house_refused",
                "Whether (1) the provider takes nothing of the house's: its token or account has to be mended",
            )?,
        };
        registry.register(Box::new(figures.tries.clone()))?;
        registry.register(Box::new(figures.expired.clone()))?;
        registry.register(Box::new(figures.oldest_due_seconds.clone()))?;
        registry.register(Box::new(figures.house_refused.clone()))?;
        Ok(figures)
    }

    pub fn observe(&self, kind: MessageKind, outcome: &Outcome) {
        let label = match outcome {
            Outcome::Sent => "sent",
            Outcome::PutOff(_) => "put_off",
            Outcome::Failed(failure, _) => failure.reason.as_str(),
            Outcome::Left => "left",
        };
        self.tries.with_label_values(&[kind.as_str(), label]).inc();
        match outcome {
            Outcome::Sent => self.house_refused.set(0),
            Outcome::PutOff(SendError::HouseRefused { .. }) => self.house_refused.set(1),
            _ => {}
        }
    }

    pub fn expired(&self, messages: usize) {
        self.expired.inc_by(messages as u64);
    }

    pub fn backlog(&self, oldest_due: Duration) {
        self.oldest_due_seconds.set(oldest_due.as_secs_f64());
    }
}

const BUCKETS_SECONDS: [f64; 11] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0];

impl Metrics {
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let options = HistogramOpts::new(
            "infirmary_http_request_duration_seconds",
            "Time from the head of a request to its answer",
        )
        .buckets(BUCKETS_SECONDS.to_vec());
        let request_seconds = HistogramVec::new(options, &["method", "route", "status"])?;
        registry.register(Box::new(request_seconds.clone()))?;
        let messages = MessageMetrics::new(&registry)?;
        Ok(Self { registry, request_seconds, messages })
    }

    pub fn observe(&self, method: &str, route: &str, status: u16, elapsed: Duration) {
        // A method of the client's own making is one label, not many.
        let method = if METHODS.contains(&method) { method } else { "other" };
        let mut digits = [0; 3];
        let status = write_status(status, &mut digits);
        self.request_seconds.with_label_values(&[method, route, status]).observe(elapsed.as_secs_f64());
    }

    pub fn messages(&self) -> MessageMetrics {
        self.messages.clone()
    }

    pub fn encode(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

const METHODS: [&str; 7] = ["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS"];

fn write_status(status: u16, digits: &mut [u8; 3]) -> &str {
    for (place, divisor) in digits.iter_mut().zip([100, 10, 1]) {
        *place = b'0' + u8::try_from(status / divisor % 10).unwrap_or(0);
    }
    std::str::from_utf8(digits).unwrap_or("000")
}

/// On the main address: for who has the token.
#[get("/metrics")]
pub async fn metrics(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let Some(expected) = &app.metrics_token else { return Err(Problem::not_found("there is nothing at this address")) };
    // Digests and not the tokens, so that the time of comparing tells nothing of them.
    let given = bearer(&request).ok_or_else(Problem::unauthenticated)?;
    if Sha256Digest::of(given.as_bytes()) != Sha256Digest::of(expected.expose_secret().as_bytes()) {
        return Err(Problem::unauthenticated());
    }
    render(&app)
}

/// On an address of its own: whoever reaches that may read.
#[get("/metrics")]
pub async fn open_metrics(app: web::Data<App>) -> Result<HttpResponse, Problem> {
    render(&app)
}

fn render(app: &App) -> Result<HttpResponse, Problem> {
    let text = app.metrics.encode().map_err(Problem::internal)?;
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(text))
}
