use std::collections::HashMap;

use async_trait::async_trait;
use infirmary_imaging::{
    DicomAttributes, DicomUid, FoundImage, FoundStudy, Image, ImageFacts, ImageFormat, ImageStore, Modality,
    PreviewState, Study, StudyDate, Visible,
};
use infirmary_kernel::{
    Cursor, FileName, ImageId, ObjectKey, Page, PageRequest, PatientId, ShortText, StoreError, StoredObject, StudyId,
    WriteError,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    SqliteStore,
    rows::{OrWriteError, RowExt, blob, place_after},
    statement::Statement,
    writer::Transaction,
};

/// The columns that [`image`] reads, of `images i`.
macro_rules! image_columns {
    () => {
        "i.id, i.study, i.position, i.patient, i.format, i.object, i.bytes, i.sha256, i.file_name, i.width, i.height,
         i.frames, i.no_preview, i.dicom_patient_id, i.dicom_study_uid, i.dicom_series_uid, i.dicom_instance_uid,
         i.dicom_modality, i.dicom_body_part, i.dicom_study_date"
    };
}
/// How many they are.
const IMAGE_COLUMNS: usize = 20;
/// The columns that [`study`] reads, of `studies s`.
macro_rules! study_columns {
    () => {
        "s.id, s.patient, s.author, s.modality, s.study_uid, s.performed_on, s.recorded_at"
    };
}
const STUDY_COLUMNS: usize = 7;
pub(crate) use study_columns;
/// Whether the patient may see the study `s`; a study has one diagnosis.
macro_rules! released {
    () => {
        "EXISTS (SELECT 1 FROM diagnoses d WHERE d.study = s.id AND d.status IN ('confirmed', 'amended'))"
    };
}

#[async_trait]
impl ImageStore for SqliteStore {
    async fn find_image(&self, id: ImageId) -> Result<Option<FoundImage>, StoreError> {
        self.look_up(move |connection| {
            connection
                .prepare_cached(concat!(
                    "SELECT ",
                    image_columns!(),
                    ", ",
                    study_columns!(),
                    ", ",
                    released!(),
                    " FROM images i JOIN studies s ON s.id = i.study WHERE i.id = ?"
                ))?
                .query_row([blob(id)], |row| {
                    Ok(FoundImage {
                        image: image(row)?,
                        study: study(row, IMAGE_COLUMNS)?,
                        released: row.get(IMAGE_COLUMNS + STUDY_COLUMNS)?,
                    })
                })
                .optional()
        })
        .await
    }

    async fn find_study(&self, id: StudyId) -> Result<Option<FoundStudy>, StoreError> {
        self.read_snapshot(move |connection| {
            let found = connection
                .prepare_cached(concat!(
                    "SELECT ",
                    study_columns!(),
                    ", ",
                    released!(),
                    " FROM studies s WHERE s.id = ?"
                ))?
                .query_row([blob(id)], found_study)
                .optional()?;
            found.map(|found| Ok(FoundStudy { images: images_of(connection, id)?, ..found })).transpose()
        })
        .await
    }

    async fn studies_of(
        &self,
        patient: PatientId,
        visible: Visible,
        page: &PageRequest,
    ) -> Result<Page<FoundStudy>, StoreError> {
        let page = page.clone();
        self.read_snapshot(move |connection| {
            let all = concat!("SELECT ", study_columns!(), ", ", released!(), " FROM studies s");
            let rows = listing(all, patient, visible, &page).rows(connection, found_study)?;
            let mut images = listing(
                concat!("SELECT ", image_columns!(), " FROM (SELECT s.id FROM studies s"),
                patient,
                visible,
                &page,
            );
            images.push(") s CROSS JOIN images i ON i.study = s.id", []);
            let mut images = by_study(images.rows(connection, image)?);
            let rows = rows.into_iter().map(|found| {
                let images = images.remove(&found.study.id).unwrap_or_default();
                FoundStudy { images, ..found }
            });
            let place = |last: &FoundStudy| Cursor::at(last.study.recorded_at, last.study.id.as_uuid());
            Ok(Page::of_rows(rows.collect(), page.limit, place))
        })
        .await
    }
}

fn listing(select: &'static str, patient: PatientId, visible: Visible, page: &PageRequest) -> Statement {
    let (time, id) = place_after(page);
    let mut query = Statement::new(select);
    query.push(
        " WHERE s.patient = ? AND (s.recorded_at, s.id) < (?, ?)",
        [Box::new(blob(patient)), Box::new(time), Box::new(id)],
    );
    if visible == Visible::Released {
        query.push(concat!(" AND ", released!()), []);
    }
    query.push(" ORDER BY s.recorded_at DESC, s.id DESC LIMIT ?", [Box::new(page.limit.get() + 1)]);
    query
}

/// By position.
pub(crate) fn images_of(connection: &Connection, id: StudyId) -> rusqlite::Result<Vec<Image>> {
    connection
        .prepare_cached(concat!("SELECT ", image_columns!(), " FROM images i WHERE i.study = ? ORDER BY i.position"))?
        .query_map([blob(id)], image)?
        .collect()
}

/// Each study with its images, by position.
fn by_study(images: Vec<Image>) -> HashMap<StudyId, Vec<Image>> {
    let mut studies: HashMap<StudyId, Vec<Image>> = HashMap::new();
    for image in images {
        studies.entry(image.study).or_default().push(image);
    }
    for images in studies.values_mut() {
        images.sort_unstable_by_key(|image| image.position);
    }
    studies
}

