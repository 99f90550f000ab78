//! `/v1/auth/otp` and the reset of a password: codes by WhatsApp, and the answers to challenges.

use std::time::Duration;

use actix_web::{HttpResponse, post, web};
use futures_util::future::join;
use infirmary_auth::{
    Answer, AnswerChallenge, CodePurpose, CodeRequest, FactorMethod, IssuedChallenge, RequestCode, ResetPasswordByCode,
};
use infirmary_kernel::{ChallengeId, Invalid, PhoneNumber, Timestamp, marker};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use utoipa::ToSchema;

use super::{
    App,
    access::Access,
    auth::SignInBody,
    extract::{Body, From as CalledFrom, PathId, PerhapsSignedIn},
    problem::{Problem, ProblemBody},
};

pub struct Codes {
    pub request: RequestCode,
    pub answer: AnswerChallenge,
    pub reset: ResetPasswordByCode,
}

/// An answer to a request for a code leaves no sooner than this after the request came. A code for a known phone is written and
/// sent, and for an unknown one it is not: what that takes must not tell them apart.
const LEAST_ANSWER_MILLIS: u64 = 50;

pub fn routes(config: &mut impl crate::http::Operations) {
    config.service(Access::Anyone, request).service(Access::Anyone, verify).service(Access::Anyone, reset);
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CodePurpose)]
enum PurposeBody {
    SignIn,
    SecondFactor,
    PhoneVerification,
    PasswordReset,
}

