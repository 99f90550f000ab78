//! Real servers for tests: two for each test binary, as one serves with a single core, and a database for each test.
//!
//! `INFIRMARY_TEST_MONGODB` is the address of one that runs (a replica set, with the TTL monitor off: tests have their own
//! clock). Else servers are started, each on a free port and in a folder that goes with it: the program that
//! `INFIRMARY_TEST_MONGODB_SERVER` names, or `secantusd-rs` or `secantusd-py` of the `PATH`. Without any, tests are skipped;
//! where `INFIRMARY_TEST_REQUIRE` names `mongodb`, they fail.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop")]

use std::{
    collections::HashMap,
    env,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use infirmary_kernel::testing::CountingEntropy;
use mongodb::{
    Client,
    bson::{Bson, Document, doc},
    error::ErrorKind,
};
use tempfile::TempDir;

use crate::{Address, Commands, MongoStore, plans};

/// Where a server has to answer within.
const START_SECONDS: u64 = 60;
/// It does answer.
const UNAUTHORIZED: i32 = 13;
/// Starts `secantusd-py` without its TTL monitor, which its command line starts whatever the configuration says: once a minute
/// that would end what a test with a clock of its own has.
const WITHOUT_TTL_MONITOR: &str = "
import functools, sys
from secantus import cli
cli.SecantusDBServer = functools.partial(cli.SecantusDBServer, ttl_sweep_seconds=0)
sys.exit(cli.main())";

static SERVERS: [LazyLock<Result<Server, String>>; 2] = [const { LazyLock::new(Server::find) }; 2];
static COUNT: AtomicU64 = AtomicU64::new(0);
/// What the first store of this process on an address sends.
static COMMANDS: LazyLock<Mutex<HashMap<String, Commands>>> = LazyLock::new(Mutex::default);

pub(crate) fn note_opened(address: &Address, commands: &Commands) {
    let mut noted = COMMANDS.lock().unwrap_or_else(PoisonError::into_inner);
    noted.entry(address.expose().to_owned()).or_insert_with(|| commands.clone());
}

/// A store on a database of its own. `None`, with the reason on the standard output, where there is no server.
pub async fn store() -> Option<(MongoStore, TestDatabase)> {
    let database = database()?;
    Some((database.open_as_another_would().await, database))
}

/// A name that no other test uses, on the servers of this test binary in turn.
pub fn database() -> Option<TestDatabase> {
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let server = server(number)?;
    let name = format!("infirmary_test_{}_{number}", std::process::id());
    let address = server.address_of(&name);
    Some(TestDatabase { address, name, external: server.external, seed: (number + 1) << 48 })
}

/// That of this test binary for its database of that number.
fn server(number: u64) -> Option<&'static Server> {
    match &*SERVERS[number as usize % SERVERS.len()] {
        Ok(server) => Some(server),
        Err(why) => {
            let required = env::var("INFIRMARY_TEST_REQUIRE").is_ok_and(|required| required.contains("mongodb"));
            assert!(!required, "a MongoDB server is required: {why}");
            println!("skipped: {why}");
            None
        }
    }
}

/// A database for one test. When it is dropped, the plans of what was sent are looked at.
pub struct TestDatabase {
    pub address: String,
    pub name: String,
    external: bool,
    seed: u64,
}

impl TestDatabase {
    /// One more store on it, as another process would have.
    pub async fn open(&self) -> MongoStore {
        let entropy = CountingEntropy::starting_at(COUNT.fetch_add(1, Ordering::Relaxed) << 32);
        MongoStore::open(&self.parsed(), Arc::new(entropy)).await.expect("the test server is one that is accepted")
    }

    /// One more that draws what the first one drew, chance by chance.
    pub async fn open_as_another_would(&self) -> MongoStore {
        MongoStore::open(&self.parsed(), Arc::new(CountingEntropy::starting_at(self.seed))).await.expect("accepted")
    }

    fn parsed(&self) -> Address {
        Address::parse(&self.address).expect("an address")
    }

    /// What the first store on it has sent: for tests that have the store only through what uses it.
    pub fn commands(&self) -> Commands {
        let noted = COMMANDS.lock().unwrap_or_else(PoisonError::into_inner);
        noted.get(&self.address).expect("a store that was opened").clone()
    }

