//! Coming in: one token for three days.

use actix_web::{HttpResponse, http::StatusCode, post, web};
use infirmary_auth::{AuthError, CodeRequest, Password, SessionTokens, SignIn};
use infirmary_kernel::{ChallengeId, EmailAddress, Origin, PersonName, PhoneNumber, PostalAddress, Timestamp};
use infirmary_workflows::{NewRegistration, WorkflowError};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    Refusal,
    body::{Unread, loose, required},
    caller::standing_token,
    done, text,
};
use crate::{
    http::{App, access::Access, extract::From as CalledFrom},
    legacy::phone,
};

pub fn routes(config: &mut impl crate::http::Operations) {
    config
        .service(Access::Anyone, login)
        .service(Access::Anyone, login_without_slash)
        .service(Access::Anyone, refresh)
        .service(Access::Anyone, login_refresh)
        .service(Access::Anyone, register)
        .service(Access::Anyone, create_otp)
        .service(Access::Anyone, verify_otp);
}

#[derive(Deserialize, ToSchema)]
#[schema(as = LegacyLogin)]
struct LoginBody {
    #[serde(rename = "Email", default, deserialize_with = "loose")]
    #[schema(value_type = String)]
    email: Option<String>,
    #[serde(default)]
    #[schema(value_type = String, format = Password)]
    password: Option<SecretString>,
}

const ALL_INPUTS: &str = "All inputs are required";
/// These clients have no place to type one in.
const SECOND_FACTOR: &str =
    "This account signs in with a second factor, which this application does not know. Use the new one.";
const NO_COUNTRY: Refusal = Refusal::bad("The phone number needs its country in front, such as 9647501234567");
const INVALID_CREDENTIALS: &str = "Invalid Credentials";

/// Sign in; the answer is the bare token
#[utoipa::path(tag = "Replaced system", request_body = LoginBody, responses((status = 201, content_type = "text/html", body = String), (status = 400, content_type = "text/html", body = String)))]
#[post("/api/auth/login/")]
async fn login(app: web::Data<App>, CalledFrom(origin): CalledFrom, body: Unread) -> Result<HttpResponse, Refusal> {
    sign_in(&app, &origin, body).await
}

/// Sign in; the answer is the bare token
#[utoipa::path(tag = "Replaced system", request_body = LoginBody, responses((status = 201, content_type = "text/html", body = String), (status = 400, content_type = "text/html", body = String)))]
#[post("/api/auth/login")]
async fn login_without_slash(
    app: web::Data<App>,
    CalledFrom(origin): CalledFrom,
    body: Unread,
) -> Result<HttpResponse, Refusal> {
    sign_in(&app, &origin, body).await
}

/// Sign in again, when the token is over; the answer is the bare token
#[utoipa::path(tag = "Replaced system", request_body = LoginBody, responses((status = 201, content_type = "text/html", body = String), (status = 400, content_type = "text/html", body = String)))]
#[post("/api/auth/refresh")]
async fn refresh(app: web::Data<App>, CalledFrom(origin): CalledFrom, body: Unread) -> Result<HttpResponse, Refusal> {
    sign_in(&app, &origin, body).await
}

/// Sign in again, when the token is over; the answer is the bare token
#[utoipa::path(tag = "Replaced system", request_body = LoginBody, responses((status = 201, content_type = "text/html", body = String), (status = 400, content_type = "text/html", body = String)))]
#[post("/api/auth/login/refresh")]
async fn login_refresh(
    app: web::Data<App>,
    CalledFrom(origin): CalledFrom,
    body: Unread,
) -> Result<HttpResponse, Refusal> {
    sign_in(&app, &origin, body).await
}

async fn sign_in(app: &App, origin: &Origin, body: Unread) -> Result<HttpResponse, Refusal> {
    let LoginBody { email, password } = body.fields().await?;
    let email = required(email, ALL_INPUTS)?;
    let password = password.ok_or(Refusal::bad(ALL_INPUTS))?;
    // What is no e-mail and no password is of nobody.
    let email = EmailAddress::parse(&email).map_err(|_| Refusal::bad(INVALID_CREDENTIALS))?;
    let password = Password::parse(password.expose_secret()).map_err(|_| Refusal::bad(INVALID_CREDENTIALS))?;
    match app.auth.login.run(&email, &password, origin).await {
        Ok(SignIn::Session(tokens)) => Ok(came_in(app, &tokens)),
        Ok(SignIn::SecondFactorDue(_)) => Err(Refusal::said(StatusCode::FORBIDDEN, SECOND_FACTOR)),
        Err(AuthError::BadCredentials) => Err(Refusal::bad(INVALID_CREDENTIALS)),
        Err(error) => Err(error.into()),
    }
}

fn came_in(app: &App, tokens: &SessionTokens) -> HttpResponse {
    let until = app.gate.now().plus(tokens.refresh_expires_in);
    let token = standing_token(app, &tokens.account, tokens.session, until);
    text(StatusCode::CREATED, token.expose_secret())
}

#[derive(Deserialize, ToSchema)]
#[schema(as = LegacyRegistration)]
struct RegisterBody {
    #[serde(rename = "Email", default, deserialize_with = "loose")]
    #[schema(value_type = String)]
    email: Option<String>,
    #[serde(default)]
    #[schema(value_type = String, format = Password)]
    password: Option<SecretString>,
    #[serde(rename = "Address1", default, deserialize_with = "loose")]
    #[schema(value_type = String)]
    address: Option<String>,
    #[serde(rename = "Name", default, deserialize_with = "loose")]
    #[schema(value_type = String)]
    name: Option<String>,
    /// Has to be there, and counts for nothing: who registers is a patient.
    #[serde(rename = "accountType", default, deserialize_with = "loose")]
    #[schema(value_type = String)]
    account_type: Option<String>,
    #[serde(rename = "phoneNum", default, deserialize_with = "loose")]
    #[schema(value_type = i64)]
    phone: Option<String>,
}

