use std::fmt;

use infirmary_kernel::{SessionId, Sha256Digest};
use serde::{Deserialize, Serialize};

/// What the log keeps of a session: entries of one session can be told to be so, and the session's id is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionHash(Sha256Digest);

impl SessionHash {
    /// SHA-256 over the 36 characters of the id.
    pub fn of(session: SessionId) -> Self {
        Self(Sha256Digest::of(session.as_uuid().hyphenated().encode_lower(&mut [0; 36]).as_bytes()))
    }
}

impl fmt::Display for SessionHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
