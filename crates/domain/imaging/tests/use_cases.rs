//! Receiving images, who may see them, and what is left of either.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use futures_util::TryStreamExt;
use infirmary_imaging::{
    DicomAttributes, FoundStudy, Image, ImageFacts, ImageFormat, ImagingError, MAX_IMAGE_BYTES, MockImageReader,
    Modality, NewStudy, PreviewSize, PreviewState, Previews, Queries, ReadError, ReceiveImage, ReceivedImage,
    testing::{MemoryImages, study_now},
};
use infirmary_kernel::{
    AccessError, Action, Caller, Clock, Event, Link, LinkTarget, MockObjects, ObjectKey, Objects, Outcome, PageRequest,
    PatientId, Refused, Role, Sha256Digest, StoreError, WriteError,
    testing::{MemoryObjects, TestGate, TestSigner, caller, fresh_id, patient_caller},
};

fn facts() -> ImageFacts {
    ImageFacts { width: 4, height: 3, frames: 1, dicom: None, preview: PreviewState::Available }
}

fn png(length: usize) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    bytes.resize(length, 7);
    bytes
}

#[derive(Default)]
struct Desk {
    gate: TestGate,
    objects: MemoryObjects,
    images: MemoryImages,
}

impl Desk {
    fn receiving(&self, reader: MockImageReader) -> ReceiveImage {
        ReceiveImage { gate: self.gate.gate.clone(), objects: Arc::new(self.objects.clone()), reader: Arc::new(reader) }
    }

    fn queries(&self, reader: MockImageReader) -> Queries {
        Queries {
            gate: self.gate.gate.clone(),
            store: Arc::new(self.images.clone()),
            previews: Previews { objects: Arc::new(self.objects.clone()), reader: Arc::new(reader) },
            signer: Arc::new(TestSigner),
        }
    }

    /// A study with one image, whose bytes are `0123456789`.
    fn study(&self, patient: PatientId, released: bool) -> (FoundStudy, Image) {
        let mut found = FoundStudy { released, ..study_now(patient, 1) };
        found.images[0].object.bytes = 10;
        let image = found.images[0].clone();
        self.images.insert(found.clone());
        self.objects.put(&image.object.key, "0123456789");
        (found, image)
    }

    fn last_event(&self) -> Event {
        self.gate.journal.events().pop().unwrap()
    }
}

fn reads(facts: ImageFacts) -> MockImageReader {
    let mut reader = MockImageReader::new();
    reader.expect_inspect().returning(move |_, _| Ok(facts.clone()));
    reader
}

async fn receive(desk: &Desk, facts: ImageFacts, bytes: &[u8]) -> ReceivedImage {
    let mut intake = desk.receiving(reads(facts)).begin(&caller(Role::Doctor), None, None).await.unwrap();
    intake.write(Bytes::copy_from_slice(bytes)).await.unwrap();
    intake.finish().await.unwrap()
}

fn hidden(error: &ImagingError) -> bool {
    matches!(error, ImagingError::Access(AccessError::Refused(Refused::Hidden)))
}

#[tokio::test]
async fn only_a_doctor_uploads_and_the_others_are_told_before_the_first_byte() {
    let desk = Desk::default();
    for role in [Role::Admin, Role::Accountant, Role::Patient] {
        let refused = desk.receiving(MockImageReader::new()).begin(&caller(role), None, None).await;
        assert!(matches!(refused, Err(ImagingError::Access(AccessError::Refused(Refused::Role { .. })))), "{role}");
        assert_eq!(desk.last_event().outcome, Outcome::Refused);
    }
}

#[tokio::test]
async fn an_image_is_the_same_however_its_bytes_come_in() {
    let bytes = png(1_000);
    for size in [1, 7, 131, 132, 133, 1_000] {
        let desk = Desk::default();
        let receiving = desk.receiving(reads(facts()));
        let mut intake =
            receiving.begin(&caller(Role::Doctor), Some("image/png"), Some("C:\\x\\chest.png")).await.unwrap();
        for chunk in bytes.chunks(size) {
            intake.write(Bytes::copy_from_slice(chunk)).await.unwrap();
        }
        let received = intake.finish().await.unwrap();
        assert_eq!((received.bytes(), received.sha256()), (1_000, Sha256Digest::of(&bytes)), "{size}");
        assert_eq!(received.file_name.as_ref().unwrap().as_str(), "chest.png");

        let study = study_now(fresh_id(), 0).study;
        let id = fresh_id();
        let image = received.keep(id, &study, 3).await.unwrap();
        assert_eq!((image.id, image.study, image.patient, image.position), (id, study.id, study.patient, 3));
        assert_eq!((image.format, &image.facts), (ImageFormat::Png, &facts()));
        assert_eq!(image.object.key, ObjectKey::image(id));
        assert_eq!(desk.objects.get(&image.object.key).unwrap(), bytes);
    }
}

