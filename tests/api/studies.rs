use infirmary_tests::{Answer, TestApp, User};
use reqwest::{
    Method, StatusCode,
    multipart::{Form, Part},
};
use serde_json::{Value, json};

pub fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

pub fn details(patient: &str) -> Value {
    json!({"patientId": patient, "modality": "CT", "disease": "Pneumonia", "findings": "تەمێک لە سییەکاندا",
        "conditions": "Asthma", "confirmed": true})
}

fn form(details: &Value, images: &[&str]) -> Form {
    let study = Part::text(details.to_string()).mime_str("application/json").unwrap();
    images.iter().fold(Form::new().part("study", study), |form, name| {
        form.part("image", Part::bytes(fixture(name)).file_name(name.rsplit('/').next().unwrap().to_owned()))
    })
}

pub async fn upload(app: &TestApp, user: &User, key: Option<&str>, form: Form) -> Answer {
    app.send(user, Method::POST, "/v1/studies", |request| {
        let request = request.multipart(form);
        match key {
            Some(key) => request.header("Idempotency-Key", key),
            None => request,
        }
    })
    .await
}

/// A confirmed study with three images, by a doctor.
pub async fn recorded(app: &TestApp, doctor: &User, patient: &str) -> Value {
    let images = ["images/phantom.png", "images/turned.jpg", "dicom/CT_small.dcm"];
    upload(app, doctor, None, form(&details(patient), &images)).await.expect(StatusCode::CREATED)
}

fn id(value: &Value) -> &str {
    value["id"].as_str().unwrap()
}

#[tokio::test]
async fn images_with_their_diagnosis_are_recorded_in_one_go_and_the_charge_follows() {
    let app = TestApp::start().await;
    let (doctor, accountant) = (app.as_doctor().await, app.as_accountant().await);
    let patient = app.register_patient("ئازاد عەلی").await;
    let study = recorded(&app, &doctor, id(&patient)).await;

    let formats: Vec<_> = study["images"].as_array().unwrap().iter().map(|image| image["format"].clone()).collect();
    assert_eq!(formats, [json!("png"), json!("jpeg"), json!("dicom")]);
    assert_eq!(study["diagnosis"]["status"], "confirmed");
    assert_eq!(study["diagnosis"]["doctorId"], doctor.account.as_str());
    assert_eq!(study["charges"][0]["task"], "CT");
    assert_eq!(study["charges"][0]["amount"], json!({"amount": 29_900, "currency": "GBP"}));

    let charges = app.get(&accountant, &format!("/v1/charges?patientId={}", id(&patient))).await.expect(StatusCode::OK);
    assert_eq!(charges["items"].as_array().unwrap().len(), 1);
    let detail = app.get(&doctor, &format!("/v1/diagnoses/{}", id(&study["diagnosis"]))).await.expect(StatusCode::OK);
    assert_eq!((&detail["patientName"], &detail["findings"]), (&json!("ئازاد عەلی"), &json!("تەمێک لە سییەکاندا")));
    assert_eq!(detail["images"].as_array().unwrap().len(), 3);
    let again = app.get(&doctor, &format!("/v1/studies/{}", id(&study))).await.expect(StatusCode::OK);
    assert_eq!(again["images"], study["images"]);
    let summary = app.get(&doctor, &format!("/v1/patients/{}/summary", id(&patient))).await.expect(StatusCode::OK);
    assert_eq!((&summary["diagnoses"], &summary["images"]), (&json!(1), &json!(3)), "{summary}");
}

