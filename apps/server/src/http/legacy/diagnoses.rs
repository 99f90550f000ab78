//! Diagnoses, with the images that they were made from.

use actix_web::{HttpResponse, get, http::StatusCode, web};
use infirmary_diagnosis::{DiagnosisFilter, DiagnosisStatus};
use infirmary_imaging::ImageFormat;
use infirmary_kernel::{Caller, ImageId, PatientId, Permission, Role, SignedLink};
use infirmary_workflows::{DiagnosisDetail, ListedDiagnosis};

use super::{
    Refusal,
    caller::Known,
    documents::{DiagnosisBody, UserBody},
    files, json, lists, text,
};
use crate::{
    http::{App, access::Access},
    legacy::id,
};

pub fn routes(config: &mut impl crate::http::Operations) {
    config
        .service(Permission::ReadStudies, diagnoses)
        .service(Permission::ReadStudies, details)
        .service(Permission::ReadStudies, all_details)
        .service(Access::OnlyAs(Role::Patient, Permission::ReadPatient), number_of_diagnoses)
        .service(Access::OnlyAs(Role::Patient, Permission::ReadPatient), number_of_transactions)
        .service(Permission::ReadStudies, report_data);
}

/// The diagnoses of a patient, newest first
#[utoipa::path(tag = "Replaced system", security(("legacyToken" = [], "legacyUid" = [])), responses((status = 200, body = Vec<DiagnosisBody>)))]
#[get("/api/diagnosis/getDiagnosis/{patientID}")]
async fn diagnoses(
    app: web::Data<App>,
    Known(caller): Known,
    patient: web::Path<String>,
) -> Result<HttpResponse, Refusal> {
    let patient = id::parse(&patient).ok_or_else(Refusal::not_found)?;
    let listed = of_patient(&app, &caller, patient).await?;
    Ok(json(&listed.iter().map(body).collect::<Vec<_>>()))
}

/// A diagnosis, the name of the doctor, the name of the patient, and the address of the image
#[utoipa::path(tag = "Replaced system", security(("legacyToken" = [], "legacyUid" = [])), responses((status = 200, body = Vec<serde_json::Value>)))]
#[get("/api/diagnosis/getDiagnosisDetails/{diagnosisID}")]
async fn details(
    app: web::Data<App>,
    Known(caller): Known,
    diagnosis: web::Path<String>,
) -> Result<HttpResponse, Refusal> {
    let diagnosis = id::parse(&diagnosis).ok_or_else(Refusal::not_found)?;
    let detail = app.diagnoses.overview.diagnosis(&caller, diagnosis).await?;
    let url = url_of(&app, &caller, &detail).await?;
    Ok(json(&(detail_body(&detail), &detail.author, &detail.patient.name, url)))
}

/// The diagnoses of a patient, newest first; beside them the names of the doctors and the addresses of the images
#[utoipa::path(tag = "Replaced system", security(("legacyToken" = [], "legacyUid" = [])), responses((status = 200, body = Vec<serde_json::Value>)))]
#[get("/api/patient/getPatientDiagnosisDetails/{patientID}")]
async fn all_details(
    app: web::Data<App>,
    Known(caller): Known,
    patient: web::Path<String>,
) -> Result<HttpResponse, Refusal> {
    let patient = id::parse(&patient).ok_or_else(Refusal::not_found)?;
    let listed = of_patient(&app, &caller, patient).await?;
    let images: Vec<ImageId> = listed.iter().filter_map(|row| row.images.first().map(|image| image.id)).collect();
    let mut links = app.studies.queries.links(&caller, patient, &images).await?.into_iter();
    let urls: Vec<String> = listed
        .iter()
        .map(|row| row.images.first().map_or_else(String::new, |image| address(image.id, image.format, links.next())))
        .collect();
    let bodies: Vec<_> = listed.iter().map(body).collect();
    let doctors: Vec<_> = listed.iter().map(|row| &row.author).collect();
    Ok(json(&(bodies, doctors, urls)))
}

