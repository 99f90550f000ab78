//! From settings to clients of a bucket.

use std::{fs, io, path::PathBuf, sync::Arc, time::Duration};

use infirmary_kernel::{ObjectKey, StoreError};
use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum, S3ConditionalPut},
    gcp::GoogleCloudStorageBuilder,
    signer::Signer,
};
use reqwest as _;
use serde::Deserialize;

/// Whose bucket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    GoogleCloudStorage,
    S3,
}

/// A bucket, and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketSettings {
    pub service: Service,
    pub bucket: String,
    /// What all keys begin with in the bucket, by whole segments.
    pub prefix: Option<ObjectKey>,
    /// Google: the key of a service account (JSON). S3: a file of credentials as AWS's own tools keep it. Without one,
    /// the identity of the machine or workload, or for S3 the variables `AWS_…`.
    pub credentials: Option<PathBuf>,
    /// Whether addresses of the bucket are given away.
    pub signed_urls: bool,
    pub limits: BucketLimits,
}

/// What is asked of a bucket at most. Reads of a bucket that breaks off go on where it did, within the retries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketLimits {
    /// An object above it is sent in parts of this size; at least 5 MiB, which is the least that buckets take.
    pub part_bytes: u64,
    pub connect_seconds: u64,
    /// For the answer to a request with what was sent, and for each piece of an answer's body.
    pub answer_millis: u64,
    /// After the first try of a request.
    pub max_retries: usize,
    pub first_retry_millis: u64,
    pub last_retry_millis: u64,
    /// After the first try of a request, none begins later.
    pub retry_seconds: u64,
}

impl Default for BucketLimits {
    fn default() -> Self {
        Self {
            part_bytes: 8 * 1024 * 1024,
            connect_seconds: 5,
            answer_millis: 30_000,
            max_retries: 3,
            first_retry_millis: 100,
            last_retry_millis: 2_000,
            retry_seconds: 20,
        }
    }
}

/// Clients of one bucket.
pub(crate) struct Connected {
    pub store: Arc<dyn ObjectStore>,
    /// Without credentials.
    pub stranger: Arc<dyn ObjectStore>,
    pub signer: Arc<dyn Signer>,
}

/// What the key of a service account says of the place where Google's service is: tests and copies of it have another.
#[derive(Deserialize)]
struct ServiceAccount {
    #[serde(default)]
    gcs_base_url: Option<String>,
}

impl BucketSettings {
    pub(crate) fn connect(&self) -> Result<Connected, StoreError> {
        let credentials = self.credentials.as_ref().map(read_private).transpose()?;
        match self.service {
            Service::GoogleCloudStorage => self.google(credentials.as_deref()),
            Service::S3 => self.s3(credentials.as_deref()),
        }
    }

    fn google(&self, key: Option<&str>) -> Result<Connected, StoreError> {
        let base_url = match key.map(serde_json::from_str::<ServiceAccount>) {
            None => None,
            Some(Ok(account)) => account.gcs_base_url,
            // The parser's words may repeat the key.
            Some(Err(_)) => return Err(self.refused_credentials("is no key of a service account in JSON")),
        };
        let plain = base_url.as_ref().is_some_and(|url| url.starts_with("http://"));
        let ours = || {
            let builder = GoogleCloudStorageBuilder::new()
                .with_bucket_name(&self.bucket)
                .with_client_options(self.client().with_allow_http(plain))
                .with_retry(self.retry());
            base_url.iter().fold(builder, |builder, url| builder.with_base_url(url))
        };
        let builder = key.into_iter().fold(ours(), GoogleCloudStorageBuilder::with_service_account_key);
        let store = Arc::new(builder.build().map_err(|error| self.not_connected(&error))?);
        // A token, so that none is looked for; it is not sent.
        let stranger = ours().with_bearer_token("none").with_skip_signature(true);
        let stranger = stranger.build().map_err(|error| self.not_connected(&error))?;
        Ok(Connected { store: store.clone(), stranger: Arc::new(stranger), signer: store })
    }

    fn s3(&self, credentials: Option<&str>) -> Result<Connected, StoreError> {
        let mut builder = AmazonS3Builder::from_env();
        for (key, value) in credentials.into_iter().flat_map(ini_lines) {
            let key: AmazonS3ConfigKey = key
                .parse()
                .map_err(|_| self.refused_credentials("has a name that is none of AWS's, such as aws_access_key_id"))?;
            builder = builder.with_config(key, value);
        }
        let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
        let plain = endpoint.is_some_and(|url| url.starts_with("http://"));
        let builder = builder
            .with_bucket_name(&self.bucket)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_checksum_algorithm(Checksum::SHA256)
            .with_client_options(self.client().with_allow_http(plain))
            .with_retry(self.retry());
        let store = Arc::new(builder.clone().build().map_err(|error| self.not_connected(&error))?);
        let stranger = builder.with_skip_signature(true).build().map_err(|error| self.not_connected(&error))?;
        Ok(Connected { store: store.clone(), stranger: Arc::new(stranger), signer: store })
    }

    fn client(&self) -> ClientOptions {
        // Not the time for all of a body: whoever reads an image on a slow line is waited for elsewhere.
        ClientOptions::new()
            .with_timeout_disabled()
            .with_connect_timeout(Duration::from_secs(self.limits.connect_seconds))
            .with_read_timeout(Duration::from_millis(self.limits.answer_millis))
    }

    fn retry(&self) -> RetryConfig {
        RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(self.limits.first_retry_millis),
                max_backoff: Duration::from_millis(self.limits.last_retry_millis),
                base: 2.,
            },
            max_retries: self.limits.max_retries,
            retry_timeout: Duration::from_secs(self.limits.retry_seconds),
        }
    }

    fn refused_credentials(&self, why: &str) -> StoreError {
        let path = self.credentials.clone().unwrap_or_default();
        StoreError::Unavailable { reason: format!("the file of credentials {} {why}", path.display()) }
    }

    fn not_connected(&self, error: &object_store::Error) -> StoreError {
        StoreError::Unavailable { reason: format!("the bucket {} cannot be used: {error}", self.bucket) }
    }
}

/// A file that nobody else on this machine can read, as the key files of the house.
fn read_private(path: &PathBuf) -> Result<String, StoreError> {
    let refused =
        |why: String| StoreError::Unavailable { reason: format!("the file of credentials {} {why}", path.display()) };
    let text = fs::read_to_string(path).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => refused("is not text".into()),
        _ => refused(format!("cannot be read: {error}")),
    })?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let mode = fs::metadata(path).map_err(|error| refused(format!("cannot be read: {error}")))?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(refused(format!("is open to others (mode {mode:03o}); set its mode to 600")));
        }
    }
    Ok(text)
}

/// `name = value`, without headings and comments.
fn ini_lines(text: &str) -> impl Iterator<Item = (String, String)> + '_ {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';', '[']));
    lines.map(|line| {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        (name.trim().to_ascii_lowercase(), value.trim().to_owned())
    })
}
