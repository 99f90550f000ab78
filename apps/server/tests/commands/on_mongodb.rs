//! The same on a database of MongoDB, where several machines may be at work.

use infirmary_mongodb::testing::{self, MortalServer, TestDatabase};
use mongodb::{
    Client,
    bson::{Bson, Document, doc},
    error::ErrorKind,
};

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
    assert!(!house.data().join("infirmary.db").exists());
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

/// The names in a list of the operator's guide.
fn listed(start: &str) -> Vec<&'static str> {
    let guide = include_str!("../../../../docs/operators-guide.md");
    let (list, _) = guide.split_once(start).unwrap().1.split_once(']').unwrap();
    list.split(',').map(|name| name.trim().trim_matches('"')).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rights_of_the_operators_guide_are_enough_and_do_not_reach_the_audit_trail() {
    let Some(mut server) = MortalServer::start() else { return };
    let database = "infirmary";
    let root = Client::with_uri_str(server.address_of(database)).await.unwrap().database(database);
    let on = |names: &str, actions: &str| {
        let actions = listed(actions);
        let privilege = |name| doc! { "resource": { "db": database, "collection": name }, "actions": &actions };
        listed(names).into_iter().map(privilege).collect::<Vec<Document>>()
    };
    let mut privileges = on("const added = [", "const add = [");
    privileges.extend(on("const changed = [", "const all = ["));
    privileges.push(doc! { "resource": { "db": database, "collection": "" }, "actions": ["listCollections"] });
    let role = doc! { "createRole": "infirmary", "roles": Bson::Array(Vec::new()), "privileges": privileges };
    root.run_command(role).await.unwrap();
    let user = doc! { "createUser": "infirmary", "pwd": PASSWORD, "roles": ["infirmary"] };
    root.run_command(user).await.unwrap();
    tokio::task::block_in_place(|| {
        server.kill();
        server.start_again_with(&["--auth"]);
    });

    let password = PASSWORD.replace(' ', "%20");
    let address = server.address_of(database).replace("mongodb://", &format!("mongodb://infirmary:{password}@"));
    let house = House::with(vec![(STORE, address.clone())]);
    tokio::task::block_in_place(|| {
        Serving::spawn(house.command(&["demo"]).stdout(Stdio::null())).stop();
        assert!(house.run(&["verify"]).well().contains("clean: 12 patients"));
        let without = House::with(vec![(STORE, server.address_of(database))]);
        let said = without.run(&["serve"]).refused();
        assert!(said.contains("Unauthorized") || said.contains("credentials"), "{said}");
    });
    let trail = Client::with_uri_str(address).await.unwrap().database(database).collection::<Document>("audit");
    assert!(trail.find_one(doc! {}).await.unwrap().is_some());
    let changed = trail.update_one(doc! {}, doc! { "$set": { "action": "nothing" } }).await.map(|_| ());
    let removed = trail.delete_one(doc! {}).await.map(|_| ());
    for tried in [changed, removed] {
        let kind = *tried.unwrap_err().kind;
        assert!(matches!(&kind, ErrorKind::Command(refused) if refused.code == 13), "{kind:?}");
    }
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