/// How many diagnoses the caller has, as text
#[utoipa::path(tag = "Replaced system", security(("legacyToken" = [], "legacyUid" = [])), responses((status = 200, content_type = "text/html", body = String)))]
#[get("/api/patient/getNumberDiagnosis")]
async fn number_of_diagnoses(app: web::Data<App>, Known(caller): Known) -> Result<HttpResponse, Refusal> {
    let (summary, _) = app.reports.overview.summary(&caller, own(&caller)?).await?;
    Ok(text(StatusCode::OK, summary.counts.diagnoses.to_string()))
}

/// How many bills the caller has, as text
#[utoipa::path(tag = "Replaced system", security(("legacyToken" = [], "legacyUid" = [])), responses((status = 200, content_type = "text/html", body = String)))]
#[get("/api/patient/getNumberTransactions")]
async fn number_of_transactions(app: web::Data<App>, Known(caller): Known) -> Result<HttpResponse, Refusal> {
    let (summary, _) = app.reports.overview.summary(&caller, own(&caller)?).await?;
    Ok(text(StatusCode::OK, summary.counts.transactions.to_string()))
}

fn own(caller: &Caller) -> Result<PatientId, Refusal> {
    caller.patient.ok_or(Refusal::said(StatusCode::FORBIDDEN, "only a patient has diagnoses and bills of their own"))
}

/// What a report is made of: the diagnosis, the patient, the doctor, and the address of the image
#[utoipa::path(tag = "Replaced system", security(("legacyToken" = [], "legacyUid" = [])), responses((status = 200, body = Vec<serde_json::Value>)))]
#[get("/api/report/getReportData/{diagnosisID}")]
async fn report_data(
    app: web::Data<App>,
    Known(caller): Known,
    diagnosis: web::Path<String>,
) -> Result<HttpResponse, Refusal> {
    let diagnosis = id::parse(&diagnosis).ok_or_else(Refusal::not_found)?;
    let (detail, author) = app.reports.overview.diagnosis_with_author(&caller, diagnosis).await?;
    let (summary, reach) = app.reports.overview.summary(&caller, detail.patient.id).await?;
    let patient = UserBody::of_patient(&detail.patient, &summary.totals, reach);
    let url = url_of(&app, &caller, &detail).await?;
    Ok(json(&(detail_body(&detail), patient, UserBody::of_staff(&author), url)))
}

/// What was entered in error has no place in these answers: their readers could not tell it.
async fn of_patient(app: &App, caller: &Caller, patient: PatientId) -> Result<Vec<ListedDiagnosis>, Refusal> {
    let statuses = vec![DiagnosisStatus::Draft, DiagnosisStatus::Confirmed, DiagnosisStatus::Amended];
    let filter = DiagnosisFilter { patient: Some(patient), statuses, ..DiagnosisFilter::default() };
    lists::whole(async |page| Ok(app.diagnoses.overview.diagnoses(caller, filter.clone(), &page).await?)).await
}

fn body(listed: &ListedDiagnosis) -> DiagnosisBody {
    DiagnosisBody::new(&listed.diagnosis, listed.modality, listed.images.first().map(|image| image.id))
}

fn detail_body(detail: &DiagnosisDetail) -> DiagnosisBody {
    let modality = detail.study.as_ref().map(|study| study.modality);
    DiagnosisBody::new(&detail.diagnosis, modality, detail.images.first().map(|image| image.id))
}

async fn url_of(app: &App, caller: &Caller, detail: &DiagnosisDetail) -> Result<String, Refusal> {
    let Some(image) = detail.images.first() else { return Ok(String::new()) };
    let link = app.studies.queries.link(caller, image.id).await?;
    Ok(address(image.id, image.format, Some(link)))
}

/// These clients show pictures, and no DICOM: of that, they are given the preview.
fn address(image: ImageId, format: ImageFormat, link: Option<SignedLink>) -> String {
    let view = if format == ImageFormat::Dicom { files::View::Preview } else { files::View::Content };
    link.map_or_else(String::new, |link| files::address(&id::name(image), &link, view))
}
