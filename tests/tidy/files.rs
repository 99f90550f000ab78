use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A file of the repository: its path from the root, with `/`, and its text.
pub struct Text {
    pub path: String,
    pub text: String,
}

/// Every text file under `folder` (a path from the root) that the repository keeps.
pub fn texts(folder: &str) -> Vec<Text> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            // What is built, what is kept at run time, and the versions themselves.
            let ours = !matches!(name.as_str(), "target" | "data" | ".git" | ".env" | "node_modules")
                || name == "data" && folder != root();
            match entry.file_type().unwrap() {
                kind if kind.is_dir() && ours => folders.push(entry.path()),
                kind if kind.is_file() && ours => {
                    if let Ok(text) = String::from_utf8(fs::read(entry.path()).unwrap()) {
                        found.push(Text { path: from_root(&entry.path()), text });
                    }
                }
                _ => {}
            }
        }
    }
    assert!(!found.is_empty(), "there is nothing in {folder}");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

pub fn rust_sources(folder: &str) -> Vec<Text> {
    let mut sources = texts(folder);
    sources.retain(|file| file.path.ends_with(".rs"));
    sources
}

fn from_root(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned()
}

/// The names of the folders in `folder`.
pub fn folders(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap().map(Result::unwrap);
    entries
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect()
}

pub fn exists(path: &str) -> bool {
    root().join(path).exists()
}

pub fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn decisions_have_a_number_each_and_say_what_was_decided() {
    let mut records: Vec<PathBuf> =
        fs::read_dir(root().join("docs/adr")).unwrap().map(|entry| entry.unwrap().path()).collect();
    records.sort();
    // Decisions that are taken side by side have their numbers before they are written down: there may be gaps.
    let mut last = 0;
    for record in &records {
        let name = record.file_name().unwrap().to_str().unwrap();
        let (number, title) = name.split_at(4);
        let number: u32 = number.parse().unwrap_or_else(|_| panic!("docs/adr/{name}: begins with its number"));
        assert!(number > last, "docs/adr/{name}: another decision has the number {number}");
        last = number;
        assert!(title.starts_with('-') && title.ends_with(".md") && title.len() > 4, "docs/adr/{name}: NNNN-title.md");
        let text = fs::read_to_string(record).unwrap();
        assert!(text.starts_with("# "), "docs/adr/{name}: begins with its title");
        assert!(text.lines().count() >= 3, "docs/adr/{name}: a decision has a reason");
    }
}

#[test]
fn nothing_names_the_place_where_it_was_written() {
    // The folder of this checkout and those around it: whoever builds elsewhere has no such folder. The root's own children
    // (`/home`, `/builds`) only where no longer path goes before, since `src/` is in many paths.
    let places: Vec<String> = root()
        .ancestors()
        .filter(|place| place.components().count() > 1)
        .map(|place| format!("{}/", place.display()))
        .chain(["/home/", "/Users/", "/root/"].map(str::to_owned))
        .collect();
    let mut named = Vec::new();
    for file in texts(".").iter().filter(|file| !file.path.ends_with("tidy/files.rs")) {
        for (number, line) in file.text.lines().enumerate() {
            let begins_with = |place: &String| {
                line.match_indices(place.as_str()).any(|(at, _)| {
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '}'))
                })
            };
            if places.iter().any(begins_with) {
                named.push(format!("{}:{}: {line}", file.path, number + 1));
            }
        }
    }
    assert!(named.is_empty(), "paths of somebody's machine:\n{}", named.join("\n"));
}

/// The settings that a text names.
fn settings(text: &str) -> BTreeSet<&str> {
    text.match_indices("INFIRMARY_")
        .map(|(at, _)| {
            let rest = &text[at..];
            let end = rest.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
            &rest[..end.unwrap_or(rest.len())]
        })
        // A prefix, as in `INFIRMARY_TEST_…`, names no setting.
        .filter(|name| !name.ends_with('_') && !name.starts_with("INFIRMARY_TEST_"))
        .collect()
}

#[test]
fn the_guides_name_no_setting_that_is_none() {
    let known: BTreeSet<&str> = infirmary_server::config::NAMES.iter().copied().collect();
    for file in texts("docs").iter().chain(&[Text { path: "README.md".into(), text: read("README.md") }]) {
        let unknown: Vec<_> = settings(&file.text).into_iter().filter(|name| !known.contains(name)).collect();
        assert!(unknown.is_empty(), "{}: {unknown:?} are no settings", file.path);
    }
}