    /// To look at what is there, or to spoil it.
    pub async fn client(&self) -> mongodb::Database {
        Client::with_uri_str(&self.address).await.expect("an address").database(&self.name)
    }
}

/// A database on a server of its own that fails as it is told to. `None` also where the server is another's.
pub async fn failing_database() -> Option<(TestDatabase, FailPoint)> {
    server(0)?;
    let server = Server::start(&Server::program().ok()?, &[]).expect("a server that can be started once can be twice");
    let name = "infirmary_test".to_owned();
    let plain = server.address_of(&name);
    let client = Client::with_uri_str(&plain).await.expect("an address");
    // Who has lost the server looks for it again as soon as the driver lets them.
    let address = format!("{plain}?heartbeatFrequencyMS=500&appName={name}");
    let database = TestDatabase { address, name, external: false, seed: 1 << 48 };
    Some((database, FailPoint { client, _server: server }))
}

/// The `failCommand` of a server with test commands, for those who come by the address of its [`TestDatabase`].
pub struct FailPoint {
    client: Client,
    _server: Server,
}

impl FailPoint {
    /// `mode` and `data` are those of `configureFailPoint`.
    pub async fn arm(&self, command: &str, mode: impl Into<Bson>, data: &Document) {
        let mut data = data.clone();
        data.insert("failCommands", vec![command]);
        data.insert("appName", "infirmary_test");
        self.configure(doc! { "configureFailPoint": "failCommand", "mode": mode.into(), "data": data }).await;
    }

    pub async fn disarm(&self) {
        self.configure(doc! { "configureFailPoint": "failCommand", "mode": "off" }).await;
    }

    async fn configure(&self, command: Document) {
        self.client.database("admin").run_command(command).await.expect("configured");
    }

    /// The database by a connection that does not fail.
    pub fn database(&self) -> mongodb::Database {
        self.client.database("infirmary_test")
    }
}

/// A server of its own that is no replica set. `None` also where the server is another's.
pub struct Standalone {
    pub address: String,
    _server: Server,
}

pub fn standalone() -> Option<Standalone> {
    let program = Server::program().ok()?;
    let server = Server::start(&program, &["--standalone"]).expect("a server that can be started once can be twice");
    Some(Standalone { address: server.address.clone(), _server: server })
}

/// A server of its own that is killed (SIGKILL) and started again on what is on its disk: all that it acknowledged.
pub struct MortalServer {
    program: PathBuf,
    port: u16,
    data: TempDir,
    living: Option<Server>,
}

impl MortalServer {
    /// `None` also where the server is another's.
    pub fn start() -> Option<Self> {
        server(0)?;
        let program = Server::program().ok()?;
        let data = TempDir::new().expect("a folder");
        let mut server = Self { program, port: free_port(), data, living: None };
        server.start_again();
        Some(server)
    }

    pub fn kill(&mut self) {
        self.living = None;
    }

    pub fn start_again(&mut self) {
        self.start_again_with(&[]);
    }

    pub fn start_again_with(&mut self, options: &[&str]) {
        let options = [&["--sync-on-commit"], options].concat();
        let living = Server::start_on(&self.program, self.port, Some(self.data.path()), &options);
        self.living = Some(living.expect("a server that was killed starts again on what it has"));
    }

    pub fn address_of(&self, database: &str) -> String {
        self.living.as_ref().expect("a living server").address_of(database)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        // A test may be at its end in the middle of a runtime, which must not be blocked by one of its own tasks.
        let (address, name, external) = (self.address.clone(), self.name.clone(), self.external);
        let looked = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                if !plans::has_new(&name) && !external {
                    return Vec::new();
                }
                let client = Client::with_uri_str(&address).await.expect("an address");
                let walks = plans::examine(&client, &name).await.expect("plans");
                if external {
                    client.database(&name).drop().await.expect("dropped");
                }
                walks
            })
        });
        let walks = looked.join().expect("plans");
        assert!(walks.is_empty(), "what was sent that should not be:\n{}", walks.join("\n"));
    }
}

