//! `/v1/images`: what was uploaded, to be looked at.

use actix_web::{HttpRequest, HttpResponse, Responder, get, http::header, post, web};
use infirmary_imaging::{DicomAttributes, DicomUid, Image, ImageFormat, PreviewSize, PreviewState, StudyDate};
use infirmary_kernel::{Caller, FileName, ImageId, PatientId, Permission, Sha256Digest, ShortText, StudyId, marker};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    App,
    download::{self, Asked, Offer, PRIVATE, SANDBOX, Way},
    extract::{Params, PathId, SignedIn},
    links::LinkBody,
    problem::{Problem, ProblemBody},
};

pub fn routes(config: &mut impl crate::http::Operations) {
    config
        .service(Permission::ReadStudies, read)
        .service(Permission::ReadStudies, content)
        .service(Permission::ReadStudies, preview)
        .service(Permission::ReadStudies, link);
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Image)]
pub struct ImageBody {
    #[schema(value_type = String, format = Uuid)]
    id: ImageId,
    #[schema(value_type = String, format = Uuid)]
    study_id: StudyId,
    #[schema(value_type = String, format = Uuid)]
    patient_id: PatientId,
    /// Its place in the study, from 0.
    position: u16,
    format: FormatBody,
    #[schema(example = "application/dicom")]
    media_type: &'static str,
    bytes: u64,
    #[schema(value_type = String)]
    sha256: Sha256Digest,
    /// What the client called it.
    #[schema(value_type = Option<String>)]
    file_name: Option<FileName>,
    /// In pixels, as it is stored; 0 when a DICOM file holds no pixels.
    width: u32,
    height: u32,
    frames: u32,
    /// Whether there is a preview of it.
    has_preview: bool,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    no_preview_reason: Option<String>,
    /// What a DICOM file says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    dicom: Option<DicomBody>,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ImageFormat)]
enum FormatBody {
    Png,
    Jpeg,
    Dicom,
}

impl From<ImageFormat> for FormatBody {
    fn from(format: ImageFormat) -> Self {
        match format {
            ImageFormat::Png => Self::Png,
            ImageFormat::Jpeg => Self::Jpeg,
            ImageFormat::Dicom => Self::Dicom,
        }
    }
}

/// Attributes of a DICOM file; those that it does not have, or that cannot be read, are `null`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DicomAttributes)]
struct DicomBody {
    /// (0010,0020): the number of the patient where the image was made.
    #[schema(value_type = Option<String>)]
    patient_id: Option<ShortText>,
    /// (0020,000D)
    study_uid: Option<String>,
    /// (0020,000E)
    series_uid: Option<String>,
    /// (0008,0018)
    instance_uid: Option<String>,
    /// (0008,0060)
    modality: Option<&'static str>,
    /// (0018,0015)
    #[schema(value_type = Option<String>)]
    body_part: Option<ShortText>,
    /// (0008,0020)
    #[schema(format = Date)]
    study_date: Option<String>,
}

impl From<&DicomAttributes> for DicomBody {
    fn from(dicom: &DicomAttributes) -> Self {
        let text = |uid: &Option<DicomUid>| uid.as_ref().map(DicomUid::to_string);
        Self {
            patient_id: dicom.patient_id.clone(),
            study_uid: text(&dicom.study_uid),
            series_uid: text(&dicom.series_uid),
            instance_uid: text(&dicom.instance_uid),
            modality: dicom.modality.map(infirmary_imaging::Modality::as_str),
            body_part: dicom.body_part.clone(),
            study_date: dicom.study_date.as_ref().map(StudyDate::to_string),
        }
    }
}

impl From<&Image> for ImageBody {
    fn from(image: &Image) -> Self {
        let no_preview_reason = match &image.facts.preview {
            PreviewState::Available => None,
            PreviewState::Unavailable { reason } => Some(reason.clone()),
        };
        Self {
            id: image.id,
            study_id: image.study,
            patient_id: image.patient,
            position: image.position,
            format: image.format.into(),
            media_type: image.format.media_type(),
            bytes: image.object.bytes,
            sha256: image.object.sha256,
            file_name: image.file_name.clone(),
            width: image.facts.width,
            height: image.facts.height,
            frames: image.facts.frames,
            has_preview: no_preview_reason.is_none(),
            no_preview_reason,
            dicom: image.facts.dicom.as_ref().map(DicomBody::from),
        }
    }
}

/// Read what is known of an image
#[utoipa::path(tag = "Images", security(("token" = [])), responses((status = 200, body = ImageBody)))]
#[get("/v1/images/{id}")]
async fn read(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Image>,
) -> Result<impl Responder, Problem> {
    Ok(web::Json(ImageBody::from(&app.studies.queries.image(&caller, id).await?.image)))
}

/// Download an image as it was uploaded, or one range of its bytes
#[utoipa::path(tag = "Images", security(("token" = [])),
    params(("Range" = Option<String>, Header, description = "One range of bytes"), ("If-None-Match" = Option<String>, Header)),
    responses((status = 200, content((Vec<u8> = "image/png"), (Vec<u8> = "image/jpeg"), (Vec<u8> = "application/dicom")), description = "In the type of the image"),
        (status = 206, content((Vec<u8> = "image/png"), (Vec<u8> = "image/jpeg"), (Vec<u8> = "application/dicom"))), (status = 304),
        (status = 416, body = ProblemBody)))]
