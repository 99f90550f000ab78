//! Every error as an answer: RFC 9457 `application/problem+json`, in one form, from one place.

use std::{borrow::Cow, fmt};

use actix_web::{
    HttpResponse, ResponseError,
    http::{Method, StatusCode, header},
};
use infirmary_audit::AuditError;
use infirmary_auth::AuthError;
use infirmary_diagnosis::DiagnosisError;
use infirmary_financials::FinancialsError;
use infirmary_imaging::ImagingError;
use infirmary_kernel::{AccessError, FieldError, Invalid, Refused, RequestId, StoreError, TypesetError, WriteError};
use infirmary_messaging::{MessagingError, WebhookRefused};
use infirmary_patients::PatientError;
use infirmary_reports::{PdfRefusal, ReportError};
use infirmary_workflows::WorkflowError;
use serde::Serialize;
use utoipa::ToSchema;

use super::patients::PatientBody;

/// What went wrong, for the caller; and for the log, what the caller must not hear of.
#[derive(Debug)]
pub struct Problem {
    kind: Kind,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    retry_after_seconds: Option<u64>,
    allow: Vec<Method>,
    /// `WWW-Authenticate`, with a 401.
    challenge: Option<String>,
    candidates: Vec<PatientBody>,
    /// Of what a range was asked of, with a 416.
    size: Option<u64>,
    cause: Option<String>,
}

macro_rules! kinds {
    ($($kind:ident = $status:ident $slug:literal $title:literal;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind { $($kind,)* }

        impl Kind {
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$kind => StatusCode::$status,)* }
            }
            const fn type_uri(self) -> &'static str {
                match self { $(Self::$kind => concat!("urn:infirmary:problem:", $slug),)* }
            }
            const fn title(self) -> &'static str {
                match self { $(Self::$kind => $title,)* }
            }
        }
    };
}

kinds! {
    Unreadable = BAD_REQUEST "unreadable" "The request cannot be read";
    KeyRequired = BAD_REQUEST "idempotency-key-required" "An Idempotency-Key is required";
    Unauthenticated = UNAUTHORIZED "unauthenticated" "Sign in first";
    Forbidden = FORBIDDEN "forbidden" "Not allowed";
    RecentAuthenticationRequired = UNAUTHORIZED "recent-authentication-required" "Sign in again";
    Restricted = FORBIDDEN "restricted" "The record is restricted";
    SecondFactorRequired = FORBIDDEN "second-factor-required" "Set up a second factor first";
    NotFound = NOT_FOUND "not-found" "Not found";
    MethodNotAllowed = METHOD_NOT_ALLOWED "method-not-allowed" "The method is not allowed here";
    TooSlow = REQUEST_TIMEOUT "too-slow" "The body came too slowly";
    Conflict = CONFLICT "conflict" "It conflicts with what is there";
    LikelyDuplicate = CONFLICT "likely-duplicate" "The patient is probably registered already";
    Stale = PRECONDITION_FAILED "stale" "The record has changed meanwhile";
    HeadTooLarge = REQUEST_HEADER_FIELDS_TOO_LARGE "head-too-large" "The head of the request is too large";
    TooLarge = PAYLOAD_TOO_LARGE "too-large" "The body is too large";
    UnsupportedType = UNSUPPORTED_MEDIA_TYPE "unsupported-type" "The type is not supported";
    RangeNotSatisfiable = RANGE_NOT_SATISFIABLE "range-not-satisfiable" "The range is not satisfiable";
    Refused = UNPROCESSABLE_ENTITY "refused" "A value was refused";
    KeyReused = UNPROCESSABLE_ENTITY "idempotency-key-reused" "The Idempotency-Key was used for another request";
    PreconditionRequired = PRECONDITION_REQUIRED "precondition-required" "If-Match is required";
    TooManyRequests = TOO_MANY_REQUESTS "too-many-requests" "Too many requests";
    Internal = INTERNAL_SERVER_ERROR "internal" "Something went wrong here";
    Unavailable = SERVICE_UNAVAILABLE "unavailable" "Not available at the moment";
}

