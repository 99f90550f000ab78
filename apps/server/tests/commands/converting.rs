//! A house is moved to another store, and is the same there.

use std::{
    thread,
    time::{Duration, Instant},
};

use infirmary_mongodb::testing::{self, TestDatabase};
use rusqlite::types::Value as Cell;

use super::*;

const STORE: &str = "INFIRMARY_STORE";
/// What is of processes, or of the conversion itself.
const NOT_THE_HOUSES: [&str; 2] = ["conversion", "leases"];

impl House {
    /// The same house, as somebody serves it whose settings name another store and other objects.
    fn at(&self, settings: Vec<(&'static str, String)>) -> Self {
        let other = Self::with(settings);
        copy(&self.data().join("secrets"), &other.data().join("secrets"));
        other
    }
}

fn sqlite(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

fn folder(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// Every row of every table, sorted.
fn rows(database: &Path) -> Vec<(String, Vec<Vec<Cell>>)> {
    let database = Connection::open(database).unwrap();
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    let mut names = database.prepare(names).unwrap();
    let names: Vec<String> = names.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let names = names.into_iter().filter(|name| !NOT_THE_HOUSES.contains(&name.as_str()));
    names
        .map(|name| {
            let mut all = database.prepare(&format!("SELECT * FROM {name}")).unwrap();
            let columns = all.column_count();
            let row = |row: &rusqlite::Row<'_>| (0..columns).map(|column| row.get(column)).collect();
            let mut rows: Vec<Vec<Cell>> = all.query_map((), row).unwrap().map(Result::unwrap).collect();
            rows.sort_by_key(|row| format!("{row:?}"));
            (name, rows)
        })
        .collect()
}

#[track_caller]
fn assert_same(one: &Path, other: &Path) {
    let (one, other) = (rows(one), rows(other));
    assert!(one.iter().map(|(_, rows)| rows.len()).sum::<usize>() > 200, "a house of many rows");
    for ((name, rows), (other_name, others)) in one.iter().zip(&other) {
        assert_eq!((name, rows.len()), (other_name, others.len()));
        for (row, other) in rows.iter().zip(others) {
            assert_eq!(row, other, "of {name}");
        }
    }
    assert_eq!(one.len(), other.len());
}

/// Objects of images and reports, by their keys.
fn kept(objects: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let of = |kind: &str| files(&objects.join(kind));
    let all = of("images").into_iter().chain(of("reports"));
    all.map(|(path, bytes)| (path.strip_prefix(objects).unwrap().to_owned(), bytes)).collect()
}

/// As if the time had passed for which the lease of a killed process is waited for.
fn forget_the_dead(database: &Path) {
    if database.exists() {
        let _not_made_yet = Connection::open(database).unwrap().execute("UPDATE leases SET until = 0", ());
    }
}

#[test]
fn a_house_moves_to_another_file_and_another_folder() {
    let house = House::demo();
    let (database, objects) = (house.path("new/house.db"), house.path("new/objects"));
    let (old_database, old_objects) = (house.data().join("infirmary.db"), house.data().join("objects"));
    let before = house.run(&["audit", "head"]).well();
    let said = house.run(&["convert", "--to", &sqlite(&database), "--to-objects", &folder(&objects)]).well();
    let head = before.split_whitespace().last().unwrap();
    for told in [head, "clean: 12 patients", "copied: ", "set INFIRMARY_STORE"] {
        assert!(said.contains(told), "{told}: {said}");
    }
    assert_same(&old_database, &database);
    assert!(kept(&old_objects) == kept(&objects) && !kept(&objects).is_empty());
    assert!(!objects.join("previews").exists() || files(&objects.join("previews")).is_empty());

    // The old one is left: it does not start, is not moved twice, and does not change.
    for command in [vec!["serve"], vec!["demo"], vec!["convert", "--to", &sqlite(&house.path("third.db"))]] {
        let said = house.run(&command).refused();
        assert!(said.contains("goes on") && said.contains("another store"), "{said}");
    }
    assert!(house.admin_create("ada@example.org").refused().contains("--release"));
    house.run(&["verify"]).well();
    let new = house.at(vec![(STORE, sqlite(&database)), ("INFIRMARY_OBJECTS", folder(&objects))]);
    Serving::start(&new).stop();
    new.run(&["verify", "--head", head]).well();
    let said = house.run(&["convert", "--to", &sqlite(&database)]).refused();
    assert!(said.contains("goes on in another store"), "{said}");

    let said = house.run(&["convert", "--release"]).well();
    assert!(said.contains("can be served again"), "{said}");
    Serving::start(&house).stop();
    assert!(house.run(&["convert", "--release"]).well().contains("takes part in no conversion"));
}

#[test]
fn killed_at_whatever_moment_it_goes_on_and_nothing_is_served_before_it_is_done() {
    let house = House::demo();
    let (database, objects) = (house.path("new/house.db"), house.path("new/objects"));
    let (to, to_objects) = (sqlite(&database), folder(&objects));
    let convert = ["convert", "--to", &to, "--to-objects", &to_objects];
    let new = house.at(vec![(STORE, to.clone()), ("INFIRMARY_OBJECTS", to_objects.clone())]);
    let (mut kills, mut refusals) = (0, 0);
    loop {
        let mut child = house.command(&convert).spawn().unwrap();
        let (begun, lives) = (Instant::now(), Duration::from_millis(40 + kills * 60));
        let ended = loop {
            match child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if begun.elapsed() > lives => break None,
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        if let Some(status) = ended {
            let ended = super::ended(child.wait_with_output().unwrap());
            // The kill before came when all was done.
            assert!(status.success() || ended.err.contains("goes on in another store"), "{ended:?}");
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        forget_the_dead(&house.data().join("infirmary.db"));
        forget_the_dead(&database);
        if Connection::open(&database).is_ok_and(|database| {
            database.query_row("SELECT part FROM conversion", (), |row| row.get::<_, String>(0)).is_ok()
        }) {
            refusals += 1;
            assert!(house.run(&["serve"]).refused().contains("must not change meanwhile"));
            assert!(new.run(&["serve"]).refused().contains("is not whole"));
            assert!(new.admin_create("ada@example.org").refused().contains("is not whole"));
            let said = new.run(&["convert", "--to", &sqlite(&house.path("third.db"))]).refused();
            assert!(said.contains("is not whole"), "{said}");
        }
        assert!(kills < 100, "it comes to an end");
    }
    assert!(kills > 0 && refusals > 0, "{kills} kills, {refusals} of them in the middle");
    assert_same(&house.data().join("infirmary.db"), &database);
    assert!(kept(&house.data().join("objects")) == kept(&objects));
    assert!(!objects.join("unfinished").exists());
    Serving::start(&new).stop();
    assert!(new.run(&["verify"]).well().contains("clean: 12 patients"));
}

#[test]
fn bytes_alone_are_copied_beside_a_server_and_are_not_served_before_they_are_whole() {
    let house = House::demo();
    let serving = Serving::start(&house);
    let objects = house.path("objects");
    let said = house.run(&["convert", "--to-objects", &folder(&objects)]).well();
    assert!(said.contains("set INFIRMARY_OBJECTS") && said.contains("0 were there already"), "{said}");
    assert!(kept(&house.data().join("objects")) == kept(&objects));
    serving.stop();
    let said = house.run(&["convert", "--to-objects", &folder(&objects)]).well();
    assert!(said.contains("copied: 0 objects with 0 bytes"), "{said}");

    let lost = house.objects("images").pop().unwrap();
    let bytes = fs::read(&lost).unwrap();
    fs::remove_file(&lost).unwrap();
    let third = house.path("third");
    let said = house.run(&["convert", "--to-objects", &folder(&third)]).refused();
    let name = lost.file_name().unwrap().to_str().unwrap();
    assert!(said.contains(name) && said.contains("is not there") && said.contains("--accept-findings"), "{said}");
    let new =
        house.at(vec![(STORE, sqlite(&house.data().join("infirmary.db"))), ("INFIRMARY_OBJECTS", folder(&third))]);
    let said = new.run(&["serve"]).refused();
    assert!(said.contains("is not whole") && said.contains("third"), "{said}");
    let said = house.run(&["convert", "--to-objects", &folder(&third), "--accept-findings"]).well();
    assert!(said.contains(name), "{said}");
    Serving::start(&new).stop();

    // An object is what its row says, or it is not taken.
    fs::write(&lost, vec![7; bytes.len()]).unwrap();
    let said = house.run(&["convert", "--to-objects", &folder(&third)]).refused();
    assert!(said.contains(name) && said.contains("SHA-256"), "{said}");
    fs::write(&lost, bytes).unwrap();
    house.run(&["convert", "--to-objects", &folder(&third)]).well();
    assert!(kept(&house.data().join("objects")) == kept(&third));
}

#[test]
fn nothing_is_moved_while_a_server_works_nor_into_a_house_nor_from_nowhere() {
    let house = House::demo();
    let to = sqlite(&house.path("new.db"));
    assert!(house.run(&["convert"]).refused().contains("--from or --to"));
    let said = house.run(&["convert", "--from", "ftp://x"]).refused();
    assert!(said.contains("--from is refused"), "{said}");
    let said = house.run(&["convert", "--from", &sqlite(&house.path("absent.db")), "--to", &to]).refused();
    assert!(said.contains("no database") && !house.path("absent.db").exists(), "{said}");
    let other = House::new();
    other.admin_create("ada@example.org").well();
    let said = house.run(&["convert", "--to", &sqlite(&other.data().join("infirmary.db"))]).refused();
    assert!(said.contains("already; give an empty one"), "{said}");
    let said = house.run(&["convert", "--to", &sqlite(&house.data().join("infirmary.db"))]).refused();
    assert!(said.contains("are one place"), "{said}");

    let serving = Serving::start(&house);
    let said = house.run(&["convert", "--to", &to]).refused();
    assert!(said.contains("a server") && said.contains("infirmary.db"), "{said}");
    serving.stop();
    house.run(&["convert", "--to", &to]).well();
}

/// `None`, with the reason on the standard output, where there is no server.
fn database() -> Option<(TestDatabase, String)> {
    let database = testing::database()?;
    let address = database.address.clone();
    Some((database, address))
}

#[test]
fn a_house_goes_to_mongodb_and_comes_back_row_by_row() {
    let Some((database, address)) = database() else { return };
    let house = House::demo();
    let head = house.run(&["audit", "head"]).well();
    let head = head.split_whitespace().last().unwrap();
    let said = house.run(&["convert", "--to", &address]).well();
    assert!(said.contains("clean: 12 patients") && said.contains(&database.name), "{said}");
    let back = house.path("back.db");
    let many = house.at(vec![(STORE, address.clone()), ("INFIRMARY_OBJECTS", folder(&house.data().join("objects")))]);
    many.run(&["convert", "--to", &sqlite(&back)]).well();
    assert_same(&house.data().join("infirmary.db"), &back);

    // And from there on to machines that are at work, whose chains come back beside the one of before.
    let Some((_next, address)) = self::database() else { return };
    let one = house.at(vec![(STORE, sqlite(&back)), ("INFIRMARY_OBJECTS", folder(&house.data().join("objects")))]);
    one.run(&["convert", "--to", &address]).well();
    let many = house.at(vec![(STORE, address.clone()), ("INFIRMARY_OBJECTS", folder(&house.data().join("objects")))]);
    many.admin_create("ada@example.org").well();
    Serving::start(&many).stop();
    many.run(&["verify", "--head", head]).well();
    let root = many.run(&["audit", "head"]).well();
    let root = root.split_whitespace().last().unwrap();
    assert_ne!(root, head);
    let again = house.path("again.db");
    many.run(&["convert", "--to", &sqlite(&again)]).well();
    let one = house.at(vec![(STORE, sqlite(&again)), ("INFIRMARY_OBJECTS", folder(&house.data().join("objects")))]);
    assert_eq!(one.run(&["audit", "head"]).well().split_whitespace().last(), Some(root));
    one.admin_create("grace@example.org").well();
    Serving::start(&one).stop();
    let heads = one.path("heads.txt");
    fs::write(&heads, format!("{head}\n{root}\n")).unwrap();
    one.run(&["verify", "--heads", heads.to_str().unwrap()]).well();
    let chains = "SELECT count(DISTINCT number >> 48) FROM audit";
    let chains: i64 = Connection::open(&again).unwrap().query_row(chains, (), |row| row.get(0)).unwrap();
    assert!(chains > 1, "{chains}");
}

#[test]
fn on_the_way_to_mongodb_it_may_be_killed_too() {
    let Some((database, address)) = database() else { return };
    let house = House::demo();
    let objects = folder(&house.data().join("objects"));
    let many = house.at(vec![(STORE, address.clone()), ("INFIRMARY_OBJECTS", objects)]);
    let mut kills = 0;
    while kills < 3 {
        let mut child = house.command(&["convert", "--to", &address]).spawn().unwrap();
        thread::sleep(Duration::from_millis(400 + kills * 500));
        if child.try_wait().unwrap().is_some() {
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        forget_the_dead(&house.data().join("infirmary.db"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let leases = database.client().await.collection::<mongodb::bson::Document>("leases");
            let over = mongodb::bson::doc! { "$set": { "until": mongodb::bson::DateTime::from_millis(0) } };
            leases.update_many(mongodb::bson::doc! {}, over).await.unwrap();
        });
    }
    assert!(kills > 0);
    let part = Connection::open(house.data().join("infirmary.db")).unwrap().query_row(
        "SELECT part FROM conversion",
        (),
        |row| row.get::<_, String>(0),
    );
    if part.is_ok_and(|part| part == "source") {
        assert!(many.run(&["serve"]).refused().contains("is not whole"));
        house.run(&["convert", "--to", &address]).well();
    }
    assert!(many.run(&["verify"]).well().contains("12 patients"));
    assert!(house.run(&["serve"]).refused().contains("goes on"));
}
