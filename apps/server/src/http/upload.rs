//! Multipart bodies (RFC 7578), part by part as they come in: nothing is held but what a handler holds.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use actix_multipart::{Field, Multipart};
use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    error::PayloadError,
    http::header::{self, HeaderMap},
    web::Bytes,
};
use futures_util::{Stream, StreamExt, stream};
use infirmary_kernel::{Fingerprint, Idempotency, IdempotencyKey};

use super::{
    extract::idempotency_key,
    problem::{Kind, Problem},
};

/// What a sender may be silent for. A part is read as fast as it comes, so silence is the sender's.
const SILENCE_SECONDS: u64 = 10;
/// For the lines between parts and their headers.
pub const OVERHEAD_BYTES: u64 = 64 * 1024;

/// A multipart body of which nothing was read yet.
pub struct Upload {
    headers: HeaderMap,
    payload: Payload,
    key: Option<IdempotencyKey>,
    operation: String,
}

impl FromRequest for Upload {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let key = idempotency_key(request);
        std::future::ready(match key {
            Ok(_) if !is_form_data(request) => {
                Err(Problem::new(Kind::UnsupportedType, "send the body as multipart/form-data"))
            }
            Ok(key) => Ok(Self {
                headers: request.headers().clone(),
                payload: payload.take(),
                key,
                operation: format!("{} {}", request.method(), request.uri()),
            }),
            Err(problem) => Err(problem),
        })
    }
}

pub fn is_form_data(request: &HttpRequest) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim();
    essence.eq_ignore_ascii_case("multipart/form-data")
}

impl Upload {
    /// The parts of a body of at most so many bytes. One that says that it has more is refused before it is read, one
    /// that has more and did not say so, at that byte.
    pub fn within(self, max_bytes: u64) -> Result<Parts, Problem> {
        let declared = self.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if declared.is_some_and(|bytes: u64| bytes > max_bytes) {
            return Err(too_large(max_bytes));
        }
        let body = Bounded { payload: self.payload, left: max_bytes };
        let multipart = Multipart::new(&self.headers, body);
        Ok(Parts { multipart, max_bytes, key: self.key, operation: self.operation })
    }
}

fn too_large(max_bytes: u64) -> Problem {
    Problem::new(Kind::TooLarge, format!("the body may have {max_bytes} bytes at most"))
}

/// A body that ends with an error at the byte after its last.
struct Bounded {
    payload: Payload,
    left: u64,
}

impl Stream for Bounded {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.payload).poll_next(context);
        if let Poll::Ready(Some(Ok(chunk))) = &next {
            match self.left.checked_sub(chunk.len() as u64) {
                Some(left) => self.left = left,
                None => return Poll::Ready(Some(Err(PayloadError::Overflow))),
            }
        }
        next
    }
}

pub struct Parts {
    multipart: Multipart,
    max_bytes: u64,
    key: Option<IdempotencyKey>,
    operation: String,
}

impl Parts {
    /// The next part. The one before has to be read to its end, or dropped.
    pub async fn next(&mut self) -> Result<Option<Part>, Problem> {
        match timely(self.multipart.next()).await? {
            Some(Ok(field)) => Ok(Some(Part { field, max_bytes: self.max_bytes })),
            Some(Err(error)) => Err(problem(&error, self.max_bytes)),
            None => Ok(None),
        }
    }

    /// `asked` is what tells the request from another one, whatever the lines between its parts were.
    pub fn idempotency<'a>(&'a self, asked: impl IntoIterator<Item = &'a [u8]>) -> Option<Idempotency> {
        let parts = std::iter::once(self.operation.as_bytes()).chain(asked);
        self.key.clone().map(|key| Idempotency { key, fingerprint: Fingerprint::of(parts) })
    }
}

/// One part on its way in.
pub struct Part {
    field: Field,
    max_bytes: u64,
}

impl Part {
    pub fn name(&self) -> &str {
        self.field.name().unwrap_or_default()
    }

    /// As the client writes it: for display, and for what it says of the type.
    pub fn file_name(&self) -> Option<String> {
        let disposition = self.field.content_disposition()?;
        let extended = disposition.get_filename_ext().and_then(|name| String::from_utf8(name.value.clone()).ok());
        extended.or_else(|| disposition.get_filename().map(str::to_owned))
    }

    pub fn declared_type(&self) -> Option<String> {
        self.field.content_type().map(|media_type| media_type.essence_str().to_owned())
    }

    /// The next bytes of it.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Problem> {
        match timely(self.field.next()).await? {
            Some(Ok(chunk)) => Ok(Some(chunk)),
            Some(Err(error)) => Err(problem(&error, self.max_bytes)),
            None => Ok(None),
        }
    }

    /// All of it, of something short.
    pub async fn whole(mut self, max_bytes: usize) -> Result<Vec<u8>, Problem> {
        let mut whole = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if whole.len() + chunk.len() > max_bytes {
                let detail = format!("the part {} may have {max_bytes} bytes at most", self.name());
                return Err(Problem::new(Kind::TooLarge, detail));
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole)
    }

    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, Problem>> {
        stream::unfold(self, |mut part| async move { part.chunk().await.transpose().map(|chunk| (chunk, part)) })
    }
}

async fn timely<T>(next: impl Future<Output = T>) -> Result<T, Problem> {
    let silence = Duration::from_secs(SILENCE_SECONDS);
    tokio::time::timeout(silence, next).await.map_err(|_| {
        Problem::new(Kind::Unreadable, format!("nothing came for {SILENCE_SECONDS} seconds; send the body again"))
    })
}

/// In our words: the parser's tell of the inside.
fn problem(error: &actix_multipart::MultipartError, max_bytes: u64) -> Problem {
    use actix_multipart::MultipartError as Error;
    match error {
        Error::Payload(PayloadError::Overflow) => too_large(max_bytes),
        Error::Payload(_) | Error::Incomplete => Problem::new(Kind::Unreadable, "the body ended before its time"),
        Error::ContentTypeMissing | Error::ContentTypeParse | Error::ContentTypeIncompatible => {
            Problem::new(Kind::UnsupportedType, "send the body as multipart/form-data")
        }
        _ => Problem::new(Kind::Unreadable, "the body is not well-formed multipart/form-data; see RFC 7578"),
    }
}
