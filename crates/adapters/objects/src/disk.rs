use std::{
    fs::{self, File},
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, future, stream::BoxStream};
use infirmary_kernel::{
    ListedObject, LocalFile, ObjectKey, ObjectRead, Objects, ServedAs, Sha256Digest, Staging, StoreError, Timestamp,
    WriteError,
};
use object_store::{GetResultPayload, ObjectStore, ObjectStoreExt, local::LocalFileSystem};

use crate::{
    reading,
    staging::{Destination, FileStaging, StagingFile, StagingFolder, create_folder, create_one_folder},
};

/// Objects as files in a folder, each at its key.
pub struct DiskObjects {
    root: Root,
    store: LocalFileSystem,
    /// Absent: opened to be read.
    staging: Option<Arc<StagingFolder>>,
}

impl DiskObjects {
    /// Opens the folder, makes it where it is not, and removes what uploads of dead processes left in it. Blocks.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let open = || {
            create_folder(root)?;
            let root = fs::canonicalize(root)?;
            // Now, and synced, so that no object of a first minute lies in a folder that a crash can still take away.
            for folder in ObjectKey::FOLDERS {
                create_folder(&root.join(folder))?;
            }
            sync_folder(&root)?;
            let staging = StagingFolder::open(&root.join(".staging"))?;
            Ok((root, staging))
        };
        let (root, staging) = open().map_err(|error: io::Error| StoreError::Unavailable {
            reason: format!("the folder of objects {} cannot be used: {error}", root.display()),
        })?;
        let store = LocalFileSystem::new_with_prefix(&root).map_err(failed)?;
        Ok(Self { root: Root(root.into()), store, staging: Some(Arc::new(staging)) })
    }

    /// Opens a folder that is there, and changes nothing in it: nothing can be staged. Blocks.
    pub fn open_to_read(root: &Path) -> Result<Self, StoreError> {
        let root = fs::canonicalize(root).map_err(|error| StoreError::Unavailable {
            reason: format!("the folder of objects {} cannot be read: {error}", root.display()),
        })?;
        let store = LocalFileSystem::new_with_prefix(&root).map_err(failed)?;
        Ok(Self { root: Root(root.into()), store, staging: None })
    }

    fn staging(&self) -> Result<Arc<StagingFolder>, StoreError> {
        let to_read = || StoreError::Unavailable { reason: "the objects were opened to be read only".into() };
        self.staging.clone().ok_or_else(to_read)
    }

    fn path(&self, key: &ObjectKey) -> PathBuf {
        self.root.0.join(key.as_str())
    }
}

fn location(key: &ObjectKey) -> object_store::path::Path {
    object_store::path::Path::from(key.as_str())
}

/// Runs it where it may block. A panic in there is a defect of ours and ends one request only.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| StoreError::Unavailable { reason: format!("work on the disk was not finished: {error}") })
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub fn unavailable(error: io::Error) -> StoreError {
    StoreError::Unavailable { reason: error.to_string() }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: object_store::Error) -> StoreError {
    StoreError::Unavailable { reason: error.to_string() }
}

#[async_trait]
impl Objects for DiskObjects {
    async fn stage(&self) -> Result<Box<dyn Staging>, StoreError> {
        let folder = self.staging()?;
        let file = blocking(move || folder.file()).await?.map_err(unavailable)?;
        Ok(Box::new(FileStaging::new(file, Arc::new(self.root.clone()))))
    }

