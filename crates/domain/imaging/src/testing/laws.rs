//! One test for each law of [`ImageStore`]. Every adapter runs them all on an empty store:
//! `infirmary_imaging::image_store_laws!(make_store)`, where `make_store` is an async function that gives a store and a
//! [`Seed`] for it, which may hold whatever has to live as long as it does.

pub use infirmary_kernel::testing::made;

use std::time::Duration;

use infirmary_kernel::{
    Clock, Limit, PageRequest, PatientId,
    testing::{ManualClock, fresh_id},
};

use super::{Seed, study, study_now};
use crate::{FoundImage, FoundStudy, ImageStore, PreviewState, Visible};

#[macro_export]
macro_rules! image_store_laws {
    ($make:path) => {
        $crate::image_store_laws!(@each $make:
            a_study_is_found_with_its_images_in_their_order
            an_image_is_found_with_its_study
            what_may_be_absent_may_be_absent
            the_longest_values_are_kept
            what_was_not_written_is_not_found
            a_study_is_released_when_its_diagnosis_is_confirmed
            a_list_is_of_one_patient_and_of_what_is_visible
            pages_are_newest_first_and_stable_under_equal_times_and_inserts);
    };
    (@each $make:path: $($law:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $law() {
            let Some((store, seed)) = $crate::testing::laws::made($make().await) else { return };
            $crate::testing::laws::$law(&store, &seed).await;
        })*
    };
}

fn page(items: usize) -> PageRequest {
    PageRequest { limit: Limit::new(items).expect("a limit"), after: None }
}

pub async fn a_study_is_found_with_its_images_in_their_order(store: &impl ImageStore, seed: &impl Seed) {
    for images in [1, 3, 20] {
        let written = study_now(fresh_id(), images);
        seed.study(&written).await;
        assert_eq!(store.find_study(written.study.id).await.unwrap().as_ref(), Some(&written));
        let listed = store.studies_of(written.study.patient, Visible::All, &page(50)).await.unwrap();
        assert_eq!((listed.items, listed.next), (vec![written], None));
    }
}

pub async fn an_image_is_found_with_its_study(store: &impl ImageStore, seed: &impl Seed) {
    let FoundStudy { study, images, released } = {
        let written = study_now(fresh_id(), 3);
        seed.study(&written).await;
        written
    };
    for image in images {
        let found = store.find_image(image.id).await.unwrap();
        assert_eq!(found, Some(FoundImage { image, study: study.clone(), released }));
    }
}

pub async fn what_may_be_absent_may_be_absent(store: &impl ImageStore, seed: &impl Seed) {
    let mut written = study_now(fresh_id(), 3);
    written.study.study_uid = None;
    written.study.performed_on = None;
    for image in &mut written.images {
        image.file_name = None;
        image.facts.preview = PreviewState::Unavailable { reason: "its pixels are of a kind not known here".into() };
        if let Some(dicom) = &mut image.facts.dicom {
            *dicom = crate::DicomAttributes::default();
            (image.facts.width, image.facts.height, image.facts.frames) = (0, 0, 0);
        }
    }
    seed.study(&written).await;
    assert_eq!(store.find_study(written.study.id).await.unwrap(), Some(written));
}

pub async fn the_longest_values_are_kept(store: &impl ImageStore, seed: &impl Seed) {
    let mut written = study_now(fresh_id(), 3);
    for image in &mut written.images {
        image.object.bytes = crate::MAX_DICOM_BYTES;
        image.file_name = "\u{1fa7b}".repeat(255).try_into().ok();
        (image.facts.width, image.facts.height) = (crate::MAX_SIDE_PIXELS, 1);
        image.facts.frames = u32::MAX;
        if let Some(dicom) = &mut image.facts.dicom {
            dicom.patient_id = "\u{6d5}".repeat(500).try_into().ok();
            dicom.instance_uid = Some(format!("1.{}", "9".repeat(62)).parse().expect("a UID"));
        }
    }
    seed.study(&written).await;
    assert_eq!(store.find_study(written.study.id).await.unwrap(), Some(written));
}

pub async fn what_was_not_written_is_not_found(store: &impl ImageStore, seed: &impl Seed) {
    seed.study(&study_now(fresh_id(), 1)).await;
    assert_eq!(store.find_study(fresh_id()).await.unwrap(), None);
    assert_eq!(store.find_image(fresh_id()).await.unwrap(), None);
    assert_eq!(store.studies_of(fresh_id(), Visible::All, &page(50)).await.unwrap().items, []);
}

pub async fn a_study_is_released_when_its_diagnosis_is_confirmed(store: &impl ImageStore, seed: &impl Seed) {
    for released in [false, true] {
        let written = FoundStudy { released, ..study_now(fresh_id(), 1) };
        seed.study(&written).await;
        assert_eq!(store.find_study(written.study.id).await.unwrap().unwrap().released, released);
        assert_eq!(store.find_image(written.images[0].id).await.unwrap().unwrap().released, released);
    }
}

pub async fn a_list_is_of_one_patient_and_of_what_is_visible(store: &impl ImageStore, seed: &impl Seed) {
    let patient: PatientId = fresh_id();
    let released = study_now(patient, 2);
    let draft = FoundStudy { released: false, ..study_now(patient, 1) };
    for written in [&released, &draft, &study_now(fresh_id(), 1)] {
        seed.study(written).await;
    }
    let list = async |visible| store.studies_of(patient, visible, &page(50)).await.unwrap().items;
    assert_eq!(list(Visible::Released).await, std::slice::from_ref(&released));
    let mut both = [released, draft];
    both.sort_by_key(|found| std::cmp::Reverse(found.study.id));
    assert_eq!(list(Visible::All).await, both);
}

pub async fn pages_are_newest_first_and_stable_under_equal_times_and_inserts(
    store: &impl ImageStore,
    seed: &impl Seed,
) {
    let (patient, start) = (fresh_id(), ManualClock::default().now());
    let mut written = Vec::new();
    for n in 0..9_u64 {
        // Three of each time.
        let found = study(patient, 1, start.plus(Duration::from_secs(n / 3)));
        seed.study(&found).await;
        written.push((found.study.recorded_at, found.study.id));
    }
    written.sort_unstable();
    written.reverse();
    let (mut seen, mut request) = (Vec::new(), page(2));
    loop {
        let given = store.studies_of(patient, Visible::All, &request).await.unwrap();
        seen.extend(given.items.iter().map(|found| (found.study.recorded_at, found.study.id)));
        let Some(next) = given.next else { break };
        request.after = Some(next);
        seed.study(&study(patient, 1, start.plus(Duration::from_secs(100)))).await;
    }
    assert_eq!(seen, written);
}
