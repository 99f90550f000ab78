//! What a handler is given: read, bounded, parsed, or refused in our form.

use std::{fmt, future::Future, marker::PhantomData, pin::Pin};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    dev::Payload,
    http::header::{self, HeaderValue},
    web,
};
use futures_util::StreamExt;
use infirmary_auth::Account;
use infirmary_kernel::{
    Caller, Cursor, FieldError, Fingerprint, Id, Idempotency, IdempotencyKey, Invalid, Limit, Origin, PageRequest,
    Receipt,
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{
    App, edge,
    incoming::Incoming,
    problem::{Kind, Problem},
};

/// Bytes of a JSON body.
pub const MAX_JSON_BYTES: usize = 64 * 1024;

type Extracting<T> = Pin<Box<dyn Future<Output = Result<T, Problem>>>>;

fn app(request: &HttpRequest) -> Result<web::Data<App>, Problem> {
    request.app_data::<web::Data<App>>().cloned().ok_or_else(|| Problem::internal("the application is not wired"))
}

/// Whoever holds the access token of a living session.
pub struct SignedIn(pub Caller);

impl FromRequest for SignedIn {
    type Error = Problem;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let (app, token, origin) = credentials(&request)?;
            Ok(Self(app.auth.authenticate.run(token, origin).await?))
        })
    }
}

/// The own account of whoever holds the access token of a living session.
pub struct OwnAccount(pub Account);

impl FromRequest for OwnAccount {
    type Error = Problem;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let (app, token, origin) = credentials(&request)?;
            Ok(Self(app.auth.authenticate.own_account(token, origin).await?))
        })
    }
}

fn credentials(request: &HttpRequest) -> Result<(web::Data<App>, &str, Origin), Problem> {
    let app = app(request)?;
    let token = bearer(request).ok_or_else(Problem::unauthenticated)?;
    let origin = edge::origin(request, &app.trusted_proxies);
    Ok((app, token, origin))
}

/// Whoever holds the access token of a living session, or nobody when none is given. A bad token is refused, not ignored.
pub struct PerhapsSignedIn {
    pub caller: Option<Caller>,
    pub origin: Origin,
}

impl FromRequest for PerhapsSignedIn {
    type Error = Problem;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let signed_in =
            request.headers().contains_key(header::AUTHORIZATION).then(|| SignedIn::from_request(&request, payload));
        Box::pin(async move {
            let caller = match signed_in {
                Some(signed_in) => Some(signed_in.await?.0),
                None => None,
            };
            let origin = edge::origin(&request, &app(&request)?.trusted_proxies);
            Ok(Self { caller, origin })
        })
    }
}

/// RFC 6750 §2.1; the scheme is compared without regard to case (RFC 9110 §11.1).
pub fn bearer(request: &HttpRequest) -> Option<&str> {
    let (scheme, token) = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Who calls without being signed in: where from, at least.
pub struct From(pub Origin);

impl FromRequest for From {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(app(request).map(|app| Self(edge::origin(request, &app.trusted_proxies))))
    }
}

/// A JSON body of at most [`MAX_JSON_BYTES`], and the idempotency that its request asked for.
pub struct Body<T> {
    pub value: T,
    pub idempotency: Option<Idempotency>,
}

impl<T> Body<T> {
    /// For what must not happen twice.
    pub fn required_idempotency(self) -> Result<(T, Idempotency), Problem> {
        match self.idempotency {
            Some(idempotency) => Ok((self.value, idempotency)),
            None => Err(Problem::new(
                Kind::KeyRequired,
                "send a header Idempotency-Key of 1 to 255 characters, and the same one when you send it again",
            )),
        }
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            if !is_json(&request) {
                return Err(Problem::new(Kind::UnsupportedType, "send the body as application/json"));
            }
            let key = idempotency_key(&request)?;
            let bytes = read(Incoming::new(&request, payload, MAX_JSON_BYTES as u64)?).await?;
            let idempotency = key.map(|key| Idempotency {
                key,
                fingerprint: Fingerprint::of([
                    request.method().as_str().as_bytes(),
                    request.uri().to_string().as_bytes(),
                    &bytes,
                ]),
            });
            Ok(Self { value: from_json(&bytes)?, idempotency })
        })
    }
}

/// A body of at most [`MAX_JSON_BYTES`], byte for byte as it came: what a signature is over.
pub struct RawBody(pub Vec<u8>);

impl FromRequest for RawBody {
    type Error = Problem;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let incoming = Incoming::new(request, payload.take(), MAX_JSON_BYTES as u64);
        Box::pin(async move { Ok(Self(read(incoming?).await?)) })
    }
}

fn is_json(request: &HttpRequest) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim();
    essence.eq_ignore_ascii_case("application/json")
}

async fn read(mut body: Incoming) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        bytes.extend_from_slice(&chunk?);
    }
    Ok(bytes)
}

/// 400 when it is no JSON, 422 when a value in it is refused; in words of ours, with the place.
pub fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let mut track = serde_path_to_error::Track::new();
    let value = from_object(serde_path_to_error::Deserializer::new(&mut json, &mut track))
        .map_err(|error| refused(&serde_path_to_error::Error::new(track.path(), error)))?;
    json.end().map_err(|_| Problem::new(Kind::Unreadable, "the body goes on after its JSON value"))?;
    Ok(value)
}

