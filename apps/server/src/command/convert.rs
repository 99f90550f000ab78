use std::{sync::Arc, time::Duration};

use clap::Args;
use infirmary_system::{SystemClock, SystemIds};
use infirmary_workflows::{
    Conversion, ConversionPart, ConvertHouse, ConvertObjects, Converted, CopiedObjects, RecordKind, STRAY_HOURS,
};

use crate::{
    background::NotAlone,
    command::{
        CommandError,
        verify::{self, Shown, say},
    },
    config::{Config, ConfigError},
    wiring::{self, StartError, Stores},
};

#[derive(Args)]
pub struct Convert {
    /// The store to move from: sqlite:///path or mongodb://… Left out beside --to, it is INFIRMARY_STORE
    #[arg(long, value_name = "URL")]
    pub from: Option<String>,
    /// The store to move to, an empty one. Left out beside --from, it is INFIRMARY_STORE
    #[arg(long, value_name = "URL")]
    pub to: Option<String>,
    /// Where the bytes of images and reports are: file:///path, gs://bucket/prefix or s3://bucket/prefix. Left out beside
    /// --to-objects, it is INFIRMARY_OBJECTS
    #[arg(long, value_name = "URL")]
    pub from_objects: Option<String>,
    /// Where they are to be copied to. Left out beside --from-objects, it is INFIRMARY_OBJECTS
    #[arg(long, value_name = "URL")]
    pub to_objects: Option<String>,
    /// Finish in spite of what a verification finds, when it finds that in the old store, too: bytes that were lost before, say
    #[arg(long)]
    pub accept_findings: bool,
    /// Copy nothing: let the store that was copied (--from, or INFIRMARY_STORE) be served again, because the copy is given up
    #[arg(long, conflicts_with_all = ["to", "from_objects", "to_objects", "accept_findings"])]
    pub release: bool,
}

/// What is moved from where to where: the settings of the server on either side.
struct Ends {
    from: Config,
    to: Config,
}

impl Convert {
    /// `None`: the store stays.
    fn stores(&self, config: &Config) -> Result<Option<Ends>, CommandError> {
        let ends = ends(
            config,
            [self.from.as_deref(), self.to.as_deref()],
            |option, url| config.on_store(option, url),
            STORES,
        )?;
        different(ends, |config| config.store.to_string(), STORES)
    }

    fn objects(&self, config: &Config) -> Result<Option<Ends>, CommandError> {
        let named = [self.from_objects.as_deref(), self.to_objects.as_deref()];
        let ends = ends(config, named, |option, url| config.with_objects(option, url), OBJECTS)?;
        different(ends, |config| config.objects.to_string(), OBJECTS)
    }
}

const STORES: [&str; 2] = ["--from", "--to"];
const OBJECTS: [&str; 2] = ["--from-objects", "--to-objects"];

