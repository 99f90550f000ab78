//! The same on a database of MongoDB, where several machines may be at work.

use infirmary_mongodb::testing::{self, TestDatabase};

use super::*;

const STORE: &str = "INFIRMARY_STORE";

/// A machine of a house whose database is nobody else's. `None`, with the reason on the standard output, where there is no
/// server.
fn machine() -> Option<(House, TestDatabase)> {
    let database = testing::database()?;
    Some((another_on(&database), database))
}

/// Without the secrets of the first.
fn another_on(database: &TestDatabase) -> House {
    House::with(vec![(STORE, database.address.clone())])
}

#[test]
fn a_house_is_begun_verified_and_served() {
    let Some((house, database)) = machine() else { return };
    let said = house.run(&["verify"]).refused();
    assert!(said.contains("no house") && said.contains(&database.name), "{said}");
    house.admin_create("ada@example.org").well();
    house.admin_create("Ada@Example.org").refused();
    Serving::start(&house).stop();
    let verified = house.run(&["verify"]).well();
    assert!(verified.contains("clean: 0 patients"), "{verified}");
    // A server closes the log as soon as it has the lease.
    let head = house.run(&["audit", "head"]).well();
    house.run(&["verify", "--head", head.split_whitespace().last().unwrap()]).well();
    // Secrets and objects; no rows.
    let kept: Vec<_> = files(&house.data()).into_iter().map(|(path, _)| path).collect();
    let [secrets, objects] = ["secrets", "objects"].map(|folder| house.data().join(folder));
    assert!(kept.iter().all(|path| path.starts_with(&secrets) || path.starts_with(&objects)), "{kept:?}");
}

#[test]
fn a_machine_without_the_secrets_of_the_house_or_with_others_is_refused() {
    let Some((house, database)) = machine() else { return };
    house.admin_create("ada@example.org").well();
    let (without, with_others) = (another_on(&database), another_on(&database));
    for command in ["serve", "demo"] {
        let said = without.run(&[command]).refused();
        assert!(said.contains("already") || said.contains("but not its secrets"), "{said}");
    }
    let said = without.admin_create("grace@example.org").refused();
    assert!(said.contains("but not its secrets") && said.contains(&database.name), "{said}");
    assert!(files(&without.data()).is_empty(), "no new ones are made");

    let elsewhere = House::new();
    elsewhere.admin_create("ada@example.org").well();
    copy(&elsewhere.data().join("secrets"), &with_others.data().join("secrets"));
    let said = with_others.run(&["serve"]).refused();
    assert!(said.contains("are not those that the database") && said.contains("pepper.key"), "{said}");

    copy(&house.data().join("secrets"), &without.data().join("secrets"));
    Serving::start(&without).stop();
}

#[test]
fn a_demo_house_is_filled_in_an_empty_database_only() {
    let Some((house, database)) = machine() else { return };
    Serving::spawn(house.command(&["demo"]).stdout(Stdio::null())).stop();
    let verified = house.run(&["verify"]).well();
    assert!(verified.contains("clean") && verified.contains("12 patients"), "{verified}");
    let said = another_on(&database).run(&["demo"]).refused();
    assert!(said.contains("already") && said.contains(STORE), "{said}");
}

#[test]
fn an_archive_is_refused_with_what_to_do_instead() {
    let Some((house, _database)) = machine() else { return };
    house.admin_create("ada@example.org").well();
    for command in ["backup", "restore"] {
        let said = house.run(&[command, "b.tar"]).refused();
        assert!(said.contains("mongodump") && said.contains("mongorestore") && said.contains("bucket"), "{said}");
    }
    assert!(!house.path("b.tar").exists());
}

#[test]
fn a_password_in_the_address_is_not_printed() {
    for address in [
        "mongodb://ada:herons@127.0.0.1:9/house?serverSelectionTimeoutMS=300",
        "mongodb://ada:herons@127.0.0.1:9/house?serverSelectionTimeoutMS=herons",
        "mongodb+srv://ada:herons@absent.invalid/house",
    ] {
        let house = House::with(vec![(STORE, address.to_owned()), ("INFIRMARY_LOG", "trace".to_owned())]);
        for command in ["serve", "verify", "demo"] {
            let said = house.run(&[command]).refused();
            assert!(!said.contains("herons"), "{said}");
        }
    }
}
