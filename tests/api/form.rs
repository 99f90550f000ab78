//! The form of every answer, whatever went wrong.

use infirmary_tests::TestApp;
use reqwest::{Method, StatusCode};
use serde_json::json;

#[tokio::test]
async fn every_answer_has_the_headers_that_protect_its_reader() {
    let app = TestApp::start().await;
    let admin = app.as_admin();
    for (user, path) in
        [(&admin, "/v1/me"), (&app.nobody(), "/v1/me"), (&app.nobody(), "/health/live"), (&admin, "/nowhere")]
    {
        let answer = app.get(user, path).await;
        for (name, value) in [
            ("strict-transport-security", "max-age=63072000; includeSubDomains"),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), value, "{path} {name}");
        }
        assert_eq!(answer.header("x-request-id").len(), 36, "{path}");
    }
}

#[tokio::test]
async fn what_is_not_there_and_what_is_not_allowed_say_so_in_the_one_form() {
    let app = TestApp::start().await;
    app.get(&app.nobody(), "/nowhere").await.problem(404);
    app.get(&app.nobody(), "/v1/patients/not-an-id/").await.problem(404);
    let refused = app.send(&app.nobody(), Method::DELETE, "/v1/patients", |request| request).await;
    refused.problem(405);
    assert_eq!(refused.header("allow"), "GET, HEAD, POST");
    app.get(&app.as_admin(), "/v1/patients/not-an-id").await.problem(404);
    app.get(&app.nobody(), "/metrics").await.problem(404);
}

#[tokio::test]
async fn head_is_answered_as_get_without_the_body() {
    let app = TestApp::start().await;
    let doctor = app.as_doctor().await;
    for (path, status) in [("/v1/me", 200), ("/v1/patients", 200), ("/health/live", 200), ("/nowhere", 404)] {
        let full = app.get(&doctor, path).await;
        let head = app.send(&doctor, Method::HEAD, path, |request| request).await;
        assert_eq!((head.status.as_u16(), head.bytes.len()), (status, 0), "{path}");
        for name in ["content-length", "content-type", "etag", "cache-control"] {
            assert_eq!(head.headers.get(name), full.headers.get(name), "{path} {name}");
        }
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused_in_our_words() {
    let app = TestApp::start().await;
    let admin = app.as_admin();
    let send = async |body: Vec<u8>, kind: &str| {
        app.send(&admin, Method::POST, "/v1/patients", |request| request.header("content-type", kind).body(body)).await
    };
    for malformed in ["", "{", "nonsense", "{\"name\": \"Ada\"} trailing", "\u{0}"] {
        send(malformed.into(), "application/json").await.problem(400);
    }
    send(b"{\"name\": \"\xff\"}".to_vec(), "application/json").await.problem(400);
    send(b"{}".to_vec(), "text/plain").await.problem(415);
    let deep = [vec![b'['; 10_000], vec![b']'; 10_000]].concat();
    send(deep, "application/json").await.problem(422);
    for values_alone in ["[]", "[\"Ada\"]", "[\"Ada\", null, null, null, null, null]", "\"Ada\"", "null"] {
        send(values_alone.into(), "application/json").await.problem(422);
    }
    let charge =
        |amount: serde_json::Value| json!({"patientId": app.as_admin().account, "description": "x", "amount": amount});
    let refused = app.post(&admin, "/v1/charges", &charge(json!([100, "GBP"]))).await.problem(422);
    assert_eq!(refused["errors"][0]["pointer"], "/amount");
    let large = json!({"name": "x".repeat(70_000)}).to_string();
    send(large.into(), "application/json").await.problem(413);
}

#[tokio::test]
async fn the_document_names_every_operation_and_the_page_shows_it() {
    let app = TestApp::start().await;
    let document = app.get(&app.nobody(), "/openapi.json").await.expect(StatusCode::OK);
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/v1/patients/{id}"]["patch"].is_object());
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(document.pointer(reference).is_some(), "the document refers to {reference}, which is not there");
    }
    let page = app.get(&app.nobody(), "/docs/").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.header("content-security-policy").contains("'self'"));
    app.get(&app.nobody(), "/health/ready").await.expect(StatusCode::OK);
}

#[tokio::test]
async fn metrics_are_for_who_has_the_token() {
    let token = "0123456789abcdef0123456789abcdef";
    let app = TestApp::start_with(&[("INFIRMARY_METRICS_TOKEN", token)]).await;
    app.get(&app.nobody(), "/metrics").await.problem(401);
    let with = |token: &str| infirmary_tests::User { token: Some(token.to_owned()), ..Default::default() };
    app.get(&with("wrong"), "/metrics").await.problem(401);
    let metrics = app.get(&with(token), "/metrics").await;
    let text = String::from_utf8(metrics.bytes).unwrap();
    assert!(
        text.contains(
            "infirmary_http_request_duration_seconds_count{method=\"POST\",route=\"/v1/auth/login\",status=\"200\"} 1"
        ),
        "{text}"
    );
}
