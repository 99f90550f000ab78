//! Who writes to the house, remembers what was acknowledged, and looks whether it is there.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::{PASSWORD, journal::Journal, process::Server};

/// Patients whom a writer goes on writing to, so that their lists stay on one page.
const PATIENTS_AT_HAND: usize = 4;
/// Times that something is asked of a server whose database is not back yet.
const PATIENCE: u32 = 150;

#[derive(Debug, Default)]
pub struct Sums {
    pub acknowledged: u64,
    pub in_flight: u64,
    /// Of those in flight, there before they were sent again.
    pub written: u64,
}

impl Sums {
    pub fn add(&mut self, other: &Self) {
        self.acknowledged += other.acknowledged;
        self.in_flight += other.in_flight;
        self.written += other.written;
    }
}

/// `SplitMix64`: a run can be repeated.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

pub struct People {
    pub client: Client,
    pub admin: String,
    pub doctor: String,
    /// Whether it may be that nothing can be done for a while (503). A server on its own disk has no such excuse.
    pub database_may_go: bool,
}

impl People {
    pub async fn sign_in(server: &Server, database_may_go: bool) -> Self {
        infirmary_server::wiring::choose_tls_provider();
        let client = Client::new();
        let admin = token_of_admin(&client, server).await;
        let staff = json!({"email": "doctor@infirmary.example", "name": "Dr. Dara", "role": "doctor"});
        let invited = post(&client, server, "/v1/accounts", &admin, &staff).await;
        let accepted = json!({"code": invited["invitation"]["code"], "password": PASSWORD});
        let doctor = text(&post(&client, server, "/v1/auth/invitation", "", &accepted).await["accessToken"]);
        Self { client, admin, doctor, database_may_go }
    }

    pub async fn signed_in_again(&self, server: &Server) -> Self {
        let admin = token_of_admin(&self.client, server).await;
        Self { client: self.client.clone(), admin, doctor: self.doctor.clone(), ..*self }
    }

    pub async fn get(&self, server: &str, path: &str) -> Value {
        let ask = || self.client.get(format!("http://{server}{path}")).bearer_auth(&self.admin).send();
        let mut answer = ask().await.unwrap();
        for _ in 0..PATIENCE {
            if !(self.database_may_go && answer.status() == StatusCode::SERVICE_UNAVAILABLE) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            answer = ask().await.unwrap();
        }
        let status = answer.status();
        let body = answer.text().await.unwrap();
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }
}

async fn post(client: &Client, server: &Server, path: &str, token: &str, body: &Value) -> Value {
    let answer = client.post(server.url(path)).bearer_auth(token).json(body).send().await.unwrap();
    assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
    answer.json().await.unwrap()
}

async fn token_of_admin(client: &Client, server: &Server) -> String {
    let login = json!({"email": "admin@infirmary.example", "password": PASSWORD});
    text(&post(client, server, "/v1/auth/login", "", &login).await["accessToken"])
}

pub fn text(value: &Value) -> String {
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
pub enum Kind {
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

    pub fn of(path: &str) -> Self {
        Self::ALL.into_iter().find(|kind| kind.path() == path).unwrap()
    }
}

/// What was acknowledged: the place it was sent to, and what was answered.
pub struct Acknowledged {
    pub kind: Kind,
    pub answer: Value,
}

pub struct Writer {
    number: u64,
    serial: u64,
    random: Random,
    pub journal: Journal,
    people: Arc<People>,
    /// The latest patients.
    patients: Vec<String>,
    /// Those who were charged: each owes more than all payments together.
    owing: HashSet<String>,
    in_flight: Option<Request>,
    /// Acknowledged since the last check.
    pub unchecked: Vec<Acknowledged>,
}

impl Writer {
    pub fn new(number: u64, seed: u64, journal: Journal, people: Arc<People>) -> Self {
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

    /// Until the server is gone, or the writer is told to stop.
    pub async fn write(mut self, server: String, stop: Arc<AtomicBool>) -> Self {
        while !stop.load(Ordering::Relaxed) {
            let request = self.next_request();
            self.in_flight = Some(request.clone());
            let Some(answer) = self.send(&server, &request).await else { return self };
            self.in_flight = None;
            self.acknowledged(&request, &answer);
        }
        self
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

    /// The answer, read to its end; `None` when there is none to what came of it.
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
        if self.people.database_may_go && status == StatusCode::SERVICE_UNAVAILABLE {
            return None;
        }
        assert_eq!(status, StatusCode::CREATED, "{request:?}: {}", String::from_utf8_lossy(&body));
        Some(body)
    }

    /// Nobody kills it now; but a transaction that was begun by who was killed keeps others from what it wrote, until the
    /// database gives it up.
    async fn send_patiently(&self, server: &str, request: &Request) -> Vec<u8> {
        for _ in 0..PATIENCE {
            if let Some(answer) = self.send(server, request).await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        panic!("{request:?} is not answered")
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
    pub async fn check(mut self, server: String) -> (Self, Sums) {
        let mut sums = Sums { acknowledged: self.unchecked.len() as u64, ..Sums::default() };
        for entry in std::mem::take(&mut self.unchecked) {
            self.is_there(&server, &entry).await;
        }
        if let Some(request) = self.in_flight.take() {
            let before = self.count(&server, &request).await;
            assert!(before <= 1, "{request:?} was written {before} times");
            let first = self.send_patiently(&server, &request).await;
            let again = self.send_patiently(&server, &request).await;
            assert_eq!(first, again, "{request:?}: a repeated request gets the same answer, to the byte");
            assert_eq!(self.count(&server, &request).await, 1, "{request:?} has one effect");
            self.acknowledged(&request, &first);
            sums.in_flight += 1;
            sums.written += before;
        }
        (self, sums)
    }

    pub async fn is_there(&self, server: &str, Acknowledged { kind, answer }: &Acknowledged) {
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

pub fn gbp(amount: i64) -> Value {
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
