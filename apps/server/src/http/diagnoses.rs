//! `/v1/diagnoses`: what doctors say of their patients.

use actix_web::{HttpResponse, Responder, get, patch, post, web};
use infirmary_diagnosis::{
    AmendDiagnosis, Amendment, ChangeDraft, ConfirmDiagnosis, Content, ContentChange, Diagnosis, DiagnosisFilter,
    DiagnosisStatus, DiagnosisVersion, NewDiagnosis, Queries, Reasoned, RecordDiagnosis, RetractDiagnosis, Signature,
};
use infirmary_kernel::{
    AccountId, DiagnosisId, Done, FileName, ImageId, LongText, PatientId, Permission, PersonName, Receipt, ReportId,
    ShortText, StudyId, Timestamp, marker,
};
use infirmary_reports::ReportView;
use infirmary_workflows::{DiagnosisDetail, ListedDiagnosis, ListedImage, OverviewQueries};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    App,
    extract::{Body, IfMatch, JSON, Params, PathId, SignedIn, created, etag, page},
    page::PageBody,
    problem::{Problem, ProblemBody},
};

pub struct Diagnoses {
    pub record: RecordDiagnosis,
    pub change: ChangeDraft,
    pub confirm: ConfirmDiagnosis,
    pub amend: AmendDiagnosis,
    pub retract: RetractDiagnosis,
    pub queries: Queries,
    pub overview: OverviewQueries,
}

pub fn routes(config: &mut impl crate::http::Operations) {
    config
        .service(Permission::ReadStudies, list)
        .service(Permission::WriteStudies, record)
        .service(Permission::ReadStudies, read)
        .service(Permission::WriteStudies, change)
        .service(Permission::WriteStudies, confirm)
        .service(Permission::WriteStudies, amend)
        .service(Permission::WriteStudies, retract)
        .service(Permission::ReadStudies, versions);
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DiagnosisStatus)]
pub enum StatusBody {
    Draft,
    Confirmed,
    Amended,
    EnteredInError,
}

impl From<DiagnosisStatus> for StatusBody {
    fn from(status: DiagnosisStatus) -> Self {
        match status {
            DiagnosisStatus::Draft => Self::Draft,
            DiagnosisStatus::Confirmed => Self::Confirmed,
            DiagnosisStatus::Amended => Self::Amended,
            DiagnosisStatus::EnteredInError => Self::EnteredInError,
        }
    }
}

impl From<StatusBody> for DiagnosisStatus {
    fn from(status: StatusBody) -> Self {
        match status {
            StatusBody::Draft => Self::Draft,
            StatusBody::Confirmed => Self::Confirmed,
            StatusBody::Amended => Self::Amended,
            StatusBody::EnteredInError => Self::EnteredInError,
        }
    }
}