/// The body of every error.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// A URN that names the kind of problem; stable, for programs.
    #[schema(example = "urn:infirmary:problem:refused")]
    r#type: &'static str,
    title: &'static str,
    status: u16,
    /// What was refused, why, and what would be accepted; for people.
    detail: &'a str,
    /// The request id, as in `X-Request-Id`: name it when you ask for help.
    instance: String,
    /// The values that were refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldErrorBody<'a>>,
    /// With `likely-duplicate`: the patients who are probably the same.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    candidates: &'a [PatientBody],
}

#[derive(Serialize, ToSchema)]
#[schema(as = FieldError)]
struct FieldErrorBody<'a> {
    /// RFC 6901, into the body; or the name of the parameter or header behind a slash.
    pointer: &'a str,
    detail: &'a str,
}

impl Problem {
    pub fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after_seconds: None,
            allow: Vec::new(),
            challenge: None,
            candidates: Vec::new(),
            size: None,
            cause: None,
        }
    }

    pub fn not_found(detail: &'static str) -> Self {
        Self::new(Kind::NotFound, detail)
    }

    pub fn unauthenticated() -> Self {
        Self {
            challenge: Some("Bearer realm=\"infirmary\"".to_owned()),
            ..Self::new(
                Kind::Unauthenticated,
                "give a valid access token as Authorization: Bearer <token>; sign in for one",
            )
        }
    }

    pub fn method_not_allowed(allow: Vec<Method>) -> Self {
        let methods = allow.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        Self { allow, ..Self::new(Kind::MethodNotAllowed, format!("here are allowed: {methods}")) }
    }

    /// RFC 9110 §15.5.17.
    pub fn range_not_satisfiable(size: u64) -> Self {
        let detail = format!("there are {size} bytes; ask for a range that begins before their end");
        Self { size: Some(size), ..Self::new(Kind::RangeNotSatisfiable, detail) }
    }

    pub fn too_many_requests(detail: &'static str, retry_after_seconds: u64) -> Self {
        Self { retry_after_seconds: Some(retry_after_seconds), ..Self::new(Kind::TooManyRequests, detail) }
    }

    /// The body is the same whatever happened; the cause goes to the log.
    pub fn internal(cause: impl fmt::Display) -> Self {
        Self {
            cause: Some(cause.to_string()),
            ..Self::new(Kind::Internal, "the request was not carried out; tell the operator the request id")
        }
    }

    pub fn unavailable(cause: impl fmt::Display) -> Self {
        Self {
            cause: Some(cause.to_string()),
            retry_after_seconds: Some(RETRY_AFTER_SECONDS),
            ..Self::new(Kind::Unavailable, "nothing was changed; try again shortly")
        }
    }

    /// The same where something may have been written all the same.
    #[must_use]
    pub fn after_others(self) -> Self {
        match self.kind {
            Kind::Unavailable => Self {
                detail: "it is not known whether it was carried out; try again with the same Idempotency-Key".into(),
                ..self
            },
            _ => self,
        }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Logs the cause, once, and writes the answer.
    pub fn respond(&self, request: RequestId) -> HttpResponse {
        let status = self.kind.status();
        if let Some(cause) = &self.cause {
            tracing::error!(request.id = %request, status = status.as_u16(), cause, "a request failed");
        }
        let mut response = HttpResponse::build(status);
        if let Some(seconds) = self.retry_after_seconds {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        if let Some(size) = self.size {
            response.insert_header((header::CONTENT_RANGE, format!("bytes */{size}")));
        }
        if let Some(challenge) = &self.challenge {
            response.insert_header((header::WWW_AUTHENTICATE, challenge.as_str()));
        }
        if !self.allow.is_empty() {
            response
                .insert_header((header::ALLOW, self.allow.iter().map(Method::as_str).collect::<Vec<_>>().join(", ")));
        }
        let errors = self.errors.iter().map(|field| FieldErrorBody { pointer: &field.pointer, detail: &field.detail });
        let body = ProblemBody {
            r#type: self.kind.type_uri(),
            title: self.kind.title(),
            status: status.as_u16(),
            detail: &self.detail,
            instance: request.to_string(),
            errors: errors.collect(),
            candidates: &self.candidates,
        };
        response.content_type("application/problem+json").body(serde_json::to_vec(&body).unwrap_or_default())
    }
}

/// For clients that show the body of an answer to a person, as it is.
impl Problem {
    /// They know a refused value as 400, and a 401 as a token that is over.
    pub fn status_as_text(&self) -> StatusCode {
        match self.kind {
            Kind::RecentAuthenticationRequired => StatusCode::FORBIDDEN,
            kind => match kind.status() {
                StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
                status => status,
            },
        }
    }

    pub fn respond_as_text(&self, request: RequestId) -> HttpResponse {
        let sentence = match self.errors.as_slice() {
            [] | [_] => self.detail.clone().into_owned(),
            many => {
                let told = |field: &FieldError| format!("{} {}", field.pointer.trim_start_matches('/'), field.detail);
                many.iter().map(told).collect::<Vec<_>>().join("; ")
            }
        };
        // It is sent as HTML, and no word of it is meant to be.
        let sentence = sentence.replace('&', "&amp;").replace('<', "&lt;");
        let mut response = self.respond(request);
        *response.status_mut() = self.status_as_text();
        response.headers_mut().remove(header::WWW_AUTHENTICATE);
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/html; charset=utf-8"));
        response.set_body(actix_web::body::BoxBody::new(sentence))
    }
}

/// How long a client should wait for what is busy: longer than a burst, shorter than a person's patience.
const RETRY_AFTER_SECONDS: u64 = 2;

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.title())
    }
}

