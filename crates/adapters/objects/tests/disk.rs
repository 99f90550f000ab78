//! The laws of objects on the local disk, and what only a disk can show.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::{fs, path::Path};

use bytes::Bytes;
use infirmary_kernel::{ObjectKey, Objects, testing::keep_object};
use infirmary_objects::DiskObjects;
use tempfile::TempDir;

async fn on_disk() -> (DiskObjects, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (DiskObjects::open(&folder.path().join("objects")).unwrap(), folder)
}

async fn made() -> Option<(DiskObjects, TempDir)> {
    Some(on_disk().await)
}

infirmary_kernel::objects_laws!(made);

/// All files, but those by which processes tell that they live.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()).into_iter().map(|file| format!("{name}/{file}")));
        } else if name != "alive" && name != "lock" {
            found.push(name);
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn an_object_is_a_file_at_its_key_and_nothing_else_is_left() {
    let (objects, folder) = on_disk().await;
    keep_object(&objects, &ObjectKey::parse("images/deep/7").unwrap(), b"seven").await.unwrap();
    assert_eq!(files(folder.path()), ["objects/images/deep/7"]);
}

#[tokio::test]
async fn an_upload_that_is_dropped_at_any_step_leaves_no_file() {
    let (objects, folder) = on_disk().await;
    let staging = objects.stage().await.unwrap();
    assert_eq!(files(folder.path()).len(), 1);
    drop(staging);

    let mut staging = objects.stage().await.unwrap();
    staging.write(Bytes::from(vec![1; 1_000_000])).await.unwrap();
    drop(staging);

    drop(objects.stage().await.unwrap().seal().await.unwrap());
    keep_object(&objects, &ObjectKey::parse("a").unwrap(), b"").await.unwrap();
    assert!(keep_object(&objects, &ObjectKey::parse("a").unwrap(), b"").await.is_err());
    assert_eq!(files(folder.path()), ["objects/a"]);
}

#[tokio::test]
async fn what_a_dead_process_left_is_gone_and_what_a_living_one_stages_is_not() {
    let (living, folder) = on_disk().await;
    let mut staging = living.stage().await.unwrap();
    staging.write(Bytes::from(vec![1; 1_000_000])).await.unwrap();
    let dead = folder.path().join("objects/.staging/999999-0");
    let leave = || {
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join("alive"), b"").unwrap();
        fs::write(dead.join("0"), b"half an image").unwrap();
    };
    leave();
    let second = DiskObjects::open(&folder.path().join("objects")).unwrap();
    assert!(!dead.exists());
    // Another one dies while this one lives.
    leave();
    living.upkeep().await.unwrap();
    assert!(!dead.exists());
    staging.seal().await.unwrap().keep(&ObjectKey::parse("images/1").unwrap()).await.unwrap();
    assert!(second.read(&ObjectKey::parse("images/1").unwrap(), None).await.unwrap().is_some());
}

#[tokio::test]
async fn what_is_opened_to_be_read_is_there_and_is_left_as_it_is() {
    let (writing, folder) = on_disk().await;
    let key = ObjectKey::parse("images/1").unwrap();
    keep_object(&writing, &key, b"one").await.unwrap();
    let root = folder.path().join("objects");
    let staged = || fs::read_dir(root.join(".staging")).unwrap().count();
    let before = staged();
    let reading = DiskObjects::open_to_read(&root).unwrap();
    assert_eq!(reading.read(&key, None).await.unwrap().unwrap().size, 3);
    assert!(reading.stage().await.is_err());
    assert_eq!(staged(), before);
    assert!(DiskObjects::open_to_read(&folder.path().join("absent")).is_err());
    assert!(!folder.path().join("absent").exists());
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), b"").unwrap();
    let error = DiskObjects::open(&folder.path().join("file/objects")).err().unwrap().to_string();
    assert!(error.contains("file/objects"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn others_on_the_machine_cannot_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let (objects, folder) = on_disk().await;
    keep_object(&objects, &ObjectKey::parse("images/1").unwrap(), b"private").await.unwrap();
    for (path, mode) in [("objects", 0o700), ("objects/images", 0o700), ("objects/images/1", 0o600)] {
        assert_eq!(fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o777, mode, "{path}");
    }
}