/// Who, and when.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Signature)]
struct SignatureBody {
    #[schema(value_type = String, format = Uuid)]
    by: AccountId,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl From<Signature> for SignatureBody {
    fn from(Signature { by, at }: Signature) -> Self {
        Self { by, at }
    }
}

/// Who, when, and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reasoned)]
struct ReasonedBody {
    #[schema(value_type = String)]
    reason: ShortText,
    #[schema(value_type = String, format = Uuid)]
    by: AccountId,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl From<&Reasoned> for ReasonedBody {
    fn from(Reasoned { reason, by, at }: &Reasoned) -> Self {
        Self { reason: reason.clone(), by: *by, at: *at }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Diagnosis)]
pub struct DiagnosisBody {
    #[schema(value_type = String, format = Uuid)]
    id: DiagnosisId,
    #[schema(value_type = String, format = Uuid)]
    patient_id: PatientId,
    /// The images it was made from, if any.
    #[schema(value_type = Option<String>, format = Uuid)]
    study_id: Option<StudyId>,
    /// The account of the doctor who recorded it.
    #[schema(value_type = String, format = Uuid)]
    doctor_id: AccountId,
    #[schema(value_type = String)]
    disease: ShortText,
    #[schema(value_type = String)]
    findings: LongText,
    #[schema(value_type = String)]
    conditions: LongText,
    status: StatusBody,
    /// 1 when recorded, one more at each change.
    version: u32,
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
    updated: SignatureBody,
    confirmed: Option<SignatureBody>,
    /// The last one.
    amendment: Option<ReasonedBody>,
    /// Why it was entered in error.
    retraction: Option<ReasonedBody>,
}

impl From<&Diagnosis> for DiagnosisBody {
    fn from(diagnosis: &Diagnosis) -> Self {
        let Content { disease, findings, conditions } = diagnosis.content.clone();
        Self {
            id: diagnosis.id,
            patient_id: diagnosis.patient,
            study_id: diagnosis.study,
            doctor_id: diagnosis.author,
            disease,
            findings,
            conditions,
            status: diagnosis.status.into(),
            version: diagnosis.version,
            recorded_at: diagnosis.recorded_at,
            updated: diagnosis.updated.into(),
            confirmed: diagnosis.confirmed.map(SignatureBody::from),
            amendment: diagnosis.amendment.as_ref().map(ReasonedBody::from),
            retraction: diagnosis.retraction.as_ref().map(ReasonedBody::from),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DiagnosisImage)]
struct ImageBody {
    #[schema(value_type = String, format = Uuid)]
    id: ImageId,
    /// Its place in the study, from 0.
    position: u16,
    #[schema(example = "image/png")]
    media_type: &'static str,
    /// What the client called it.
    #[schema(value_type = Option<String>)]
    file_name: Option<FileName>,
    /// Whether there is a preview of it.
    has_preview: bool,
}

impl From<ListedImage> for ImageBody {
    fn from(image: ListedImage) -> Self {
        let ListedImage { id, position, format, file_name, has_preview } = image;
        Self { id, position, media_type: format.media_type(), file_name, has_preview }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DiagnosisReport)]
struct ReportBody {
    #[schema(value_type = String, format = Uuid)]
    id: ReportId,
    /// `superseded`: it is of an older version than this one.
    #[schema(example = "current")]
    status: &'static str,
    diagnosis_version: u32,
    #[schema(value_type = String, format = DateTime)]
    issued_at: Timestamp,
}

impl From<&ReportView> for ReportBody {
    fn from(ReportView { report, status }: &ReportView) -> Self {
        Self {
            id: report.id,
            status: status.as_str(),
            diagnosis_version: report.diagnosis_version,
            issued_at: report.issued_at,
        }
    }
}

/// A diagnosis as a list shows it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ListedDiagnosis)]
struct ListedBody {
    #[serde(flatten)]
    diagnosis: DiagnosisBody,
    #[schema(value_type = String)]
    patient_name: PersonName,
    #[schema(value_type = String)]
    doctor_name: PersonName,
    images: Vec<ImageBody>,
    /// The newest one.
    report: Option<ReportBody>,
}

impl From<ListedDiagnosis> for ListedBody {
    fn from(listed: ListedDiagnosis) -> Self {
        Self {
            diagnosis: (&listed.diagnosis).into(),
            patient_name: listed.patient,
            doctor_name: listed.author,
            images: listed.images.into_iter().map(ImageBody::from).collect(),
            report: listed.report.as_ref().map(ReportBody::from),
        }
    }
}

/// A diagnosis with all that is shown beside it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DiagnosisDetail)]
struct DetailBody {
    #[serde(flatten)]
    diagnosis: DiagnosisBody,
    #[schema(value_type = String)]
    patient_name: PersonName,
    patient_mrn: String,
    #[schema(value_type = String)]
    doctor_name: PersonName,
    #[schema(value_type = Option<String>)]
    confirmed_by_name: Option<PersonName>,
    /// Of the study; a term of DICOM.
    #[schema(example = "CT")]
    modality: Option<&'static str>,
    /// What the study was charged for.
    tasks: Vec<String>,
    images: Vec<ImageBody>,
    /// The newest one.
    report: Option<ReportBody>,
}

impl From<DiagnosisDetail> for DetailBody {
    fn from(detail: DiagnosisDetail) -> Self {
        Self {
            diagnosis: (&detail.diagnosis).into(),
            patient_name: detail.patient.name,
            patient_mrn: detail.patient.mrn.to_string(),
            doctor_name: detail.author,
            confirmed_by_name: detail.confirmed_by,
            modality: detail.study.map(|study| study.modality.as_str()),
            tasks: detail.tasks,
            images: detail.images.iter().map(|image| ListedImage::from(image).into()).collect(),
            report: detail.report.as_ref().map(ReportBody::from),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    #[param(value_type = Option<String>, format = Uuid)]
    patient_id: Option<PatientId>,
    #[param(value_type = Option<String>, format = Uuid)]
    doctor_id: Option<AccountId>,
    status: Option<StatusBody>,
    /// Recorded from this moment on.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Recorded before this moment.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    cursor: Option<String>,
}

/// List diagnoses, newest first; a patient gets their own that are confirmed
#[utoipa::path(tag = "Diagnoses", params(ListParams), security(("token" = [])), responses((status = 200, body = PageBody<ListedBody>)))]
#[get("/v1/diagnoses")]
async fn list(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    Params(params): Params<ListParams>,
) -> Result<impl Responder, Problem> {
    let filter = DiagnosisFilter {
        patient: params.patient_id,
        author: params.doctor_id,
        statuses: params.status.map(DiagnosisStatus::from).into_iter().collect(),
        from: params.from,
        to: params.to,
        reader: None,
    };
    let request = page(params.limit, params.cursor.as_deref())?;
    let found = app.diagnoses.overview.diagnoses(&caller, filter, &request).await?;
    Ok(web::Json(PageBody::from(found.map(ListedBody::from))))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewDiagnosis)]
struct NewDiagnosisBody {
    #[schema(value_type = String, format = Uuid)]
    patient_id: PatientId,
    #[schema(value_type = String, min_length = 1, max_length = 500)]
    disease: ShortText,
    #[schema(value_type = String, max_length = 20000)]
    findings: LongText,
    #[schema(value_type = Option<String>, max_length = 20000)]
    conditions: Option<LongText>,
    /// Confirm it at once; else it is a draft.
    #[serde(default)]
    confirmed: bool,
}

/// Record a diagnosis without images; the signed-in doctor is its author
#[utoipa::path(tag = "Diagnoses", request_body = NewDiagnosisBody, security(("token" = [])), responses((status = 201, body = DiagnosisBody)))]
#[post("/v1/diagnoses")]
async fn record(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    body: Body<NewDiagnosisBody>,
) -> Result<HttpResponse, Problem> {
    let NewDiagnosisBody { patient_id: patient, disease, findings, conditions, confirmed } = body.value;
    let conditions = conditions.unwrap_or_default();
    let new = NewDiagnosis { patient, content: Content { disease, findings, conditions }, confirmed };
    let told = |diagnosis: &Diagnosis| Receipt::json(&DiagnosisBody::from(diagnosis));
    let done = app.diagnoses.record.run(&caller, new, body.idempotency, told).await?;
    Ok(created(done.into_receipt()))
}

/// Read a diagnosis with the names of patient and doctor, its images and its report
#[utoipa::path(tag = "Diagnoses", security(("token" = [])), responses((status = 200, body = DetailBody)))]
#[get("/v1/diagnoses/{id}")]
async fn read(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Diagnosis>,
) -> Result<HttpResponse, Problem> {
    let detail = app.diagnoses.overview.diagnosis(&caller, id).await?;
    Ok(HttpResponse::Ok().insert_header(etag(detail.diagnosis.version)).json(DetailBody::from(detail)))
}

/// Fields that are absent stay.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = DiagnosisChange)]
struct ChangeBody {
    #[schema(value_type = Option<String>)]
    disease: Option<ShortText>,
    #[schema(value_type = Option<String>)]
    findings: Option<LongText>,
    #[schema(value_type = Option<String>)]
    conditions: Option<LongText>,
}

/// Change a draft; only its author may
#[utoipa::path(tag = "Diagnoses", request_body = ChangeBody, security(("token" = [])), params(("If-Match" = String, Header, description = "The ETag that you saw")),
    responses((status = 200, body = DiagnosisBody), (status = 409, body = ProblemBody, description = "It is no draft any more"), (status = 412, body = ProblemBody), (status = 428, body = ProblemBody)))]
#[patch("/v1/diagnoses/{id}")]
async fn change(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Diagnosis>,
    IfMatch(version): IfMatch,
    body: Body<ChangeBody>,
) -> Result<HttpResponse, Problem> {
    let ChangeBody { disease, findings, conditions } = body.value;
    let change = ContentChange { disease, findings, conditions };
    Ok(changed(&app.diagnoses.change.run(&caller, id, version, change).await?))
}

/// Confirm a draft, as its author or as another doctor; from now on the patient sees it
#[utoipa::path(tag = "Diagnoses", security(("token" = [])), params(("If-Match" = Option<String>, Header, description = "With it, only what you saw is confirmed")),
    responses((status = 200, body = DiagnosisBody), (status = 409, body = ProblemBody, description = "It is no draft any more")))]
