//! Durability: the server is killed (SIGKILL) in the middle of its work, again and again, and nothing that it has
//! acknowledged may be missing afterwards; what it has not is there wholly or not at all, and once at most however often
//! it is sent again.
//!
//! Here and not in `tests/`, because only the package of a binary is told by cargo where that binary is.
//!
//! Who says what was acknowledged? Each writer has a journal, which another process writes and syncs before the writer
//! sends anything more: a list that was kept in the memory of one process could agree with a server by accident, and one
//! in a file that nobody synced would say nothing about disks.
//!
//! `INFIRMARY_TEST_SEED` repeats a run, `INFIRMARY_TEST_ROUNDS` makes it longer.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as expected")]

mod process;

use std::{
    collections::{HashMap, HashSet},
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use process::Server;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const ROUNDS: u64 = 50;
const WRITERS: u64 = 8;
const SEED: u64 = 20_260_301;
/// How long the writers write before the kill.
const LEAST_ROUND_MS: u64 = 100;
const SPREAD_OF_ROUNDS_MS: u64 = 300;
/// Patients whom a writer goes on writing to, so that their lists stay on one page.
const PATIENTS_AT_HAND: usize = 4;
const PASSWORD: &str = "seven quiet herons at dusk";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_the_server_is_killed() {
    let seed = setting("INFIRMARY_TEST_SEED").unwrap_or(SEED);
    let rounds = setting("INFIRMARY_TEST_ROUNDS").unwrap_or(ROUNDS);
    println!("{rounds} rounds, {WRITERS} writers, INFIRMARY_TEST_SEED={seed}");
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let created = process::run(
        data,
        ["admin", "create", "--email", "admin@infirmary.example", "--name", "Ada", "--password-stdin"],
        PASSWORD,
    );
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));

    let mut server = Server::start(data);
    let people = Arc::new(People::sign_in(&server).await);
    let mut random = Random(seed);
    let mut writers: Vec<Writer> = (0..WRITERS)
        .map(|number| Writer::new(number, random.next(), Journal::open(data, number), people.clone()))
        .collect();
    let (began, mut sums) = (Instant::now(), Sums::default());
    for round in 1..=rounds {
        let mut writing = JoinSet::new();
        for writer in writers.drain(..) {
            writing.spawn(writer.write_until_the_server_is_gone(server.address.to_string()));
        }
        // The moment of death is what is tried, so this waits for nothing.
        tokio::time::sleep(Duration::from_millis(LEAST_ROUND_MS + random.below(SPREAD_OF_ROUNDS_MS))).await;
        drop(server);
        writers = writing.join_all().await;

        // On the store as the kill left it, and on one that serves: by turns.
        if round % 2 == 0 {
            verify(data, round);
        }
        server = Server::start(data);
        let mut checking = JoinSet::new();
        for writer in writers.drain(..) {
            checking.spawn(writer.check(server.address.to_string()));
        }
        for (writer, found) in checking.join_all().await {
            writers.push(writer);
            sums.add(&found);
        }
        if round % 2 == 1 {
            verify(data, round);
        }
    }
    println!(
        "{sums:?} in {:.1} s; of those in flight at a kill, the ones `written` were there before they were sent again",
        began.elapsed().as_secs_f64()
    );
    assert!(sums.acknowledged > rounds * WRITERS, "too little was written to try anything: {sums:?}");

    // Once more everything, as the journals on the disk have it.
    for writer in &writers {
        let kept = writer.journal.read();
        assert!(!kept.is_empty());
        for entry in &kept {
            writer.is_there(&server.address.to_string(), entry).await;
        }
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn verify(data: &Path, round: u64) {
    let verified = process::run(data, ["verify"], "");
    assert!(
        verified.status.success(),
        "round {round}: {}{}",
        String::from_utf8_lossy(&verified.stdout),
        String::from_utf8_lossy(&verified.stderr)
    );
}

#[derive(Debug, Default)]
struct Sums {
    acknowledged: u64,
    in_flight: u64,
    written: u64,
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.acknowledged += other.acknowledged;
        self.in_flight += other.in_flight;
        self.written += other.written;
    }
}

/// `SplitMix64`: a run can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

struct People {
    client: Client,
    admin: String,
    doctor: String,
}

