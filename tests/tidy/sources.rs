use std::collections::BTreeSet;

use crate::files::{exists, folders, read, rust_sources};

/// How the time is asked for, and how dice are thrown. `Instant` is among them: what is decided by it cannot be tested.
const TIME_AND_CHANCE: &[&str] = &[
    "SystemTime::now",
    "UNIX_EPOCH.elapsed",
    "Instant::now",
    "Utc::now",
    "Local::now",
    "OffsetDateTime::now",
    "Uuid::new_v4",
    "Uuid::now_v7",
    "getrandom::",
    "rand::",
    "RandomState::new",
];

/// Files that may all the same, and why.
const MAY_ASK: &[(&str, &str, &str)] = &[
    ("apps/server/src/http/edge.rs", "Instant::now", "how long an answer took is measured, and decides nothing"),
    (
        "apps/server/src/http/incoming.rs",
        "Instant::now",
        "how long a sender was waited for is measured; what follows from it is decided without a clock, and tested so",
    ),
];

#[test]
fn only_the_system_crate_asks_for_time_or_randomness() {
    let mut asked = Vec::new();
    let mut used = BTreeSet::new();
    for file in rust_sources("crates").iter().chain(&rust_sources("apps")) {
        // What runs at the ward is under `src`; tests and benchmarks measure.
        if !file.path.contains("/src/") || file.path.starts_with("crates/adapters/system/") {
            continue;
        }
        for needle in TIME_AND_CHANCE.iter().filter(|needle| file.text.contains(**needle)) {
            match MAY_ASK.iter().find(|(path, what, _)| *path == file.path && what == needle) {
                Some(exception) => _ = used.insert(exception),
                None => asked.push(format!("{} has {needle}", file.path)),
            }
        }
    }
    assert!(asked.is_empty(), "ask the ports Clock, IdSource and Entropy:\n{}", asked.join("\n"));
    assert_eq!(used.len(), MAY_ASK.len(), "an exception is not needed any more: {used:?}");
}

/// What the domain writes as JSON itself.
const MAY_BE_SERIALISED: &[(&str, &str)] = &[
    ("crates/domain/audit/src/canonical.rs", "the canonical form of an entry, which its hash is over"),
    ("crates/domain/audit/src/session_hash.rs", "a part of the canonical form"),
];

/// Else a new field of a record would be in an answer before anybody has decided that it may.
#[test]
fn no_record_of_the_domain_can_be_serialised() {
    let mut against = Vec::new();
    let mut used = BTreeSet::new();
    for file in rust_sources("crates/domain") {
        // The kernel's are values that have one form in text.
        if file.path.starts_with("crates/domain/kernel/") || !file.text.contains("Serialize") {
            continue;
        }
        match MAY_BE_SERIALISED.iter().find(|(path, _)| *path == file.path) {
            Some(exception) => _ = used.insert(exception),
            None => against.push(file.path),
        }
    }
    assert!(against.is_empty(), "give the answer a type of its own, in the server: {against:?}");
    assert_eq!(used.len(), MAY_BE_SERIALISED.len(), "an exception is not needed any more: {used:?}");
}

#[test]
fn every_domain_crate_has_the_same_front() {
    for krate in folders("crates/domain") {
        let src = format!("crates/domain/{krate}/src");
        let front = read(&format!("{src}/lib.rs"));
        assert!(front.starts_with("//! "), "{src}/lib.rs begins with what the crate is");
        assert!(front.contains("//! Invariants"), "{src}/lib.rs names its invariants");
        let code = front.lines().find(|line| {
            ["fn ", "struct ", "enum ", "impl ", "trait "]
                .iter()
                .any(|word| line.trim_start().trim_start_matches("pub ").starts_with(word))
        });
        assert!(code.is_none(), "{src}/lib.rs is the front page and holds no code: {code:?}");
        for file in ["ports.rs", "error.rs"] {
            assert!(exists(&format!("{src}/{file}")), "{src}/{file} is not there");
        }
        let testing = ["testing/laws.rs", "testing.rs"].iter().any(|file| exists(&format!("{src}/{file}")));
        assert!(testing, "{src}/testing has no laws of the ports");
    }
}

/// Laws that are tried on values drawn by chance: fewer than these would be a step back.
const PROPERTIES: usize = 25;

#[test]
fn there_are_properties() {
    let mut count = 0;
    for file in rust_sources("crates").iter().chain(&rust_sources("apps")).filter(|file| file.text.contains("proptest"))
    {
        // Such a test takes its values as `name in strategy`, or gives a runner something to do with them.
        let tests =
            file.text.split("#[test]\n").skip(1).map(|rest| rest.split_once(") {\n").map_or(rest, |(head, _)| head));
        let drawn = tests.filter(|head| head.contains(" in ")).count() + file.text.matches(".run(&").count();
        if drawn > 0 {
            println!("{drawn:3} {}", file.path);
        }
        count += drawn;
    }
    println!("{count:3} properties");
    assert!(count >= PROPERTIES, "{count} properties");
}

/// A law of docs/security.md names the test that shows it.
#[test]
fn what_shows_a_law_is_there() {
    let sources: Vec<_> = ["crates", "apps", "tests"].into_iter().flat_map(rust_sources).collect();
    let text = read("docs/security.md");
    let names = text.split('`').skip(1).step_by(2).filter(|name| {
        name.contains('_')
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    });
    let gone: BTreeSet<&str> =
        names.filter(|name| !sources.iter().any(|file| file.text.contains(&format!("fn {name}(")))).collect();
    assert!(gone.is_empty(), "docs/security.md names tests that are not there: {gone:#?}");
}
