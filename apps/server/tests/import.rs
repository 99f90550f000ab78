//! The replaced system's house is taken over: imported by the program itself, imported again, killed in the middle; and then
//! its people go on as if nothing had happened.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as expected")]

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use infirmary_mongodb::testing::{self, TestDatabase};
use infirmary_objects::{
    Service,
    testing::{BucketServer, Line, credentials},
};
use infirmary_tests::{
    dart::Dart,
    old_house::{self, OLD_PASSWORD, pdf},
};
use mongodb::{
    Database,
    bson::{Document, doc},
};
use serde_json::{Value, json};
use tempfile::TempDir;

const INFIRMARY: &str = env!("CARGO_BIN_EXE_infirmary");

/// An old house and the folder of a new one.
struct Houses {
    old: Database,
    from: String,
    folder: TempDir,
    /// Where the rows of the new one are, when they are not in a file.
    to: Option<TestDatabase>,
    _database: TestDatabase,
}

impl Houses {
    /// `None`, with the reason on the standard output, where there is no server.
    async fn new() -> Option<Self> {
        let database = testing::database()?;
        let old = database.client().await;
        let (from, folder) = (database.address.clone(), tempfile::tempdir().unwrap());
        Some(Self { old, from, folder, to: None, _database: database })
    }

    fn files(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    async fn fill(&self) {
        let photo =
            fs::read(format!("{}/../../tests/fixtures/images/phantom.png", env!("CARGO_MANIFEST_DIR"))).unwrap();
        old_house::fill(&self.old, &self.files(), &photo).await;
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(INFIRMARY);
        command.args(arguments).env_clear().env("INFIRMARY_DATA_DIR", self.data()).current_dir(self.folder.path());
        command.env("INFIRMARY_LISTEN", "127.0.0.1:0").env("INFIRMARY_WORKERS", "1");
        command.envs(self.to.iter().map(|database| ("INFIRMARY_STORE", &database.address)));
        command
    }

    fn import(&self, more: &[&str]) -> Output {
        let files = self.files();
        let mut arguments = vec!["import", "--from", &self.from];
        if files.exists() {
            arguments.extend(["--files", files.to_str().unwrap()]);
        }
        arguments.extend(more);
        self.command(&arguments).output().unwrap()
    }

    /// What was printed, of an import that ended well.
    #[track_caller]
    fn imported(&self, more: &[&str]) -> String {
        let output = self.import(more);
        let (said, failed) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success(), "{failed}\n{said}");
        said
    }

    fn serve(&self) -> Serving {
        let log = self.folder.path().join("log");
        let mut command = self.command(&["serve"]);
        command.stderr(fs::File::create(&log).unwrap()).stdout(Stdio::null());
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut serving = Serving { child: command.spawn().unwrap(), address: nowhere };
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let text = fs::read_to_string(&log).unwrap();
            let address = text.lines().find(|line| line.contains("serving")).and_then(|line| {
                line.split(' ').find_map(|word| word.strip_prefix("address=")?.parse::<SocketAddr>().ok())
            });
            if let Some(address) = address {
                serving.address = address;
                return serving;
            }
            assert!(Instant::now() < deadline, "{text}");
            sleep(Duration::from_millis(20));
        }
    }
}

