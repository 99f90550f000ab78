//! The `cursor` of a list, and what else names a record in a query: ids, times, the head of the log.

use infirmary_audit::Head;
use infirmary_kernel::{BirthDate, Cursor, PatientId, Sha256Digest, Timestamp};
use uuid::Uuid;

use crate::harness::Target;

pub const TARGET: Target = Target {
    name: "cursor",
    run,
    seeds,
    words: &[
        b"-",
        b"_",
        b"=",
        b":",
        b"+",
        b"T",
        b"Z",
        b"+14:00",
        b"0000-00-00",
        b"9999-12-31",
        b"AAAAAAAAAAAAAAAAAAAAA",
    ],
    max_bytes: 1_200,
    max_mib: 1,
    changes: 5_000,
};

fn run(input: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(input) else { return "not text".to_owned() };
    let mut outcome = Vec::new();
    if let Ok(cursor) = Cursor::decode(text) {
        assert_eq!(cursor.encode(), text, "a cursor has one spelling");
        outcome.push(if cursor.time().is_ok() { "a cursor in time" } else { "a cursor" });
    }
    if let Ok(id) = PatientId::parse(text) {
        assert_eq!(id.to_string(), text.to_ascii_lowercase());
        outcome.push("an id");
    }
    if let Ok(time) = Timestamp::parse(text) {
        assert_eq!(Timestamp::parse(&time.to_string()).unwrap(), time);
        outcome.push("a time");
    }
    if let Ok(date) = BirthDate::parse(text) {
        assert_eq!(date.to_string(), text, "a date has one spelling");
        outcome.push("a date");
    }
    if let Ok(head) = text.parse::<Head>() {
        assert_eq!(head.to_string(), text.trim(), "a head has one spelling");
        outcome.push("a head");
    }
    if let Ok(digest) = Sha256Digest::parse(text) {
        assert_eq!(digest.to_string(), text, "a digest has one spelling");
        outcome.push("a digest");
    }
    if outcome.is_empty() {
        format!("nothing, of {} characters", text.len().min(1_200) / 100 * 100)
    } else {
        outcome.join(" and ")
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let id = Uuid::from_u128(0x0198_c1f0_7c3e_7d0a_9c55_0000_0000_0001);
    let head = Head { sequence: 7, hash: Sha256Digest::of(b"") };
    let texts = [
        Cursor::at(Timestamp::from_unix_ms(1_772_355_600_007), id).encode(),
        Cursor { sort_key: "ئازاد".into(), id }.encode(),
        id.to_string(),
        "2026-03-01T09:00:00.007Z".into(),
        "2026-03-01T12:00:00+03:00".into(),
        "1990-05-17".into(),
        head.to_string(),
        head.hash.to_string(),
    ];
    texts.map(String::into_bytes).to_vec()
}
