use infirmary_tests::TestApp;
use reqwest::StatusCode;
use serde_json::{Value, json};

fn names(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|patient| patient["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_patient_is_registered_found_read_and_changed() {
    let app = TestApp::start().await;
    let doctor = app.as_doctor().await;
    let new = json!({
        "name": "ئازاد عەلی", "birthDate": "1984-02-29", "sex": "male", "phone": "00964 750 123 4567",
        "email": "Azad@Example.org", "address": "100m Street\nHewlêr",
    });
    let registered = app.post(&doctor, "/v1/patients", &new).await.expect(StatusCode::CREATED);
    assert_eq!(registered["phone"], "+9647501234567");
    assert_eq!(registered["email"], "azad@example.org");
    assert!(registered["mrn"].as_str().unwrap().starts_with('P'));

    for typed in ["ئازاد", "عە", "+964 750", "0750 123", registered["mrn"].as_str().unwrap()] {
        let query = app.client.get(app.url("/v1/patients")).query(&[("q", typed)]).build().unwrap();
        let found = app.get(&doctor, &format!("{}?{}", query.url().path(), query.url().query().unwrap())).await;
        assert_eq!(names(&found.expect(StatusCode::OK)), ["ئازاد عەلی"], "{typed}");
    }

    let path = format!("/v1/patients/{}", registered["id"].as_str().unwrap());
    let read = app.get(&doctor, &path).await;
    assert_eq!(read.expect(StatusCode::OK), registered);
    assert_eq!(read.etag(), "\"1\"");

    let changed = app.patch(&doctor, &path, "\"1\"", &json!({"email": null, "name": "Azad Ali"})).await;
    let body = changed.expect(StatusCode::OK);
    assert_eq!((&body["name"], &body["email"]), (&json!("Azad Ali"), &Value::Null));
    assert_eq!(changed.etag(), "\"2\"");
    app.patch(&doctor, &path, "\"1\"", &json!({"name": "Lost"})).await.problem(412);
    app.send(&doctor, reqwest::Method::PATCH, &path, |request| request.json(&json!({}))).await.problem(428);
}

#[tokio::test]
async fn a_likely_duplicate_is_answered_with_the_candidates() {
    let app = TestApp::start().await;
    let doctor = app.as_doctor().await;
    let new = json!({"name": "Zoë Ümit", "birthDate": "1990-01-02"});
    let known = app.post(&doctor, "/v1/patients", &new).await.expect(StatusCode::CREATED);
    let again = json!({"name": "ZOE UMIT", "birthDate": "1990-01-02"});
    let refused = app.post(&doctor, "/v1/patients", &again).await.problem(409);
    assert_eq!(refused["candidates"], json!([known]));
    app.post(&doctor, "/v1/patients?allowDuplicate=true", &again).await.expect(StatusCode::CREATED);
}

#[tokio::test]
async fn the_same_key_gives_the_same_answer_and_registers_once() {
    let app = TestApp::start().await;
    let doctor = app.as_doctor().await;
    let new = json!({"name": "Ada"});
    let first = app.post_with_key(&doctor, "/v1/patients", "desk-1", &new).await;
    let again = app.post_with_key(&doctor, "/v1/patients", "desk-1", &new).await;
    assert_eq!(first.expect(StatusCode::CREATED), again.expect(StatusCode::CREATED));
    app.post_with_key(&doctor, "/v1/patients", "desk-1", &json!({"name": "Bob"})).await.problem(422);
    let all = app.get(&doctor, "/v1/patients").await.expect(StatusCode::OK);
    assert_eq!(names(&all), ["Ada"]);
    app.post_with_key(&doctor, "/v1/patients", &"k".repeat(256), &new).await.problem(400);
}

#[tokio::test]
async fn each_role_sees_of_a_patient_what_is_its_own() {
    let app = TestApp::start().await;
    let (ada, eve, accountant) = (app.as_patient().await, app.as_patient().await, app.as_accountant().await);
    let path = format!("/v1/patients/{}", ada.patient);

    let own = app.get(&ada, &path).await.expect(StatusCode::OK);
    assert_eq!(own["accountId"], ada.account.as_str());
    let hidden = app.get(&eve, &path).await.problem(404);
    let absent = app.get(&eve, "/v1/patients/0198c1f0-7c3e-7d0a-9c55-3f1d2b6a4e10").await.problem(404);
    assert_eq!((&hidden["title"], &hidden["detail"]), (&absent["title"], &absent["detail"]));
    app.get(&eve, "/v1/patients?q=pat").await.problem(403);

    let bill = app.get(&accountant, &path).await.expect(StatusCode::OK);
    let mut fields: Vec<_> = bill.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["id", "mrn", "name", "phone"]);
    app.post(&accountant, "/v1/patients", &json!({"name": "Bob"})).await.problem(403);

    app.patch(&ada, &path, "\"1\"", &json!({"phone": "+9647500000000"})).await.expect(StatusCode::OK);
    let refused = app.patch(&ada, &path, "\"2\"", &json!({"name": "Somebody Else"})).await.problem(422);
    assert_eq!(refused["errors"][0]["pointer"], "/name");
}

#[tokio::test]
async fn lists_are_walked_by_their_cursor() {
    let app = TestApp::start().await;
    for name in ["A", "B", "C", "D", "E"] {
        app.register_patient(name).await;
    }
    let (admin, mut seen, mut next) = (app.as_admin(), Vec::new(), String::new());
    loop {
        let page = app.get(&admin, &format!("/v1/patients?limit=2{next}")).await.expect(StatusCode::OK);
        seen.extend(names(&page).into_iter().map(str::to_owned));
        match page["nextCursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, ["E", "D", "C", "B", "A"]);
    for refused in ["limit=0", "limit=201", "cursor=nonsense", "q=", "q=%20,"] {
        app.get(&admin, &format!("/v1/patients?{refused}")).await.problem(422);
    }
    for unreadable in ["limit=x", "unknown=1"] {
        app.get(&admin, &format!("/v1/patients?{unreadable}")).await.problem(400);
    }
}

#[tokio::test]
async fn refused_values_are_named_by_their_place() {
    let app = TestApp::start().await;
    let admin = app.as_admin();
    for (body, pointer) in [
        (json!({}), "/name"),
        (json!({"name": ""}), "/name"),
        (json!({"name": "x".repeat(201)}), "/name"),
        (json!({"name": 5}), "/name"),
        (json!({"name": "Ada", "birthDate": "1984-02-30"}), "/birthDate"),
        (json!({"name": "Ada", "birthDate": "2199-01-01"}), "/birthDate"),
        (json!({"name": "Ada", "sex": "both"}), "/sex"),
        (json!({"name": "Ada", "phone": "0750"}), "/phone"),
        (json!({"name": "Ada", "email": "ada"}), "/email"),
        (json!({"name": "Ada", "role": "admin"}), "/role"),
    ] {
        let refused = app.post(&admin, "/v1/patients", &body).await.problem(422);
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
        let detail = refused["errors"][0]["detail"].as_str().unwrap();
        assert!(!detail.contains("line 1"), "the words of a parser: {detail}");
    }
    assert_eq!(app.get(&admin, "/v1/patients").await.expect(StatusCode::OK)["items"], json!([]));
}
