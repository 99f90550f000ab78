//! The server with its bytes in a bucket, over a line that can fail.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as expected")]

use std::time::Duration;

use infirmary_objects::{
    Service,
    testing::{BucketServer, Fault, Line, Operation, credentials},
};
use infirmary_server::{command::verify::verify, config::Config, wiring};
use infirmary_tests::{Answer, TestApp, User};
use reqwest::{
    Client, Method, StatusCode,
    multipart::{Form, Part},
    redirect::Policy,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A server whose bucket is behind a line.
struct House {
    app: TestApp,
    line: Line,
    settings: Vec<(&'static str, String)>,
    _folder: TempDir,
}

impl House {
    /// None without a server of buckets.
    async fn new(service: Service, more: &[(&'static str, &str)]) -> Option<Self> {
        Self::over(Line::to(BucketServer::shared()?).await, service, more).await
    }

    async fn over(line: Line, service: Service, more: &[(&'static str, &str)]) -> Option<Self> {
        let server = BucketServer::shared()?;
        let bucket = tokio::task::spawn_blocking(|| server.bucket()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = credentials(service, &line, folder.path());
        let scheme = match service {
            Service::GoogleCloudStorage => "gs",
            Service::S3 => "s3",
        };
        let mut settings = vec![
            ("INFIRMARY_OBJECTS", format!("{scheme}://{bucket}/house")),
            ("INFIRMARY_OBJECTS_CREDENTIALS", file.to_str().unwrap().to_owned()),
        ];
        settings.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let given: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let app = TestApp::start_with(&given).await;
        Some(Self { app, line, settings, _folder: folder })
    }

    /// What the command `verify` finds, with objects without a row taken for findings of no age.
    async fn findings(&self, stray_age: Duration) -> u64 {
        let mut settings = self.settings.clone();
        settings.push(("INFIRMARY_DATA_DIR", self.app.folder.path().to_str().unwrap().to_owned()));
        let config = Config::from_variables(settings.into_iter().map(|(name, value)| (name.to_owned(), value)));
        let inspected = wiring::inspect(&config.unwrap()).await.unwrap();
        verify(&inspected, &[], stray_age).await.unwrap().findings as u64
    }
}

const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

async fn upload(app: &TestApp, user: &User, key: &str, patient: &str) -> Answer {
    let study = json!({"patientId": patient, "modality": "CR", "disease": "Pneumonia", "findings": "Opacity",
        "conditions": "", "confirmed": true});
    let study = Part::text(study.to_string()).mime_str("application/json").unwrap();
    let form = Form::new().part("study", study);
    let image = |name: &str| Part::bytes(fixture(&format!("images/{name}"))).file_name(name.to_owned());
    let form = form.part("image", image("phantom.png")).part("image", image("turned.jpg"));
    app.send(user, Method::POST, "/v1/studies", |request| request.header("Idempotency-Key", key).multipart(form)).await
}

fn id(value: &Value) -> &str {
    value["id"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_house_in_a_bucket_serves_as_one_on_the_disk() {
    for service in [Service::GoogleCloudStorage, Service::S3] {
        let Some(house) = House::new(service, &[]).await else { return };
        let app = &house.app;
        let doctor = app.as_doctor().await;
        let patient = app.register_patient("Ada").await;
        let study = upload(app, &doctor, "one", id(&patient)).await.expect(StatusCode::CREATED);
        let image = id(&study["images"][0]).to_owned();
        let whole = app.get(&doctor, &format!("/v1/images/{image}/content")).await;
        assert!(whole.bytes == fixture("images/phantom.png"));
        let path = format!("/v1/images/{image}/content");
        let part = app.send(&doctor, Method::GET, &path, |request| request.header("Range", "bytes=100-199")).await;
        assert_eq!(part.bytes, whole.bytes[100..200]);
        for _ in 0..2 {
            let preview = app.get(&doctor, &format!("/v1/images/{image}/preview?size=128")).await;
            assert!(preview.bytes.starts_with(b"\x89PNG"));
        }
        let diagnosis = json!({"diagnosisId": study["diagnosis"]["id"]});
        let report = app.post(&doctor, "/v1/reports", &diagnosis).await.expect(StatusCode::CREATED);
        let pdf = app.get(&doctor, &format!("/v1/reports/{}/pdf", id(&report))).await;
        assert!(pdf.bytes.starts_with(b"%PDF-"));
        assert_eq!(house.findings(A_DAY).await, 0, "{service:?}");
        assert_eq!(app.get(&app.nobody(), "/health/ready").await.status, StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_leads_to_the_bucket_where_the_house_has_chosen_so() {
    let Some(house) = House::new(Service::S3, &[("INFIRMARY_OBJECTS_SIGNED_URLS", "on")]).await else { return };
    let app = &house.app;
    let doctor = app.as_doctor().await;
    let patient = app.register_patient("Ada").await;
    let study = upload(app, &doctor, "one", id(&patient)).await.expect(StatusCode::CREATED);
    let image = format!("/v1/images/{}", id(&study["images"][0]));
    let link = app.post(&doctor, &format!("{image}/link"), &Value::Null).await.expect(StatusCode::OK);
    let path = link["url"].as_str().unwrap().strip_prefix("https://infirmary.example").unwrap().to_owned();

    let client = Client::builder().redirect(Policy::none()).build().unwrap();
    let answer = client.get(app.url(&path)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(answer.headers()["cache-control"], "private, no-store");
    let there = answer.headers()["location"].to_str().unwrap().to_owned();
    assert!(there.starts_with(&house.line.url()), "{there}");
    let bytes = client.get(&there).send().await.unwrap().bytes().await.unwrap();
    assert!(bytes == fixture("images/phantom.png"));
    // Who sends a token is served here, and a link that is over leads nowhere.
    let here = app.send(&doctor, Method::GET, &format!("{image}/content"), |request| request).await;
    assert_eq!(here.status, StatusCode::OK);
    app.post(&doctor, "/v1/auth/logout", &Value::Null).await;
    assert_eq!(client.get(app.url(&path)).send().await.unwrap().status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_bucket_is_open_to_strangers_is_not_ready() {
    let Some(server) = BucketServer::shared() else { return };
    let line = Line::to(server).await;
    line.open_to_strangers(true);
    let house = House::over(line, Service::GoogleCloudStorage, &[]).await.unwrap();
    let ready = async || house.app.get(&house.app.nobody(), "/health/ready").await;
    ready().await.problem(503);
    house.line.open_to_strangers(false);
    assert_eq!(ready().await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_over_a_bad_line_is_recorded_wholly_or_not_and_a_retry_ends_with_one_study_and_one_charge() {
    let faults = [
        Fault::Status(500),
        Fault::Status(503),
        Fault::Status(429),
        Fault::StatusAfter(502),
        Fault::Reset,
        Fault::LostAnswer,
    ];
    let Some(house) = House::new(Service::GoogleCloudStorage, &[]).await else { return };
    let app = &house.app;
    let (doctor, accountant) = (app.as_doctor().await, app.as_accountant().await);
    for fault in faults {
        for (operation, times) in
            [(Operation::Put, 1), (Operation::Put, 3), (Operation::Put, usize::MAX), (Operation::Any, 2)]
        {
            let case = format!("{fault:?} of {operation:?} × {times}");
            let patient = app.register_patient(&case).await;
            house.line.fail(operation, fault, times);
            let first = upload(app, &doctor, &case, id(&patient)).await;
            match first.status {
                StatusCode::CREATED => {}
                StatusCode::SERVICE_UNAVAILABLE => assert!(!first.header("retry-after").is_empty(), "{case}"),
                _ => panic!("{case}: {}", String::from_utf8_lossy(&first.bytes)),
            }
            house.line.heal();
            assert_eq!(house.findings(A_DAY).await, 0, "{case}");
            let second = upload(app, &doctor, &case, id(&patient)).await.expect(StatusCode::CREATED);
            if first.status == StatusCode::CREATED {
                assert_eq!(first.json(), second, "{case}");
            }
            for (user, path) in [(&doctor, "/v1/studies"), (&accountant, "/v1/charges")] {
                let listed = app.get(user, &format!("{path}?patientId={}", id(&patient))).await.expect(StatusCode::OK);
                assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{case}: {path}");
            }
        }
    }
    assert!(house.line.injected() >= 60, "{} faults", house.line.injected());
    assert_eq!(house.findings(A_DAY).await, 0);
}
