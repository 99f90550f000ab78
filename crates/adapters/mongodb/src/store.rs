use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use infirmary_kernel::{Entropy, Readiness, StoreError};
use mongodb::{
    Client, Database,
    bson::{Document, RawDocumentBuf, doc},
    error::ErrorKind,
    options::{Acknowledgment, ClientOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern},
};
use tokio::sync::Mutex;

use crate::{
    address::Address,
    chains::Lanes,
    commands::Commands,
    documents::{Fields, number},
    failures::{reason, store_error, write_error},
    schema::{self, Collection, HOUSE},
};

/// The database, by a pool of connections. Clones share it.
#[derive(Clone)]
pub struct MongoStore {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    database: Database,
    entropy: Arc<dyn Entropy>,
    commands: Commands,
    lanes: Lanes,
    lines: Vec<Mutex<()>>,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the address of the database is refused: {why}")]
    Address { why: String },
    #[error("the database cannot be reached: {why}")]
    Unreachable { why: String },
    #[error("there is no house in the database {address}")]
    Absent { address: Address },
    #[error(
        "the database is a single server without a replica set, which has no transactions; start it with `--replSet rs0`, \
         run `rs.initiate()` in its shell once, and name the set in the address: mongodb://host/infirmary?replicaSet=rs0"
    )]
    NoTransactions,
    #[error("the database is older than MongoDB 6.0 (wire version {found}, needed is {needed})")]
    TooOld { found: i32, needed: i32 },
    #[error("the database was written by a newer version of Infirmary (schema {found}, this one knows {known})")]
    Newer { found: u32, known: u32 },
    #[error("the indexes of the database cannot be made: {why}")]
    Indexes { why: String },
}

impl OpenError {
    pub(crate) fn address() -> Self {
        let why = "give mongodb://host:27017/infirmary?replicaSet=rs0, or mongodb+srv:// with a name".to_owned();
        Self::Address { why }
    }
}

/// Of MongoDB 6.0.
const MIN_WIRE_VERSION: i32 = 17;
/// When the address names none.
pub(crate) const DEFAULT_DATABASE: &str = "infirmary";

const SERVER_SELECTION_TIMEOUT_SECONDS: u64 = 5;
/// How often each server is asked what it is. After an error it may count as gone until the next answer, so this is well
/// below the time for which one is looked for.
const HEARTBEAT_SECONDS: u64 = 2;
const CONNECT_TIMEOUT_SECONDS: u64 = 5;
/// How long the primary waits for the majority before it says that it cannot tell.
const MAJORITY_TIMEOUT_SECONDS: u64 = 5;
/// How long the server works on one query.
const QUERY_TIMEOUT_SECONDS: u64 = 8;
/// The same for one that walks through whole collections. Servers keep the past that a snapshot is of for five minutes.
const WALK_TIMEOUT_SECONDS: u64 = 240;
/// How long whoever asked waits for the answer to a read, or to a write that is no transaction.
const ANSWER_TIMEOUT_SECONDS: u64 = 10;
const MAX_CONNECTIONS: u32 = 64;
const MAX_CONNECTIONS_MADE_AT_ONCE: u32 = 8;

/// How many things writers of this process can wait for in line, apart from each other.
const LINES: usize = 64;

impl MongoStore {
    /// Connects, refuses a server without transactions, and makes the indexes that are not there.
    ///
    /// The path of the address names the database, else it is `infirmary`. What it says of read and write concerns does not
    /// count: writes are acknowledged by the majority's journals, and reads see what the majority has.
    pub async fn open(address: &Address, entropy: Arc<dyn Entropy>) -> Result<Self, OpenError> {
        let store = Self::connect(address, entropy).await?;
        store.known_schema().await?;
        schema::make(&store.inner.database).await.map_err(|error| OpenError::Indexes { why: reason(&error) })?;
        let house = store.inner.database.collection::<Document>(HOUSE.name);
        house
            .update_one(doc! { "_id": "house" }, doc! { "$max": { "schema": number(schema::VERSION) } })
            .upsert(true)
            .await
            .map_err(|error| OpenError::Indexes { why: reason(&error) })?;
        Ok(store)
    }

    /// Connects to a database that is there, of this version or one before. Makes nothing.
    pub async fn open_to_read(address: &Address, entropy: Arc<dyn Entropy>) -> Result<Self, OpenError> {
        let store = Self::connect(address, entropy).await?;
        match store.known_schema().await? {
            Some(_) => Ok(store),
            None => Err(OpenError::Absent { address: address.clone() }),
        }
    }

