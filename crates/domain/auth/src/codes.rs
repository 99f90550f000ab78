//! One-time codes and what they are asked for. A challenge is a row that waits for an answer; nothing that a code could be
//! computed from leaves the house but the message with the code itself.

use std::{fmt, str::FromStr, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use infirmary_kernel::{
    AccountId, ChallengeId, Entropy, Invalid, Lease, PhoneNumber, SessionId, Sha256Digest, Signer, Timestamp, fold,
};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// What the right answer to a challenge is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CodePurpose {
    SignIn,
    /// After the password: of a sign-in, or of a re-authentication within a session.
    SecondFactor,
    PhoneVerification,
    PasswordReset,
    /// For nothing here: that somebody holds a phone, for a client of the replaced system, which asks before it registers
    /// them. The only one whose code goes to a phone of nobody.
    PhoneCheck,
}

impl CodePurpose {
    pub const ALL: [Self; 5] =
        [Self::SignIn, Self::SecondFactor, Self::PhoneVerification, Self::PasswordReset, Self::PhoneCheck];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "signIn",
            Self::SecondFactor => "secondFactor",
            Self::PhoneVerification => "phoneVerification",
            Self::PasswordReset => "passwordReset",
            Self::PhoneCheck => "phoneCheck",
        }
    }
}

impl FromStr for CodePurpose {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::ALL
            .into_iter()
            .find(|purpose| purpose.as_str() == text)
            .ok_or_else(|| Invalid::new("/purpose", "must be signIn, secondFactor, phoneVerification or passwordReset"))
    }
}

/// A row that waits for an answer, and is gone when it got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    pub id: ChallengeId,
    pub purpose: CodePurpose,
    /// Whom the answer lets in; absent when the phone is no way in to any account. Such a challenge is like any other to who
    /// asked for it, but has no right answer.
    pub account: Option<AccountId>,
    /// Where a code went, or would have gone.
    pub phone: Option<PhoneNumber>,
    /// The session that may answer, of what is asked within one.
    pub session: Option<SessionId>,
    /// The HMAC of the code that was sent. Absent when none was: an authenticator answers, or nothing does.
    pub code: Option<Sha256Digest>,
    /// Answers that were tried, the right one too.
    pub tries: u32,
    /// Answered rightly, and waiting for its proof to be used; of [`CodePurpose::PasswordReset`] only.
    pub proved: bool,
    pub expires_at: Timestamp,
}

impl Challenge {
    pub const TTL_SECONDS: u64 = 5 * 60;
    /// From the right answer on.
    pub const PROOF_TTL_SECONDS: u64 = 5 * 60;
    /// Each is counted before it is compared.
    pub const MAX_TRIES: u32 = 5;

    /// Also one that would live longer than any does: a clock was put back since it was made.
    pub fn is_over(&self, now: Timestamp) -> bool {
        let skew = Duration::from_secs(Lease::MAX_CLOCK_SKEW_SECONDS);
        self.expires_at <= now || self.expires_at > now.plus(Duration::from_secs(Self::TTL_SECONDS) + skew)
    }

    /// Whether the one who answers may: only the session within which it was asked.
    pub fn is_for(&self, session: Option<SessionId>) -> bool {
        self.session.is_none() || self.session == session
    }

    /// Binds the code to the challenge and all that the challenge is for.
    pub(crate) fn seal(&self, code: &str, signer: &dyn Signer) -> Sha256Digest {
        let mut payload = self.id.as_uuid().as_bytes().to_vec();
        payload.extend(self.session.map_or(Uuid::nil(), |session| session.as_uuid()).as_bytes());
        payload.extend(self.account.map_or(Uuid::nil(), |account| account.as_uuid()).as_bytes());
        for part in [self.purpose.as_str(), self.phone.as_ref().map_or("", |phone| phone.as_str()), code] {
            payload.extend((part.len() as u64).to_be_bytes());
            payload.extend(part.as_bytes());
        }
        Sha256Digest::from_bytes(signer.mac("one-time code", &payload))
    }

