//! A house whose database fails when it is told to, and what its requests are about.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use futures_util::future::LocalBoxFuture;
use hmac::{Hmac, Mac};
use infirmary_kernel::{Clock, Timestamp};
use infirmary_messaging::{FailureReason, ProviderId, Settlement};
use infirmary_mongodb::testing::{self, FailPoint};
use infirmary_system::SystemClock;
use infirmary_tests::{Answer, PASSWORD, TestApp, User, dart::Dart, fixture, old_house::pdf, store::Store};
use mongodb::bson::{Document, doc};
use reqwest::{
    Method, RequestBuilder, StatusCode,
    multipart::{Form, Part},
};
use serde_json::{Value, json};
use sha2::Sha256;
use totp_rs::TOTP;

use super::rows::{Again, Body, Count, Row};

const APP_SECRET: &str = "0123456789abcdef0123456789abcdef";
const SETTINGS: [(&str, &str); 6] = [
    ("INFIRMARY_REPORT_NOTICES", "on"),
    ("INFIRMARY_WHATSAPP_PHONE_NUMBER_ID", "105954558954427"),
    ("INFIRMARY_WHATSAPP_TOKEN", "EAAJB0123456789abcdef"),
    ("INFIRMARY_WHATSAPP_URL", "http://127.0.0.1:9"),
    ("INFIRMARY_WHATSAPP_APP_SECRET", APP_SECRET),
    ("INFIRMARY_WHATSAPP_VERIFY_TOKEN", "the token of this house for Meta"),
];
/// More than any request may take, whatever the database does.
const MAX_ANSWER: Duration = Duration::from_secs(30);

pub struct House {
    pub app: TestApp,
    users: BTreeMap<&'static str, User>,
    /// For the replaced system's routes.
    standing: BTreeMap<&'static str, Dart>,
    records: BTreeMap<&'static str, String>,
    pub fail_point: FailPoint,
}

/// One request: what the names in its row stand for, and who asks.
pub struct Scene {
    pub begun: Timestamp,
    users: BTreeMap<&'static str, User>,
    records: BTreeMap<&'static str, String>,
    version: Option<String>,
}

/// A number that no other scene has.
fn next() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

impl House {
    /// `None` where there is no server of its own to be had.
    pub async fn open() -> Option<Self> {
        let (database, fail_point) = testing::failing_database().await?;
        let app = TestApp::start_on(Store::MongoDb(database), &SETTINGS).await;
        let (doctor, accountant, patient) = (app.as_doctor().await, app.as_accountant().await, app.as_patient().await);
        let mut standing = BTreeMap::new();
        let people =
            [("admin", &app.as_admin()), ("doctor", &doctor), ("accountant", &accountant), ("patient", &patient)];
        for (name, user) in people {
            standing.insert(name, Dart::new(app.address).sign_in(&user.email, PASSWORD).await);
        }
        let records = BTreeMap::from([
            ("patient", patient.patient.clone()),
            ("doctor", doctor.account.clone()),
            ("png", STANDARD.encode(fixture("images/phantom.png"))),
            ("pdf", STANDARD.encode(pdf())),
        ]);
        let users = BTreeMap::from([
            ("nobody", app.nobody()),
            ("admin", app.as_admin()),
            ("doctor", doctor),
            ("accountant", accountant),
            ("patient", patient),
        ]);
        let mut house = Self { app, users, standing, records, fail_point };
        let mut scene = house.scene();
        for name in ["confirmed", "report", "study", "task"] {
            house.make(name, &mut scene).await;
        }
        house.records = scene.records;
        Some(house)
    }

    fn scene(&self) -> Scene {
        let number = next();
        let mut records = self.records.clone();
        let digits = format!("96475{:08}", 10_000_000 + number);
        records.insert("unique", format!("X{number:06}"));
        records.insert("phone", format!("+{digits}"));
        records.insert("digits", digits);
        Scene { begun: SystemClock.now(), users: self.users.clone(), records, version: None }
    }

    /// What a request of the row needs, made anew.
    pub async fn prepare(&self, row: &Row) -> Scene {
        self.forget_failures().await;
        let mut scene = self.scene();
        for name in row.fresh {
            self.make(name, &mut scene).await;
        }
        if let Some(path) = row.version_of {
            scene.version = Some(self.app.get(scene.user(row.by), &scene.filled(path)).await.etag().to_owned());
        }
        scene.begun = SystemClock.now();
        scene
    }

    /// What a night's rest does: nobody has to wait for another try or another code.
    async fn forget_failures(&self) {
        for counters in ["attempt_counters", "code_counters"] {
            self.fail_point.database().collection::<Document>(counters).delete_many(doc! {}).await.unwrap();
        }
    }