    async fn connect(address: &Address, entropy: Arc<dyn Entropy>) -> Result<Self, OpenError> {
        // An error of the driver can repeat what it was given.
        let mut options = ClientOptions::parse(address.expose()).await.map_err(|error| match error.kind.as_ref() {
            ErrorKind::DnsResolve { .. } => OpenError::Unreachable { why: reason(&error) },
            _ => OpenError::address(),
        })?;
        let commands = Commands::default();
        #[cfg(feature = "test-support")]
        crate::testing::note_opened(address, &commands);
        configure(&mut options, &commands);
        let name = options.default_database.clone().unwrap_or_else(|| DEFAULT_DATABASE.to_owned());
        let client = Client::with_options(options).map_err(|_| OpenError::address())?;
        let hello = client.database("admin").run_command(doc! { "hello": 1 }).await;
        let hello = hello.map_err(|error| OpenError::Unreachable { why: reason(&error) })?;
        let has_transactions = hello.contains_key("setName") || hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid");
        if !has_transactions {
            return Err(OpenError::NoTransactions);
        }
        let found = hello.get_i32("maxWireVersion").unwrap_or(0);
        if found < MIN_WIRE_VERSION {
            return Err(OpenError::TooOld { found, needed: MIN_WIRE_VERSION });
        }
        let inner = Inner {
            database: client.database(&name),
            client,
            entropy,
            commands,
            lanes: Lanes::default(),
            lines: (0..LINES).map(|_| Mutex::new(())).collect(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// `None` of a database in which no house was begun.
    async fn known_schema(&self) -> Result<Option<u32>, OpenError> {
        let unreachable = |error: StoreError| OpenError::Unreachable { why: error.to_string() };
        let house = self.find_one(&HOUSE, doc! { "_id": "house" }).await.map_err(unreachable)?;
        let found = house.map_or(Ok(None), |house| house.optional_number("schema")).map_err(unreachable)?;
        match found {
            Some(found) if found > schema::VERSION => Err(OpenError::Newer { found, known: schema::VERSION }),
            known => Ok(known),
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.inner.client
    }

    pub(crate) fn database(&self) -> &Database {
        &self.inner.database
    }

    pub(crate) fn entropy(&self) -> &dyn Entropy {
        self.inner.entropy.as_ref()
    }

    pub(crate) fn lanes(&self) -> &Lanes {
        &self.inner.lanes
    }

    pub(crate) fn line(&self, number: usize) -> &Mutex<()> {
        &self.inner.lines[number % LINES]
    }

    /// What was sent to the database since the store was opened.
    pub fn commands(&self) -> &Commands {
        &self.inner.commands
    }

    pub(crate) fn rows(&self, collection: &Collection) -> mongodb::Collection<RawDocumentBuf> {
        self.inner.database.collection(collection.name)
    }

    pub(crate) fn documents(&self, collection: &Collection) -> mongodb::Collection<Document> {
        self.inner.database.collection(collection.name)
    }
}

pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(ANSWER_TIMEOUT_SECONDS);

/// The same for a write that is no transaction.
pub(crate) async fn answered_write<T>(
    asked: impl IntoFuture<Output = mongodb::error::Result<T>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(ANSWER_TIMEOUT, asked.into_future()).await {
        Ok(answer) => answer.map_err(|error| write_error(&error)),
        Err(_) => Err(late()),
    }
}

pub(crate) fn late() -> StoreError {
    StoreError::OutcomeUnknown { reason: "the database did not answer in time".to_owned() }
}

/// Waits for an answer of the driver, but not for ever: it has no timeout of its own for a server that says nothing.
pub(crate) async fn answered<T>(asked: impl IntoFuture<Output = mongodb::error::Result<T>>) -> Result<T, StoreError> {
    answered_within(ANSWER_TIMEOUT, asked).await
}

pub(crate) async fn answered_within<T>(
    limit: Duration,
    asked: impl IntoFuture<Output = mongodb::error::Result<T>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(limit, asked.into_future()).await {
        Ok(answer) => answer.map_err(|error| store_error(&error)),
        Err(_) => Err(StoreError::Unavailable { reason: "the database did not answer in time".to_owned() }),
    }
}

pub(crate) const QUERY_TIMEOUT: Duration = Duration::from_secs(QUERY_TIMEOUT_SECONDS);
pub(crate) const WALK_TIMEOUT: Duration = Duration::from_secs(WALK_TIMEOUT_SECONDS);

pub(crate) fn majority() -> WriteConcern {
    WriteConcern::builder()
        .w(Acknowledgment::Majority)
        .journal(true)
        .w_timeout(Duration::from_secs(MAJORITY_TIMEOUT_SECONDS))
        .build()
}

fn configure(options: &mut ClientOptions, commands: &Commands) {
    options.app_name.get_or_insert_with(|| "infirmary".to_owned());
    options.write_concern = Some(majority());
    options.read_concern = Some(ReadConcern::majority());
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
    options.retry_reads = Some(true);
    options.retry_writes = Some(true);
    let seconds = Duration::from_secs;
    options.server_selection_timeout.get_or_insert(seconds(SERVER_SELECTION_TIMEOUT_SECONDS));
    options.heartbeat_freq.get_or_insert(seconds(HEARTBEAT_SECONDS));
    options.connect_timeout.get_or_insert(seconds(CONNECT_TIMEOUT_SECONDS));
    options.max_pool_size.get_or_insert(MAX_CONNECTIONS);
    options.max_connecting.get_or_insert(MAX_CONNECTIONS_MADE_AT_ONCE);
    // The driver copies each command for who listens, so nobody does at the ward.
    if cfg!(debug_assertions) {
        options.command_event_handler = Some(commands.watch());
    }
}

#[async_trait]
impl Readiness for MongoStore {
    /// That the primary answers; a majority that is gone is told by the writes.
    async fn check(&self) -> Result<(), StoreError> {
        answered(self.inner.database.run_command(doc! { "ping": 1 })).await.map(|_| ())
    }
}
