//! The command line, as an operator meets it: the real binary, on folders of its own.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as expected")]

mod on_mongodb;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::LazyLock,
};

use reqwest::multipart::{Form, Part};
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

const PASSWORD: &str = "seven quiet herons at dusk";

/// A data folder, and what is run on it.
struct House {
    folder: TempDir,
    /// Beside the defaults.
    settings: Vec<(&'static str, String)>,
}

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl House {
    fn new() -> Self {
        Self::with(Vec::new())
    }

    fn with(settings: Vec<(&'static str, String)>) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), settings }
    }

    /// The demo house, filled once for all tests: each gets a copy.
    fn demo() -> Self {
        static FILLED: LazyLock<(House, String)> = LazyLock::new(|| {
            let house = House::new();
            let mut command = house.command(&["demo"]);
            let mut serving = Serving::spawn(&mut command);
            let mut out = serving.child.stdout.take().unwrap();
            serving.stop();
            let mut said = String::new();
            out.read_to_string(&mut said).unwrap();
            (house, said)
        });
        let house = Self::new();
        copy(&FILLED.0.data(), &house.data());
        assert!(FILLED.1.contains("doctor@demo.infirmary.example"), "{}", FILLED.1);
        house
    }

    fn damage(&self, statements: &str) {
        // What is damaged is not damaged by us: no check of the tables stands against it.
        let statements = format!("PRAGMA ignore_check_constraints = ON; {statements}");
        Connection::open(self.data().join("infirmary.db")).unwrap().execute_batch(&statements).unwrap();
    }

    /// The files of a kind of object.
    fn objects(&self, kind: &str) -> Vec<PathBuf> {
        files(&self.data().join("objects").join(kind)).into_iter().map(|(path, _)| path).collect()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_infirmary"));
        // An environment of its own: no setting of the one who runs the tests, and no `.env`.
        command.args(arguments).env_clear().current_dir(self.folder.path());
        command.env("INFIRMARY_DATA_DIR", self.data()).env("INFIRMARY_LISTEN", "127.0.0.1:0");
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        ended(self.command(arguments).output().unwrap())
    }

    fn admin_create(&self, email: &str) -> Ended {
        let mut command = self.command(&["admin", "create", "--email", email, "--name", "Ada", "--password-stdin"]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
        ended(child.wait_with_output().unwrap())
    }
}

fn ended(output: Output) -> Ended {
    Ended {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Ended {
    #[track_caller]
    fn well(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// What it said, on whichever stream.
    #[track_caller]
    fn refused(self) -> String {
        assert_eq!(self.code, Some(1), "{self:?}");
        self.out + &self.err
    }
}

/// A server that is stopped when this is dropped.
struct Serving {
    child: Child,
    address: String,
}

impl Serving {
    fn start(house: &House) -> Self {
        Self::spawn(house.command(&["serve"]).stdout(Stdio::null()))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines.find_map(|line| {
            let line = line.unwrap();
            assert!(!line.contains("stopped"), "it ended before it served: {line}");
            let rest = line.split_once(" serving address=")?.1;
            rest.split_whitespace().next().map(str::to_owned)
        });
        let address = address.expect("it ended before it served");
        // Nobody reads on; a full pipe would hold the server up.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }
}

impl Serving {
    /// As an operator would, and waits for the end.
    fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// All files below a folder, with their bytes.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for entry in entries.map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push((entry.path(), fs::read(entry.path()).unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn an_unknown_setting_stops_the_start_and_is_named() {
    let house = House::new();
    let said = ended(house.command(&["serve"]).env("INFIRMARY_LISTENN", "x").output().unwrap()).refused();
    assert!(said.contains("INFIRMARY_LISTENN") && said.contains("INFIRMARY_LISTEN"), "{said}");
    assert!(!house.data().exists());
}

#[test]
fn the_document_is_json_without_a_house() {
    let house = House::new();
    let document: serde_json::Value = serde_json::from_str(&house.run(&["openapi"]).well()).unwrap();
    assert_eq!(document["openapi"].as_str().map(|version| &version[..3]), Some("3.1"));
    assert!(document["paths"].as_object().unwrap().contains_key("/v1/patients"));
    assert!(!house.data().exists());
}

#[test]
fn an_admin_is_made_once() {
    let house = House::new();
    house.admin_create("ada@example.org").well();
    let said = house.admin_create("Ada@Example.org").refused();
    assert!(!said.contains("herons"), "{said}");
    house.admin_create("grace@example.org").well();
    house.run(&["verify"]).well();
}

#[test]
fn what_is_not_there_is_neither_verified_nor_backed_up_nor_made() {
    let house = House::new();
    let said = house.run(&["verify"]).refused();
    assert!(said.contains("no database"), "{said}");
    house.run(&["backup", "b.tar"]).refused();
    assert!(files(house.folder.path()).is_empty());
}

#[test]
fn without_its_secrets_a_house_does_not_start_with_new_ones() {
    let house = House::new();
    house.admin_create("ada@example.org").well();
    fs::rename(house.data().join("secrets"), house.path("elsewhere")).unwrap();
    let said = house.run(&["serve"]).refused();
    assert!(said.contains("secrets"), "{said}");
    assert!(!house.data().join("secrets").exists());
    // Neither needs them.
    house.run(&["verify"]).well();
    house.run(&["backup", "b.tar"]).well();
}

#[test]
fn with_secrets_of_another_house_it_does_not_start() {
    let (house, other) = (House::new(), House::new());
    house.admin_create("ada@example.org").well();
    other.admin_create("ada@example.org").well();
    for key in ["pepper.key", "signing.key"] {
        let (own, others) = (house.data().join("secrets").join(key), other.data().join("secrets").join(key));
        let kept = house.path("kept");
        fs::rename(&own, &kept).unwrap();
        fs::copy(others, &own).unwrap();
        let said = house.run(&["serve"]).refused();
        assert!(said.contains("are not those that the database") && said.contains("infirmary.db"), "{said}");
        fs::rename(kept, own).unwrap();
    }
    Serving::start(&house).stop();
}

#[test]
fn a_house_of_before_there_was_a_check_value_begins_with_the_secrets_it_has() {
    let house = House::new();
    house.admin_create("ada@example.org").well();
    house.damage("DROP TABLE house; PRAGMA user_version = 4");
    Serving::start(&house).stop();
    fs::remove_file(house.data().join("secrets/pepper.key")).unwrap();
    fs::write(house.data().join("secrets/pepper.key"), "kJ8sQm2xZp0vLr7tWn4yBd6fHc1gKa9e").unwrap();
    Command::new("chmod").args(["-R", "go=", &house.data().display().to_string()]).status().unwrap();
    assert!(house.run(&["serve"]).refused().contains("are not those"));
}

#[test]
fn a_verification_changes_no_file() {
    let house = House::new();
    house.admin_create("ada@example.org").well();
    let before = files(&house.data());
    house.run(&["verify"]).well();
    assert!(before == files(&house.data()));
}

#[test]
fn a_demo_house_holds_and_is_served_again_and_nothing_else_is_filled() {
    let house = House::demo();
    let verified = house.run(&["verify"]).well();
    assert!(verified.contains("clean") && verified.contains("12 patients"), "{verified}");
    Serving::spawn(house.command(&["demo"]).stdout(Stdio::null())).stop();
    assert!(house.run(&["verify"]).well().contains("12 patients"));

    fs::remove_file(house.data().join("demo-house")).unwrap();
    let said = house.run(&["demo"]).refused();
    assert!(said.contains("already") && said.contains("INFIRMARY_DATA_DIR"), "{said}");
    let said = ended(House::new().command(&["demo"]).env("INFIRMARY_LISTEN", "0.0.0.0:0").output().unwrap()).refused();
    assert!(said.contains("this machine only"), "{said}");
}

#[test]
fn damage_to_the_database_is_named() {
    let image = "(SELECT id FROM images LIMIT 1)";
    let cases = [
        ("UPDATE charges SET amount = 1 WHERE id = (SELECT charge FROM allocations)", "what is paid on a"),
        ("UPDATE payments SET amount = amount + 1 WHERE id = (SELECT id FROM payments LIMIT 1)", "sum of its alloc"),
        ("DELETE FROM charges WHERE id NOT IN (SELECT charge FROM allocations) AND report IS NULL", "it has no charge"),
        ("DELETE FROM refund_allocations", "a refund is the sum"),
        ("UPDATE charges SET currency = 'USD'", "in the currency of the facility"),
        (&format!("DELETE FROM images WHERE id = {image}"), "an image of it is missing"),
        (&format!("UPDATE images SET bytes = bytes + 1 WHERE id = {image}"), "bytes, and not the"),
        (&format!("UPDATE images SET patient = zeroblob(16) WHERE id = {image}"), "of another patient than its study"),
        (&format!("UPDATE images SET object = 'images/x' WHERE id = {image}"), "its object images/x should be"),
        (
            "DELETE FROM diagnosis_versions WHERE version = 1 AND diagnosis IN (SELECT id FROM diagnoses LIMIT 1)",
            "version",
        ),
        ("UPDATE diagnoses SET findings = 'Nothing.' WHERE study IS NOT NULL", "something else than its last version"),
        (
            "DELETE FROM studies WHERE id = (SELECT study FROM images LIMIT 1)",
            "is not there, and rows of images name it",
        ),
        ("DELETE FROM accounts WHERE role = 'doctor'", "its author has no account"),
        ("DELETE FROM patients WHERE account IS NOT NULL", "its patient record is not there"),
        ("UPDATE mrn_counter SET last = 3", "its record number is above"),
        ("DROP INDEX charges_by_study", "index charges_by_study: it is not there"),
        ("CREATE TABLE notes (text)", "table notes: it is none of this version"),
        ("DELETE FROM audit WHERE sequence = 5", "audit entry 5: is missing"),
        ("UPDATE audit SET at = at + 1 WHERE sequence = 7", "audit entry 7: the column at"),
        ("DELETE FROM audit WHERE action = 'study.record'", "the audit trail does not tell of it"),
        ("DELETE FROM audit WHERE action = 'payment.take'", "payment"),
        ("DELETE FROM audit WHERE action = 'payment.refund'", "tell of every refund of it"),
        ("DELETE FROM audit WHERE action = 'charge.void'", "tell that it was made void"),
        ("DELETE FROM audit WHERE action = 'report.issue'", "report"),
        ("DELETE FROM audit WHERE action = 'diagnosis.amend'", "tell of every change to it"),
        ("DELETE FROM audit WHERE action IN ('patient.register', 'account.register')", "tell of its registration"),
    ];
    let mut unnamed = Vec::new();
    for (damage, named) in cases {
        let house = House::demo();
        house.damage(&format!("PRAGMA foreign_keys = OFF; {damage}"));
        let ended = house.run(&["verify"]);
        if ended.code != Some(1) || !ended.out.contains(named) {
            unnamed.push((damage.to_owned(), ended));
        }
    }
    assert!(unnamed.is_empty(), "{unnamed:#?}");
}

#[test]
fn damage_to_objects_is_named() {
    let house = House::demo();
    let images = house.objects("images");
    let mut bytes = fs::read(&images[0]).unwrap();
    bytes[100] ^= 1;
    fs::write(&images[0], bytes).unwrap();
    fs::remove_file(&images[1]).unwrap();
    let said = house.run(&["verify"]).refused();
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let line = |path| said.lines().find(|line| line.contains(&name(path))).unwrap_or_default().to_owned();
    assert!(line(&images[0]).contains("SHA-256"), "{said}");
    assert!(line(&images[1]).contains("is not there"), "{said}");
    // A backup of it would not be one.
    let said = house.run(&["backup", "b.tar"]).refused();
    assert!(said.contains("SHA-256") || said.contains("is not there"), "{said}");
    assert!(!house.path("b.tar").exists() && !house.path("b.tar.partial").exists());
}

#[test]
fn a_log_that_was_cut_or_made_anew_is_told_by_the_head_that_was_kept() {
    let house = House::demo();
    let verified = house.run(&["verify"]).well();
    let head = verified.lines().find_map(|line| line.strip_prefix("audit head")).unwrap().trim().to_owned();
    house.run(&["verify", "--head", &head]).well();

    // The same by a file, to which a line was added now and then.
    let first = house.run(&["audit", "head"]).well();
    assert!(first.trim_end().ends_with(&head), "{first}");
    house.admin_create("second@example.org").well();
    let kept = format!("# kept elsewhere\n{first}{}", house.run(&["audit", "head"]).well());
    fs::write(house.path("heads"), &kept).unwrap();
    house.run(&["verify", "--heads", "heads"]).well();
    let (_, hash) = head.split_once(':').unwrap();
    let another: String = hash.chars().rev().collect();
    fs::write(house.path("other"), kept.replace(hash, &another)).unwrap();
    assert!(house.run(&["verify", "--heads", "other"]).refused().contains("is not the one that was exported"));
    fs::write(house.path("nonsense"), "nonsense").unwrap();
    assert!(house.run(&["verify", "--heads", "nonsense"]).refused().contains("N:HASH"));
    assert!(house.run(&["verify", "--heads", "absent"]).refused().contains("cannot be used"));

    house.damage("DELETE FROM audit WHERE sequence = (SELECT max(sequence) FROM audit WHERE action = 'session.start')");
    house.damage("DELETE FROM audit WHERE sequence > (SELECT max(sequence) FROM audit) - 2");
    assert!(house.run(&["verify", "--head", &head]).refused().contains("was exported, and the log ends before it"));
    let told = house.run(&["verify", "--heads", "heads"]).refused();
    assert!(told.contains("was exported, and the log ends before it"), "{told}");
}

#[test]
fn a_backup_of_a_serving_house_is_restored_elsewhere_and_holds() {
    let house = House::demo();
    let serving = Serving::start(&house);
    let writing = std::thread::spawn({
        let url = format!("http://{}/v1/auth/register", serving.address);
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                infirmary_server::wiring::choose_tls_provider();
                let client = reqwest::Client::new();
                for n in 0..4 {
                    let body = serde_json::json!({
                        "email": format!("n{n}@example.org"), "name": "Somebody New",
                        "password": "seven quiet herons at dusk",
                    });
                    let answer = client.post(&url).json(&body).send().await.unwrap();
                    assert_eq!(answer.status(), 201);
                }
            });
        }
    });
    let told = house.run(&["backup", "b.tar", "--with-secrets"]).well();
    writing.join().unwrap();
    serving.stop();
    let head = told.lines().find_map(|line| line.strip_prefix("audit head")).unwrap().trim().to_owned();
    assert!(house.run(&["backup", "b.tar"]).refused().contains("exists already"));

    let other = House::new();
    let archive = house.path("b.tar").display().to_string();
    let restored = other.run(&["restore", &archive, "--head", &head]).well();
    assert!(restored.contains("clean"), "{restored}");
    other.run(&["verify", "--head", &head]).well();
    assert_eq!(house.objects("images").len(), other.objects("images").len());
    Serving::start(&other).stop();
    let said = other.run(&["restore", &archive]).refused();
    assert!(said.contains("not empty"), "{said}");
}

#[test]
fn an_archive_that_was_tampered_with_leaves_nothing() {
    let house = House::demo();
    house.run(&["backup", "b.tar"]).well();
    let archive = fs::read(house.path("b.tar")).unwrap();
    let half = archive.len() / 2;
    let mut flipped = archive.clone();
    flipped[half] ^= 1;
    for tampered in [flipped, archive[..half].to_vec(), archive[512..].to_vec(), b"no archive at all".to_vec()] {
        let other = House::new();
        fs::write(other.path("b.tar"), tampered).unwrap();
        other.run(&["restore", "b.tar"]).refused();
        assert_eq!(files(other.folder.path()).len(), 1, "only the archive is there");
        assert!(!other.data().exists());
    }
    // Whole, and not the one that was asked for.
    let other = House::new();
    fs::write(other.path("b.tar"), &archive).unwrap();
    let said = other.run(&["restore", "b.tar", "--head", &format!("9999:{}", "0".repeat(64))]).refused();
    assert!(said.contains("was exported"), "{said}");
    assert!(!other.data().exists());
    let restored = ended(other.command(&["restore", "b.tar"]).output().unwrap());
    assert!(restored.err.contains("THE SECRETS ARE NOT IN THIS ARCHIVE"), "{restored:?}");
    assert!(other.run(&["serve"]).refused().contains("secrets"));
    copy(&house.data().join("secrets"), &other.data().join("secrets"));
    Command::new("chmod").args(["-R", "go=", &other.data().display().to_string()]).status().unwrap();
    Serving::start(&other).stop();
}

/// What must be in no log.
#[derive(Default)]
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    fn keep<T: Into<String>>(&mut self, what: &'static str, secret: T) -> String {
        let secret = secret.into();
        assert!(secret.len() > 5, "{what} is too short to be looked for");
        self.0.push((what, secret.clone()));
        secret
    }

    fn keep_from(&mut self, what: &'static str, value: &Value) -> String {
        self.keep(what, value.as_str().unwrap_or_else(|| panic!("{what} is no text")))
    }
}

#[tokio::test]
async fn the_log_of_a_day_holds_no_secret_and_nothing_of_a_person() {
    infirmary_server::wiring::choose_tls_provider();
    let house = House::new();
    let mut secrets = Secrets::default();
    let admin_email = secrets.keep("e-mail of the admin", "quilldorn@infirmary.example");
    assert_eq!(house.admin_create(&admin_email).code, Some(0));
    // Debug is the most that an operator is told of. Nobody takes the messages, so that each try of one fails.
    let log = house.path("log");
    let mut command = house.command(&["serve"]);
    command.stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap());
    command.envs([("INFIRMARY_LOG", "debug"), ("INFIRMARY_LOG_FORMAT", "json"), ("INFIRMARY_REPORT_NOTICES", "on")]);
    let provider_token = secrets.keep("token of the provider", "EAAJBquilldorn0123456789");
    command
        .env("INFIRMARY_WHATSAPP_PHONE_NUMBER_ID", "105954558954427")
        .env("INFIRMARY_WHATSAPP_TOKEN", provider_token);
    command.env("INFIRMARY_WHATSAPP_URL", "http://127.0.0.1:9");
    let child = command.spawn().unwrap();
    let entries = || -> Vec<Value> {
        fs::read_to_string(&log).unwrap().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    let said = |message: &str| entries().into_iter().find(|entry| entry["fields"]["message"] == message);
    let address = wait_for(|| said("serving")).await["fields"]["address"].as_str().unwrap().to_owned();
    let serving = Serving { child, address };

    let client = reqwest::Client::new();
    let url = |path: &str| format!("http://{}{path}", serving.address);
    let post = async |token: &str, path: &str, body: Value| {
        let answer = client.post(url(path)).bearer_auth(token).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap_or_default())
    };
    let password = secrets.keep("password", PASSWORD);
    let (_, admin) = post("", "/v1/auth/login", json!({"email": admin_email, "password": password})).await;
    let admin = secrets.keep_from("access token of the admin", &admin["accessToken"]);
    let email = secrets.keep("e-mail of the doctor", "brackwater@infirmary.example");
    let staff = json!({"email": email, "name": secrets.keep("name of the doctor", "Brackwater"), "role": "doctor"});
    let (_, invited) = post(&admin, "/v1/accounts", staff).await;
    let code = secrets.keep_from("invitation", &invited["invitation"]["code"]);
    let (_, doctor) = post("", "/v1/auth/invitation", json!({"code": code, "password": password})).await;
    let doctor = secrets.keep_from("access token of the doctor", &doctor["accessToken"]);

    let (email, phone) =
        (secrets.keep("e-mail", "hollowmere@infirmary.example"), secrets.keep("phone", "+9647507318264"));
    secrets.keep("phone", "7507318264");
    let registration = json!({"email": email, "password": password, "phone": phone, "birthDate": "1987-03-04",
        "name": secrets.keep("name", "Hollowmere Thistledown"), "address": secrets.keep("address", "9 Fennelgate Row")});
    secrets.keep("a part of the name", "Thistledown");
    let (status, patient) = post("", "/v1/auth/register", registration).await;
    assert_eq!(status, 201, "{patient}");
    let id = patient["account"]["patientId"].as_str().unwrap();
    let refresh = secrets.keep_from("refresh token", &patient["refreshToken"]);
    let patient = secrets.keep_from("access token", &patient["accessToken"]);
    let (_, again) = post("", "/v1/auth/refresh", json!({"refreshToken": refresh})).await;
    secrets.keep_from("second refresh token", &again["refreshToken"]);
    let wrong = secrets.keep("wrong password", "mistaken marigold meadow");
    assert_eq!(post("", "/v1/auth/login", json!({"email": email, "password": wrong})).await.0, 401);
    assert_eq!(post(&patient, "/v1/auth/otp", json!({"phone": phone, "purpose": "phoneVerification"})).await.0, 202);
    let database = Connection::open(house.data().join("infirmary.db")).unwrap();
    // It is in the database until it is given up.
    if let Ok(code) = database.query_row("SELECT code FROM messages WHERE code IS NOT NULL", [], |row| row.get(0)) {
        secrets.keep::<String>("code", code);
    }

    let details = json!({"patientId": id, "modality": "CT", "confirmed": true,
        "disease": secrets.keep("disease", "Glimmerpox"), "findings": secrets.keep("findings", "duskfern opacity")});
    let study = Part::text(details.to_string()).mime_str("application/json").unwrap();
    let image = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/images/phantom.png")).unwrap();
    let image = Part::bytes(image).file_name(format!("{}.png", secrets.keep("file name", "larkspurfile")));
    let form = Form::new().part("study", study).part("image", image);
    let study = client.post(url("/v1/studies")).bearer_auth(&doctor).multipart(form).send().await.unwrap();
    assert_eq!(study.status(), 201);
    let study: Value = study.json().await.unwrap();
    let (status, report) = post(&doctor, "/v1/reports", json!({"diagnosisId": study["diagnosis"]["id"]})).await;
    assert_eq!(status, 201, "{report}");
    secrets.keep_from("verification code", &report["verificationCode"]);
    let (_, link) =
        post(&patient, &format!("/v1/images/{}/link", study["images"][0]["id"].as_str().unwrap()), json!({})).await;
    let link = secrets.keep_from("link", &link["url"]);
    let link = secrets.keep("token of a link", link.rsplit('/').next().unwrap());
    assert_eq!(client.get(url(&format!("/v1/links/{link}"))).send().await.unwrap().status(), 200);

    // What is said in the wrong place.
    let lost = secrets.keep("word in a query", "wanderingquery");
    for path in [format!("/v1/patients?q={lost}"), format!("/v1/nowhere/{lost}"), format!("/v1/patients?{lost}={lost}")]
    {
        client.get(url(&path)).bearer_auth(&doctor).header("user-agent", "x").send().await.unwrap();
    }
    let lost = secrets.keep("word in a broken body", "strandedbody");
    let broken = client.post(url("/v1/patients")).bearer_auth(&doctor).header("content-type", "application/json");
    assert_eq!(broken.body(format!("{{\"name\": \"{lost}\"")).send().await.unwrap().status(), 400);
    assert_eq!(post(&doctor, "/v1/patients", json!({"name": lost, lost.as_str(): lost})).await.0, 422);
    let unknown = secrets.keep("a bad token", "quaverlessquaverless");
    assert_eq!(post(&unknown, "/v1/patients", json!({})).await.0, 401);

    let legacy = json!({"Email": email, "password": password});
    let token = client.post(url("/api/auth/login/")).json(&legacy).send().await.unwrap().text().await.unwrap();
    let token = secrets.keep("token of the replaced system", token);
    let asked = client.get(url("/api/userdata/user/data")).header("x-access-token", &token).header("uid", id);
    assert_eq!(asked.send().await.unwrap().status(), 200);

    // Both messages have been tried.
    let tried = |entry: &Value| entry["fields"]["message"].as_str().is_some_and(|said| said.starts_with("a message "));
    wait_for(|| (entries().iter().filter(|entry| tried(entry)).count() > 1).then_some(())).await;
    serving.stop();

    let entries = entries();
    assert!(entries.iter().filter(|entry| entry["fields"]["message"] == "answered").count() > 15, "{entries:?}");
    for mut entry in entries {
        // Its digits are those of a code, now and then.
        entry.as_object_mut().unwrap().remove("timestamp");
        let line = entry.to_string();
        for (what, secret) in &secrets.0 {
            assert!(!line.to_lowercase().contains(&secret.to_lowercase()), "the log holds {what}: {line}");
        }
    }
}

async fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let waiting = async {
        loop {
            match look() {
                Some(found) => return found,
                None => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), waiting).await.expect("it comes within a minute")
}
