//! Links that work without a header, for what a page embeds by address (`<img>`, a PDF in a frame).

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::{ImageId, ReportId, SessionId, Signer, Timestamp};

/// The one thing that a link opens, in whatever form it is served (an image: its bytes or a preview).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkTarget {
    Image(ImageId),
    Report(ReportId),
}

impl LinkTarget {
    const fn parts(self) -> (u8, Uuid) {
        match self {
            Self::Image(id) => (1, id.as_uuid()),
            Self::Report(id) => (2, id.as_uuid()),
        }
    }

    const fn of_parts(kind: u8, id: Uuid) -> Option<Self> {
        match kind {
            1 => Some(Self::Image(ImageId::from_uuid(id))),
            2 => Some(Self::Report(ReportId::from_uuid(id))),
            _ => None,
        }
    }
}

/// Leave to read one object, by `GET` or `HEAD` only, for some minutes, as the session that asked for it.
///
/// It holds no right of its own: who follows it is the caller of [`Link::session`], which has to be alive in the store,
/// and passes the same gate. So it dies with the session, and sooner when the caller's right ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    pub target: LinkTarget,
    pub session: SessionId,
    pub expires: Timestamp,
}

/// A [`Link`] as it is given away, to be part of an address.
#[derive(Clone)]
pub struct SignedLink {
    /// Whoever has it can follow the link: never log it.
    pub token: String,
    pub expires: Timestamp,
}

impl std::fmt::Debug for SignedLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedLink").field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl Link {
    pub const TTL_SECONDS: u64 = 5 * 60;
    const PURPOSE: &'static str = "link GET v1";
    const PAYLOAD_BYTES: usize = 1 + 16 + 16 + 8;
    const MAC_BYTES: usize = 32;

    pub fn new(target: LinkTarget, session: SessionId, now: Timestamp) -> Self {
        Self { target, session, expires: now.plus(Duration::from_secs(Self::TTL_SECONDS)) }
    }

    /// A link that is valid from now on.
    pub fn signed(target: LinkTarget, session: SessionId, now: Timestamp, signer: &dyn Signer) -> SignedLink {
        let link = Self::new(target, session, now);
        SignedLink { token: link.sign(signer), expires: link.expires }
    }

    /// 98 characters that need no escaping in an address. Whoever has them can follow the link: never log them.
    pub fn sign(&self, signer: &dyn Signer) -> String {
        let (kind, id) = self.target.parts();
        let mut token = Vec::with_capacity(Self::PAYLOAD_BYTES + Self::MAC_BYTES);
        token.push(kind);
        token.extend_from_slice(id.as_bytes());
        token.extend_from_slice(self.session.as_uuid().as_bytes());
        token.extend_from_slice(&self.expires.unix_ms().to_be_bytes());
        let mac = signer.mac(Self::PURPOSE, &token);
        token.extend_from_slice(&mac);
        URL_SAFE_NO_PAD.encode(token)
    }

    /// `None` when it is not ours, altered, or over; which of them is nobody's business.
    pub fn verify(token: &str, signer: &dyn Signer, now: Timestamp) -> Option<Self> {
        if token.len() != (Self::PAYLOAD_BYTES + Self::MAC_BYTES).div_ceil(3) * 4 - 2 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (payload, mac) = bytes.split_at_checked(Self::PAYLOAD_BYTES)?;
        if !bool::from(signer.mac(Self::PURPOSE, payload).as_slice().ct_eq(mac)) {
            return None;
        }
        let (kind, rest) = payload.split_first()?;
        let (id, rest) = rest.split_first_chunk::<16>()?;
        let (session, rest) = rest.split_first_chunk::<16>()?;
        let expires = Timestamp::from_unix_ms(i64::from_be_bytes(rest.try_into().ok()?));
        let over = expires <= now || expires > now.plus(Duration::from_secs(Self::TTL_SECONDS));
        if over {
            return None;
        }
        let target = LinkTarget::of_parts(*kind, Uuid::from_bytes(*id))?;
        Some(Self { target, session: SessionId::from_uuid(Uuid::from_bytes(*session)), expires })
    }
}

#[cfg(all(test, feature = "test-support"))]
mod tests {
    use super::*;
    use crate::testing::{TestSigner, fresh_id};

    const NOW: Timestamp = Timestamp::from_unix_ms(1_772_355_600_000);

    #[test]
    fn a_link_opens_what_it_was_made_for_until_it_is_over() {
        for target in [LinkTarget::Image(fresh_id()), LinkTarget::Report(fresh_id())] {
            let link = Link::new(target, fresh_id(), NOW);
            let token = link.sign(&TestSigner);
            assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            assert_eq!(Link::verify(&token, &TestSigner, NOW), Some(link));
            assert_eq!(Link::verify(&token, &TestSigner, NOW.plus(Duration::from_millis(299_999))), Some(link));
            assert_eq!(Link::verify(&token, &TestSigner, NOW.plus(Duration::from_secs(300))), None);
        }
    }

    #[test]
    fn a_link_that_would_live_too_long_is_none() {
        let link = Link::new(LinkTarget::Image(fresh_id()), fresh_id(), NOW.plus(Duration::from_secs(1)));
        assert_eq!(Link::verify(&link.sign(&TestSigner), &TestSigner, NOW), None);
    }

    #[test]
    fn an_altered_link_is_none() {
        let token = Link::new(LinkTarget::Image(fresh_id()), fresh_id(), NOW).sign(&TestSigner);
        for place in 0..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
            assert_eq!(Link::verify(&String::from_utf8(altered).unwrap(), &TestSigner, NOW), None, "{place}");
        }
        for refused in ["", "A", &token[1..], &format!("{token}A"), &"é".repeat(49)] {
            assert_eq!(Link::verify(refused, &TestSigner, NOW), None, "{refused}");
        }
    }
}
