use std::{io, path::PathBuf, time::Duration};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use infirmary_audit::Head;
use infirmary_workflows::{Finding, STRAY_HOURS, Stage, Verified, VerifyHouse, Watch};

use crate::{
    command::{CommandError, audit},
    config::Config,
    wiring::{self, Inspected},
};

#[derive(Args)]
pub struct Verify {
    /// An audit head that was kept elsewhere: tells whether the log was cut off or made anew since
    #[arg(long, value_name = "N:HASH")]
    pub head: Option<Head>,

    /// A file of heads that were kept elsewhere, a line for each, as `infirmary audit head` prints them: the log has to lead
    /// through all of them
    #[arg(long, value_name = "FILE")]
    pub heads: Option<PathBuf>,
}

impl Verify {
    fn exported(&self) -> Result<Vec<Head>, CommandError> {
        let mut exported: Vec<Head> = self.head.into_iter().collect();
        if let Some(path) = &self.heads {
            let text = std::fs::read_to_string(path).map_err(|source| CommandError::file(path, source))?;
            let refused = |line| {
                let path = path.display();
                CommandError::argument(format!("line {line} of {path} is no head of an audit log; it ends in N:HASH"))
            };
            exported.extend(audit::heads_in(&text).map_err(refused)?);
        }
        Ok(exported)
    }
}

/// Reads all that is kept, and tells on the standard output what does not hold.
pub async fn run(config: &Config, verify: Verify) -> Result<(), CommandError> {
    let exported = verify.exported()?;
    let inspected = wiring::inspect(config).await?;
    let verified = self::verify(&inspected, &exported, Duration::from_secs(STRAY_HOURS * 60 * 60)).await?;
    say(&format!("audit head  {}", verified.head)).map_err(CommandError::output)?;
    if verified.findings > 0 {
        return Err(CommandError::NotClean { findings: verified.findings });
    }
    say(&summary(&verified)).map_err(CommandError::output)
}

/// Verifies with a progress bar; findings are printed as they come.
pub async fn verify(inspected: &Inspected, exported: &[Head], stray_age: Duration) -> Result<Verified, CommandError> {
    let house = VerifyHouse {
        inspection: inspected.inspection.clone(),
        ledger: inspected.ledger.clone(),
        log: inspected.log.clone(),
        objects: inspected.objects.clone(),
        clock: inspected.clock.clone(),
        currency: inspected.currency,
        stray_age,
    };
    let mut shown = Shown { bar: ProgressBar::no_length() };
    let verified = house.run(exported, &mut shown).await;
    shown.bar.finish_and_clear();
    verified.map_err(CommandError::use_case)
}

pub fn summary(verified: &Verified) -> String {
    let counts = &verified.counts;
    let mut text = format!(
        "clean: {} patients, {} studies, {} diagnoses, {} charges, {} payments, {} refunds; {} objects with {} bytes; \
         {} audit entries",
        counts.patients,
        counts.studies,
        counts.diagnoses,
        counts.charges,
        counts.payments,
        counts.refunds,
        counts.objects(),
        counts.object_bytes,
        counts.audit_entries
    );
    if verified.young_strays > 0 {
        text.push_str(&format!("; {} objects of the last day have no row (yet)", verified.young_strays));
    }
    text
}

/// A line on the standard output: for what the command was asked for, so it can be kept and searched.
pub fn say(line: &str) -> io::Result<()> {
    use io::Write;
    writeln!(io::stdout(), "{line}")
}

/// The bar goes to the standard error, and only when that is a terminal.
struct Shown {
    bar: ProgressBar,
}

impl Watch for Shown {
    fn begin(&mut self, stage: Stage, total: u64) {
        let unit = match stage {
            Stage::Objects => "{bytes}/{total_bytes} {bytes_per_sec}",
            Stage::Books | Stage::Records | Stage::Strays | Stage::Audit => "{pos}/{len}",
        };
        let template = format!("{{msg:8}} {{wide_bar}} {unit} {{eta}}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            self.bar.set_style(style);
        }
        self.bar.reset();
        self.bar.set_length(total);
        self.bar.set_message(stage.as_str());
    }

    fn advance(&mut self, done: u64) {
        self.bar.inc(done);
    }

    fn found(&mut self, Finding { stage, text }: Finding) {
        // Who closed the standard output still learns by the exit code.
        let _ = self.bar.suspend(|| say(&format!("{:8} {text}", stage.as_str())));
    }
}
