use std::{
    fs::File,
    io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use infirmary_kernel::StoreError;
use object_store::{ObjectStore, ObjectStoreExt, path::Path as Location};

use crate::{
    BucketSettings,
    disk::{blocking, unavailable},
    reading,
};

/// Files of another system, by its names: to be read, and left as they are.
#[derive(Clone)]
pub struct ForeignFiles(Source);

#[derive(Clone)]
enum Source {
    Folder(PathBuf),
    Bucket(Arc<dyn ObjectStore>),
}

/// A file on its way in.
pub struct ForeignFile {
    pub bytes: u64,
    pub content: BoxStream<'static, Result<Bytes, StoreError>>,
}

impl ForeignFiles {
    pub fn of_folder(folder: &Path) -> Result<Self, StoreError> {
        if folder.is_dir() {
            Ok(Self(Source::Folder(folder.to_owned())))
        } else {
            Err(StoreError::Unavailable { reason: format!("{} is no folder", folder.display()) })
        }
    }

    pub fn of_bucket(settings: &BucketSettings) -> Result<Self, StoreError> {
        Ok(Self(Source::Bucket(settings.connect()?.store)))
    }

    /// `None`: there is no such file, or the name leads out of the folder.
    pub async fn open(&self, folder: &str, name: &str) -> Result<Option<ForeignFile>, StoreError> {
        let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if name.is_empty() || !plain {
            return Ok(None);
        }
        match &self.0 {
            Source::Folder(root) => {
                let path = root.join(folder).join(name);
                let opened = blocking(move || {
                    let file = File::open(path)?;
                    let metadata = file.metadata()?;
                    Ok::<_, io::Error>(metadata.is_file().then_some((file, metadata.len())))
                });
                match opened.await? {
                    Ok(found) => {
                        Ok(found.map(|(file, bytes)| ForeignFile { bytes, content: reading::chunks(file, 0..bytes) }))
                    }
                    Err(error) if is_absent(&error) => Ok(None),
                    Err(error) => Err(unavailable(error)),
                }
            }
            Source::Bucket(store) => {
                // As it is: the other system did not write its names as this library would.
                let Ok(location) = Location::parse(format!("{folder}/{name}")) else { return Ok(None) };
                match store.get(&location).await {
                    Ok(found) => {
                        let bytes = found.meta.size;
                        let content = found.into_stream().map_err(bucket_failed).boxed();
                        Ok(Some(ForeignFile { bytes, content }))
                    }
                    Err(object_store::Error::NotFound { .. }) => Ok(None),
                    Err(error) => Err(bucket_failed(error)),
                }
            }
        }
    }
}

/// Names that no file system takes are of no file.
fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | InvalidInput | InvalidFilename | NotADirectory)
}

fn bucket_failed(error: object_store::Error) -> StoreError {
    StoreError::Unavailable { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_read_by_its_name_and_none_outside_of_the_folder() {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("files");
        std::fs::create_dir_all(root.join("images")).unwrap();
        std::fs::write(outside.path().join("secret"), b"secret").unwrap();
        std::fs::write(root.join("images/a b.png"), b"bytes").unwrap();
        let files = ForeignFiles::of_folder(&root).unwrap();
        let found = files.open("images", "a b.png").await.unwrap().unwrap();
        assert_eq!(found.bytes, 5);
        let read: Vec<Bytes> = found.content.try_collect().await.unwrap();
        assert_eq!(read.concat(), b"bytes");
        let long = "x".repeat(5_000);
        for none in ["", "b.png", "../secret", "../../secret", "/etc/passwd", ".", "a\0b", &long] {
            assert!(files.open("images", none).await.unwrap().is_none(), "{none}");
        }
        assert!(ForeignFiles::of_folder(&root.join("nowhere")).is_err());
    }
}
