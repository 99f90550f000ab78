use infirmary_tests::TestApp;
use reqwest::StatusCode;
use serde_json::{Value, json};

fn actions(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_patient_sees_who_came_to_their_record() {
    let app = TestApp::start().await;
    let (doctor, ada, eve) = (app.as_doctor().await, app.as_patient().await, app.as_patient().await);
    let path = format!("/v1/patients/{}", ada.patient);
    app.get(&ada, &path).await.expect(StatusCode::OK);
    app.get(&doctor, &path).await.expect(StatusCode::OK);
    app.get(&eve, &path).await.problem(404);
    let new = json!({"patientId": ada.patient, "disease": "Asthma", "findings": ""});
    app.post(&doctor, "/v1/diagnoses", &new).await.expect(StatusCode::CREATED);

    let log = app.get(&ada, "/v1/me/access-log").await.expect(StatusCode::OK);
    assert_eq!(actions(&log)[..3], ["diagnosis.record", "access.refused", "patient.read"]);
    let [recorded, tried, read] = [0, 1, 2].map(|place| &log["items"][place]);
    assert_eq!(
        (&read["name"], &read["role"], &read["outcome"]),
        (&json!("Sam Staff"), &json!("doctor"), &json!("done"))
    );
    assert_eq!(
        (&tried["name"], &tried["role"], &tried["outcome"]),
        (&Value::Null, &json!("patient"), &json!("refused"))
    );
    assert_eq!(recorded["name"], "Sam Staff");
    assert!(recorded.get("address").is_none(), "where staff sit is not the patient's to know");

    let others = app.get(&eve, "/v1/me/access-log").await.expect(StatusCode::OK);
    assert!(!actions(&others).contains(&"diagnosis.record"), "another's record is not in it: {others}");
    for user in [app.as_admin(), doctor] {
        app.get(&user, "/v1/me/access-log").await.problem(403);
    }
    app.get(&app.nobody(), "/v1/me/access-log").await.problem(401);
}

#[tokio::test]
async fn an_admin_finds_entries_and_that_is_an_entry_too() {
    let app = TestApp::start().await;
    let (admin, doctor, patient) = (app.as_admin(), app.as_doctor().await, app.as_patient().await);
    let path = format!("/v1/patients/{}", patient.patient);
    let request_id = app.get(&doctor, &path).await.header("x-request-id").to_owned();
    app.patch(&doctor, &path, "\"1\"", &json!({"phone": "+9647500000000"})).await.expect(StatusCode::OK);

    let by_doctor = format!("/v1/audit?accountId={}&patientId={}", doctor.account, patient.patient);
    let found = app.get(&admin, &by_doctor).await.expect(StatusCode::OK);
    assert_eq!(actions(&found), ["patient.change", "patient.read"]);
    let [change, read] = [0, 1].map(|place| &found["items"][place]);
    assert_eq!(change["fields"], json!(["phone"]));
    assert_eq!((&change["subject"]["version"], &change["accountName"]), (&json!(2), &json!("Sam Staff")));
    assert_eq!(read["requestId"], request_id.as_str());
    assert_eq!((&read["role"], &read["address"]), (&json!("doctor"), &json!("127.0.0.1")));
    assert_eq!(read["session"].as_str().unwrap().len(), 64, "the hash of the session, not the session");
    assert_eq!(read["session"], change["session"]);

    let own_reading = app.get(&admin, "/v1/audit?action=audit.read").await.expect(StatusCode::OK);
    assert_eq!(own_reading["items"][0]["subject"]["patientId"], patient.patient.as_str());
    let since = format!("/v1/audit?from={}&patientId={}", change["at"].as_str().unwrap(), patient.patient);
    assert!(!actions(&app.get(&admin, &since).await.expect(StatusCode::OK)).is_empty());

    let page = app.get(&admin, "/v1/audit?limit=2").await.expect(StatusCode::OK);
    let next = page["nextCursor"].as_str().unwrap();
    let rest = app.get(&admin, &format!("/v1/audit?limit=2&cursor={next}")).await.expect(StatusCode::OK);
    let sequences = |page: &Value| -> Vec<u64> {
        page["items"].as_array().unwrap().iter().map(|entry| entry["sequence"].as_u64().unwrap()).collect()
    };
    let first = sequences(&page)[0];
    assert_eq!([sequences(&page), sequences(&rest)].concat(), [first, first - 1, first - 2, first - 3]);

    for user in [doctor, patient, app.as_accountant().await] {
        for path in ["/v1/audit", "/v1/audit/verify", "/v1/audit/head"] {
            app.get(&user, path).await.problem(403);
        }
    }
    let refusals = app.get(&admin, "/v1/audit?action=access.refused").await.expect(StatusCode::OK);
    assert_eq!(actions(&refusals).len(), 9, "each refusal is in the log");
}

#[tokio::test]
async fn the_log_is_verified_against_a_head_that_was_kept() {
    let app = TestApp::start().await;
    let admin = app.as_admin();
    let kept = app.get(&admin, "/v1/audit/head").await.expect(StatusCode::OK);
    app.register_patient("Ada").await;
    let verified = app
        .get(&admin, &format!("/v1/audit/verify?head={}", kept["head"].as_str().unwrap()))
        .await
        .expect(StatusCode::OK);
    assert_eq!((&verified["valid"], &verified["fault"]), (&json!(true), &Value::Null));
    // The head of many chains is the last root, which is made when it is asked for.
    let later = app.get(&admin, "/v1/audit/head").await.expect(StatusCode::OK);
    assert_ne!(later["head"], kept["head"], "it has gone on since");

    let (sequence, hash) = kept["head"].as_str().unwrap().split_once(':').unwrap();
    let other = format!("{sequence}:{}{}", if hash.starts_with('0') { "1" } else { "0" }, &hash[1..]);
    let refuted = app.get(&admin, &format!("/v1/audit/verify?head={other}")).await.expect(StatusCode::OK);
    assert_eq!(
        (&refuted["valid"], &refuted["fault"]["sequence"]),
        (&json!(false), &json!(sequence.parse::<u64>().unwrap()))
    );
    app.get(&admin, "/v1/audit/verify?head=nonsense").await.problem(422);
}

#[tokio::test]
async fn a_list_over_many_patients_is_in_the_log_of_each_who_was_in_it() {
    let app = TestApp::start().await;
    let (doctor, accountant) = (app.as_doctor().await, app.as_accountant().await);
    let (ada, eve) = (app.as_patient().await, app.as_patient().await);
    let study = crate::studies::recorded(&app, &doctor, &ada.patient).await;
    let report = json!({"diagnosisId": study["diagnosis"]["id"]});
    app.post(&doctor, "/v1/reports", &report).await.expect(StatusCode::CREATED);
    let payment = json!({"patientId": ada.patient, "amount": {"amount": 100, "currency": "GBP"}, "method": "cash"});
    app.post_with_key(&accountant, "/v1/payments", "one", &payment).await.expect(StatusCode::CREATED);
    let before = app.get(&ada, "/v1/me/access-log").await.expect(StatusCode::OK);
    for (user, path) in [
        (&doctor, "/v1/diagnoses"),
        (&doctor, "/v1/reports"),
        (&doctor, "/v1/charges"),
        (&accountant, "/v1/charges?status=open"),
        (&accountant, "/v1/payments"),
    ] {
        app.get(user, path).await.expect(StatusCode::OK);
    }
    let after = app.get(&ada, "/v1/me/access-log").await.expect(StatusCode::OK);
    let new = actions(&after).len() - actions(&before).len();
    let expected = ["payment.read", "charge.read", "charge.read", "report.read", "diagnosis.read"];
    assert_eq!(actions(&after)[..new], expected, "each once, however much of theirs was in it");
    let others = app.get(&eve, "/v1/me/access-log").await.expect(StatusCode::OK);
    assert!(
        !actions(&others).iter().any(|action| action.ends_with(".read")),
        "who was in none hears of none: {others}"
    );
}
