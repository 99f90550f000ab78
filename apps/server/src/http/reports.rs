//! `/v1/reports`: what the house says of a diagnosis, on paper.

use std::pin::Pin;

use actix_web::{FromRequest, HttpRequest, HttpResponse, Responder, dev::Payload, get, post, web};
use infirmary_diagnosis::Diagnosis;
use infirmary_kernel::{
    AccountId, BirthDate, Caller, DiagnosisId, FileName, House, LongText, PatientId, Permission, PersonName,
    PostalAddress, Reach, Receipt, ReportId, Sha256Digest, ShortText, StudyId, Timestamp, marker,
};
use infirmary_reports::{MAX_PDF_BYTES, Queries, ReceivePdf, Report, ReportFilter, ReportStatus, ReportView, Source};
use infirmary_workflows::{DiagnosisDetail, IssueReport, Issued, OverviewQueries};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    App,
    diagnoses::StatusBody,
    download::{Asked, Offer, Way, elsewhere},
    extract::{Body, Params, PathId, SignedIn, created, page},
    images::ImageBody,
    links::LinkBody,
    money::MoneyBody,
    page::PageBody,
    patients::Sex,
    problem::{Problem, ProblemBody},
    studies::unknown_part,
    upload::{OVERHEAD_BYTES, Upload, is_form_data},
};

pub struct Reports {
    pub receive: ReceivePdf,
    pub issue: IssueReport,
    pub queries: Queries,
    pub overview: OverviewQueries,
    pub house: House,
    /// Where a verification code is asked for: the code follows it.
    pub verification_base_url: String,
}

pub fn routes(config: &mut impl crate::http::Operations) {
    config
        .service(Permission::IssueReports, issue)
        .service(Permission::ReadReports, list)
        .service(Permission::ReadReports, read_report)
        .service(Permission::ReadReports, download)
        .service(Permission::ReadReports, link)
        .service(Permission::ReadStudies, report_data)
        .service(Permission::ReadPatient, summary);
}

const MAX_BODY_BYTES: u64 = MAX_PDF_BYTES + OVERHEAD_BYTES;
/// Of the part `diagnosisId`.
const MAX_ID_BYTES: usize = 100;

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Report)]
pub struct ReportBody {
    #[schema(value_type = String, format = Uuid)]
    id: ReportId,
    #[schema(value_type = String, format = Uuid)]
    diagnosis_id: DiagnosisId,
    /// The version that is reported.
    diagnosis_version: u32,
    #[schema(value_type = String, format = Uuid)]
    patient_id: PatientId,
    #[schema(value_type = String, format = Uuid)]
    issued_by: AccountId,
    #[schema(value_type = String, format = DateTime)]
    issued_at: Timestamp,
    status: ReportStatusBody,
    source: SourceBody,
    /// What the client called an uploaded one.
    #[schema(value_type = Option<String>)]
    file_name: Option<FileName>,
    bytes: u64,
    #[schema(value_type = String)]
    sha256: Sha256Digest,
    /// What anyone who holds the report can check it by.
    #[schema(example = "4CRXG-0M52E-9T7QK-3J8WB-ZV6YHD")]
    verification_code: String,
    verification_url: String,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ReportStatus)]
pub enum ReportStatusBody {
    Current,
    /// The diagnosis has a newer version than the one reported.
    Superseded,
}

impl From<ReportStatus> for ReportStatusBody {
    fn from(status: ReportStatus) -> Self {
        match status {
            ReportStatus::Current => Self::Current,
            ReportStatus::Superseded => Self::Superseded,
        }
    }
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ReportSource)]
enum SourceBody {
    /// Set here, from the record.
    Typeset,
    /// Made elsewhere.
    Uploaded,
}