#[post("/v1/diagnoses/{id}/confirm")]
async fn confirm(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Diagnosis>,
    seen: Option<IfMatch>,
) -> Result<HttpResponse, Problem> {
    Ok(changed(&app.diagnoses.confirm.run(&caller, id, seen.map(|IfMatch(version)| version)).await?))
}

/// At least one field besides the reason has to be different.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Amendment)]
struct AmendmentBody {
    #[schema(value_type = String, min_length = 1, max_length = 500)]
    reason: ShortText,
    #[schema(value_type = Option<String>)]
    disease: Option<ShortText>,
    #[schema(value_type = Option<String>)]
    findings: Option<LongText>,
    #[schema(value_type = Option<String>)]
    conditions: Option<LongText>,
}

/// Change what is confirmed, with a reason: a new version, which makes its report superseded
#[utoipa::path(tag = "Diagnoses", request_body = AmendmentBody, security(("token" = [])), params(("If-Match" = Option<String>, Header, description = "With it, only what you saw is amended")),
    responses((status = 200, body = DiagnosisBody), (status = 409, body = ProblemBody, description = "It is not confirmed")))]
#[post("/v1/diagnoses/{id}/amend")]
async fn amend(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Diagnosis>,
    seen: Option<IfMatch>,
    body: Body<AmendmentBody>,
) -> Result<HttpResponse, Problem> {
    let AmendmentBody { reason, disease, findings, conditions } = body.value;
    let amendment = Amendment { change: ContentChange { disease, findings, conditions }, reason };
    let seen = seen.map(|IfMatch(version)| version);
    let told = |diagnosis: &Diagnosis| Receipt::json(&DiagnosisBody::from(diagnosis));
    Ok(match app.diagnoses.amend.run(&caller, id, seen, amendment, body.idempotency, told).await? {
        Done::Now { value, .. } => changed(&value),
        Done::Before(receipt) => HttpResponse::Ok().content_type(JSON).body(receipt.into_bytes()),
    })
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Retraction)]
struct RetractionBody {
    #[schema(value_type = String, min_length = 1, max_length = 500)]
    reason: ShortText,
}

