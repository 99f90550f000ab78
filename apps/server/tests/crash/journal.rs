//! What was acknowledged, on the disk before the next request is sent.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::Value;

use crate::writers::{Acknowledged, Kind};

/// A file of lines that another process keeps.
pub struct Journal {
    path: PathBuf,
    keeper: Child,
    lines: ChildStdin,
    answers: BufReader<ChildStdout>,
}

const KEPT: &str = "kept";
const JOURNAL: &str = "INFIRMARY_TEST_JOURNAL";

impl Journal {
    pub fn open(folder: &Path, writer: u64) -> Self {
        let path = folder.join(format!("journal-{writer}"));
        let mut keeper = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "journal::keeps_a_journal_for_another_process", "--ignored", "--nocapture"])
            .env(JOURNAL, &path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, answers) = (keeper.stdin.take().unwrap(), BufReader::new(keeper.stdout.take().unwrap()));
        Self { path, keeper, lines, answers }
    }

    /// Returns when the line is on the disk.
    pub fn keep(&mut self, entry: &Value) {
        writeln!(self.lines, "{entry}").unwrap();
        let mut answer = String::new();
        // Before its first word stands what the harness says of itself.
        while !answer.trim_end().ends_with(KEPT) {
            answer.clear();
            assert_ne!(self.answers.read_line(&mut answer).unwrap(), 0, "the keeper of a journal is gone");
        }
    }

    pub fn read(&self) -> Vec<Acknowledged> {
        let lines = BufReader::new(File::open(&self.path).unwrap()).lines();
        let entry = |line: std::io::Result<String>| {
            let entry: Value = serde_json::from_str(&line.unwrap()).unwrap();
            Acknowledged { kind: Kind::of(entry["path"].as_str().unwrap()), answer: entry["answer"].clone() }
        };
        lines.map(entry).collect()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.keeper.kill().unwrap();
        self.keeper.wait().unwrap();
    }
}

/// Not a test: the other process, which is this binary once more.
#[test]
#[ignore = "the crash tests run it"]
fn keeps_a_journal_for_another_process() {
    let Some(path) = std::env::var_os(JOURNAL) else { return };
    let mut journal = OpenOptions::new().create(true).append(true).open(path).unwrap();
    let mut answers = std::io::stdout();
    for line in std::io::stdin().lines() {
        writeln!(journal, "{}", line.unwrap()).unwrap();
        journal.sync_data().unwrap();
        writeln!(answers, "{KEPT}").unwrap();
        answers.flush().unwrap();
    }
}