impl ReportBody {
    fn new(base_url: &str, view: &ReportView) -> Self {
        let ReportView { report, status } = view;
        let (source, file_name) = match &report.source {
            Source::Typeset => (SourceBody::Typeset, None),
            Source::Uploaded { file_name } => (SourceBody::Uploaded, file_name.clone()),
        };
        Self {
            id: report.id,
            diagnosis_id: report.diagnosis,
            diagnosis_version: report.diagnosis_version,
            patient_id: report.patient,
            issued_by: report.issued_by,
            issued_at: report.issued_at,
            status: (*status).into(),
            source,
            file_name,
            bytes: report.object.bytes,
            sha256: report.object.sha256,
            verification_code: report.code.to_string(),
            verification_url: format!("{base_url}/verify/{}", report.code),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewReport)]
struct NewReportBody {
    #[schema(value_type = String, format = Uuid)]
    diagnosis_id: DiagnosisId,
}

/// The body of an upload, for the document: a handler reads it part by part.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ReportUpload)]
#[expect(dead_code, reason = "it is the shape that is documented")]
struct ReportUploadBody {
    #[schema(format = Uuid)]
    diagnosis_id: String,
    /// A PDF up to 10 MiB and 500 pages: not encrypted, without scripts, actions and attachments.
    #[schema(value_type = String, format = Binary, content_media_type = "application/pdf")]
    file: Vec<u8>,
}

/// As JSON it is set here; as a form it brings its PDF.
enum NewReport {
    Typeset(Body<NewReportBody>),
    Uploaded(Upload),
}

impl FromRequest for NewReport {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        if is_form_data(request) {
            let upload = Upload::from_request(request, payload);
            Box::pin(async move { Ok(Self::Uploaded(upload.await?)) })
        } else {
            let body = Body::from_request(request, payload);
            Box::pin(async move { Ok(Self::Typeset(body.await?)) })
        }
    }
}

/// Issue the report of a confirmed diagnosis: set here, or made elsewhere and uploaded; it is charged once
///
/// A version of a diagnosis has one report: when it is there, it is given back (200).
#[utoipa::path(tag = "Reports", security(("token" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat")),
    request_body(content((NewReportBody = "application/json"), (ReportUploadBody = "multipart/form-data"))),
    responses((status = 201, body = ReportBody), (status = 200, body = ReportBody, description = "The one that is there"),
        (status = 409, body = ProblemBody, description = "The diagnosis is not confirmed"), (status = 413, body = ProblemBody), (status = 415, body = ProblemBody)))]
#[post("/v1/reports")]
async fn issue(app: web::Data<App>, SignedIn(caller): SignedIn, new: NewReport) -> Result<HttpResponse, Problem> {
    let base_url = &app.reports.verification_base_url;
    let told = |view: &ReportView| Receipt::json(&ReportBody::new(base_url, view));
    let issued = match new {
        NewReport::Typeset(body) => {
            let NewReportBody { diagnosis_id } = body.value;
            app.reports.issue.typeset(&caller, diagnosis_id, body.idempotency, told).await?
        }
        NewReport::Uploaded(upload) => {
            let mut parts = upload.within(MAX_BODY_BYTES)?;
            let (mut diagnosis, mut file) = (None, None);
            while let Some(part) = parts.next().await? {
                match part.name() {
                    "diagnosisId" => diagnosis = Some(diagnosis_of(&part.whole(MAX_ID_BYTES).await?)?),
                    "file" if file.is_none() => {
                        let name = part.file_name();
                        file = Some(app.reports.receive.run(&caller, name.as_deref(), part.into_stream()).await?);
                    }
                    _ => return Err(unknown_part("diagnosisId and file, each once")),
                }
            }
            let required = |name| infirmary_kernel::Invalid::new(name, "is required as a part of the form");
            let diagnosis = diagnosis.ok_or_else(|| required("/diagnosisId"))?;
            let pdf = file.ok_or_else(|| required("/file"))?;
            let (sha256, name) = (pdf.staged.sha256(), pdf.file_name.clone());
            let name = name.as_ref().map_or("", FileName::as_str);
            let diagnosed = diagnosis.as_uuid();
            let asked = [diagnosed.as_bytes().as_slice(), sha256.as_bytes(), name.as_bytes()];
            let idempotency = parts.idempotency(asked);
            app.reports.issue.uploaded(&caller, diagnosis, pdf, idempotency, told).await?
        }
    };
    Ok(match issued {
        Issued::Now(done) => created(done.into_receipt()),
        Issued::Already(view) => HttpResponse::Ok().json(ReportBody::new(base_url, &view)),
    })
}

fn diagnosis_of(text: &[u8]) -> Result<DiagnosisId, Problem> {
    let id = std::str::from_utf8(text).unwrap_or_default().trim();
    Ok(DiagnosisId::parse(id).map_err(|invalid| invalid.at("/diagnosisId"))?)
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    #[param(value_type = Option<String>, format = Uuid)]
    patient_id: Option<PatientId>,
    #[param(value_type = Option<String>, format = Uuid)]
    diagnosis_id: Option<DiagnosisId>,
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    cursor: Option<String>,
}