#[tokio::test]
async fn what_was_uploaded_comes_back_to_the_byte_in_ranges_and_as_a_preview() {
    let app = TestApp::start().await;
    let doctor = app.as_doctor().await;
    let patient = app.register_patient("Ada").await;
    let study = recorded(&app, &doctor, id(&patient)).await;
    for (image, name) in study["images"].as_array().unwrap().iter().zip([
        "images/phantom.png",
        "images/turned.jpg",
        "dicom/CT_small.dcm",
    ]) {
        let path = format!("/v1/images/{}", id(image));
        let original = fixture(name);
        let whole = app.get(&doctor, &format!("{path}/content")).await;
        assert!(whole.bytes == original, "{name}");
        assert_eq!((whole.header("x-content-type-options"), whole.header("accept-ranges")), ("nosniff", "bytes"));
        assert!(whole.header("content-security-policy").contains("sandbox"), "{name}");
        assert_eq!(whole.header("cache-control"), "private, no-store");

        let ranged = async |range: &str| {
            app.send(&doctor, Method::GET, &format!("{path}/content"), |request| request.header("Range", range)).await
        };
        let middle = ranged("bytes=100-199").await;
        assert_eq!(middle.status, StatusCode::PARTIAL_CONTENT);
        assert_eq!(middle.bytes, original[100..200]);
        assert_eq!(middle.header("content-range"), format!("bytes 100-199/{}", original.len()));
        assert_eq!(ranged("bytes=-10").await.bytes, original[original.len() - 10..]);
        ranged("bytes=99999999-").await.problem(416);
        let same = app
            .send(&doctor, Method::GET, &format!("{path}/content"), |request| {
                request.header("If-None-Match", whole.etag())
            })
            .await;
        assert_eq!(same.status, StatusCode::NOT_MODIFIED);

        let preview = app.get(&doctor, &format!("{path}/preview?size=128")).await;
        assert_eq!((preview.status, preview.header("content-type")), (StatusCode::OK, "image/png"));
        assert!(preview.bytes.starts_with(b"\x89PNG\r\n\x1a\n"), "{name}");
        assert_eq!(app.get(&doctor, &format!("{path}/preview?size=128")).await.bytes, preview.bytes, "{name}");
        app.get(&doctor, &format!("{path}/preview?size=0")).await.problem(422);
    }
}

#[tokio::test]
async fn a_link_opens_one_image_without_a_header_and_dies_with_the_session() {
    let app = TestApp::start().await;
    let (doctor, eve) = (app.as_doctor().await, app.as_patient().await);
    let patient = app.register_patient("Ada").await;
    let study = recorded(&app, &doctor, id(&patient)).await;
    let path = format!("/v1/images/{}/link", id(&study["images"][0]));
    app.post(&eve, &path, &json!({})).await.problem(404);
    let link = app.post(&doctor, &path, &json!({})).await;
    assert!(link.status.is_success(), "{}", link.status);
    let url = link.json()["url"].as_str().unwrap().strip_prefix("https://infirmary.example").unwrap().to_owned();
    assert!(app.get(&app.nobody(), &url).await.bytes == fixture("images/phantom.png"));
    app.get(&app.nobody(), &format!("{url}x")).await.problem(404);
    app.post(&doctor, "/v1/auth/logout", &json!({})).await.expect(StatusCode::NO_CONTENT);
    assert!(app.get(&app.nobody(), &url).await.status.is_client_error());
}

