//! Calls of the webhook, in the shapes that Meta documents.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use hmac::{Hmac, Mac};
use infirmary_kernel::{MessageId, testing::fresh_id};
use infirmary_messaging::{
    Delivery, DeliveryReport, DeliveryStatus, DeliveryWebhook, ProviderId, WebhookRefused, testing::start,
};
use infirmary_whatsapp::WhatsAppWebhook;
use serde_json::{Value, json};
use sha2::Sha256;

const APP_SECRET: &str = "0123456789abcdef0123456789abcdef";
const VERIFY_TOKEN: &str = "meaty hamhock of the house";

fn webhook() -> WhatsAppWebhook {
    WhatsAppWebhook::new(APP_SECRET.into(), VERIFY_TOKEN.into())
}

fn signature(body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(APP_SECRET.as_bytes()).unwrap();
    mac.update(body);
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

fn call(value: Value) -> Vec<u8> {
    json!({
        "object": "whatsapp_business_account",
        "entry": [{"id": "102290129340398", "changes": [{"value": value, "field": "messages"}]}],
    })
    .to_string()
    .into_bytes()
}

fn statuses(statuses: Value) -> Vec<u8> {
    call(json!({
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"},
        "statuses": statuses,
    }))
}

fn read(body: &[u8]) -> Vec<DeliveryReport> {
    webhook().read(&signature(body), body, start()).unwrap()
}

fn report(id: &str, message: Option<MessageId>, status: DeliveryStatus) -> DeliveryReport {
    DeliveryReport { provider_id: ProviderId::parse(id).unwrap(), message, status, at: start() }
}

#[test]
fn each_status_is_a_report_with_our_own_id_where_it_comes_back() {
    let own: MessageId = fresh_id();
    let body = statuses(json!([
        {"id": "wamid.1", "status": "sent", "timestamp": "1750857384", "recipient_id": "5516992318222",
         "biz_opaque_callback_data": own.to_string(),
         "conversation": {"id": "a75d17ad06104c51166f948319b03c6a", "origin": {"type": "authentication"}},
         "pricing": {"billable": true, "pricing_model": "PMP", "category": "authentication"}},
        {"id": "wamid.2", "status": "delivered", "timestamp": "1750857385", "recipient_id": "5516992318222"},
        {"id": "wamid.3", "status": "read", "timestamp": "1750857386", "recipient_id": "5516992318222",
         "biz_opaque_callback_data": "of another app"},
        {"id": "wamid.4", "status": "failed", "timestamp": "1750857387", "recipient_id": "5516992318222",
         "errors": [{"code": 131_026, "title": "Message undeliverable", "message": "Message undeliverable",
                     "error_data": {"details": "Message Undeliverable."}, "href": "https://developers.facebook.com/docs"}]},
        {"id": "wamid.5", "status": "failed", "timestamp": "1750857388", "recipient_id": "5516992318222"},
        {"id": "wamid.6", "status": "a status of next year", "timestamp": "1750857389"},
    ]));
    let reached = DeliveryStatus::Reached;
    let expected = [
        report("wamid.1", Some(own), reached(Delivery::Sent)),
        report("wamid.2", None, reached(Delivery::Delivered)),
        report("wamid.3", None, reached(Delivery::Read)),
        report("wamid.4", None, DeliveryStatus::Failed { code: Some(131_026) }),
        report("wamid.5", None, DeliveryStatus::Failed { code: None }),
    ];
    assert_eq!(read(&body), expected);
}

#[test]
fn what_is_about_something_else_is_left_out() {
    let incoming = call(json!({
        "messaging_product": "whatsapp",
        "contacts": [{"profile": {"name": "test user name"}, "wa_id": "16315551181"}],
        "messages": [{"from": "16315551181", "id": "ABGGFlA5Fpa", "timestamp": "1504902988", "type": "text",
                      "text": {"body": "this is a text message"}}],
    }));
    let template = json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [
        {"field": "message_template_status_update", "value": {"event": "PAUSED", "message_template_name": "x"}}]}]});
    for body in [incoming, template.to_string().into_bytes(), b"{}".to_vec()] {
        assert_eq!(read(&body), []);
    }
}

#[test]
fn only_the_very_bytes_that_were_signed_count() {
    let body = statuses(json!([{"id": "wamid.1", "status": "read"}]));
    let good = signature(&body);
    let refused = |signature: &str, body: &[u8]| webhook().read(signature, body, start());
    assert!(refused(&good, &body).is_ok());
    let mut altered = body.clone();
    altered.push(b' ');
    assert_eq!(refused(&good, &altered), Err(WebhookRefused::Signature));
    let digits = good.strip_prefix("sha256=").unwrap();
    let other = if digits.starts_with('0') { "1" } else { "0" };
    for bad in
        ["", "sha256=", digits, &format!("sha1={digits}"), &format!("sha256={other}{}", &digits[1..]), &good[..70]]
    {
        assert_eq!(refused(bad, &body), Err(WebhookRefused::Signature), "{bad}");
    }
    let nonsense = b"no JSON";
    assert_eq!(refused(&signature(nonsense), nonsense), Err(WebhookRefused::Unreadable));
    assert_eq!(refused("sha256=00", nonsense), Err(WebhookRefused::Signature), "unsigned, it is not even read");
}

#[test]
fn the_challenge_is_answered_for_the_token_of_the_house_alone() {
    let webhook = webhook();
    assert_eq!(webhook.subscribe("subscribe", VERIFY_TOKEN, "1158201444").as_deref(), Some("1158201444"));
    for (mode, token, challenge) in [
        ("subscribe", "meaty hamhock", "1158201444"),
        ("subscribe", "", "1158201444"),
        ("unsubscribe", VERIFY_TOKEN, "1158201444"),
        ("subscribe", VERIFY_TOKEN, "<script>"),
        ("subscribe", VERIFY_TOKEN, &"1".repeat(1_000)),
    ] {
        assert_eq!(webhook.subscribe(mode, token, challenge), None, "{mode} {token} {challenge}");
    }
}
