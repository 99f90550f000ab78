//! The upload of an image with its diagnosis.

use actix_web::{HttpResponse, post, web};
use infirmary_diagnosis::Content;
use infirmary_imaging::{Intake, ReceivedImage};
use infirmary_kernel::{
    AccountId, Caller, FileName, Fingerprint, Idempotency, IdempotencyKey, Invalid, LongText, Permission, Receipt,
    Role, Sha256Digest, ShortText,
};
use infirmary_workflows::{NewStudyRecord, StudyRecord};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    Refusal,
    body::{Unread, is_true, loose, required},
    caller::Known,
    done,
    upload::Upload,
};
use crate::{
    http::{App, access::Access},
    legacy::{id, words},
};

pub fn routes(config: &mut impl crate::http::Operations) {
    config.service(Access::WithEither(Permission::WriteStudies, Permission::RecordForDoctors), upload_image);
}

/// Beside the image.
#[derive(Deserialize, ToSchema)]
#[schema(as = LegacyStudy)]
struct StudyBody {
    /// Base64; PNG or JPEG up to 20 MiB, DICOM.
    #[expect(dead_code, reason = "it was taken out on its way in")]
    #[serde(default, deserialize_with = "loose")]
    #[schema(value_type = String)]
    image: Option<String>,
    #[serde(rename = "imgName", default, deserialize_with = "loose")]
    #[schema(value_type = String)]
    image_name: Option<String>,
    #[serde(rename = "patientID", default, deserialize_with = "loose")]
    #[schema(value_type = String)]
    patient: Option<String>,
    /// Counts for an admin only: a doctor writes in their own name.
    #[serde(rename = "doctorID", default, deserialize_with = "loose")]
    #[schema(value_type = String)]
    doctor: Option<String>,
    /// `X-Ray`, `CT-Scan`, `MRI`.
    #[serde(default, deserialize_with = "loose")]
    #[schema(value_type = String)]
    classification: Option<String>,
    #[serde(default, deserialize_with = "loose")]
    #[schema(value_type = String)]
    disease: Option<String>,
    #[serde(default, deserialize_with = "loose")]
    #[schema(value_type = String)]
    diagnosis: Option<String>,
    #[serde(default, deserialize_with = "loose")]
    #[schema(value_type = String)]
    conditions: Option<String>,
    #[serde(rename = "docConfirmation", default, deserialize_with = "loose")]
    #[schema(value_type = Option<bool>)]
    confirmed: Option<String>,
}

const ALL_FIELDS: &str = "all fields are required";

/// Upload an image with its diagnosis; it is charged by its classification
#[utoipa::path(tag = "Replaced system", security(("legacyToken" = [], "legacyUid" = [])), request_body = StudyBody,
    responses((status = 200, content_type = "text/html", body = String), (status = 400, content_type = "text/html", body = String), (status = 413, content_type = "text/html", body = String)))]
#[post("/api/doctor/uploadIMG")]
async fn upload_image(app: web::Data<App>, Known(caller): Known, body: Unread) -> Result<HttpResponse, Refusal> {
    let for_doctor = caller.role == Role::Admin;
    let intake = if for_doctor {
        app.studies.receive.begin_for_doctor(&caller, None, None).await?
    } else {
        app.studies.receive.begin(&caller, None, None).await?
    };
    let mut upload = Upload::begin(&app, body, "image").await?;
    let image = received(&mut upload, intake).await?;
    let StudyBody { image_name, patient, doctor, classification, disease, diagnosis, conditions, confirmed, .. } =
        upload.fields().await?;
    let image = image.ok_or(Refusal::bad(ALL_FIELDS))?;
    let image = image.named(&required(image_name, ALL_FIELDS)?)?;
    let patient = id::parse(&required(patient, ALL_FIELDS)?);
    let doctor = id::parse(&required(doctor, ALL_FIELDS)?);
    let modality = words::modality(&required(classification, ALL_FIELDS)?);
    let (disease, findings) = (required(disease, ALL_FIELDS)?, required(diagnosis, ALL_FIELDS)?);
    let new = NewStudyRecord {
        patient: patient.ok_or_else(|| Invalid::new("/patientID", "is of no patient"))?,
        modality: modality.ok_or(Refusal::bad("classification must be X-Ray, CT-Scan or MRI"))?,
        content: Content {
            disease: ShortText::parse(&disease).map_err(|invalid| invalid.at("/disease"))?,
            findings: LongText::parse(&findings).map_err(|invalid| invalid.at("/diagnosis"))?,
            conditions: LongText::parse(&conditions.ok_or(Refusal::bad(ALL_FIELDS))?)
                .map_err(|invalid| invalid.at("/conditions"))?,
        },
        confirmed: is_true(confirmed.as_deref()),
        tasks: Vec::new(),
    };
    record(&app, &caller, for_doctor.then_some(doctor), new, image).await?;
    Ok(done("items added"))
}

/// The image, once all of it is here; `None` when there was none.
async fn received(upload: &mut Upload<'_>, mut intake: Intake) -> Result<Option<ReceivedImage>, Refusal> {
    while let Some(chunk) = upload.chunk().await? {
        intake.write(chunk).await?;
    }
    if upload.has_file() { Ok(Some(intake.finish().await?)) } else { Ok(None) }
}

/// `author`: the doctor in whose name an admin uploads, as far as they said one.
async fn record(
    app: &App,
    caller: &Caller,
    author: Option<Option<AccountId>>,
    new: NewStudyRecord,
    image: ReceivedImage,
) -> Result<(), Refusal> {
    let told = |_: &StudyRecord| Receipt::from_bytes(Vec::new());
    let record = &app.studies.record;
    match author {
        None => {
            let same = sent_again(caller.account, &new, &image)?;
            record.run(caller, new, vec![image], Some(same), told).await?
        }
        Some(author) => {
            let author = author.ok_or_else(|| Invalid::new("/doctorID", "is of no doctor of this house"))?;
            let same = sent_again(author, &new, &image)?;
            record.run_for_doctor(caller, author, new, vec![image], Some(same), told).await?
        }
    };
    Ok(())
}

/// These clients have no keys, and their people send again what was not answered. What is the same to the byte is the same
/// upload, and is charged once. See ADR 0048.
fn sent_again(author: AccountId, new: &NewStudyRecord, image: &ReceivedImage) -> Result<Idempotency, Invalid> {
    let NewStudyRecord { patient, modality, content, confirmed, tasks: _ } = new;
    let (patient, author, sha256) = (patient.as_uuid(), author.as_uuid(), image.sha256());
    let fingerprint = Fingerprint::of([
        patient.as_bytes().as_slice(),
        author.as_bytes(),
        modality.as_str().as_bytes(),
        content.disease.as_str().as_bytes(),
        content.findings.as_str().as_bytes(),
        content.conditions.as_str().as_bytes(),
        &[u8::from(*confirmed)],
        sha256.as_bytes(),
        image.file_name.as_ref().map_or("", FileName::as_str).as_bytes(),
    ]);
    let name = Sha256Digest::from_bytes(*fingerprint.as_bytes());
    Ok(Idempotency { key: IdempotencyKey::parse(&format!("uploadIMG {name}"))?, fingerprint })
}