struct Server {
    /// Without a database.
    address: String,
    external: bool,
    /// Open for as long as this process lives: when it closes, the server is stopped.
    alive: Option<ChildStdin>,
    keeper: Option<Child>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.alive = None;
        if let Some(mut keeper) = self.keeper.take() {
            let _ = keeper.wait();
        }
    }
}

impl Server {
    fn find() -> Result<Self, String> {
        if let Ok(address) = env::var("INFIRMARY_TEST_MONGODB") {
            return Ok(Self { address, external: true, alive: None, keeper: None });
        }
        Self::start(&Self::program()?, &[])
    }

    fn program() -> Result<PathBuf, String> {
        let named = env::var_os("INFIRMARY_TEST_MONGODB_SERVER").map(PathBuf::from);
        let none = "no MongoDB server; set INFIRMARY_TEST_MONGODB or INFIRMARY_TEST_MONGODB_SERVER, or `pip install SecantusDB`";
        named.or_else(|| on_path("secantusd-rs")).or_else(|| on_path("secantusd-py")).ok_or_else(|| none.to_owned())
    }

    fn start(program: &Path, options: &[&str]) -> Result<Self, String> {
        Self::start_on(program, free_port(), None, options)
    }

    /// `data` stays when the server goes.
    fn start_on(program: &Path, port: u16, data: Option<&Path>, options: &[&str]) -> Result<Self, String> {
        let folder = TempDir::new().map_err(|error| error.to_string())?.keep();
        std::fs::write(folder.join("server.toml"), "[storage]\nttl_sweep_seconds = 0\n").map_err(|e| e.to_string())?;
        // However this process ends, its end of the pipe is closed: then the server is stopped, and its folder removed.
        let keep = r#"folder=$1; shift; "$@" </dev/null >"$folder/log" 2>&1 & server=$!; cat >/dev/null; kill -9 $server; wait $server; rm -rf "$folder""#;
        let mut keeper = Command::new("sh");
        keeper.args(["-c", keep, "keeper"]).arg(&folder);
        match python_of(program) {
            Some(python) => keeper.arg(python).args(["-c", WITHOUT_TTL_MONITOR]),
            None => keeper.arg(program),
        };
        let mut keeper = keeper
            .args(["--port", &port.to_string(), "--log-level", "WARNING", "--enable-test-commands"])
            .arg("--config")
            .arg(folder.join("server.toml"))
            .arg("--storage-path")
            .arg(data.map_or_else(|| folder.join("data"), Path::to_owned))
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{} cannot be started: {error}", program.display()))?;
        let address = format!("mongodb://127.0.0.1:{port}/");
        let server = Self { alive: keeper.stdin.take(), keeper: Some(keeper), address, external: false };
        server.answers()?;
        Ok(server)
    }

    fn answers(&self) -> Result<(), String> {
        let address = self.address.clone();
        let asked = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let mut options = mongodb::options::ClientOptions::parse(&address).await.expect("an address");
                options.server_selection_timeout = Some(Duration::from_secs(START_SECONDS));
                options.heartbeat_freq = Some(Duration::from_millis(500));
                let client = Client::with_options(options).expect("options");
                match client.database("admin").run_command(doc! { "ping": 1 }).await.map_err(|error| *error.kind) {
                    Ok(_) => Ok(()),
                    Err(ErrorKind::Command(refused)) if refused.code == UNAUTHORIZED => Ok(()),
                    Err(error) => Err(error.to_string()),
                }
            })
        });
        asked.join().map_err(|_| "the server cannot be asked".to_owned())?
    }

    fn address_of(&self, name: &str) -> String {
        let (hosts, options) = self.address.split_once('?').unwrap_or((&self.address, ""));
        let hosts = hosts.trim_end_matches('/');
        if options.is_empty() { format!("{hosts}/{name}") } else { format!("{hosts}/{name}?{options}") }
    }
}

fn on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// What runs the program, when it is a script of Python's. pip has a shell find it where its path is too long for a first line.
fn python_of(program: &Path) -> Option<PathBuf> {
    let script = std::fs::read_to_string(program).ok()?;
    let interpreter = script.lines().next()?.strip_prefix("#!")?;
    let python =
        if interpreter.ends_with("sh") { program.with_file_name("python3") } else { PathBuf::from(interpreter) };
    python.is_file().then_some(python)
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).expect("a port").local_addr().expect("bound").port()
}
