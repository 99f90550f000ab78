//! `/v1/accounts`: who works here; for admins.

use actix_web::{HttpResponse, Responder, delete, get, patch, post, web};
use infirmary_auth::{
    Account, AccountChange, AccountState, ChangeAccount, InviteStaff, NewStaff, Queries, RestartAccount,
};
use infirmary_kernel::{
    AccountId, EmailAddress, PatientId, Permission, PersonName, PhoneNumber, Role, Timestamp, marker,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    App,
    extract::{Body, IfMatch, Params, PathId, SignedIn, etag, page},
    page::PageBody,
    problem::{Problem, ProblemBody},
};

pub struct Accounts {
    pub invite: InviteStaff,
    pub change: ChangeAccount,
    pub restart: RestartAccount,
    pub queries: Queries,
}

pub fn routes(config: &mut impl crate::http::Operations) {
    config
        .service(Permission::ManageAccounts, invite)
        .service(Permission::ManageAccounts, list)
        .service(Permission::ManageAccounts, read)
        .service(Permission::ManageAccounts, change)
        .service(Permission::ManageAccounts, deactivate)
        .service(Permission::ManageAccounts, restart);
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Account)]
pub struct AccountBody {
    #[schema(value_type = String, format = Uuid)]
    id: AccountId,
    #[schema(value_type = String, format = Email)]
    email: EmailAddress,
    #[schema(value_type = String)]
    name: PersonName,
    #[schema(value_type = Option<String>)]
    phone: Option<PhoneNumber>,
    /// Whether a code proved the phone; codes go to no other.
    phone_verified: bool,
    /// Whether a second factor is asked for at sign-in.
    second_factor: bool,
    #[schema(value_type = String, example = "doctor")]
    role: Role,
    /// Whether the account may sign in.
    active: bool,
    /// Whether it waits for its holder to choose a password.
    invited: bool,
    /// The patient record of the person, for the role patient.
    #[schema(value_type = Option<String>)]
    patient_id: Option<PatientId>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<&Account> for AccountBody {
    fn from(account: &Account) -> Self {
        Self {
            id: account.id,
            email: account.email.clone(),
            name: account.name.clone(),
            phone: account.phone.clone(),
            phone_verified: account.verified_phone().is_some(),
            second_factor: account.factors.any(),
            role: account.role,
            active: account.is_active(),
            invited: account.state == AccountState::Invited,
            patient_id: account.patient,
            created_at: account.created_at,
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct InviteBody {
    #[schema(value_type = String, format = Email)]
    email: EmailAddress,
    #[schema(value_type = String)]
    name: PersonName,
    /// admin, doctor or accountant; patients register themselves.
    #[schema(value_type = String, example = "doctor")]
    role: Role,
    #[schema(value_type = Option<String>)]
    phone: Option<PhoneNumber>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = InvitedAccount)]
struct InvitedBody {
    account: AccountBody,
    invitation: InvitationCodeBody,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Invitation)]
struct InvitationCodeBody {
    /// Shown here and never again. Give it to the person; it lets them choose their password, once.
    code: String,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Invite staff
///
/// Inviting an e-mail that still waits makes a new code, and the one before ends: so a lost answer is asked for again. It
/// takes no Idempotency-Key, as the answer would have to be kept, and with it the code.
#[utoipa::path(tag = "Accounts and access", request_body = InviteBody, security(("token" = [])), responses((status = 201, body = InvitedBody), (status = 409, body = ProblemBody)))]
#[post("/v1/accounts")]
async fn invite(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    body: Body<InviteBody>,
) -> Result<HttpResponse, Problem> {
    let InviteBody { email, name, role, phone } = body.value;
    let (account, code, expires_at) = app.accounts.invite.run(&caller, NewStaff { email, name, role, phone }).await?;
    Ok(HttpResponse::Created().json(InvitedBody {
        account: AccountBody::from(&account),
        invitation: InvitationCodeBody { code: code.expose().to_owned(), expires_at },
    }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Only those of this role.
    #[param(value_type = Option<String>, pattern = "^(admin|doctor|accountant|patient)$")]
    role: Option<Role>,
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    cursor: Option<String>,
}

/// All accounts, newest first
#[utoipa::path(tag = "Accounts and access", params(ListParams), security(("token" = [])), responses((status = 200, body = PageBody<AccountBody>)))]
#[get("/v1/accounts")]
async fn list(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    Params(params): Params<ListParams>,
) -> Result<impl Responder, Problem> {
    let request = page(params.limit, params.cursor.as_deref())?;
    let found = app.accounts.queries.accounts(&caller, params.role, &request).await?;
    Ok(web::Json(PageBody::from(found.map(|account| AccountBody::from(&account)))))
}

/// Read an account
#[utoipa::path(tag = "Accounts and access", security(("token" = [])), responses((status = 200, body = AccountBody)))]
#[get("/v1/accounts/{id}")]
async fn read(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Account>,
) -> Result<HttpResponse, Problem> {
    let account = app.accounts.queries.account(&caller, id).await?;
    Ok(HttpResponse::Ok().insert_header(etag(account.version)).json(AccountBody::from(&account)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChangeAccountBody {
    #[schema(value_type = Option<String>)]
    name: Option<PersonName>,
    /// `null` empties it.
    #[serde(default, with = "super::nullable")]
    #[schema(value_type = Option<String>)]
    phone: Option<Option<PhoneNumber>>,
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
    active: Option<bool>,
}

/// Change an account; another role, or none, ends its sessions
#[utoipa::path(tag = "Accounts and access", request_body = ChangeAccountBody, security(("token" = [])), params(("If-Match" = String, Header, description = "The ETag that you saw")),
    responses((status = 200, body = AccountBody), (status = 409, body = ProblemBody), (status = 412, body = ProblemBody), (status = 428, body = ProblemBody)))]
#[patch("/v1/accounts/{id}")]
async fn change(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Account>,
    IfMatch(version): IfMatch,
    body: Body<ChangeAccountBody>,
) -> Result<HttpResponse, Problem> {
    let ChangeAccountBody { name, phone, role, active } = body.value;
    let change = AccountChange { name, phone, role, active };
    let account = app.accounts.change.run(&caller, id, version, change).await?;
    Ok(HttpResponse::Ok().insert_header(etag(account.version)).json(AccountBody::from(&account)))
}

/// Deactivate an account; what it did stays. The last active admin cannot go
#[utoipa::path(tag = "Accounts and access", security(("token" = [])), responses((status = 204), (status = 409, body = ProblemBody)))]
#[delete("/v1/accounts/{id}")]
async fn deactivate(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Account>,
) -> Result<HttpResponse, Problem> {
    app.accounts.change.deactivate(&caller, id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Let somebody begin again who lost their password or their second factor
///
/// For a patient without a verified phone, and for staff. Be sure of who asks for it. The password and the second factors are
/// off and all sessions end at once; the code lets its holder choose a new password, as an invitation does.
#[utoipa::path(tag = "Accounts and access", security(("token" = [])), responses((status = 200, body = InvitedBody), (status = 409, body = ProblemBody)))]
#[post("/v1/accounts/{id}/restart")]
async fn restart(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Account>,
) -> Result<HttpResponse, Problem> {
    let (account, code, expires_at) = app.accounts.restart.run(&caller, id).await?;
    let invitation = InvitationCodeBody { code: code.expose().to_owned(), expires_at };
    Ok(HttpResponse::Ok().json(InvitedBody { account: AccountBody::from(&account), invitation }))
}