/// List reports, newest first; a patient gets their own
#[utoipa::path(tag = "Reports", params(ListParams), security(("token" = [])), responses((status = 200, body = PageBody<ReportBody>)))]
#[get("/v1/reports")]
async fn list(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    Params(params): Params<ListParams>,
) -> Result<impl Responder, Problem> {
    let filter = ReportFilter { patient: params.patient_id, diagnosis: params.diagnosis_id, reader: None };
    let request = page(params.limit, params.cursor.as_deref())?;
    let found = app.reports.queries.reports(&caller, &filter, &request).await?;
    let base_url = &app.reports.verification_base_url;
    Ok(web::Json(PageBody::from(found.map(|view| ReportBody::new(base_url, &view)))))
}

/// Read what is known of a report
#[utoipa::path(tag = "Reports", security(("token" = [])), responses((status = 200, body = ReportBody)))]
#[get("/v1/reports/{id}")]
async fn read_report(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Report>,
) -> Result<impl Responder, Problem> {
    let view = app.reports.queries.report(&caller, id).await?;
    Ok(web::Json(ReportBody::new(&app.reports.verification_base_url, &view)))
}

/// Download the PDF of a report, or one range of its bytes
#[utoipa::path(tag = "Reports", security(("token" = [])),
    params(("Range" = Option<String>, Header, description = "One range of bytes"), ("If-None-Match" = Option<String>, Header)),
    responses((status = 200, content_type = "application/pdf", body = Vec<u8>), (status = 206, content_type = "application/pdf", body = Vec<u8>), (status = 304),
        (status = 416, body = ProblemBody)))]
#[get("/v1/reports/{id}/pdf")]
async fn download(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Report>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    pdf_for(&app, &caller, id, &request, Way::Here).await
}

pub async fn pdf_for(
    app: &App,
    caller: &Caller,
    id: ReportId,
    request: &HttpRequest,
    way: Way,
) -> Result<HttpResponse, Problem> {
    let pdf = app.reports.queries.pdf(caller, id).await?;
    let Report { object, source, .. } = &pdf.view.report;
    let own_name = match source {
        Source::Uploaded { file_name: Some(name) } => Some(name.as_str().to_owned()),
        Source::Typeset | Source::Uploaded { file_name: None } => None,
    };
    let offer = Offer {
        media_type: "application/pdf",
        bytes: object.bytes,
        sha256: object.sha256,
        file_name: &own_name.unwrap_or_else(|| format!("report-{id}.pdf")),
        shown: true,
    };
    let asked = offer.asked(request)?;
    if asked != Asked::NotModified
        && way == Way::HereOrElsewhere
        && let Some(url) = pdf.signed_url(&offer.served()).await?
    {
        return Ok(elsewhere(&url));
    }
    let read = match &asked {
        Asked::NotModified => return Ok(offer.not_modified()),
        Asked::Whole => pdf.read(None).await?,
        Asked::Part(range) => pdf.read(Some(range.clone())).await?,
    };
    Ok(offer.respond(&asked, read))
}

/// Make a link to the PDF of a report, which works without a header for some minutes
///
/// It dies with the session that asked for it.
#[utoipa::path(tag = "Reports", security(("token" = [])), responses((status = 200, body = LinkBody)))]
#[post("/v1/reports/{id}/link")]
async fn link(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Report>,
) -> Result<impl Responder, Problem> {
    let signed = app.reports.queries.link(&caller, id).await?;
    Ok(web::Json(LinkBody::new(&app.links, &signed, false)))
}

/// All that a page needs to show a report, as the PDF would say it today.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReportData)]
struct ReportDataBody {
    house: HouseBody,
    patient: ReportPatientBody,
    study: Option<ReportStudyBody>,
    /// The procedures, in words.
    tasks: Vec<String>,
    images: Vec<ImageBody>,
    #[schema(value_type = String, format = Uuid)]
    diagnosis_id: DiagnosisId,
    status: StatusBody,
    version: u32,
    #[schema(value_type = String)]
    disease: ShortText,
    #[schema(value_type = String)]
    findings: LongText,
    #[schema(value_type = String)]
    conditions: LongText,
    /// Who recorded it.
    author: SignerBody,
    /// Who stands for it; `null` for a draft.
    confirmed_by: Option<SignerBody>,
    amendment: Option<ReportAmendmentBody>,
    /// The newest report of the diagnosis.
    report: Option<ReportBody>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = House)]
