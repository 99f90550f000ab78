use infirmary_auth::{AccessClaims, AccessTokens};
use infirmary_kernel::Id;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{hs256::HS256, keyring::SecretKey};

/// Access tokens as JWT (RFC 7519) in the profile of RFC 9068: HS256, `typ: at+jwt`, a `kid` of the ring.
///
/// The header of a token has to be one that we write, and so names the key. What RFC 8725 warns of (another algorithm,
/// none, a key in the header, an embedded URL) is then not a case to refuse but no token of ours. The library is told to
/// leave the times alone: it asks the machine for the time, and whether a token holds is decided by the house's clock.
pub struct JwtTokens {
    issuer: String,
    /// The last one signs.
    ring: Vec<Key>,
    validation: Validation,
}

struct Key {
    header: Header,
    signing: EncodingKey,
    verifying: DecodingKey,
}

impl Key {
    fn new(key: &SecretKey) -> Self {
        let header = Header { typ: Some("at+jwt".into()), kid: Some(key.name()), ..Header::new(Algorithm::HS256) };
        Self {
            header,
            signing: EncodingKey::from_secret(key.expose()),
            verifying: DecodingKey::from_secret(key.expose()),
        }
    }
}

/// Every one is required, and the types are these only.
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    sid: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    ver: u32,
}

impl JwtTokens {
    pub const MAX_BYTES: usize = 4_096;
    /// Of what is in the claims. A token of another version is no token.
    pub const VERSION: u32 = 1;

    /// `issuer` is the house: who makes the tokens, and whom they are for.
    pub fn new(issuer: impl Into<String>, keys: &[SecretKey]) -> Self {
        // Once for the process; every later one is the same.
        let _ = HS256.install_default();
        let issuer = issuer.into();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[&issuer]);
        validation.set_audience(&[&issuer]);
        validation.set_required_spec_claims(&["exp", "nbf", "aud", "iss", "sub"]);
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.leeway = 0;
        Self { issuer, ring: keys.iter().map(Key::new).collect(), validation }
    }
}

