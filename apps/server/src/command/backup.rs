use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use infirmary_audit::AuditLog;
use infirmary_kernel::{Clock, ObjectKey, Objects};
use infirmary_sqlite::{SCHEMA_VERSION, SqliteStore};
use infirmary_system::SystemClock;
use infirmary_workflows::Inspection;
use tempfile::NamedTempFile;

use crate::{
    archive::{self, Manifest, Place, Summary, Writer},
    command::{CommandError, verify::say},
    config::{Config, StoreUrl},
    wiring::{self, StartError},
};

#[derive(Args)]
pub struct Backup {
    /// The archive to be written; must not exist
    pub file: PathBuf,
    /// Put the secrets into it, too: whoever reads the archive can then sign in as anybody
    #[arg(long)]
    pub with_secrets: bool,
}

/// Rows that are read at once.
const BATCH_OBJECTS: usize = 500;
const BUFFER_BYTES: usize = 256 * 1024;

/// The database as it is at one moment, then the objects that it names: they are never changed, and were there before
/// their rows. So the server may go on meanwhile, and what it writes is in the next backup.
pub async fn run(config: &Config, backup: Backup) -> Result<(), CommandError> {
    let Backup { file, with_secrets } = backup;
    let StoreUrl::Sqlite(database) = &config.store else { return Err(CommandError::NotByArchive) };
    if file.try_exists().map_err(|source| CommandError::file(&file, source))? {
        return Err(CommandError::Exists { path: file });
    }
    let store = SqliteStore::open_to_read(database, 1).map_err(StartError::from)?;
    let objects = wiring::objects_to_read(config)?;
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let failed = |source| CommandError::file(&file, source);
    let name = file.file_name().ok_or_else(|| CommandError::argument("FILE is no name of a file"))?;
    // It is gone again when anything fails from here on.
    let mut partial = tempfile::Builder::new();
    let partial = partial.prefix(name).suffix(".partial").rand_bytes(0).tempfile_in(folder).map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            CommandError::Exists { path: folder.join(name).with_added_extension("partial") }
        } else {
            failed(error)
        }
    })?;
    let secrets = if with_secrets { secrets_in(&config.secrets_dir)? } else { Vec::new() };
    let (partial, summary) = write(&store, &objects, folder, partial, &secrets).await?;
    partial.as_file().sync_all().map_err(failed)?;
    partial.persist_noclobber(&file).map_err(|error| failed(error.error))?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;

    let told = format!(
        "{}: {} files with {} bytes; {} patients, {} studies, {} charges, {} payments; {} audit entries",
        file.display(),
        summary.files,
        summary.bytes,
        summary.patients,
        summary.studies,
        summary.charges,
        summary.payments,
        summary.audit_entries
    );
    say(&told).map_err(CommandError::output)?;
    say(&format!("audit head  {}", summary.audit_head)).map_err(CommandError::output)?;
    let secrets_dir = config.secrets_dir.display();
    if with_secrets {
        eprintln!("THE SECRETS ARE IN THIS ARCHIVE: whoever reads it can sign in as anybody. Keep it as such.");
    } else {
        eprintln!("THE SECRETS ARE NOT IN THIS ARCHIVE: copy {secrets_dir} to another safe place, once.");
        eprintln!("Without its pepper.key, every password of a restored house is wrong.");
    }
    Ok(())
}

async fn write(
    store: &SqliteStore,
    objects: &Arc<dyn Objects>,
    folder: &Path,
    partial: NamedTempFile,
    secrets: &[PathBuf],
) -> Result<(NamedTempFile, Summary), CommandError> {
    let partial_path = partial.path().to_owned();
    let failed = |source| CommandError::file(&partial_path, source);
    let damaged = |source| CommandError::Archive { path: partial_path.clone(), source };
    let taken_at = SystemClock.now();
    let snapshot = tempfile::Builder::new().prefix(".infirmary-").suffix(".db").tempfile_in(folder).map_err(failed)?;
    store.snapshot_into(snapshot.path()).await.map_err(CommandError::use_case)?;
    // What it names is read from the copy: the database itself goes on.
    let copy = SqliteStore::open_to_read(snapshot.path(), 1).map_err(StartError::from)?;
    let counts = copy.counts().await.map_err(CommandError::use_case)?;
    let head = AuditLog::heads(&copy).await.map_err(CommandError::use_case)?.exported();

    let mut manifest = Manifest::gathered_in(tempfile::tempfile_in(folder).map_err(failed)?);
    let (bytes, sha256) = File::open(snapshot.path()).and_then(archive::measure).map_err(failed)?;
    manifest.add(&Place::Database, bytes, sha256).map_err(failed)?;
    let mut last = None;
    loop {
        let batch = copy.objects(last, BATCH_OBJECTS).await.map_err(CommandError::use_case)?;
        let Some(end) = batch.last() else { break };
        last = Some(end.owner);
        for named in batch {
            let object = named.object;
            manifest.add(&Place::Object(object.key), object.bytes, object.sha256).map_err(failed)?;
        }
    }
    for secret in secrets {
        let (bytes, sha256) = File::open(secret).and_then(archive::measure).map_err(failed)?;
        manifest.add(&secret_place(secret), bytes, sha256).map_err(failed)?;
    }
    drop(copy);

    let summary = Summary::new(SCHEMA_VERSION, taken_at, head.to_string(), &counts, manifest.files, manifest.bytes);
    let bar = ProgressBar::new(summary.bytes);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}") {
        bar.set_style(style);
    }
    let out = BufWriter::with_capacity(BUFFER_BYTES, partial);
    let mut writer = Writer::begin(out, &summary, manifest).map_err(damaged)?;
    while let Some(listed) = writer.next_listed().map_err(damaged)? {
        let (_local, path) = match Place::parse(&listed.path) {
            Some(Place::Database) => (None, snapshot.path().to_owned()),
            Some(Place::Object(key)) => {
                let local = local(objects, &key).await?;
                let path = local.path().to_owned();
                (Some(local), path)
            }
            Some(Place::Secret(name)) => {
                let path = secrets.iter().find(|path| path.ends_with(&name)).cloned();
                (None, path.ok_or_else(|| CommandError::argument("a secret is gone"))?)
            }
            None => return Err(CommandError::argument(format!("{} is no path of an archive", listed.path))),
        };
        let content = File::open(&path).map_err(|source| CommandError::file(&path, source))?;
        writer.add(&listed, bar.wrap_read(content)).map_err(damaged)?;
    }
    bar.finish_and_clear();
    let mut out = writer.finish().map_err(damaged)?;
    out.flush().map_err(failed)?;
    let partial = out.into_inner().map_err(|error| failed(error.into_error()))?;
    Ok((partial, summary))
}

async fn local(
    objects: &Arc<dyn Objects>,
    key: &ObjectKey,
) -> Result<Box<dyn infirmary_kernel::LocalFile>, CommandError> {
    let found = objects.local(key).await.map_err(CommandError::use_case)?;
    found
        .ok_or_else(|| CommandError::UseCase(format!("the object {key} is not there; `infirmary verify` tells of all")))
}

/// The key files, and nothing else that may lie there.
fn secrets_in(folder: &Path) -> Result<Vec<PathBuf>, CommandError> {
    let list = || -> io::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(Place::is_secret) {
                files.push(entry.path());
            }
        }
        files.sort();
        Ok(files)
    };
    list().map_err(|source| CommandError::file(folder, source))
}

fn secret_place(path: &Path) -> Place {
    Place::Secret(path.file_name().unwrap_or_default().to_string_lossy().into_owned())
}