#[tokio::test]
async fn the_same_key_gives_the_same_answer_and_records_once() {
    let app = TestApp::start().await;
    let doctor = app.as_doctor().await;
    let patient = app.register_patient("Ada").await;
    let attempt =
        async |images: &[&str]| upload(&app, &doctor, Some("study-1"), form(&details(id(&patient)), images)).await;
    let first = attempt(&["images/phantom.png"]).await.expect(StatusCode::CREATED);
    assert_eq!(attempt(&["images/phantom.png"]).await.expect(StatusCode::CREATED), first);
    attempt(&["images/turned.jpg"]).await.problem(422);
    let studies = app.get(&doctor, &format!("/v1/studies?patientId={}", id(&patient))).await.expect(StatusCode::OK);
    assert_eq!(studies["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_refused_upload_leaves_nothing() {
    let app = TestApp::start().await;
    let (doctor, accountant) = (app.as_doctor().await, app.as_accountant().await);
    let patient = app.register_patient("Ada").await;
    let good = details(id(&patient));
    let with = |changes: Value| {
        let mut details = good.clone();
        details.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        form(&details, &["images/phantom.png"])
    };
    let one =
        |name: &str, bytes: Vec<u8>| form(&good, &[]).part("image", Part::bytes(bytes).file_name(name.to_owned()));
    let png = fixture("images/phantom.png");
    let named = Part::bytes(png.clone()).file_name("x.png").mime_str("image/jpeg").unwrap();
    for (status, form) in [
        (415, one("x.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec())),
        (415, one("x.png", b"%PDF-1.7 and so on".to_vec())),
        (415, one("x.jpg", png.clone())),
        (415, form(&good, &[]).part("image", named)),
        (415, one("x.png", Vec::new())),
        (422, one("x.png", png[..png.len() / 2].to_vec())),
        (422, one("x.dcm", fixture("dicom/MR_truncated.dcm"))),
        (422, form(&good, &[])),
        (422, Form::new().part("image", Part::bytes(png.clone()).file_name("x.png"))),
        (422, form(&good, &["images/phantom.png"]).text("comment", "hello")),
        (422, with(json!({"doctorId": doctor.account}))),
        (422, with(json!({"modality": "XYZ"}))),
        (422, with(json!({"disease": ""}))),
        (422, with(json!({"tasks": ["NONE"]}))),
        (422, with(json!({"patientId": "0198c1f0-7c3e-7d0a-9c55-3f1d2b6a4e10"}))),
        (400, Form::new().text("study", "{").part("image", Part::bytes(png.clone()).file_name("x.png"))),
        (413, one("x.png", [png.clone(), vec![0; 21 * 1024 * 1024]].concat())),
    ] {
        upload(&app, &doctor, None, form).await.problem(status);
    }
    app.post(&doctor, "/v1/studies", &good).await.problem(415);
    upload(&app, &accountant, None, form(&good, &["images/phantom.png"])).await.problem(403);
    upload(&app, &app.nobody(), None, form(&good, &["images/phantom.png"])).await.problem(401);

    let studies = app.get(&doctor, &format!("/v1/studies?patientId={}", id(&patient))).await.expect(StatusCode::OK);
    assert_eq!(studies["items"], json!([]));
    let charges = app.get(&accountant, &format!("/v1/charges?patientId={}", id(&patient))).await.expect(StatusCode::OK);
    assert_eq!(charges["items"], json!([]));
    let kept = std::fs::read_dir(app.folder.path().join("objects/images")).unwrap().count();
    assert_eq!(kept, 0, "bytes of a refused upload");
}

#[tokio::test]
async fn a_patient_sees_their_own_once_it_is_confirmed_and_nobody_elses() {
    let app = TestApp::start().await;
    let (doctor, ada, eve) = (app.as_doctor().await, app.as_patient().await, app.as_patient().await);
    let mut draft = details(&ada.patient);
    draft["confirmed"] = json!(false);
    let study = upload(&app, &doctor, None, form(&draft, &["images/phantom.png"])).await.expect(StatusCode::CREATED);
    let paths = [
        format!("/v1/studies/{}", id(&study)),
        format!("/v1/images/{}", id(&study["images"][0])),
        format!("/v1/images/{}/content", id(&study["images"][0])),
        format!("/v1/images/{}/preview", id(&study["images"][0])),
        format!("/v1/diagnoses/{}", id(&study["diagnosis"])),
    ];
    for path in &paths {
        app.get(&ada, path).await.problem(404);
    }
    let confirm = format!("/v1/diagnoses/{}/confirm", id(&study["diagnosis"]));
    app.post(&doctor, &confirm, &json!({})).await.expect(StatusCode::OK);
    for path in &paths {
        assert_eq!(app.get(&ada, path).await.status, StatusCode::OK, "{path}");
        app.get(&eve, path).await.problem(404);
    }
    let own = app.get(&ada, "/v1/diagnoses").await.expect(StatusCode::OK);
    assert_eq!(own["items"].as_array().unwrap().len(), 1);
    assert_eq!(app.get(&eve, "/v1/diagnoses").await.expect(StatusCode::OK)["items"], json!([]));
    let log = app.get(&ada, "/v1/me/access-log").await.expect(StatusCode::OK);
    assert!(log["items"].as_array().unwrap().iter().any(|entry| entry["action"] == "study.record"), "{log}");
}
