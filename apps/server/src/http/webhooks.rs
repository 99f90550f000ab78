//! `/v1/webhooks`: what providers call. They are let in by their signature.

use actix_web::{HttpRequest, HttpResponse, get, post, web};
use infirmary_messaging::RecordDeliveries;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    App,
    access::Access,
    extract::{Params, RawBody},
    problem::{Kind, Problem, ProblemBody},
};

pub fn routes(config: &mut impl crate::http::Operations) {
    config.service(Access::Anyone, subscribe).service(Access::Anyone, deliver);
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Subscription {
    #[serde(rename = "hub.mode", default)]
    #[param(example = "subscribe")]
    mode: String,
    #[serde(rename = "hub.verify_token", default)]
    token: String,
    #[serde(rename = "hub.challenge", default)]
    challenge: String,
}

/// Meta asks whether it may call, with the token that was given to it
#[utoipa::path(tag = "Messages", params(Subscription), responses((status = 200, content_type = "text/plain", body = String, description = "The challenge"), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody, description = "The house has no such webhook")))]
#[get("/v1/webhooks/whatsapp")]
async fn subscribe(app: web::Data<App>, Params(asked): Params<Subscription>) -> Result<HttpResponse, Problem> {
    let answer = deliveries(&app)?.subscribe(&asked.mode, &asked.token, &asked.challenge);
    let answer = answer.ok_or_else(|| Problem::new(Kind::Forbidden, "the token is not the one of this house"))?;
    Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(answer))
}

/// Meta tells what became of messages, signed with `X-Hub-Signature-256`; 64 KiB at most
#[utoipa::path(tag = "Messages", request_body(content = String, content_type = "application/json"), params(("X-Hub-Signature-256" = String, Header, description = "`sha256=` and the HMAC of the body under the app's secret")),
    responses((status = 200, description = "Taken; what is about no message of this house is left aside"), (status = 400, body = ProblemBody), (status = 403, body = ProblemBody), (status = 404, body = ProblemBody, description = "The house has no such webhook"), (status = 413, body = ProblemBody)))]
#[post("/v1/webhooks/whatsapp")]
async fn deliver(app: web::Data<App>, request: HttpRequest, RawBody(body): RawBody) -> Result<HttpResponse, Problem> {
    let signature = request.headers().get("X-Hub-Signature-256").and_then(|value| value.to_str().ok());
    deliveries(&app)?.run(signature.unwrap_or_default(), &body).await??;
    Ok(HttpResponse::Ok().finish())
}

fn deliveries(app: &App) -> Result<&RecordDeliveries, Problem> {
    app.messages.deliveries.as_ref().ok_or_else(|| Problem::not_found("there is nothing at this address"))
}
