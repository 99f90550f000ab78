use clap::Subcommand;
use infirmary_audit::Head;

use crate::{
    command::{CommandError, verify::say},
    config::Config,
    wiring,
};

#[derive(Subcommand)]
pub enum Audit {
    /// Print how far the audit log has come: time, place and hash, a line to be kept where this machine cannot write. The
    /// server may run meanwhile
    Head,
}

pub async fn run(config: &Config, audit: Audit) -> Result<(), CommandError> {
    let Audit::Head = audit;
    let inspected = wiring::inspect(config).await?;
    let head = inspected.log.heads().await.map_err(CommandError::use_case)?.exported();
    say(&format!("{} {head}", inspected.clock.now())).map_err(CommandError::output)
}

/// The heads of a file to which that line was added again and again. Of each line the last word counts, so that what else
/// wrote the file may have put its own before it; empty lines, and those that begin with `#`, are passed over. The error is
/// the number of the first line that has none.
pub fn heads_in(text: &str) -> Result<Vec<Head>, usize> {
    let lines = (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| line.split_whitespace().next_back().unwrap_or_default().parse().map_err(|_| number))
        .collect()
}

#[cfg(test)]
mod tests {
    use infirmary_kernel::Sha256Digest;

    use super::*;

    #[test]
    fn a_file_of_heads_is_read_line_by_line() {
        let head = |sequence| Head { sequence, hash: Sha256Digest::of(b"entry") };
        let (one, two) = (head(7), head(4711));
        let text = format!("# house one\n2026-03-01T09:00:00.000Z {one}\n\n  {two}  \n");
        assert_eq!(heads_in(&text).unwrap(), [one, two]);
        assert_eq!(heads_in("").unwrap(), []);
        for refused in ["nonsense", "7", "7:00", &format!("{one} and more")] {
            assert_eq!(heads_in(&format!("# house one\n\n{one}\n{refused}\n{two}")), Err(4), "{refused}");
        }
    }
}
