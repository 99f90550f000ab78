use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use infirmary_audit::Head;
use infirmary_kernel::{ObjectKey, Objects, StoreError, WriteError};
use infirmary_objects::DiskObjects;
use infirmary_sqlite::SqliteStore;
use infirmary_system::PEPPER_FILE;
use tokio::runtime::Handle;

use crate::{
    archive::{self, ArchiveError, Place, Sink, Summary},
    command::{
        CommandError,
        verify::{self, say},
    },
    config::{Config, ObjectsUrl, StoreUrl},
    wiring::{self, StartError, Stores},
};

#[derive(Args)]
pub struct Restore {
    /// An archive that `infirmary backup` has written
    pub file: PathBuf,
    /// An audit head that was kept elsewhere, which the archive has to hold
    #[arg(long, value_name = "N:HASH")]
    pub head: Option<Head>,
}

const CHUNK_BYTES: usize = 256 * 1024;

/// Unpacks beside where the house is to be, verifies what was unpacked, and only then puts it into its place.
pub async fn run(config: &Config, restore: Restore) -> Result<(), CommandError> {
    let Restore { file, head } = restore;
    let StoreUrl::Sqlite(database) = &config.store else { return Err(CommandError::NotByArchive) };
    let ObjectsUrl::File(objects) = &config.objects else {
        return Err(CommandError::UseCase(
            "an archive is restored to a folder: leave INFIRMARY_OBJECTS out, restore, and copy the folder `objects` to \
             below the prefix of the bucket"
                .into(),
        ));
    };
    let house = House {
        database: Target::of(database),
        objects: Target::of(objects),
        secrets: Target::of(&config.secrets_dir),
        data_dir_is_ours: !config.data_dir.exists(),
        data_dir: config.data_dir.clone(),
        done: false,
    };
    house.refuse_unless_empty()?;
    wiring::make_private_folder(&config.data_dir)?;
    house.refuse_leftovers()?;
    let mut house = Unfinished(house);

    let archive = File::open(&file).map_err(|source| CommandError::file(&file, source))?;
    let summary = house.unpack(&file, archive).await?;
    // An archive of an older version is brought up to date here.
    let store = SqliteStore::open(&house.0.database.new, 1).map_err(StartError::from)?;
    let objects = DiskObjects::open_to_read(&house.0.objects.new).map_err(StartError::Objects)?;
    let inspected = Stores::of(store).inspected(Arc::new(objects), config.currency);
    let verified = verify::verify(&inspected, head.as_slice(), Duration::ZERO).await?;
    drop(inspected);
    if verified.findings > 0 {
        return Err(CommandError::NotClean { findings: verified.findings });
    }
    let with_secrets = house.0.secrets.new.exists();
    house.0.put_in_place()?;
    house.0.done = true;

    say(&verify::summary(&verified)).map_err(CommandError::output)?;
    say(&format!("audit head  {}", verified.head)).map_err(CommandError::output)?;
    say(&format!("restored    {} as it was at {}", file.display(), summary.taken_at)).map_err(CommandError::output)?;
    if !with_secrets && !config.secrets_dir.join(PEPPER_FILE).exists() {
        eprintln!("THE SECRETS ARE NOT IN THIS ARCHIVE: copy yours to {} before", config.secrets_dir.display());
        eprintln!("the server starts. Without its pepper.key, every password of this house is wrong.");
    }
    Ok(())
}

/// A file or folder that is to be restored: made at `new`, and put to `place` at the end.
struct Target {
    place: PathBuf,
    new: PathBuf,
}

impl Target {
    fn of(place: &Path) -> Self {
        Self { place: place.to_owned(), new: place.with_added_extension("restoring") }
    }
}

struct House {
    database: Target,
    objects: Target,
    secrets: Target,
    data_dir: PathBuf,
    data_dir_is_ours: bool,
    done: bool,
}

/// Removes what was unpacked, unless the house is done.
struct Unfinished(House);

impl Drop for Unfinished {
    fn drop(&mut self) {
        let house = &self.0;
        if house.done {
            return;
        }
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(beside(&house.database.new, suffix));
        }
        let _ = fs::remove_dir_all(&house.objects.new);
        let _ = fs::remove_dir_all(&house.secrets.new);
        if house.data_dir_is_ours {
            let _ = fs::remove_dir(&house.data_dir);
        }
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

impl House {
    fn refuse_unless_empty(&self) -> Result<(), CommandError> {
        let full = |path: PathBuf| Err(CommandError::NotEmpty { path });
        for suffix in ["", "-wal"] {
            let path = beside(&self.database.place, suffix);
            if path.exists() {
                return full(path);
            }
        }
        match holds_files(&self.objects.place) {
            Ok(false) => Ok(()),
            Ok(true) => full(self.objects.place.clone()),
            Err(source) => Err(CommandError::file(&self.objects.place, source)),
        }
    }

    /// Another restore is under way, or one was killed.
    fn refuse_leftovers(&self) -> Result<(), CommandError> {
        let targets = [&self.database, &self.objects, &self.secrets];
        match targets.into_iter().find(|target| target.new.exists()) {
            Some(target) => Err(CommandError::Exists { path: target.new.clone() }),
            None => Ok(()),
        }
    }

