//! A real server of buckets for tests, and a line to it that can fail.
//!
//! The server is `moto_server` (PyPI: `moto[server]`), by the environment variable `INFIRMARY_TEST_BUCKET_SERVER` or on
//! the path. It speaks the XML interface of S3; the line translates what Google writes differently.

mod line;
mod server;

pub use line::{Fault, Line, Operation};
pub use server::BucketServer;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use infirmary_kernel::{Entropy, ObjectKey};

use crate::{BucketLimits, BucketSettings, Service};

/// Limits for tests: the least parts, and no pauses.
fn patient() -> BucketLimits {
    BucketLimits {
        part_bytes: 5 * 1024 * 1024,
        max_retries: 2,
        first_retry_millis: 1,
        last_retry_millis: 5,
        ..BucketLimits::default()
    }
}

/// The same, for a line that may be silent. On a busy machine an answer can be missed that was on its way.
pub fn impatient() -> BucketLimits {
    BucketLimits { answer_millis: 1_500, ..patient() }
}

/// Credentials for a bucket that is reached by the line, in a file of that folder.
pub fn credentials(service: Service, line: &Line, folder: &Path) -> std::path::PathBuf {
    let url = line.url();
    let (name, text) = match service {
        Service::GoogleCloudStorage => (
            "account.json",
            serde_json::json!({
                "type": "service_account",
                "client_email": "infirmary@test.iam.gserviceaccount.com",
                "private_key_id": "1",
                "private_key": include_str!("not-a-secret.pem"),
                "gcs_base_url": url,
            })
            .to_string(),
        ),
        Service::S3 => (
            "aws.ini",
            format!(
                "[default]\naws_access_key_id = AKIAINFIRMARY\naws_secret_access_key = for-tests\naws_region = us-east-1\n\
                 aws_endpoint = {url}\n"
            ),
        ),
    };
    let path = folder.join(name);
    fs::write(&path, text).expect("a folder to write to");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a file of ours");
    path
}

/// Settings for a bucket of that name.
pub fn settings(service: Service, line: &Line, bucket: &str, folder: &Path) -> BucketSettings {
    BucketSettings {
        service,
        bucket: bucket.to_owned(),
        prefix: Some(ObjectKey::parse("house/one").expect("a prefix")),
        credentials: Some(credentials(service, line, folder)),
        signed_urls: false,
        limits: patient(),
    }
}

/// Not random, but never the same twice in a process.
pub struct Counting;

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (byte, value) in bytes.iter_mut().zip(count.iter().cycle()) {
            *byte = *value;
        }
    }
}

pub fn counting() -> Arc<dyn Entropy> {
    Arc::new(Counting)
}
