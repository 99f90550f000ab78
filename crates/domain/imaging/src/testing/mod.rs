//! The laws of [`crate::ImageStore`] as a suite, and a store in memory that passes it.

#[allow(clippy::unwrap_used, reason = "a test may stop")]
pub mod laws;
mod memory;

pub use memory::MemoryImages;

use async_trait::async_trait;
use infirmary_kernel::{
    Clock, FileName, ImageId, ObjectKey, PatientId, Sha256Digest, StoredObject, Timestamp,
    testing::{ManualClock, fresh_id},
};

use crate::{
    DicomAttributes, DicomUid, FoundStudy, Image, ImageFacts, ImageFormat, Modality, PreviewState, Study, StudyDate,
};

/// How a store under test comes to hold a study: by its own write, with a patient, an author and a diagnosis, which is
/// confirmed when the study is released.
#[async_trait]
pub trait Seed: Send + Sync {
    async fn study(&self, found: &FoundStudy);
}

/// A study of the patient with so many images, one of each format in turn, recorded at that time.
pub fn study(patient: PatientId, images: u16, recorded_at: Timestamp) -> FoundStudy {
    let study = Study {
        id: fresh_id(),
        patient,
        author: fresh_id(),
        modality: Modality::parse("CT").expect("a modality"),
        study_uid: DicomUid::parse("1.2.840.113619.2.5.1").ok(),
        performed_on: StudyDate::parse("2026-02-28").ok(),
        recorded_at,
    };
    let images = (0..images).map(|position| image(&study, position)).collect();
    FoundStudy { study, images, released: true }
}

pub fn study_now(patient: PatientId, images: u16) -> FoundStudy {
    study(patient, images, ManualClock::default().now())
}

fn image(study: &Study, position: u16) -> Image {
    let id: ImageId = fresh_id();
    let format = ImageFormat::ALL[usize::from(position) % 3];
    Image {
        id,
        study: study.id,
        patient: study.patient,
        position,
        format,
        object: StoredObject {
            key: ObjectKey::image(id),
            bytes: 1_000 + u64::from(position),
            sha256: Sha256Digest::of(id.to_string().as_bytes()),
        },
        file_name: FileName::of_upload("وێنە \u{1fa7b} '%_\".$x"),
        facts: ImageFacts {
            width: 512,
            height: 511,
            frames: 1 + u32::from(position),
            dicom: (format == ImageFormat::Dicom).then(attributes),
            preview: PreviewState::Available,
        },
    }
}

fn attributes() -> DicomAttributes {
    DicomAttributes {
        patient_id: Some("P-17 ئازاد".to_owned().try_into().expect("a text")),
        study_uid: DicomUid::parse("1.2.840.113619.2.5.1").ok(),
        series_uid: DicomUid::parse("1.2.840.113619.2.5.1.2").ok(),
        instance_uid: DicomUid::parse("1.2.840.113619.2.5.1.2.3").ok(),
        modality: Modality::parse("CT").ok(),
        body_part: Some("CHEST".to_owned().try_into().expect("a text")),
        study_date: StudyDate::parse("20260228").ok(),
    }
}
