use std::time::Duration;

use infirmary_kernel::{EmailAddress, Role, SessionId, Timestamp};

/// What a standing token says: the one token of a client of the replaced system, which knows no refresh tokens. It lives as
/// long as a session that nobody comes back to, and is worth nothing without that session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingClaims {
    /// Whom the client calls the person that holds it.
    pub user: String,
    pub email: EmailAddress,
    pub role: Role,
    pub session: SessionId,
    /// Seconds (RFC 7519 §2, NumericDate).
    pub issued_at: i64,
    pub expires_at: i64,
}

impl StandingClaims {
    pub const TTL_HOURS: u64 = 72;
    /// Once a token is so old, an answer carries a fresh one.
    pub const FRESH_HOURS: u64 = 24;

    /// `session_expires_at`: it does not outlive its session.
    pub fn new(
        user: String,
        email: EmailAddress,
        role: Role,
        session: SessionId,
        session_expires_at: Timestamp,
        now: Timestamp,
    ) -> Self {
        let expires = now.plus(Duration::from_secs(Self::TTL_HOURS * 60 * 60)).min(session_expires_at);
        Self { user, email, role, session, issued_at: now.unix_seconds(), expires_at: expires.unix_seconds() }
    }

    /// No token is good that lives longer than ours do.
    pub fn holds_at(&self, now: Timestamp) -> bool {
        let (now, leeway) = (now.unix_seconds(), crate::AccessClaims::LEEWAY_SECONDS);
        self.issued_at <= now.saturating_add(leeway)
            && self.expires_at > now.saturating_sub(leeway)
            && self.expires_at.saturating_sub(self.issued_at) <= (Self::TTL_HOURS * 60 * 60) as i64
    }

    pub fn is_fresh_at(&self, now: Timestamp) -> bool {
        now.unix_seconds().saturating_sub(self.issued_at) < (Self::FRESH_HOURS * 60 * 60) as i64
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
    fn a_standing_token_lives_three_days_and_no_longer_than_its_session() {
        let now = ManualClock::default().now();
        let hours = |count: u64| now.plus(Duration::from_secs(count * 60 * 60));
        let claims = |ends| {
            let email = EmailAddress::parse("ada@example.org").unwrap();
            StandingClaims::new("0".into(), email, Role::Patient, fresh_id(), ends, now)
        };
        let long = claims(hours(720));
        assert!(long.holds_at(now) && long.holds_at(hours(71)) && !long.holds_at(hours(73)));
        assert!(long.is_fresh_at(hours(23)) && !long.is_fresh_at(hours(24)));
        let short = claims(hours(2));
        assert!(short.holds_at(hours(1)) && !short.holds_at(hours(3)));
        for wrong in [
            StandingClaims { expires_at: i64::MAX, ..long.clone() },
            StandingClaims { issued_at: i64::MIN, ..long.clone() },
            StandingClaims { issued_at: long.issued_at + 6, ..long },
        ] {
            assert!(!wrong.holds_at(now), "{wrong:?}");
        }
    }
}
