use infirmary_auth::{StandingClaims, StandingTokens};
use infirmary_kernel::{EmailAddress, Id, Role, Signer};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{hs256::HS256, signer::HmacSigner, tokens::JwtTokens};

/// The tokens of the replaced system's clients: JWT with the claims that these read, under a key of their own. As with
/// [`JwtTokens`], the header of a token has to be the one that we write, so there is nothing in it to choose.
pub struct StandingJwt {
    header: Header,
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Validation,
}

/// The names are the replaced system's, but for `sid` and `iat`.
#[derive(Serialize, Deserialize)]
struct Claims {
    user_id: String,
    #[serde(rename = "Email")]
    email: String,
    #[serde(rename = "accountType")]
    account_type: String,
    sid: String,
    iat: i64,
    exp: i64,
}

/// As the replaced system writes them.
const ROLES: [(Role, &str); 4] =
    [(Role::Admin, "admin"), (Role::Doctor, "Doctor"), (Role::Accountant, "accountant"), (Role::Patient, "Patient")];

impl StandingJwt {
    const KEY_ID: &str = "standing-1";

    pub fn new(signer: &HmacSigner) -> Self {
        // Once for the process; every later one is the same.
        let _ = HS256.install_default();
        let key = signer.mac("standing token", b"key 1");
        let header =
            Header { typ: Some("JWT".into()), kid: Some(Self::KEY_ID.into()), ..Header::new(Algorithm::HS256) };
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_required_spec_claims(&["exp"]);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.leeway = 0;
        Self { header, signing: EncodingKey::from_secret(&key), verifying: DecodingKey::from_secret(&key), validation }
    }
}

impl StandingTokens for StandingJwt {
    fn issue(&self, claims: &StandingClaims) -> SecretString {
        let account_type = ROLES.iter().find(|(role, _)| *role == claims.role).map_or("", |(_, name)| name);
        let claims = Claims {
            user_id: claims.user.clone(),
            email: claims.email.as_str().to_owned(),
            account_type: account_type.to_owned(),
            sid: claims.session.to_string(),
            iat: claims.issued_at,
            exp: claims.expires_at,
        };
        jsonwebtoken::encode(&self.header, &claims, &self.signing).expect("texts and numbers are JSON").into()
    }

    fn verify(&self, token: &str) -> Option<StandingClaims> {
        if token.len() > JwtTokens::MAX_BYTES || jsonwebtoken::decode_header(token).ok()? != self.header {
            return None;
        }
        let claims = jsonwebtoken::decode::<Claims>(token, &self.verifying, &self.validation).ok()?.claims;
        Some(StandingClaims {
            email: EmailAddress::parse(&claims.email).ok()?,
            role: ROLES.iter().find(|(_, name)| *name == claims.account_type)?.0,
            session: Id::parse(&claims.sid).ok()?,
            user: claims.user_id,
            issued_at: claims.iat,
            expires_at: claims.exp,
        })
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use infirmary_auth::{AccessClaims, AccessTokens};
    use infirmary_kernel::testing::fresh_id;
    use secrecy::ExposeSecret;
    use serde_json::Value;

    use super::*;
    use crate::keyring::SecretKey;

    fn tokens(key: &str) -> StandingJwt {
        StandingJwt::new(&HmacSigner::new(&SecretKey::for_tests(key)))
    }

    fn claims(role: Role) -> StandingClaims {
        StandingClaims {
            user: "507f1f77bcf86cd799439011".into(),
            email: EmailAddress::parse("ada@example.org").unwrap(),
            role,
            session: fresh_id(),
            issued_at: 100,
            expires_at: 1_000,
        }
    }

    #[test]
    fn a_token_comes_back_as_it_was_and_says_what_the_old_clients_read() {
        for (role, name) in ROLES {
            let claims = claims(role);
            let token = tokens("one").issue(&claims).expose_secret().to_owned();
            let body: Value =
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap();
            assert_eq!(body["user_id"], "507f1f77bcf86cd799439011");
            assert_eq!(
                (&body["Email"], &body["accountType"], &body["exp"]),
                (&"ada@example.org".into(), &name.into(), &1_000.into())
            );
            assert_eq!(tokens("one").verify(&token), Some(claims));
            assert_eq!(tokens("two").verify(&token), None);
        }
    }

    #[test]
    fn no_bit_of_a_token_can_be_changed() {
        let tokens = tokens("one");
        let token = tokens.issue(&claims(Role::Admin)).expose_secret().to_owned();
        for place in 0..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
            assert_eq!(tokens.verify(std::str::from_utf8(&altered).unwrap()), None, "{place}");
        }
        assert_eq!(tokens.verify(""), None);
        assert_eq!(tokens.verify(&"A".repeat(10_000)), None);
    }

    #[test]
    fn neither_kind_of_token_is_one_of_the_other() {
        let key = SecretKey::for_tests("one");
        let (standing, access) = (tokens("one"), JwtTokens::new("https://infirmary.example", &[key]));
        let issued = standing.issue(&claims(Role::Admin));
        assert_eq!(access.verify(issued.expose_secret()), None);
        let claims =
            AccessClaims { account: fresh_id(), session: fresh_id(), issued_at: 1, not_before: 1, expires_at: 2 };
        assert_eq!(standing.verify(access.issue(&claims).expose_secret()), None);
    }
}