#[tokio::test]
async fn a_short_file_is_recognised_too() {
    let desk = Desk::default();
    assert_eq!(receive(&desk, facts(), &png(20)).await.bytes(), 20);
}

#[tokio::test]
async fn what_is_no_image_is_refused_by_its_first_bytes_and_never_staged() {
    for (declared_type, bytes) in [
        (None, b"<svg xmlns='http://www.w3.org/2000/svg'>".repeat(10)),
        (None, b"%PDF-1.7".repeat(20)),
        (Some("image/jpeg"), png(200)),
    ] {
        let desk = Desk::default();
        let objects = Arc::new(MockObjects::new());
        let receiving = ReceiveImage { objects, ..desk.receiving(MockImageReader::new()) };
        let mut intake = receiving.begin(&caller(Role::Doctor), declared_type, None).await.unwrap();
        let refused = intake.write(bytes.into()).await.unwrap_err();
        let by_type = matches!(refused, ImagingError::UnsupportedType { .. } | ImagingError::Disagreement { .. });
        assert!(by_type, "{refused}");
        assert!(intake.write(png(200).into()).await.is_err(), "no more is taken");
        assert!(intake.finish().await.is_err());
    }
    let desk = Desk::default();
    let nothing = desk.receiving(MockImageReader::new()).begin(&caller(Role::Doctor), None, None).await.unwrap();
    let refused = nothing.finish().await.err().unwrap();
    assert!(matches!(refused, ImagingError::UnsupportedType { found: "empty" }), "{refused}");
}

