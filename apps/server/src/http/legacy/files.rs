//! `/api/files`: links that work without headers. These clients append them to `<server>/api/`.

use actix_web::{HttpRequest, HttpResponse, get, web};
use infirmary_kernel::{LinkTarget, SignedLink};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Refusal;
use crate::{
    http::{
        App,
        access::Access,
        download::Way,
        extract::{From as CalledFrom, Params},
        images::{self, PreviewParams},
        links, reports,
    },
    legacy::id,
};

pub fn routes(config: &mut impl crate::http::Operations) {
    config.service(Access::Anyone, follow);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    Content,
    Preview,
}

/// What is appended to `<server>/api/`.
pub fn address(name: &str, link: &SignedLink, view: View) -> String {
    let view = if view == View::Preview { "&view=preview" } else { "" };
    format!("files/{name}?token={}{view}", link.token)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct FileParams {
    #[serde(default)]
    token: String,
    /// `preview`: a PNG to look at, of what cannot be shown as it is.
    view: Option<String>,
}

/// Follow a link to an image or a report; no header is needed
#[utoipa::path(tag = "Replaced system", params(FileParams), responses((status = 200, content((Vec<u8> = "image/png"), (Vec<u8> = "image/jpeg"), (Vec<u8> = "application/dicom"), (Vec<u8> = "application/pdf")), description = "In the type of what it opens"),
    (status = 206, content((Vec<u8> = "image/png"), (Vec<u8> = "image/jpeg"), (Vec<u8> = "application/dicom"), (Vec<u8> = "application/pdf"))), (status = 304), (status = 404, content_type = "text/html", body = String, description = "It is none, or it is over")))]
#[get("/api/files/{id}")]
async fn follow(
    app: web::Data<App>,
    CalledFrom(origin): CalledFrom,
    name: web::Path<String>,
    Params(params): Params<FileParams>,
    request: HttpRequest,
) -> Result<HttpResponse, Refusal> {
    let (caller, target) = links::opened(&app, &params.token, origin).await?;
    match target {
        LinkTarget::Image(image) if id::parse(&name) == Some(image) => match params.view.as_deref() {
            Some("preview") => Ok(images::preview_for(&app, &caller, image, &PreviewParams::largest()).await?),
            _ => Ok(images::content_for(&app, &caller, image, &request, Way::Here).await?),
        },
        LinkTarget::Report(report) if id::parse(&name) == Some(report) => {
            Ok(reports::pdf_for(&app, &caller, report, &request, Way::Here).await?)
        }
        _ => Err(links::over().into()),
    }
}
