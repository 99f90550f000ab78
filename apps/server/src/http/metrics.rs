//! Figures for Prometheus: requests by route and status, and how long they took.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, get, web};
use infirmary_kernel::Sha256Digest;
use prometheus::{Encoder, HistogramOpts, HistogramVec, Registry, TextEncoder};
use secrecy::ExposeSecret;

use super::{App, extract::bearer, problem::Problem};

pub struct Metrics {
    registry: Registry,
    request_seconds: HistogramVec,
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
        Ok(Self { registry, request_seconds })
    }

    pub fn observe(&self, method: &str, route: &str, status: u16, elapsed: Duration) {
        // A method of the client's own making is one label, not many.
        let method = if METHODS.contains(&method) { method } else { "other" };
        let mut digits = [0; 3];
        let status = write_status(status, &mut digits);
        self.request_seconds.with_label_values(&[method, route, status]).observe(elapsed.as_secs_f64());
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
