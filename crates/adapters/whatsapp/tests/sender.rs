//! What is sent to the Cloud API, and what follows from each of its answers, in the shapes that Meta documents.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use infirmary_kernel::OutgoingMessage;
use infirmary_messaging::{
    MessageSender, ProviderId, SendError,
    testing::{code, notice, start},
};
use infirmary_whatsapp::{Settings, Token, TokenError, WhatsAppSender};
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{header, method, path},
};

const TOKEN: &str = "EAAJB0123456789abcdef";
const TIMEOUT: Duration = Duration::from_secs(5);

fn settings(base_url: &str) -> Settings {
    Settings {
        base_url: base_url.to_owned(),
        version: "v23.0".to_owned(),
        phone_number_id: "105954558954427".to_owned(),
        code_template: "infirmary_code".to_owned(),
        report_template: "infirmary_report_ready".to_owned(),
        emergency_template: "infirmary_emergency_access".to_owned(),
        language: "ar".to_owned(),
        house_name: "نەخۆشخانە".to_owned(),
    }
}

fn sender_with(base_url: &str, token: Token) -> WhatsAppSender {
    // An error says that another test chose it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    WhatsAppSender::new(settings(base_url), token).unwrap()
}

fn sender(server: &MockServer) -> WhatsAppSender {
    sender_with(&server.uri(), Token::given(TOKEN).unwrap())
}

fn taken() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({
        "messaging_product": "whatsapp",
        "contacts": [{"input": "+9647501234567", "wa_id": "9647501234567"}],
        "messages": [{"id": "wamid.HBgLMTY1MDUwNzY1MjAVAgARGBI5", "message_status": "accepted"}],
    }))
}

fn refusal(status: u16, code: i64) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(json!({"error": {
        "message": format!("(#{code}) It did not work for +9647501234567"),
        "type": "OAuthException",
        "code": code,
        "error_data": {"messaging_product": "whatsapp", "details": "Something about +9647501234567"},
        "fbtrace_id": "Az8or2yhqkZfEZ-_4Qn_Bam",
    }}))
}

async fn answering(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v23.0/105954558954427/messages"))
        .and(header("authorization", format!("Bearer {TOKEN}")))
        .respond_with(answer)
        .mount(&server)
        .await;
    server
}

/// What was sent of the message, which was taken.
async fn sent(message: &OutgoingMessage) -> Value {
    let server = answering(taken()).await;
    let id = sender(&server).send(message, TIMEOUT).await.unwrap();
    assert_eq!(id, ProviderId::parse("wamid.HBgLMTY1MDUwNzY1MjAVAgARGBI5").unwrap());
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 1);
    requests[0].body_json().unwrap()
}

#[tokio::test]
async fn a_code_is_in_the_body_and_in_the_button_of_its_template() {
    let message = code(start());
    let parameters = json!([{"type": "text", "text": "012345"}]);
    let expected = json!({
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+9647501234567",
        "type": "template",
        "template": {
            "name": "infirmary_code",
            "language": {"code": "ar"},
            "components": [
                {"type": "body", "parameters": parameters},
                {"type": "button", "sub_type": "url", "index": "0", "parameters": parameters},
            ],
        },
        "biz_opaque_callback_data": message.id.to_string(),
    });
    assert_eq!(sent(&message).await, expected);
}

#[tokio::test]
async fn a_notice_names_the_house_and_nothing_of_the_report() {
    let message = notice(start());
    let body = sent(&message).await;
    let expected = json!({
        "name": "infirmary_report_ready",
        "language": {"code": "ar"},
        "components": [{"type": "body", "parameters": [{"type": "text", "text": "نەخۆشخانە"}]}],
    });
    assert_eq!(body["template"], expected);
    assert_eq!(body["biz_opaque_callback_data"], message.id.to_string());
}

async fn error_of(answer: ResponseTemplate) -> SendError {
    let server = answering(answer).await;
    let error = sender(&server).send(&code(start()), TIMEOUT).await.unwrap_err();
    let told = format!("{error} {error:?}");
    for secret in ["750", "012345", TOKEN, "105954558954427"] {
        assert!(!told.contains(secret), "{told}");
    }
    error
}

#[tokio::test]
async fn the_number_of_an_error_says_what_follows_whatever_its_status() {
    type Case = fn(Option<u32>) -> SendError;
    let cases: [(Case, &[(u16, i64)]); 6] = [
        (|code| SendError::Recipient { code }, &[(400, 131_026), (400, 131_030), (400, 131_021), (400, 131_049)]),
        (|code| SendError::RecipientThrottled { code }, &[(400, 131_056)]),
        (
            |code| SendError::Throttled { code, retry_after: None },
            &[(429, 4), (400, 80_007), (429, 130_429), (400, 131_048), (500, 131_057)],
        ),
        (
            |code| SendError::HouseRefused { code },
            &[(401, 190), (401, 0), (403, 10), (403, 299), (403, 368), (403, 131_031), (400, 131_042), (400, 133_010)],
        ),
        (
            |code| SendError::Rejected { code },
            &[
                (400, 100),
                (400, 131_008),
                (400, 131_009),
                (404, 132_001),
                (400, 132_000),
                (400, 132_015),
                (400, 999_999),
            ],
        ),
        (
            |code| SendError::Unavailable { reason: "its own error".into(), code },
            &[(400, 1), (503, 2), (500, 131_000), (500, 131_016)],
        ),
    ];
    for (expected, answers) in cases {
        for (status, code) in answers {
            let expected = expected(u32::try_from(*code).ok());
            assert_eq!(error_of(refusal(*status, *code)).await, expected, "{status} {code}");
        }
    }
}

