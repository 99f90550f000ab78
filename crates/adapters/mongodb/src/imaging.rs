use std::collections::HashMap;

use async_trait::async_trait;
use infirmary_diagnosis::DiagnosisStatus;
use infirmary_imaging::{
    DicomAttributes, DicomUid, FoundImage, FoundStudy, Image, ImageFacts, ImageStore, MAX_IMAGES_PER_STUDY, Modality,
    PreviewState, Study, StudyDate, Visible,
};
use infirmary_kernel::{
    Cursor, FileName, ImageId, Page, PageRequest, PatientId, ShortText, StoreError, StudyId, WriteError,
};
use mongodb::bson::{Bson, Document, RawDocument, doc};

use crate::{
    MongoStore,
    documents::{DocumentExt, Fields, id, number, time},
    objects::{object, with_object},
    reads::{Query, after_place, newest_first, one_more},
    schema::{DIAGNOSES, IMAGES, STUDIES},
    transaction::Transaction,
};

#[async_trait]
impl ImageStore for MongoStore {
    async fn find_image(&self, sought: ImageId) -> Result<Option<FoundImage>, StoreError> {
        let of_study = doc! { "from": STUDIES.name, "localField": "study", "foreignField": "_id", "as": "of" };
        let pipeline =
            vec![doc! { "$match": { "_id": id(sought) } }, doc! { "$lookup": of_study }, with_release_of("study")];
        let found = self.snapshot().await?.aggregate(&IMAGES, pipeline).await?;
        let Some(found) = found.first() else { return Ok(None) };
        let study = found.documents("of")?.first().map(|study| self::study(study)).transpose()?;
        study.map(|study| Ok(FoundImage { image: image(found)?, study, released: is_released(found)? })).transpose()
    }

    async fn find_study(&self, sought: StudyId) -> Result<Option<FoundStudy>, StoreError> {
        let pipeline = vec![doc! { "$match": { "_id": id(sought) } }, with_images_of("_id"), with_release_of("_id")];
        let found = self.snapshot().await?.aggregate(&STUDIES, pipeline).await?;
        let Some(found) = found.first() else { return Ok(None) };
        Ok(Some(FoundStudy { images: images_beside(found)?, ..found_study(found)? }))
    }

    async fn studies_of(
        &self,
        patient: PatientId,
        visible: Visible,
        page: &PageRequest,
    ) -> Result<Page<FoundStudy>, StoreError> {
        let query = Query {
            filter: after_place(doc! { "patient": id(patient) }, "recorded_at", page),
            sort: newest_first("recorded_at"),
            limit: one_more(page),
            index: "patient",
        };
        let mut kept = vec![with_release_of("_id")];
        if visible == Visible::Released {
            kept.push(doc! { "$match": { RELEASED: { "$ne": [] } } });
        }
        let mut snapshot = self.snapshot().await?;
        let found = snapshot.find_through(&STUDIES, query, kept, Vec::new()).await?;
        let studies = found.iter().map(|found| found_study(found)).collect::<Result<Vec<_>, _>>()?;
        let of = studies.iter().map(|found| id(found.study.id)).collect();
        let images = snapshot.find_through(&IMAGES, images_of(of), Vec::new(), Vec::new()).await?;
        let images = images.iter().map(|found| image(found).map(|image| (image.study, image)));
        let mut images = by_study(images.collect::<Result<Vec<_>, _>>()?);
        let studies = studies.into_iter().map(|found| {
            let images = images.remove(&found.study.id).unwrap_or_default();
            FoundStudy { images, ..found }
        });
        let place = |last: &FoundStudy| Cursor::at(last.study.recorded_at, last.study.id.as_uuid());
        Ok(Page::of_rows(studies.collect(), page.limit, place))
    }
}

/// What [`with_release_of`] adds: empty unless the study is released.
const RELEASED: &str = "released";

/// Whether the patient may see the study whose id is in the field; a study has one diagnosis.
fn with_release_of(study: &str) -> Document {
    let shown = [DiagnosisStatus::Confirmed.as_str(), DiagnosisStatus::Amended.as_str()];
    doc! { "$lookup": {
        "from": DIAGNOSES.name,
        "localField": study,
        "foreignField": "study",
        "pipeline": [{ "$match": { "status": { "$in": shown.as_slice() } } }, { "$project": { "_id": 1 } }],
        "as": RELEASED,
    } }
}

fn is_released(found: &RawDocument) -> Result<bool, StoreError> {
    Ok(!found.documents(RELEASED)?.is_empty())
}

/// With the images, by position, of the study whose id is in the field.
pub(crate) fn with_images_of(study: &str) -> Document {
    doc! { "$lookup": {
        "from": IMAGES.name,
        "localField": study,
        "foreignField": "study",
        "pipeline": [{ "$sort": { "position": 1 } }],
        "as": "images",
    } }
}

/// What [`with_images_of`] has added.
pub(crate) fn images_beside(found: &RawDocument) -> Result<Vec<Image>, StoreError> {
    found.documents("images")?.into_iter().map(image).collect()
}