/// The edge writes the body, as it knows the request id; see [`super::edge`].
impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.kind.status()
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.kind.status())
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        let detail = match invalid.fields.as_slice() {
            [only] if only.pointer.is_empty() => only.detail.clone().into_owned(),
            [only] => format!("{} {}", only.pointer.trim_start_matches('/'), only.detail),
            many => format!("{} values were refused; see errors", many.len()),
        };
        Self { errors: invalid.fields, ..Self::new(Kind::Refused, detail) }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Role { .. } | Refused::NotTheirs { .. } => Self::new(Kind::Forbidden, refused.to_string()),
            Refused::StepUp { max_age_minutes } => Self {
                detail: format!("the last sign-in is more than {max_age_minutes} minutes old; sign in again for this")
                    .into(),
                challenge: Some(format!(
                    "Bearer realm=\"infirmary\", error=\"insufficient_user_authentication\", max_age={}",
                    max_age_minutes * 60
                )),
                ..Self::new(Kind::RecentAuthenticationRequired, "")
            },
            Refused::Restricted => Self::new(
                Kind::Restricted,
                "the record is restricted to its care team; an admin can add you to it, and in an emergency a doctor asks for \
                 access at /v1/patients/{id}/emergency-access",
            ),
            Refused::SecondFactor => Self::new(
                Kind::SecondFactorRequired,
                "this house asks for a second factor: set one up under /v1/auth/factors, and then go on",
            ),
            // The same words as for a record that is not there: the caller cannot tell them apart.
            Refused::Hidden => Self::not_found("there is no such record"),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } => Self::unavailable(error),
            StoreError::OutcomeUnknown { .. } => Self::unavailable(error).after_others(),
            StoreError::Corrupt { .. } => Self::internal(error),
        }
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Refused(refused) => refused.into(),
            AccessError::Store(error) => error.into(),
        }
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Stale => Self::new(Kind::Stale, "read the record again, and change what it is now"),
            WriteError::Conflict { law } => Self::new(Kind::Conflict, format!("another record has the same {law}")),
            WriteError::KeyReused => {
                Self::new(Kind::KeyReused, "send the request as it was, or give another request a key of its own")
            }
            WriteError::Store(error) => error.into(),
        }
    }
}

impl From<PatientError> for Problem {
    fn from(error: PatientError) -> Self {
        match error {
            PatientError::Access(error) => error.into(),
            PatientError::Invalid(invalid) => invalid.into(),
            PatientError::NotFound => Self::not_found("there is no such record"),
            PatientError::LikelyDuplicate { candidates } => Self {
                candidates: candidates.iter().map(PatientBody::from).collect(),
                ..Self::new(
                    Kind::LikelyDuplicate,
                    "look whether one of the candidates is the person; when none is, send it again with ?allowDuplicate=true",
                )
            },
            PatientError::Write(error) => error.into(),
        }
    }
}