#[tokio::test]
async fn without_a_number_the_status_says_it() {
    let html = |status: u16| ResponseTemplate::new(status).set_body_string("<html>");
    let unavailable = |status: u16| SendError::Unavailable { reason: format!("HTTP status {status}"), code: None };
    for status in [500, 502, 503, 504, 408] {
        assert_eq!(error_of(html(status)).await, unavailable(status));
    }
    assert_eq!(error_of(html(401)).await, SendError::HouseRefused { code: None });
    assert_eq!(error_of(html(403)).await, SendError::HouseRefused { code: None });
    assert_eq!(error_of(html(404)).await, SendError::Rejected { code: None });
    let wait = html(429).insert_header("retry-after", "90");
    let expected = SendError::Throttled { code: None, retry_after: Some(Duration::from_secs(90)) };
    assert_eq!(error_of(wait).await, expected);
    let nonsense = html(429).insert_header("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT");
    assert_eq!(error_of(nonsense).await, SendError::Throttled { code: None, retry_after: None });
}

#[tokio::test]
async fn an_answer_that_says_nothing_or_too_much_may_have_been_yes() {
    for answer in [
        ResponseTemplate::new(200),
        ResponseTemplate::new(200).set_body_json(json!({"messages": []})),
        ResponseTemplate::new(200).set_body_string("x".repeat(70 * 1_024)),
    ] {
        assert!(matches!(error_of(answer).await, SendError::Unavailable { .. }));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_token() {
    let other = MockServer::start().await;
    let answer = ResponseTemplate::new(302).insert_header("location", format!("{}/elsewhere", other.uri()));
    let unavailable = SendError::Unavailable { reason: "HTTP status 302".into(), code: None };
    assert_eq!(error_of(answer).await, unavailable);
    assert!(other.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn who_does_not_answer_in_time_or_is_not_there_is_unavailable() {
    let slow = answering(taken().set_delay(Duration::from_secs(60))).await;
    let message = code(start());
    let late = sender(&slow).send(&message, Duration::from_millis(200)).await.unwrap_err();
    assert_eq!(late, SendError::Unavailable { reason: "it did not answer in time".into(), code: None });
    // Nobody listens on the port of a socket that was bound and dropped.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let absent = sender_with(&format!("http://{gone}"), Token::given(TOKEN).unwrap());
    let error = absent.send(&message, TIMEOUT).await.unwrap_err();
    assert_eq!(error, SendError::Unavailable { reason: "no connection".into(), code: None });
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_token_that_is_replaced_in_its_file_is_used_once_the_old_one_is_refused() {
    let server = MockServer::start().await;
    let renewed = "EAAJBrenewed0123456789";
    Mock::given(header("authorization", format!("Bearer {renewed}"))).respond_with(taken()).mount(&server).await;
    Mock::given(|request: &Request| !request.headers["authorization"].to_str().unwrap().contains("renewed"))
        .respond_with(refusal(401, 190))
        .mount(&server)
        .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("whatsapp.token");
    write(&file, &format!("{TOKEN}\n"), 0o600);
    let sender = sender_with(&server.uri(), Token::in_file(&file).unwrap());
    let send = async || sender.send(&code(start()), TIMEOUT).await;
    assert_eq!(send().await, Err(SendError::HouseRefused { code: Some(190) }));
    assert_eq!(send().await, Err(SendError::HouseRefused { code: Some(190) }));
    write(&file, renewed, 0o600);
    assert_eq!(send().await, Err(SendError::HouseRefused { code: Some(190) }), "it is read after a refusal");
    assert!(send().await.is_ok());
}

#[test]
fn a_token_is_neither_short_nor_open_to_others_nor_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("whatsapp.token");
    assert!(matches!(Token::in_file(&file), Err(TokenError::Io { .. })));
    write(&file, TOKEN, 0o640);
    assert!(matches!(Token::in_file(&file), Err(TokenError::OpenToOthers { mode: 0o640, .. })));
    for refused in ["", "short", "with a blank in the middle of it", &"x".repeat(5_000)] {
        assert!(matches!(Token::given(refused), Err(TokenError::Refused)), "{refused}");
    }
    assert!(!format!("{:?}", Token::given(TOKEN).unwrap()).contains(TOKEN));
}