/// Of these studies, by position.
pub(crate) fn images_of(studies: Vec<Bson>) -> Query {
    Query {
        limit: studies.len() * MAX_IMAGES_PER_STUDY,
        filter: doc! { "study": { "$in": studies } },
        sort: doc! { "study": 1, "position": 1 },
        index: "study",
    }
}

/// Each study with what is of it, in that order.
pub(crate) fn by_study<T>(all: impl IntoIterator<Item = (StudyId, T)>) -> HashMap<StudyId, Vec<T>> {
    let mut studies: HashMap<StudyId, Vec<T>> = HashMap::new();
    for (study, one) in all {
        studies.entry(study).or_default().push(one);
    }
    studies
}

/// Adds a study and its images: of whoever writes one, within a transaction of theirs. That the patient is known is seen to
/// where the diagnosis is added.
pub(crate) async fn insert(
    transaction: &mut Transaction<'_>,
    study: &Study,
    images: &[Image],
) -> Result<(), WriteError> {
    transaction.insert(&STUDIES, study_document(study)).await?;
    transaction.insert_all(&IMAGES, images.iter().map(image_document).collect()).await
}

pub(crate) fn study_document(study: &Study) -> Document {
    doc! {
        "_id": id(study.id),
        "patient": id(study.patient),
        "author": id(study.author),
        "modality": study.modality.as_str(),
        "recorded_at": time(study.recorded_at),
    }
    .with("study_uid", study.study_uid.as_ref().map(DicomUid::as_str))
    .with("performed_on", study.performed_on.map(|date| date.to_string()))
}

pub(crate) fn image_document(image: &Image) -> Document {
    let ImageFacts { width, height, frames, dicom, preview } = &image.facts;
    let no_preview = match preview {
        PreviewState::Available => None,
        PreviewState::Unavailable { reason } => Some(reason.as_str()),
    };
    let document = doc! {
        "_id": id(image.id),
        "study": id(image.study),
        "patient": id(image.patient),
        "position": number(image.position),
        "format": image.format.as_str(),
        "width": number(*width),
        "height": number(*height),
        "frames": number(*frames),
    };
    with_object(document, &image.object)
        .with("file_name", image.file_name.as_ref().map(FileName::as_str))
        .with("no_preview", no_preview)
        .with("dicom", dicom.as_ref().map(dicom_document))
}

fn dicom_document(dicom: &DicomAttributes) -> Document {
    Document::new()
        .with("patient_id", dicom.patient_id.as_ref().map(ShortText::as_str))
        .with("study_uid", dicom.study_uid.as_ref().map(DicomUid::as_str))
        .with("series_uid", dicom.series_uid.as_ref().map(DicomUid::as_str))
        .with("instance_uid", dicom.instance_uid.as_ref().map(DicomUid::as_str))
        .with("modality", dicom.modality.map(Modality::as_str))
        .with("body_part", dicom.body_part.as_ref().map(ShortText::as_str))
        .with("study_date", dicom.study_date.map(|date| date.to_string()))
}

pub(crate) fn study(found: &RawDocument) -> Result<Study, StoreError> {
    Ok(Study {
        id: found.id("_id")?,
        patient: found.id("patient")?,
        author: found.id("author")?,
        modality: found.parsed("modality", Modality::parse)?,
        study_uid: found.optional_parsed("study_uid", DicomUid::parse)?,
        performed_on: found.optional_parsed("performed_on", StudyDate::parse)?,
        recorded_at: found.time("recorded_at")?,
    })
}

/// Without its images.
fn found_study(found: &RawDocument) -> Result<FoundStudy, StoreError> {
    Ok(FoundStudy { study: study(found)?, images: Vec::new(), released: is_released(found)? })
}

pub(crate) fn image(found: &RawDocument) -> Result<Image, StoreError> {
    let preview = found
        .optional_text("no_preview")?
        .map_or(PreviewState::Available, |reason| PreviewState::Unavailable { reason: reason.to_owned() });
    Ok(Image {
        id: found.id("_id")?,
        study: found.id("study")?,
        patient: found.id("patient")?,
        position: found.number("position")?,
        format: found.parsed("format", str::parse)?,
        object: object(found)?,
        file_name: found.optional_parsed("file_name", FileName::parse)?,
        facts: ImageFacts {
            width: found.number("width")?,
            height: found.number("height")?,
            frames: found.number("frames")?,
            dicom: found.optional_document("dicom")?.map(dicom).transpose()?,
            preview,
        },
    })
}

fn dicom(found: &RawDocument) -> Result<DicomAttributes, StoreError> {
    Ok(DicomAttributes {
        patient_id: found.optional_parsed("patient_id", ShortText::parse)?,
        study_uid: found.optional_parsed("study_uid", DicomUid::parse)?,
        series_uid: found.optional_parsed("series_uid", DicomUid::parse)?,
        instance_uid: found.optional_parsed("instance_uid", DicomUid::parse)?,
        modality: found.optional_parsed("modality", Modality::parse)?,
        body_part: found.optional_parsed("body_part", ShortText::parse)?,
        study_date: found.optional_parsed("study_date", StudyDate::parse)?,
    })
}
