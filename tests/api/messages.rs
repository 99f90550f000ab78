use hmac::{Hmac, Mac};
use infirmary_messaging::{FailureReason, ProviderId, Settlement};
use infirmary_tests::{Answer, TestApp, User};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{header, method, path},
};

use crate::studies::recorded;

const NOTICES: (&str, &str) = ("INFIRMARY_REPORT_NOTICES", "on");
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const VERIFY_TOKEN: &str = "the token of this house for Meta";
const METRICS_TOKEN: &str = "abcdef0123456789abcdef0123456789";
const WEBHOOK: &str = "/v1/webhooks/whatsapp";

/// What sets up WhatsApp at an address of a test.
fn whatsapp(url: &str) -> [(&str, &str); 7] {
    [
        NOTICES,
        ("INFIRMARY_WHATSAPP_PHONE_NUMBER_ID", "105954558954427"),
        ("INFIRMARY_WHATSAPP_TOKEN", "EAAJB0123456789abcdef"),
        ("INFIRMARY_WHATSAPP_URL", url),
        ("INFIRMARY_WHATSAPP_APP_SECRET", SECRET),
        ("INFIRMARY_WHATSAPP_VERIFY_TOKEN", VERIFY_TOKEN),
        ("INFIRMARY_METRICS_TOKEN", METRICS_TOKEN),
    ]
}

/// A report on a new study of the patient.
async fn reported(app: &TestApp, doctor: &User, patient: &str) -> Value {
    let study = recorded(app, doctor, patient).await;
    let body = json!({"diagnosisId": study["diagnosis"]["id"]});
    let key = study["id"].as_str().unwrap();
    let report = app.post_with_key(doctor, "/v1/reports", key, &body).await.expect(StatusCode::CREATED);
    assert_eq!(app.post_with_key(doctor, "/v1/reports", key, &body).await.expect(StatusCode::CREATED), report);
    report
}

