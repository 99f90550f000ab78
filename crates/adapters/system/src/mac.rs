use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::keyring::SecretKey;

/// HMAC-SHA-256 (RFC 2104) with its key taken in once: each use starts from a copy of that state.
#[derive(Clone)]
pub(crate) struct Signature(Hmac<Sha256>);

impl Signature {
    pub fn new(key: &SecretKey) -> Self {
        Self::of_bytes(key.expose())
    }

    pub fn of_bytes(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes a key of any length"))
    }

    pub fn of(&self, message: &[u8]) -> [u8; 32] {
        self.0.clone().chain_update(message).finalize().into_bytes().into()
    }

    /// In constant time.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.clone().chain_update(message).verify_slice(signature).is_ok()
    }
}
