pub use infirmary_tests::fixture;
use infirmary_tests::{Answer, TestApp, User};
use reqwest::{
    Method, StatusCode,
    multipart::{Form, Part},
};
use serde_json::{Value, json};

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

#[tokio::test]
async fn parts_may_come_in_any_order_and_without_a_length() {
    let app = TestApp::start().await;
    let doctor = app.as_doctor().await;
    let patient = app.register_patient("Ada").await;
    let chunks = fixture("images/phantom.png").chunks(1_000).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let streamed = reqwest::Body::wrap_stream(futures_util::stream::iter(
        chunks.into_iter().map(Ok::<_, std::convert::Infallible>),
    ));
    let form = Form::new()
        .part("image", Part::bytes(fixture("images/turned.jpg")).file_name("turned.jpg"))
        .text("study", details(id(&patient)).to_string())
        .part("image", Part::stream(streamed).file_name("phantom.png"));
    let study = upload(&app, &doctor, None, form).await.expect(StatusCode::CREATED);
    let names: Vec<_> = study["images"].as_array().unwrap().iter().map(|image| &image["fileName"]).collect();
    assert_eq!(names, ["turned.jpg", "phantom.png"]);
    let content = app.get(&doctor, &format!("/v1/images/{}/content", id(&study["images"][1]))).await;
    assert!(content.bytes == fixture("images/phantom.png"));
}

#[tokio::test]
async fn a_file_keeps_the_name_that_it_has_in_whatever_script() {
    let app = TestApp::start().await;
    let doctor = app.as_doctor().await;
    let patient = app.register_patient("Ada").await;
    let name = "سینگ ١ \"لا\".png";
    // As browsers write it: the name as it is, with quotes escaped.
    let mut body = format!(
        "--x\r\nContent-Disposition: form-data; name=\"study\"\r\n\r\n{}\r\n--x\r\nContent-Disposition: form-data; \
         name=\"image\"; filename=\"{}\"\r\nContent-Type: image/png\r\n\r\n",
        details(id(&patient)),
        name.replace('"', "\\\"")
    )
    .into_bytes();
    body.extend(fixture("images/phantom.png"));
    body.extend(b"\r\n--x--\r\n");
    let sent = app
        .send(&doctor, Method::POST, "/v1/studies", |request| {
            request.header("Content-Type", "multipart/form-data; boundary=x").body(body)
        })
        .await;
    let image = sent.expect(StatusCode::CREATED)["images"][0].clone();
    assert_eq!(image["fileName"], name);
    let content = app.get(&doctor, &format!("/v1/images/{}/content", id(&image))).await;
    let disposition = content.header("content-disposition");
    assert!(disposition.starts_with("inline; filename=\"____ _ ____.png\"; filename*=UTF-8''%D8%B3"), "{disposition}");
}

#[tokio::test]
async fn a_body_that_is_not_what_it_says_is_unreadable() {
    let app = TestApp::start().await;
    let doctor = app.as_doctor().await;
    let send = async |content_type: &str, body: &'static str| {
        app.send(&doctor, Method::POST, "/v1/studies", |request| {
            request.header("Content-Type", content_type).body(body)
        })
        .await
    };
    let form = "multipart/form-data; boundary=x";
    for (content_type, body) in [
        ("multipart/form-data", "--x\r\n"),
        (form, ""),
        (form, "hello"),
        (form, "--x\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\nhalf a part"),
        (form, "--x\r\nContent-Type: image/png\r\n\r\nno name\r\n--x--\r\n"),
        (form, "--x\r\nContent-Disposition: form-data; name=\"study\"\r\n\r\n{\"patientId\": \r\n--x--\r\n"),
        (form, "--x\r\nContent-Disposition: form-data; name=\"study\"\r\n\r\n\u{feff}{}\r\n--x--\r\n"),
    ] {
        send(content_type, body).await.problem(400);
    }
    send("multipart/mixed; boundary=x", "--x--\r\n").await.problem(415);
    send(form, "--x--\r\n").await.problem(422);
}

