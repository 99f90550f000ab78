//! Takes over what the replaced system kept. Can be repeated while that one still runs: what is there is left alone.

mod bills;
mod files;
mod old;
mod people;
mod records;
mod tasks;
mod told;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use infirmary_auth::AccountStore;
use infirmary_diagnosis::TaskStore;
use infirmary_kernel::{Action, Currency, Entropy, Event, Gate, ObjectKey, Objects, Subject};
use infirmary_objects::{BucketLimits, BucketSettings, ForeignFiles, Service};
use infirmary_patients::Mrn;
use infirmary_workflows::{Imported, ImportedId, Importer, STRAY_HOURS};

use self::{files::Files, old::Old, told::Told};
use crate::{
    command::{CommandError, verify},
    config::Config,
    legacy::phone::HomeCountry,
    wiring::{self, Importing},
};

#[derive(Args)]
pub struct Import {
    /// The replaced system's database: mongodb://host/database. Read only
    #[arg(long, value_name = "URL")]
    pub from: String,
    /// Where its files are: a folder, or gs://bucket, with images/ and reports/ in it. Without, rows are taken without files
    #[arg(long, value_name = "FOLDER or gs://BUCKET")]
    pub files: Option<String>,
    /// The key of a service account that may read the bucket (JSON, mode 600); else the identity of the machine
    #[arg(long, value_name = "FILE")]
    pub files_key: Option<PathBuf>,
    /// The country of phone numbers that come without one, such as 964; else INFIRMARY_CALLING_CODE
    #[arg(long, value_name = "CODE")]
    pub calling_code: Option<HomeCountry>,
    /// Change nothing; tell what would be taken, what would change, and which rows cannot be taken, with the reason
    #[arg(long)]
    pub dry_run: bool,
}

/// What the parts of the import work with.
pub(crate) struct House {
    importer: Arc<dyn Importer>,
    accounts: Arc<dyn AccountStore>,
    tasks: Arc<dyn TaskStore>,
    objects: Arc<dyn Objects>,
    entropy: Arc<dyn Entropy>,
    gate: Gate,
    currency: Currency,
    country: Option<HomeCountry>,
    files: Files,
    dry: bool,
}

impl House {
    /// Documents whose records are written in one transaction.
    const BATCH_RECORDS: usize = 500;
    const AGENT: &str = "infirmary import";

    fn event(&self, action: Action, subject: Subject) -> Event {
        Event { agent: Some(Self::AGENT.to_owned()), ..self.gate.anonymous(None, action, subject) }
    }

    async fn known(&self, ids: &[ImportedId]) -> Result<HashSet<ImportedId>, CommandError> {
        self.importer.known(ids).await.map_err(CommandError::use_case)
    }

    async fn reserve_mrns(&self, count: u64) -> Result<Mrn, CommandError> {
        if self.dry || count == 0 {
            return Ok(Mrn::from_serial(1));
        }
        self.importer.reserve_mrns(count).await.map_err(CommandError::use_case)
    }

    /// How many were added.
    async fn write(&self, records: Vec<Imported>) -> Result<u64, CommandError> {
        if self.dry {
            return Ok(records.len() as u64);
        }
        self.importer.import(records).await.map_err(CommandError::use_case)
    }

    /// A dry run keeps no more of a file than that it could be kept.
    async fn let_go(&self, key: &ObjectKey) -> Result<(), CommandError> {
        if self.dry { self.clear(key).await } else { Ok(()) }
    }

    /// Away with what a run that was killed has kept under the key of a record that is not there.
    async fn clear(&self, key: &ObjectKey) -> Result<(), CommandError> {
        self.objects.delete(key).await.map_err(CommandError::use_case)
    }
}

pub async fn run(config: &Config, import: Import) -> Result<(), CommandError> {
    let old = Old::connect(&import.from).await?;
    let source = import.files.as_deref().map(|files| open_files(files, import.files_key.clone())).transpose()?;
    // In it a dry run keeps what it has to keep for a moment.
    let scratch = tempfile::tempdir().map_err(|source| CommandError::file(Path::new("a temporary folder"), source))?;
    let Importing { importer, accounts, tasks, objects, receive_image, receive_pdf, entropy, gate, inspected } =
        wiring::importing(config, import.dry_run.then(|| scratch.path())).await?;
    let house = House {
        importer,
        accounts,
        tasks,
        objects,
        entropy,
        gate,
        currency: config.currency,
        country: import.calling_code.or_else(|| config.calling_code.clone()),
        files: Files { source, images: receive_image, pdfs: receive_pdf },
        dry: import.dry_run,
    };
    let mut rows = 0;
    for collection in
        [people::USERS, tasks::TASKS, records::IMAGES, records::BILLS, records::REPORTS, records::DIAGNOSES]
    {
        rows += old.count(collection).await?;
    }
    if house.files.source.is_none() {
        verify::say(
            "without --files: no image and no report is taken; a later import with them takes those that are missing",
        )
        .map_err(CommandError::output)?;
    }
    let mut told = Told::new(house.dry, rows);
    let mut people = people::import(&house, &old, &mut told).await?;
    tasks::import(&house, &old, &mut told).await?;
    let beside = records::read_beside(&house, &old, &people, &mut told).await?;
    records::import(&house, &old, &mut people, beside, &mut told).await?;
    told.end()?;
    if house.dry {
        return verify::say("dry run: nothing was changed").map_err(CommandError::output);
    }
    let stray_age = Duration::from_secs(STRAY_HOURS * 60 * 60);
    let verified = verify::verify(&inspected, &[], stray_age).await?;
    if verified.findings > 0 {
        return Err(CommandError::NotClean { findings: verified.findings });
    }
    verify::say(&verify::summary(&verified)).map_err(CommandError::output)
}

fn open_files(files: &str, credentials: Option<PathBuf>) -> Result<ForeignFiles, CommandError> {
    let opened = match files.strip_prefix("gs://") {
        Some(bucket) => ForeignFiles::of_bucket(&BucketSettings {
            service: Service::GoogleCloudStorage,
            bucket: bucket.trim_end_matches('/').to_owned(),
            prefix: None,
            credentials,
            signed_urls: false,
            limits: BucketLimits::default(),
        }),
        None => ForeignFiles::of_folder(Path::new(files)),
    };
    opened.map_err(CommandError::use_case)
}
