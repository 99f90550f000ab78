//! Objects in memory, and the laws of [`Objects`] as a suite for every store of them.

use std::{
    collections::BTreeMap,
    io::Write,
    ops::Range,
    path::Path,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use tempfile::NamedTempFile;

use super::{ManualClock, locked};
use crate::{
    Clock, ListedObject, LocalFile, ObjectKey, ObjectRead, Objects, ServedAs, Sha256Digest, Staged, Staging,
    StoreError, StoredObject, WriteError,
};

type Shelf = Arc<Mutex<BTreeMap<ObjectKey, Bytes>>>;

/// Clones are the same memory. Only what asks for a path is a file, and that one is temporary.
#[derive(Clone, Default)]
pub struct MemoryObjects(Shelf);

impl MemoryObjects {
    /// For a test of what happens to a row whose object was lost or altered.
    pub fn put(&self, key: &ObjectKey, bytes: impl Into<Bytes>) {
        locked(&self.0).insert(key.clone(), bytes.into());
    }

    pub fn get(&self, key: &ObjectKey) -> Option<Bytes> {
        locked(&self.0).get(key).cloned()
    }

    pub fn keys(&self) -> Vec<ObjectKey> {
        locked(&self.0).keys().cloned().collect()
    }
}

struct MemoryStaging {
    shelf: Shelf,
    bytes: Vec<u8>,
}

struct MemoryStaged {
    shelf: Shelf,
    bytes: Bytes,
    file: NamedTempFile,
}

fn file_of(bytes: &[u8]) -> Result<NamedTempFile, StoreError> {
    let written = NamedTempFile::new().and_then(|mut file| file.write_all(bytes).map(|()| file));
    written.map_err(|error| StoreError::Unavailable { reason: error.to_string() })
}

#[async_trait]
impl Staging for MemoryStaging {
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        self.bytes.extend_from_slice(&chunk);
        Ok(())
    }

    async fn seal(self: Box<Self>) -> Result<Box<dyn Staged>, StoreError> {
        let file = file_of(&self.bytes)?;
        Ok(Box::new(MemoryStaged { shelf: self.shelf, bytes: self.bytes.into(), file }))
    }
}

#[async_trait]
impl Staged for MemoryStaged {
    fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn sha256(&self) -> Sha256Digest {
        Sha256Digest::of(&self.bytes)
    }

    fn path(&self) -> &Path {
        self.file.path()
    }

    async fn keep(self: Box<Self>, key: &ObjectKey) -> Result<StoredObject, WriteError> {
        let mut shelf = locked(&self.shelf);
        if shelf.contains_key(key) {
            return Err(WriteError::Conflict { law: "one object for a key" });
        }
        shelf.insert(key.clone(), self.bytes.clone());
        Ok(StoredObject { key: key.clone(), bytes: self.bytes(), sha256: self.sha256() })
    }
}

impl LocalFile for NamedTempFile {
    fn path(&self) -> &Path {
        self.path()
    }
}

#[async_trait]
impl Objects for MemoryObjects {
    async fn stage(&self) -> Result<Box<dyn Staging>, StoreError> {
        Ok(Box::new(MemoryStaging { shelf: self.0.clone(), bytes: Vec::new() }))
    }

    async fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Option<ObjectRead>, StoreError> {
        Ok(self.get(key).map(|bytes| {
            let size = bytes.len() as u64;
            let end = range.as_ref().map_or(size, |range| range.end.min(size));
            let range = range.map_or(0, |range| range.start.min(end))..end;
            let part = bytes.slice(range.start as usize..range.end as usize);
            ObjectRead { size, range, bytes: stream::iter([Ok(part)]).boxed() }
        }))
    }

    async fn local(&self, key: &ObjectKey) -> Result<Option<Box<dyn LocalFile>>, StoreError> {
        self.get(key).map(|bytes| Ok(Box::new(file_of(&bytes)?) as Box<dyn LocalFile>)).transpose()
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
        locked(&self.0).remove(key);
        Ok(())
    }