impl AccessTokens for JwtTokens {
    /// # Panics
    /// Without a key, which [`crate::Keyring`] does not give.
    fn issue(&self, claims: &AccessClaims) -> SecretString {
        let key = self.ring.last().expect("the ring has keys");
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.issuer.clone(),
            sub: claims.account.to_string(),
            sid: claims.session.to_string(),
            iat: claims.issued_at,
            nbf: claims.not_before,
            exp: claims.expires_at,
            ver: Self::VERSION,
        };
        jsonwebtoken::encode(&key.header, &claims, &key.signing).expect("texts and numbers are JSON").into()
    }

    fn verify(&self, token: &str) -> Option<AccessClaims> {
        if token.len() > Self::MAX_BYTES {
            return None;
        }
        let header = jsonwebtoken::decode_header(token).ok()?;
        let key = self.ring.iter().find(|key| key.header == header)?;
        let claims = jsonwebtoken::decode::<Claims>(token, &key.verifying, &self.validation).ok()?.claims;
        if claims.ver != Self::VERSION {
            return None;
        }
        Some(AccessClaims {
            account: Id::parse(&claims.sub).ok()?,
            session: Id::parse(&claims.sid).ok()?,
            issued_at: claims.iat,
            not_before: claims.nbf,
            expires_at: claims.exp,
        })
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use infirmary_kernel::testing::fresh_id;
    use proptest::prelude::*;
    use secrecy::ExposeSecret;
    use serde_json::{Value, json};

    use super::*;
    use crate::mac::Signature;

    fn encode(part: &impl Serialize) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(part).unwrap())
    }

    const HOUSE: &str = "https://infirmary.example";

    fn key(name: &str) -> SecretKey {
        SecretKey::for_tests(name)
    }

    fn tokens() -> JwtTokens {
        JwtTokens::new(HOUSE, &[key("one"), key("two")])
    }

    fn claims() -> AccessClaims {
        AccessClaims { account: fresh_id(), session: fresh_id(), issued_at: 100, not_before: 101, expires_at: 1_000 }
    }

    fn issued(tokens: &JwtTokens, claims: &AccessClaims) -> String {
        tokens.issue(claims).expose_secret().to_owned()
    }

    /// A token of that header and those claims, signed in the right way with that key.
    fn forged(header: &str, claims: &Value, key: &SecretKey) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), encode(claims));
        let signature = Signature::new(key).of(message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn header() -> String {
        format!(r#"{{"typ":"at+jwt","alg":"HS256","kid":"{}"}}"#, key("two").name())
    }

    fn good() -> Value {
        let (sub, sid) = (fresh_id::<()>().to_string(), fresh_id::<()>().to_string());
        json!({"iss": HOUSE, "aud": HOUSE, "sub": sub, "sid": sid, "iat": 1, "nbf": 1, "exp": 2, "ver": 1})
    }

    #[test]
    fn the_signature_is_the_one_of_the_standard() {
        // RFC 7515, appendix A.1.
        let key = URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        let message = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = Signature::of_bytes(&key).of(message.as_bytes());
        assert_eq!(URL_SAFE_NO_PAD.encode(signature), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    }

    #[test]
    fn a_token_comes_back_as_it_was_and_says_what_the_profile_asks_for() {
        let (tokens, claims) = (tokens(), claims());
        let token = issued(&tokens, &claims);
        assert_eq!(tokens.verify(&token), Some(claims));
        let part = |place: usize| -> Value {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(place).unwrap()).unwrap()).unwrap()
        };
        assert_eq!(part(0), json!({"typ": "at+jwt", "alg": "HS256", "kid": key("two").name()}));
        assert_eq!(part(1)["sub"], claims.account.to_string());
        assert_eq!((&part(1)["exp"], &part(1)["ver"]), (&json!(1_000), &json!(1)));
        assert!(tokens.verify(&forged(&header(), &good(), &key("two"))).is_some(), "what the cases below change");
    }

    #[test]
    fn a_key_of_the_ring_verifies_until_it_is_gone() {
        let claims = claims();
        let old = issued(&JwtTokens::new(HOUSE, &[key("zero"), key("one")]), &claims);
        assert_eq!(tokens().verify(&old), Some(claims));
        assert_eq!(JwtTokens::new(HOUSE, &[key("two"), key("three")]).verify(&old), None);
        assert_eq!(JwtTokens::new("https://other.example", &[key("zero"), key("one")]).verify(&old), None);
    }

    proptest! {
        #[test]
        fn any_claims_come_back_as_they_were_and_from_another_key_not_at_all(
            account in any::<u128>(), session in any::<u128>(), times in proptest::array::uniform3(0..=253_402_300_799_i64),
        ) {
            let id = uuid::Uuid::from_u128;
            let [issued_at, not_before, expires_at] = times;
            let claims = AccessClaims {
                account: Id::from_uuid(id(account)), session: Id::from_uuid(id(session)), issued_at, not_before, expires_at,
            };
            let token = issued(&tokens(), &claims);
            prop_assert!(token.len() <= JwtTokens::MAX_BYTES);
            prop_assert_eq!(tokens().verify(&token), Some(claims));
            prop_assert_eq!(JwtTokens::new(HOUSE, &[key("one"), key("three")]).verify(&token), None);
        }
    }

    #[test]
    fn not_one_character_can_be_changed() {
        let tokens = tokens();
        let token = issued(&tokens, &claims());
        for place in 0..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
            assert_eq!(tokens.verify(std::str::from_utf8(&altered).unwrap()), None, "{place}");
        }
    }

    #[test]
    fn no_header_but_ours_is_taken_however_well_signed() {
        let (kid, ours) = (key("two").name(), header());
        assert!(tokens().verify(&forged(&ours, &good(), &key("two"))).is_some());
        for (part, other) in [
            ("HS256", "none"),
            ("HS256", "HS384"),
            ("HS256", "RS256"),
            ("HS256", "hs256"),
            ("at+jwt", "JWT"),
            ("at+jwt", "application/at+jwt"),
            (r#""typ":"at+jwt","#, ""),
            (r#""alg":"HS256","#, ""),
            (&kid, &key("three").name()),
            (&kid, &key("one").name()),
            (&kid, "../../dev/null"),
            ("}", r#","jwk":{"kty":"oct","k":"AA"}}"#),
            ("}", r#","crit":["exp"]}"#),
            ("}", r#","zip":"DEF"}"#),
            ("}", r#","alg":"none"}"#),
        ] {
            let header = ours.replace(part, other);
            assert_ne!(header, ours);
            assert_eq!(tokens().verify(&forged(&header, &good(), &key("two"))), None, "{header}");
        }
    }

    #[test]
    fn a_token_without_a_signature_or_with_another_ones_is_refused() {
        let tokens = tokens();
        let token = issued(&tokens, &claims());
        let (message, signature) = token.rsplit_once('.').unwrap();
        let none = format!("{}.{}.", encode(&json!({"alg": "none"})), message.split_once('.').unwrap().1);
        let empty = format!("{message}.");
        for wrong in
            ["", ".", "..", "...", message, &empty, &none, &format!("{token}="), &format!("{token}.{signature}")]
        {
            assert_eq!(tokens.verify(wrong), None, "{wrong}");
        }
        assert_eq!(
            tokens.verify(&forged(&header(), &good(), &key("one"))),
            None,
            "signed with another key of the ring"
        );
        assert_eq!(tokens.verify(&forged(&header(), &good(), &key("stranger"))), None);
    }

    #[test]
    fn every_claim_is_required_and_has_to_be_ours() {
        for claim in ["iss", "aud", "sub", "sid", "iat", "nbf", "exp", "ver"] {
            let mut claims = good();
            claims.as_object_mut().unwrap().remove(claim);
            assert_eq!(tokens().verify(&forged(&header(), &claims, &key("two"))), None, "without {claim}");
        }
        for (claim, value) in [
            ("iss", json!("https://evil.example")),
            ("iss", json!([HOUSE])),
            ("aud", json!("https://evil.example")),
            ("aud", json!([HOUSE, "https://evil.example"])),
            ("sub", json!("admin")),
            ("sid", json!("")),
            ("exp", json!("9999999999")),
            ("exp", json!(1e300)),
            ("exp", json!(2.5)),
            ("nbf", json!(null)),
            ("iat", json!(u64::MAX)),
            ("ver", json!(2)),
            ("ver", json!("1")),
        ] {
            let mut claims = good();
            claims[claim] = value.clone();
            assert_eq!(tokens().verify(&forged(&header(), &claims, &key("two"))), None, "{claim}: {value}");
        }
        assert_eq!(tokens().verify(&forged(&header(), &json!([1]), &key("two"))), None);
    }

    #[test]
    fn a_token_of_more_than_four_kilobytes_is_not_looked_at() {
        let mut claims = good();
        claims["padding"] = json!("x".repeat(2_500));
        assert!(tokens().verify(&forged(&header(), &claims, &key("two"))).is_some(), "an unknown claim is ignored");
        claims["padding"] = json!("x".repeat(3_000));
        assert_eq!(tokens().verify(&forged(&header(), &claims, &key("two"))), None);
    }
}
