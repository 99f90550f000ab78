use std::{fmt, ops::Range, path::Path, str::FromStr};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::{ImageId, Invalid, ReportId, Sha256Digest, StoreError, Timestamp, WriteError};

/// The place of an object: ours, never a client's file name. Segments of `a-z 0-9 - . _` between slashes, none of them
/// empty or with a dot in front, so that every store can hold it and none of it means anything to a file system.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

impl ObjectKey {
    pub const MAX_CHARS: usize = 200;
    /// Where the keys made here lie, for a store that has to make its folders.
    pub const FOLDERS: [&str; 3] = ["images", "reports", "previews"];

    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let plain = |segment: &str| {
            !segment.is_empty()
                && !segment.starts_with('.')
                && segment.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_'))
        };
        if text.len() <= Self::MAX_CHARS && text.split('/').all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::new("", "is not the key of an object; give segments of a-z 0-9 - . _ such as images/0198c1f0"))
        }
    }

    /// The bytes of an image as they were uploaded.
    pub fn image(id: ImageId) -> Self {
        Self(format!("images/{id}"))
    }

    /// The PDF of a report.
    pub fn report(id: ReportId) -> Self {
        Self(format!("reports/{id}"))
    }

    /// What was derived from an image to look at it, and can be made again.
    pub fn preview(id: ImageId, max_side_pixels: u32) -> Self {
        Self(format!("previews/{id}/{max_side_pixels}"))
    }

    /// In a store of objects that is being filled from another one, and is not whole yet. Of no record.
    pub fn unfinished() -> Self {
        Self("unfinished".to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it lies in the folder, by whole segments: `images/7` is in `images`, `images-old/7` is not.
    pub fn is_under(&self, folder: &Self) -> bool {
        self.0.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
impl FromStr for ObjectKey {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}

/// What a row keeps of an object that is durably in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObject {
    pub key: ObjectKey,
    pub bytes: u64,
    pub sha256: Sha256Digest,
}

/// An object, or a range of it, on its way out.
pub struct ObjectRead {
    /// Of the whole object.
    pub size: u64,
    /// What of it follows: the range asked for, cut at the end of the object.
    pub range: Range<u64>,
    pub bytes: BoxStream<'static, Result<Bytes, StoreError>>,
}

impl fmt::Debug for ObjectRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectRead").field("size", &self.size).field("range", &self.range).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    pub key: ObjectKey,
    pub bytes: u64,
    pub modified: Timestamp,
}

/// Where the bytes of images and reports are kept. Rows know them by [`StoredObject`].
///
/// Bytes first, row second: an object is kept before the transaction that names it, and is never deleted because that
/// transaction failed, whose outcome may be unknown. An object without a row is swept after a day.
///
/// Laws
/// - Nothing that was staged can be read, found or listed under a key until it is kept.
/// - `keep` answers `Ok` only when the object would survive a crash of process and machine, and then it is wholly
///   there.
/// - A key is written once: keeping at a key that exists is [`WriteError::Conflict`] (`"one object for a key"`) and
///   leaves the object that was there; of many at once, one wins.
/// - What was staged and dropped, at whatever step, leaves nothing; what a process left behind when it was killed is
///   gone when the store is opened next.
/// - `read` gives the bytes as they were written; a range is cut at the end of the object, and one that starts there
///   or later is empty. It gives `None` for a key that has no object.
/// - An object that is being read is read to its end, also when it is deleted meanwhile.
/// - `delete` of what is not there is `Ok`.
/// - `list` gives every object in the folder, by whole segments of the key, each once, in no order.
/// - Memory does not grow with the size of an object.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait Objects: Send + Sync {
    /// A place for bytes that are still coming in.
    async fn stage(&self) -> Result<Box<dyn Staging>, StoreError>;

    async fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Option<ObjectRead>, StoreError>;

    /// The object as a file on this machine, for a decoder that has to seek.
    async fn local(&self, key: &ObjectKey) -> Result<Option<Box<dyn LocalFile>>, StoreError>;

    async fn delete(&self, key: &ObjectKey) -> Result<(), StoreError>;

    /// All objects, or those in a folder.
    fn list(&self, folder: Option<ObjectKey>) -> BoxStream<'static, Result<ListedObject, StoreError>>;

    /// An address at which the object can be fetched without any header for [`SIGNED_URL_SECONDS`]: `None` where the
    /// store gives no such addresses away.
    async fn signed_url(&self, key: &ObjectKey, served: &ServedAs) -> Result<Option<String>, StoreError>;

    /// Whether the store can be reached at this moment, and may be used: one that is open to everybody may not.
    async fn check(&self) -> Result<(), StoreError>;

    /// What is to be done every hour: removes what uploads of dead processes left, and looks whether the store can be
    /// written to and is closed to strangers. Any number of processes may do it at once.
    async fn upkeep(&self) -> Result<(), StoreError>;
}

/// How long a signed address opens an object.
pub const SIGNED_URL_SECONDS: u64 = 60;

/// What a store says of the bytes that it serves itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedAs {
    pub media_type: &'static str,
    /// As the header `Content-Disposition`.
    pub disposition: String,
}

/// Bytes coming in. Drop it to forget them.
///
/// Laws: chunks are kept in the order written, of whatever size; after an error, or after a `write` whose future was
/// dropped, nothing more is taken.
#[async_trait]
pub trait Staging: Send + Sync {
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError>;

    /// No more will come: everything written can be read at [`Staged::path`].
    async fn seal(self: Box<Self>) -> Result<Box<dyn Staged>, StoreError>;
}

/// Bytes that are all here, and not yet kept. Drop it to forget them.
#[async_trait]
pub trait Staged: Send + Sync {
    fn bytes(&self) -> u64;

    /// Computed while the bytes came in, not by reading them again.
    fn sha256(&self) -> Sha256Digest;

    /// A file on this machine, there as long as `self` is.
    fn path(&self) -> &Path;

    async fn keep(self: Box<Self>, key: &ObjectKey) -> Result<StoredObject, WriteError>;
}

/// A file to read on this machine: the object itself, or a copy that goes when this is dropped.
pub trait LocalFile: Send + Sync {
    fn path(&self) -> &Path;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_plain_segments() {
        for key in ["images/0198c1f0-7c3e", "a", "previews/x/512", "a.b_c/d"] {
            assert_eq!(ObjectKey::parse(key).unwrap().as_str(), key);
        }
        for refused in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "..",
            "a/../b",
            ".staging/x",
            "A",
            "a b",
            "a\\b",
            "a#1",
            "ä",
            &"x".repeat(201),
        ] {
            assert!(ObjectKey::parse(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_key_is_in_a_folder_by_whole_segments() {
        let key = |text| ObjectKey::parse(text).unwrap();
        assert!(key("images/7").is_under(&key("images")));
        assert!(key("previews/7/512").is_under(&key("previews/7")));
        for outside in ["images-old/7", "images", "imagess/7"] {
            assert!(!key(outside).is_under(&key("images")), "{outside}");
        }
    }
}
