//! The second factors of an account.

use std::{fmt, str::FromStr};

use infirmary_kernel::{AccountId, EmailAddress, Entropy, Invalid, Sha256Digest, Signer, Timestamp};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroize};
use subtle::ConstantTimeEq;

/// Which second factors an account has. With any, the password alone opens nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Factors {
    /// An authenticator application (TOTP, RFC 6238).
    pub totp: bool,
    /// A code by WhatsApp to the verified phone.
    pub whatsapp: bool,
}

impl Factors {
    pub const NONE: Self = Self { totp: false, whatsapp: false };

    pub const fn any(self) -> bool {
        self.totp || self.whatsapp
    }
}

/// How a second factor can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactorMethod {
    Totp,
    Whatsapp,
    RecoveryCode,
}

impl FactorMethod {
    pub const ALL: [Self; 3] = [Self::Totp, Self::Whatsapp, Self::RecoveryCode];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::Whatsapp => "whatsapp",
            Self::RecoveryCode => "recoveryCode",
        }
    }

    pub fn of(factors: Factors) -> Vec<Self> {
        let has = [(factors.totp, Self::Totp), (factors.whatsapp, Self::Whatsapp), (factors.any(), Self::RecoveryCode)];
        has.into_iter().filter_map(|(has, method)| has.then_some(method)).collect()
    }
}

/// Of which roles the house asks for a second factor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FactorPolicy {
    #[default]
    Optional,
    Staff,
}

impl FactorPolicy {
    pub const fn requires_of(self, role: infirmary_kernel::Role) -> bool {
        matches!(self, Self::Staff) && role.is_staff()
    }
}

impl FromStr for FactorPolicy {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "none" => Ok(Self::Optional),
            "staff" => Ok(Self::Staff),
            _ => Err(Invalid::new("", "must be none or staff")),
        }
    }
}

/// What the house keeps of an authenticator application: not the secret in it, but what, with the house's key, makes it.
/// Whoever has the database alone has no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticator {
    pub seed: [u8; Self::SEED_BYTES],
    /// The last time step whose code was accepted: neither it nor an earlier one is again (RFC 6238 §5.2).
    pub last_step: u64,
}

impl Authenticator {
    pub const SEED_BYTES: usize = 16;

    pub(crate) fn secret(
        account: AccountId,
        seed: &[u8; Self::SEED_BYTES],
        signer: &dyn Signer,
    ) -> AuthenticatorSecret {
        let mut mac = signer.mac("authenticator secret", &[account.as_uuid().as_bytes(), seed.as_slice()].concat());
        let mut secret = [0; AuthenticatorSecret::BYTES];
        secret.copy_from_slice(&mac[..AuthenticatorSecret::BYTES]);
        mac.zeroize();
        AuthenticatorSecret(secret)
    }
}

/// The secret that the application holds: 160 bits (RFC 4226 §4, R6).
pub struct AuthenticatorSecret([u8; Self::BYTES]);

