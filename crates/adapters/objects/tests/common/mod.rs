#![allow(dead_code, reason = "not every test binary uses all of it")]

use std::path::PathBuf;

use infirmary_kernel::ObjectKey;
use infirmary_objects::{
    BucketObjects, BucketSettings, Service,
    testing::{BucketServer, Line, counting, impatient, settings},
};
use tempfile::TempDir;

pub const SERVICES: [Service; 2] = [Service::GoogleCloudStorage, Service::S3];

/// An empty bucket, and the line to it.
pub struct House {
    pub objects: BucketObjects,
    /// The same one, which waits as long as it takes: for what a test does besides.
    pub patient: BucketObjects,
    pub line: Line,
    pub settings: BucketSettings,
    folder: TempDir,
}

pub type Kept = (Line, TempDir);

impl House {
    /// None without a server of buckets.
    pub async fn new(service: Service) -> Option<Self> {
        let _chosen_before = rustls::crypto::ring::default_provider().install_default();
        let server = BucketServer::shared()?;
        let bucket = tokio::task::spawn_blocking(|| server.bucket()).await.expect("a bucket");
        let (line, folder) = (Line::to(server).await, tempfile::tempdir().expect("a folder"));
        let settings = settings(service, &line, &bucket, folder.path());
        let open = async |settings: &BucketSettings| {
            let opened = BucketObjects::open(settings, &folder.path().join("staging"), counting()).await;
            opened.expect("a bucket that opens")
        };
        let patient = open(&settings).await;
        let impatient = BucketSettings { limits: impatient(), ..settings.clone() };
        Some(Self { objects: open(&impatient).await, patient, line, settings, folder })
    }

    pub fn split(self) -> (BucketObjects, Kept) {
        (self.patient, (self.line, self.folder))
    }

    pub fn staging_folder(&self) -> PathBuf {
        self.folder.path().join("staging")
    }

    /// Files of uploads under way.
    pub fn staged(&self) -> usize {
        let folders = std::fs::read_dir(self.staging_folder()).expect("a folder").map(|entry| entry.expect("an entry"));
        let own = folders.filter(|entry| entry.path().is_dir());
        own.map(|entry| std::fs::read_dir(entry.path()).expect("a folder").count() - 1).sum()
    }
}

pub fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).expect("a key")
}
