//! `Idempotency-Key`, and those of a download. An input is five lines: key, `Range`, `If-Range`, `If-None-Match`, and the
//! name of the file.

use actix_web::{
    http::header::{HeaderName, HeaderValue},
    test::TestRequest,
};
use infirmary_kernel::{IdempotencyKey, Sha256Digest};
use infirmary_server::http::{
    download::{Asked, Offer},
    extract::{bearer, idempotency_key},
};

use super::lines;
use crate::harness::Target;

pub const TARGET: Target = Target {
    name: "headers",
    run,
    seeds,
    words: &[
        b"bytes=",
        b"-",
        b",",
        b"\n",
        b"W/",
        b"*",
        b"\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"",
        b"18446744073709551615",
        b"18446744073709551616",
        b"Bearer ",
        b"%0d%0a",
        b"\\\"",
    ],
    max_bytes: 2_048,
    max_mib: 1,
    changes: 1_500,
};

const NAMES: [&str; 4] = ["idempotency-key", "range", "if-range", "if-none-match"];
const FILE_BYTES: u64 = 1_000;

fn run(input: &[u8]) -> String {
    let [key, range, if_range, if_none_match, name] = lines(input);
    let mut request = TestRequest::get();
    for (name, value) in NAMES.into_iter().zip([key, range, if_range, if_none_match]) {
        let Ok(value) = HeaderValue::from_bytes(value) else { return "not a header".to_owned() };
        if !value.is_empty() {
            request = request.insert_header((HeaderName::from_static(name), value));
        }
    }
    if let Ok(value) = HeaderValue::from_bytes(key) {
        request = request.insert_header((HeaderName::from_static("authorization"), value));
    }
    let request = request.to_http_request();
    let key = match idempotency_key(&request) {
        Ok(Some(key)) => {
            assert!((1..=IdempotencyKey::MAX_CHARS).contains(&key.as_str().chars().count()));
            "a key"
        }
        Ok(None) => "no key",
        Err(problem) => {
            assert_eq!(problem.kind().status(), 400);
            "a bad key"
        }
    };
    let bearer = bearer(&request).is_some();
    let file_name = String::from_utf8_lossy(name);
    let sha256 = Sha256Digest::of(b"");
    let offer = Offer { media_type: "image/png", bytes: FILE_BYTES, sha256, file_name: &file_name, shown: true };
    let asked = match offer.asked(&request) {
        Ok(Asked::Part(range)) => {
            assert!(range.start < range.end && range.end <= FILE_BYTES, "{range:?}");
            "a part"
        }
        Ok(Asked::Whole) => "the whole",
        Ok(Asked::NotModified) => "nothing",
        Err(problem) => {
            assert_eq!(problem.kind().status(), 416);
            "what is not there"
        }
    };
    let disposition = offer.served().disposition;
    assert!(HeaderValue::from_str(&disposition).is_ok() && disposition.is_ascii(), "{disposition}");
    assert_eq!(disposition.matches('"').count(), 2, "{disposition}");
    format!("{key}, {asked}, bearer: {bearer}")
}

fn seeds() -> Vec<Vec<u8>> {
    let tag = format!("\"{}\"", Sha256Digest::of(b""));
    [
        "6f1e0c1a-key\n\n\n\nthorax.png".to_owned(),
        "\nbytes=0-99\n\n\nوێنە \"1\".png".to_owned(),
        format!("\nbytes=-100\n{tag}\n\na"),
        format!("کلیل\nbytes=900-\n\"other\"\nW/{tag}, \"x\"\na"),
        "Bearer eyJ\nbytes=0-1,3-4\n\n*\n".to_owned(),
        "\nbytes=1000-\n\n\n".to_owned(),
    ]
    .map(String::into_bytes)
    .to_vec()
}
