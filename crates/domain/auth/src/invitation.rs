use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use infirmary_kernel::{AccountId, Entropy, Sha256Digest, Timestamp};
use secrecy::{ExposeSecret, SecretString};

/// An account waits for its holder, who shows the code and chooses a password: once, within a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    pub account: AccountId,
    /// SHA-256 of the code.
    pub code: Sha256Digest,
    pub expires_at: Timestamp,
}

impl Invitation {
    pub const TTL_HOURS: u64 = 24;
}

/// 256 bits that open an invitation. Only their SHA-256 is kept: who lost the code is invited again.
pub struct InvitationCode(SecretString);

impl InvitationCode {
    const BYTES: usize = 32;
    const MAX_CHARS: usize = 100;

    pub fn draw(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0; Self::BYTES];
        entropy.fill(&mut bytes);
        Self(URL_SAFE_NO_PAD.encode(bytes).into())
    }

    /// Anything short may be a code; the store knows which are. Blanks around it come along with copying.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        (text.len() <= Self::MAX_CHARS).then(|| Self(text.into()))
    }

    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(self.expose().as_bytes())
    }

    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for InvitationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
