use std::{future::Future, pin::Pin};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    dev::Payload,
    http::{StatusCode, header::HeaderValue},
    web,
};
use infirmary_auth::{Account, AuthError, StandingClaims};
use infirmary_kernel::{Caller, Refused, Role, SessionId, Subject, Timestamp};
use secrecy::{ExposeSecret, SecretString};

use super::Refusal;
use crate::{
    http::{App, edge},
    legacy::id,
};

const TOKEN: &str = "x-access-token";
const UID: &str = "uid";

/// Whoever holds the standing token of a living session, and says who they are beside it.
pub struct Known(pub Caller);

/// On a request whose token was a day old: what its answer carries in `x-access-token`.
pub struct FreshToken(pub HeaderValue);

impl FromRequest for Known {
    type Error = Refusal;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Refusal>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
            let (token, uid) = (header(TOKEN), header(UID));
            if token.is_empty() || uid.is_empty() {
                return Err(Refusal::said(StatusCode::FORBIDDEN, "A token/uid is required for authentication!"));
            }
            let app = request.app_data::<web::Data<App>>().ok_or_else(invalid)?;
            let now = app.gate.now();
            let claims = app.legacy.tokens.verify(token).filter(|claims| claims.holds_at(now) && claims.user == uid);
            let claims = claims.ok_or_else(invalid)?;
            let origin = edge::origin(&request, &app.trusted_proxies);
            let caller =
                app.auth.authenticate.by_session(claims.session, origin.clone()).await.map_err(
                    |error| match error {
                        AuthError::Unauthenticated => invalid(),
                        error => error.into(),
                    },
                )?;
            if !claims.is_fresh_at(now) {
                let (account, until) = app.legacy.keep.run(claims.session, &origin).await?;
                let fresh = standing_token(app, &account, claims.session, until);
                if let Ok(value) = HeaderValue::from_str(fresh.expose_secret()) {
                    request.extensions_mut().insert(FreshToken(value));
                }
            }
            Ok(Self(caller))
        })
    }
}

fn invalid() -> Refusal {
    Refusal::said(StatusCode::UNAUTHORIZED, "Invalid_Token")
}

/// The token of a session that lives until then.
pub fn standing_token(app: &App, account: &Account, session: SessionId, until: Timestamp) -> SecretString {
    let (user, email) = (id::name_of_user(account), account.email.clone());
    app.legacy.tokens.issue(&StandingClaims::new(user, email, account.role, session, until, app.gate.now()))
}

/// For routes that were, or are, of fewer roles than the use case behind them takes. A refusal is in the audit trail.
pub async fn only(
    app: &App,
    caller: &Caller,
    roles: &[Role],
    kind: &'static str,
    rule: &'static str,
) -> Result<(), Refusal> {
    if roles.contains(&caller.role) {
        return Ok(());
    }
    Err(app.gate.refuse(caller, Subject::all(kind), Refused::NotTheirs { rule }).await.into())
}
