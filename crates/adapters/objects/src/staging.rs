use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use infirmary_kernel::{LocalFile, ObjectKey, Sha256Digest, Staged, Staging, StoreError, StoredObject, WriteError};
use sha2::{Digest, Sha256};

use crate::disk::{blocking, unavailable};

/// Chunks are gathered up to this before a thread is asked to hash and write them: a hop to another thread costs more
/// than hashing the few kilobytes that the network gives at a time.
const BUFFER_BYTES: usize = 256 * 1024;

/// A folder of this process for uploads that are under way, within the folder that all processes share.
///
/// Each process holds a lock on its own folder as long as it lives. So whoever opens the store next can tell the
/// folders of the dead, and removes them with what is in them, also when it is a second process on a store that is
/// serving.
pub struct StagingFolder {
    path: PathBuf,
    next: AtomicU64,
    _alive: File,
}

const ALIVE: &str = "alive";

impl StagingFolder {
    pub fn open(shared: &Path) -> io::Result<Self> {
        create_folder(shared)?;
        let _gate = gate(shared)?;
        remove_the_dead(shared)?;
        let (path, alive) = make_own(shared)?;
        Ok(Self { path, next: AtomicU64::new(0), _alive: alive })
    }

    /// Folders of processes that have died since this one began.
    pub fn remove_the_dead(&self) -> io::Result<()> {
        let Some(shared) = self.path.parent() else { return Ok(()) };
        let _gate = gate(shared)?;
        remove_the_dead(shared)
    }

    /// A file that is gone when it is dropped.
    pub fn file(&self) -> io::Result<StagingFile> {
        let path = self.path.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        let file = private_file().create_new(true).open(&path)?;
        Ok(StagingFile { file, path, hasher: Sha256::new(), bytes: 0 })
    }
}

impl Drop for StagingFolder {
    fn drop(&mut self) {
        // What is still staged keeps the folder; then the next process removes it.
        let _ = fs::remove_file(self.path.join(ALIVE));
        let _ = fs::remove_dir(&self.path);
    }
}

/// Held while folders come and go, so that nobody takes a folder for dead that is not locked yet.
fn gate(shared: &Path) -> io::Result<File> {
    let gate = private_file().create(true).truncate(false).open(shared.join("lock"))?;
    gate.lock()?;
    Ok(gate)
}

fn remove_the_dead(shared: &Path) -> io::Result<()> {
    for entry in fs::read_dir(shared)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let alive = private_file().create(true).truncate(false).open(entry.path().join(ALIVE))?;
        match alive.try_lock() {
            Ok(()) => fs::remove_dir_all(entry.path())?,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(())
}

/// The process id alone would not do: two containers that share a disk may both be process 1.
fn make_own(shared: &Path) -> io::Result<(PathBuf, File)> {
    let mut attempt = 0;
    loop {
        let path = shared.join(format!("{}-{attempt}", std::process::id()));
        match create_one_folder(&path) {
            Ok(()) => {
                let alive = private_file().create(true).truncate(false).open(path.join(ALIVE))?;
                alive.lock()?;
                return Ok((path, alive));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

/// These are images of patients: for the account that runs the server, and nobody else on the machine.
fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn folder_builder(recursive: bool) -> fs::DirBuilder {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(recursive);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

pub fn create_folder(path: &Path) -> io::Result<()> {
    folder_builder(true).create(path)
}

pub fn create_one_folder(path: &Path) -> io::Result<()> {
    folder_builder(false).create(path)
}

/// Bytes on their way in, with what is known of them so far.
pub struct StagingFile {
    file: File,
    path: PathBuf,
    hasher: Sha256,
    bytes: u64,
}

impl StagingFile {
    fn append(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.hasher.update(chunk);
        self.bytes += chunk.len() as u64;
        self.file.write_all(chunk)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub const fn file(&self) -> &File {
        &self.file
    }
}

impl Drop for StagingFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl LocalFile for StagingFile {
    fn path(&self) -> &Path {
        &self.path
    }
}

/// Where staged bytes go when they are kept.
#[async_trait]
pub trait Destination: Send + Sync + 'static {
    /// As [`Staged::keep`]. The file goes when it is dropped.
    async fn put(&self, file: StagingFile, sha256: Sha256Digest, key: &ObjectKey) -> Result<(), WriteError>;
}

pub struct FileStaging {
    /// `None` after an error, and while a `write` is under way: then one whose future was dropped leaves `None`.
    file: Option<StagingFile>,
    buffer: Vec<u8>,
    to: Arc<dyn Destination>,
}

impl FileStaging {
    pub fn new(file: StagingFile, to: Arc<dyn Destination>) -> Self {
        Self { file: Some(file), buffer: Vec::new(), to }
    }

    async fn flush(&mut self, more: Bytes) -> Result<(), StoreError> {
        let mut file = self.file.take().ok_or_else(broken)?;
        let mut buffer = std::mem::take(&mut self.buffer);
        let (file, buffer) = blocking(move || {
            file.append(&buffer)?;
            file.append(&more)?;
            buffer.clear();
            Ok((file, buffer))
        })
        .await?
        .map_err(unavailable)?;
        (self.file, self.buffer) = (Some(file), buffer);
        Ok(())
    }

    /// The file with everything that was written.
    pub async fn finish(mut self) -> Result<StagedFile, StoreError> {
        if !self.buffer.is_empty() {
            self.flush(Bytes::new()).await?;
        }
        let file = self.file.take().ok_or_else(broken)?;
        let sha256 = Sha256Digest::from_bytes(file.hasher.clone().finalize().into());
        Ok(StagedFile { file, sha256, to: self.to })
    }
}

fn broken() -> StoreError {
    StoreError::Unavailable { reason: "an earlier part of the upload could not be written".into() }
}

#[async_trait]
impl Staging for FileStaging {
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        if self.file.is_none() {
            return Err(broken());
        }
        if self.buffer.len() + chunk.len() >= BUFFER_BYTES {
            return self.flush(chunk).await;
        }
        if self.buffer.capacity() == 0 {
            self.buffer.reserve_exact(BUFFER_BYTES);
        }
        self.buffer.extend_from_slice(&chunk);
        Ok(())
    }

    async fn seal(self: Box<Self>) -> Result<Box<dyn Staged>, StoreError> {
        Ok(Box::new(self.finish().await?))
    }
}

pub struct StagedFile {
    file: StagingFile,
    sha256: Sha256Digest,
    to: Arc<dyn Destination>,
}

impl StagedFile {
    pub fn into_file(self) -> StagingFile {
        self.file
    }
}

#[async_trait]
impl Staged for StagedFile {
    fn bytes(&self) -> u64 {
        self.file.bytes()
    }

    fn sha256(&self) -> Sha256Digest {
        self.sha256
    }

    fn path(&self) -> &Path {
        &self.file.path
    }

    async fn keep(self: Box<Self>, key: &ObjectKey) -> Result<StoredObject, WriteError> {
        let stored = StoredObject { key: key.clone(), bytes: self.bytes(), sha256: self.sha256 };
        self.to.put(self.file, self.sha256, key).await?;
        Ok(stored)
    }
}
