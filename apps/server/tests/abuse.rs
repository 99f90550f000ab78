//! Abuse of the edge, all of it at once, while somebody goes on working: slow heads, slow bodies, idle connections, trickling
//! uploads, passwords of a mebibyte, pictures that are larger than they look, JSON as deep as it is long. Everybody is answered
//! and let go, the memory and the descriptors of the server stay bounded, and the one who works is served. How fast, is printed:
//! a machine that does other work beside must not fail here.
//!
//! Here and not in `tests/`, because only the package of a binary is told by cargo where that binary is.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as expected")]

mod process;

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use process::Server;
use reqwest::{
    Client, StatusCode,
    multipart::{Form, Part},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

const IDLE_CONNECTIONS: u64 = 5_000;
const SLOW_HEADS: usize = 200;
const SLOW_BODIES: usize = 200;
const TRICKLING_UPLOADS: usize = 500;
const LONG_PASSWORDS: usize = 50;
const PIXEL_BOMBS: usize = 50;
const DEEP_BODIES: usize = 50;
/// Descriptors beside those of the connections: the database, the log, the listener.
const OTHER_DESCRIPTORS: u64 = 500;
/// What the memory of the server may rise by, in KiB.
const MAX_RISE_KIB: u64 = 384 * 1024;
/// Long after every limit of the server for those who are slow.
const PATIENCE: Duration = Duration::from_secs(50);
const PASSWORD: &str = "seven quiet herons at dusk";

struct Target {
    server: Server,
    client: Client,
    doctor: String,
    patient: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn who_works_is_served_while_others_hold_the_server_up_and_all_of_them_are_let_go() {
    let idle_connections = allow_descriptors();
    let folder = tempfile::tempdir().unwrap();
    let target = Arc::new(Target::open(folder.path()).await);
    let before = (target.resident_kib(), target.descriptors());
    println!("before: {} MiB resident, {} descriptors", before.0 / 1024, before.1);

    let at_rest = target.worked_through(&AtomicBool::new(true), 200).await;
    let is_abused = Arc::new(AtomicBool::new(true));
    let most = Arc::new(AtomicU64::new(0));
    let working = tokio::spawn({
        let (target, is_abused) = (target.clone(), is_abused.clone());
        async move { target.worked_through(&is_abused, usize::MAX).await }
    });
    let watching = tokio::spawn({
        let (target, is_abused, most) = (target.clone(), is_abused.clone(), most.clone());
        async move {
            while is_abused.load(Ordering::Relaxed) {
                most.fetch_max(target.resident_kib(), Ordering::Relaxed);
                sleep(Duration::from_millis(100)).await;
            }
        }
    });
    let started = Instant::now();
    let mut attacks = JoinSet::new();
    let idle = target.clone();
    attacks.spawn(async move { ("idle connections", idle.idle(idle_connections).await) });
    for (name, count, attack) in [
        ("slow heads", SLOW_HEADS, Attack::SlowHead),
        ("slow bodies", SLOW_BODIES, Attack::SlowBody),
        ("trickling uploads", TRICKLING_UPLOADS, Attack::TricklingUpload),
        ("long passwords", LONG_PASSWORDS, Attack::LongPassword),
        ("pixel bombs", PIXEL_BOMBS, Attack::PixelBomb),
        ("deep bodies", DEEP_BODIES, Attack::DeepBody),
    ] {
        let target = target.clone();
        attacks.spawn(async move { (name, target.attacked(attack, count).await) });
    }
    while let Some(ended) = attacks.join_next().await {
        let (name, ends) = ended.unwrap();
        println!("{name}: {ends:?} after {:.1} s", started.elapsed().as_secs_f64());
        // A connection that is reset takes the answer with it; who finds no time for a head within five seconds, on a busy
        // machine, is told so.
        let refusal = match name {
            "long passwords" => "413",
            "pixel bombs" | "deep bodies" => "422",
            _ => "408",
        };
        assert!(ends.contains_key(refusal), "{name}: {ends:?}");
        assert!(ends.keys().all(|end| [refusal, "408", "closed"].contains(&end.as_str())), "{name}: {ends:?}");
    }
    is_abused.store(false, Ordering::Relaxed);
    let abused = working.await.unwrap();
    watching.await.unwrap();

    let rise = most.load(Ordering::Relaxed).saturating_sub(before.0);
    println!("the memory rose by {} MiB (limit {} MiB)", rise / 1024, MAX_RISE_KIB / 1024);
    println!("at rest: {at_rest}");
    println!("abused: {abused}; the p99 is {:.1} times that at rest (target: 200 ms)", abused.p99() / at_rest.p99());
    assert!(rise < MAX_RISE_KIB, "the memory rose by {rise} KiB");
    assert!(abused.0.len() > 10, "who works was hardly served: {abused}");
    // Everything that was held is given back.
    let given_back = async {
        while target.descriptors() > before.1 + 32 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, given_back).await.expect("the descriptors are given back");
    assert_eq!(target.files_on_their_way(folder.path()), Vec::<String>::new(), "nothing is left of the uploads");
    target.work().await;
}

/// How many connections there may be, after as many descriptors are allowed as the machine gives.
fn allow_descriptors() -> u64 {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let others = OTHER_DESCRIPTORS + (SLOW_HEADS + SLOW_BODIES + TRICKLING_UPLOADS) as u64;
    let connections = maximum.map_or(IDLE_CONNECTIONS, |maximum| IDLE_CONNECTIONS.min(maximum.saturating_sub(others)));
    if connections < IDLE_CONNECTIONS {
        println!(
            "this machine allows {maximum:?} descriptors: {connections} idle connections instead of {IDLE_CONNECTIONS}"
        );
    }
    connections
}

#[derive(Clone, Copy)]
enum Attack {
    SlowHead,
    SlowBody,
    TricklingUpload,
    LongPassword,
    PixelBomb,
    DeepBody,
}

/// How long somebody waited for each answer, in order.
struct Waits(Vec<Duration>);

impl Waits {
    fn at(&self, share: f64) -> f64 {
        self.0[((self.0.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3
    }

    fn p99(&self) -> f64 {
        self.at(0.99)
    }
}

impl std::fmt::Display for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (median, p99, most) = (self.at(0.5), self.p99(), self.at(1.0));
        write!(f, "{} answers, median {median:.1} ms, p99 {p99:.1} ms, most {most:.1} ms", self.0.len())
    }
}

impl Target {
    async fn open(folder: &Path) -> Self {
        let arguments = ["admin", "create", "--email", "admin@infirmary.example", "--name", "Ada", "--password-stdin"];
        assert!(process::run(folder, &[], arguments, PASSWORD).status.success());
        let server = Server::start(folder, &[]);
        infirmary_server::wiring::choose_tls_provider();
        let client = Client::new();
        let post = async |token: &str, path: &str, body: Value| -> Value {
            let answer = client.post(server.url(path)).bearer_auth(token).json(&body).send().await.unwrap();
            assert!(answer.status().is_success(), "{path}: {}", answer.status());
            answer.json().await.unwrap()
        };
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let credentials = json!({"email": "admin@infirmary.example", "password": PASSWORD});
        let admin = text(&post("", "/v1/auth/login", credentials).await["accessToken"]);
        let staff = json!({"email": "doctor@infirmary.example", "name": "Dr. Dana", "role": "doctor"});
        let invited = post(&admin, "/v1/accounts", staff).await;
        let accepted = json!({"code": invited["invitation"]["code"], "password": PASSWORD});
        let doctor = text(&post("", "/v1/auth/invitation", accepted).await["accessToken"]);
        let patient = text(&post(&admin, "/v1/patients", json!({"name": "Pat Patient"})).await["id"]);
        Self { server, client, doctor, patient }
    }

    fn of_process(&self, name: &str) -> std::path::PathBuf {
        format!("/proc/{}/{name}", self.server.process_id()).into()
    }

    fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(self.of_process("status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    fn descriptors(&self) -> usize {
        fs::read_dir(self.of_process("fd")).unwrap().count()
    }

    /// Files below the folder of objects: no study was recorded, so that there is none but those by which a process says that
    /// the folder of uploads is its own.
    fn files_on_their_way(&self, folder: &Path) -> Vec<String> {
        let mut folders = vec![folder.join("data/objects")];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                } else if entry.file_name() != "lock" && entry.file_name() != "alive" {
                    found.push(entry.path().display().to_string());
                }
            }
        }
        found
    }

    /// What somebody does all day.
    async fn work(&self) {
        let url = self.server.url(&format!("/v1/patients/{}", self.patient));
        let answer = self.client.get(url).bearer_auth(&self.doctor).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answer.bytes().await.unwrap();
    }

    /// As long as it is said, or so many times.
    async fn worked_through(&self, goes_on: &AtomicBool, most: usize) -> Waits {
        let mut waits = Vec::new();
        while goes_on.load(Ordering::Relaxed) && waits.len() < most {
            let started = Instant::now();
            self.work().await;
            waits.push(started.elapsed());
            sleep(Duration::from_millis(10)).await;
        }
        waits.sort();
        Waits(waits)
    }

    /// Connections on which nothing is said, until the server has closed all of them.
    async fn idle(&self, count: u64) -> BTreeMap<String, usize> {
        let mut connections = Vec::new();
        for _ in 0..count {
            connections.push(TcpStream::connect(self.server.address).await.unwrap());
        }
        ends(connections.into_iter().map(|connection| heard(connection, None))).await
    }

    async fn attacked(&self, attack: Attack, count: usize) -> BTreeMap<String, usize> {
        match attack {
            Attack::SlowHead => ends((0..count).map(|_| self.trickled("GET /health/live HTTP/1.1\r\nx-slow: "))).await,
            Attack::SlowBody => {
                let head = "POST /v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                            content-length: 60000\r\n\r\n{";
                ends((0..count).map(|_| self.trickled(head))).await
            }
            Attack::TricklingUpload => {
                let head = format!(
                    "POST /v1/studies HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
                     content-type: multipart/form-data; boundary=b\r\ncontent-length: 20000000\r\n\r\n\
                     --b\r\ncontent-disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\r\n\x7fPNG",
                    self.doctor
                );
                ends((0..count).map(|_| self.trickled(&head))).await
            }
            Attack::LongPassword => {
                let body = json!({"email": "admin@infirmary.example", "password": "x".repeat(1024 * 1024)}).to_string();
                ends((0..count).map(|_| self.posted("/v1/auth/login", body.clone()))).await
            }
            Attack::DeepBody => ends((0..count).map(|_| self.posted("/v1/patients", "[".repeat(64 * 1024)))).await,
            Attack::PixelBomb => ends((0..count).map(|_| self.bombed())).await,
        }
    }

    /// A head, and then a byte each half second, until the server has had enough.
    async fn trickled(&self, head: &str) -> String {
        let mut connection = TcpStream::connect(self.server.address).await.unwrap();
        connection.write_all(head.as_bytes()).await.unwrap();
        heard(connection, Some(Duration::from_millis(500))).await
    }

    async fn posted(&self, path: &str, body: String) -> String {
        let request = connection_each().post(self.server.url(path)).bearer_auth(&self.doctor);
        let answer = request.header("content-type", "application/json").body(body).send().await;
        // Whoever sends too much may find the connection closed before the answer is read.
        answer.map_or("closed".to_owned(), |answer| answer.status().as_str().to_owned())
    }

    async fn bombed(&self) -> String {
        let study = json!({"patientId": self.patient, "modality": "CT", "disease": "x", "findings": "x"}).to_string();
        let study = Part::text(study).mime_str("application/json").unwrap();
        let form = Form::new().part("study", study).part("image", Part::bytes(pixel_bomb()).file_name("a.png"));
        let request = connection_each().post(self.server.url("/v1/studies")).bearer_auth(&self.doctor);
        let answer = request.multipart(form).send().await;
        answer.map_or("closed".to_owned(), |answer| answer.status().as_str().to_owned())
    }
}

/// A client that leaves its connections when it has its answer.
fn connection_each() -> Client {
    Client::builder().pool_max_idle_per_host(0).build().unwrap()
}

/// How many ended how.
async fn ends(attacks: impl Iterator<Item = impl Future<Output = String>>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let all = futures_util::future::join_all(attacks);
    for end in timeout(PATIENCE, all).await.expect("everybody is let go") {
        *counts.entry(end).or_default() += 1;
    }
    counts
}

/// The status that is heard before the server closes, of who says nothing more, or a byte at a time.
async fn heard(connection: TcpStream, trickle: Option<Duration>) -> String {
    let (mut read, mut write) = connection.into_split();
    let trickling = async {
        let Some(wait) = trickle else { return std::future::pending().await };
        while write.write_all(b"x").await.is_ok() {
            sleep(wait).await;
        }
        std::future::pending::<()>().await
    };
    let reading = async {
        let mut heard = Vec::new();
        let _ = read.read_to_end(&mut heard).await;
        let status = heard.strip_prefix(b"HTTP/1.1 ").map(|rest| String::from_utf8_lossy(&rest[..3]).into_owned());
        status.unwrap_or("closed".to_owned())
    };
    tokio::select! {
        () = trickling => unreachable!("who trickles does so until it is closed"),
        end = reading => end,
    }
}

/// 144 megapixels of black in some hundred KiB; what is said in its head is true.
fn pixel_bomb() -> Vec<u8> {
    static BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut png = std::io::Cursor::new(Vec::new());
        image::GrayImage::new(12_000, 12_000).write_to(&mut png, image::ImageFormat::Png).unwrap();
        png.into_inner()
    });
    BOMB.clone()
}
