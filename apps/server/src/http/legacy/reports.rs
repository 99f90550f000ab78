//! Reports: uploaded, and listed.

use actix_web::{HttpResponse, get, http::StatusCode, post, web};
use infirmary_diagnosis::DiagnosisStatus;
use infirmary_kernel::{DiagnosisId, FileName, Invalid, PatientId, Permission, Receipt, ReportId, Role};
use infirmary_reports::{ReceivedPdf, ReportError, ReportFilter, ReportView};
use infirmary_workflows::Issued;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    Refusal,
    body::{Unread, loose, required},
    caller::Known,
    documents::ReportBody,
    done, files, json, lists, text,
    upload::Upload,
};
use crate::{
    http::{App, access::Access, problem::Problem},
    legacy::id,
};

pub fn routes(config: &mut impl crate::http::Operations) {
    config
        .service(Access::WithEither(Permission::IssueReports, Permission::RecordForDoctors), upload_report)
        .service(Permission::ReadReports, reports);
}

/// Beside the file.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewLegacyReport)]
struct NewReportBody {
    /// Base64; a PDF up to 10 MiB.
    #[expect(dead_code, reason = "it was taken out on its way in")]
    #[serde(default, deserialize_with = "loose")]
    #[schema(value_type = String)]
    file: Option<String>,
    #[serde(rename = "fileName", default, deserialize_with = "loose")]
    #[schema(value_type = String)]
    file_name: Option<String>,
    #[serde(rename = "patientID", default, deserialize_with = "loose")]
    #[schema(value_type = String)]
    patient: Option<String>,
    #[serde(rename = "diagnosisID", default, deserialize_with = "loose")]
    #[schema(value_type = String)]
    diagnosis: Option<String>,
}

const ALL_FIELDS: &str = "all fields are required";

/// Upload the report on a diagnosis; it is charged once
///
/// Whoever uploads it stands for the diagnosis: a draft is confirmed by it.
#[utoipa::path(tag = "Replaced system", security(("legacyToken" = [], "legacyUid" = [])), request_body = NewReportBody,
    responses((status = 200, content_type = "text/html", body = String), (status = 201, content_type = "text/html", body = String, description = "There is one already"),
        (status = 400, content_type = "text/html", body = String), (status = 413, content_type = "text/html", body = String)))]
#[post("/api/report/upload")]
async fn upload_report(app: web::Data<App>, Known(caller): Known, body: Unread) -> Result<HttpResponse, Refusal> {
    let for_doctor = caller.role == Role::Admin;
    let receive = &app.reports.receive;
    let mut upload = Upload::begin(&app, body, "file").await?;
    let pdf = if for_doctor {
        receive.run_for_doctor(&caller, None, upload.stream()).await
    } else {
        receive.run(&caller, None, upload.stream()).await
    };
    if let Some(refusal) = upload.refusal() {
        return Err(refusal);
    }
    let pdf = match pdf {
        Ok(pdf) => Some(pdf),
        Err(error) if upload.has_file() || matches!(error, ReportError::Access(_)) => return Err(error.into()),
        Err(_) => None,
    };
    let NewReportBody { file_name, patient, diagnosis, .. } = upload.fields().await?;
    let name = required(file_name, ALL_FIELDS)?;
    let (patient, diagnosis) = (required(patient, ALL_FIELDS)?, required(diagnosis, ALL_FIELDS)?);
    let pdf = pdf.ok_or(Refusal::bad(ALL_FIELDS))?;
    let pdf = ReceivedPdf { file_name: FileName::of_upload(&name), ..pdf };
    let diagnosis: DiagnosisId = id::parse(&diagnosis).ok_or_else(Refusal::not_found)?;
    let patient: Option<PatientId> = id::parse(&patient);

    let known = app.diagnoses.queries.diagnosis(&caller, diagnosis).await?;
    if patient != Some(known.patient) {
        return Err(Invalid::new("/patientID", "is not the patient of the diagnosis").into());
    }
    let is_draft = known.status == DiagnosisStatus::Draft;
    if is_draft {
        let confirm = &app.diagnoses.confirm;
        if for_doctor {
            confirm.run_for_doctor(&caller, diagnosis, Some(known.version)).await?;
        } else {
            confirm.run(&caller, diagnosis, Some(known.version)).await?;
        }
    }
    let told = |_: &ReportView| Receipt::from_bytes(Vec::new());
    let issued = if for_doctor {
        app.reports.issue.uploaded_for_doctor(&caller, diagnosis, pdf, None, told).await
    } else {
        app.reports.issue.uploaded(&caller, diagnosis, pdf, None, told).await
    };
    let issued = issued.map_err(|error| {
        let problem = Problem::from(error);
        if is_draft { problem.after_others() } else { problem }
    })?;
    Ok(match issued {
        Issued::Now(_) => done("items added"),
        // As it is spelled there.
        Issued::Already(_) => text(StatusCode::CREATED, "exisits"),
    })
}

/// The reports of a patient, newest first
#[utoipa::path(tag = "Replaced system", security(("legacyToken" = [], "legacyUid" = [])), responses((status = 200, body = Vec<ReportBody>)))]
#[get("/api/report/getReportPatient/{patientID}")]
async fn reports(
    app: web::Data<App>,
    Known(caller): Known,
    patient: web::Path<String>,
) -> Result<HttpResponse, Refusal> {
    let patient: PatientId = id::parse(&patient).ok_or_else(Refusal::not_found)?;
    let filter = ReportFilter { patient: Some(patient), ..ReportFilter::default() };
    let queries = &app.reports.queries;
    let found = lists::whole(async |page| Ok(queries.reports(&caller, &filter, &page).await?)).await?;
    let ids: Vec<ReportId> = found.iter().map(|view| view.report.id).collect();
    let links = queries.links(&caller, patient, &ids).await?;
    let address = |view: &ReportView, link| files::address(&id::name(view.report.id), link, files::View::Content);
    let bodies = found.iter().zip(&links).map(|(view, link)| ReportBody::new(view, address(view, link)));
    Ok(json(&bodies.collect::<Vec<_>>()))
}