    /// In the same time for every answer, and for a challenge that has no right one.
    pub(crate) fn is_answered_by(&self, code: &str, signer: &dyn Signer) -> bool {
        let shown = self.seal(code, signer);
        let expected = self.code.unwrap_or(Sha256Digest::from_bytes([0; 32]));
        let same = shown.as_bytes().as_slice().ct_eq(expected.as_bytes().as_slice());
        bool::from(same) && self.code.is_some()
    }
}

/// The digits that are sent.
pub struct OneTimeCode(SecretString);

impl OneTimeCode {
    pub const DIGITS: u32 = 6;
    /// For who can do more harm: staff, and whoever resets a password.
    pub const LONG_DIGITS: u32 = 8;
    /// Of anything that somebody types for a code.
    const MAX_TYPED_CHARS: usize = 64;

    /// Every number of so many digits is as likely as every other, with its leading zeros.
    pub fn draw(entropy: &dyn Entropy, digits: u32) -> Self {
        let count = 10_u64.pow(digits);
        // Of the highest numbers there are not enough for one more whole round: they would make the low codes likelier.
        let fair = u64::MAX - u64::MAX % count;
        loop {
            let mut bytes = [0; 8];
            entropy.fill(&mut bytes);
            let number = u64::from_be_bytes(bytes);
            if number < fair {
                return Self(format!("{:0width$}", number % count, width = digits as usize).into());
            }
        }
    }

    /// What was typed, as it is compared: digits of any script are ours, blanks and hyphens are nothing, letters are small.
    pub fn typed(text: &str) -> Option<SecretString> {
        if text.chars().count() > Self::MAX_TYPED_CHARS {
            return None;
        }
        let plain: String = fold(text).chars().filter(|c| c.is_ascii_alphanumeric()).collect();
        (!plain.is_empty()).then(|| plain.into())
    }

    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    pub fn into_secret(self) -> SecretString {
        self.0
    }
}

impl fmt::Debug for OneTimeCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// That a code was answered rightly: good for one thing, once. The id of the challenge and our signature, which says nothing
/// of the code; whether it was used is what the row of the challenge says.
pub(crate) struct Proof(ChallengeId);

impl Proof {
    const BYTES: usize = 16 + 32;
    const TEXT_CHARS: usize = (Self::BYTES * 8).div_ceil(6);

    pub(crate) const fn of(challenge: ChallengeId) -> Self {
        Self(challenge)
    }

