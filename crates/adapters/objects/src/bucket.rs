use std::{
    ops::Range,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{
    StreamExt, TryStreamExt, future,
    stream::{self, BoxStream},
};
use infirmary_kernel::{
    Entropy, ListedObject, LocalFile, ObjectKey, ObjectRead, Objects, SIGNED_URL_SECONDS, ServedAs, Sha256Digest,
    Staging, StoreError, Timestamp, WriteError,
};
use object_store::{
    Attribute, Attributes, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions,
    PutOptions, PutPayload,
    client::{HttpError, HttpErrorKind},
    path::Path as Location,
    signer::{Method, SignedUrlOptions, Signer},
};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::{
    connect::{BucketSettings, Connected},
    disk::{blocking, unavailable},
    reading,
    staging::{Destination, FileStaging, StagingFile, StagingFolder},
};

/// Parts of all uploads that are on their way to the bucket at once, and so in memory.
const MAX_PARTS_IN_MEMORY: usize = 16;

/// What an object says of itself, as metadata of the bucket: its digest, and which upload made it.
const SHA256: &str = "sha256";
const UPLOAD: &str = "upload";

/// An object by which the server sees whether the bucket can be written to, and whether strangers can read it. Its name
/// is the key of no object.
const MARKER: &str = ".infirmary";

/// Objects in a bucket of Google Cloud Storage or S3, below a prefix.
pub struct BucketObjects {
    bucket: Arc<Bucket>,
    /// The same bucket, asked as anybody can ask.
    stranger: Arc<dyn ObjectStore>,
    /// Present: addresses are given away.
    signer: Option<Arc<dyn Signer>>,
    staging: Arc<StagingFolder>,
    open_to_strangers: AtomicBool,
}

struct Bucket {
    store: Arc<dyn ObjectStore>,
    prefix: Option<ObjectKey>,
    part_bytes: u64,
    parts: Semaphore,
    entropy: Arc<dyn Entropy>,
}

/// Nobody but the house may read its objects.
const OPEN: &str = "the bucket can be read without credentials; take allUsers, allAuthenticatedUsers and public access \
                    out of its permissions";

impl BucketObjects {
    /// Opens the bucket to serve from it: it has to be there and writable. When strangers can read it, that is told by
    /// [`Objects::check`]. Uploads are staged in the folder, which is made where it is not.
    pub async fn open(
        settings: &BucketSettings,
        staging: &Path,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StoreError> {
        let opened = Self::connect(settings, staging, entropy)?;
        opened.look().await?;
        Ok(opened)
    }

    /// Opens the bucket to read it; nothing is asked of it yet. What has to be a local file is copied into the folder.
    pub fn connect(settings: &BucketSettings, staging: &Path, entropy: Arc<dyn Entropy>) -> Result<Self, StoreError> {
        let Connected { store, stranger, signer } = settings.connect()?;
        let folder = StagingFolder::open(staging).map_err(|error| StoreError::Unavailable {
            reason: format!("the staging folder {} cannot be used: {error}", staging.display()),
        })?;
        let bucket = Bucket {
            store,
            prefix: settings.prefix.clone(),
            part_bytes: settings.limits.part_bytes,
            parts: Semaphore::new(MAX_PARTS_IN_MEMORY),
            entropy,
        };
        Ok(Self {
            bucket: Arc::new(bucket),
            stranger,
            signer: settings.signed_urls.then_some(signer),
            staging: Arc::new(folder),
            open_to_strangers: AtomicBool::new(false),
        })
    }

    /// Writes an object of our own and asks for it, and for what else there is, without credentials.
    async fn look(&self) -> Result<(), StoreError> {
        let marker = self.bucket.marker();
        let text = PutPayload::from_static(b"An object of Infirmary, by which it sees that nobody else can read it.\n");
        self.bucket.store.put(&marker, text).await.map_err(failed)?;
        let read = refused(self.stranger.head(&marker).await)?;
        let folder = self.bucket.prefix.as_ref().map(|prefix| Location::from(prefix.as_str()));
        let listed = refused(self.stranger.list(folder.as_ref()).try_next().await)?;
        self.open_to_strangers.store(!(read && listed), Ordering::Release);
        Ok(())
    }

    async fn staging_file(&self) -> Result<StagingFile, StoreError> {
        let folder = self.staging.clone();
        blocking(move || folder.file()).await?.map_err(unavailable)
    }
}

/// Whether a stranger was turned away. What tells neither is an error.
fn refused<T>(answer: Result<T, object_store::Error>) -> Result<bool, StoreError> {
    match answer {
        Ok(_) => Ok(false),
        Err(error) if lost_on_the_way(&error).is_none() => Ok(true),
        Err(error) => Err(failed(error)),
    }
}

impl Bucket {
    fn location(&self, key: &ObjectKey) -> Location {
        self.below(key.as_str())
    }

    fn marker(&self) -> Location {
        self.below(MARKER)
    }

    fn below(&self, name: &str) -> Location {
        match &self.prefix {
            Some(prefix) => Location::from(format!("{prefix}/{name}")),
            None => Location::from(name),
        }
    }

    fn key_of(&self, location: &Location) -> Option<ObjectKey> {
        let name = match &self.prefix {
            Some(prefix) => location.as_ref().strip_prefix(prefix.as_str())?.strip_prefix('/')?,
            None => location.as_ref(),
        };
        ObjectKey::parse(name).ok()
    }

    async fn head(&self, location: &Location) -> Result<Option<(ObjectMeta, Attributes)>, object_store::Error> {
        let options = GetOptions { head: true, ..GetOptions::default() };
        match self.store.get_opts(location, options).await {
            Ok(found) => Ok(Some((found.meta, found.attributes))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Option<ObjectRead>, StoreError> {
        let location = self.location(key);
        let options = GetOptions { range: range.clone().map(GetRange::Bounded), ..GetOptions::default() };
        let error = match self.store.get_opts(&location, options).await {
            Ok(found) => {
                let (size, part) = (found.meta.size, found.range.clone());
                // A part cannot be compared with the digest of the whole.
                let digest = if part == (0..size) { digest_in(&found.attributes) } else { None };
                let bytes = Checked::new(part.end - part.start, digest).of(found.into_stream());
                return Ok(Some(ObjectRead { size, range: part, bytes }));
            }
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => error,
        };
        // Buckets refuse a range that is empty or begins behind the end.
        let Some(range) = range else { return Err(failed(error)) };
        match self.head(&location).await.map_err(failed)? {
            None => Ok(None),
            Some((meta, _)) if range.is_empty() || range.start >= meta.size => {
                let at = range.start.min(meta.size);
                Ok(Some(ObjectRead { size: meta.size, range: at..at, bytes: stream::empty().boxed() }))
            }
            Some(_) => Err(failed(error)),
        }
    }

    async fn upload(&self, mut file: StagingFile, location: &Location, attributes: Attributes) -> Result<(), Upload> {
        let _permit = self
            .parts
            .acquire()
            .await
            .map_err(|_| Upload::Local(StoreError::Unavailable { reason: "the store is closed".into() }))?;
        let bytes = file.bytes();
        if bytes <= self.part_bytes {
            let (_, whole) = part_of(file, 0..bytes).await.map_err(Upload::Local)?;
            let options = PutOptions { mode: PutMode::Create, attributes, ..PutOptions::default() };
            return self.store.put_opts(location, whole.into(), options).await.map(drop).map_err(Upload::Bucket);
        }
        // Nobody offers a condition on an upload in parts; a key that is minted for one object has no rival.
        if self.head(location).await.map_err(Upload::Bucket)?.is_some() {
            return Err(Upload::Exists);
        }
        let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
        let mut upload = self.store.put_multipart_opts(location, options).await.map_err(Upload::Bucket)?;
        let mut start = 0;
        let outcome = loop {
            if start == bytes {
                break upload.complete().await.map(drop).map_err(Upload::Bucket);
            }
            let end = bytes.min(start + self.part_bytes);
            let (same, part) = match part_of(file, start..end).await {
                Ok(read) => read,
                Err(error) => break Err(Upload::Local(error)),
            };
            file = same;
            if let Err(error) = upload.put_part(part.into()).await {
                break Err(Upload::Bucket(error));
            }
            start = end;
        };
        if outcome.is_err() {
            // Parts cost money. When this fails too, the bucket's own rule removes them (the operator's guide has it).
            let _ = upload.abort().await;
        }
        outcome
    }
}

/// Why bytes are not in the bucket, as far as is known.
enum Upload {
    Exists,
    /// It did not come to asking.
    Local(StoreError),
    Bucket(object_store::Error),
}

async fn part_of(file: StagingFile, range: Range<u64>) -> Result<(StagingFile, Bytes), StoreError> {
    let read = blocking(move || reading::read_at(file.file(), range).map(|part| (file, part))).await?;
    read.map_err(unavailable)
}

#[async_trait]
impl Destination for Bucket {
    async fn put(&self, file: StagingFile, sha256: Sha256Digest, key: &ObjectKey) -> Result<(), WriteError> {
        let mut nonce = [0; 16];
        self.entropy.fill(&mut nonce);
        let upload = Sha256Digest::of(&nonce).to_string();
        let mut attributes = Attributes::new();
        attributes.insert(Attribute::Metadata(SHA256.into()), sha256.to_string().into());
        attributes.insert(Attribute::Metadata(UPLOAD.into()), upload.clone().into());
        attributes.insert(Attribute::CacheControl, "private, no-store".into());

        let exists = || WriteError::Conflict { law: "one object for a key" };
        let location = self.location(key);
        let error = match self.upload(file, &location, attributes).await {
            Ok(()) => return Ok(()),
            Err(Upload::Exists) => return Err(exists()),
            Err(Upload::Local(error)) => return Err(error.into()),
            Err(Upload::Bucket(error)) => error,
        };
        // An answer may be lost, and one to a second try says that there is something already: is it ours?
        match self.head(&location).await {
            Ok(Some((_, attributes))) if text_in(&attributes, UPLOAD) == Some(&upload) => Ok(()),
            Ok(Some(_)) => Err(exists()),
            Ok(None) if never_came(&error) => Err(failed(error).into()),
            _ => Err(unknown(&error).into()),
        }
    }
}

fn text_in<'a>(attributes: &'a Attributes, name: &'static str) -> Option<&'a str> {
    attributes.get(&Attribute::Metadata(name.into())).map(AsRef::as_ref)
}

fn digest_in(attributes: &Attributes) -> Option<Sha256Digest> {
    text_in(attributes, SHA256)?.parse().ok()
}

/// Bytes as they come from the bucket, whose last chunk is held back until all of them are what was written: who reads
/// them gets the whole object or sees that they did not.
struct Checked {
    left: u64,
    digest: Option<(Sha256, Sha256Digest)>,
}

impl Checked {
    fn new(bytes: u64, digest: Option<Sha256Digest>) -> Self {
        Self { left: bytes, digest: digest.map(|digest| (Sha256::new(), digest)) }
    }

    fn of(
        self,
        chunks: BoxStream<'static, Result<Bytes, object_store::Error>>,
    ) -> BoxStream<'static, Result<Bytes, StoreError>> {
        let checked = stream::try_unfold((self, chunks), |(mut checked, mut chunks)| async move {
            match chunks.try_next().await.map_err(failed)? {
                Some(chunk) => {
                    checked.take(&chunk)?;
                    Ok(Some((chunk, (checked, chunks))))
                }
                None if checked.left == 0 => Ok(None),
                None => Err(StoreError::Unavailable {
                    reason: format!("the bucket ended {} bytes before the end of an object", checked.left),
                }),
            }
        });
        checked.boxed()
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), StoreError> {
        let corrupt = |reason: &str| StoreError::Corrupt { reason: reason.into() };
        self.left = self
            .left
            .checked_sub(chunk.len() as u64)
            .ok_or_else(|| corrupt("the bucket gave more of an object than there is"))?;
        let Some((hasher, digest)) = &mut self.digest else { return Ok(()) };
        hasher.update(chunk);
        if self.left == 0 && Sha256Digest::from_bytes(hasher.clone().finalize().into()) != *digest {
            return Err(corrupt("an object in the bucket is not what was written"));
        }
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: object_store::Error) -> StoreError {
    StoreError::Unavailable { reason: told(&error) }
}

fn unknown(error: &object_store::Error) -> StoreError {
    StoreError::OutcomeUnknown { reason: told(error) }
}

fn told(error: &object_store::Error) -> String {
    use object_store::Error::{NotFound, PermissionDenied, Unauthenticated};
    match error {
        PermissionDenied { .. } => format!("the bucket refuses its account a permission: {error}"),
        Unauthenticated { .. } => format!("the bucket does not take the credentials: {error}"),
        NotFound { .. } => format!("the bucket or the object is not there: {error}"),
        _ => error.to_string(),
    }
}

/// Whether a request that ended so cannot have had an effect.
fn never_came(error: &object_store::Error) -> bool {
    use object_store::Error::{NotFound, PermissionDenied, Unauthenticated};
    match error {
        NotFound { .. } | PermissionDenied { .. } | Unauthenticated { .. } => true,
        error => lost_on_the_way(error) == Some(HttpErrorKind::Connect),
    }
}

/// How a request or its answer was lost; `None` when the bucket has answered.
fn lost_on_the_way(error: &object_store::Error) -> Option<HttpErrorKind> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            return Some(http.kind());
        }
        cause = error.source();
    }
    None
}

#[async_trait]
impl Objects for BucketObjects {
    async fn stage(&self) -> Result<Box<dyn Staging>, StoreError> {
        Ok(Box::new(FileStaging::new(self.staging_file().await?, self.bucket.clone())))
    }

    async fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<Option<ObjectRead>, StoreError> {
        self.bucket.read(key, range).await
    }

    async fn local(&self, key: &ObjectKey) -> Result<Option<Box<dyn LocalFile>>, StoreError> {
        let Some(mut read) = self.bucket.read(key, None).await? else { return Ok(None) };
        let mut copy = FileStaging::new(self.staging_file().await?, self.bucket.clone());
        while let Some(chunk) = read.bytes.try_next().await? {
            copy.write(chunk).await?;
        }
        Ok(Some(Box::new(copy.finish().await?.into_file())))
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), StoreError> {
        match self.bucket.store.delete(&self.bucket.location(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) if never_came(&error) => Err(failed(error)),
            Err(error) => Err(unknown(&error)),
        }
    }

    fn list(&self, folder: Option<ObjectKey>) -> BoxStream<'static, Result<ListedObject, StoreError>> {
        let location = match &folder {
            Some(folder) => Some(self.bucket.location(folder)),
            None => self.bucket.prefix.as_ref().map(|prefix| Location::from(prefix.as_str())),
        };
        let bucket = self.bucket.clone();
        let objects = self.bucket.store.list(location.as_ref()).map_err(failed);
        objects
            .try_filter_map(move |meta| {
                // What has no key of ours, such as the marker, is not an object.
                let listed = bucket.key_of(&meta.location).map(|key| ListedObject {
                    key,
                    bytes: meta.size,
                    modified: Timestamp::from_unix_ms(meta.last_modified.timestamp_millis()),
                });
                future::ready(Ok(listed))
            })
            .fuse()
            .boxed()
    }

    async fn signed_url(&self, key: &ObjectKey, served: &ServedAs) -> Result<Option<String>, StoreError> {
        let Some(signer) = &self.signer else { return Ok(None) };
        let options = SignedUrlOptions::new().with_query([
            ("response-cache-control", "private, no-store"),
            ("response-content-disposition", served.disposition.as_str()),
            ("response-content-type", served.media_type),
        ]);
        let (location, valid) = (self.bucket.location(key), Duration::from_secs(SIGNED_URL_SECONDS));
        let url = signer.signed_url_opts(Method::GET, &location, valid, &options).await.map_err(failed)?;
        Ok(Some(url.into()))
    }

    async fn check(&self) -> Result<(), StoreError> {
        if self.open_to_strangers.load(Ordering::Acquire) {
            // Who closed it does not want to wait for the next hour.
            self.look().await?;
        }
        if self.open_to_strangers.load(Ordering::Acquire) {
            return Err(StoreError::Unavailable { reason: OPEN.into() });
        }
        match self.bucket.head(&self.bucket.marker()).await.map_err(failed)? {
            Some(_) => Ok(()),
            None => Err(StoreError::Unavailable { reason: "the marker in the bucket is gone".into() }),
        }
    }

    async fn upkeep(&self) -> Result<(), StoreError> {
        let folder = self.staging.clone();
        blocking(move || folder.remove_the_dead()).await?.map_err(unavailable)?;
        self.look().await?;
        self.check().await
    }
}