fn ends(
    config: &Config,
    [from, to]: [Option<&str>; 2],
    with: impl Fn(&'static str, &str) -> Result<Config, ConfigError>,
    [from_name, to_name]: [&'static str; 2],
) -> Result<Option<Ends>, ConfigError> {
    if from.is_none() && to.is_none() {
        return Ok(None);
    }
    let end = |name, url: Option<&str>| url.map_or_else(|| Ok(config.clone()), |url| with(name, url));
    Ok(Some(Ends { from: end(from_name, from)?, to: end(to_name, to)? }))
}

fn different(
    ends: Option<Ends>,
    place: impl Fn(&Config) -> String,
    [from, to]: [&'static str; 2],
) -> Result<Option<Ends>, CommandError> {
    match &ends {
        Some(same) if place(&same.from) == place(&same.to) => {
            Err(CommandError::Argument(format!("{from} and {to} are one place: {}", place(&same.to))))
        }
        _ => Ok(ends),
    }
}

/// Bytes first, then the rows that name them, then all is verified; only then the copy may be served.
pub async fn run(config: &Config, convert: Convert) -> Result<(), CommandError> {
    wiring::choose_tls_provider();
    if convert.release {
        return release(
            &convert.from.as_deref().map_or_else(|| Ok(config.clone()), |url| config.on_store("--from", url))?,
        )
        .await;
    }
    let (stores, objects) = (convert.stores(config)?, convert.objects(config)?);
    let accept = convert.accept_findings;
    match (stores, objects) {
        (None, None) => Err(CommandError::argument(
            "give --from or --to for the store, --from-objects or --to-objects for the bytes, or both",
        )),
        (None, Some(objects)) => {
            let rows = wiring::store_to_convert(config, false).await?;
            let copied = copy_objects(&rows, &objects, accept).await?;
            verify_copy(&rows, &rows, &objects.to, accept).await?;
            say(&told_of_objects(&copied)).map_err(CommandError::output)?;
            say(&format!("the bytes are copied: set INFIRMARY_OBJECTS to {}", objects.to.objects))
                .map_err(CommandError::output)
        }
        (Some(ends), objects) => {
            let from = wiring::store_to_convert(&ends.from, false).await?;
            let to = wiring::store_to_convert(&ends.to, true).await?;
            // Both for this process alone, from beginning to end.
            let (alone_at_from, alone_at_to) = (from.alone(), to.alone());
            let moved = Box::pin(alone_at_to.once(move_house(&from, &to, &ends, objects.as_ref(), accept)));
            let moved = alone_at_from.once(async { moved.await.map_err(|error| not_alone(&ends.to, error))? }).await;
            moved.map_err(|error| not_alone(&ends.from, error))?
        }
    }
}

fn not_alone(config: &Config, source: NotAlone) -> CommandError {
    CommandError::NotAlone { store: config.store.to_string(), source }
}

async fn move_house(
    from: &Stores,
    to: &Stores,
    ends: &Ends,
    objects: Option<&Ends>,
    accept: bool,
) -> Result<(), CommandError> {
    let clock = Arc::new(SystemClock);
    let house = ConvertHouse { from: from.converted(), to: to.converted(), clock, ids: Arc::new(SystemIds::default()) };
    let id = house.begin().await?;
    let copied = match objects {
        Some(objects) => Some(copy_objects(from, objects, accept).await?),
        None => None,
    };
    let mut shown = Shown::default();
    let converted = house.run(id, &mut shown).await;
    shown.clear();
    let converted = converted?;
    if converted.findings > 0 {
        return Err(CommandError::NotTheSame { findings: converted.findings });
    }
    verify_copy(from, to, objects.map_or(&ends.to, |objects| &objects.to), accept).await?;
    house.finish().await.map_err(CommandError::use_case)?;
    if let Some(copied) = copied {
        say(&told_of_objects(&copied)).map_err(CommandError::output)?;
    }
    say(&told_of_records(&converted)).map_err(CommandError::output)?;
    let (old, new) = (&ends.from.store, &ends.to.store);
    let mut next =
        format!("the house is in {new}, and {old} is not served any more: set INFIRMARY_STORE to the new one");
    if let Some(objects) = objects {
        next.push_str(&format!(", and INFIRMARY_OBJECTS to {}", objects.to.objects));
    }
    say(&next).map_err(CommandError::output)
}

/// The bytes that rows of the store name.
async fn copy_objects(rows: &Stores, objects: &Ends, accept: bool) -> Result<CopiedObjects, CommandError> {
    let to = wiring::objects_to_fill(&objects.to).await?;
    // Not into a bucket that strangers can read.
    to.check().await.map_err(StartError::Objects)?;
    let copying =
        ConvertObjects { inspection: rows.converted().inspection, from: wiring::objects_to_read(&objects.from)?, to };
    let mut shown = Shown::default();
    let copied = copying.run(&mut shown).await;
    shown.clear();
    let copied = copied.map_err(CommandError::use_case)?;
    if copied.findings > 0 && !accept {
        return Err(CommandError::NotTheSame { findings: copied.findings });
    }
    copying.finish().await.map_err(CommandError::use_case)?;
    Ok(copied)
}

/// As `infirmary verify`; the audit log has to lead through the head that the old store had.
async fn verify_copy(from: &Stores, to: &Stores, config: &Config, accept: bool) -> Result<(), CommandError> {
    let head = from.converted().log.heads().await.map_err(CommandError::use_case)?.exported();
    let inspected = to.inspected(wiring::objects_to_read(config)?, config.currency);
    let stray_age = Duration::from_secs(STRAY_HOURS * 60 * 60);
    let verified = verify::verify(&inspected, &[head], stray_age).await?;
    if verified.findings > 0 && !accept {
        return Err(CommandError::NotTheSame { findings: verified.findings });
    }
    say(&format!("audit head  {}", verified.head)).map_err(CommandError::output)?;
    if verified.findings == 0 {
        say(&verify::summary(&verified)).map_err(CommandError::output)?;
    }
    Ok(())
}

fn told_of_records(converted: &Converted) -> String {
    let count = |kind| converted.counts.get(&kind).copied().unwrap_or_default();
    format!(
        "copied: {} records, of which {} accounts, {} patients, {} studies, {} charges, {} payments, {} audit entries",
        converted.counts.values().sum::<u64>(),
        count(RecordKind::Account),
        count(RecordKind::Patient),
        count(RecordKind::Study),
        count(RecordKind::Charge),
        count(RecordKind::Payment),
        count(RecordKind::AuditEntry),
    )
}

fn told_of_objects(copied: &CopiedObjects) -> String {
    let CopiedObjects { objects, bytes, there, .. } = copied;
    format!("copied: {objects} objects with {bytes} bytes; {there} were there already")
}

/// The store goes on by itself, and what was copied of it is no house.
async fn release(config: &Config) -> Result<(), CommandError> {
    let store = wiring::store_to_convert(config, false).await?;
    let transfer = store.converted().transfer;
    let place = &config.store;
    match transfer.conversion().await.map_err(CommandError::use_case)? {
        Some(Conversion { begun_at, part: ConversionPart::Target { .. }, .. }) => {
            return Err(StartError::NotWhole { database: place.to_string(), begun_at }.into());
        }
        Some(Conversion { begun_at, .. }) => {
            transfer.set_conversion(None).await.map_err(CommandError::use_case)?;
            say(&format!(
                "{place} can be served again; do not serve what was copied of it (begun at {begun_at}), which would be another \
                 house"
            ))
        }
        None => say(&format!("{place} takes part in no conversion")),
    }
    .map_err(CommandError::output)
}
