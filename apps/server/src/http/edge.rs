//! What holds for every answer, whoever made it: the request id, the headers, the form of errors, panics, the metrics.

use std::{
    any::Any,
    convert::Infallible,
    net::IpAddr,
    panic::AssertUnwindSafe,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use actix_web::{
    Error, HttpMessage, HttpRequest, HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    error::InternalError,
    http::{
        Method, StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
    web,
    web::Bytes,
};
use futures_util::FutureExt;
use infirmary_kernel::{Origin, RequestId};

use super::{
    App, docs,
    legacy::{FreshToken, Refusal},
    problem::{Kind, Problem},
};

/// On every answer that has none of its own.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=63072000; includeSubDomains")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];
/// Bytes of a request before its body: its address and its headers. The framework's own bound is 128 KiB.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Of the replaced system's clients.
const X_ACCESS_TOKEN: HeaderName = HeaderName::from_static("x-access-token");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The outermost middleware.
pub async fn edge(
    app: web::Data<App>,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let only_head = request.method() == Method::HEAD;
    if only_head {
        // Answered as GET is, without the body (RFC 9110, 9.3.2).
        request.head_mut().method = Method::GET;
    }
    let id: RequestId = app.gate.mint(app.gate.now());
    request.extensions_mut().insert(id);
    let is_page = request.path().starts_with("/docs/");

    if head_bytes(&request) > MAX_HEAD_BYTES {
        let detail = format!("the address and the headers of a request may have {MAX_HEAD_BYTES} bytes at most");
        let rendered = Problem::new(Kind::HeadTooLarge, detail).respond(id);
        app.metrics.observe("other", "unmatched", rendered.status().as_u16(), started.elapsed());
        return Err(without_request(rendered, id));
    }
    let mut response = match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(Ok(response)) => match response.response().error().map(|error| respond(error, id)) {
            Some(rendered) => response.into_response(rendered),
            None => response.map_into_boxed_body(),
        },
        Ok(Err(error)) => return Err(without_request(respond(&error, id), id)),
        Err(panic) => {
            let rendered = Problem::internal(text_of(&*panic)).respond(id);
            app.metrics.observe("other", "panicked", rendered.status().as_u16(), started.elapsed());
            return Err(without_request(rendered, id));
        }
    };
    let fresh_token = response.request().extensions_mut().remove::<FreshToken>();
    if let Some(FreshToken(token)) = fresh_token {
        response.headers_mut().insert(X_ACCESS_TOKEN, token);
    }
    dress(response.headers_mut(), id, is_page);
    observe(&app, &response, id, started);
    Ok(if only_head { response.map_body(|_, body| BoxBody::new(Unsent(body.size()))) } else { response })
}

/// As they were on the line, but for what stands between them.
fn head_bytes(request: &ServiceRequest) -> usize {
    let address = request.uri().path_and_query().map_or(0, |address| address.as_str().len());
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    request.method().as_str().len() + address + headers.sum::<usize>()
}

/// A body of which only the size is told.
struct Unsent(BodySize);

impl MessageBody for Unsent {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}

/// The answer where the request is gone: whoever fails or panics takes it along, and the router allows no copy of it to be
/// held meanwhile.
fn without_request(mut rendered: HttpResponse, id: RequestId) -> Error {
    dress(rendered.headers_mut(), id, false);
    InternalError::from_response("answered in our form", rendered).into()
}

fn dress(headers: &mut HeaderMap, id: RequestId, is_page: bool) {
    if is_page {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(docs::PAGE_CSP));
    }
    for (name, value) in HEADERS {
        if !headers.contains_key(&name) {
            headers.insert(name, value);
        }
    }
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        headers.insert(X_REQUEST_ID, value);
    }
}

/// An error of ours, or one of the framework in our words: its own would tell of the inside.
fn respond(error: &Error, id: RequestId) -> HttpResponse {
    if let Some(problem) = error.as_error::<Problem>() {
        return problem.respond(id);
    }
    if let Some(refusal) = error.as_error::<Refusal>() {
        return refusal.respond(id);
    }
    let status = error.as_response_error().status_code();
    let problem = match status {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(Kind::TooLarge, "send less; the limit is in the documentation"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            Problem::new(Kind::UnsupportedType, "see the documentation for what is taken")
        }
        StatusCode::NOT_FOUND => Problem::not_found("there is nothing at this address"),
        status if status.is_client_error() => Problem::new(Kind::Unreadable, "the request is not well-formed"),
        _ => Problem::internal(error),
    };
    problem.respond(id)
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("without a message"))
}

fn observe(app: &App, response: &ServiceResponse<BoxBody>, id: RequestId, started: Instant) {
    let request = response.request();
    // The pattern and not the path: a path holds ids, and labels without end would fill the memory.
    let route = request.match_pattern().unwrap_or_else(|| "unmatched".to_owned());
    let status = response.status();
    let elapsed = started.elapsed();
    app.metrics.observe(request.method().as_str(), &route, status.as_u16(), elapsed);
    tracing::debug!(
        request.id = %id,
        method = %request.method(),
        route,
        status = status.as_u16(),
        milliseconds = elapsed.as_millis(),
        "answered"
    );
}

/// The id that [`edge`] gave the request.
pub fn request_id(request: &HttpRequest) -> RequestId {
    request.extensions().get::<RequestId>().copied().unwrap_or(RequestId::from_uuid(uuid::Uuid::nil()))
}

/// Where the request came from. `X-Forwarded-For` counts only from a listed proxy, and of it the last address that is none
/// of them: what stands before that was written by the client.
pub fn origin(request: &HttpRequest, trusted_proxies: &[IpAddr]) -> Origin {
    // An IPv4 address that came through an IPv6 socket is the same address.
    let peer = request.peer_addr().map(|address| address.ip().to_canonical());
    let address = match peer {
        Some(proxy) if trusted_proxies.contains(&proxy) => forwarded_for(request, trusted_proxies).or(peer),
        _ => peer,
    };
    let agent = request.headers().get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    Origin {
        request: request_id(request),
        address,
        agent: agent.map(|agent| agent.chars().take(Origin::MAX_AGENT_CHARS).collect()),
    }
}

fn forwarded_for(request: &HttpRequest, trusted_proxies: &[IpAddr]) -> Option<IpAddr> {
    let values: Vec<&str> =
        request.headers().get_all(header::X_FORWARDED_FOR).filter_map(|value| value.to_str().ok()).collect();
    values
        .iter()
        .flat_map(|value| value.split(','))
        .rev()
        .map_while(|address| address.trim().parse::<IpAddr>().ok())
        .map(|address| address.to_canonical())
        .find(|address| !trusted_proxies.contains(address))
}
