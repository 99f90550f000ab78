//! The token of `Authorization: Bearer`. An input is a token, or a line that says `signed` and the claims, which are then
//! signed as they ought to be: so what comes behind the signature is met, too.

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use infirmary_auth::{AccessClaims, AccessTokens};
use infirmary_kernel::Id;
use infirmary_system::{JwtTokens, SecretKey};
use secrecy::ExposeSecret;
use sha2::Sha256;
use uuid::Uuid;

use super::lines;
use crate::harness::Target;

pub const TARGET: Target = Target {
    name: "access_token",
    run,
    seeds,
    words: &[
        b"signed\n",
        br#""exp":"#,
        br#""nbf":"#,
        br#""aud":["https://infirmary.example"]"#,
        br#""crit":["exp"]"#,
        br#"{"alg":"none"}"#,
        b"1e300",
        b"-0",
        b".",
        b"==",
        b"eyJhbGciOiJub25lIn0",
    ],
    max_bytes: 6 * 1024,
    max_mib: 4,
    changes: 3_000,
};

const HOUSE: &str = "https://infirmary.example";
const KEY: &str = "a key of the tests: 4f7c1b2e9d8a6350 and no other house's";

static TOKENS: LazyLock<JwtTokens> = LazyLock::new(|| {
    let keys = ["another key of the tests, 83b5d2a1c7e94f06", KEY].map(|key| SecretKey::parse(key).unwrap());
    JwtTokens::new(HOUSE, &keys)
});

/// Two that were issued.
static ISSUED: LazyLock<[(String, AccessClaims); 2]> = LazyLock::new(|| {
    [(1, 2), (3, 4)].map(|(account, session)| {
        let id = |number: u128| Uuid::from_u128(0x0198_c1f0_7c3e_7d0a_9c55_0000_0000_0000 | number);
        let claims = AccessClaims {
            account: Id::from_uuid(id(account)),
            session: Id::from_uuid(id(session)),
            issued_at: 1_772_355_600,
            not_before: 1_772_355_600,
            expires_at: 1_772_356_500,
        };
        (TOKENS.issue(&claims).expose_secret().to_owned(), claims)
    })
});

fn run(input: &[u8]) -> String {
    let [first, rest] = lines(input);
    if first == b"signed" {
        return signed(rest);
    }
    let Ok(text) = std::str::from_utf8(input) else { return "not text".to_owned() };
    match TOKENS.verify(text) {
        Some(claims) => {
            assert!(ISSUED.iter().any(|(token, issued)| token == text && *issued == claims), "a token was made up");
            "issued".to_owned()
        }
        None => format!("refused, of {} parts", text.split('.').count().min(5)),
    }
}

fn signed(claims: &[u8]) -> String {
    let header = ISSUED[0].0.split('.').next().unwrap();
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(message.as_bytes());
    let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
    match TOKENS.verify(&token) {
        Some(claims) => {
            let again = TOKENS.issue(&claims);
            assert_eq!(TOKENS.verify(again.expose_secret()), Some(claims));
            assert!(token.len() <= JwtTokens::MAX_BYTES);
            format!("signed, for {} s", claims.expires_at.saturating_sub(claims.issued_at).signum())
        }
        None => {
            let value: Option<serde_json::Value> = serde_json::from_slice(claims).ok();
            let fields = value.as_ref().and_then(serde_json::Value::as_object).map(serde_json::Map::len);
            format!("signed and refused, {fields:?} claims")
        }
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let issued = ISSUED.iter().map(|(token, _)| token.clone().into_bytes());
    let claims = ISSUED.iter().map(|(token, _)| {
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        [b"signed\n", claims.as_slice()].concat()
    });
    issued.chain(claims).collect()
}