impl From<DiagnosisError> for Problem {
    fn from(error: DiagnosisError) -> Self {
        match error {
            DiagnosisError::Access(error) => error.into(),
            DiagnosisError::Invalid(invalid) => invalid.into(),
            DiagnosisError::NotFound => Self::not_found("there is no such record"),
            DiagnosisError::State(_) | DiagnosisError::CodeTaken { .. } => Self::new(Kind::Conflict, error.to_string()),
            DiagnosisError::Write(error) => error.into(),
        }
    }
}

impl From<AuditError> for Problem {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Access(error) => error.into(),
            AuditError::Invalid(invalid) => invalid.into(),
        }
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Access(error) => error.into(),
            AuthError::Invalid(invalid) => invalid.into(),
            AuthError::BadCredentials => {
                Self { detail: "the e-mail or the password is wrong".into(), ..Self::unauthenticated() }
            }
            AuthError::Unauthenticated => Self::unauthenticated(),
            AuthError::TooManyAttempts { retry_after } => {
                // Whole seconds, and never less than are left.
                let seconds = retry_after.as_millis().div_ceil(1_000);
                Self::too_many_requests(
                    "there were too many attempts to sign in; wait as long as Retry-After says",
                    u64::try_from(seconds).unwrap_or(u64::MAX).max(1),
                )
            }
            AuthError::TooManyCodes { retry_after } => Self::too_many_requests(
                "too many codes were asked for; wait as long as Retry-After says",
                retry_after.as_secs().max(1),
            ),
            AuthError::BadCode => {
                Invalid::new("/code", "is wrong, used or over; after five tries or five minutes ask for another").into()
            }
            AuthError::BadChallenge => {
                Invalid::new("/challenge", "is none for a code to the phone, or is over; begin with the password again")
                    .into()
            }
            AuthError::BadProof => Invalid::new("/proof", "is used or over; ask for another code").into(),
            AuthError::BadEnrolment => Invalid::new("/enrolment", "is of another session, or over; begin again").into(),
            AuthError::PhoneIsFactor => Self::new(
                Kind::Conflict,
                "the phone is the second factor; take that off first, and put it on again with the new phone",
            ),
            AuthError::PhoneNotVerified => {
                Self::new(Kind::Conflict, "the phone of the account is not verified; verify it by a code first")
            }
            AuthError::NoSecondFactor => {
                Self::new(Kind::Conflict, "the account has no second factor; set one up first")
            }
            AuthError::Disabled => Self::new(Kind::Conflict, "the account is disabled; make it active first"),
            AuthError::Busy => Self::unavailable(error),
            AuthError::BadInvitation => {
                Invalid::new("/code", "is not a valid invitation; it may be used or over: ask for another").into()
            }
            AuthError::EmailTaken => Self::new(Kind::Conflict, "an account with this e-mail exists; sign in"),
            AuthError::LastAdmin => {
                Self::new(Kind::Conflict, "the last active admin cannot go; make another one first")
            }
            AuthError::NotFound => Self::not_found("there is no such record"),
            AuthError::Write(error) => error.into(),
        }
    }
}

impl From<FinancialsError> for Problem {
    fn from(error: FinancialsError) -> Self {
        match error {
            FinancialsError::Access(error) => error.into(),
            FinancialsError::Invalid(invalid) => invalid.into(),
            FinancialsError::NotFound => Self::not_found("there is no such record"),
            FinancialsError::AlreadyVoid => Self::new(Kind::Conflict, "the charge is void already"),
            FinancialsError::PaidOn { paid } => {
                Self::new(Kind::Conflict, format!("{paid} is paid on the charge; refund that first"))
            }
            FinancialsError::MoreThanOwed { owed } => {
                Invalid::new("/amount/amount", format!("must be at most what is owed: {owed}")).into()
            }
            FinancialsError::MoreThanRefundable { left } => {
                Invalid::new("/amount/amount", format!("must be at most what is left of the payment: {left}")).into()
            }
            FinancialsError::TooManyCharges => {
                Invalid::new("/amount/amount", format!("{error}; take it in parts")).into()
            }
            FinancialsError::TooLongForPaper => Self::new(Kind::Refused, format!("{error}; read it in pages")),
            // Nobody has seen a version here: others were quicker, over and over, and waiting helps.
            FinancialsError::Write(WriteError::Stale) => Self::unavailable("others were quicker on the same account"),
            FinancialsError::Write(error) => error.into(),
        }
    }
}

