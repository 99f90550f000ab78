//! Two servers on one database of MongoDB: what one acknowledged the other knows at once, one request has one effect
//! whichever of them it reaches, and nothing acknowledged is lost when one of them, or the database, is killed.
//!
//! Each size can be set, for a run by hand: `INFIRMARY_TEST_SHARED_ROUNDS` (payments under one key),
//! `INFIRMARY_TEST_SHARED_OPERATIONS` (mixed), `INFIRMARY_TEST_SHARED_KILLS`.

use std::{
    collections::HashSet,
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use infirmary_mongodb::testing::{self, MortalServer};
use mongodb::{
    Client,
    bson::{Document, doc},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::{JoinSet, block_in_place};

use crate::{
    PASSWORD,
    journal::Journal,
    process::{self, Server},
    setting,
    writers::{People, Random, Sums, Writer, gbp, text},
};

const INSTANCES: usize = 2;

/// Servers with one database, one folder of objects and one set of secrets; else each has a folder of its own.
struct Cluster {
    folder: TempDir,
    address: String,
    instances: Vec<Option<Server>>,
}

impl Cluster {
    fn start(address: &str) -> Self {
        let mut cluster = Self::prepare(address);
        (0..INSTANCES).for_each(|number| cluster.start_again(number));
        cluster
    }

    /// Begun, and not served yet.
    fn prepare(address: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let instances = (0..INSTANCES).map(|_| None).collect();
        let cluster = Self { folder, address: address.to_owned(), instances };
        (0..INSTANCES).for_each(|number| fs::create_dir(cluster.place(number)).unwrap());
        cluster.run(
            ["admin", "create", "--email", "admin@infirmary.example", "--name", "Ada", "--password-stdin"],
            PASSWORD,
        );
        for number in 1..INSTANCES {
            let [from, to] = [0, number].map(|number| cluster.place(number).join("data/secrets"));
            fs::create_dir_all(&to).unwrap();
            for key in fs::read_dir(from).unwrap().map(Result::unwrap) {
                fs::copy(key.path(), to.join(key.file_name())).unwrap();
            }
        }
        cluster
    }

    fn place(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("machine-{number}"))
    }

    fn settings(&self) -> [(&'static str, String); 2] {
        let objects = format!("file://{}", self.folder.path().join("objects").display());
        [("INFIRMARY_STORE", self.address.clone()), ("INFIRMARY_OBJECTS", objects)]
    }

    fn start_again(&mut self, number: usize) {
        self.instances[number] = Some(Server::start(&self.place(number), &self.settings()));
    }

    /// SIGKILL.
    fn kill(&mut self, number: usize) {
        self.instances[number] = None;
    }

    fn server(&self, number: usize) -> &Server {
        self.instances[number % INSTANCES].as_ref().unwrap()
    }

    fn name(&self, number: usize) -> String {
        self.server(number).address.to_string()
    }

    fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>, input: &str) {
        let ended = process::run(&self.place(0), &self.settings(), arguments, input);
        let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        assert!(ended.status.success(), "{out}{err}");
    }

    fn verify(&self) {
        self.run(["verify"], "");
    }
}

/// Sends a request to one of the instances.
async fn ask(people: &People, token: &str, method: Method, url: String, body: Value) -> (StatusCode, Value) {
    let request = people.client.request(method, url).bearer_auth(token).json(&body);
    let answer = request.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ended_at_one_server_is_over_at_the_other_within_a_second() {
    let Some(database) = testing::database() else { return };
    let cluster = Cluster::start(&database.address);
    let people = People::sign_in(cluster.server(0), false).await;
    let login = json!({"email": "doctor@infirmary.example", "password": PASSWORD});
    for round in 0..4 {
        let (one, other) = (cluster.server(round), cluster.server(round + 1));
        let (status, session) = ask(&people, "", Method::POST, one.url("/v1/auth/login"), login.clone()).await;
        assert_eq!(status, StatusCode::OK, "{session}");
        let token = text(&session["accessToken"]);
        let me = async || ask(&people, &token, Method::GET, other.url("/v1/me"), Value::Null).await.0;
        assert_eq!(me().await, StatusCode::OK, "a session of one is one of the other");
        let ended = ask(&people, &token, Method::POST, one.url("/v1/auth/logout"), Value::Null).await.0;
        let since = Instant::now();
        assert_eq!(ended, StatusCode::NO_CONTENT);
        assert_eq!(me().await, StatusCode::UNAUTHORIZED);
        assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
        let refresh = json!({"refreshToken": session["refreshToken"]});
        let refreshed = ask(&people, "", Method::POST, other.url("/v1/auth/refresh"), refresh).await.0;
        assert_eq!(refreshed, StatusCode::UNAUTHORIZED);
    }

    // An account that is shut at one is shut at the other.
    let (_, session) = ask(&people, "", Method::POST, cluster.server(1).url("/v1/auth/login"), login).await;
    let (token, account) = (text(&session["accessToken"]), text(&session["account"]["id"]));
    let shut = format!("/v1/accounts/{account}");
    let shut = ask(&people, &people.admin, Method::DELETE, cluster.server(0).url(&shut), Value::Null).await;
    let since = Instant::now();
    assert_eq!(shut.0, StatusCode::NO_CONTENT, "{}", shut.1);
    let me = ask(&people, &token, Method::GET, cluster.server(1).url("/v1/me"), Value::Null).await.0;
    assert_eq!(me, StatusCode::UNAUTHORIZED);
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
}

/// A patient who owes so much.
async fn owing(cluster: &Cluster, people: &People, amount: i64) -> String {
    let url = |path: &str| cluster.server(0).url(path);
    let (status, patient) =
        ask(people, &people.admin, Method::POST, url("/v1/patients"), json!({"name": "Olive Owing"})).await;
    assert_eq!(status, StatusCode::CREATED, "{patient}");
    let patient = text(&patient["id"]);
    let charge = json!({"patientId": patient, "description": "All of it", "amount": gbp(amount)});
    let (status, charge) = ask(people, &people.admin, Method::POST, url("/v1/charges"), charge).await;
    assert_eq!(status, StatusCode::CREATED, "{charge}");
    patient
}

/// What the patient still owes, as the server of that number tells it.
async fn balance(cluster: &Cluster, people: &People, number: usize, patient: &str) -> i64 {
    let statement = people.get(&cluster.name(number), &format!("/v1/patients/{patient}/statement?limit=1")).await;
    statement["totals"]["balance"]["amount"].as_i64().unwrap_or_else(|| panic!("{statement}"))
}

const SHARED_ROUNDS: u64 = 10;
const AT_ONCE: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_payments_under_one_key_sent_to_both_servers_at_once_are_one() {
    let Some(database) = testing::database() else { return };
    let rounds = setting("INFIRMARY_TEST_SHARED_ROUNDS").unwrap_or(SHARED_ROUNDS);
    let cluster = Cluster::start(&database.address);
    let people = People::sign_in(cluster.server(0), false).await;
    let amount = 700;
    let patient = owing(&cluster, &people, 1_000_000_000).await;
    let began = Instant::now();
    for round in 1..=rounds {
        let body = json!({"patientId": patient, "amount": gbp(amount), "method": "cash"});
        let sent = (0..AT_ONCE).map(|number| {
            let payment = people.client.post(cluster.server(number).url("/v1/payments")).bearer_auth(&people.admin);
            payment.header("Idempotency-Key", format!("round-{round}")).json(&body).send()
        });
        let mut answers = HashSet::new();
        for answer in join_all(sent).await {
            let answer = answer.unwrap();
            let (status, body) = (answer.status(), answer.text().await.unwrap());
            assert_eq!(status, StatusCode::CREATED, "round {round}: {body}");
            answers.insert(body);
        }
        assert_eq!(answers.len(), 1, "round {round}: {answers:?}");
        let owed = balance(&cluster, &people, round as usize, &patient).await;
        assert_eq!(owed, 1_000_000_000 - amount * round as i64, "round {round}");
    }
    cluster.verify();
    println!("{rounds} rounds of {AT_ONCE} in {:.1} s", began.elapsed().as_secs_f64());
}

const SHARED_OPERATIONS: u64 = 600;
const SHARED_PATIENTS: usize = 4;
const CLERKS: u64 = 8;
/// A token is good for a quarter of an hour, and the database may be a slow one.
const PER_SIGN_IN: u64 = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn counters_that_two_servers_share_lose_nothing_and_give_nothing_twice() {
    let Some(database) = testing::database() else { return };
    let operations = setting("INFIRMARY_TEST_SHARED_OPERATIONS").unwrap_or(SHARED_OPERATIONS);
    let cluster = Arc::new(Cluster::start(&database.address));
    let mut people = Arc::new(People::sign_in(cluster.server(0), false).await);
    let mut patients = Vec::new();
    for _ in 0..SHARED_PATIENTS {
        patients.push(owing(&cluster, &people, 1_000_000_000).await);
    }
    let patients = Arc::new(patients);
    let (began, registered) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let owed: Arc<Vec<AtomicU64>> = Arc::new((0..SHARED_PATIENTS).map(|_| AtomicU64::new(1_000_000_000)).collect());
    for first in (0..operations).step_by(PER_SIGN_IN as usize) {
        people = Arc::new(people.signed_in_again(cluster.server(0)).await);
        let (next, end) = (Arc::new(AtomicU64::new(first)), operations.min(first + PER_SIGN_IN));
        let mut working = JoinSet::new();
        for clerk in 0..CLERKS {
            let (cluster, people, patients) = (cluster.clone(), people.clone(), patients.clone());
            let (next, registered, owed) = (next.clone(), registered.clone(), owed.clone());
            working.spawn(async move {
                let mut random = Random(first + clerk);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= end {
                        return;
                    }
                    let place = random.below(SHARED_PATIENTS as u64) as usize;
                    let amount = 1 + random.below(99);
                    let money = gbp(amount as i64);
                    let (path, body) = match random.below(5) {
                        0 | 1 => ("/v1/patients", json!({"name": format!("Number {number}")})),
                        2 => (
                            "/v1/charges",
                            json!({"patientId": patients[place], "description": "One more", "amount": money}),
                        ),
                        _ => ("/v1/payments", json!({"patientId": patients[place], "amount": money, "method": "card"})),
                    };
                    let url = cluster.server(random.below(INSTANCES as u64) as usize).url(path);
                    let sent = people.client.post(url).bearer_auth(&people.admin);
                    let sent = sent.header("Idempotency-Key", format!("operation-{number}")).json(&body);
                    let answer = sent.send().await.unwrap();
                    let status = answer.status();
                    assert_eq!(status, StatusCode::CREATED, "{path}: {}", answer.text().await.unwrap());
                    match path {
                        "/v1/patients" => registered.fetch_add(1, Ordering::Relaxed),
                        "/v1/charges" => owed[place].fetch_add(amount, Ordering::Relaxed),
                        _ => owed[place].fetch_sub(amount, Ordering::Relaxed),
                    };
                }
            });
        }
        working.join_all().await;
    }
    let worked = began.elapsed().as_secs_f64();

    let (mut numbers, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = people.get(&cluster.name(1), &format!("/v1/patients?limit=200{cursor}")).await;
        numbers.extend(page["items"].as_array().unwrap().iter().map(|patient| text(&patient["mrn"])));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let registered = registered.load(Ordering::Relaxed) as usize + SHARED_PATIENTS;
    assert_eq!(numbers.len(), registered);
    assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), registered, "no record number is given twice");
    for (place, patient) in patients.iter().enumerate() {
        for number in 0..INSTANCES {
            let owed = owed[place].load(Ordering::Relaxed) as i64;
            assert_eq!(balance(&cluster, &people, number, patient).await, owed);
        }
    }
    cluster.verify();
    println!("{operations} operations in {worked:.1} s, {registered} patients");
}