#[get("/v1/images/{id}/content")]
async fn content(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Image>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    content_for(&app, &caller, id, &request, Way::Here).await
}

pub async fn content_for(
    app: &App,
    caller: &Caller,
    id: ImageId,
    request: &HttpRequest,
    way: Way,
) -> Result<HttpResponse, Problem> {
    let found = app.studies.queries.content(caller, id).await?;
    let image = &found.image;
    let own_name = image.file_name.as_ref().map(|name| name.as_str().to_owned());
    let offer = Offer {
        media_type: image.format.media_type(),
        bytes: image.object.bytes,
        sha256: image.object.sha256,
        file_name: &own_name.unwrap_or_else(|| format!("{id}.{}", image.format.extension())),
        shown: image.format != ImageFormat::Dicom,
    };
    let asked = offer.asked(request)?;
    if asked != Asked::NotModified
        && way == Way::HereOrElsewhere
        && let Some(url) = found.signed_url(&offer.served()).await?
    {
        return Ok(download::elsewhere(&url));
    }
    let bytes = match &asked {
        Asked::NotModified => return Ok(offer.not_modified()),
        Asked::Whole => found.read(None).await?,
        Asked::Part(range) => found.read(Some(range.clone())).await?,
    };
    Ok(offer.respond(&asked, bytes))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PreviewParams {
    /// The longer side, at least, in pixels; 128, 256, 512 and 1024 are made. 512 when absent.
    #[param(minimum = 1, maximum = 1024)]
    size: Option<u32>,
}

/// Look at an image: a PNG of it without any of its metadata, for DICOM with its window applied
#[utoipa::path(tag = "Images", params(PreviewParams), security(("token" = [])),
    responses((status = 200, content_type = "image/png", body = Vec<u8>), (status = 404, body = ProblemBody, description = "There is no such image, or no preview of it; the detail says why")))]
#[get("/v1/images/{id}/preview")]
async fn preview(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Image>,
    Params(params): Params<PreviewParams>,
) -> Result<HttpResponse, Problem> {
    preview_for(&app, &caller, id, &params).await
}

impl PreviewParams {
    pub const fn largest() -> Self {
        Self { size: Some(1024) }
    }
}

pub async fn preview_for(
    app: &App,
    caller: &Caller,
    id: ImageId,
    params: &PreviewParams,
) -> Result<HttpResponse, Problem> {
    let size = params.size.map(PreviewSize::at_least).transpose()?.unwrap_or_default();
    let png = app.studies.queries.preview(caller, id, size).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, PRIVATE))
        .insert_header((header::CONTENT_SECURITY_POLICY, SANDBOX))
        .content_type("image/png")
        .body(png))
}

/// Make a link to an image, which works without a header for some minutes: for `<img>`
///
/// It dies with the session that asked for it.
#[utoipa::path(tag = "Images", security(("token" = [])), responses((status = 200, body = LinkBody)))]
#[post("/v1/images/{id}/link")]
async fn link(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Image>,
) -> Result<impl Responder, Problem> {
    let signed = app.studies.queries.link(&caller, id).await?;
    Ok(web::Json(LinkBody::new(&app.links, &signed, true)))
}
