use infirmary_tests::{TestApp, User};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// A draft of `doctor` for the patient with this record.
async fn draft(app: &TestApp, doctor: &User, patient: &str) -> Value {
    let new = json!({
        "patientId": patient, "disease": "Fracture of the left radius",
        "findings": "No displacement.\nپشکنین باشە", "conditions": "",
    });
    app.post(doctor, "/v1/diagnoses", &new).await.expect(StatusCode::CREATED)
}

fn path(diagnosis: &Value) -> String {
    format!("/v1/diagnoses/{}", diagnosis["id"].as_str().unwrap())
}

async fn act(app: &TestApp, doctor: &User, diagnosis: &Value, verb: &str, body: Value) -> infirmary_tests::Answer {
    app.post(doctor, &format!("{}/{verb}", path(diagnosis)), &body).await
}

async fn listed(app: &TestApp, user: &User, query: &str) -> Vec<String> {
    let page = app.get(user, &format!("/v1/diagnoses?{query}")).await.expect(StatusCode::OK);
    let items = page["items"].as_array().unwrap();
    items.iter().map(|diagnosis| diagnosis["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_diagnosis_goes_from_draft_to_confirmed_to_amended() {
    let app = TestApp::start().await;
    let (author, colleague, patient) = (app.as_doctor().await, app.as_doctor().await, app.as_patient().await);
    let draft = draft(&app, &author, &patient.patient).await;
    assert_eq!((&draft["status"], &draft["version"]), (&json!("draft"), &json!(1)));
    assert_eq!(draft["doctorId"], author.account.as_str());
    assert_eq!(draft["confirmed"], Value::Null);

    let read = app.get(&colleague, &path(&draft)).await;
    let detail = read.expect(StatusCode::OK);
    assert_eq!((&detail["patientName"], &detail["doctorName"]), (&json!("Pat Patient"), &json!("Sam Staff")));
    assert_eq!((&detail["images"], &detail["report"]), (&json!([]), &Value::Null));
    assert_eq!(read.etag(), "\"1\"");

    let change = json!({"disease": "Fracture of the right radius"});
    app.patch(&colleague, &path(&draft), read.etag(), &change).await.problem(403);
    let changed = app.patch(&author, &path(&draft), read.etag(), &change).await;
    assert_eq!(changed.expect(StatusCode::OK)["disease"], change["disease"]);
    app.patch(&author, &path(&draft), read.etag(), &json!({"findings": "Lost"})).await.problem(412);
    app.send(&author, Method::PATCH, &path(&draft), |request| request.json(&change)).await.problem(428);

    let confirm = format!("{}/confirm", path(&draft));
    let stale = app.send(&colleague, Method::POST, &confirm, |request| request.header("If-Match", "\"1\"")).await;
    stale.problem(412);
    let confirmed = app.send(&colleague, Method::POST, &confirm, |request| request.header("If-Match", "\"2\"")).await;
    let body = confirmed.expect(StatusCode::OK);
    assert_eq!((&body["status"], &body["confirmed"]["by"]), (&json!("confirmed"), &json!(colleague.account)));
    assert_eq!(confirmed.etag(), "\"3\"");

    let refused = app.patch(&author, &path(&draft), "\"3\"", &change).await.problem(409);
    assert!(refused["detail"].as_str().unwrap().contains("amend"), "it says what would be accepted: {refused}");
    app.send(&author, Method::POST, &confirm, |request| request).await.problem(409);

    let amendment = json!({"disease": "Fracture of the left radius", "reason": "The side was wrong"});
    let amended = act(&app, &author, &draft, "amend", amendment).await.expect(StatusCode::OK);
    assert_eq!((&amended["status"], &amended["version"]), (&json!("amended"), &json!(4)));
    assert_eq!(amended["amendment"]["reason"], "The side was wrong");
    assert_eq!(amended["confirmed"], body["confirmed"], "who confirmed it first stays");

    let versions = app.get(&author, &format!("{}/versions", path(&draft))).await.expect(StatusCode::OK);
    let told: Vec<_> = versions["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| (version["version"].as_u64().unwrap(), version["status"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [(4, "amended"), (3, "confirmed"), (2, "draft"), (1, "draft")]);
    let first_page = app.get(&author, &format!("{}/versions?limit=3", path(&draft))).await.expect(StatusCode::OK);
    let next = first_page["nextCursor"].as_str().unwrap();
    let second_page = app.get(&author, &format!("{}/versions?limit=3&cursor={next}", path(&draft))).await;
    assert_eq!(second_page.expect(StatusCode::OK)["items"], json!([versions["items"][3]]));
}

#[tokio::test]
async fn a_patient_reads_what_is_confirmed_and_nobody_elses() {
    let app = TestApp::start().await;
    let (doctor, ada, eve) = (app.as_doctor().await, app.as_patient().await, app.as_patient().await);
    let own = draft(&app, &doctor, &ada.patient).await;
    let absent = app.get(&ada, "/v1/diagnoses/0198c1f0-7c3e-7d0a-9c55-3f1d2b6a4e10").await.problem(404);
    let hidden = app.get(&ada, &path(&own)).await.problem(404);
    assert_eq!((&hidden["title"], &hidden["detail"]), (&absent["title"], &absent["detail"]));
    assert!(listed(&app, &ada, "").await.is_empty());

    act(&app, &doctor, &own, "confirm", json!(null)).await.expect(StatusCode::OK);
    assert_eq!(app.get(&ada, &path(&own)).await.expect(StatusCode::OK)["status"], "confirmed");
    assert_eq!(listed(&app, &ada, "").await.len(), 1);
    let shown = app.get(&ada, &format!("{}/versions", path(&own))).await.expect(StatusCode::OK);
    assert_eq!(shown["items"].as_array().unwrap().len(), 1, "the draft that was before is not shown");
    app.get(&eve, &path(&own)).await.problem(404);
    app.get(&eve, &format!("/v1/diagnoses?patientId={}", ada.patient)).await.problem(404);
    assert!(listed(&app, &eve, "").await.is_empty());

    let retracted = act(&app, &doctor, &own, "retract", json!({"reason": "It was another patient"})).await;
    assert_eq!(retracted.expect(StatusCode::OK)["status"], "enteredInError");
    app.get(&ada, &path(&own)).await.problem(404);
    assert_eq!(app.get(&doctor, &path(&own)).await.expect(StatusCode::OK)["retraction"]["by"], doctor.account.as_str());
    let amendment = json!({"disease": "X", "reason": "Y"});
    act(&app, &doctor, &own, "amend", amendment).await.problem(409);
    act(&app, &doctor, &own, "retract", json!({"reason": "Again"})).await.problem(409);
}

#[tokio::test]
async fn only_doctors_write_and_accountants_do_not_read() {
    let app = TestApp::start().await;
    let (doctor, patient, accountant) = (app.as_doctor().await, app.as_patient().await, app.as_accountant().await);
    let own = draft(&app, &doctor, &patient.patient).await;
    let new = json!({"patientId": patient.patient, "disease": "X", "findings": ""});
    for user in [app.as_admin(), accountant.clone(), patient.clone()] {
        app.post(&user, "/v1/diagnoses", &new).await.problem(403);
        app.patch(&user, &path(&own), "\"1\"", &json!({"disease": "X"})).await.problem(403);
        act(&app, &user, &own, "confirm", json!(null)).await.problem(403);
        act(&app, &user, &own, "amend", json!({"disease": "X", "reason": "Y"})).await.problem(403);
        act(&app, &user, &own, "retract", json!({"reason": "Y"})).await.problem(403);
    }
    app.get(&app.as_admin(), &path(&own)).await.expect(StatusCode::OK);
    for path in [path(&own), format!("{}/versions", path(&own)), "/v1/diagnoses".into()] {
        app.get(&accountant, &path).await.problem(403);
        app.get(&app.nobody(), &path).await.problem(401);
    }
}

#[tokio::test]
async fn lists_are_filtered_and_walked_by_their_cursor() {
    let app = TestApp::start().await;
    let (first, second) = (app.as_doctor().await, app.as_doctor().await);
    let (ada, bob) = (app.as_patient().await, app.as_patient().await);
    let id = |diagnosis: &Value| diagnosis["id"].as_str().unwrap().to_owned();
    let a = draft(&app, &first, &ada.patient).await;
    let b = draft(&app, &second, &ada.patient).await;
    let c = draft(&app, &first, &bob.patient).await;
    act(&app, &first, &b, "confirm", json!(null)).await.expect(StatusCode::OK);

    let cases = [
        (String::new(), vec![&c, &b, &a]),
        (format!("patientId={}", ada.patient), vec![&b, &a]),
        (format!("doctorId={}", first.account), vec![&c, &a]),
        ("status=confirmed".into(), vec![&b]),
        (format!("status=draft&patientId={}", bob.patient), vec![&c]),
        ("status=enteredInError".into(), vec![]),
        (format!("from={}", c["recordedAt"].as_str().unwrap()), vec![&c]),
        (format!("to={}", a["recordedAt"].as_str().unwrap()), vec![]),
        ("from=2020-01-01T00:00:00%2B03:00".into(), vec![&c, &b, &a]),
    ];
    for (query, expected) in cases {
        let expected: Vec<_> = expected.into_iter().map(id).collect();
        assert_eq!(listed(&app, &second, &query).await, expected, "{query}");
    }
    let page = app.get(&first, "/v1/diagnoses?limit=2").await.expect(StatusCode::OK);
    let next = page["nextCursor"].as_str().unwrap();
    assert_eq!(listed(&app, &first, &format!("limit=2&cursor={next}")).await, [id(&a)]);
    for refused in ["limit=0", "cursor=nonsense", "from=yesterday"] {
        app.get(&first, &format!("/v1/diagnoses?{refused}")).await.problem(422);
    }
    for unreadable in ["status=final", "unknown=1", "patientId=nonsense"] {
        app.get(&first, &format!("/v1/diagnoses?{unreadable}")).await.problem(400);
    }
}

#[tokio::test]
async fn a_repeated_request_is_one_diagnosis_and_one_amendment() {
    let app = TestApp::start().await;
    let (doctor, patient) = (app.as_doctor().await, app.as_patient().await);
    let new = json!({"patientId": patient.patient, "disease": "Asthma", "findings": "", "confirmed": true});
    let first = app.post_with_key(&doctor, "/v1/diagnoses", "d-1", &new).await.expect(StatusCode::CREATED);
    let again = app.post_with_key(&doctor, "/v1/diagnoses", "d-1", &new).await.expect(StatusCode::CREATED);
    assert_eq!(first, again);
    assert_eq!(first["confirmed"]["by"], doctor.account.as_str());
    let other = json!({"patientId": patient.patient, "disease": "COPD", "findings": ""});
    app.post_with_key(&doctor, "/v1/diagnoses", "d-1", &other).await.problem(422);
    assert_eq!(listed(&app, &doctor, "").await.len(), 1);

    let amend = format!("{}/amend", path(&first));
    let amendment = json!({"disease": "COPD", "reason": "The measurement came"});
    let once = app.post_with_key(&doctor, &amend, "a-1", &amendment).await.expect(StatusCode::OK);
    let twice = app.post_with_key(&doctor, &amend, "a-1", &amendment).await.expect(StatusCode::OK);
    assert_eq!(once, twice);
    app.post(&doctor, &amend, &amendment).await.problem(422);
    assert_eq!(app.get(&doctor, &path(&first)).await.expect(StatusCode::OK)["version"], 2);
}

#[tokio::test]
async fn refused_values_are_named_by_their_place() {
    let app = TestApp::start().await;
    let (doctor, patient) = (app.as_doctor().await, app.as_patient().await);
    let id = &patient.patient;
    for (body, pointer) in [
        (json!({"disease": "X", "findings": ""}), "/patientId"),
        (json!({"patientId": "x", "disease": "X", "findings": ""}), "/patientId"),
        (json!({"patientId": "0198c1f0-7c3e-7d0a-9c55-3f1d2b6a4e10", "disease": "X", "findings": ""}), "/patientId"),
        (json!({"patientId": id, "findings": ""}), "/disease"),
        (json!({"patientId": id, "disease": " ", "findings": ""}), "/disease"),
        (json!({"patientId": id, "disease": "x".repeat(501), "findings": ""}), "/disease"),
        (json!({"patientId": id, "disease": "X", "findings": "x".repeat(20_001)}), "/findings"),
        (json!({"patientId": id, "disease": "X", "findings": "", "conditions": 7}), "/conditions"),
        (json!({"patientId": id, "disease": "X", "findings": "", "doctorId": id}), "/doctorId"),
    ] {
        let refused = app.post(&doctor, "/v1/diagnoses", &body).await.problem(422);
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    }
    let own = draft(&app, &doctor, id).await;
    for (verb, body) in [("amend", json!({"disease": "X"})), ("retract", json!({})), ("retract", json!({"reason": ""}))]
    {
        let refused = act(&app, &doctor, &own, verb, body).await.problem(422);
        assert_eq!(refused["errors"][0]["pointer"], "/reason", "{refused}");
    }
    app.get(&doctor, "/v1/diagnoses/not-an-id").await.problem(404);
}
