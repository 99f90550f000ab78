use std::{fmt, net::IpAddr, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use infirmary_kernel::{AccountId, Entropy, Origin, SessionId, Sha256Digest, Signer, Timestamp};
use secrecy::SecretString;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::Account;

/// A stay of somebody who signed in. It is a row while it lives; ending it removes the row.
///
/// Who comes back within 72 hours each time is not asked to sign in again for 30 days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    pub account: AccountId,
    pub started_at: Timestamp,
    /// When the person last proved who they are: what step-up asks for.
    pub authenticated_at: Timestamp,
    /// When the refresh token was last rotated.
    pub refreshed_at: Timestamp,
    pub expires_at: Timestamp,
    pub agent: Option<String>,
    pub address: Option<IpAddr>,
    /// Of the refresh token that is due.
    pub refresh: Sha256Digest,
    /// Of the one before it.
    pub previous: Option<Sha256Digest>,
}

impl Session {
    pub const IDLE_HOURS: u64 = 72;
    pub const MAX_DAYS: u64 = 30;
    pub const MAX_PER_ACCOUNT: usize = 10;
    /// How long the refresh token before still gives the same successor: the answer to it may have been lost.
    pub const GRACE_SECONDS: u64 = 10;

    pub(crate) fn start(
        id: SessionId,
        account: AccountId,
        origin: &Origin,
        refresh: &RefreshToken,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            account,
            started_at: now,
            authenticated_at: now,
            refreshed_at: now,
            expires_at: Self::expiry(now, now),
            agent: origin.agent.clone(),
            address: origin.address,
            refresh: refresh.digest(),
            previous: None,
        }
    }

    pub(crate) fn expiry(started_at: Timestamp, now: Timestamp) -> Timestamp {
        let idle = now.plus(Duration::from_secs(Self::IDLE_HOURS * 60 * 60));
        idle.min(started_at.plus(Duration::from_secs(Self::MAX_DAYS * 24 * 60 * 60)))
    }

    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }

    /// What a refresh token that is shown gives. Pure: the same session, token and moment give the same.
    pub fn refresh_with(&self, token: &RefreshToken, signer: &dyn Signer, now: Timestamp) -> Refresh {
        if self.is_over(now) {
            return Refresh::Over;
        }
        let (shown, successor) = (token.digest(), token.successor(signer));
        if shown == self.refresh {
            return Refresh::Rotate(
                Rotation {
                    session: self.id,
                    from: shown,
                    to: successor.digest(),
                    at: now,
                    expires_at: Self::expiry(self.started_at, now),
                },
                successor,
            );
        }
        let lost_answer = self.previous == Some(shown)
            && now.is_within(self.refreshed_at, Duration::from_secs(Self::GRACE_SECONDS))
            && successor.digest() == self.refresh;
        if lost_answer { Refresh::Repeat(successor) } else { Refresh::Reused }
    }

    /// The session after the rotation.
    #[must_use]
    pub fn rotated(mut self, rotation: &Rotation) -> Self {
        self.previous = Some(rotation.from);
        self.refresh = rotation.to;
        self.refreshed_at = rotation.at;
        self.expires_at = rotation.expires_at;
        self
    }
}

/// See [`Session::refresh_with`].
#[derive(Debug)]
pub enum Refresh {
    Rotate(Rotation, RefreshToken),
    /// The token was rotated moments ago and its holder did not hear of the successor.
    Repeat(RefreshToken),
    /// The token was used before: somebody else holds a copy. The session ends.
    Reused,
    Over,
}

/// A refresh token takes the place of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    pub session: SessionId,
    pub from: Sha256Digest,
    pub to: Sha256Digest,
    pub at: Timestamp,
    pub expires_at: Timestamp,
}