impl From<WorkflowError> for Problem {
    fn from(error: WorkflowError) -> Self {
        match error {
            WorkflowError::Access(error) => error.into(),
            WorkflowError::Invalid(invalid) => invalid.into(),
            WorkflowError::NotFound => Self::not_found("there is no such record"),
            WorkflowError::NotConfirmed { .. } => Self::new(Kind::Conflict, error.to_string()),
            WorkflowError::OpenAlready | WorkflowError::CareTeamFull => Self::new(Kind::Conflict, error.to_string()),
            WorkflowError::Auth(error) => error.into(),
            WorkflowError::Imaging(error) => error.into(),
            WorkflowError::Typeset(error) => error.into(),
            WorkflowError::Write(error) => error.into(),
        }
    }
}

impl From<MessagingError> for Problem {
    fn from(error: MessagingError) -> Self {
        match error {
            MessagingError::Access(error) => error.into(),
            MessagingError::Invalid(invalid) => invalid.into(),
            MessagingError::NotFound => Self::not_found("there is no such record"),
            MessagingError::NotFailed | MessagingError::ContentGone => Self::new(Kind::Conflict, error.to_string()),
            MessagingError::Write(error) => error.into(),
        }
    }
}

impl From<WebhookRefused> for Problem {
    fn from(refused: WebhookRefused) -> Self {
        match refused {
            WebhookRefused::Signature => Self::new(Kind::Forbidden, refused.to_string()),
            WebhookRefused::Unreadable => Self::new(Kind::Unreadable, refused.to_string()),
        }
    }
}

impl From<TypesetError> for Problem {
    fn from(error: TypesetError) -> Self {
        match error {
            TypesetError::Busy => Self::unavailable(error),
            TypesetError::Failed { .. } => Self::internal(error),
        }
    }
}

impl From<ImagingError> for Problem {
    fn from(error: ImagingError) -> Self {
        match error {
            ImagingError::Access(error) => error.into(),
            ImagingError::Invalid(invalid) => invalid.into(),
            ImagingError::UnsupportedType { .. } | ImagingError::Disagreement { .. } => {
                Self::new(Kind::UnsupportedType, error.to_string())
            }
            ImagingError::TooLarge { .. } => Self::new(Kind::TooLarge, error.to_string()),
            ImagingError::Unreadable { .. } => Invalid::new("/image", error.to_string()).into(),
            ImagingError::NotFound => Self::not_found("there is no such record"),
            ImagingError::NoPreview { .. } => Self::new(Kind::NotFound, error.to_string()),
            ImagingError::Write(error) => error.into(),
        }
    }
}

impl From<ReportError> for Problem {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Access(error) => error.into(),
            ReportError::Invalid(invalid) => invalid.into(),
            ReportError::NotFound => Self::not_found("there is no such record"),
            ReportError::Refused(refusal) => match refusal {
                PdfRefusal::NotPdf => Self::new(Kind::UnsupportedType, format!("the file {refusal}")),
                PdfRefusal::TooLarge => Self::new(Kind::TooLarge, format!("the file {refusal}")),
                PdfRefusal::Unreadable
                | PdfRefusal::Encrypted
                | PdfRefusal::Active
                | PdfRefusal::EmbeddedFile
                | PdfRefusal::NoPages
                | PdfRefusal::TooManyPages => Invalid::new("/file", refusal.as_str()).into(),
            },
            ReportError::BrokenUpload { .. } => Self::new(Kind::Unreadable, "the upload ended before its time"),
            ReportError::Busy => Self::unavailable(error),
            ReportError::ObjectMissing => Self::internal(error),
            ReportError::Write(error) => error.into(),
        }
    }
}
