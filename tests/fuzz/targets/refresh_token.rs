//! The refresh token, and the other strings that we sign and are shown again: links.

use infirmary_auth::RefreshToken;
use infirmary_kernel::{
    Id, Link, LinkTarget, Timestamp,
    testing::{CountingEntropy, TestSigner},
};
use secrecy::ExposeSecret;
use uuid::Uuid;

use crate::harness::Target;

pub const TARGET: Target = Target {
    name: "refresh_token",
    run,
    seeds,
    words: &[b"=", b"-", b"_", b"+", b"/"],
    max_bytes: 512,
    max_mib: 1,
    changes: 5_000,
};

const NOW: Timestamp = Timestamp::from_unix_ms(1_772_355_600_000);

fn run(input: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(input) else { return "not text".to_owned() };
    if let Some(token) = RefreshToken::parse(text, &TestSigner) {
        assert_eq!(token.to_text(&TestSigner).expose_secret(), text, "a token has one spelling");
        assert!(tokens().contains(&text.to_owned()), "a token was made up");
        let successor = token.successor(&TestSigner).to_text(&TestSigner);
        assert!(RefreshToken::parse(successor.expose_secret(), &TestSigner).is_some());
        return "a refresh token".to_owned();
    }
    if let Some(link) = Link::verify(text, &TestSigner, NOW) {
        assert_eq!(link.sign(&TestSigner), text, "a link has one spelling");
        assert!(links().contains(&text.to_owned()), "a link was made up");
        assert!(link.expires > NOW);
        return "a link".to_owned();
    }
    let alphabet = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    format!("refused, {} characters, of the alphabet: {alphabet}", text.len().min(100) / 10 * 10)
}

fn id<T>(number: u128) -> Id<T> {
    Id::from_uuid(Uuid::from_u128(0x0198_c1f0_7c3e_7d0a_9c55_0000_0000_0000 | number))
}

fn tokens() -> Vec<String> {
    let entropy = CountingEntropy::default();
    (0..2)
        .map(|number| RefreshToken::draw(id(number), &entropy).to_text(&TestSigner).expose_secret().to_owned())
        .collect()
}

fn links() -> Vec<String> {
    [LinkTarget::Image(id(1)), LinkTarget::Report(id(2))]
        .map(|target| Link::new(target, id(3), NOW).sign(&TestSigner))
        .to_vec()
}

fn seeds() -> Vec<Vec<u8>> {
    tokens().into_iter().chain(links()).map(String::into_bytes).collect()
}