/// The document of the lease.
async fn lease(database: &mongodb::Database) -> Option<Document> {
    database.collection::<Document>("leases").find_one(doc! { "_id": "background" }).await.unwrap()
}

async fn until<T>(seconds: u64, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let waiting = async {
        loop {
            match look().await {
                Some(found) => return found,
                None => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(seconds), waiting).await;
    waited.unwrap_or_else(|_| panic!("{what} does not come within {seconds} s"))
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_server_that_works_for_the_house_dies_the_other_goes_on_within_thirty_seconds() {
    let Some(database) = testing::database() else { return };
    let client = database.client().await;
    let fence = async || Some(lease(&client).await?.get_i64("fence").unwrap());
    let roots = async || client.collection::<Document>("audit_roots").count_documents(doc! {}).await.unwrap();
    let mut cluster = Cluster::prepare(&database.address);
    cluster.start_again(0);
    let first = until(10, "the lease", fence).await;
    until(10, "a root", async || Some(roots().await).filter(|roots| *roots > 0)).await;
    cluster.start_again(1);
    let people = People::sign_in(cluster.server(1), false).await;
    let before = roots().await;
    cluster.kill(0);
    let died = Instant::now();
    let taken = until(30, "a successor", async || fence().await.filter(|fence| *fence > first)).await;
    println!("another went on after {:.1} s", died.elapsed().as_secs_f64());
    assert_eq!(taken, first + 1);
    // What was written meanwhile is under a root of the successor.
    until(10, "its root", async || Some(roots().await).filter(|roots| *roots > before)).await;
    people.get(&cluster.name(1), "/v1/me").await;
    cluster.verify();
}

const SHARED_KILLS: u64 = 4;
const WRITERS: u64 = 6;
const SEED: u64 = 20_261_128;
const BEFORE_MS: u64 = 200;
const SPREAD_MS: u64 = 400;
/// For which the others go on.
const AFTER_MS: u64 = 400;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_a_server_or_the_database_is_killed() {
    let Some(mut database) = MortalServer::start() else { return };
    let kills = setting("INFIRMARY_TEST_SHARED_KILLS").unwrap_or(SHARED_KILLS);
    let seed = setting("INFIRMARY_TEST_SEED").unwrap_or(SEED);
    println!("{kills} kills, {WRITERS} writers, INFIRMARY_TEST_SEED={seed}");
    let mut cluster = Cluster::start(&database.address_of("house"));
    let people = Arc::new(People::sign_in(cluster.server(0), true).await);
    let mut random = Random(seed);
    let mut writers: Vec<Writer> = (0..WRITERS)
        .map(|number| Writer::new(number, random.next(), Journal::open(cluster.folder.path(), number), people.clone()))
        .collect();
    let (began, mut sums) = (Instant::now(), Sums::default());
    for kill in 0..kills {
        let stop = Arc::new(AtomicBool::new(false));
        let mut writing = JoinSet::new();
        for (number, writer) in writers.drain(..).enumerate() {
            writing.spawn(writer.write(cluster.name(number), stop.clone()));
        }
        // The moment of death is what is tried, so this waits for nothing.
        tokio::time::sleep(Duration::from_millis(BEFORE_MS + random.below(SPREAD_MS))).await;
        // Each server in its turn, and between them the database.
        match kill % 4 {
            number @ (0 | 2) => {
                let number = number as usize / 2;
                cluster.kill(number);
                tokio::time::sleep(Duration::from_millis(AFTER_MS)).await;
                stop.store(true, Ordering::Relaxed);
                writers = writing.join_all().await;
                undo_what_is_open(&database).await;
                cluster.start_again(number);
            }
            _ => {
                block_in_place(|| database.kill());
                stop.store(true, Ordering::Relaxed);
                block_in_place(|| database.start_again());
                writers = writing.join_all().await;
            }
        }
        for number in 0..INSTANCES {
            let ready = cluster.server(number).url("/health/ready");
            let is_ready = async || {
                let answer = people.client.get(&ready).send().await.unwrap();
                answer.status().is_success().then_some(())
            };
            until(30, "a server that is ready", is_ready).await;
        }
        let mut checking = JoinSet::new();
        for (number, writer) in writers.drain(..).enumerate() {
            // At the other one.
            checking.spawn(writer.check(cluster.name(number + 1)));
        }
        for (writer, found) in checking.join_all().await {
            writers.push(writer);
            sums.add(&found);
        }
        cluster.verify();
    }
    println!("{sums:?} in {:.1} s", began.elapsed().as_secs_f64());
    assert!(sums.acknowledged > kills * WRITERS, "too little was written to try anything: {sums:?}");
    for writer in &writers {
        for entry in &writer.journal.read() {
            writer.is_there(&cluster.name(0), entry).await;
        }
    }
}

/// What a dead server had open the database undoes when it is over (`transactionLifetimeLimitSeconds`: a minute, unless it is
/// set). Until then who sends it again is told to come later.
async fn undo_what_is_open(database: &MortalServer) {
    let client = Client::with_uri_str(database.address_of("admin")).await.unwrap();
    client.database("admin").run_command(doc! { "killAllSessions": [] }).await.unwrap();
}
