//! What tests across crates share: the real server on port 0 with an empty house, and people who are signed in to it.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as expected")]

pub mod dart;
pub mod old_house;
pub mod store;

use std::{
    net::SocketAddr,
    path::Path,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use actix_web::{dev::ServerHandle, rt};
use infirmary_kernel::{Clock, EmailAddress, Gate, PersonName, Role, testing::ManualClock};
use infirmary_messaging::{Outbox, Taken};
use infirmary_server::{
    background::Stopper,
    command::serve,
    config::Config,
    wiring::{self, HashCost},
};
use infirmary_system::SteadyClock;
use reqwest::{Client, Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::store::Store;

/// The least that bcrypt takes: tests sign in a lot, and what a password costs is tested where passwords are hashed.
const TEST_HASH_COST: HashCost = HashCost(4);
pub const PASSWORD: &str = "seven quiet herons at dusk";
const ADMIN_EMAIL: &str = "admin@infirmary.example";

/// A server of its own for each test.
pub struct TestApp {
    pub address: SocketAddr,
    pub client: Client,
    pub folder: TempDir,
    pub store: Store,
    /// The clock that the server goes by, of one that was started on a clock of its own.
    pub clock: Option<Arc<ManualClock>>,
    /// What the house has to tell outside. Nobody sends it, unless the server was started to.
    pub outbox: Arc<dyn Outbox>,
    gate: Gate,
    admin: User,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

/// Somebody who is signed in, or nobody.
#[derive(Clone, Default)]
pub struct User {
    pub token: Option<String>,
    pub refresh_token: String,
    pub account: String,
    pub email: String,
    /// The own record, of a patient.
    pub patient: String,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl TestApp {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With settings beside the defaults of a test.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::launch(settings, None, None, false).await
    }

    /// On a store that is there.
    pub async fn start_on(store: Store, settings: &[(&str, &str)]) -> Self {
        Self::launch_on(|_| store, settings, None, None, false).await
    }

    /// On a clock that stands until it is moved.
    pub async fn start_at_rest(settings: &[(&str, &str)]) -> Self {
        let clock: Arc<ManualClock> = Arc::default();
        Self::launch(settings, Some(clock.clone()), Some(clock), false).await
    }

    /// As a server is on a machine whose clock is set by somebody: [`TestApp::clock`] is the machine's.
    pub async fn start_on_a_machine_whose_clock_is_set(settings: &[(&str, &str)]) -> Self {
        let clock: Arc<ManualClock> = Arc::default();
        Self::launch(settings, Some(clock.clone()), Some(Arc::new(SteadyClock::over(clock))), false).await
    }

    /// A server that does its background work, too: it sends its messages.
    pub async fn start_sending(settings: &[(&str, &str)]) -> Self {
        Self::launch(settings, None, None, true).await
    }

    async fn launch(
        settings: &[(&str, &str)],
        clock: Option<Arc<ManualClock>>,
        server_clock: Option<Arc<dyn Clock>>,
        sending: bool,
    ) -> Self {
        Self::launch_on(Store::new, settings, clock, server_clock, sending).await
    }

    async fn launch_on(
        store: impl FnOnce(&Path) -> Store,
        settings: &[(&str, &str)],
        clock: Option<Arc<ManualClock>>,
        server_clock: Option<Arc<dyn Clock>>,
        sending: bool,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let address = store.address();
        let config = config(folder.path(), &[[("INFIRMARY_STORE", address.as_str())].as_slice(), settings].concat());
        let (started, has_started) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            rt::System::new().block_on(async move {
                let wired = match server_clock {
                    None => wiring::wire(&config, TEST_HASH_COST).await,
                    Some(clock) => wiring::wire_at(&config, TEST_HASH_COST, clock).await,
                };
                let wired = wired.unwrap();
                let (email, name) =
                    (EmailAddress::parse(ADMIN_EMAIL).unwrap(), PersonName::parse("Ada Admin").unwrap());
                wired.create_admin.run(email, name, PASSWORD).await.unwrap();
                let (outbox, gate) = (wired.outbox, wired.app.gate.clone());
                let running = serve::start(&config, wired.app).unwrap();
                started.send((running.address, running.handle, outbox, gate)).unwrap();
                let (stopper, stop) = Stopper::new();
                let background = sending.then(|| rt::spawn(wired.background.run(stop)));
                running.finished.await.unwrap();
                stopper.stop();
                if let Some(background) = background {
                    background.await.unwrap();
                }
            });
        });
        let (address, handle, outbox, gate) = has_started.recv().unwrap();
        let mut app = Self {
            address,
            client: Client::new(),
            folder,
            store,
            clock,
            outbox,
            gate,
            admin: User::default(),
            handle,
            thread: Some(thread),
        };
        app.admin = app.sign_in(ADMIN_EMAIL, PASSWORD).await;
        app
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Moves the clock of the server.
    pub fn advance(&self, seconds: u64) {
        self.clock.as_ref().unwrap().advance(Duration::from_secs(seconds));
    }

    /// Puts the clock back.
    pub fn put_back(&self, seconds: u64) {
        let clock = self.clock.as_ref().unwrap();
        clock.set(clock.now().minus(Duration::from_secs(seconds)));
    }

    /// The server's time, of one on a clock of its own.
    pub fn unix_seconds(&self) -> u64 {
        u64::try_from(self.clock.as_ref().unwrap().now().unix_seconds()).unwrap()
    }

    /// The codes that wait to be sent to the phone, oldest first: what its holder would read. No worker sends in a test.
    pub fn codes(&self, phone: &str) -> Vec<String> {
        self.store.codes(phone)
    }

    /// The last code that was sent to the phone.
    pub fn code(&self, phone: &str) -> String {
        self.codes(phone).pop().unwrap()
    }

    /// Proves by a code that the phone is the user's.
    pub async fn verify_phone(&self, user: &User, phone: &str) {
        let asked = json!({"phone": phone, "purpose": "phoneVerification"});
        let asked = self.post(user, "/v1/auth/otp", &asked).await.expect(StatusCode::ACCEPTED);
        self.answer(user, &asked, &self.code(phone)).await.expect(StatusCode::OK);
    }

    /// Answers the challenge in an answer.
    pub async fn answer(&self, user: &User, asked: &Value, code: &str) -> Answer {
        let path = format!("/v1/auth/otp/{}/verify", asked["challenge"]["id"].as_str().unwrap());
        self.post(user, &path, &json!({"code": code})).await
    }

    pub fn nobody(&self) -> User {
        User::default()
    }

    pub fn as_admin(&self) -> User {
        self.admin.clone()
    }

    pub async fn as_doctor(&self) -> User {
        self.as_staff(Role::Doctor).await
    }

    pub async fn as_accountant(&self) -> User {
        self.as_staff(Role::Accountant).await
    }

    /// A new account each time, by invitation.
    pub async fn as_staff(&self, role: Role) -> User {
        let email = unique_email(role.as_str());
        let invited = json!({"email": email, "name": "Sam Staff", "role": role.as_str()});
        let answer = self.post(&self.admin, "/v1/accounts", &invited).await.expect(StatusCode::CREATED);
        let accepted = json!({"code": answer["invitation"]["code"], "password": PASSWORD});
        let session = self.post(&self.nobody(), "/v1/auth/invitation", &accepted).await.expect(StatusCode::OK);
        User::of(&session)
    }

    /// A new account with its record each time, by registration.
    pub async fn as_patient(&self) -> User {
        let body = json!({
            "email": unique_email("patient"), "password": PASSWORD, "name": "Pat Patient",
            "phone": "+9647501234567", "birthDate": "1990-05-17",
        });
        User::of(&self.post(&self.nobody(), "/v1/auth/register", &body).await.expect(StatusCode::CREATED))
    }

    pub async fn sign_in(&self, email: &str, password: &str) -> User {
        let body = json!({"email": email, "password": password});
        User::of(&self.post(&self.nobody(), "/v1/auth/login", &body).await.expect(StatusCode::OK))
    }

    /// Takes what is due out of the outbox, as a worker that does not send it.
    pub async fn due_messages(&self) -> Vec<Taken> {
        self.outbox.take(200, self.gate.now()).await.unwrap()
    }

    /// A patient whom the desk registered; gives the record.
    pub async fn register_patient(&self, name: &str) -> Value {
        let body = json!({"name": name});
        self.post(&self.admin, "/v1/patients", &body).await.expect(StatusCode::CREATED)
    }

    pub async fn get(&self, user: &User, path: &str) -> Answer {
        self.send(user, Method::GET, path, |request| request).await
    }

    pub async fn post(&self, user: &User, path: &str, body: &Value) -> Answer {
        self.send(user, Method::POST, path, |request| request.json(body)).await
    }

    /// As [`TestApp::post`], under a key.
    pub async fn post_with_key(&self, user: &User, path: &str, key: &str, body: &Value) -> Answer {
        self.send(user, Method::POST, path, |request| request.header("Idempotency-Key", key).json(body)).await
    }

    pub async fn patch(&self, user: &User, path: &str, etag: &str, body: &Value) -> Answer {
        self.send(user, Method::PATCH, path, |request| request.header("If-Match", etag).json(body)).await
    }

    pub async fn delete(&self, user: &User, path: &str) -> Answer {
        self.send(user, Method::DELETE, path, |request| request).await
    }

    pub async fn send(
        &self,
        user: &User,
        method: Method,
        path: &str,
        build: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Answer {
        let mut request = self.client.request(method, self.url(path));
        if let Some(token) = &user.token {
            request = request.bearer_auth(token);
        }
        let response = build(request).send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, bytes: response.bytes().await.unwrap().to_vec() }
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        // The message is in the queue of the server at once; the future only waits for the answer.
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl User {
    pub fn of(session: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            token: session["accessToken"].as_str().map(str::to_owned),
            refresh_token: text(&session["refreshToken"]),
            account: text(&session["account"]["id"]),
            email: text(&session["account"]["email"]),
            patient: text(&session["account"]["patientId"]),
        }
    }
}

impl Answer {
    /// The body as JSON, of an answer with this status; any other status is shown with its body.
    #[track_caller]
    pub fn expect(&self, status: StatusCode) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.bytes));
        self.json()
    }

    /// The body of a problem with this status, in the one form of all of them.
    #[track_caller]
    pub fn problem(&self, status: u16) -> Value {
        let body = self.expect(StatusCode::from_u16(status).unwrap());
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(body["status"], status);
        assert_eq!(body["instance"], self.header("x-request-id"));
        assert!(body["type"].as_str().is_some_and(|kind| kind.starts_with("urn:infirmary:problem:")), "{body}");
        assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{body}");
        body
    }

    /// All of it but what is of the request alone: ids of request and challenge, and the date.
    #[track_caller]
    pub fn but_for_its_request(&self) -> (StatusCode, Vec<String>, Value) {
        let mut body = self.json();
        for pointer in ["/instance", "/challenge/id"] {
            if let Some(value) = body.pointer_mut(pointer) {
                assert_eq!(value.as_str().map(str::len), Some(36));
                *value = Value::Null;
            }
        }
        let headers = self.headers.iter().filter(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()));
        let mut headers: Vec<String> = headers.map(|(name, value)| format!("{name}: {value:?}")).collect();
        headers.sort();
        (self.status, headers, body)
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        if self.bytes.is_empty() { Value::Null } else { serde_json::from_slice(&self.bytes).unwrap() }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub fn etag(&self) -> &str {
        self.header("etag")
    }
}

/// The settings of a test's server, with others beside them.
pub fn config(folder: &Path, settings: &[(&str, &str)]) -> Config {
    let defaults = [
        ("INFIRMARY_LISTEN", "127.0.0.1:0"),
        ("INFIRMARY_DATA_DIR", folder.to_str().unwrap()),
        ("INFIRMARY_WORKERS", "1"),
        ("INFIRMARY_PUBLIC_URL", "https://infirmary.example"),
    ];
    let all = defaults.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::from_variables(all).unwrap()
}

/// A file of `tests/fixtures`.
pub fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

pub fn unique_email(role: &str) -> String {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    format!("{role}{}@infirmary.example", COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
}