    /// Sends the request of the row. `None`: it was not answered in any time in which somebody waits.
    pub async fn ask(&self, row: &Row, scene: &Scene) -> Option<Answer> {
        let build = |mut request: RequestBuilder| {
            if row.again == Again::Key {
                request = request.header("Idempotency-Key", &scene.records["unique"]);
            }
            if let Some(version) = &scene.version {
                request = request.header("If-Match", version);
            }
            if let Some(Dart { token, uid, .. }) = self.standing.get(row.by).filter(|_| row.is_of_the_replaced_system())
            {
                request = request.header("x-access-token", token).header("uid", uid);
            }
            match row.body {
                Body::None => request,
                Body::Json(body) => request.header("Content-Type", "application/json").body(scene.filled(body)),
                Body::Study(details) => {
                    let study = Part::text(scene.filled(details)).mime_str("application/json").unwrap();
                    let image = Part::bytes(fixture("images/phantom.png")).file_name("phantom.png");
                    request.multipart(Form::new().part("study", study).part("image", image))
                }
                Body::Report(diagnosis) => {
                    let file = Part::bytes(pdf()).file_name("report.pdf");
                    request.multipart(Form::new().text("diagnosisId", scene.filled(diagnosis)).part("file", file))
                }
                Body::Delivery(message) => {
                    let body = delivered(&scene.filled(message));
                    request.header("X-Hub-Signature-256", signature(&body)).body(body)
                }
            }
        };
        let path = scene.filled(row.path);
        let asked = self.app.send(scene.user(row.by), row.method(), &path, build);
        tokio::time::timeout(MAX_ANSWER, asked).await.ok()
    }

    pub async fn count(&self, who: &str, count: Count, scene: &Scene) -> i64 {
        let get = async |path: &str| {
            let path = scene.filled(path);
            let answer = self.app.get(scene.user(who), &path).await;
            assert_eq!(answer.status, StatusCode::OK, "{path} as {who}: {}", String::from_utf8_lossy(&answer.bytes));
            answer
        };
        let items = async |path: &str| get(path).await.json()["items"].as_array().unwrap().clone();
        match count {
            Count::Items(path) => items(path).await.len() as i64,
            Count::ItemsWith(path, field, value) => {
                let value = scene.filled(value);
                let is = |item: &&Value| item[field].as_str().is_some_and(|found| found.eq_ignore_ascii_case(&value));
                items(path).await.iter().filter(is).count() as i64
            }
            Count::Value(path, pointer) => match get(path).await.json().pointer(pointer) {
                Some(Value::Bool(value)) => i64::from(*value),
                Some(value) => value.as_i64().unwrap(),
                None => panic!("{path} has no {pointer}"),
            },
            Count::Is(path, pointer, value) => {
                i64::from(get(path).await.json().pointer(pointer).is_some_and(|found| found == value))
            }
            Count::Version(path) => get(path).await.etag().trim_matches('"').parse().unwrap(),
            Count::SignIn(email, password) => {
                let body = json!({"email": scene.filled(email), "password": password});
                let answer = self.app.post(&self.app.nobody(), "/v1/auth/login", &body).await;
                i64::from(answer.status.is_success())
            }
            Count::Messages(phone) => {
                let messages = self.fail_point.database().collection::<Document>("messages");
                messages.count_documents(doc! { "recipient": scene.filled(phone) }).await.unwrap() as i64
            }
        }
    }

    /// The entries of what was done since the scene was begun.
    pub async fn entries(&self, action: &str, scene: &Scene) -> i64 {
        let query = [("action", action.to_owned()), ("from", scene.begun.to_string()), ("limit", "200".to_owned())];
        let found =
            self.app.send(&self.app.as_admin(), Method::GET, "/v1/audit", |request| request.query(&query)).await;
        let found = found.expect(StatusCode::OK);
        found["items"].as_array().unwrap().iter().filter(|entry| entry["outcome"] == "done").count() as i64
    }

