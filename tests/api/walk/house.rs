//! A house with two patients, each with a doctor of their own, a record of every kind, and words in every text that nobody
//! else has.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    io::Write,
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use infirmary_kernel::{Entropy, Role, testing::fresh_id};
use infirmary_system::OsEntropy;
use infirmary_tests::{Answer, PASSWORD, TestApp, User, dart::Dart, old_house::pdf, unique_email};
use reqwest::{
    Method, RequestBuilder, StatusCode,
    multipart::{Form, Part},
};
use serde_json::{Value, json};

use super::cases::{Body, Case};
use crate::studies::fixture;

/// Whose record is asked for: for a patient their own and another patient's, for a doctor one of their own writing and
/// another doctor's; or one that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Own,
    Others,
    Absent,
}

pub struct Identity {
    pub name: &'static str,
    /// `None`: not signed in.
    pub role: Option<Role>,
    user: User,
    /// For the replaced system's routes.
    dart: Dart,
}

/// What a word is part of, which decides who may read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Name and phone: what is on a bill.
    Name,
    /// E-mail and postal address.
    Contact,
    Clinical,
    /// Of a diagnosis that is not confirmed, and of its images.
    Draft,
    /// What was charged by hand, and why it was given back or made void.
    Money,
}

/// A word that is nowhere but in one text of one patient's record.
pub struct Canary {
    pub text: String,
    pub side: Side,
    pub kind: Kind,
    place: &'static str,
}

impl fmt::Debug for Canary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?}, {:?})", self.place, self.side, self.kind)
    }
}

impl Canary {
    pub fn is_for(&self, who: &Identity) -> bool {
        match who.role {
            None => false,
            Some(Role::Admin) => true,
            // Nothing that was charged by hand is of a study of theirs.
            Some(Role::Doctor) => self.kind != Kind::Money,
            Some(Role::Accountant) => matches!(self.kind, Kind::Name | Kind::Money),
            Some(Role::Patient) => self.side == Side::Own && self.kind != Kind::Draft,
        }
    }
}

/// The names of [`Case`]s, with what they stand for on one side.
type Records = BTreeMap<&'static str, String>;

pub struct House {
    pub app: TestApp,
    pub identities: Vec<Identity>,
    pub canaries: Vec<Canary>,
    own: Records,
    others: Records,
    accountant: User,
    doctors: [User; 2],
    /// Whoever is signed in and out, over and over.
    spare: String,
}

static COUNT: AtomicU64 = AtomicU64::new(1);

fn count() -> u64 {
    COUNT.fetch_add(1, Ordering::Relaxed)
}

fn random<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    OsEntropy.fill(&mut bytes);
    bytes
}