    async fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Option<ObjectRead>, StoreError> {
        let found = match self.store.get(&location(key)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let size = found.meta.size;
        let end = range.as_ref().map_or(size, |range| range.end.min(size));
        let range = range.map_or(0, |range| range.start.min(end))..end;
        let bytes = match found.payload {
            GetResultPayload::File(file, _) => reading::chunks(file, range.clone()),
            GetResultPayload::Stream(_) => {
                return Err(StoreError::Corrupt { reason: "a folder of files gave something else".into() });
            }
        };
        Ok(Some(ObjectRead { size, range, bytes }))
    }

    async fn local(&self, key: &ObjectKey) -> Result<Option<Box<dyn LocalFile>>, StoreError> {
        let path = self.path(key);
        let there = blocking(move || path.try_exists().map(|there| there.then_some(path))).await?;
        Ok(there.map_err(unavailable)?.map(|path| Box::new(InPlace(path)) as Box<dyn LocalFile>))
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
        match self.store.delete(&location(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    fn list(&self, folder: Option<ObjectKey>) -> BoxStream<'static, Result<ListedObject, StoreError>> {
        // What has no key of ours, such as the staging folder, is not an object.
        let objects = self.store.list(folder.as_ref().map(location).as_ref()).map_err(failed);
        objects
            .try_filter_map(|meta| {
                let listed = ObjectKey::parse(meta.location.as_ref()).ok().map(|key| ListedObject {
                    key,
                    bytes: meta.size,
                    modified: Timestamp::from_unix_ms(meta.last_modified.timestamp_millis()),
                });
                future::ready(Ok(listed))
            })
            .boxed()
    }

    async fn signed_url(&self, _key: &ObjectKey, _served: &ServedAs) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    async fn check(&self) -> Result<(), StoreError> {
        let folder = self.staging()?;
        blocking(move || folder.file().map(drop)).await?.map_err(unavailable)
    }

    async fn upkeep(&self) -> Result<(), StoreError> {
        let folder = self.staging()?;
        blocking(move || folder.remove_the_dead()).await?.map_err(unavailable)
    }
}

struct InPlace(PathBuf);

impl LocalFile for InPlace {
    fn path(&self) -> &Path {
        &self.0
    }
}

/// The folder, as where staged files are put.
#[derive(Clone)]
struct Root(Arc<Path>);

impl Root {
    /// `LocalFileSystem::with_fsync` syncs as well, but what is staged here is no object of its yet: its rename trusts
    /// that the file is on the disk already, and its uploads need the key first and overwrite what is there.
    fn put_in_place(&self, file: &StagingFile, key: &ObjectKey) -> Result<(), WriteError> {
        file.file().sync_data().map_err(unavailable)?;
        let path = self.0.join(key.as_str());
        // A link and not a rename: it fails where a file is.
        if let Err(error) = self.link_to(file, &path) {
            return match error.kind() {
                io::ErrorKind::AlreadyExists => Err(WriteError::Conflict { law: "one object for a key" }),
                _ => Err(unavailable(error).into()),
            };
        }
        // From here on the object can be seen, and whether it lasts is not known until its folder is on the disk.
        path.parent().map_or(Ok(()), sync_folder).map_err(|error| {
            StoreError::OutcomeUnknown { reason: format!("the folder of an object could not be synced: {error}") }
                .into()
        })
    }

    fn link_to(&self, file: &StagingFile, path: &Path) -> io::Result<()> {
        match fs::hard_link(file.path(), path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_folders_of(path, &self.0)?;
                fs::hard_link(file.path(), path)
            }
            outcome => outcome,
        }
    }
}

#[async_trait]
impl Destination for Root {
    async fn put(&self, file: StagingFile, _sha256: Sha256Digest, key: &ObjectKey) -> Result<(), WriteError> {
        let (root, key) = (self.clone(), key.clone());
        blocking(move || root.put_in_place(&file, &key)).await?
    }
}

/// Each folder that is made is an entry in the one above, which has to be synced before anything in it is durable.
fn make_folders_of(path: &Path, root: &Path) -> io::Result<()> {
    let mut folders: Vec<&Path> = path.ancestors().skip(1).take_while(|folder| *folder != root).collect();
    folders.reverse();
    for folder in folders {
        match create_one_folder(folder) {
            Ok(()) => {}
            // Another may have made it a moment ago, and not have synced it yet.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        folder.parent().map_or(Ok(()), sync_folder)?;
    }
    Ok(())
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    // Other systems have no such thing as syncing a folder.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
