//! On which store the houses of tests are: SQLite or, where `INFIRMARY_TEST_STORE` is `mongodb`, MongoDB, each in a database
//! of its own.

use std::path::{Path, PathBuf};

use infirmary_mongodb::testing::{self, TestDatabase};
use mongodb::bson::{Document, doc};

pub const STORE: &str = "INFIRMARY_TEST_STORE";

pub enum Store {
    Sqlite(PathBuf),
    MongoDb(TestDatabase),
}

impl Store {
    pub fn new(folder: &Path) -> Self {
        match std::env::var(STORE).as_deref() {
            Err(_) | Ok("sqlite") => Self::Sqlite(folder.join("infirmary.db")),
            Ok("mongodb") => Self::MongoDb(testing::database().expect("a server that the tests can work on")),
            Ok(other) => panic!("{STORE} is sqlite or mongodb, and not {other}"),
        }
    }

    /// As a setting.
    pub fn address(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite://{}", path.display()),
            Self::MongoDb(database) => database.address.clone(),
        }
    }

    /// Those in the outbox for the phone, oldest first.
    pub fn codes(&self, phone: &str) -> Vec<String> {
        match self {
            Self::Sqlite(path) => {
                let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
                let database = rusqlite::Connection::open_with_flags(path, flags).unwrap();
                let codes = "SELECT code FROM messages WHERE recipient = ? ORDER BY created_at, id";
                let mut find = database.prepare(codes).unwrap();
                find.query_map([phone], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
            }
            // A thread and a runtime of its own: who asks may be in the middle of one.
            Self::MongoDb(database) => std::thread::scope(|scope| {
                let asked = scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                    runtime.block_on(codes_in(database, phone))
                });
                asked.join().unwrap()
            }),
        }
    }
}

async fn codes_in(database: &TestDatabase, phone: &str) -> Vec<String> {
    let messages = database.client().await.collection::<Document>("messages");
    let oldest_first = doc! { "created_at": 1, "_id": 1 };
    let mut found = messages.find(doc! { "recipient": phone }).sort(oldest_first).await.unwrap();
    let mut codes = Vec::new();
    while found.advance().await.unwrap() {
        codes.push(found.deserialize_current().unwrap().get_str("code").unwrap().to_owned());
    }
    codes
}