pub(crate) fn find(connection: &Connection, id: StudyId) -> rusqlite::Result<Option<Study>> {
    connection
        .prepare_cached(concat!("SELECT ", study_columns!(), " FROM studies s WHERE s.id = ?"))?
        .query_row([blob(id)], |row| study(row, 0))
        .optional()
}

/// Adds a study and its images: of whoever writes one, within a transaction of theirs.
pub(crate) fn insert(transaction: &Transaction<'_>, study: &Study, images: &[Image]) -> Result<(), WriteError> {
    transaction
        .run(
            "INSERT INTO studies (id, patient, author, modality, study_uid, performed_on, recorded_at)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
            params![
                blob(study.id),
                blob(study.patient),
                blob(study.author),
                study.modality.as_str(),
                study.study_uid.as_ref().map(DicomUid::as_str),
                study.performed_on.map(|date| date.to_string()),
                study.recorded_at.unix_ms(),
            ],
        )
        .or_write_error()?;
    images.iter().try_for_each(|image| insert_image(transaction, image).or_write_error())
}

fn insert_image(transaction: &Transaction<'_>, image: &Image) -> rusqlite::Result<()> {
    let Image { object, facts, .. } = image;
    let no_preview = match &facts.preview {
        PreviewState::Available => None,
        PreviewState::Unavailable { reason } => Some(reason.as_str()),
    };
    let dicom = facts.dicom.as_ref();
    let uid = |uid: Option<&DicomUid>| uid.map(|uid| uid.as_str().to_owned());
    transaction
        .run(
            "INSERT INTO images (id, study, position, patient, format, object, bytes, sha256, file_name, width, height,
             frames, no_preview, dicom_patient_id, dicom_study_uid, dicom_series_uid, dicom_instance_uid,
             dicom_modality, dicom_body_part, dicom_study_date)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
            params![
                blob(image.id),
                blob(image.study),
                image.position,
                blob(image.patient),
                image.format.as_str(),
                object.key.as_str(),
                object.bytes,
                object.sha256.as_bytes(),
                image.file_name.as_ref().map(FileName::as_str),
                facts.width,
                facts.height,
                facts.frames,
                no_preview,
                dicom.and_then(|dicom| dicom.patient_id.as_ref()).map(ShortText::as_str),
                uid(dicom.and_then(|dicom| dicom.study_uid.as_ref())),
                uid(dicom.and_then(|dicom| dicom.series_uid.as_ref())),
                uid(dicom.and_then(|dicom| dicom.instance_uid.as_ref())),
                dicom.and_then(|dicom| dicom.modality).map(Modality::as_str),
                dicom.and_then(|dicom| dicom.body_part.as_ref()).map(ShortText::as_str),
                dicom.and_then(|dicom| dicom.study_date).map(|date| date.to_string()),
            ],
        )
        .map(|_| ())
}

/// Columns are counted, as they stand in `image_columns`: a list of diagnoses reads many rows.
fn image(row: &Row<'_>) -> rusqlite::Result<Image> {
    let format = row.parsed(4, str::parse)?;
    let reason: Option<String> = row.get(12)?;
    let dicom = match format {
        ImageFormat::Png | ImageFormat::Jpeg => None,
        ImageFormat::Dicom => Some(DicomAttributes {
            patient_id: row.optional_parsed(13, ShortText::parse)?,
            study_uid: row.optional_parsed(14, DicomUid::parse)?,
            series_uid: row.optional_parsed(15, DicomUid::parse)?,
            instance_uid: row.optional_parsed(16, DicomUid::parse)?,
            modality: row.optional_parsed(17, Modality::parse)?,
            body_part: row.optional_parsed(18, ShortText::parse)?,
            study_date: row.optional_parsed(19, StudyDate::parse)?,
        }),
    };
    Ok(Image {
        id: row.id(0)?,
        study: row.id(1)?,
        position: row.get(2)?,
        patient: row.id(3)?,
        format,
        object: StoredObject { key: row.parsed(5, ObjectKey::parse)?, bytes: row.get(6)?, sha256: row.digest(7)? },
        file_name: row.optional_parsed(8, FileName::parse)?,
        facts: ImageFacts {
            width: row.get(9)?,
            height: row.get(10)?,
            frames: row.get(11)?,
            dicom,
            preview: reason.map_or(PreviewState::Available, |reason| PreviewState::Unavailable { reason }),
        },
    })
}

/// Its columns begin at `first`.
pub(crate) fn study(row: &Row<'_>, first: usize) -> rusqlite::Result<Study> {
    Ok(Study {
        id: row.id(first)?,
        patient: row.id(first + 1)?,
        author: row.id(first + 2)?,
        modality: row.parsed(first + 3, Modality::parse)?,
        study_uid: row.optional_parsed(first + 4, DicomUid::parse)?,
        performed_on: row.optional_parsed(first + 5, StudyDate::parse)?,
        recorded_at: row.time(first + 6)?,
    })
}

/// Without its images.
fn found_study(row: &Row<'_>) -> rusqlite::Result<FoundStudy> {
    Ok(FoundStudy { study: study(row, 0)?, images: Vec::new(), released: row.get(STUDY_COLUMNS)? })
}
