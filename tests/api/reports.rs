use infirmary_tests::TestApp;
use reqwest::{
    Method, StatusCode,
    multipart::{Form, Part},
};
use serde_json::json;

use crate::studies::{details, recorded};

#[tokio::test]
async fn a_report_is_set_once_charged_once_and_superseded_by_an_amendment() {
    let app = TestApp::start().await;
    let (doctor, ada, accountant) = (app.as_doctor().await, app.as_patient().await, app.as_accountant().await);
    let study = recorded(&app, &doctor, &ada.patient).await;
    let diagnosis = study["diagnosis"]["id"].as_str().unwrap();
    let body = json!({"diagnosisId": diagnosis});
    let report = app.post(&doctor, "/v1/reports", &body).await.expect(StatusCode::CREATED);
    let same = app.post(&doctor, "/v1/reports", &body).await.expect(StatusCode::OK);
    assert_eq!(report["id"], same["id"]);

    let path = format!("/v1/reports/{}", report["id"].as_str().unwrap());
    let pdf = app.get(&ada, &format!("{path}/pdf")).await;
    assert_eq!((pdf.status, pdf.header("content-type")), (StatusCode::OK, "application/pdf"));
    assert!(pdf.bytes.starts_with(b"%PDF-") && pdf.bytes.len() > 10_000);
    app.get(&app.as_patient().await, &path).await.problem(404);
    app.get(&accountant, &path).await.problem(403);

    let charges = format!("/v1/charges?patientId={}", ada.patient);
    let reported = async || {
        let all = app.get(&accountant, &charges).await.expect(StatusCode::OK);
        all["items"].as_array().unwrap().iter().filter(|charge| charge["task"] == "REPORT").count()
    };
    assert_eq!(reported().await, 1);

    let amend = json!({"findings": "Clear on second look.", "reason": "A second reading"});
    app.post(&doctor, &format!("/v1/diagnoses/{diagnosis}/amend"), &amend).await.expect(StatusCode::OK);
    assert_eq!(app.get(&doctor, &path).await.expect(StatusCode::OK)["status"], "superseded");
    let second = app.post(&doctor, "/v1/reports", &body).await.expect(StatusCode::CREATED);
    assert_ne!(second["id"], report["id"]);
    assert_eq!(reported().await, 1, "the report on a diagnosis is charged once");
}

#[tokio::test]
async fn anyone_with_the_code_learns_whether_a_report_is_authentic_and_nothing_of_whose() {
    let app = TestApp::start().await;
    let (doctor, ada) = (app.as_doctor().await, app.as_patient().await);
    let study = recorded(&app, &doctor, &ada.patient).await;
    let body = json!({"diagnosisId": study["diagnosis"]["id"]});
    let report = app.post(&doctor, "/v1/reports", &body).await.expect(StatusCode::CREATED);
    let code = report["verificationCode"].as_str().unwrap();
    let ask = async |code: &str| {
        let path = format!("/verify/{code}");
        app.send(&app.nobody(), Method::GET, &path, |request| request.header("Accept", "application/json")).await
    };
    let verdict = ask(code).await.expect(StatusCode::OK);
    assert_eq!((&verdict["authentic"], &verdict["status"]), (&json!(true), &json!("current")));
    assert!(!verdict.to_string().contains("Pat"), "{verdict}");
    assert_eq!(ask("00000-00000-00000-00000-000000").await.expect(StatusCode::OK)["authentic"], false);
    assert_eq!(ask("nonsense").await.expect(StatusCode::OK)["authentic"], false);

    let path = format!("/verify/{code}");
    let page = app.send(&app.nobody(), Method::GET, &path, |request| request.header("Accept", "text/html")).await;
    let html = String::from_utf8(page.bytes.clone()).unwrap();
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(!html.contains("Pat Patient") && !html.contains("Pneumonia"));
}