impl People {
    async fn sign_in(server: &Server) -> Self {
        infirmary_server::wiring::choose_tls_provider();
        let client = Client::new();
        let post = async |path: &str, token: Option<&str>, body: Value| -> Value {
            let request = client.post(server.url(path)).json(&body);
            let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
            let answer = request.send().await.unwrap();
            assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
            answer.json().await.unwrap()
        };
        let login = json!({"email": "admin@infirmary.example", "password": PASSWORD});
        let admin = text(&post("/v1/auth/login", None, login).await["accessToken"]);
        let staff = json!({"email": "doctor@infirmary.example", "name": "Dr. Dara", "role": "doctor"});
        let invited = post("/v1/accounts", Some(&admin), staff).await;
        let accepted = json!({"code": invited["invitation"]["code"], "password": PASSWORD});
        let doctor = text(&post("/v1/auth/invitation", None, accepted).await["accessToken"]);
        Self { client, admin, doctor }
    }

    async fn get(&self, server: &str, path: &str) -> Value {
        let answer = self.client.get(format!("http://{server}{path}")).bearer_auth(&self.admin).send().await.unwrap();
        let status = answer.status();
        let body = answer.text().await.unwrap();
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// What a writer sends, and how its effect is told from every other.
#[derive(Debug, Clone)]
struct Request {
    kind: Kind,
    /// Unique: the name of a patient, the description of a charge, the amount of a payment, the disease of a diagnosis.
    mark: String,
    key: String,
    body: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Patient,
    Charge,
    Payment,
    Study,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Patient, Self::Charge, Self::Payment, Self::Study];

    const fn path(self) -> &'static str {
        match self {
            Self::Patient => "/v1/patients",
            Self::Charge => "/v1/charges",
            Self::Payment => "/v1/payments",
            Self::Study => "/v1/studies",
        }
    }

    fn of(path: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.path() == path).unwrap()
    }
}

/// What was acknowledged: the place it was sent to, and what was answered.
struct Acknowledged {
    kind: Kind,
    answer: Value,
}

struct Writer {
    number: u64,
    serial: u64,
    random: Random,
    journal: Journal,
    people: Arc<People>,
    /// The latest patients.
    patients: Vec<String>,
    /// Those who were charged: each owes more than all payments together.
    owing: HashSet<String>,
    in_flight: Option<Request>,
    /// Acknowledged since the last check.
    unchecked: Vec<Acknowledged>,
}

impl Writer {
    fn new(number: u64, seed: u64, journal: Journal, people: Arc<People>) -> Self {
        Self {
            number,
            serial: 0,
            random: Random(seed),
            journal,
            people,
            patients: Vec::new(),
            owing: HashSet::new(),
            in_flight: None,
            unchecked: Vec::new(),
        }
    }

    async fn write_until_the_server_is_gone(mut self, server: String) -> Self {
        loop {
            let request = self.next_request();
            self.in_flight = Some(request.clone());
            let Some(answer) = self.send(&server, &request).await else { return self };
            self.in_flight = None;
            self.acknowledged(&request, &answer);
        }
    }

    fn next_request(&mut self) -> Request {
        self.serial += 1;
        let (number, serial) = (self.number, self.serial);
        let drawn = self.random.below(10);
        let patient = match self.patients.len() as u64 {
            0 => None,
            known => Some(self.patients[self.random.below(known) as usize].clone()),
        };
        let name = format!("w{number}n{serial}x");
        let (kind, mark, body) = match (drawn, patient) {
            (0..=1, _) | (_, None) => (Kind::Patient, name.clone(), json!({"name": format!("Kill {name}")})),
            (5..=7, Some(patient)) if self.owing.contains(&patient) => {
                let amount = serial as i64;
                (
                    Kind::Payment,
                    amount.to_string(),
                    json!({"patientId": patient, "amount": gbp(amount), "method": "cash"}),
                )
            }
            (2..=7, Some(patient)) => (
                Kind::Charge,
                name.clone(),
                json!({"patientId": patient, "description": name, "amount": gbp(10_000_000)}),
            ),
            (_, Some(patient)) => (
                Kind::Study,
                name.clone(),
                json!({"patientId": patient, "modality": "CR", "disease": name, "findings": "none", "confirmed": true}),
            ),
        };
        Request { kind, mark, key: format!("{number}-{serial}"), body }
    }