/// Of an object. An array of its values in the order of its fields, which serde would take as well, is none.
pub fn from_object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Object<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<M: MapAccess<'de>>(self, fields: M) -> Result<T, M::Error> {
            T::deserialize(MapAccessDeserializer::new(fields))
        }
    }

    deserializer.deserialize_map(Object(PhantomData))
}

fn refused(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    if !error.inner().is_data() {
        return Problem::new(Kind::Unreadable, "the body is not valid JSON in UTF-8");
    }
    let place: String = error
        .path()
        .iter()
        .map(|segment| match segment {
            serde_path_to_error::Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
            serde_path_to_error::Segment::Seq { index } => format!("/{index}"),
            serde_path_to_error::Segment::Enum { variant } => format!("/{variant}"),
            serde_path_to_error::Segment::Unknown => String::new(),
        })
        .collect();
    let message = error.inner().to_string();
    let quoted = || message.split('`').nth(1).unwrap_or_default();
    let (pointer, detail) = if message.starts_with("missing field") {
        (format!("{place}/{}", quoted()), "is required".to_owned())
    } else if message.starts_with("unknown field") {
        // The place of an unknown field is itself.
        let pointer = if place.ends_with(&format!("/{}", quoted())) { place } else { format!("{place}/{}", quoted()) };
        (pointer, "is not a field of this request".to_owned())
    } else if message.starts_with("unknown variant") {
        let known: Vec<_> = message.split('`').skip(3).step_by(2).collect();
        (place, format!("must be one of: {}", known.join(", ")))
    } else if ["invalid type", "invalid value", "invalid length", "duplicate field"]
        .iter()
        .any(|own| message.starts_with(own))
    {
        (place, "is not of the type that the documentation gives".to_owned())
    } else {
        // A value of ours that refused its text: "<pointer> <detail> at line 1 column 2".
        let own = message.rsplit_once(" at line ").map_or(message.as_str(), |(own, _)| own);
        let detail = own.split_once(' ').map_or(own, |(_, detail)| detail);
        (place, detail.to_owned())
    };
    Invalid { fields: vec![FieldError { pointer: pointer.into(), detail: detail.into() }] }.into()
}

pub fn idempotency_key(request: &HttpRequest) -> Result<Option<IdempotencyKey>, Problem> {
    let refusal = || Problem::new(Kind::Unreadable, "Idempotency-Key must be 1 to 255 characters of text");
    let Some(value) = request.headers().get("Idempotency-Key") else { return Ok(None) };
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| refusal())?;
    IdempotencyKey::parse(text).map(Some).map_err(|_| refusal())
}

/// The query of a URL; unknown names are refused where the type says so.
pub struct Params<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Params<T> {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let parsed = web::Query::<T>::from_query(request.query_string());
        std::future::ready(parsed.map(|query| Self(query.into_inner())).map_err(|error| {
            let text = error.to_string();
            // A value of ours that refused its text says so in its own words.
            match text.rsplit_once(": ").map_or(text.as_str(), |(_, own)| own).split_once(' ') {
                Some((pointer, detail)) if pointer.starts_with('/') => {
                    Invalid::new(pointer.to_owned(), detail.to_owned()).into()
                }
                _ => Problem::new(Kind::Unreadable, "the query is not what the documentation gives"),
            }
        }))
    }
}

/// The id in a path. One that is none is of no record: 404, as for any other record that is not there.
pub struct PathId<T>(pub Id<T>);

impl<T: 'static> FromRequest for PathId<T> {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = request.match_info().get("id").and_then(|text| Id::parse(text).ok());
        std::future::ready(id.map(Self).ok_or_else(|| Problem::not_found("there is no such record")))
    }
}

/// The version that the caller saw, from `If-Match`.
pub struct IfMatch(pub u32);

impl FromRequest for IfMatch {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let Some(value) = request.headers().get(header::IF_MATCH) else {
            return std::future::ready(Err(Problem::new(
                Kind::PreconditionRequired,
                "send If-Match with the ETag of the record that you saw, so that nobody's change is lost",
            )));
        };
        let version =
            value.to_str().ok().and_then(|text| text.trim().strip_prefix('"')?.strip_suffix('"')?.parse().ok());
        // Another tag than ours is of no version that there is.
        std::future::ready(Ok(Self(version.unwrap_or(0))))
    }
}

pub fn etag(version: u32) -> (header::HeaderName, String) {
    (header::ETAG, format!("\"{version}\""))
}

/// A page of a list, as `limit` and `cursor` of the query ask for it.
pub fn page(limit: Option<usize>, cursor: Option<&str>) -> Result<PageRequest, Problem> {
    Ok(PageRequest {
        limit: limit.map(Limit::new).transpose()?.unwrap_or_default(),
        after: cursor.map(Cursor::decode).transpose()?,
    })
}

/// 201 with what the caller was told, now or before.
pub fn created(receipt: Receipt) -> HttpResponse {
    HttpResponse::Created().content_type(JSON).body(receipt.into_bytes())
}

pub const JSON: HeaderValue = HeaderValue::from_static("application/json");