#[tokio::test]
async fn a_pdf_made_elsewhere_is_inspected_before_it_is_taken() {
    let app = TestApp::start().await;
    let (doctor, ada) = (app.as_doctor().await, app.as_patient().await);
    let first = recorded(&app, &doctor, &ada.patient).await;
    let typeset = app.post(&doctor, "/v1/reports", &json!({"diagnosisId": first["diagnosis"]["id"]})).await;
    let pdf = format!("/v1/reports/{}/pdf", typeset.expect(StatusCode::CREATED)["id"].as_str().unwrap());
    let pdf = app.get(&doctor, &pdf).await.bytes;

    let second = recorded(&app, &doctor, &ada.patient).await;
    let send = async |bytes: Vec<u8>| {
        let form = Form::new()
            .text("diagnosisId", second["diagnosis"]["id"].as_str().unwrap().to_owned())
            .part("file", Part::bytes(bytes).file_name("report.pdf").mime_str("application/pdf").unwrap());
        app.send(&doctor, Method::POST, "/v1/reports", |request| request.multipart(form)).await
    };
    send(b"PK\x03\x04 not a PDF".to_vec()).await.problem(415);
    send(pdf[..pdf.len() / 2].to_vec()).await.problem(422);
    send([pdf.clone(), vec![b' '; 11 * 1024 * 1024]].concat()).await.problem(413);
    let taken = send(pdf.clone()).await.expect(StatusCode::CREATED);
    assert_eq!((&taken["source"], &taken["fileName"]), (&json!("uploaded"), &json!("report.pdf")));
    let back = app.get(&ada, &format!("/v1/reports/{}/pdf", taken["id"].as_str().unwrap())).await;
    assert!(back.bytes == pdf);
}

#[tokio::test]
async fn a_draft_is_not_reported_and_only_doctors_report() {
    let app = TestApp::start().await;
    let (doctor, admin) = (app.as_doctor().await, app.as_admin());
    let patient = app.register_patient("Ada").await;
    let mut draft = details(patient["id"].as_str().unwrap());
    let fields = draft.as_object_mut().unwrap();
    for only_of_a_study in ["modality", "confirmed"] {
        fields.remove(only_of_a_study);
    }
    let diagnosis = app.post(&doctor, "/v1/diagnoses", &draft).await.expect(StatusCode::CREATED);
    let body = json!({"diagnosisId": diagnosis["id"]});
    app.post(&doctor, "/v1/reports", &body).await.problem(409);
    app.post(&admin, "/v1/reports", &body).await.problem(403);
    app.post(&doctor, "/v1/reports", &json!({"diagnosisId": "0198c1f0-7c3e-7d0a-9c55-3f1d2b6a4e10"}))
        .await
        .problem(404);
}

#[tokio::test]
async fn a_page_gets_all_that_it_needs_to_show_a_report_and_a_link_to_the_pdf() {
    let app = TestApp::start_with(&[("INFIRMARY_HOUSE_NAME", "St Mary")]).await;
    let (doctor, ada, eve) = (app.as_doctor().await, app.as_patient().await, app.as_patient().await);
    let study = recorded(&app, &doctor, &ada.patient).await;
    let diagnosis = study["diagnosis"]["id"].as_str().unwrap();
    let path = format!("/v1/diagnoses/{diagnosis}/report-data");
    assert_eq!(app.get(&ada, &path).await.expect(StatusCode::OK)["report"], json!(null));
    let report = app.post(&doctor, "/v1/reports", &json!({"diagnosisId": diagnosis})).await.expect(StatusCode::CREATED);

    let data = app.get(&ada, &path).await.expect(StatusCode::OK);
    assert_eq!((&data["house"]["name"], &data["patient"]["name"]), (&json!("St Mary"), &json!("Pat Patient")));
    assert_eq!((&data["study"]["modality"], &data["tasks"]), (&json!("CT"), &json!(["Computed tomography"])));
    assert_eq!((&data["findings"], &data["images"]), (&study["diagnosis"]["findings"], &study["images"]));
    assert_eq!(data["confirmedBy"]["name"], "Sam Staff");
    assert_eq!(data["report"], report);
    app.get(&eve, &path).await.problem(404);
    app.get(&app.as_accountant().await, &path).await.problem(403);

    let path = format!("/v1/reports/{}", report["id"].as_str().unwrap());
    let pdf = app.get(&ada, &format!("{path}/pdf")).await;
    let link = app.post(&ada, &format!("{path}/link"), &json!({})).await.expect(StatusCode::OK);
    let url = link["url"].as_str().unwrap().strip_prefix("https://infirmary.example").unwrap();
    let part = app.send(&app.nobody(), Method::GET, url, |request| request.header("Range", "bytes=0-7")).await;
    assert_eq!((part.status, part.bytes.as_slice()), (StatusCode::PARTIAL_CONTENT, &pdf.bytes[..8]));
    assert_eq!(part.etag(), pdf.etag());
    app.get(&app.nobody(), &format!("{url}/preview")).await.problem(404);
    app.post(&eve, &format!("{path}/link"), &json!({})).await.problem(404);
    let own = app.get(&ada, "/v1/reports").await.expect(StatusCode::OK);
    assert_eq!(own["items"], json!([report]));
    assert_eq!(app.get(&eve, "/v1/reports").await.expect(StatusCode::OK)["items"], json!([]));
    app.get(&eve, &format!("/v1/reports?patientId={}", ada.patient)).await.problem(404);
    let of_diagnosis = format!("/v1/reports?diagnosisId={diagnosis}");
    assert_eq!(app.get(&doctor, &of_diagnosis).await.expect(StatusCode::OK)["items"], json!([report]));
}

