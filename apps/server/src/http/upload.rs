//! Multipart bodies (RFC 7578), part by part as they come in: nothing is held but what a handler holds.

use std::{cell::Cell, rc::Rc};

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header, web::Bytes};
use futures_util::{Stream, StreamExt, stream};
use infirmary_kernel::{Fingerprint, Idempotency, IdempotencyKey};

use super::{
    extract::idempotency_key,
    incoming::{Broken, Incoming},
    problem::{Kind, Problem},
};

/// For the lines between parts and their headers.
pub const OVERHEAD_BYTES: u64 = 64 * 1024;

/// A multipart body of which nothing was read yet.
pub struct Upload {
    request: HttpRequest,
    payload: Payload,
    key: Option<IdempotencyKey>,
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
            Ok(key) => Ok(Self { request: request.clone(), payload: payload.take(), key }),
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
    /// The parts of a body of at most so many bytes.
    pub fn within(self, max_bytes: u64) -> Result<Parts, Problem> {
        let Self { request, payload, key } = self;
        let broken = Rc::new(Cell::new(None));
        let told = broken.clone();
        let body = Incoming::new(&request, payload, max_bytes)?.map(move |chunk| {
            chunk.map_err(|how| {
                told.set(Some(how));
                how.into()
            })
        });
        let multipart = Multipart::new(request.headers(), body);
        let operation = format!("{} {}", request.method(), request.uri());
        Ok(Parts { multipart, broken, key, operation })
    }
}

pub struct Parts {
    multipart: Multipart,
    /// How the body broke off, if it did: the parser tells of it in its own words.
    broken: Rc<Cell<Option<Broken>>>,
    key: Option<IdempotencyKey>,
    operation: String,
}

impl Parts {
    /// The next part. The one before has to be read to its end, or dropped.
    pub async fn next(&mut self) -> Result<Option<Part>, Problem> {
        match self.multipart.next().await {
            Some(Ok(field)) => Ok(Some(Part { field, broken: self.broken.clone() })),
            Some(Err(error)) => Err(problem(self.broken.get(), &error)),
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
    broken: Rc<Cell<Option<Broken>>>,
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
        let next = self.field.next().await.transpose();
        next.map_err(|error| problem(self.broken.get(), &error))
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

/// In our words: the parser's tell of the inside.
fn problem(broken: Option<Broken>, error: &MultipartError) -> Problem {
    match (broken, error) {
        (Some(broken), _) => broken.into(),
        (None, MultipartError::Payload(_) | MultipartError::Incomplete) => Broken::Ended.into(),
        _ => Problem::new(Kind::Unreadable, "the body is not well-formed multipart/form-data; see RFC 7578"),
    }
}
