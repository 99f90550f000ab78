//! For whoever watches the server: does it live, and can it do its work?

use actix_web::{HttpResponse, get, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    App,
    access::Access,
    problem::{Problem, ProblemBody},
};

pub fn routes(config: &mut impl crate::http::Operations) {
    config.service(Access::Anyone, live).service(Access::Anyone, ready);
}

#[derive(Serialize, ToSchema)]
struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

const OK: Health = Health { status: "ok" };

/// Does the process answer? When not, start it anew
#[utoipa::path(tag = "Operations", responses((status = 200, body = Health)))]
#[get("/health/live")]
async fn live() -> HttpResponse {
    HttpResponse::Ok().json(OK)
}

/// Are the store and the objects reached? When not, send requests elsewhere
#[utoipa::path(tag = "Operations", responses((status = 200, body = Health), (status = 503, body = ProblemBody)))]
#[get("/health/ready")]
async fn ready(app: web::Data<App>) -> Result<HttpResponse, Problem> {
    app.store.check().await?;
    app.objects.check().await?;
    Ok(HttpResponse::Ok().json(OK))
}