#[tokio::test]
async fn the_numbers_of_a_home_page_are_all_or_the_balance_alone() {
    let app = TestApp::start().await;
    let (doctor, ada, accountant) = (app.as_doctor().await, app.as_patient().await, app.as_accountant().await);
    let study = recorded(&app, &doctor, &ada.patient).await;
    app.post(&doctor, "/v1/reports", &json!({"diagnosisId": study["diagnosis"]["id"]}))
        .await
        .expect(StatusCode::CREATED);
    let path = format!("/v1/patients/{}/summary", ada.patient);
    let balance = json!({"amount": 34_900, "currency": "GBP"});
    let all = json!({"diagnoses": 1, "images": 3, "reports": 1, "transactions": 2, "balance": balance});
    assert_eq!(app.get(&ada, &path).await.expect(StatusCode::OK), all);
    assert_eq!(app.get(&accountant, &path).await.expect(StatusCode::OK), json!({"balance": balance}));
    app.get(&app.as_patient().await, &path).await.problem(404);
}

#[tokio::test]
async fn a_form_without_its_parts_is_refused_and_a_repeated_one_answered_as_before() {
    let app = TestApp::start().await;
    let (doctor, ada) = (app.as_doctor().await, app.as_patient().await);
    let study = recorded(&app, &doctor, &ada.patient).await;
    let typeset = app.post(&doctor, "/v1/reports", &json!({"diagnosisId": study["diagnosis"]["id"]})).await;
    let pdf = format!("/v1/reports/{}/pdf", typeset.expect(StatusCode::CREATED)["id"].as_str().unwrap());
    let pdf = app.get(&doctor, &pdf).await.bytes;
    let other = recorded(&app, &doctor, &ada.patient).await["diagnosis"]["id"].as_str().unwrap().to_owned();

    let send = async |key: &str, form: Form| {
        app.send(&doctor, Method::POST, "/v1/reports", |request| {
            request.header("Idempotency-Key", key.to_owned()).multipart(form)
        })
        .await
    };
    let file = |name: &str| Part::bytes(pdf.clone()).file_name(name.to_owned());
    send("a", Form::new().text("diagnosisId", other.clone())).await.problem(422);
    send("b", Form::new().part("file", file("x.pdf"))).await.problem(422);
    send("c", Form::new().text("diagnosisId", "x").part("file", file("x.pdf"))).await.problem(422);
    send("d", Form::new().text("diagnosisId", other.clone()).part("image", file("x.pdf"))).await.problem(422);
    let whole = |name: &str| Form::new().part("file", file(name)).text("diagnosisId", other.clone());
    let first = send("e", whole("x.pdf")).await.expect(StatusCode::CREATED);
    assert_eq!(send("e", whole("x.pdf")).await.expect(StatusCode::CREATED), first);
    send("e", whole("y.pdf")).await.problem(422);
    let listed = app.get(&doctor, &format!("/v1/reports?diagnosisId={other}")).await.expect(StatusCode::OK);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
}