async fn listed(app: &TestApp, query: &str) -> Vec<Value> {
    let page = app.get(&app.as_admin(), &format!("/v1/messages{query}")).await.expect(StatusCode::OK);
    page["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_patients_phone_is_told_of_a_report_once_where_the_house_wants_it() {
    for (settings, expected) in [(vec![NOTICES], 1), (vec![], 0)] {
        let app = TestApp::start_with(&settings).await;
        let (doctor, ada) = (app.as_doctor().await, app.as_patient().await);
        let report = reported(&app, &doctor, &ada.patient).await;
        let messages = listed(&app, "").await;
        assert_eq!(messages.len(), expected);
        for message in messages {
            assert_eq!((&message["kind"], &message["status"]), (&json!("reportReady"), &json!("pending")));
            assert_eq!((&message["recipient"], &message["reportId"]), (&json!("+9647501234567"), &report["id"]));
            assert_eq!((&message["tries"], &message["failure"]), (&json!(0), &Value::Null));
        }
        let unreachable = app.register_patient("No Phone").await;
        reported(&app, &doctor, unreachable["id"].as_str().unwrap()).await;
        assert_eq!(listed(&app, "").await.len(), expected);
    }
}

#[tokio::test]
async fn an_admin_sees_what_failed_and_sends_it_again_and_nobody_else_may() {
    let app = TestApp::start_with(&[NOTICES]).await;
    let (admin, doctor, ada) = (app.as_admin(), app.as_doctor().await, app.as_patient().await);
    reported(&app, &doctor, &ada.patient).await;
    assert!(listed(&app, "?status=failed").await.is_empty());
    let taken = app.due_messages().await.remove(0);
    let failure = FailureReason::Recipient.with(Some(131_026));
    assert!(app.outbox.settle(taken.key(), Settlement::Failed(failure), taken.until).await.unwrap());

    let failed = listed(&app, "?status=failed").await.remove(0);
    assert_eq!(failed["failure"], json!({"reason": "recipient", "code": 131_026}));
    assert_eq!((&failed["canBeSentAgain"], &failed["tries"]), (&json!(true), &json!(1)));
    let one = format!("/v1/messages/{}", failed["id"].as_str().unwrap());
    assert_eq!(app.get(&admin, &one).await.expect(StatusCode::OK), failed);
    let retry = format!("{one}/retry");
    for user in [&doctor, &ada, &app.as_accountant().await] {
        app.get(user, "/v1/messages").await.problem(403);
        app.get(user, &one).await.problem(403);
        app.post(user, &retry, &json!({})).await.problem(403);
    }
    for (method, path) in [(Method::GET, "/v1/messages"), (Method::GET, &one), (Method::POST, &retry)] {
        app.send(&app.nobody(), method, path, |request| request).await.problem(401);
    }

    let again = app.post(&admin, &retry, &json!({})).await.expect(StatusCode::ACCEPTED);
    assert_eq!((&again["status"], &again["tries"], &again["failure"]), (&json!("pending"), &json!(0), &Value::Null));
    app.post(&admin, &retry, &json!({})).await.problem(409);
    assert_eq!(listed(&app, "?status=pending").await, [again]);
    assert_eq!(app.due_messages().await.len(), 1);
    let audited = app.get(&admin, "/v1/audit?action=message.retry").await.expect(StatusCode::OK);
    assert_eq!(audited["items"][0]["subject"]["id"], failed["id"]);

    let absent = "/v1/messages/0198c1f0-7c3e-7d0a-9c55-3f1d2b6a4e10";
    app.get(&admin, absent).await.problem(404);
    app.post(&admin, &format!("{absent}/retry"), &json!({})).await.problem(404);
    app.get(&admin, "/v1/messages?status=lost").await.problem(422);
    app.get(&admin, "/v1/messages?cursor=nonsense").await.problem(422);
}

async fn call(app: &TestApp, body: &str, signature: &str) -> Answer {
    let build = |request: reqwest::RequestBuilder| {
        request
            .header("X-Hub-Signature-256", signature)
            .header("Content-Type", "application/json")
            .body(body.to_owned())
    };
    app.send(&app.nobody(), Method::POST, WEBHOOK, build).await
}

fn signature(body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

fn status(id: &str, status: &str, errors: Value) -> String {
    let status = json!({"id": id, "status": status, "timestamp": "1750857384", "recipient_id": "9647501234567", "errors": errors});
    let value = json!({"messaging_product": "whatsapp", "statuses": [status]});
    json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{"value": value, "field": "messages"}]}]})
        .to_string()
}

#[tokio::test]
async fn the_webhook_is_there_where_its_secrets_are_and_answers_the_challenge() {
    let without = TestApp::start().await;
    without.get(&without.nobody(), &format!("{WEBHOOK}?hub.mode=subscribe")).await.problem(404);
    call(&without, "{}", &signature("{}")).await.problem(404);

    let app = TestApp::start_with(&whatsapp("http://127.0.0.1:9")).await;
    let ask = async |token: &str| {
        let query = [("hub.mode", "subscribe"), ("hub.verify_token", token), ("hub.challenge", "1158201444")];
        app.send(&app.nobody(), Method::GET, WEBHOOK, |request| request.query(&query)).await
    };
    let answer = ask(VERIFY_TOKEN).await;
    assert_eq!((answer.status, answer.bytes.as_slice()), (StatusCode::OK, b"1158201444".as_slice()));
    assert!(answer.header("content-type").starts_with("text/plain"));
    ask("another token").await.problem(403);
    app.get(&app.nobody(), WEBHOOK).await.problem(403);
}

#[tokio::test]
async fn only_what_meta_signed_is_taken_and_only_of_messages_of_the_house() {
    let app = TestApp::start_with(&whatsapp("http://127.0.0.1:9")).await;
    let (doctor, ada) = (app.as_doctor().await, app.as_patient().await);
    reported(&app, &doctor, &ada.patient).await;
    let taken = app.due_messages().await.remove(0);
    let sent = Settlement::Sent(ProviderId::parse("wamid.1").unwrap());
    assert!(app.outbox.settle(taken.key(), sent, taken.until).await.unwrap());

    let delivered = status("wamid.1", "delivered", json!([]));
    for bad in ["", "sha256=00", &signature(&format!("{delivered} "))] {
        call(&app, &delivered, bad).await.problem(403);
    }
    assert_eq!(listed(&app, "").await[0]["delivery"], Value::Null);
    let strange = status("wamid.strange", "read", json!([]));
    for body in [&delivered, &delivered, &strange, "{}"] {
        call(&app, body, &signature(body)).await.expect(StatusCode::OK);
    }
    assert_eq!(listed(&app, "").await[0]["delivery"], "delivered");
    let late = status("wamid.1", "sent", json!([]));
    call(&app, &late, &signature(&late)).await.expect(StatusCode::OK);
    assert_eq!(listed(&app, "").await[0]["delivery"], "delivered", "it does not go back");
    call(&app, "nonsense", &signature("nonsense")).await.problem(400);
    let large = format!("\"{}\"", "x".repeat(64 * 1_024));
    call(&app, &large, &signature(&large)).await.problem(413);
}

