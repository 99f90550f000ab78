//! The laws of objects in buckets, and what only a bucket can show: by a real server of the interface, in the spelling
//! of Google Cloud Storage and in that of S3.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

mod common;

use std::{fs, os::unix::fs::PermissionsExt};

use bytes::Bytes;
use common::{House, key};
use futures_util::TryStreamExt;
use infirmary_kernel::{
    Objects, ServedAs, StoreError, WriteError,
    testing::{keep_object, read_object},
};
use infirmary_objects::{
    BucketObjects, Service,
    testing::{Fault, Operation, counting},
};

mod google {
    use super::*;
    async fn in_a_bucket() -> Option<(BucketObjects, common::Kept)> {
        Some(House::new(Service::GoogleCloudStorage).await?.split())
    }
    infirmary_kernel::objects_laws!(in_a_bucket);
}

mod s3 {
    use super::*;
    async fn in_a_bucket() -> Option<(BucketObjects, common::Kept)> {
        Some(House::new(Service::S3).await?.split())
    }
    infirmary_kernel::objects_laws!(in_a_bucket);
}

/// More than a part.
fn large() -> Vec<u8> {
    (0..5 * 1024 * 1024 + 17_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[tokio::test]
async fn a_large_object_is_sent_in_parts_and_written_once() {
    for service in common::SERVICES {
        let Some(house) = House::new(service).await else { return };
        let (objects, whole) = (&house.patient, large());
        let before = house.line.requests();
        let stored = keep_object(objects, &key("images/1"), &whole).await.unwrap();
        assert_eq!(stored.bytes, whole.len() as u64);
        // Is it there, begin, two parts, complete.
        assert_eq!(house.line.requests() - before, 5, "{service:?}");
        let again = keep_object(objects, &key("images/1"), &large()[1..]).await;
        assert!(matches!(again, Err(WriteError::Conflict { law: "one object for a key" })), "{again:?}");
        assert!(read_object(objects, &key("images/1")).await.unwrap() == whole);
        assert_eq!(house.staged(), 0, "what was kept is not staged any more");
    }
}

#[tokio::test]
async fn a_small_object_is_one_request() {
    for service in common::SERVICES {
        let Some(house) = House::new(service).await else { return };
        let before = house.line.requests();
        keep_object(&house.patient, &key("images/1"), b"small").await.unwrap();
        assert_eq!(house.line.requests() - before, 1, "{service:?}");
    }
}

#[tokio::test]
async fn houses_with_other_prefixes_do_not_see_each_other() {
    let Some(house) = House::new(Service::S3).await else { return };
    let mut settings = house.settings.clone();
    settings.prefix = Some(key("house/on"));
    let other = BucketObjects::open(&settings, &house.staging_folder(), counting()).await.unwrap();
    keep_object(&house.patient, &key("images/1"), b"mine").await.unwrap();
    assert_eq!(read_object(&other, &key("images/1")).await, None);
    assert_eq!(other.list(None).try_collect::<Vec<_>>().await.unwrap(), []);
    settings.prefix = None;
    let all = BucketObjects::open(&settings, &house.staging_folder(), counting()).await.unwrap();
    let listed: Vec<_> = all.list(None).try_collect().await.unwrap();
    assert_eq!(listed.iter().map(|object| object.key.as_str()).collect::<Vec<_>>(), ["house/one/images/1"]);
}

#[tokio::test]
async fn what_is_not_what_was_written_does_not_come_to_its_end() {
    for service in common::SERVICES {
        let Some(house) = House::new(service).await else { return };
        keep_object(&house.patient, &key("images/1"), b"a picture").await.unwrap();
        house.line.fail(Operation::Get, Fault::Altered, usize::MAX);
        let read = house.patient.read(&key("images/1"), None).await.unwrap().unwrap();
        let outcome = read.bytes.try_collect::<Vec<Bytes>>().await;
        assert!(matches!(outcome, Err(StoreError::Corrupt { .. })), "{outcome:?}");
        let outcome = house.patient.local(&key("images/1")).await.map(|file| file.is_some());
        assert!(matches!(outcome, Err(StoreError::Corrupt { .. })), "{outcome:?}");
        assert_eq!(house.staged(), 0);
    }
}

#[tokio::test]
async fn a_bucket_that_strangers_can_read_is_not_ready_until_it_is_closed() {
    for service in common::SERVICES {
        let Some(house) = House::new(service).await else { return };
        house.patient.check().await.unwrap();
        house.line.open_to_strangers(true);
        let looked = house.patient.upkeep().await.unwrap_err().to_string();
        assert!(looked.contains("without credentials"), "{looked}");
        assert!(house.patient.check().await.is_err());
        // A server that starts so starts, and is not ready.
        let started = BucketObjects::open(&house.settings, &house.staging_folder(), counting()).await.unwrap();
        assert!(started.check().await.is_err());
        house.line.open_to_strangers(false);
        house.patient.check().await.unwrap();
        started.check().await.unwrap();
    }
}

#[tokio::test]
async fn a_signed_address_opens_the_object_and_is_given_only_when_it_is_asked_for() {
    for service in common::SERVICES {
        let Some(house) = House::new(service).await else { return };
        let mut settings = house.settings.clone();
        settings.signed_urls = true;
        let signing = BucketObjects::open(&settings, &house.staging_folder(), counting()).await.unwrap();
        keep_object(&signing, &key("images/1"), b"a picture").await.unwrap();
        let served = ServedAs { media_type: "image/png", disposition: "inline; filename=\"x.png\"".into() };
        assert_eq!(house.patient.signed_url(&key("images/1"), &served).await.unwrap(), None);

        let url = signing.signed_url(&key("images/1"), &served).await.unwrap().unwrap();
        // The server of the tests does not do what the last two ask for, so this looks at the asking.
        for part in ["Expires=60", "response-content-type=image%2Fpng", "response-content-disposition=inline%3B"] {
            assert!(url.contains(part), "{url}");
        }
        let answer = reqwest::get(&url).await.unwrap();
        assert_eq!(answer.status(), 200, "{url}");
        assert_eq!(answer.bytes().await.unwrap(), "a picture");
        let unsigned = url.split_once('?').unwrap().0;
        assert_eq!(reqwest::get(unsigned).await.unwrap().status(), 403);
    }
}

#[tokio::test]
async fn credentials_that_others_can_read_are_refused_and_never_repeated() {
    for service in common::SERVICES {
        let Some(house) = House::new(service).await else { return };
        let path = house.settings.credentials.clone().unwrap();
        let refused = async || {
            let opened = BucketObjects::open(&house.settings, &house.staging_folder(), counting()).await;
            opened.err().unwrap().to_string()
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let told = refused().await;
        assert!(told.contains("mode 640") && told.contains(path.to_str().unwrap()), "{told}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "canary = canary").unwrap();
        assert!(!refused().await.contains("canary"));
        fs::remove_file(&path).unwrap();
        assert!(refused().await.contains(path.to_str().unwrap()));
    }
}

#[tokio::test]
async fn a_bucket_that_is_not_there_stops_the_start_with_its_name() {
    for service in common::SERVICES {
        let Some(house) = House::new(service).await else { return };
        let mut settings = house.settings.clone();
        settings.bucket = "nosuchbucket".into();
        let opened = BucketObjects::open(&settings, &house.staging_folder(), counting()).await;
        let told = opened.err().unwrap().to_string();
        assert!(told.contains("not there") && told.contains("nosuchbucket"), "{told}");
    }
}