    /// The answer, read to its end; `None` when the server was gone before that.
    async fn send(&self, server: &str, request: &Request) -> Option<Vec<u8>> {
        let post = self
            .people
            .client
            .post(format!("http://{server}{}", request.kind.path()))
            .header("Idempotency-Key", &request.key);
        let post = match request.kind {
            Kind::Study => post.bearer_auth(&self.people.doctor).multipart(form(&request.body)),
            _ => post.bearer_auth(&self.people.admin).json(&request.body),
        };
        let answer = post.send().await.ok()?;
        let status = answer.status();
        let body = answer.bytes().await.ok()?.to_vec();
        assert_eq!(status, StatusCode::CREATED, "{request:?}: {}", String::from_utf8_lossy(&body));
        Some(body)
    }

    /// Returns when the journal is on the disk.
    fn acknowledged(&mut self, request: &Request, answer: &[u8]) {
        let answer: Value = serde_json::from_slice(answer).unwrap();
        tokio::task::block_in_place(|| self.journal.keep(&json!({"path": request.kind.path(), "answer": answer})));
        if request.kind == Kind::Patient {
            self.patients.insert(0, text(&answer["id"]));
            self.patients.truncate(PATIENTS_AT_HAND);
        }
        if request.kind == Kind::Charge {
            self.owing.insert(text(&request.body["patientId"]));
        }
        self.unchecked.push(Acknowledged { kind: request.kind, answer });
    }

    /// After the server was started again: what was acknowledged is there, and what was in flight becomes so once.
    async fn check(mut self, server: String) -> (Self, Sums) {
        let mut sums = Sums { acknowledged: self.unchecked.len() as u64, ..Sums::default() };
        for entry in std::mem::take(&mut self.unchecked) {
            self.is_there(&server, &entry).await;
        }
        if let Some(request) = self.in_flight.take() {
            let before = self.count(&server, &request).await;
            assert!(before <= 1, "{request:?} was written {before} times");
            let first = self.send(&server, &request).await.expect("nobody kills it now");
            let again = self.send(&server, &request).await.expect("nobody kills it now");
            assert_eq!(first, again, "{request:?}: a repeated request gets the same answer, to the byte");
            assert_eq!(self.count(&server, &request).await, 1, "{request:?} has one effect");
            self.acknowledged(&request, &first);
            sums.in_flight += 1;
            sums.written += before;
        }
        (self, sums)
    }

    async fn is_there(&self, server: &str, Acknowledged { kind, answer }: &Acknowledged) {
        let id = text(answer.get("id").unwrap_or(&answer["study"]["id"]));
        match kind {
            Kind::Patient | Kind::Payment => {
                let found = self.people.get(server, &format!("{}/{id}", kind.path())).await;
                assert_eq!(found, *answer);
            }
            Kind::Charge => {
                let found = self.of_patient(server, "/v1/charges", &text(&answer["patientId"])).await;
                let found = &found[&id];
                for member in ["patientId", "description", "amount", "chargedAt"] {
                    assert_eq!(found[member], answer[member]);
                }
            }
            Kind::Study => {
                let found = self.people.get(server, &format!("/v1/studies/{id}")).await;
                assert_eq!(found["images"], answer["images"]);
                let diagnosis = text(&answer["diagnosis"]["id"]);
                let found = self.people.get(server, &format!("/v1/diagnoses/{diagnosis}")).await;
                assert_eq!(found["disease"], answer["diagnosis"]["disease"]);
                let charges = self.of_patient(server, "/v1/charges", &text(&answer["diagnosis"]["patientId"])).await;
                for charge in answer["charges"].as_array().unwrap() {
                    assert_eq!(charges[charge["id"].as_str().unwrap()]["amount"], charge["amount"]);
                }
                let image = text(&answer["images"][0]["id"]);
                let content = self
                    .people
                    .client
                    .get(format!("http://{server}/v1/images/{image}/content"))
                    .bearer_auth(&self.people.doctor)
                    .send()
                    .await
                    .unwrap();
                assert_eq!(content.bytes().await.unwrap(), PNG);
            }
        }
    }