/// Say that it should not have been recorded, with a reason; the patient sees it no more
#[utoipa::path(tag = "Diagnoses", request_body = RetractionBody, security(("token" = [])), params(("If-Match" = Option<String>, Header, description = "With it, only what you saw is retracted")),
    responses((status = 200, body = DiagnosisBody), (status = 409, body = ProblemBody, description = "It is entered in error already")))]
#[post("/v1/diagnoses/{id}/retract")]
async fn retract(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Diagnosis>,
    seen: Option<IfMatch>,
    body: Body<RetractionBody>,
) -> Result<HttpResponse, Problem> {
    let seen = seen.map(|IfMatch(version)| version);
    Ok(changed(&app.diagnoses.retract.run(&caller, id, seen, body.value.reason).await?))
}

/// A version as it was.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DiagnosisVersion)]
struct VersionBody {
    version: u32,
    status: StatusBody,
    #[schema(value_type = String)]
    disease: ShortText,
    #[schema(value_type = String)]
    findings: LongText,
    #[schema(value_type = String)]
    conditions: LongText,
    #[schema(value_type = String, format = Uuid)]
    by: AccountId,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Of an amendment or a retraction.
    #[schema(value_type = Option<String>)]
    reason: Option<ShortText>,
}

impl From<DiagnosisVersion> for VersionBody {
    fn from(DiagnosisVersion { version, status, content, made, reason, .. }: DiagnosisVersion) -> Self {
        let Content { disease, findings, conditions } = content;
        let Signature { by, at } = made;
        Self { version, status: status.into(), disease, findings, conditions, by, at, reason }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct VersionParams {
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    cursor: Option<String>,
}

/// All versions of a diagnosis, newest first; a patient gets those that were shown to them
#[utoipa::path(tag = "Diagnoses", params(VersionParams), security(("token" = [])), responses((status = 200, body = PageBody<VersionBody>)))]
#[get("/v1/diagnoses/{id}/versions")]
async fn versions(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Diagnosis>,
    Params(params): Params<VersionParams>,
) -> Result<impl Responder, Problem> {
    let request = page(params.limit, params.cursor.as_deref())?;
    let versions = app.diagnoses.queries.versions(&caller, id, &request).await?;
    Ok(web::Json(PageBody::from(versions.map(VersionBody::from))))
}

fn changed(diagnosis: &Diagnosis) -> HttpResponse {
    HttpResponse::Ok().insert_header(etag(diagnosis.version)).json(DiagnosisBody::from(diagnosis))
}