    /// The database last: without one, a house is none.
    fn put_in_place(&self) -> Result<(), CommandError> {
        let wal = beside(&self.database.new, "-wal");
        if wal.exists() {
            return Err(CommandError::UseCase(format!("the restored database was not closed: {}", wal.display())));
        }
        if self.objects.place.exists() {
            // It holds nothing but the folders that a server makes when it starts.
            fs::remove_dir_all(&self.objects.place)
                .map_err(|source| CommandError::file(&self.objects.place, source))?;
        }
        if self.secrets.new.exists() {
            // Fails when there is anything in it.
            let _ = fs::remove_dir(&self.secrets.place);
            self.secrets.put()?;
        }
        self.objects.put()?;
        self.database.put()
    }

    async fn unpack(&self, file: &Path, archive: File) -> Result<Summary, CommandError> {
        let objects = DiskObjects::open(&self.objects.new).map_err(StartError::Objects)?;
        let folder = self.database.new.parent().unwrap_or(Path::new(".")).to_owned();
        let lines = tempfile::tempfile_in(&folder).map_err(|source| CommandError::file(&folder, source))?;
        let mut unpacking = Unpacking {
            database: self.database.new.clone(),
            objects,
            secrets: self.secrets.new.clone(),
            secrets_place: self.secrets.place.clone(),
            handle: Handle::current(),
            bar: ProgressBar::no_length(),
        };
        // The archive is read on a thread that may wait, for the disk and for what is written to it.
        let reading = tokio::task::spawn_blocking(move || {
            let archive = io::BufReader::with_capacity(CHUNK_BYTES, archive);
            let summary = archive::read(archive, lines, &mut unpacking);
            unpacking.bar.finish_and_clear();
            summary
        });
        let summary = reading.await.map_err(|error| CommandError::UseCase(error.to_string()))?;
        summary.map_err(|source| CommandError::Archive { path: file.to_owned(), source })
    }
}

impl Unfinished {
    async fn unpack(&mut self, file: &Path, archive: File) -> Result<Summary, CommandError> {
        self.0.unpack(file, archive).await
    }
}

impl Target {
    fn put(&self) -> Result<(), CommandError> {
        let put = || {
            fs::rename(&self.new, &self.place)?;
            self.place.parent().map_or(Ok(()), |folder| {
                let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
                File::open(folder)?.sync_all()
            })
        };
        put().map_err(|source| CommandError::file(&self.place, source))
    }
}

/// Any file in the folder, at whatever depth, but those by which processes tell that they live.
fn holds_files(folder: &Path) -> io::Result<bool> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let held = entry.file_name() != ".staging" && (!entry.file_type()?.is_dir() || holds_files(&entry.path())?);
        if held {
            return Ok(true);
        }
    }
    Ok(false)
}

struct Unpacking {
    database: PathBuf,
    objects: DiskObjects,
    secrets: PathBuf,
    secrets_place: PathBuf,
    handle: Handle,
    bar: ProgressBar,
}

impl Sink for Unpacking {
    fn summary(&mut self, summary: &Summary) -> Result<(), ArchiveError> {
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}") {
            self.bar.set_style(style);
        }
        self.bar.set_length(summary.bytes);
        Ok(())
    }

    fn file(&mut self, place: &Place, content: &mut dyn Read) -> Result<(), ArchiveError> {
        let mut content = self.bar.wrap_read(content);
        match place {
            Place::Database => write_private(&self.database, &mut content),
            Place::Object(key) => self.handle.block_on(keep(&self.objects, key, &mut content)),
            Place::Secret(name) => {
                if fs::read_dir(&self.secrets_place).is_ok_and(|mut entries| entries.next().is_some()) {
                    let path = self.secrets_place.display().to_string();
                    return Err(ArchiveError::Source { path, why: "has secrets already, and so has the archive" });
                }
                fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.secrets)?;
                write_private(&self.secrets.join(name), &mut content)
            }
        }
    }
}

fn write_private(path: &Path, content: &mut impl Read) -> Result<(), ArchiveError> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    io::copy(content, &mut file)?;
    file.flush()?;
    Ok(file.sync_all()?)
}

/// By way of the port: durable, and never over what is there.
async fn keep(objects: &DiskObjects, key: &ObjectKey, content: &mut impl Read) -> Result<(), ArchiveError> {
    let failed = |error: StoreError| ArchiveError::Io(io::Error::other(error));
    let mut staging = objects.stage().await.map_err(failed)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = content.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        staging.write(Bytes::copy_from_slice(&chunk[..read])).await.map_err(failed)?;
    }
    let staged = staging.seal().await.map_err(failed)?;
    staged.keep(key).await.map(|_| ()).map_err(|error| match error {
        WriteError::Conflict { .. } => ArchiveError::Member { path: key.to_string(), why: "is listed twice" },
        error => ArchiveError::Io(io::Error::other(error)),
    })
}