    /// One more of what the name says.
    fn make<'a>(&'a self, name: &'a str, scene: &'a mut Scene) -> LocalBoxFuture<'a, ()> {
        Box::pin(async move {
            match name {
                "spare" | "elsewhere" | "staff" | "invited" => self.make_somebody(name, scene).await,
                "challenge" | "verified" | "proof" | "check" => self.make_code(name, scene).await,
                "enrolment" | "enrolled" | "whatsapp" | "due" => self.make_factor(name, scene).await,
                "notice" | "failed" | "sent" => self.make_message(name, scene).await,
                _ => self.make_record(name, scene).await,
            }
        })
    }

    async fn make_somebody(&self, name: &str, scene: &mut Scene) {
        let app = &self.app;
        match name {
            "spare" => {
                let spare = app.as_patient().await;
                scene.records.insert("spare_email", spare.email.clone());
                scene.records.insert("refresh", spare.refresh_token.clone());
                scene.users.insert("spare", spare);
            }
            "elsewhere" => {
                let elsewhere = app.sign_in(&scene.records["spare_email"], PASSWORD).await;
                scene.records.insert("session", session_of(&elsewhere));
                scene.users.insert("elsewhere", elsewhere);
            }
            "staff" => {
                scene.records.insert("staff", app.as_doctor().await.account);
            }
            _ => {
                let email = format!("{}@infirmary.example", scene.records["unique"]);
                let body = json!({"email": email, "name": "Sam Staff", "role": "doctor"});
                let invited = app.post(&app.as_admin(), "/v1/accounts", &body).await.expect(StatusCode::CREATED);
                scene.records.insert("invited", text(&invited["account"]["id"]));
                scene.records.insert("invitation", text(&invited["invitation"]["code"]));
            }
        }
    }

    async fn make_code(&self, name: &str, scene: &mut Scene) {
        let (app, phone) = (&self.app, scene.records["phone"].clone());
        match name {
            "challenge" => {
                let body = json!({"phone": phone, "purpose": "phoneVerification"});
                let asked = app.post(scene.user("spare"), "/v1/auth/otp", &body).await.expect(StatusCode::ACCEPTED);
                scene.records.insert("challenge", text(&asked["challenge"]["id"]));
                scene.records.insert("code", app.code(&phone));
            }
            "verified" => {
                app.verify_phone(scene.user("spare"), &phone).await;
                self.forget_failures().await;
            }
            "proof" => {
                let body = json!({"phone": phone, "purpose": "passwordReset"});
                let asked = app.post(&app.nobody(), "/v1/auth/otp", &body).await.expect(StatusCode::ACCEPTED);
                let proved = app.answer(&app.nobody(), &asked, &app.code(&phone)).await.expect(StatusCode::OK);
                scene.records.insert("proof", text(&proved["proof"]));
            }
            _ => {
                let asked = Dart::new(app.address);
                let asked = asked.post("/api/auth/otp/createOTP", &json!({"phone": scene.records["digits"]})).await;
                scene.records.insert("check", asked.text(200));
                scene.records.insert("code", app.code(&phone));
            }
        }
    }

    async fn make_factor(&self, name: &str, scene: &mut Scene) {
        let app = &self.app;
        let ask = async |scene: &Scene, path: &str, body: Value| {
            app.post(scene.user("spare"), path, &body).await.expect(StatusCode::OK)
        };
        match name {
            "enrolment" => {
                let begun = ask(scene, "/v1/auth/factors/totp", json!({})).await;
                let application = TOTP::from_url(begun["otpauthUri"].as_str().unwrap()).unwrap();
                let seconds = u64::try_from(SystemClock.now().unix_seconds()).unwrap();
                scene.records.insert("enrolment", text(&begun["enrolment"]));
                scene.records.insert("totp", application.generate(seconds));
            }
            "enrolled" => {
                self.make("enrolment", scene).await;
                let body = json!({"enrolment": scene.records["enrolment"], "code": scene.records["totp"]});
                let confirmed = ask(scene, "/v1/auth/factors/totp/confirm", body).await;
                scene.records.insert("recovery", text(&confirmed["recoveryCodes"][0]));
            }
            "whatsapp" => {
                ask(scene, "/v1/auth/factors/whatsapp", json!({})).await;
            }
            _ => {
                let body = json!({"email": scene.records["spare_email"], "password": PASSWORD});
                let due = ask(scene, "/v1/auth/login", body).await;
                scene.records.insert("due", text(&due["challenge"]["id"]));
            }
        }
    }

    async fn make_message(&self, name: &str, scene: &mut Scene) {
        let app = &self.app;
        if name == "notice" {
            for needed in ["confirmed", "report"] {
                self.make(needed, scene).await;
            }
            let messages = app.get(&app.as_admin(), "/v1/messages").await.expect(StatusCode::OK);
            let of_report = |message: &&Value| message["reportId"] == scene.records["report"].as_str();
            let message = messages["items"].as_array().unwrap().iter().find(of_report).unwrap();
            scene.records.insert("message", text(&message["id"]));
            return;
        }
        let settlement = if name == "failed" {
            Settlement::Failed(FailureReason::Recipient.with(Some(131_026)))
        } else {
            let provider = format!("wamid.{}", scene.records["unique"]);
            scene.records.insert("provider", provider.clone());
            Settlement::Sent(ProviderId::parse(&provider).unwrap())
        };
        // A worker takes what is due, of all scenes so far; only this one's comes to something.
        let taken = app.due_messages().await;
        let own = taken.iter().find(|taken| taken.message.id.to_string() == scene.records["message"]).unwrap();
        assert!(app.outbox.settle(own.key(), settlement, own.until).await.unwrap());
    }

    async fn make_record(&self, name: &str, scene: &mut Scene) {
        let (app, patient) = (&self.app, scene.records["patient"].clone());
        let ask = async |who: &str, path: &str, body: Value| {
            app.post_with_key(scene.user(who), path, &format!("make-{}", next()), &body)
                .await
                .expect(StatusCode::CREATED)
        };
        let diagnosis = |confirmed: bool| json!({"patientId": patient, "disease": "Cough", "findings": "None", "confirmed": confirmed});
        let amount = |pence: i64| json!({"amount": pence, "currency": "GBP"});
        let (name, made) = match name {
            "draft" => ("diagnosis", ask("doctor", "/v1/diagnoses", diagnosis(false)).await),
            "confirmed" => ("diagnosis", ask("doctor", "/v1/diagnoses", diagnosis(true)).await),
            "report" => {
                ("report", ask("doctor", "/v1/reports", json!({"diagnosisId": scene.records["diagnosis"]})).await)
            }
            "charge" => {
                let body = json!({"patientId": patient, "description": "Dressing", "amount": amount(500)});
                ("charge", ask("accountant", "/v1/charges", body).await)
            }
            "payment" => {
                let body = json!({"patientId": patient, "amount": amount(100), "method": "cash"});
                ("payment", ask("accountant", "/v1/payments", body).await)
            }
            "task" => {
                let body = json!({"code": scene.records["unique"], "name": "A task", "price": amount(100)});
                ("task", ask("accountant", "/v1/tasks", body).await)
            }
            "restricted" => ("restricted", self.restricted(&scene.records["unique"]).await),
            "study" => {
                let details = json!({"patientId": patient, "modality": "CT", "disease": "Cough", "findings": "None"});
                let form = Form::new()
                    .text("study", details.to_string())
                    .part("image", Part::bytes(fixture("images/phantom.png")).file_name("phantom.png"));
                let study =
                    app.send(scene.user("doctor"), Method::POST, "/v1/studies", |request| request.multipart(form));
                let study = study.await.expect(StatusCode::CREATED);
                scene.records.insert("study", text(&study["id"]));
                ("image", study["images"][0].clone())
            }
            "member" => {
                let path = scene.filled("/v1/patients/$patient/care-team/$staff");
                let added = app.send(&app.as_admin(), Method::PUT, &path, |request| request).await;
                assert_eq!(added.status, StatusCode::NO_CONTENT);
                return;
            }
            other => panic!("nobody knows how to make a {other}"),
        };
        scene.records.insert(name, text(&made["id"]));
    }

    async fn restricted(&self, name: &str) -> Value {
        let (app, admin) = (&self.app, self.app.as_admin());
        let patient = app.register_patient(&format!("Nell {name}")).await;
        let path = format!("/v1/patients/{}", patient["id"].as_str().unwrap());
        let etag = app.get(&admin, &path).await.etag().to_owned();
        app.patch(&admin, &path, &etag, &json!({"restricted": true})).await.expect(StatusCode::OK)
    }
}

impl Scene {
    fn user(&self, name: &str) -> &User {
        self.users.get(name).unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// The text with what the names in it stand for.
    fn filled(&self, template: &str) -> String {
        let mut text = template.to_owned();
        // Longest first: one name may begin with another.
        let mut names: Vec<_> = self.records.iter().collect();
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        for (name, value) in names {
            text = text.replace(&format!("${name}"), value);
        }
        text
    }
}

/// The session that a token is of.
fn session_of(user: &User) -> String {
    let claims = user.token.as_ref().unwrap().split('.').nth(1).unwrap().to_owned();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    text(&claims["sid"])
}

fn delivered(provider: &str) -> String {
    let status =
        json!({"id": provider, "status": "delivered", "timestamp": "1750857384", "recipient_id": "9647501234567"});
    let value = json!({"messaging_product": "whatsapp", "statuses": [status]});
    json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"value": value, "field": "messages"}]}]})
        .to_string()
}

fn signature(body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(APP_SECRET.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}
