//! `/v1/links`: what a page embeds by address.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, get, web};
use infirmary_auth::AuthError;
use infirmary_kernel::{Caller, Link, LinkTarget, SignedLink, Signer, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    App,
    access::Access,
    download::Way,
    extract::{From, Params},
    images::{self, PreviewParams},
    problem::{Problem, ProblemBody},
    reports,
};

pub struct Links {
    pub signer: Arc<dyn Signer>,
    /// Where clients reach this server.
    pub public_url: String,
}

pub fn routes(config: &mut impl crate::http::Operations) {
    config.service(Access::Anyone, follow).service(Access::Anyone, follow_to_preview);
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Link)]
pub struct LinkBody {
    /// Opens what it was made for, as it is.
    url: String,
    /// Opens the preview of an image; takes `?size=`.
    #[serde(skip_serializing_if = "Option::is_none")]
    preview_url: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

impl LinkBody {
    pub fn new(links: &Links, signed: &SignedLink, has_preview: bool) -> Self {
        let url = format!("{}/v1/links/{}", links.public_url, signed.token);
        Self { preview_url: has_preview.then(|| format!("{url}/preview")), url, expires_at: signed.expires }
    }
}

/// Follow a link; no header is needed
#[utoipa::path(tag = "Links", responses((status = 200, content((Vec<u8> = "image/png"), (Vec<u8> = "image/jpeg"), (Vec<u8> = "application/dicom"), (Vec<u8> = "application/pdf")), description = "In the type of what it opens"),
    (status = 206, content((Vec<u8> = "image/png"), (Vec<u8> = "image/jpeg"), (Vec<u8> = "application/dicom"), (Vec<u8> = "application/pdf"))), (status = 304),
    (status = 307, description = "To a signed address of the bucket, where the house has chosen so"), (status = 404, body = ProblemBody, description = "It is none, or it is over"), (status = 416, body = ProblemBody)))]
#[get("/v1/links/{token}")]
async fn follow(
    app: web::Data<App>,
    From(origin): From,
    token: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (caller, target) = opened(&app, &token, origin).await?;
    match target {
        LinkTarget::Image(id) => images::content_for(&app, &caller, id, &request, Way::HereOrElsewhere).await,
        LinkTarget::Report(id) => reports::pdf_for(&app, &caller, id, &request, Way::HereOrElsewhere).await,
    }
}

/// Follow a link to the preview of an image; no header is needed
#[utoipa::path(tag = "Links", params(PreviewParams), responses((status = 200, content_type = "image/png", body = Vec<u8>), (status = 404, body = ProblemBody)))]
#[get("/v1/links/{token}/preview")]
async fn follow_to_preview(
    app: web::Data<App>,
    From(origin): From,
    token: web::Path<String>,
    Params(params): Params<PreviewParams>,
) -> Result<HttpResponse, Problem> {
    match opened(&app, &token, origin).await? {
        (caller, LinkTarget::Image(id)) => images::preview_for(&app, &caller, id, &params).await,
        (_, LinkTarget::Report(_)) => Err(over()),
    }
}

/// Who follows it is the one who asked for it, as long as their session lives; what they may read, the use case sees anew.
pub async fn opened(app: &App, token: &str, origin: infirmary_kernel::Origin) -> Result<(Caller, LinkTarget), Problem> {
    let link = Link::verify(token, &*app.links.signer, app.gate.now()).ok_or_else(over)?;
    match app.auth.authenticate.by_session(link.session, origin).await {
        Ok(caller) => Ok((caller, link.target)),
        Err(AuthError::Unauthenticated) => Err(over()),
        Err(error) => Err(error.into()),
    }
}

pub fn over() -> Problem {
    Problem::not_found("the link is over, or is none; ask for a new one")
}