/// Register as a patient; the answer is the bare token
#[utoipa::path(tag = "Replaced system", request_body = RegisterBody, responses((status = 201, content_type = "text/html", body = String),
    (status = 400, content_type = "text/html", body = String), (status = 409, content_type = "text/html", body = String)))]
#[post("/api/auth/register/createUser")]
async fn register(app: web::Data<App>, CalledFrom(origin): CalledFrom, body: Unread) -> Result<HttpResponse, Refusal> {
    let RegisterBody { email, password, address, name, account_type, phone } = body.fields().await?;
    let email = required(email, ALL_INPUTS)?;
    let password = password.filter(|text| !text.expose_secret().is_empty()).ok_or(Refusal::bad(ALL_INPUTS))?;
    let (address, name) = (required(address, ALL_INPUTS)?, required(name, ALL_INPUTS)?);
    required(account_type, ALL_INPUTS)?;
    let phone = phone_of(&app, phone)?;
    let new = NewRegistration {
        email: EmailAddress::parse(&email)?,
        name: PersonName::parse(&name).map_err(|invalid| invalid.at("/Name"))?,
        phone: Some(phone),
        address: Some(PostalAddress::parse(&address).map_err(|invalid| invalid.at("/Address1"))?),
        birth_date: None,
        sex: None,
    };
    match app.auth.register.run(&origin, new, password.expose_secret()).await {
        Ok(tokens) => Ok(came_in(&app, &tokens)),
        Err(WorkflowError::Auth(AuthError::EmailTaken)) => {
            Err(Refusal::said(StatusCode::CONFLICT, "User Already exists"))
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Deserialize, ToSchema)]
#[schema(as = LegacyOtpRequest)]
struct OtpRequestBody {
    #[serde(default, deserialize_with = "loose")]
    #[schema(value_type = String)]
    phone: Option<String>,
}

/// Send a code to a phone; the answer is a name for it and when it is over
#[utoipa::path(tag = "Replaced system", request_body = OtpRequestBody, responses((status = 200, content_type = "text/html", body = String, description = "`<challenge>.<milliseconds since 1970>`"), (status = 400, content_type = "text/html", body = String)))]
#[post("/api/auth/otp/createOTP")]
async fn create_otp(
    app: web::Data<App>,
    CalledFrom(origin): CalledFrom,
    body: Unread,
) -> Result<HttpResponse, Refusal> {
    let OtpRequestBody { phone } = body.fields().await?;
    let phone = phone_of(&app, phone)?;
    match app.codes.request.run(None, CodeRequest::PhoneCheck(phone), &origin).await {
        Ok(issued) => Ok(text(StatusCode::OK, format!("{}.{}", issued.id, issued.expires_at.unix_ms()))),
        Err(AuthError::TooManyCodes { retry_after }) => {
            let wait = format!("A code was sent already; wait {} seconds for another", retry_after.as_secs());
            Err(Refusal::Said(StatusCode::BAD_REQUEST, wait.into()))
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Deserialize, ToSchema)]
#[schema(as = LegacyOtp)]
struct OtpBody {
    #[serde(default, deserialize_with = "loose")]
    #[schema(value_type = String)]
    phone: Option<String>,
    #[serde(default, deserialize_with = "loose")]
    #[schema(value_type = String)]
    otp: Option<String>,
    /// The answer to the request.
    #[serde(default, deserialize_with = "loose")]
    #[schema(value_type = String)]
    hash: Option<String>,
}

/// Show the code that was sent; it is good for five minutes, five tries, and once
#[utoipa::path(tag = "Replaced system", request_body = OtpBody, responses((status = 200, content_type = "text/html", body = String), (status = 400, content_type = "text/html", body = String)))]
#[post("/api/auth/otp/verifyOTP")]
async fn verify_otp(
    app: web::Data<App>,
    CalledFrom(origin): CalledFrom,
    body: Unread,
) -> Result<HttpResponse, Refusal> {
    const INVALID: Refusal = Refusal::bad("Invalid OTP");
    let OtpBody { phone, otp, hash } = body.fields().await?;
    let phone = phone_of(&app, phone)?;
    let (otp, hash) = (required(otp, ALL_INPUTS)?, required(hash, ALL_INPUTS)?);
    let (challenge, expiry) = hash.split_once('.').ok_or(INVALID)?;
    let (challenge, expiry) =
        (ChallengeId::parse(challenge).map_err(|_| INVALID)?, expiry.parse().map_err(|_| INVALID)?);
    if Timestamp::from_unix_ms(expiry) <= app.gate.now() {
        return Err(Refusal::bad("OTP Expired"));
    }
    match app.codes.answer.holds_phone(challenge, &phone, &otp, &origin).await {
        Ok(()) => Ok(done("Success")),
        Err(AuthError::BadCode) => Err(INVALID),
        Err(error) => Err(error.into()),
    }
}

fn phone_of(app: &App, text: Option<String>) -> Result<PhoneNumber, Refusal> {
    phone::read(&required(text, ALL_INPUTS)?, app.legacy.calling_code.as_ref()).ok_or(NO_COUNTRY)
}