    fn list(&self, folder: Option<ObjectKey>) -> BoxStream<'static, Result<ListedObject, StoreError>> {
        let listed: Vec<_> = locked(&self.0)
            .iter()
            .filter(|(key, _)| folder.as_ref().is_none_or(|folder| key.is_under(folder)))
            .map(|(key, bytes)| {
                let modified = ManualClock::default().now();
                Ok(ListedObject { key: key.clone(), bytes: bytes.len() as u64, modified })
            })
            .collect();
        stream::iter(listed).boxed()
    }

    async fn signed_url(&self, _key: &ObjectKey, _served: &ServedAs) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn upkeep(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Stages the bytes and keeps them.
pub async fn keep_object(objects: &dyn Objects, key: &ObjectKey, bytes: &[u8]) -> Result<StoredObject, WriteError> {
    let mut staging = objects.stage().await?;
    staging.write(Bytes::copy_from_slice(bytes)).await?;
    staging.seal().await?.keep(key).await
}

/// The whole object.
pub async fn read_object(objects: &dyn Objects, key: &ObjectKey) -> Option<Vec<u8>> {
    Some(collect(objects.read(key, None).await.expect("readable")?).await)
}

async fn collect(read: ObjectRead) -> Vec<u8> {
    let chunks: Vec<Bytes> = read.bytes.try_collect().await.expect("readable to the end");
    chunks.concat()
}

/// One test for each law of [`Objects`] that one process can tell: `infirmary_kernel::objects_laws!(make_store)`, where
/// `make_store` is an async function that gives an empty store and whatever has to live as long as it does; or nothing, where
/// the store that it would need is not there.
#[macro_export]
macro_rules! objects_laws {
    ($make:path) => {
        $crate::objects_laws!(@each $make:
            bytes_come_back_as_they_were_written
            chunks_of_any_size_make_one_object
            what_is_staged_is_not_seen_until_it_is_kept
            what_is_dropped_leaves_nothing
            a_key_is_written_once
            of_many_who_keep_one_key_one_wins
            a_range_is_cut_at_the_end
            an_object_is_a_file_on_this_machine
            an_object_that_is_read_is_read_to_its_end
            a_list_is_by_whole_segments
            what_is_absent_is_none_and_deleting_it_is_fine
            a_store_that_works_is_ready);
    };
    (@each $make:path: $($law:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $law() {
            let Some((objects, _keep)) = $make().await else { return };
            $crate::testing::object_laws::$law(&objects).await;
        })*
    };
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).expect("a key")
}

async fn listed(objects: &dyn Objects, folder: &str) -> Vec<ListedObject> {
    let mut listed: Vec<ListedObject> =
        objects.list(Some(key(folder))).try_collect().await.expect("a store that lists");
    listed.sort_by(|a, b| a.key.cmp(&b.key));
    listed
}

pub async fn bytes_come_back_as_they_were_written(objects: &dyn Objects) {
    for (name, bytes) in [("laws-whole/empty", &b""[..]), ("laws-whole/some", b"\0\xffbytes\n")] {
        let stored = keep_object(objects, &key(name), bytes).await.expect("kept");
        assert_eq!(stored, StoredObject { key: key(name), bytes: bytes.len() as u64, sha256: Sha256Digest::of(bytes) });
        let read = objects.read(&key(name), None).await.expect("read").expect("there");
        assert_eq!((read.size, read.range.clone()), (bytes.len() as u64, 0..bytes.len() as u64));
        assert_eq!(collect(read).await, bytes);
    }
}

pub async fn chunks_of_any_size_make_one_object(objects: &dyn Objects) {
    let whole: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut staging = objects.stage().await.expect("staged");
    let (mut rest, mut size) = (whole.as_slice(), 1);
    while !rest.is_empty() {
        let (chunk, later) = rest.split_at(size.min(rest.len()));
        staging.write(Bytes::copy_from_slice(chunk)).await.expect("written");
        staging.write(Bytes::new()).await.expect("nothing is written too");
        (rest, size) = (later, size * 3);
    }
    let staged = staging.seal().await.expect("sealed");
    assert_eq!((staged.bytes(), staged.sha256()), (whole.len() as u64, Sha256Digest::of(&whole)));
    assert!(std::fs::read(staged.path()).expect("a local file") == whole);
    staged.keep(&key("laws-chunks/a")).await.expect("kept");
    assert!(read_object(objects, &key("laws-chunks/a")).await.expect("there") == whole);
}

pub async fn what_is_staged_is_not_seen_until_it_is_kept(objects: &dyn Objects) {
    let all = async || objects.list(None).try_collect::<Vec<_>>().await.expect("listed").len();
    let before = all().await;
    let mut staging = objects.stage().await.expect("staged");
    staging.write(Bytes::from_static(b"coming")).await.expect("written");
    assert_eq!(all().await, before);
    let staged = staging.seal().await.expect("sealed");
    assert_eq!(all().await, before);
    staged.keep(&key("laws-seen/a")).await.expect("kept");
    assert_eq!(all().await, before + 1);
}

pub async fn what_is_dropped_leaves_nothing(objects: &dyn Objects) {
    let mut staging = objects.stage().await.expect("staged");
    staging.write(Bytes::from_static(b"dropped")).await.expect("written");
    drop(staging);
    let staged = objects.stage().await.expect("staged").seal().await.expect("sealed");
    let path = staged.path().to_owned();
    assert!(path.exists());
    drop(staged);
    assert!(!path.exists());
}

