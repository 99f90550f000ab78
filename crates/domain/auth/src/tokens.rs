use std::{sync::Arc, time::Duration};

use infirmary_kernel::{AccountId, Entropy, Origin, SessionId, Signer, Timestamp};
use secrecy::SecretString;

use crate::{AccessTokens, Account, RefreshToken, Session};

/// What an access token says. Times are whole seconds (RFC 7519 §2, NumericDate).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessClaims {
    pub account: AccountId,
    pub session: SessionId,
    pub issued_at: i64,
    pub not_before: i64,
    pub expires_at: i64,
}

impl AccessClaims {
    pub const TTL_SECONDS: u64 = 15 * 60;
    /// How far the clocks of two instances may be apart.
    pub const LEEWAY_SECONDS: i64 = 5;

    pub(crate) fn new(account: AccountId, session: SessionId, now: Timestamp) -> Self {
        let issued_at = now.unix_seconds();
        let expires_at = now.plus(Duration::from_secs(Self::TTL_SECONDS)).unix_seconds();
        Self { account, session, issued_at, not_before: issued_at, expires_at }
    }

    /// Whether a token that says this is good now. No token is good that lives longer than ours do.
    pub(crate) fn holds_at(&self, now: Timestamp) -> bool {
        let now = now.unix_seconds();
        let (earliest, latest) = (now.saturating_sub(Self::LEEWAY_SECONDS), now.saturating_add(Self::LEEWAY_SECONDS));
        let life = self.expires_at.saturating_sub(self.issued_at);
        self.issued_at <= latest
            && self.not_before <= latest
            && self.expires_at > earliest
            && life <= Self::TTL_SECONDS as i64
    }
}

/// What somebody who signed in is given.
#[derive(Debug, Clone)]
pub struct SessionTokens {
    pub access_token: SecretString,
    pub expires_in: Duration,
    pub refresh_token: SecretString,
    pub refresh_expires_in: Duration,
    pub account: Account,
    pub session: SessionId,
}

/// Opens sessions and says what their holders get.
#[derive(Clone)]
pub struct TokenIssuer {
    pub access: Arc<dyn AccessTokens>,
    pub signer: Arc<dyn Signer>,
    pub entropy: Arc<dyn Entropy>,
}

impl TokenIssuer {
    /// A session to be stored, and the refresh token to be given once it is.
    pub fn open(&self, id: SessionId, account: AccountId, origin: &Origin, now: Timestamp) -> (Session, RefreshToken) {
        let token = RefreshToken::draw(id, &*self.entropy);
        (Session::start(id, account, origin, &token, now), token)
    }

    pub fn tokens(&self, account: Account, session: &Session, refresh: &RefreshToken, now: Timestamp) -> SessionTokens {
        SessionTokens {
            access_token: self.access.issue(&AccessClaims::new(account.id, session.id, now)),
            expires_in: Duration::from_secs(AccessClaims::TTL_SECONDS),
            refresh_token: refresh.to_text(&*self.signer),
            refresh_expires_in: session.expires_at.since(now),
            account,
            session: session.id,
        }
    }
}

#[cfg(test)]
mod tests {
    use infirmary_kernel::{
        Clock,
        testing::{ManualClock, fresh_id},
    };

    use super::*;

    #[test]
    fn a_token_is_good_for_its_quarter_of_an_hour_and_five_seconds_of_leeway() {
        let now = ManualClock::default().now();
        let claims = AccessClaims::new(fresh_id(), fresh_id(), now);
        for (seconds, good) in [(-6, false), (-5, true), (0, true), (904, true), (905, false), (86_400, false)] {
            let moment = Timestamp::from_unix_ms(now.unix_ms() + seconds * 1_000);
            assert_eq!(claims.holds_at(moment), good, "{seconds}");
        }
        for wrong in [
            AccessClaims { not_before: claims.not_before + 6, ..claims },
            AccessClaims { issued_at: claims.issued_at + 6, ..claims },
            AccessClaims { expires_at: i64::MAX, ..claims },
            AccessClaims { issued_at: i64::MIN, ..claims },
            AccessClaims { expires_at: i64::MIN, ..claims },
        ] {
            assert!(!wrong.holds_at(now), "{wrong:?}");
        }
    }
}