struct Serving {
    child: Child,
    address: SocketAddr,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The numbers of a line of the summary: read, added, there, not taken, changed.
#[track_caller]
fn counts(said: &str, collection: &str) -> [u64; 5] {
    let line = said.lines().find(|line| line.starts_with(&format!("{collection} ")));
    let line = line.unwrap_or_else(|| panic!("no line of {collection} in\n{said}"));
    let numbers: Vec<u64> = line.split([' ', ',', ';']).filter_map(|word| word.parse().ok()).collect();
    numbers.try_into().unwrap()
}

#[track_caller]
fn told(said: &str, what: &str, id: &str, why: &str) {
    let is_it = |line: &str| line.starts_with(what) && line.contains(id) && line.contains(why);
    assert!(said.lines().any(is_it), "no line `{what} … {id} … {why}` in\n{said}");
}

#[tokio::test]
async fn a_dry_run_tells_all_and_changes_nothing() {
    let Some(houses) = Houses::new().await else { return };
    houses.fill().await;
    let said = houses.imported(&["--dry-run"]);
    assert!(!houses.data().exists(), "there is no house yet");
    for (what, id, why) in [
        ("changed", old_house::user(13).to_hex(), "totals disagree"),
        ("changed", old_house::user(14).to_hex(), &format!("e-mail is that of user {}", old_house::user(10))[..]),
        ("not taken", old_house::user(15).to_hex(), "but for its case"),
        ("not taken", old_house::user(16).to_hex(), "account type"),
        ("changed", old_house::user(17).to_hex(), "phone number is left out"),
        ("changed", old_house::user(18).to_hex(), "password"),
        ("not taken", old_house::image(3).to_hex(), "not in images/"),
        ("not taken", old_house::image(4).to_hex(), "cannot be taken"),
        ("changed", old_house::diagnosis(5).to_hex(), "its doctor"),
        ("not taken", old_house::diagnosis(6).to_hex(), "its patient is not there"),
        ("not taken", old_house::bill(6).to_hex(), "its patient is not there"),
        ("changed", old_house::diagnosis(7).to_hex(), "without being confirmed"),
        ("not taken", old_house::report(7).to_hex(), "not in reports/"),
        ("not taken", old_house::report(77).to_hex(), "its diagnosis is not there"),
        ("changed", old_house::diagnosis(8).to_hex(), "no bill"),
    ]
    .map(|(what, id, why)| (what, id, why.to_owned()))
    {
        told(&said, what, &id, &why);
    }
    assert!(!said.contains('@') && !said.contains("ئازاد"), "ids and reasons only:\n{said}");
    assert_eq!(counts(&said, "users"), [12, 10, 0, 2, counts(&said, "users")[4]]);
    assert_eq!(counts(&said, "diagnoses")[..4], [9, 8, 0, 1]);
    assert_eq!(counts(&said, "reports")[..4], [3, 1, 0, 2]);
    assert_eq!(counts(&said, "payments")[1], 3);
    let real = houses.imported(&[]);
    let summary = |said: &str| -> Vec<[u64; 5]> {
        ["users", "tasks", "imgs", "financialsystems", "reports", "diagnoses", "payments"]
            .map(|collection| counts(said, collection))
            .to_vec()
    };
    assert_eq!(summary(&said), summary(&real), "what was told is what was done");
    assert!(real.contains("clean: 6 patients"), "{real}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_come_from_the_old_bucket_as_from_a_folder() {
    let (Some(server), Some(houses)) = (BucketServer::shared(), Houses::new().await) else { return };
    houses.fill().await;
    let of_folder = houses.imported(&["--dry-run"]);
    let bucket = server.bucket();
    for folder in ["images", "reports"] {
        for file in fs::read_dir(houses.files().join(folder)).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().replace('%', "%25").replace(' ', "%20");
            server.put(&format!("{bucket}/{folder}/{name}"), &fs::read(path).unwrap());
        }
    }
    fs::rename(houses.files(), houses.folder.path().join("away")).unwrap();
    let line = Line::to(server).await;
    let key = credentials(Service::GoogleCloudStorage, &line, houses.folder.path());
    let files = ["--files", &format!("gs://{bucket}"), "--files-key", key.to_str().unwrap()];
    let said = houses.imported(&files);
    for collection in ["imgs", "diagnoses", "reports", "payments"] {
        assert_eq!(counts(&said, collection), counts(&of_folder, collection), "{collection}:\n{said}");
    }
    told(&said, "not taken", &old_house::image(3).to_hex(), "not in images/");
    assert!(said.contains("clean: 6 patients"), "{said}");
}

#[tokio::test]
async fn imported_again_there_is_nothing_twice_and_what_is_new_is_taken() {
    let Some(houses) = Houses::new().await else { return };
    houses.fill().await;
    let first = houses.imported(&["--calling-code", "964"]);
    let again = houses.imported(&["--calling-code", "964"]);
    for collection in ["users", "tasks", "financialsystems", "reports", "diagnoses", "imgs"] {
        let ([_, added, ..], [_, more, there, ..]) = (counts(&first, collection), counts(&again, collection));
        assert_eq!((more, there), (0, added), "{collection}:\n{again}");
    }
    // The old house goes on: a bill is paid, a diagnosis is made.
    let update = doc! {"$set": {"isPaid": true}};
    let bills = houses.old.collection::<Document>("financialsystems");
    bills.update_one(doc! {"_id": old_house::bill(2)}, update).await.unwrap();
    let diagnoses = houses.old.collection::<Document>("diagnoses");
    diagnoses.insert_one(old_house::diagnosis_row(20, 11, 2)).await.unwrap();
    houses.old.collection::<Document>("imgs").insert_one(old_house::image_row(20, 11)).await.unwrap();
    fs::copy(houses.files().join("images/scan 1.png"), houses.files().join("images/scan 20.png")).unwrap();
    bills.insert_one(old_house::bill_row(old_house::bill(20), 11, 299, "X-Ray", false)).await.unwrap();
    let third = houses.imported(&["--calling-code", "964"]);
    assert_eq!(counts(&third, "diagnoses")[1], 1);
    assert_eq!(counts(&third, "imgs")[1], 1);
    assert_eq!(counts(&third, "payments")[1], 1);
    assert_eq!(counts(&third, "financialsystems")[1], 1);
    assert!(third.contains("clean:"), "{third}");
    // Files that were missing come after all.
    fs::copy(houses.files().join("images/scan 1.png"), houses.files().join("images/scan 3.png")).unwrap();
    fs::write(houses.files().join("reports/report 7.pdf"), pdf()).unwrap();
    let fourth = houses.imported(&["--calling-code", "964"]);
    assert_eq!((counts(&fourth, "imgs")[1], counts(&fourth, "reports")[1]), (1, 1), "{fourth}");
    assert_eq!((counts(&fourth, "diagnoses")[1], counts(&fourth, "financialsystems")[1]), (0, 0), "{fourth}");
    assert!(fourth.contains("clean:"), "{fourth}");
}

#[tokio::test]
async fn a_house_is_taken_over_into_a_database_as_into_a_file() {
    let Some(mut houses) = Houses::new().await else { return };
    houses.fill().await;
    let of_file = houses.imported(&["--dry-run"]);
    houses.to = testing::database();
    let (dry, real, again) = (houses.imported(&["--dry-run"]), houses.imported(&[]), houses.imported(&[]));
    for collection in ["users", "tasks", "imgs", "financialsystems", "reports", "diagnoses", "payments"] {
        let expected = counts(&of_file, collection);
        assert_eq!(
            (counts(&dry, collection), counts(&real, collection)),
            (expected, expected),
            "{collection}:\n{real}"
        );
    }
    for collection in ["users", "tasks", "imgs", "financialsystems", "reports", "diagnoses"] {
        let ([_, added, ..], [_, more, there, ..]) = (counts(&real, collection), counts(&again, collection));
        assert_eq!((more, there), (0, added), "{collection}:\n{again}");
    }
    assert!(real.contains("clean: 6 patients") && again.contains("clean: 6 patients"), "{again}");
}

#[tokio::test]
async fn killed_in_the_middle_and_imported_again_it_is_whole() {
    let Some(houses) = Houses::new().await else { return };
    let diagnoses = 3_000;
    old_house::fill_many(&houses.old, diagnoses).await;
    let database = houses.data().join("infirmary.db");
    for rows in [200, 1_200, 2_000] {
        let mut import = houses.command(&["import", "--from", &houses.from]);
        let mut child = import.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // In the middle is when some diagnoses are there, and not all.
        let deadline = Instant::now() + Duration::from_secs(120);
        while rows_of(&database, "diagnoses") < rows && child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "it does not get on");
            sleep(Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(rows_of(&database, "diagnoses") >= rows);
    }
    let said = houses.imported(&[]);
    let [read, added, there, refused, _] = counts(&said, "diagnoses");
    assert_eq!((read, added + there, refused), (3_000, 3_000, 0), "{said}");
    assert!(there >= 2_000, "{said}");
    assert!(said.contains("clean: 300 patients, 0 studies, 3000 diagnoses, 4500 charges, 1000 payments"), "{said}");
}

fn rows_of(database: &Path, table: &str) -> i64 {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    rusqlite::Connection::open_with_flags(database, flags)
        .and_then(|database| database.query_row(&format!("SELECT count(*) FROM {table}"), (), |row| row.get(0)))
        .unwrap_or(0)
}

#[tokio::test]
async fn who_was_there_goes_on_with_the_old_password_and_finds_what_was_theirs() {
    let Some(houses) = Houses::new().await else { return };
    houses.fill().await;
    houses.imported(&[]);
    let serving = houses.serve();
    let nobody = Dart::new(serving.address);
    let refused = nobody.post("/api/auth/login/", &json!({"Email": old_house::email(10), "password": "wrong"})).await;
    assert_eq!(refused.text(400), "Invalid Credentials");

    let patient = nobody.sign_in(&old_house::email(10), OLD_PASSWORD).await;
    let (doctor, accountant) = (
        nobody.sign_in("User2@old.example", OLD_PASSWORD).await,
        nobody.sign_in(&old_house::email(3), OLD_PASSWORD).await,
    );
    let again = nobody.sign_in(&old_house::email(10), OLD_PASSWORD).await;
    assert_eq!(again.uid, patient.uid, "the replaced hash takes the same password");
    assert_eq!((&patient.uid, &doctor.uid), (&old_house::user(10).to_hex(), &old_house::user(2).to_hex()));

    // The old answer and the new one, field by field.
    let data = patient.get("/api/userdata/user/data").await.json();
    let bills = [299 * 6 + 50 * 2, 299 * 5 + 50];
    let old = json!({
        "_id": old_house::user(10).to_hex(), "Email": old_house::email(10), "Address1": "10 High Street",
        "Name": "Person 10 ئازاد", "accountType": "Patient", "dateCreated": 1_600_000_000_000_u64,
        "totalCost": bills[0], "amountLeftToPay": bills[1], "phoneNum": 9_647_501_000_010_u64,
    });
    assert_eq!(data, old);
    let list = format!("/api/diagnosis/getDiagnosis/{}", patient.uid);
    let listed = doctor.get(&list).await.json();
    let whole = find(&listed, &old_house::diagnosis(1).to_hex());
    let old = json!({
        "_id": old_house::diagnosis(1).to_hex(), "imgID": old_house::image(1).to_hex(), "classification": "X-Ray",
        "disease": "Disease 1", "diagnosis": "تەمێک لە سییەکاندا", "doctorConfirmation": true,
        "patientID": patient.uid, "Conditions": "Asthma", "Date": "2020-09-14T12:26:40.000Z", "doctorID": doctor.uid,
    });
    assert_eq!(whole, old);
    assert_eq!(find(&listed, &old_house::diagnosis(2).to_hex())["doctorConfirmation"], false);
    assert_eq!(find(&listed, &old_house::diagnosis(3).to_hex())["imgID"], "");
    let seen = patient.get(&list).await.json();
    assert_eq!(seen.as_array().unwrap().len(), listed.as_array().unwrap().len() - 1, "but for the unconfirmed one");

    let details = format!("/api/diagnosis/getDiagnosisDetails/{}", old_house::diagnosis(1));
    let details = patient.get(&details).await.json();
    assert_eq!((&details[1], &details[2]), (&json!("Person 2 ئازاد"), &json!("Person 10 ئازاد")));
    let photo = fs::read(houses.files().join("images/scan 1.png")).unwrap();
    assert_eq!(nobody.get(&format!("/api/{}", details[3].as_str().unwrap())).await.bytes, photo);
    let reports = patient.get(&format!("/api/report/getReportPatient/{}", patient.uid)).await.json();
    assert_eq!((reports.as_array().unwrap().len(), &reports[0]["_id"]), (1, &json!(old_house::report(1).to_hex())));
    let paper = nobody.get(&format!("/api/{}", reports[0]["pdfUrl"].as_str().unwrap())).await;
    assert_eq!(paper.bytes, pdf());

    let payments = format!("/api/patient/getPatientPayments/{}", patient.uid);
    let bill = find(&accountant.get(&payments).await.json(), &old_house::bill(2).to_hex());
    assert_eq!((&bill["Cost"], &bill["isPaid"], &bill["desc"]), (&json!(299), &json!(false), &json!("X-Ray")));
    let paid = json!({"fID": bill["_id"], "pID": patient.uid, "desc": "X-Ray"});
    for _ in 0..2 {
        assert_eq!(accountant.put("/api/financial/setIsPaid", &paid).await.text(200), "done");
    }
    let data = patient.get("/api/userdata/user/data").await.json();
    assert_eq!(data["amountLeftToPay"], bills[1] - 299);
    drop(serving);

    // Paid here and there, it is paid once.
    let bills = houses.old.collection::<Document>("financialsystems");
    bills.update_one(doc! {"_id": old_house::bill(2)}, doc! {"$set": {"isPaid": true}}).await.unwrap();
    assert!(houses.imported(&[]).contains("clean:"));
    let serving = houses.serve();
    let accountant = Dart::new(serving.address).sign_in(&old_house::email(3), OLD_PASSWORD).await;
    let found = accountant.get("/api/userdata/user/getAllPatients/person%2010").await.json();
    assert_eq!(found[0]["amountLeftToPay"], data["amountLeftToPay"]);
}

fn find(list: &Value, id: &str) -> Value {
    let found = list.as_array().unwrap().iter().find(|row| row["_id"] == id);
    found.unwrap_or_else(|| panic!("{id} is not in {list}")).clone()
}

#[tokio::test]
async fn what_cannot_be_read_is_said_without_the_address() {
    let Some(houses) = Houses::new().await else { return };
    for (from, why) in
        [("mongodb://user:s3cret@127.0.0.1:1", "names no database"), ("ftp://user:s3cret@x/y", "is no address")]
    {
        let output = houses.command(&["import", "--from", from]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(why) && !said.contains("s3cret"), "{said}");
    }
}