pub async fn a_key_is_written_once(objects: &dyn Objects) {
    let key = key("laws-once/a");
    keep_object(objects, &key, b"first").await.expect("kept");
    let second = keep_object(objects, &key, b"second").await;
    assert!(matches!(second, Err(WriteError::Conflict { law: "one object for a key" })), "{second:?}");
    assert_eq!(read_object(objects, &key).await.expect("there"), b"first");
}

pub async fn of_many_who_keep_one_key_one_wins(objects: &dyn Objects) {
    let key = key("laws-race/a");
    let outcomes = futures_util::future::join_all((0..16_u8).map(|n| {
        let key = &key;
        async move { keep_object(objects, key, &[n; 100]).await.ok().map(|_| n) }
    }))
    .await;
    let winners: Vec<u8> = outcomes.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(read_object(objects, &key).await.expect("there"), [winners[0]; 100]);
}

pub async fn a_range_is_cut_at_the_end(objects: &dyn Objects) {
    let key = key("laws-range/a");
    keep_object(objects, &key, b"0123456789").await.expect("kept");
    for (asked, given, bytes) in [
        (0..10, 0..10, &b"0123456789"[..]),
        (3..5, 3..5, b"34"),
        (8..100, 8..10, b"89"),
        (4..4, 4..4, b""),
        (10..11, 10..10, b""),
        (50..60, 10..10, b""),
    ] {
        let read = objects.read(&key, Some(asked.clone())).await.expect("read").expect("there");
        assert_eq!((read.size, read.range.clone()), (10, given), "{asked:?}");
        assert_eq!(collect(read).await, bytes, "{asked:?}");
    }
}

pub async fn an_object_is_a_file_on_this_machine(objects: &dyn Objects) {
    keep_object(objects, &key("laws-local/a"), b"local").await.expect("kept");
    let file = objects.local(&key("laws-local/a")).await.expect("reached").expect("there");
    assert_eq!(std::fs::read(file.path()).expect("readable"), b"local");
    drop(file);
    assert_eq!(read_object(objects, &key("laws-local/a")).await.expect("still there"), b"local");
}

pub async fn an_object_that_is_read_is_read_to_its_end(objects: &dyn Objects) {
    let whole = vec![7; 1_000_000];
    keep_object(objects, &key("laws-delete/a"), &whole).await.expect("kept");
    let mut read = objects.read(&key("laws-delete/a"), None).await.expect("read").expect("there");
    let mut seen = read.bytes.next().await.expect("a chunk").expect("readable").to_vec();
    objects.delete(&key("laws-delete/a")).await.expect("deleted");
    while let Some(chunk) = read.bytes.next().await {
        seen.extend_from_slice(&chunk.expect("readable"));
    }
    assert!(seen == whole);
    assert!(read_object(objects, &key("laws-delete/a")).await.is_none());
}

pub async fn a_list_is_by_whole_segments(objects: &dyn Objects) {
    for name in ["laws-list/a/1", "laws-list/a/2", "laws-list/ab/3", "laws-list/b"] {
        keep_object(objects, &key(name), name.as_bytes()).await.expect("kept");
    }
    let all = listed(objects, "laws-list").await;
    let names: Vec<&str> = all.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(names, ["laws-list/a/1", "laws-list/a/2", "laws-list/ab/3", "laws-list/b"]);
    assert!(all.iter().all(|object| object.bytes == object.key.as_str().len() as u64));
    assert_eq!(listed(objects, "laws-list/a").await.len(), 2);
    assert_eq!(listed(objects, "laws-nothing").await, []);
}

pub async fn what_is_absent_is_none_and_deleting_it_is_fine(objects: &dyn Objects) {
    let absent = key("laws-absent/a");
    assert!(objects.read(&absent, None).await.expect("reached").is_none());
    assert!(objects.read(&absent, Some(0..1)).await.expect("reached").is_none());
    assert!(objects.local(&absent).await.expect("reached").is_none());
    objects.delete(&absent).await.expect("nothing to delete");
    keep_object(objects, &absent, b"now").await.expect("kept");
    objects.delete(&absent).await.expect("deleted");
    keep_object(objects, &absent, b"again").await.expect("a key that was deleted is free");
}

pub async fn a_store_that_works_is_ready(objects: &dyn Objects) {
    objects.upkeep().await.expect("as it should be");
    objects.check().await.expect("ready");
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn in_memory() -> Option<(MemoryObjects, ())> {
        Some((MemoryObjects::default(), ()))
    }

    crate::objects_laws!(in_memory);
}