struct HouseBody {
    #[schema(value_type = String)]
    name: ShortText,
    #[schema(value_type = Option<String>)]
    address: Option<PostalAddress>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReportPatient)]
struct ReportPatientBody {
    #[schema(value_type = String, format = Uuid)]
    id: PatientId,
    #[schema(value_type = String)]
    name: PersonName,
    mrn: String,
    #[schema(value_type = Option<String>, format = Date)]
    birth_date: Option<BirthDate>,
    sex: Option<Sex>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReportStudy)]
struct ReportStudyBody {
    #[schema(value_type = String, format = Uuid)]
    id: StudyId,
    modality: &'static str,
    /// The modality in words.
    modality_name: &'static str,
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReportSigner)]
struct SignerBody {
    #[schema(value_type = String)]
    name: PersonName,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReportAmendment)]
struct ReportAmendmentBody {
    #[schema(value_type = String)]
    reason: ShortText,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl ReportDataBody {
    fn new(reports: &Reports, detail: DiagnosisDetail) -> Self {
        let DiagnosisDetail { diagnosis, patient, author, confirmed_by, study, images, tasks, report } = detail;
        let Diagnosis { content, confirmed, amendment, .. } = diagnosis;
        Self {
            house: HouseBody { name: reports.house.name.clone(), address: reports.house.address.clone() },
            patient: ReportPatientBody {
                id: patient.id,
                name: patient.name,
                mrn: patient.mrn.to_string(),
                birth_date: patient.birth_date,
                sex: patient.sex.map(Sex::from),
            },
            study: study.map(|study| ReportStudyBody {
                id: study.id,
                modality: study.modality.as_str(),
                modality_name: study.modality.name(),
                recorded_at: study.recorded_at,
            }),
            tasks,
            images: images.iter().map(ImageBody::from).collect(),
            diagnosis_id: diagnosis.id,
            status: diagnosis.status.into(),
            version: diagnosis.version,
            disease: content.disease,
            findings: content.findings,
            conditions: content.conditions,
            confirmed_by: confirmed
                .map(|confirmed| SignerBody { name: confirmed_by.unwrap_or_else(|| author.clone()), at: confirmed.at }),
            author: SignerBody { name: author, at: diagnosis.recorded_at },
            amendment: amendment.map(|amendment| ReportAmendmentBody { reason: amendment.reason, at: amendment.at }),
            report: report.as_ref().map(|view| ReportBody::new(&reports.verification_base_url, view)),
        }
    }
}

/// Read all that is needed to show the report of a diagnosis
#[utoipa::path(tag = "Reports", security(("token" = [])), responses((status = 200, body = ReportDataBody)))]
#[get("/v1/diagnoses/{id}/report-data")]
async fn report_data(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Diagnosis>,
) -> Result<impl Responder, Problem> {
    let detail = app.reports.overview.diagnosis(&caller, id).await?;
    Ok(web::Json(ReportDataBody::new(&app.reports, detail)))
}

/// The numbers of a patient's home page; an accountant sees the balance only.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PatientSummary)]
struct SummaryBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnoses: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reports: Option<u64>,
    /// Charges that are not void.
    #[serde(skip_serializing_if = "Option::is_none")]
    transactions: Option<u64>,
    /// What is still to be paid.
    balance: MoneyBody,
}

/// Read the numbers of a patient's home page
#[utoipa::path(tag = "Patients", security(("token" = [])), responses((status = 200, body = SummaryBody)))]
#[get("/v1/patients/{id}/summary")]
async fn summary(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Patient>,
) -> Result<impl Responder, Problem> {
    let (summary, reach) = app.reports.overview.summary(&caller, id).await?;
    let shown = |count| (reach != Reach::Billing).then_some(count);
    Ok(web::Json(SummaryBody {
        diagnoses: shown(summary.counts.diagnoses),
        images: shown(summary.counts.images),
        reports: shown(summary.counts.reports),
        transactions: shown(summary.counts.transactions),
        balance: summary.totals.balance().into(),
    }))
}