/// The first message, as soon as it is as it has to be.
async fn message_when(app: &TestApp, holds: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..2_000 {
        let message = listed(app, "").await.remove(0);
        if holds(&message) {
            return message;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it does not come to that: {:?}", listed(app, "").await)
}

async fn metrics(app: &TestApp) -> String {
    let reader = User { token: Some(METRICS_TOKEN.to_owned()), ..User::default() };
    String::from_utf8(app.get(&reader, "/metrics").await.bytes).unwrap()
}

#[tokio::test]
async fn a_notice_goes_out_by_whatsapp_and_its_fate_comes_back() {
    let meta = MockServer::start().await;
    let taken = json!({"messaging_product": "whatsapp", "messages": [{"id": "wamid.HBgL"}]});
    Mock::given(method("POST"))
        .and(path("/v25.0/105954558954427/messages"))
        .and(header("authorization", "Bearer EAAJB0123456789abcdef"))
        .respond_with(ResponseTemplate::new(200).set_body_json(taken))
        .expect(1)
        .mount(&meta)
        .await;
    let app = TestApp::start_sending(&whatsapp(&meta.uri())).await;
    let (doctor, ada) = (app.as_doctor().await, app.as_patient().await);
    reported(&app, &doctor, &ada.patient).await;
    let sent = message_when(&app, |message| message["status"] == "sent").await;
    let request: Value = meta.received_requests().await.unwrap()[0].body_json().unwrap();
    assert_eq!(request["to"], "+9647501234567");
    assert_eq!(request["biz_opaque_callback_data"], sent["id"]);
    assert!(!request.to_string().contains("Pat Patient"), "nothing of whose it is: {request}");
    let figures = metrics(&app).await;
    let expected = "infirmary_message_tries_total{kind=\"reportReady\",outcome=\"sent\"} 1";
    assert!(figures.contains(expected) && figures.contains("\ninfirmary_messages_house_refused 0"), "{figures}");

    // Delivered to nobody, as Meta tells later: an admin sees it.
    let failed = status("wamid.HBgL", "failed", json!([{"code": 131_026, "title": "Message undeliverable"}]));
    call(&app, &failed, &signature(&failed)).await.expect(StatusCode::OK);
    let failed = listed(&app, "?status=failed").await.remove(0);
    assert_eq!(failed["failure"], json!({"reason": "undelivered", "code": 131_026}));
}

#[tokio::test]
async fn when_the_token_is_over_messages_wait_and_the_figures_tell() {
    let meta = MockServer::start().await;
    let over = json!({"error": {"message": "Error validating access token", "type": "OAuthException", "code": 190}});
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(401).set_body_json(over))
        .expect(1)
        .mount(&meta)
        .await;
    let app = TestApp::start_sending(&whatsapp(&meta.uri())).await;
    let (doctor, ada) = (app.as_doctor().await, app.as_patient().await);
    reported(&app, &doctor, &ada.patient).await;
    for _ in 0..2_000 {
        if metrics(&app).await.contains("\ninfirmary_messages_house_refused 1") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let figures = metrics(&app).await;
    assert!(figures.contains("\ninfirmary_messages_house_refused 1"), "{figures}");
    let waiting = message_when(&app, |message| message["tries"] == 0).await;
    assert_eq!(
        (&waiting["status"], &waiting["failure"]),
        (&json!("pending"), &Value::Null),
        "it is not counted as tried"
    );
}
