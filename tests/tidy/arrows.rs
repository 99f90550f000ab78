use std::{collections::BTreeSet, process::Command};

use serde_json::Value;

use crate::files::{folders, root};

const DOMAIN: &[&str] =
    &["audit", "auth", "diagnosis", "financials", "imaging", "kernel", "messaging", "patients", "reports", "workflows"];
const ADAPTERS: &[&str] = &["dicom", "mongodb", "objects", "pdf", "sqlite", "system", "whatsapp"];
const APPS: &[&str] = &["server"];

/// What a domain crate may be made of: values, traits, errors. No driver, no runtime, no transport.
const OF_THE_DOMAIN: &[&str] = &[
    "async-trait",
    "base64",
    "bytes",
    "chrono",
    "email_address",
    "futures-util",
    "secrecy",
    "serde",
    "sha2",
    "subtle",
    "thiserror",
    "unicode-normalization",
    "uuid",
];
/// And these, where the reason holds.
const ALSO: &[(&str, &str, &str)] = &[
    ("kernel", "serde_json", "a receipt is the JSON that the caller was told"),
    ("audit", "serde_json", "the canonical form, which the chain is over, is JSON"),
];
/// Optional ones are of `test-support`.
const OF_TEST_SUPPORT: &[&str] = &["futures-util", "mockall", "tempfile"];

struct Package {
    name: String,
    /// Where it is, from the root: `crates/domain/patients`.
    place: String,
    needs: Vec<Need>,
    programs: Vec<String>,
}

struct Need {
    name: String,
    optional: bool,
    kind: Kind,
}

#[derive(PartialEq, Eq)]
enum Kind {
    Normal,
    Dev,
    Build,
}

/// What cargo itself reads from the manifests: with dependencies of one platform and inherited ones.
fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let need = |need: &Value| Need {
        name: need["name"].as_str().unwrap().to_owned(),
        optional: need["optional"].as_bool().unwrap(),
        kind: match need["kind"].as_str() {
            None => Kind::Normal,
            Some("dev") => Kind::Dev,
            Some("build") => Kind::Build,
            Some(other) => panic!("{other} is not a kind of dependency"),
        },
    };
    let program = |target: &Value| {
        let is_program = target["kind"].as_array().unwrap().iter().any(|kind| kind == "bin");
        is_program.then(|| target["name"].as_str().unwrap().to_owned())
    };
    let package = |package: &Value| {
        let manifest = package["manifest_path"].as_str().unwrap();
        let folder = manifest.strip_suffix("/Cargo.toml").unwrap();
        Package {
            name: package["name"].as_str().unwrap().to_owned(),
            place: folder.strip_prefix(root().to_str().unwrap()).unwrap().trim_start_matches('/').to_owned(),
            programs: package["targets"].as_array().unwrap().iter().filter_map(program).collect(),
            needs: package["dependencies"].as_array().unwrap().iter().map(need).collect(),
        }
    };
    metadata["packages"].as_array().unwrap().iter().map(package).collect()
}

fn name_of(krate: &str) -> String {
    format!("infirmary-{krate}")
}

/// The crates of this workspace that one at `place` may depend on.
fn may_need(place: &str) -> BTreeSet<String> {
    let domain = || DOMAIN.iter().copied();
    match place.split('/').collect::<Vec<_>>()[..] {
        ["crates", "domain", "kernel"] => BTreeSet::new(),
        ["crates", "domain", "workflows"] => domain().filter(|krate| *krate != "workflows").map(name_of).collect(),
        ["crates", "domain", _] => BTreeSet::from([name_of("kernel")]),
        ["crates", "adapters", _] => domain().map(name_of).collect(),
        ["apps", _] => domain().chain(ADAPTERS.iter().copied()).map(name_of).collect(),
        ["tests"] => domain().chain(ADAPTERS.iter().copied()).chain(APPS.iter().copied()).map(name_of).collect(),
        _ => panic!("{place} is not on the map"),
    }
}

#[test]
fn every_crate_is_on_the_map_and_named_for_its_place() {
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(folders("crates"), names(&["adapters", "domain"]));
    assert_eq!(folders("crates/domain"), names(DOMAIN));
    assert_eq!(folders("apps"), names(APPS));
    assert_eq!(folders("crates/adapters"), names(ADAPTERS));
    for package in packages() {
        let last = package.place.rsplit('/').next().unwrap();
        assert_eq!(package.name, name_of(last), "{}", package.place);
    }
}

/// `cargo run`, the first command of the README, asks which one is meant when there are two. A tool is an example.
#[test]
fn there_is_one_program() {
    let programs: Vec<String> = packages().into_iter().flat_map(|package| package.programs).collect();
    assert_eq!(programs, ["infirmary"]);
}

#[test]
fn arrows_point_inward() {
    let adapters: BTreeSet<String> = ADAPTERS.iter().copied().map(name_of).collect();
    let mut against = Vec::new();
    for package in packages() {
        let allowed = may_need(&package.place);
        for need in package.needs.iter().filter(|need| need.name.starts_with("infirmary-")) {
            // In its tests a crate sees itself, with the feature `test-support`, and an adapter has real parts beside it; an
            // application is spoken to by the clients of the tests.
            let beside = package.place.starts_with("crates/adapters/") && adapters.contains(&need.name);
            let clients = package.place.starts_with("apps/") && need.name == name_of("tests");
            let in_tests = need.kind == Kind::Dev && (need.name == package.name || beside || clients);
            if !in_tests && !allowed.contains(&need.name) {
                against.push(format!("{} depends on {}", package.place, need.name));
            }
        }
    }
    assert!(against.is_empty(), "arrows point outward:\n{}", against.join("\n"));
}

#[test]
fn the_domain_needs_no_driver_no_runtime_and_no_transport() {
    let mut against = Vec::new();
    let mut used: BTreeSet<&(&str, &str, &str)> = BTreeSet::new();
    for package in packages() {
        let Some(krate) = package.place.strip_prefix("crates/domain/") else { continue };
        for need in package.needs.iter().filter(|need| need.kind != Kind::Dev && !need.name.starts_with("infirmary-")) {
            let also = ALSO.iter().find(|(of, name, _)| *of == krate && *name == need.name);
            used.extend(also);
            let of_tests = need.optional && OF_TEST_SUPPORT.contains(&need.name.as_str());
            let allowed = need.kind == Kind::Normal && (OF_THE_DOMAIN.contains(&need.name.as_str()) || of_tests);
            if !allowed && also.is_none() {
                against.push(format!("{} depends on {}", package.place, need.name));
            }
        }
    }
    assert!(against.is_empty(), "the domain is not what the hospital is alone:\n{}", against.join("\n"));
    assert_eq!(used.len(), ALSO.len(), "an exception is not needed any more: {used:?}");
}