impl AuthenticatorSecret {
    pub const BYTES: usize = 20;

    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    pub const fn expose(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl Drop for AuthenticatorSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for AuthenticatorSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What somebody who sets up an authenticator application has to bring into it, in three forms of one secret.
pub struct AuthenticatorInvitation {
    /// `otpauth://totp/…`, for a device that opens it.
    pub uri: SecretString,
    /// The secret in base 32, for typing.
    pub secret: SecretString,
    /// The URI as a QR code, an SVG image.
    pub qr_code: SecretString,
}

/// The codes of authenticator applications: six digits from HMAC-SHA-1 over steps of 30 seconds, which is what every
/// application does whatever it is told (RFC 6238, and the key URI format's warnings).
///
/// Laws
/// - `step_of` gives the step that the code is of, when that is the one of `now`, the one before or the one after; `None`
///   for every other text. It takes the same time for each.
/// - What an application makes of the invitation is a code that `step_of` takes.
pub trait Authenticators: Send + Sync {
    fn invitation(&self, secret: &AuthenticatorSecret, email: &EmailAddress) -> AuthenticatorInvitation;
    fn step_of(&self, code: &str, secret: &AuthenticatorSecret, now: Timestamp) -> Option<u64>;
}

/// One of the codes that let in who has lost the factor itself: 80 bits, good once.
pub struct RecoveryCode(SecretString);

impl RecoveryCode {
    pub const PER_ACCOUNT: usize = 10;
    const BYTES: usize = 10;
    /// Crockford's base 32: nothing in it is mistaken for another.
    const ALPHABET: &'static [u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

    pub(crate) fn draw(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; Self::BYTES];
        entropy.fill(&mut bytes);
        let mut bits = bytes.iter().fold(0_u128, |bits, byte| (bits << 8) | u128::from(*byte));
        let mut text = String::with_capacity(19);
        for place in 0..16 {
            if place % 4 == 0 && place > 0 {
                text.push('-');
            }
            text.push(char::from(Self::ALPHABET[(bits & 31) as usize]));
            bits >>= 5;
        }
        bytes.zeroize();
        Self(text.into())
    }

    pub(crate) fn draw_all(entropy: &dyn Entropy) -> Vec<Self> {
        (0..Self::PER_ACCOUNT).map(|_| Self::draw(entropy)).collect()
    }

    /// Under the house's key: 80 bits could be tried from a stolen database, if somebody had years.
    pub(crate) fn digest(&self, account: AccountId, signer: &dyn Signer) -> Sha256Digest {
        let typed: String = self.0.expose_secret().chars().filter(|c| *c != '-').collect();
        Self::digest_of(&typed, account, signer)
    }

    /// Of what was typed, as [`crate::codes::OneTimeCode::typed`] gives it.
    pub(crate) fn digest_of(typed: &str, account: AccountId, signer: &dyn Signer) -> Sha256Digest {
        let read: String = typed
            .chars()
            .map(|c| match c {
                'o' => '0',
                'i' | 'l' => '1',
                other => other,
            })
            .collect();
        let payload = [account.as_uuid().as_bytes(), read.as_bytes()].concat();
        Sha256Digest::from_bytes(signer.mac("recovery code", &payload))
    }

    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for RecoveryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What is kept beside the account of its second factors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptFactors {
    pub authenticator: Option<Authenticator>,
    /// The digests of the recovery codes that are left, in any order.
    pub recovery: Vec<Sha256Digest>,
}

impl KeptFactors {
    pub(crate) fn recovery_code(&self, digest: &Sha256Digest) -> Option<Sha256Digest> {
        let mut found = None;
        for kept in &self.recovery {
            if bool::from(kept.as_bytes().as_slice().ct_eq(digest.as_bytes().as_slice())) {
                found = Some(*kept);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use infirmary_kernel::testing::{CountingEntropy, TestSigner, fresh_id};

    use super::*;
    use crate::codes::OneTimeCode;

    #[test]
    fn a_recovery_code_is_known_however_it_is_typed_and_only_to_its_account() {
        let account = fresh_id();
        let codes = RecoveryCode::draw_all(&CountingEntropy::default());
        let kept: Vec<_> = codes.iter().map(|code| code.digest(account, &TestSigner)).collect();
        assert_eq!(kept.iter().collect::<HashSet<_>>().len(), RecoveryCode::PER_ACCOUNT);
        let kept = KeptFactors { authenticator: None, recovery: kept };
        for code in &codes {
            assert_eq!(code.expose().len(), 19);
            for typed in [
                code.expose().to_owned(),
                code.expose().to_uppercase().replace('-', " "),
                code.expose().replace('1', "l").replace('0', "O"),
            ] {
                let typed = OneTimeCode::typed(&typed).unwrap();
                let digest = RecoveryCode::digest_of(typed.expose_secret(), account, &TestSigner);
                assert_eq!(kept.recovery_code(&digest), Some(code.digest(account, &TestSigner)));
            }
            assert_eq!(kept.recovery_code(&code.digest(fresh_id(), &TestSigner)), None);
        }
    }

    #[test]
    fn the_secret_of_an_authenticator_is_of_its_account_and_seed() {
        let (account, seed) = (fresh_id(), [7; Authenticator::SEED_BYTES]);
        let secret = |account, seed: [u8; 16]| *Authenticator::secret(account, &seed, &TestSigner).expose();
        assert_eq!(secret(account, seed), secret(account, seed));
        assert_ne!(secret(account, seed), secret(fresh_id(), seed));
        assert_ne!(secret(account, seed), secret(account, [8; 16]));
        assert_eq!(format!("{:?}", Authenticator::secret(account, &seed, &TestSigner)), "***");
    }
}
