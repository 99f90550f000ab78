//! What Meta calls. An input is a line with the signature, or the word `signed`, and the body.

use hmac::{Hmac, Mac};
use infirmary_kernel::Timestamp;
use infirmary_messaging::{DeliveryStatus, DeliveryWebhook, WebhookRefused};
use infirmary_whatsapp::WhatsAppWebhook;
use sha2::Sha256;

use super::lines;
use crate::harness::Target;

pub const TARGET: Target = Target {
    name: "webhook",
    run,
    seeds,
    words: &[
        b"signed\n",
        b"sha256=",
        br#""entry":["#,
        br#""changes":["#,
        br#""field":"messages""#,
        br#""statuses":["#,
        br#"{"id":"wamid.x","status":"failed","errors":[{"code":131026}]}"#,
        br#""biz_opaque_callback_data":"0198c1f0-7c3e-7d0a-9c55-3f1d2b6a4e10""#,
        b"[[[[[[[[[[[[[[[[",
        b"\\ud800",
        b"null",
        b"1e999",
    ],
    max_bytes: 8 * 1024,
    max_mib: 4,
    changes: 1_500,
};

const SECRET: &str = "the app's secret, of the tests";

fn signature(body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body);
    let digits: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={digits}")
}

fn run(input: &[u8]) -> String {
    let [given, body] = lines(input);
    let right = signature(body);
    let given = if given == b"signed" { right.as_str() } else { std::str::from_utf8(given).unwrap_or_default() };
    let webhook = WhatsAppWebhook::new(SECRET.into(), "token".into());
    let now = Timestamp::from_unix_ms(1_772_355_600_000);
    match webhook.read(given, body, now) {
        Ok(reports) => {
            assert_eq!(given, right, "a body was taken under another signature");
            // A report has more letters than this.
            assert!(reports.len() <= body.len() / 10);
            assert!(reports.iter().all(|report| report.at == now && report.provider_id.as_str().len() <= 255));
            let failed = reports.iter().filter(|report| matches!(report.status, DeliveryStatus::Failed { .. })).count();
            let ours = reports.iter().filter(|report| report.message.is_some()).count();
            format!("{} reports, {} failed, {} of ours", reports.len().min(3), failed.min(3), ours.min(3))
        }
        Err(WebhookRefused::Signature) => {
            assert_ne!(given, right, "a right signature was refused");
            "not signed".to_owned()
        }
        Err(WebhookRefused::Unreadable) => "unreadable".to_owned(),
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let status = |status: &str, rest: &str| {
        format!(
            r#"{{"id":"wamid.HBgM","status":"{status}","timestamp":"1772355600","recipient_id":"9647501234567"{rest}}}"#
        )
    };
    let call = |statuses: &[String]| {
        format!(
            r#"{{"object":"whatsapp_business_account","entry":[{{"id":"1","changes":[{{"field":"messages","value":{{"messaging_product":"whatsapp","metadata":{{"phone_number_id":"2"}},"statuses":[{}]}}}}]}}]}}"#,
            statuses.join(",")
        )
    };
    let ours = r#","biz_opaque_callback_data":"0198c1f0-7c3e-7d0a-9c55-3f1d2b6a4e10""#;
    let bodies = [
        call(&[status("sent", ours)]),
        call(&[status("delivered", ""), status("read", ours)]),
        call(&[status("failed", r#","errors":[{"code":131026,"title":"Message undeliverable"}]"#)]),
        call(&[]),
        "{}".to_owned(),
    ];
    let signed = bodies.iter().map(|body| format!("signed\n{body}"));
    let by_hand = bodies.iter().take(1).map(|body| format!("{}\n{body}", signature(body.as_bytes())));
    signed.chain(by_hand).map(String::into_bytes).collect()
}