    /// How often the effect of the request is there.
    async fn count(&self, server: &str, request: &Request) -> u64 {
        let patient = || text(&request.body["patientId"]);
        let counted = match request.kind {
            Kind::Patient => {
                let found = self.people.get(server, &format!("/v1/patients?q={}", request.mark)).await;
                found["items"].as_array().unwrap().len()
            }
            Kind::Charge => {
                let found = self.of_patient(server, "/v1/charges", &patient()).await;
                found.values().filter(|charge| charge["description"] == request.mark.as_str()).count()
            }
            Kind::Payment => {
                let found = self.of_patient(server, "/v1/payments", &patient()).await;
                found.values().filter(|payment| payment["amount"] == request.body["amount"]).count()
            }
            Kind::Study => {
                let found = self.of_patient(server, "/v1/diagnoses", &patient()).await;
                found.values().filter(|diagnosis| diagnosis["disease"] == request.mark.as_str()).count()
            }
        };
        counted as u64
    }

    /// All of a list of that patient, by id.
    async fn of_patient(&self, server: &str, path: &str, patient: &str) -> HashMap<String, Value> {
        let mut found = HashMap::new();
        let mut cursor = String::new();
        loop {
            let page = self.people.get(server, &format!("{path}?patientId={patient}&limit=200{cursor}")).await;
            found.extend(page["items"].as_array().unwrap().iter().map(|item| (text(&item["id"]), item.clone())));
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return found,
            }
        }
    }
}

fn gbp(amount: i64) -> Value {
    json!({"amount": amount, "currency": "GBP"})
}

/// One grey pixel.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0\x3a\x7e\x9b\x55\
    \0\0\0\nIDAT\x78\x9c\x63\x68\0\0\0\x82\0\x81\x77\xcd\x72\xb6\0\0\0\0IEND\xae\x42\x60\x82";

fn form(study: &Value) -> reqwest::multipart::Form {
    let json = reqwest::multipart::Part::text(study.to_string()).mime_str("application/json").unwrap();
    let image = reqwest::multipart::Part::bytes(PNG).file_name("pixel.png").mime_str("image/png").unwrap();
    reqwest::multipart::Form::new().part("study", json).part("image", image)
}

/// A file of lines that another process keeps.
struct Journal {
    path: PathBuf,
    keeper: Child,
    lines: ChildStdin,
    answers: BufReader<ChildStdout>,
}

const KEPT: &str = "kept";
const JOURNAL: &str = "INFIRMARY_TEST_JOURNAL";

impl Journal {
    fn open(folder: &Path, writer: u64) -> Self {
        let path = folder.join(format!("journal-{writer}"));
        let mut keeper = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "keeps_a_journal_for_another_process", "--ignored", "--nocapture"])
            .env(JOURNAL, &path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, answers) = (keeper.stdin.take().unwrap(), BufReader::new(keeper.stdout.take().unwrap()));
        Self { path, keeper, lines, answers }
    }

    /// Returns when the line is on the disk.
    fn keep(&mut self, entry: &Value) {
        writeln!(self.lines, "{entry}").unwrap();
        let mut answer = String::new();
        // Before its first word stands what the harness says of itself.
        while !answer.trim_end().ends_with(KEPT) {
            answer.clear();
            assert_ne!(self.answers.read_line(&mut answer).unwrap(), 0, "the keeper of a journal is gone");
        }
    }

    fn read(&self) -> Vec<Acknowledged> {
        let lines = BufReader::new(File::open(&self.path).unwrap()).lines();
        let entry = |line: std::io::Result<String>| {
            let entry: Value = serde_json::from_str(&line.unwrap()).unwrap();
            Acknowledged { kind: Kind::of(entry["path"].as_str().unwrap()), answer: entry["answer"].clone() }
        };
        lines.map(entry).collect()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.keeper.kill().unwrap();
        self.keeper.wait().unwrap();
    }
}

/// Not a test: the other process, which is this binary once more.
#[test]
#[ignore = "the crash test runs it"]
fn keeps_a_journal_for_another_process() {
    let Some(path) = std::env::var_os(JOURNAL) else { return };
    let mut journal = OpenOptions::new().create(true).append(true).open(path).unwrap();
    let mut answers = std::io::stdout();
    for line in std::io::stdin().lines() {
        writeln!(journal, "{}", line.unwrap()).unwrap();
        journal.sync_data().unwrap();
        writeln!(answers, "{KEPT}").unwrap();
        answers.flush().unwrap();
    }
}