    pub(crate) fn parse(text: &str, signer: &dyn Signer) -> Option<ChallengeId> {
        if text.len() != Self::TEXT_CHARS {
            return None;
        }
        let bytes: [u8; Self::BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (id, mac) = bytes.split_first_chunk::<16>()?;
        let proof = Self(ChallengeId::from_uuid(Uuid::from_bytes(*id)));
        bool::from(proof.mac(signer).as_slice().ct_eq(mac)).then_some(proof.0)
    }

    pub(crate) fn to_text(&self, signer: &dyn Signer) -> SecretString {
        URL_SAFE_NO_PAD.encode([self.0.as_uuid().as_bytes().as_slice(), &self.mac(signer)].concat()).into()
    }

    fn mac(&self, signer: &dyn Signer) -> [u8; 32] {
        signer.mac("proof of a code", self.0.as_uuid().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use infirmary_kernel::{
        Clock,
        testing::{CountingEntropy, ManualClock, TestSigner, fresh_id},
    };

    use super::*;

    fn challenge() -> Challenge {
        Challenge {
            id: fresh_id(),
            purpose: CodePurpose::SignIn,
            account: Some(fresh_id()),
            phone: PhoneNumber::parse("+9647501234567").ok(),
            session: Some(fresh_id()),
            code: None,
            tries: 0,
            proved: false,
            expires_at: ManualClock::default().now(),
        }
    }

    #[test]
    fn codes_have_their_digits_and_are_spread_evenly_with_leading_zeros() {
        let entropy = CountingEntropy::default();
        let mut first_digits = [0_u32; 10];
        for _ in 0..10_000 {
            let code = OneTimeCode::draw(&entropy, OneTimeCode::DIGITS);
            assert!(code.expose().len() == 6 && code.expose().bytes().all(|b| b.is_ascii_digit()));
            first_digits[usize::from(code.expose().as_bytes()[0] - b'0')] += 1;
        }
        // 1,000 each, and a standard deviation of 30.
        assert!(first_digits.iter().all(|count| (850..1_150).contains(count)), "{first_digits:?}");
        assert_eq!(OneTimeCode::draw(&entropy, OneTimeCode::LONG_DIGITS).expose().len(), 8);
        assert_eq!(format!("{:?}", OneTimeCode::draw(&entropy, 6)), "***");
    }

    #[test]
    fn a_number_that_would_favour_the_low_codes_is_drawn_again() {
        struct High(std::sync::atomic::AtomicU8);
        impl Entropy for High {
            fn fill(&self, bytes: &mut [u8]) {
                bytes.fill(if self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 { 0xff } else { 0 });
            }
        }
        assert_eq!(OneTimeCode::draw(&High(0.into()), 6).expose(), "000000");
    }

    #[test]
    fn a_code_answers_the_challenge_that_it_was_made_for_and_no_other() {
        let asked = challenge();
        let sealed = Challenge { code: Some(asked.seal("012345", &TestSigner)), ..asked.clone() };
        assert!(sealed.is_answered_by("012345", &TestSigner));
        assert!(!sealed.is_answered_by("12345", &TestSigner));
        for other in [
            Challenge { id: fresh_id(), ..sealed.clone() },
            Challenge { purpose: CodePurpose::PasswordReset, ..sealed.clone() },
            Challenge { account: Some(fresh_id()), ..sealed.clone() },
            Challenge { phone: PhoneNumber::parse("+9647501234568").ok(), ..sealed.clone() },
            Challenge { session: None, ..sealed.clone() },
        ] {
            assert!(!other.is_answered_by("012345", &TestSigner), "{other:?}");
        }
        assert!(!asked.is_answered_by("012345", &TestSigner), "it has no right answer");
    }

    #[test]
    fn a_challenge_lives_for_five_minutes_and_not_again_when_a_clock_is_put_back() {
        let made = ManualClock::default().now();
        let asked = Challenge { expires_at: made.plus(Duration::from_secs(300)), ..challenge() };
        let at = |seconds: i64| Timestamp::from_unix_ms(made.unix_ms() + seconds * 1_000);
        for (seconds, over) in [(-86_400, true), (-6, true), (-5, false), (0, false), (299, false), (300, true)] {
            assert_eq!(asked.is_over(at(seconds)), over, "{seconds}");
        }
    }

    #[test]
    fn what_is_typed_is_read_in_any_digits_and_with_blanks() {
        for typed in ["012345", " 012 345 ", "٠١٢٣٤٥", "۰۱۲-۳۴۵"] {
            assert_eq!(OneTimeCode::typed(typed).unwrap().expose_secret(), "012345", "{typed}");
        }
        for nothing in ["", " - ", "\u{200f}", &"1".repeat(65)] {
            assert!(OneTimeCode::typed(nothing).is_none());
        }
    }

    #[test]
    fn a_proof_comes_back_as_it_was_and_not_one_bit_of_it_can_be_made_up() {
        let id = fresh_id();
        let text = Proof::of(id).to_text(&TestSigner).expose_secret().to_owned();
        assert_eq!(Proof::parse(&text, &TestSigner), Some(id));
        for place in 0..text.len() {
            let mut altered = text.clone().into_bytes();
            altered[place] = if altered[place] == b'A' { b'B' } else { b'A' };
            assert!(Proof::parse(std::str::from_utf8(&altered).unwrap(), &TestSigner).is_none(), "{place}");
        }
        for refused in ["", "é", &text[1..], &format!("{text}A")] {
            assert!(Proof::parse(refused, &TestSigner).is_none());
        }
    }
}
