//! `/v1/studies`: the images with the diagnosis in one go.

use actix_web::{HttpResponse, Responder, get, post, web};
use infirmary_diagnosis::Content;
use infirmary_financials::Charge;
use infirmary_imaging::{
    DicomUid, FoundStudy, Image, MAX_IMAGES_PER_STUDY, MAX_STUDY_BYTES, Modality, ReceiveImage, ReceivedImage, Study,
    StudyDate,
};
use infirmary_kernel::{
    AccountId, Caller, ChargeId, FileName, Invalid, LongText, PatientId, Permission, Receipt, ShortText, StudyId,
    TaskCode, Timestamp, marker,
};
use infirmary_workflows::{NewStudyRecord, RecordStudy, StudyRecord};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    App,
    diagnoses::DiagnosisBody,
    extract::{MAX_JSON_BYTES, Params, PathId, SignedIn, created, from_json, page},
    images::ImageBody,
    money::MoneyBody,
    page::PageBody,
    problem::{Kind, Problem, ProblemBody},
    upload::{OVERHEAD_BYTES, Part, Upload},
};

pub struct Studies {
    pub receive: ReceiveImage,
    pub record: RecordStudy,
    pub queries: infirmary_imaging::Queries,
}

pub fn routes(config: &mut impl crate::http::Operations) {
    config
        .service(Permission::WriteStudies, record_study)
        .service(Permission::ReadStudies, list)
        .service(Permission::ReadStudies, read);
}

const MAX_BODY_BYTES: u64 = MAX_STUDY_BYTES + MAX_JSON_BYTES as u64 + OVERHEAD_BYTES;

/// One examination of one patient.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Study)]
pub struct StudyBody {
    #[schema(value_type = String, format = Uuid)]
    id: StudyId,
    #[schema(value_type = String, format = Uuid)]
    patient_id: PatientId,
    /// The account of the doctor who uploaded it.
    #[schema(value_type = String, format = Uuid)]
    doctor_id: AccountId,
    /// A term of DICOM.
    #[schema(example = "CT")]
    modality: &'static str,
    /// Of its DICOM images, who all have the same.
    study_uid: Option<String>,
    /// The day on which its DICOM images say that they were made.
    #[schema(format = Date)]
    performed_on: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
    images: Vec<ImageBody>,
}

impl StudyBody {
    fn of(study: &Study, images: &[Image]) -> Self {
        Self {
            id: study.id,
            patient_id: study.patient,
            doctor_id: study.author,
            modality: study.modality.as_str(),
            study_uid: study.study_uid.as_ref().map(DicomUid::to_string),
            performed_on: study.performed_on.as_ref().map(StudyDate::to_string),
            recorded_at: study.recorded_at,
            images: images.iter().map(ImageBody::from).collect(),
        }
    }
}

impl From<FoundStudy> for StudyBody {
    fn from(FoundStudy { study, images, .. }: FoundStudy) -> Self {
        Self::of(&study, &images)
    }
}

/// A study with all that was recorded beside it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RecordedStudy)]
struct RecordedBody {
    #[serde(flatten)]
    study: StudyBody,
    diagnosis: DiagnosisBody,
    charges: Vec<StudyChargeBody>,
}

/// What the study is charged.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StudyCharge)]
struct StudyChargeBody {
    #[schema(value_type = String, format = Uuid)]
    id: ChargeId,
    #[schema(value_type = Option<String>, example = "CT")]
    task: Option<TaskCode>,
    #[schema(value_type = String)]
    description: ShortText,
    amount: MoneyBody,
}

impl From<&Charge> for StudyChargeBody {
    fn from(charge: &Charge) -> Self {
        Self {
            id: charge.id,
            task: charge.task.clone(),
            description: charge.description.clone(),
            amount: charge.amount.into(),
        }
    }
}

impl From<&StudyRecord> for RecordedBody {
    fn from(record: &StudyRecord) -> Self {
        Self {
            study: StudyBody::of(&record.study, &record.images),
            diagnosis: (&record.diagnosis).into(),
            charges: record.charges.iter().map(StudyChargeBody::from).collect(),
        }
    }
}

/// The part `study`, in JSON.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewStudy)]
struct NewStudyBody {
    #[schema(value_type = String, format = Uuid)]
    patient_id: PatientId,
    /// A term of DICOM: CR, DX, CT, MR, US, MG, ...
    #[schema(example = "CT")]
    modality: String,
    #[schema(value_type = String, min_length = 1, max_length = 500)]
    disease: ShortText,
    #[schema(value_type = String, max_length = 20000)]
    findings: LongText,
    #[schema(value_type = Option<String>, max_length = 20000)]
    conditions: Option<LongText>,
    /// Confirm the diagnosis at once; else it is a draft.
    #[serde(default)]
    confirmed: bool,
    /// Codes of the catalogue by which the study is charged. None: by the task of its modality.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 20)]
    tasks: Vec<TaskCode>,
}