/// What the server answers to a head whose body never comes.
async fn answer_to_head(app: &TestApp, user: &User, path: &str, content_length: u64) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut connection = tokio::net::TcpStream::connect(app.address).await.unwrap();
    let token = user.token.as_deref().unwrap_or_default();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {content_length}\r\n\
         Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let (mut answer, mut chunk) = (Vec::new(), [0; 4096]);
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = connection.read(&mut chunk).await.unwrap();
        assert!(read > 0, "the connection was closed without an answer");
        answer.extend_from_slice(&chunk[..read]);
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn what_is_refused_by_its_head_is_not_waited_for() {
    let app = TestApp::start().await;
    let doctor = app.as_doctor().await;
    for (user, path, content_length, status) in [
        (&app.nobody(), "/v1/studies", 1_000_000, "401"),
        (&doctor, "/v1/studies", 3 * 1024 * 1024 * 1024, "413"),
        (&doctor, "/v1/reports", 11 * 1024 * 1024, "413"),
    ] {
        let answer = answer_to_head(&app, user, path, content_length).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
    }
}

#[tokio::test]
async fn a_study_has_sixty_four_images_at_most() {
    let app = TestApp::start().await;
    let doctor = app.as_doctor().await;
    let patient = app.register_patient("Ada").await;
    let images = |count| vec!["images/transparent.png"; count];
    let all = upload(&app, &doctor, None, form(&details(id(&patient)), &images(64))).await.expect(StatusCode::CREATED);
    assert_eq!(all["images"].as_array().unwrap().len(), 64);
    upload(&app, &doctor, None, form(&details(id(&patient)), &images(65))).await.problem(413);
}

#[tokio::test]
async fn of_sixteen_uploads_at_once_with_one_key_one_is_recorded() {
    let app = TestApp::start().await;
    let (doctor, accountant) = (app.as_doctor().await, app.as_accountant().await);
    let patient = app.register_patient("Ada").await;
    let attempts = (0..16).map(|_| {
        upload(&app, &doctor, Some("one"), form(&details(id(&patient)), &["images/phantom.png", "images/turned.jpg"]))
    });
    let answers = futures_util::future::join_all(attempts).await;
    for answer in &answers {
        assert_eq!(answer.expect(StatusCode::CREATED), answers[0].json());
    }
    let studies = app.get(&doctor, &format!("/v1/studies?patientId={}", id(&patient))).await.expect(StatusCode::OK);
    assert_eq!(studies["items"].as_array().unwrap().len(), 1);
    let charges = app.get(&accountant, &format!("/v1/charges?patientId={}", id(&patient))).await.expect(StatusCode::OK);
    assert_eq!(charges["items"].as_array().unwrap().len(), 1);
}

/// Width and height of a PNG (ISO/IEC 15948, 11.2.2).
fn size_of(png: &[u8]) -> [u32; 2] {
    [16, 20].map(|at| u32::from_be_bytes(png[at..at + 4].try_into().unwrap()))
}

#[tokio::test]
async fn a_preview_has_the_proportions_of_the_image_and_says_when_there_is_none() {
    let app = TestApp::start().await;
    let doctor = app.as_doctor().await;
    let patient = app.register_patient("Ada").await;
    let recorded = async |images: &[&str]| upload(&app, &doctor, None, form(&details(id(&patient)), images)).await;
    let (looked_at, kept) = (["images/turned.jpg", "dicom/CT_small.dcm"], "dicom/MR_small_jp2klossless.dcm");
    recorded(&[looked_at[1], kept]).await.problem(422);
    let study = recorded(&looked_at).await.expect(StatusCode::CREATED);
    let other = recorded(&[kept]).await.expect(StatusCode::CREATED);
    let preview = async |image: &Value| app.get(&doctor, &format!("/v1/images/{}/preview?size=128", id(image))).await;

    let (turned, ct, jpeg_2000) = (&study["images"][0], &study["images"][1], &other["images"][0]);
    let [width, height] = size_of(&preview(turned).await.bytes);
    let stored = [&turned["width"], &turned["height"]].map(|side| side.as_u64().unwrap());
    assert_eq!(width > height, stored[0] < stored[1], "its orientation turns it: {width} by {height}, {stored:?}");
    assert!(width.max(height) <= 128);
    assert_eq!(size_of(&preview(ct).await.bytes), [128, 128]);
    assert_eq!((&ct["dicom"]["modality"], &ct["hasPreview"]), (&json!("CT"), &json!(true)));

    assert_eq!(jpeg_2000["hasPreview"], false);
    let reason = jpeg_2000["noPreviewReason"].as_str().unwrap();
    let refused = preview(jpeg_2000).await.problem(404);
    assert!(refused["detail"].as_str().unwrap().contains(reason), "{refused}");
    let content = app.get(&doctor, &format!("/v1/images/{}/content", id(jpeg_2000))).await;
    assert!(content.bytes == fixture(kept), "the file is kept all the same");
}