/// What a client shows to get a new access token: the session's id, 256 bits, and our mark.
///
/// The successor of a token is a signature over it. So it can be given again to who lost the answer, though only its
/// SHA-256 is kept. By the mark we know a token that we once gave from one that somebody made up: only the former, when it
/// is used twice, ends a session, so nobody can end another's by its id.
#[derive(Clone)]
pub struct RefreshToken {
    session: SessionId,
    secret: [u8; Self::SECRET_BYTES],
}

impl RefreshToken {
    const SECRET_BYTES: usize = 32;
    const MARK_BYTES: usize = 16;
    const BYTES: usize = 16 + Self::SECRET_BYTES + Self::MARK_BYTES;
    const TEXT_CHARS: usize = (Self::BYTES * 8).div_ceil(6);

    pub fn draw(session: SessionId, entropy: &dyn Entropy) -> Self {
        let mut secret = [0; Self::SECRET_BYTES];
        entropy.fill(&mut secret);
        Self { session, secret }
    }

    pub fn parse(text: &str, signer: &dyn Signer) -> Option<Self> {
        if text.len() != Self::TEXT_CHARS {
            return None;
        }
        let bytes: [u8; Self::BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (id, rest) = bytes.split_first_chunk::<16>()?;
        let (secret, mark) = rest.split_first_chunk::<{ Self::SECRET_BYTES }>()?;
        let token = Self { session: SessionId::from_uuid(Uuid::from_bytes(*id)), secret: *secret };
        bool::from(token.mark(signer).as_slice().ct_eq(mark)).then_some(token)
    }

    pub fn to_text(&self, signer: &dyn Signer) -> SecretString {
        URL_SAFE_NO_PAD.encode([self.payload().as_slice(), &self.mark(signer)].concat()).into()
    }

    pub const fn session(&self) -> SessionId {
        self.session
    }

    #[must_use]
    pub fn successor(&self, signer: &dyn Signer) -> Self {
        Self { session: self.session, secret: signer.mac("refresh token, successor", &self.payload()) }
    }

    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(&self.secret)
    }

    fn payload(&self) -> [u8; 16 + Self::SECRET_BYTES] {
        let mut payload = [0; 16 + Self::SECRET_BYTES];
        payload[..16].copy_from_slice(self.session.as_uuid().as_bytes());
        payload[16..].copy_from_slice(&self.secret);
        payload
    }

    fn mark(&self, signer: &dyn Signer) -> [u8; Self::MARK_BYTES] {
        let mac = signer.mac("refresh token, mark", &self.payload());
        let mut mark = [0; Self::MARK_BYTES];
        mark.copy_from_slice(&mac[..Self::MARK_BYTES]);
        mark
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RefreshToken({}, ***)", self.session)
    }
}