/// Sixteen letters that come up by chance nowhere.
fn word() -> String {
    random::<16>().map(|byte| char::from(b'a' + byte % 26)).iter().collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// The words in a PDF.
pub fn text_of_pdf(pdf: &[u8]) -> String {
    let mut child = Command::new("pdftotext")
        .args(["-", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("pdftotext, of poppler-utils, reads what is in a PDF");
    let (mut input, pdf) = (child.stdin.take().unwrap(), pdf.to_vec());
    let writing = std::thread::spawn(move || input.write_all(&pdf).unwrap());
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// A photo with a comment in it (JPEG's COM segment).
fn photo(comment: &str) -> Vec<u8> {
    let plain = fixture("images/turned.jpg");
    let length = u16::try_from(comment.len() + 2).unwrap().to_be_bytes();
    [&plain[..2], &[0xff, 0xfe], &length, comment.as_bytes(), &plain[2..]].concat()
}

fn study_form(details: &Value, file_name: String, image: Vec<u8>) -> Form {
    let study = Part::text(details.to_string()).mime_str("application/json").unwrap();
    Form::new().part("study", study).part("image", Part::bytes(image).file_name(file_name))
}

/// The session that a token is of.
fn session_of(user: &User) -> String {
    let claims = user.token.as_ref().unwrap().split('.').nth(1).unwrap().to_owned();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    text(&claims["sid"])
}

impl House {
    pub async fn open() -> Self {
        let app = TestApp::start_with(&[("INFIRMARY_REPORT_NOTICES", "on")]).await;
        let accountant = app.as_accountant().await;
        let doctors = [app.as_doctor().await, app.as_doctor().await];
        let spare = app.as_patient().await.email;
        let mut canaries = Vec::new();
        let (mut records, mut patients) = (Vec::new(), Vec::new());
        for (side, doctor) in [Side::Own, Side::Others].into_iter().zip(&doctors) {
            let (patient, of_it) = filled(&app, side, doctor, &accountant, &mut canaries).await;
            patients.push(patient);
            records.push(of_it);
        }
        let [own, others] = <[Records; 2]>::try_from(records).unwrap();
        let mut identities =
            vec![Identity { name: "nobody", role: None, user: app.nobody(), dart: Dart::new(app.address) }];
        for (name, role, user) in [
            ("a patient", Role::Patient, &patients[0]),
            ("a doctor", Role::Doctor, &doctors[0]),
            ("an accountant", Role::Accountant, &accountant),
            ("an admin", Role::Admin, &app.as_admin()),
        ] {
            let dart = Dart::new(app.address).sign_in(&user.email, PASSWORD).await;
            identities.push(Identity { name, role: Some(role), user: user.clone(), dart });
        }
        Self { app, identities, canaries, own, others, accountant, doctors, spare }
    }

    /// The answer to one identity, on a record of one side. For calls that are let in, what they use up is made anew.
    pub async fn ask(&self, case: &Case, who: &Identity, side: Side, is_let_in: bool) -> Answer {
        let mut records = match side {
            Side::Own => self.own.clone(),
            Side::Others => self.others.clone(),
            Side::Absent => self.own.keys().map(|name| (*name, absent(name))).collect(),
        };
        let mut user = who.user.clone();
        for &name in case.fresh.iter().filter(|_| is_let_in && side != Side::Absent) {
            match name {
                "who" => user = self.app.sign_in(&user.email, PASSWORD).await,
                "session" if side == Side::Own => {
                    records.insert(name, session_of(&self.app.sign_in(&user.email, PASSWORD).await));
                }
                "session" => {}
                name => {
                    let made = self.made(name, side, &records["patient"]).await;
                    records.insert(name, made);
                }
            }
        }
        let filled = |text: &str| self.filled(text, &records);
        let refresh = match case.path {
            "/v1/auth/refresh" => self.app.sign_in(&self.spare, PASSWORD).await.refresh_token,
            _ => String::new(),
        };
        let version = match case.version_of {
            // Of a record, its version is read as somebody who may; one that is not there has none.
            Some("/v1/me") if who.role.is_some() => self.app.get(&user, "/v1/me").await.etag().to_owned(),
            Some(path) if side != Side::Absent => {
                self.app.get(&self.app.as_admin(), &filled(path)).await.etag().to_owned()
            }
            _ => "\"1\"".to_owned(),
        };
        let (method, path) = (case.operation.split_once(' ').unwrap().0, filled(case.path));
        let build = |mut request: RequestBuilder| {
            request = request.header("Idempotency-Key", count().to_string());
            if case.version_of.is_some() {
                request = request.header("If-Match", version);
            }
            if case.operation.contains(" /api/") && who.role.is_some() {
                request = request.header("x-access-token", &who.dart.token).header("uid", &who.dart.uid);
            }
            match case.body {
                Body::None => request,
                Body::Json(body) => {
                    let body = filled(body).replace("$refresh", &refresh);
                    request.header("Content-Type", "application/json").body(body)
                }
                Body::Study(details) => {
                    let details = serde_json::from_str(&filled(details)).unwrap();
                    request.multipart(study_form(&details, "a.jpg".to_owned(), photo("a comment")))
                }
            }
        };
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.app.send(&user, method, &path, build).await
    }

    /// The ids of all requests that left an entry of the patient of that side.
    pub async fn requests_in_the_log_of(&self, side: Side) -> HashSet<String> {
        let records = if side == Side::Own { &self.own } else { &self.others };
        let path = format!("/v1/audit?patientId={}&limit=200", records["patient"]);
        let (mut requests, mut cursor) = (HashSet::new(), String::new());
        loop {
            let page = self.app.get(&self.app.as_admin(), &format!("{path}{cursor}")).await.expect(StatusCode::OK);
            let entries = page["items"].as_array().unwrap();
            requests.extend(entries.iter().filter_map(|entry| entry["requestId"].as_str().map(str::to_owned)));
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return requests,
            }
        }
    }

    /// The text with what the names in it stand for.
    fn filled(&self, template: &str, records: &Records) -> String {
        let mut text = template.to_owned();
        // Longest first: one name may begin with another.
        let mut names: Vec<_> = records.iter().collect();
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        for (name, value) in names {
            text = text.replace(&format!("${name}"), value);
        }
        let digits = format!("96475{:08}", 10_000_000 + count());
        text.replace("$unique", &format!("x{}", count()))
            .replace("$spare", &self.spare)
            .replace("$phone", &format!("+{digits}"))
            .replace("$digits", &digits)
            .replace("$nothing", &absent(""))
            .replace("$jpeg", &STANDARD.encode(photo("a comment")))
            .replace("$pdf", &STANDARD.encode(pdf()))
    }

    /// One more of these, which the next call uses up.
    async fn made(&self, name: &str, side: Side, patient: &str) -> String {
        let app = &self.app;
        let doctor = if side == Side::Own { &self.doctors[0] } else { &self.doctors[1] };
        let diagnosis = |confirmed: bool| json!({"patientId": patient, "disease": "Cough", "findings": "None", "confirmed": confirmed});
        let made = match name {
            "charge" => charge(app, &self.accountant, patient, "Dressing").await,
            "payment" => {
                charge(app, &self.accountant, patient, "Dressing").await;
                return pay(app, &self.accountant, patient).await;
            }
            "draft" => app.post(doctor, "/v1/diagnoses", &diagnosis(false)).await.expect(StatusCode::CREATED),
            "confirmed" => app.post(doctor, "/v1/diagnoses", &diagnosis(true)).await.expect(StatusCode::CREATED),
            "staff" => return app.as_doctor().await.account,
            other => panic!("nobody knows how to make a {other}"),
        };
        text(&made["id"])
    }
}

/// What stands for a name where there is nothing.
fn absent(name: &str) -> String {
    match name {
        "link" => "nonsense".to_owned(),
        "file" => format!("files/{}?token=nonsense", absent("")),
        "name" => "zzzzzzzz".to_owned(),
        "number" => "+9647509999999".to_owned(),
        _ => fresh_id::<()>().to_string(),
    }
}

async fn charge(app: &TestApp, clerk: &User, patient: &str, description: &str) -> Value {
    let body = json!({"patientId": patient, "description": description, "amount": {"amount": 500, "currency": "GBP"}});
    app.post(clerk, "/v1/charges", &body).await.expect(StatusCode::CREATED)
}

async fn pay(app: &TestApp, clerk: &User, patient: &str) -> String {
    let body = json!({"patientId": patient, "amount": {"amount": 100, "currency": "GBP"}, "method": "cash"});
    let paid = app.post_with_key(clerk, "/v1/payments", &count().to_string(), &body).await;
    text(&paid.expect(StatusCode::CREATED)["id"])
}

/// A patient with a record of every kind; the words of each are added to the canaries.
async fn filled(app: &TestApp, side: Side, doctor: &User, clerk: &User, canaries: &mut Vec<Canary>) -> (User, Records) {
    let mut canary = |kind, place, text: String| {
        canaries.push(Canary { text: text.to_lowercase(), side, kind, place });
        text
    };
    let name = canary(Kind::Name, "name", word());
    let number = canary(Kind::Name, "phone", format!("+9647{:09}", u32::from_le_bytes(random()) % 1_000_000_000));
    let email = canary(Kind::Contact, "email", format!("{}@infirmary.example", word()));
    let address = canary(Kind::Contact, "address", word());
    let registration = json!({"email": email, "password": PASSWORD, "name": name, "phone": number, "address": address});
    let session = app.post(&app.nobody(), "/v1/auth/register", &registration).await.expect(StatusCode::CREATED);
    let patient = User::of(&session);

    let mut record = async |kind: Kind, confirmed: bool| {
        let mut word = |place| canary(kind, place, word());
        let details = json!({"patientId": patient.patient, "modality": "CT", "disease": word("disease"),
            "findings": word("findings"), "conditions": word("conditions"), "confirmed": confirmed});
        let (file_name, image) = (format!("{}.jpg", word("file name")), photo(&word("comment of an image")));
        let form = study_form(&details, file_name, image);
        let study = app.send(doctor, Method::POST, "/v1/studies", |request| request.multipart(form)).await;
        study.expect(StatusCode::CREATED)
    };
    let study = record(Kind::Clinical, true).await;
    let unseen = record(Kind::Draft, false).await;
    let diagnosis = text(&study["diagnosis"]["id"]);
    let amendment = json!({"reason": canary(Kind::Clinical, "reason of an amendment", word()),
        "findings": canary(Kind::Clinical, "amended findings", word())});
    app.post(doctor, &format!("/v1/diagnoses/{diagnosis}/amend"), &amendment).await.expect(StatusCode::OK);
    let report = app.post(doctor, "/v1/reports", &json!({"diagnosisId": diagnosis})).await.expect(StatusCode::CREATED);

    let charged = charge(app, clerk, &patient.patient, &canary(Kind::Money, "description of a charge", word())).await;
    let void = charge(app, clerk, &patient.patient, &canary(Kind::Money, "description of a void charge", word())).await;
    let reason = json!({"reason": canary(Kind::Money, "reason of a void", word())});
    app.post(clerk, &format!("/v1/charges/{}/void", text(&void["id"])), &reason).await.expect(StatusCode::OK);
    let payment = pay(app, clerk, &patient.patient).await;
    let refund = json!({"amount": {"amount": 1, "currency": "GBP"}, "reason": canary(Kind::Money, "reason of a refund", word())});
    let path = format!("/v1/payments/{payment}/refund");
    app.post_with_key(clerk, &path, &count().to_string(), &refund).await.expect(StatusCode::CREATED);

    let image = text(&study["images"][0]["id"]);
    let link = app.post(&patient, &format!("/v1/images/{image}/link"), &json!({})).await.expect(StatusCode::OK);
    let link = text(&link["url"]).rsplit('/').next().unwrap().to_owned();
    let application = Dart::new(app.address).sign_in(&email, PASSWORD).await;
    let details = application.get(&format!("/api/diagnosis/getDiagnosisDetails/{diagnosis}")).await.json();
    let messages = app.get(&app.as_admin(), "/v1/messages").await.expect(StatusCode::OK);
    let message = messages["items"].as_array().unwrap().iter().find(|message| message["recipient"] == number.as_str());
    let task = json!({"code": unique_email("T").split('@').next(), "name": "A task", "price": {"amount": 1, "currency": "GBP"}});
    let task = app.post(clerk, "/v1/tasks", &task).await.expect(StatusCode::CREATED);

    let records = BTreeMap::from([
        ("patient", patient.patient.clone()),
        ("name", name),
        ("number", number),
        ("doctor", doctor.account.clone()),
        ("staff", doctor.account.clone()),
        ("session", session_of(&patient)),
        ("study", text(&study["id"])),
        ("image", image),
        ("diagnosis", diagnosis.clone()),
        ("confirmed", diagnosis),
        ("unseen_study", text(&unseen["id"])),
        ("unseen_image", text(&unseen["images"][0]["id"])),
        ("draft", text(&unseen["diagnosis"]["id"])),
        ("report", text(&report["id"])),
        ("code", text(&report["verificationCode"])),
        ("charge", text(&charged["id"])),
        ("payment", payment),
        ("link", link),
        ("file", text(&details[3])),
        ("message", text(&message.unwrap()["id"])),
        ("task", text(&task["id"])),
    ]);
    (patient, records)
}
