use infirmary_kernel::{AccountId, Invalid, PatientId, StudyId, Timestamp};

use crate::{DicomUid, Modality, ReceivedImage, StudyDate};

/// Each holds an open file until it is kept.
pub const MAX_IMAGES_PER_STUDY: usize = 64;
/// Of all files of one study together.
pub const MAX_STUDY_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// One examination of one patient. Never changes: what is found in it may, and is a diagnosis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Study {
    pub id: StudyId,
    pub patient: PatientId,
    /// The doctor who uploaded it.
    pub author: AccountId,
    pub modality: Modality,
    /// Of its DICOM images, who all have the same.
    pub study_uid: Option<DicomUid>,
    /// When its DICOM images say that they were made.
    pub performed_on: Option<StudyDate>,
    pub recorded_at: Timestamp,
}

#[derive(Debug, Clone)]
pub struct NewStudy {
    pub patient: PatientId,
    pub author: AccountId,
    pub modality: Modality,
}

impl NewStudy {
    /// The record of a study with these images. Pure: the id and the time are given.
    ///
    /// Refuses files that say that they are of different studies or different patients: that is how an image gets into
    /// the record of somebody else.
    pub fn into_study(self, id: StudyId, images: &[ReceivedImage], now: Timestamp) -> Result<Study, Invalid> {
        let refused = |detail: &'static str| Err(Invalid::new("/image", detail));
        if images.is_empty() {
            return refused("is missing; give at least one PNG, JPEG or DICOM file");
        }
        if images.len() > MAX_IMAGES_PER_STUDY {
            return refused("is there too often; give at most 64 images in a study");
        }
        if images.iter().map(ReceivedImage::bytes).sum::<u64>() > MAX_STUDY_BYTES {
            return refused("is too large; all images of a study together may have 2 GiB");
        }
        let attributes = || images.iter().filter_map(|image| image.facts.dicom.as_ref());
        let Ok(study_uid) = all_the_same(attributes().filter_map(|dicom| dicom.study_uid.as_ref())) else {
            return refused("files are of different DICOM studies; upload each study for itself");
        };
        let Ok(_) = all_the_same(attributes().filter_map(|dicom| dicom.patient_id.as_ref())) else {
            return refused(
                "files are of different patients by their DICOM patient ID; upload each patient for themselves",
            );
        };
        Ok(Study {
            id,
            patient: self.patient,
            author: self.author,
            modality: self.modality,
            study_uid: study_uid.cloned(),
            performed_on: attributes().filter_map(|dicom| dicom.study_date).min(),
            recorded_at: now,
        })
    }
}

struct Different;

fn all_the_same<T: PartialEq>(mut values: impl Iterator<Item = T>) -> Result<Option<T>, Different> {
    let Some(first) = values.next() else { return Ok(None) };
    if values.all(|value| value == first) { Ok(Some(first)) } else { Err(Different) }
}
