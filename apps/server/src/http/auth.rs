//! `/v1/auth` and `/v1/me`: coming in, staying, leaving; the own account.

use actix_web::{HttpResponse, Responder, delete, get, patch, post, web};
use infirmary_auth::{
    AcceptInvitation, Authenticate, ChangeMe, ChangePassword, ConfirmSession, Confirmation, EndSession, Login,
    Password, Queries, RefreshSession, Session, SessionTokens, SignIn,
};
use infirmary_kernel::{
    BirthDate, EmailAddress, Permission, PersonName, PhoneNumber, PostalAddress, SessionId, Timestamp, marker,
};
use infirmary_patients::AdministrativeSex;
use infirmary_workflows::{NewRegistration, RegisterAccount};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    App,
    access::Access,
    accounts::AccountBody,
    codes::ChallengeBody,
    extract::{Body, From as CalledFrom, IfMatch, OwnAccount, PathId, SignedIn, etag},
    patients::Sex,
    problem::{Problem, ProblemBody},
};

pub struct Auth {
    pub authenticate: Authenticate,
    pub register: RegisterAccount,
    pub login: Login,
    pub confirm_session: ConfirmSession,
    pub refresh: RefreshSession,
    pub end_session: EndSession,
    pub change_password: ChangePassword,
    pub accept_invitation: AcceptInvitation,
    pub change_me: ChangeMe,
    pub queries: Queries,
}

pub fn routes(config: &mut impl crate::http::Operations) {
    config
        .service(Access::Anyone, register)
        .service(Access::Anyone, login)
        .service(Permission::OwnAccount, reauthenticate)
        .service(Access::Anyone, refresh)
        .service(Permission::OwnAccount, logout)
        .service(Permission::OwnAccount, sessions)
        .service(Permission::OwnAccount, end_session)
        .service(Permission::OwnAccount, change_password)
        .service(Access::Anyone, accept_invitation)
        .service(Permission::OwnAccount, me)
        .service(Permission::OwnAccount, change_me);
}

/// What somebody who came in is given.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Session)]
pub struct SessionBody<'a> {
    access_token: &'a str,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds.
    expires_in: u64,
    /// Good once: each refresh gives the next one.
    refresh_token: &'a str,
    /// Seconds.
    refresh_expires_in: u64,
    account: AccountBody,
}