#[tokio::test]
async fn one_byte_too_many_is_refused() {
    let desk = Desk::default();
    let receiving = desk.receiving(reads(facts()));
    let mut intake = receiving.begin(&caller(Role::Doctor), None, None).await.unwrap();
    intake.write(png(MAX_IMAGE_BYTES as usize).into()).await.unwrap();
    let refused = intake.write(Bytes::from_static(b"x")).await.unwrap_err();
    let expected = (ImageFormat::Png, MAX_IMAGE_BYTES);
    assert!(matches!(refused, ImagingError::TooLarge { format, max_bytes } if (format, max_bytes) == expected));
    assert!(intake.finish().await.is_err());
    assert_eq!(desk.objects.keys(), []);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_and_nothing_is_kept() {
    let desk = Desk::default();
    let mut reader = MockImageReader::new();
    reader.expect_inspect().returning(|_, _| Err(ReadError::unreadable("it ends early")));
    let mut intake = desk.receiving(reader).begin(&caller(Role::Doctor), None, None).await.unwrap();
    intake.write(png(500).into()).await.unwrap();
    let refused = intake.finish().await.err().unwrap();
    assert!(matches!(&refused, ImagingError::Unreadable { reason, .. } if reason == "it ends early"), "{refused}");
    assert_eq!(desk.objects.keys(), []);
}

#[tokio::test]
async fn an_image_is_never_kept_over_another() {
    let desk = Desk::default();
    let (study, id) = (study_now(fresh_id(), 0).study, fresh_id());
    receive(&desk, facts(), &png(200)).await.keep(id, &study, 0).await.unwrap();
    let refused = receive(&desk, facts(), &png(300)).await.keep(id, &study, 0).await;
    assert!(matches!(refused, Err(WriteError::Conflict { .. })));
    assert_eq!(desk.objects.get(&ObjectKey::image(id)).unwrap().len(), 200);
}

#[tokio::test]
async fn a_study_takes_its_uid_and_its_day_from_its_images() {
    let desk = Desk::default();
    let dicom = |study_uid: &str, patient: &str, date: &str| {
        let attributes = DicomAttributes {
            study_uid: study_uid.parse().ok(),
            patient_id: patient.to_owned().try_into().ok(),
            study_date: date.parse().ok(),
            ..DicomAttributes::default()
        };
        ImageFacts { dicom: Some(attributes), ..facts() }
    };
    let into_study = async |all: Vec<ImageFacts>| {
        let mut images = Vec::new();
        for facts in all {
            images.push(receive(&desk, facts, &png(200)).await);
        }
        let new = NewStudy { patient: fresh_id(), author: fresh_id(), modality: Modality::parse("CT").unwrap() };
        new.into_study(fresh_id(), &images, desk.gate.clock.now())
    };
    let study = into_study(vec![facts(), dicom("1.2", "P1", "20260302"), dicom("1.2", "", "20260301")]).await.unwrap();
    assert_eq!((study.study_uid, study.performed_on), ("1.2".parse().ok(), "20260301".parse().ok()));
    let study = into_study(vec![facts()]).await.unwrap();
    assert_eq!((study.study_uid, study.performed_on), (None, None));

    assert!(into_study(vec![]).await.is_err());
    assert!(into_study(vec![facts(); 64]).await.is_ok());
    assert!(into_study(vec![facts(); 65]).await.is_err());
    assert!(into_study(vec![dicom("1.2", "", ""), dicom("1.3", "", "")]).await.is_err());
    assert!(into_study(vec![dicom("", "P1", ""), dicom("", "P2", "")]).await.is_err());
}

#[tokio::test]
async fn staff_who_treat_read_every_image_and_each_read_leaves_an_entry() {
    let desk = Desk::default();
    let patient = fresh_id();
    let (found, image) = desk.study(patient, false);
    let queries = desk.queries(MockImageReader::new());
    for role in [Role::Admin, Role::Doctor] {
        let caller = caller(role);
        assert_eq!(queries.study(&caller, found.study.id).await.unwrap(), found);
        let subject = desk.last_event().subject;
        assert_eq!((subject.kind.as_ref(), subject.patient), ("study", Some(patient)));
        assert_eq!(queries.image(&caller, image.id).await.unwrap().image, image);
        assert_eq!(desk.last_event().action, Action::IMAGE_READ);
        assert_eq!(desk.last_event().subject.patient, Some(patient));
        let page = queries.studies_of(&caller, Some(patient), &PageRequest::default()).await.unwrap();
        assert_eq!(page.items, std::slice::from_ref(&found));
        assert_eq!(desk.last_event().action, Action::STUDY_READ);
    }
    let before = desk.gate.journal.events().len();
    let absent = queries.image(&caller(Role::Doctor), fresh_id()).await;
    assert!(matches!(absent, Err(ImagingError::NotFound)));
    assert_eq!(desk.gate.journal.events().len(), before);
}

#[tokio::test]
async fn an_accountant_sees_no_image() {
    let desk = Desk::default();
    let (found, image) = desk.study(fresh_id(), true);
    let queries = desk.queries(MockImageReader::new());
    let accountant = caller(Role::Accountant);
    assert!(queries.study(&accountant, found.study.id).await.is_err());
    assert!(queries.content(&accountant, image.id).await.is_err());
    assert!(queries.preview(&accountant, image.id, PreviewSize::LARGEST).await.is_err());
    assert!(queries.link(&accountant, image.id).await.is_err());
    assert!(queries.studies_of(&accountant, Some(found.study.patient), &PageRequest::default()).await.is_err());
    assert!(desk.gate.journal.events().iter().all(|event| event.outcome == Outcome::Refused));
}

#[tokio::test]
async fn a_patient_sees_their_own_images_once_they_are_released() {
    let desk = Desk::default();
    let patient = fresh_id();
    let me = patient_caller(patient);
    let (draft, draft_image) = desk.study(patient, false);
    let (other, other_image) = desk.study(fresh_id(), true);
    let queries = desk.queries(MockImageReader::new());
    for (study, image) in [(&draft, &draft_image), (&other, &other_image)] {
        assert!(hidden(&queries.study(&me, study.study.id).await.unwrap_err()));
        assert!(hidden(&queries.image(&me, image.id).await.unwrap_err()));
        assert!(hidden(&queries.content(&me, image.id).await.err().unwrap()));
        assert!(hidden(&queries.preview(&me, image.id, PreviewSize::LARGEST).await.unwrap_err()));
        assert!(hidden(&queries.link(&me, image.id).await.unwrap_err()));
        assert_eq!(desk.last_event().subject.patient, Some(image.patient));
    }
    let of_other = queries.studies_of(&me, Some(other.study.patient), &PageRequest::default()).await;
    assert!(hidden(&of_other.unwrap_err()));
    let list = async || queries.studies_of(&me, Some(patient), &PageRequest::default()).await.unwrap().items.len();
    assert_eq!(list().await, 0);

    desk.images.release(draft.study.id);
    assert_eq!(list().await, 1);
    assert_eq!(queries.image(&me, draft_image.id).await.unwrap().image, draft_image);
}

async fn read(queries: &Queries, caller: &Caller, image: &Image, range: Option<Range<u64>>) -> Vec<u8> {
    let read = queries.content(caller, image.id).await.unwrap().read(range).await.unwrap();
    read.bytes.try_collect::<Vec<Bytes>>().await.unwrap().concat()
}

#[tokio::test]
async fn content_is_the_bytes_as_uploaded_or_a_range_of_them() {
    let desk = Desk::default();
    let (_, image) = desk.study(fresh_id(), true);
    let (queries, doctor) = (desk.queries(MockImageReader::new()), caller(Role::Doctor));
    assert_eq!(read(&queries, &doctor, &image, None).await, b"0123456789");
    assert_eq!(read(&queries, &doctor, &image, Some(2..4)).await, b"23");
}

#[tokio::test]
async fn an_object_that_is_lost_or_altered_is_not_served() {
    let desk = Desk::default();
    let (_, image) = desk.study(fresh_id(), true);
    let (queries, doctor) = (desk.queries(MockImageReader::new()), caller(Role::Doctor));
    desk.objects.put(&image.object.key, "012345678");
    let content = queries.content(&doctor, image.id).await.unwrap();
    assert!(matches!(content.read(None).await, Err(StoreError::Corrupt { .. })));
    desk.objects.delete(&image.object.key).await.unwrap();
    assert!(matches!(content.read(None).await, Err(StoreError::Corrupt { .. })));
    assert!(queries.preview(&doctor, image.id, PreviewSize::LARGEST).await.is_err());
}

#[tokio::test]
async fn a_preview_is_made_once() {
    let desk = Desk::default();
    let (_, image) = desk.study(fresh_id(), true);
    let mut reader = MockImageReader::new();
    reader.expect_preview().times(1).returning(|path, format, size| {
        assert_eq!((std::fs::read(path).unwrap().as_slice(), format), (&b"0123456789"[..], ImageFormat::Png));
        Ok(Bytes::from(format!("preview of {}", size.pixels())))
    });
    let (queries, doctor) = (desk.queries(reader), caller(Role::Doctor));
    let size = PreviewSize::at_least(200).unwrap();
    for _ in 0..3 {
        assert_eq!(queries.preview(&doctor, image.id, size).await.unwrap(), "preview of 256");
    }
    assert_eq!(desk.objects.get(&ObjectKey::preview(image.id, 256)).unwrap(), "preview of 256");
}

#[tokio::test]
async fn two_who_make_one_preview_both_have_it() {
    let desk = Desk::default();
    let (_, image) = desk.study(fresh_id(), true);
    let mut reader = MockImageReader::new();
    let (objects, key) = (desk.objects.clone(), ObjectKey::preview(image.id, 512));
    reader.expect_preview().returning(move |_, _, _| {
        objects.put(&key, "theirs");
        Ok("ours".into())
    });
    let queries = desk.queries(reader);
    assert_eq!(queries.preview(&caller(Role::Doctor), image.id, PreviewSize::default()).await.unwrap(), "ours");
    assert_eq!(queries.preview(&caller(Role::Doctor), image.id, PreviewSize::default()).await.unwrap(), "theirs");
}

#[tokio::test]
async fn an_image_without_a_preview_says_why() {
    let desk = Desk::default();
    let (mut found, image) = desk.study(fresh_id(), true);
    found.images[0].facts.preview = PreviewState::Unavailable { reason: "its pixels are sound".into() };
    desk.images.insert(found);
    let queries = desk.queries(MockImageReader::new());
    let refused = queries.preview(&caller(Role::Doctor), image.id, PreviewSize::default()).await.unwrap_err();
    assert!(matches!(&refused, ImagingError::NoPreview { reason } if reason == "its pixels are sound"));
}

#[test]
fn previews_have_few_sizes() {
    for (asked, given) in [(1, 128), (128, 128), (129, 256), (512, 512), (513, 1024), (1024, 1024)] {
        assert_eq!(PreviewSize::at_least(asked).unwrap().pixels(), given);
    }
    for refused in [0, 1025, u32::MAX] {
        assert!(PreviewSize::at_least(refused).is_err());
    }
}

#[tokio::test]
async fn a_link_is_of_one_image_and_of_the_session_that_asked() {
    let desk = Desk::default();
    let (_, image) = desk.study(fresh_id(), true);
    let doctor = caller(Role::Doctor);
    let signed = desk.queries(MockImageReader::new()).link(&doctor, image.id).await.unwrap();
    let link = Link::verify(&signed.token, &TestSigner, desk.gate.clock.now()).unwrap();
    assert_eq!((link.target, link.session), (LinkTarget::Image(image.id), doctor.session));
    assert_eq!(link.expires, signed.expires);
    assert_eq!(desk.last_event().action, Action::IMAGE_LINK);
}
