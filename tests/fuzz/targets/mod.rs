//! A file for each door that strangers' bytes come in by.

pub mod access_token;
pub mod audit;
pub mod contact;
pub mod cursor;
pub mod dicom;
pub mod headers;
pub mod image;
pub mod multipart;
pub mod pdf;
pub mod refresh_token;
pub mod webhook;

use std::{path::PathBuf, sync::LazyLock};

use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// For what is read by an async port.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().enable_all().build().unwrap());

/// The input as a file, as uploads are. There is one at a time.
fn file(input: &[u8]) -> PathBuf {
    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());
    let file = FOLDER.path().join("input");
    std::fs::write(&file, input).unwrap();
    file
}

/// The words of a refusal, without the numbers in them: as many outcomes as there are refusals.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()
}

/// The lines of an input, as many as asked for; the last one has all that is left.
fn lines<const N: usize>(input: &[u8]) -> [&[u8]; N] {
    let mut lines = input.splitn(N, |byte| *byte == b'\n');
    std::array::from_fn(|_| lines.next().unwrap_or_default())
}