impl NewStudyBody {
    fn parse(self) -> Result<NewStudyRecord, Invalid> {
        let Self { patient_id, modality, disease, findings, conditions, confirmed, tasks } = self;
        Ok(NewStudyRecord {
            patient: patient_id,
            modality: Modality::parse(&modality)?,
            content: Content { disease, findings, conditions: conditions.unwrap_or_default() },
            confirmed,
            tasks,
        })
    }
}

/// The body of an upload, for the document: a handler reads it part by part.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = StudyUpload)]
#[expect(dead_code, reason = "it is the shape that is documented")]
struct StudyUploadBody {
    study: NewStudyBody,
    /// PNG and JPEG up to 20 MiB, DICOM (Part 10) up to 200 MiB. What it is, its bytes decide; its declared type and the
    /// ending of its name have to agree.
    #[schema(value_type = Vec<String>, format = Binary, content_media_type = "application/octet-stream", min_items = 1, max_items = 64)]
    image: Vec<Vec<u8>>,
}

/// Record a study: its images, the diagnosis and the charges, all of which are there then, or none
///
/// The parts may come in any order. The signed-in doctor is the author.
#[utoipa::path(tag = "Studies", security(("token" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat")),
    request_body(content = StudyUploadBody, content_type = "multipart/form-data"),
    responses((status = 201, body = RecordedBody), (status = 413, body = ProblemBody, description = "An image is too large, or all together"),
        (status = 415, body = ProblemBody, description = "An image is of another type, or not of the one that it is said to be"),
        (status = 422, body = ProblemBody, description = "A value was refused, or an image cannot be read")))]
#[post("/v1/studies")]
async fn record_study(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    upload: Upload,
) -> Result<HttpResponse, Problem> {
    let mut parts = upload.within(MAX_BODY_BYTES)?;
    let (mut study, mut images) = (None, Vec::new());
    while let Some(part) = parts.next().await? {
        match part.name() {
            "study" if study.is_some() => return Err(Invalid::new("/study", "is there twice").into()),
            "study" => {
                let json = part.whole(MAX_JSON_BYTES).await?;
                study = Some((from_json::<NewStudyBody>(&json)?.parse()?, json));
            }
            "image" if images.len() == MAX_IMAGES_PER_STUDY => {
                return Err(Problem::new(
                    Kind::TooLarge,
                    format!(
                        "a study may have {MAX_IMAGES_PER_STUDY} images at most; record the others as another study"
                    ),
                ));
            }
            "image" => images.push(received(&app.studies.receive, &caller, part).await?),
            _ => return Err(unknown_part("study and image")),
        }
    }
    let (new, json) = study.ok_or_else(|| Invalid::new("/study", "is required: a part with the details as JSON"))?;
    let files: Vec<_> = images.iter().map(|image| (image.sha256(), image.file_name.clone())).collect();
    let asked = files.iter().flat_map(|(sha256, name)| {
        [sha256.as_bytes().as_slice(), name.as_ref().map_or("", FileName::as_str).as_bytes()]
    });
    let idempotency = parts.idempotency(std::iter::once(json.as_slice()).chain(asked));
    let told = |record: &StudyRecord| Receipt::json(&RecordedBody::from(record));
    let done = app.studies.record.run(&caller, new, images, idempotency, told).await?;
    Ok(created(done.into_receipt()))
}

async fn received(receive: &ReceiveImage, caller: &Caller, mut part: Part) -> Result<ReceivedImage, Problem> {
    let (declared_type, file_name) = (part.declared_type(), part.file_name());
    let mut intake = receive.begin(caller, declared_type.as_deref(), file_name.as_deref()).await?;
    while let Some(chunk) = part.chunk().await? {
        intake.write(chunk).await?;
    }
    Ok(intake.finish().await?)
}

/// What a part is called is the client's text: it is not repeated.
pub fn unknown_part(known: &str) -> Problem {
    Problem::new(Kind::Refused, format!("there is a part of another name; the parts of this request are {known}"))
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// Required, except for a patient, who gets their own.
    #[param(value_type = Option<String>, format = Uuid)]
    patient_id: Option<PatientId>,
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    cursor: Option<String>,
}

/// List the studies of a patient, newest first; a patient gets their own whose diagnosis is confirmed
#[utoipa::path(tag = "Studies", params(ListParams), security(("token" = [])), responses((status = 200, body = PageBody<StudyBody>)))]
#[get("/v1/studies")]
async fn list(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    Params(params): Params<ListParams>,
) -> Result<impl Responder, Problem> {
    let request = page(params.limit, params.cursor.as_deref())?;
    let found = app.studies.queries.studies_of(&caller, params.patient_id, &request).await?;
    Ok(web::Json(PageBody::from(found.map(StudyBody::from))))
}

/// Read a study with its images
#[utoipa::path(tag = "Studies", security(("token" = [])), responses((status = 200, body = StudyBody)))]
#[get("/v1/studies/{id}")]
async fn read(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Study>,
) -> Result<impl Responder, Problem> {
    Ok(web::Json(StudyBody::from(app.studies.queries.study(&caller, id).await?)))
}