impl From<PurposeBody> for CodePurpose {
    fn from(purpose: PurposeBody) -> Self {
        match purpose {
            PurposeBody::SignIn => Self::SignIn,
            PurposeBody::SecondFactor => Self::SecondFactor,
            PurposeBody::PhoneVerification => Self::PhoneVerification,
            PurposeBody::PasswordReset => Self::PasswordReset,
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RequestBody {
    purpose: PurposeBody,
    /// Needed for every purpose but `secondFactor`, which sends to the phone of the account.
    #[schema(value_type = Option<String>)]
    phone: Option<PhoneNumber>,
    /// Needed for `secondFactor`: the id of the challenge that followed the password.
    #[schema(value_type = Option<String>, format = Uuid)]
    challenge: Option<ChallengeId>,
}

impl RequestBody {
    fn parse(self) -> Result<CodeRequest, Invalid> {
        let Self { purpose, phone, challenge } = self;
        let purpose = CodePurpose::from(purpose);
        let refused = |pointer, detail| Err(Invalid::new(pointer, detail));
        match (purpose, phone, challenge) {
            (CodePurpose::SecondFactor, None, Some(challenge)) => Ok(CodeRequest::SecondFactor(challenge)),
            (CodePurpose::SecondFactor, None, None) => refused("/challenge", "is required for a second factor"),
            (CodePurpose::SecondFactor, Some(_), _) => refused("/phone", "is the account's for a second factor"),
            (_, _, Some(_)) => refused("/challenge", "is for a second factor only"),
            (_, None, None) => refused("/phone", "is required"),
            (CodePurpose::SignIn, Some(phone), None) => Ok(CodeRequest::SignIn(phone)),
            (CodePurpose::PasswordReset, Some(phone), None) => Ok(CodeRequest::PasswordReset(phone)),
            // No purpose of this API.
            (CodePurpose::PhoneCheck, Some(phone), None) => Ok(CodeRequest::PhoneCheck(phone)),
            (CodePurpose::PhoneVerification, Some(phone), None) => Ok(CodeRequest::PhoneVerification(phone)),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Challenge)]
pub struct ChallengeBody {
    #[schema(value_type = String, format = Uuid)]
    id: ChallengeId,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Of a second factor: what answers it (`totp`, `whatsapp` after a code was asked for, `recoveryCode`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["totp", "recoveryCode"]))]
    methods: Vec<&'static str>,
}

impl From<&IssuedChallenge> for ChallengeBody {
    fn from(issued: &IssuedChallenge) -> Self {
        let methods = issued.methods.iter().copied().map(FactorMethod::as_str).collect();
        Self { id: issued.id, expires_at: issued.expires_at, methods }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = IssuedChallenge)]
struct IssuedBody {
    challenge: ChallengeBody,
}

/// Ask for a code by WhatsApp
///
/// `signIn` and `passwordReset` send to the verified phone of one active account, and answer the same for every other phone.
/// `phoneVerification` is for who is signed in (recently), with the phone that is to be theirs. `secondFactor` follows a
/// challenge of sign-in or re-authentication whose methods have `whatsapp`. A new code ends the one before. Limits for a
/// number: one a minute, 3 in 15 minutes, 5 an hour, 10 a day.
#[utoipa::path(tag = "Accounts and access", request_body = RequestBody, security((), ("token" = [])), responses((status = 202, body = IssuedBody), (status = 422, body = ProblemBody), (status = 429, body = ProblemBody)))]
#[post("/v1/auth/otp")]
async fn request(
    app: web::Data<App>,
    PerhapsSignedIn { caller, origin }: PerhapsSignedIn,
    body: Body<RequestBody>,
) -> Result<HttpResponse, Problem> {
    let request = body.value.parse()?;
    let least = sleep(Duration::from_millis(LEAST_ANSWER_MILLIS));
    let (issued, ()) = join(app.codes.request.run(caller.as_ref(), request, &origin), least).await;
    let issued = issued?;
    Ok(HttpResponse::Accepted().json(IssuedBody { challenge: (&issued).into() }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct VerifyBody {
    /// The code that was sent, or of the authenticator application, or a recovery code. Digits of any script; blanks and
    /// hyphens do not matter.
    #[schema(value_type = String)]
    code: SecretString,
}

/// What a right answer gives, by what was asked for.
#[derive(Serialize, ToSchema)]
#[serde(untagged, rename_all_fields = "camelCase")]
#[schema(as = Answer)]
enum AnswerBody<'a> {
    /// Of `signIn`, and of `secondFactor` after a password: a session; or a challenge, when a second factor is due after the
    /// phone.
    SignIn(SignInBody<'a>),
    /// Of `secondFactor` within a session.
    Reauthenticated {
        #[schema(value_type = String, format = DateTime)]
        authenticated_at: Timestamp,
    },
    /// Of `phoneVerification`: the phone of the account from now on.
    PhoneVerified {
        #[schema(value_type = Option<String>)]
        phone: Option<&'a PhoneNumber>,
        #[schema(value_type = Option<String>, format = DateTime)]
        phone_verified_at: Option<Timestamp>,
    },
    /// Of `passwordReset`: for `/v1/auth/password/reset`, once, within five minutes.
    Proof {
        proof: &'a str,
        #[schema(value_type = String, format = DateTime)]
        expires_at: Timestamp,
    },
}

/// Answer a challenge
///
/// At most five tries, each counted before it is compared. A code that was asked for within a session is answered within it.
#[utoipa::path(tag = "Accounts and access", request_body = VerifyBody, security((), ("token" = [])), responses((status = 200, body = AnswerBody), (status = 422, body = ProblemBody), (status = 429, body = ProblemBody)))]
#[post("/v1/auth/otp/{id}/verify")]
async fn verify(
    app: web::Data<App>,
    PathId(id): PathId<marker::Challenge>,
    PerhapsSignedIn { caller, origin }: PerhapsSignedIn,
    body: Body<VerifyBody>,
) -> Result<HttpResponse, Problem> {
    let answer = app.codes.answer.run(caller.as_ref(), id, body.value.code.expose_secret(), &origin).await?;
    let body = match &answer {
        Answer::SignIn(sign_in) => AnswerBody::SignIn(sign_in.into()),
        Answer::Confirmed(at) => AnswerBody::Reauthenticated { authenticated_at: *at },
        Answer::PhoneVerified(account) => {
            AnswerBody::PhoneVerified { phone: account.phone.as_ref(), phone_verified_at: account.phone_verified_at }
        }
        Answer::Proof { proof, expires_at } => {
            AnswerBody::Proof { proof: proof.expose_secret(), expires_at: *expires_at }
        }
    };
    Ok(HttpResponse::Ok().json(body))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ResetBody {
    /// From the answer to a challenge of `passwordReset`.
    #[schema(value_type = String)]
    proof: SecretString,
    #[schema(value_type = String, format = Password)]
    password: SecretString,
}

/// Choose a new password with a verified code; ends all sessions
///
/// Failures at the old password are forgiven. A password that is refused leaves the proof, until its five minutes are over.
#[utoipa::path(tag = "Accounts and access", request_body = ResetBody, responses((status = 204), (status = 422, body = ProblemBody)))]
#[post("/v1/auth/password/reset")]
async fn reset(
    app: web::Data<App>,
    CalledFrom(origin): CalledFrom,
    body: Body<ResetBody>,
) -> Result<HttpResponse, Problem> {
    let ResetBody { proof, password } = body.value;
    app.codes.reset.run(proof.expose_secret(), password.expose_secret(), &origin).await?;
    Ok(HttpResponse::NoContent().finish())
}
