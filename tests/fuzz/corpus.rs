//! The inputs that are kept: `corpus/TARGET/`, each under a name of its content.

use std::{fs, path::PathBuf};

use sha2::{Digest, Sha256};

use crate::harness::Target;

/// So that the repository stays small, and the tests quick.
const MAX_FILES: usize = 48;
const MAX_BYTES: usize = 28 * 1024;

fn folder(target: &Target) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name)
}

/// Those of the corpus and the target's own.
pub fn inputs(target: &Target) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder(target)).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let files = files.iter().map(|file| fs::read(file).unwrap());
    (target.seeds)().into_iter().chain(files).collect()
}

/// The files of the fixtures that are no longer than an input may be.
pub fn fixtures(folder: &str, ending: &str, max_bytes: usize) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|known| known == ending));
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).filter(|bytes| bytes.len() <= max_bytes).collect()
}

pub fn keep(target: &Target, input: &[u8]) -> PathBuf {
    fs::create_dir_all(folder(target)).unwrap();
    let name: String = Sha256::digest(input).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let file = folder(target).join(name);
    fs::write(&file, input).unwrap();
    file
}

/// As many as may be kept, the shortest first.
pub fn keep_all(target: &Target, mut inputs: Vec<Vec<u8>>) {
    inputs.sort_by_key(Vec::len);
    let known =
        fs::read_dir(folder(target)).into_iter().flatten().map(|entry| entry.unwrap().metadata().unwrap().len());
    let (mut files, mut bytes) = known.fold((0, 0), |(files, bytes), length| (files + 1, bytes + length as usize));
    for input in inputs {
        files += 1;
        bytes += input.len();
        if files > MAX_FILES || bytes > MAX_BYTES {
            return;
        }
        keep(target, &input);
    }
}