impl<'a> From<&'a SessionTokens> for SessionBody<'a> {
    fn from(tokens: &'a SessionTokens) -> Self {
        Self {
            access_token: tokens.access_token.expose_secret(),
            token_type: "Bearer",
            expires_in: tokens.expires_in.as_secs(),
            refresh_token: tokens.refresh_token.expose_secret(),
            refresh_expires_in: tokens.refresh_expires_in.as_secs(),
            account: AccountBody::from(&tokens.account),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RegisterBody {
    #[schema(value_type = String, format = Email)]
    email: EmailAddress,
    /// 15 to 256 characters; no composition rules, but no common one.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
    #[schema(value_type = String)]
    name: PersonName,
    #[schema(value_type = Option<String>)]
    phone: Option<PhoneNumber>,
    #[schema(value_type = Option<String>)]
    address: Option<PostalAddress>,
    #[schema(value_type = Option<String>, format = Date)]
    birth_date: Option<BirthDate>,
    sex: Option<Sex>,
}

/// Register as a patient: an account and its patient record
///
/// The role is patient, whatever else is in the body. It takes no Idempotency-Key: an e-mail registers once.
#[utoipa::path(tag = "Accounts and access", request_body = RegisterBody, responses((status = 201, body = SessionBody), (status = 409, body = ProblemBody)))]
#[post("/v1/auth/register")]
async fn register(
    app: web::Data<App>,
    CalledFrom(origin): CalledFrom,
    body: Body<RegisterBody>,
) -> Result<HttpResponse, Problem> {
    let RegisterBody { email, password, name, phone, address, birth_date, sex } = body.value;
    let new = NewRegistration { email, name, phone, address, birth_date, sex: sex.map(AdministrativeSex::from) };
    let tokens = app.auth.register.run(&origin, new, password.expose_secret()).await?;
    Ok(HttpResponse::Created().json(SessionBody::from(&tokens)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LoginBody {
    #[schema(value_type = String, format = Email)]
    email: EmailAddress,
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// A session; or, when a second factor is due, the challenge that it answers.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = SignIn)]
pub enum SignInBody<'a> {
    Session(SessionBody<'a>),
    SecondFactorDue { challenge: ChallengeBody },
}

impl<'a> From<&'a SignIn> for SignInBody<'a> {
    fn from(sign_in: &'a SignIn) -> Self {
        match sign_in {
            SignIn::Session(tokens) => Self::Session(SessionBody::from(&**tokens)),
            SignIn::SecondFactorDue(due) => Self::SecondFactorDue { challenge: due.into() },
        }
    }
}

/// Sign in
///
/// An account with a second factor gets a challenge instead of a session: answer it at `/v1/auth/otp/{id}/verify`.
#[utoipa::path(tag = "Accounts and access", request_body = LoginBody, responses((status = 200, body = SignInBody), (status = 401, body = ProblemBody), (status = 429, body = ProblemBody)))]
#[post("/v1/auth/login")]
async fn login(
    app: web::Data<App>,
    CalledFrom(origin): CalledFrom,
    body: Body<LoginBody>,
) -> Result<impl Responder, Problem> {
    let password = password(&body.value.password)?;
    let sign_in = app.auth.login.run(&body.value.email, &password, &origin).await?;
    Ok(HttpResponse::Ok().json(SignInBody::from(&sign_in)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReauthenticateBody {
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// When the session was authenticated last; or, when a second factor is due, the challenge that it answers.
#[derive(Serialize, ToSchema)]
#[serde(untagged, rename_all_fields = "camelCase")]
#[schema(as = Reauthentication)]
pub enum ReauthenticationBody {
    Done {
        #[schema(value_type = String, format = DateTime)]
        authenticated_at: Timestamp,
    },
    SecondFactorDue {
        challenge: ChallengeBody,
    },
}

/// Prove once more who you are, within the session: for what asks for a recent authentication
///
/// The password, and the second factor of an account that has one: its challenge is answered at `/v1/auth/otp/{id}/verify`,
/// with the token of the session.
#[utoipa::path(tag = "Accounts and access", request_body = ReauthenticateBody, security(("token" = [])), responses((status = 200, body = ReauthenticationBody), (status = 401, body = ProblemBody), (status = 429, body = ProblemBody)))]
#[post("/v1/auth/reauthenticate")]
async fn reauthenticate(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    body: Body<ReauthenticateBody>,
) -> Result<HttpResponse, Problem> {
    let password = password(&body.value.password)?;
    let body = match app.auth.confirm_session.run(&caller, &password).await? {
        Confirmation::Done(authenticated_at) => ReauthenticationBody::Done { authenticated_at },
        Confirmation::SecondFactorDue(due) => ReauthenticationBody::SecondFactorDue { challenge: (&due).into() },
    };
    Ok(HttpResponse::Ok().json(body))
}

pub fn password(text: &SecretString) -> Result<Password, Problem> {
    Ok(Password::parse(text.expose_secret()).map_err(|invalid| invalid.at("/password"))?)
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RefreshBody {
    #[schema(value_type = String)]
    refresh_token: SecretString,
}

/// Go on with a session: a new access token and the next refresh token
///
/// A refresh token that was used already ends the whole session, but for the ten seconds in which a lost answer is given
/// again.
#[utoipa::path(tag = "Accounts and access", request_body = RefreshBody, responses((status = 200, body = SessionBody), (status = 401, body = ProblemBody)))]
#[post("/v1/auth/refresh")]
async fn refresh(
    app: web::Data<App>,
    CalledFrom(origin): CalledFrom,
    body: Body<RefreshBody>,
) -> Result<HttpResponse, Problem> {
    let tokens = app.auth.refresh.run(body.value.refresh_token.expose_secret(), &origin).await?;
    Ok(HttpResponse::Ok().json(SessionBody::from(&tokens)))
}

/// End this session
#[utoipa::path(tag = "Accounts and access", security(("token" = [])), responses((status = 204)))]
#[post("/v1/auth/logout")]
async fn logout(app: web::Data<App>, SignedIn(caller): SignedIn) -> Result<HttpResponse, Problem> {
    app.auth.end_session.logout(&caller).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OwnSession)]
struct OwnSessionBody {
    #[schema(value_type = String, format = Uuid)]
    id: SessionId,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    last_seen_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    device: Option<String>,
    address: Option<String>,
    /// Whether it is the one that asks.
    current: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OwnSessions)]
struct OwnSessionsBody {
    items: Vec<OwnSessionBody>,
}

/// The own sessions: at most ten, newest first
#[utoipa::path(tag = "Accounts and access", security(("token" = [])), responses((status = 200, body = OwnSessionsBody)))]
#[get("/v1/auth/sessions")]
async fn sessions(app: web::Data<App>, SignedIn(caller): SignedIn) -> Result<HttpResponse, Problem> {
    let sessions = app.auth.queries.sessions(&caller).await?;
    let body = |session: Session| OwnSessionBody {
        id: session.id,
        started_at: session.started_at,
        last_seen_at: session.refreshed_at,
        expires_at: session.expires_at,
        device: session.agent,
        address: session.address.map(|address| address.to_string()),
        current: session.id == caller.session,
    };
    Ok(HttpResponse::Ok().json(OwnSessionsBody { items: sessions.into_iter().map(body).collect() }))
}

/// End one of the own sessions
#[utoipa::path(tag = "Accounts and access", security(("token" = [])), responses((status = 204)))]
#[delete("/v1/auth/sessions/{id}")]
async fn end_session(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Session>,
) -> Result<HttpResponse, Problem> {
    app.auth.end_session.run(&caller, id).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChangePasswordBody {
    #[schema(value_type = String, format = Password)]
    current_password: SecretString,
    #[schema(value_type = String, format = Password)]
    new_password: SecretString,
}

/// Change the own password; ends all other sessions
#[utoipa::path(tag = "Accounts and access", request_body = ChangePasswordBody, security(("token" = [])), responses((status = 204), (status = 401, body = ProblemBody)))]
#[post("/v1/auth/password")]
async fn change_password(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    body: Body<ChangePasswordBody>,
) -> Result<HttpResponse, Problem> {
    let current = Password::parse(body.value.current_password.expose_secret());
    let current = current.map_err(|invalid| invalid.at("/currentPassword"))?;
    app.auth.change_password.run(&caller, &current, body.value.new_password.expose_secret()).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct InvitationBody {
    #[schema(value_type = String)]
    code: SecretString,
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// Accept an invitation: choose the own password, once
#[utoipa::path(tag = "Accounts and access", request_body = InvitationBody, responses((status = 200, body = SessionBody), (status = 422, body = ProblemBody)))]
#[post("/v1/auth/invitation")]
async fn accept_invitation(
    app: web::Data<App>,
    CalledFrom(origin): CalledFrom,
    body: Body<InvitationBody>,
) -> Result<HttpResponse, Problem> {
    let InvitationBody { code, password } = body.value;
    let tokens = app.auth.accept_invitation.run(code.expose_secret(), password.expose_secret(), &origin).await?;
    Ok(HttpResponse::Ok().json(SessionBody::from(&tokens)))
}

/// The own account
#[utoipa::path(tag = "Accounts and access", security(("token" = [])), responses((status = 200, body = AccountBody)))]
#[get("/v1/me")]
async fn me(OwnAccount(account): OwnAccount) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().insert_header(etag(account.version)).json(AccountBody::from(&account)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeMeBody {
    #[schema(value_type = Option<String>)]
    name: Option<PersonName>,
    /// `null` empties it.
    #[serde(default, with = "super::nullable")]
    #[schema(value_type = Option<String>)]
    phone: Option<Option<PhoneNumber>>,
}

/// Change the own account
#[utoipa::path(tag = "Accounts and access", request_body = ChangeMeBody, security(("token" = [])), params(("If-Match" = String, Header, description = "The ETag that you saw")),
    responses((status = 200, body = AccountBody), (status = 412, body = ProblemBody), (status = 428, body = ProblemBody)))]
#[patch("/v1/me")]
async fn change_me(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    IfMatch(version): IfMatch,
    body: Body<ChangeMeBody>,
) -> Result<HttpResponse, Problem> {
    let account = app.auth.change_me.run(&caller, version, body.value.name, body.value.phone).await?;
    Ok(HttpResponse::Ok().insert_header(etag(account.version)).json(AccountBody::from(&account)))
}
