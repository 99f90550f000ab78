//! `/v1/auth/factors`: the second factors of the own account.

use actix_web::{HttpResponse, get, post, web};
use infirmary_auth::{ChangeFactors, EnrolAuthenticator, FactorMethod, RecoveryCode};
use infirmary_kernel::{Permission, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    App,
    auth::password,
    extract::{Body, SignedIn},
    problem::{Problem, ProblemBody},
};

pub struct Factors {
    pub enrol: EnrolAuthenticator,
    pub change: ChangeFactors,
}

pub fn routes(config: &mut impl crate::http::Operations) {
    config
        .service(Permission::OwnAccount, view)
        .service(Permission::OwnAccount, begin_totp)
        .service(Permission::OwnAccount, confirm_totp)
        .service(Permission::OwnAccount, disable_totp)
        .service(Permission::OwnAccount, enable_whatsapp)
        .service(Permission::OwnAccount, disable_whatsapp)
        .service(Permission::OwnAccount, renew_recovery_codes);
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Factors)]
struct FactorsBody {
    /// An authenticator application.
    totp: bool,
    /// A code by WhatsApp to the verified phone.
    whatsapp: bool,
    recovery_codes_left: usize,
    phone_verified: bool,
    /// Whether the house asks for a second factor of the role: without one, nothing but the own account may be used.
    required: bool,
}

/// The own second factors
#[utoipa::path(tag = "Accounts and access", security(("token" = [])), responses((status = 200, body = FactorsBody)))]
#[get("/v1/auth/factors")]
async fn view(app: web::Data<App>, SignedIn(caller): SignedIn) -> Result<HttpResponse, Problem> {
    let view = app.factors.change.view(&caller).await?;
    Ok(HttpResponse::Ok().json(FactorsBody {
        totp: view.factors.totp,
        whatsapp: view.factors.whatsapp,
        recovery_codes_left: view.recovery_codes_left,
        phone_verified: view.phone_verified,
        required: view.required,
    }))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TotpEnrolment)]
struct EnrolmentBody<'a> {
    /// To be sent back with the first code.
    enrolment: &'a str,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// In base 32, for typing.
    secret: &'a str,
    #[schema(example = "otpauth://totp/…")]
    otpauth_uri: &'a str,
    /// The URI as a QR code: an SVG image.
    qr_code_svg: &'a str,
}

/// Begin to set up an authenticator application
///
/// Show the QR code, and send the first code of the application to `/v1/auth/factors/totp/confirm` within ten minutes. Until
/// then nothing is changed.
#[utoipa::path(tag = "Accounts and access", security(("token" = [])), responses((status = 200, body = EnrolmentBody), (status = 401, body = ProblemBody)))]
#[post("/v1/auth/factors/totp")]
async fn begin_totp(app: web::Data<App>, SignedIn(caller): SignedIn) -> Result<HttpResponse, Problem> {
    let enrolment = app.factors.enrol.begin(&caller).await?;
    Ok(HttpResponse::Ok().json(EnrolmentBody {
        enrolment: enrolment.token.expose_secret(),
        expires_at: enrolment.expires_at,
        secret: enrolment.invitation.secret.expose_secret(),
        otpauth_uri: enrolment.invitation.uri.expose_secret(),
        qr_code_svg: enrolment.invitation.qr_code.expose_secret(),
    }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ConfirmBody {
    #[schema(value_type = String)]
    enrolment: SecretString,
    #[schema(value_type = String)]
    code: SecretString,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RecoveryCodes)]
struct RecoveryCodesBody<'a> {
    /// Each lets in once, in place of the second factor. Shown here and never again. Absent when there were some already.
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_codes: Option<Vec<&'a str>>,
}

fn recovery_codes(codes: Option<&[RecoveryCode]>) -> HttpResponse {
    let recovery_codes = codes.map(|codes| codes.iter().map(RecoveryCode::expose).collect());
    HttpResponse::Ok().json(RecoveryCodesBody { recovery_codes })
}

/// Set up an authenticator application, by a code of it; ends all other sessions
#[utoipa::path(tag = "Accounts and access", request_body = ConfirmBody, security(("token" = [])), responses((status = 200, body = RecoveryCodesBody), (status = 422, body = ProblemBody)))]
#[post("/v1/auth/factors/totp/confirm")]
async fn confirm_totp(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    body: Body<ConfirmBody>,
) -> Result<HttpResponse, Problem> {
    let ConfirmBody { enrolment, code } = body.value;
    let codes = app.factors.enrol.confirm(&caller, enrolment.expose_secret(), code.expose_secret()).await?;
    Ok(recovery_codes(Some(&codes)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DisableBody {
    /// One that may stand alone (15 characters) when this is the last second factor.
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// Take off the authenticator application; ends all other sessions
#[utoipa::path(tag = "Accounts and access", request_body = DisableBody, security(("token" = [])), responses((status = 204), (status = 401, body = ProblemBody), (status = 422, body = ProblemBody)))]
#[post("/v1/auth/factors/totp/disable")]
async fn disable_totp(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    body: Body<DisableBody>,
) -> Result<HttpResponse, Problem> {
    app.factors.change.remove(&caller, FactorMethod::Totp, &password(&body.value.password)?).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Make codes to the verified phone a second factor; ends all other sessions
///
/// From then on the phone is no way in by itself: neither sign-in nor reset of the password goes by it.
#[utoipa::path(tag = "Accounts and access", security(("token" = [])), responses((status = 200, body = RecoveryCodesBody), (status = 409, body = ProblemBody)))]
#[post("/v1/auth/factors/whatsapp")]
async fn enable_whatsapp(app: web::Data<App>, SignedIn(caller): SignedIn) -> Result<HttpResponse, Problem> {
    let codes = app.factors.change.add_whatsapp(&caller).await?;
    Ok(recovery_codes(codes.as_deref()))
}

/// Take off the codes to the phone; ends all other sessions
#[utoipa::path(tag = "Accounts and access", request_body = DisableBody, security(("token" = [])), responses((status = 204), (status = 401, body = ProblemBody), (status = 422, body = ProblemBody)))]
#[post("/v1/auth/factors/whatsapp/disable")]
async fn disable_whatsapp(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    body: Body<DisableBody>,
) -> Result<HttpResponse, Problem> {
    app.factors.change.remove(&caller, FactorMethod::Whatsapp, &password(&body.value.password)?).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Make ten new recovery codes; those before are good for nothing any more
#[utoipa::path(tag = "Accounts and access", security(("token" = [])), responses((status = 200, body = RecoveryCodesBody), (status = 409, body = ProblemBody)))]
#[post("/v1/auth/factors/recovery-codes")]
async fn renew_recovery_codes(app: web::Data<App>, SignedIn(caller): SignedIn) -> Result<HttpResponse, Problem> {
    let codes = app.factors.change.renew_recovery_codes(&caller).await?;
    Ok(recovery_codes(Some(&codes)))
}