/// What each request asks the store for: whether the session lives, and who its account is at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSession {
    pub account: Account,
    pub authenticated_at: Timestamp,
    pub expires_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use infirmary_kernel::{
        Clock,
        testing::{CountingEntropy, ManualClock, TestSigner, fresh_id, origin},
    };
    use proptest::{collection::vec, prelude::*, sample};

    use super::*;

    proptest! {
        /// Told once more as a list of the tokens that were given: the last is due, the one before it is lost for ten seconds,
        /// and all others are stolen.
        #[test]
        fn a_session_goes_as_the_list_of_its_tokens_says(
            steps in vec((prop_oneof![0..13_u64, 0..280_000_u64], any::<sample::Index>(), any::<bool>()), 0..40),
        ) {
            let (mut session, first, begun) = started();
            let (mut given, mut last, mut now) = (vec![first], begun, begun);
            for (after, which, due) in steps {
                now = now.plus(seconds(after));
                let place = if due { given.len() - 1 } else { which.index(given.len()) };
                let over = now.since(last) >= seconds(72 * 60 * 60) || now.since(begun) >= seconds(30 * 24 * 60 * 60);
                let behind = given.len() - 1 - place;
                let fresh = now.since(last) <= seconds(10);
                match session.refresh_with(&given[place], &TestSigner, now) {
                    Refresh::Over => prop_assert!(over),
                    Refresh::Rotate(rotation, successor) => {
                        prop_assert!(!over && behind == 0);
                        session = session.rotated(&rotation);
                        given.push(successor);
                        last = now;
                    }
                    Refresh::Repeat(successor) => {
                        prop_assert!(!over && behind == 1 && fresh);
                        prop_assert_eq!(successor.digest(), given[given.len() - 1].digest());
                    }
                    Refresh::Reused => {
                        prop_assert!(!over && (behind > 1 || (behind == 1 && !fresh)));
                        return Ok(());
                    }
                }
                prop_assert_eq!(session.is_over(now), over);
            }
        }
    }

    fn started() -> (Session, RefreshToken, Timestamp) {
        let (id, now) = (fresh_id(), ManualClock::default().now());
        let token = RefreshToken::draw(id, &CountingEntropy::default());
        (Session::start(id, fresh_id(), &origin(), &token, now), token, now)
    }

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn rotate(session: Session, token: &RefreshToken, now: Timestamp) -> (Session, RefreshToken) {
        match session.refresh_with(token, &TestSigner, now) {
            Refresh::Rotate(rotation, successor) => (session.rotated(&rotation), successor),
            other => panic!("expected a rotation, not {other:?}"),
        }
    }

    #[test]
    fn a_token_comes_back_as_it_was_and_not_one_bit_of_it_can_be_made_up() {
        let (_, token, _) = started();
        let text = secrecy::ExposeSecret::expose_secret(&token.to_text(&TestSigner)).to_owned();
        let parsed = RefreshToken::parse(&text, &TestSigner).unwrap();
        assert_eq!((parsed.session, parsed.digest()), (token.session, token.digest()));
        for place in 0..text.len() {
            let mut altered = text.clone().into_bytes();
            altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
            assert!(RefreshToken::parse(std::str::from_utf8(&altered).unwrap(), &TestSigner).is_none(), "{place}");
        }
        for refused in ["", "é", &text[1..], &format!("{text}A"), &"€".repeat(100)] {
            assert!(RefreshToken::parse(refused, &TestSigner).is_none());
        }
    }

    #[test]
    fn the_token_before_gives_the_same_successor_for_ten_seconds() {
        let (session, first, now) = started();
        let (session, second) = rotate(session, &first, now);
        for later in [0, 10] {
            match session.refresh_with(&first, &TestSigner, now.plus(seconds(later))) {
                Refresh::Repeat(successor) => assert_eq!(successor.digest(), second.digest()),
                other => panic!("expected the successor, not {other:?}"),
            }
        }
        assert!(matches!(session.refresh_with(&first, &TestSigner, now.plus(seconds(11))), Refresh::Reused));
        let back = now.minus(seconds(86_400));
        assert!(matches!(session.refresh_with(&first, &TestSigner, back), Refresh::Reused), "the clock was put back");
    }

    #[test]
    fn a_token_older_than_the_one_before_was_stolen() {
        let (session, first, now) = started();
        let (session, second) = rotate(session, &first, now);
        let (session, _) = rotate(session, &second, now);
        assert!(matches!(session.refresh_with(&first, &TestSigner, now), Refresh::Reused));
        assert!(matches!(session.refresh_with(&second, &TestSigner, now), Refresh::Repeat(_)));
    }

    #[test]
    fn a_session_slides_for_three_days_and_ends_after_thirty() {
        let (mut session, mut token, start) = started();
        let hour = |count: u64| start.plus(seconds(count * 60 * 60));
        assert!(!session.is_over(hour(71)) && session.is_over(hour(72)));
        for hours in (71..720).step_by(71) {
            (session, token) = rotate(session, &token, hour(hours));
        }
        assert!(!session.is_over(hour(719)) && session.is_over(hour(720)));
        assert!(matches!(session.refresh_with(&token, &TestSigner, hour(720)), Refresh::Over));
    }
}
