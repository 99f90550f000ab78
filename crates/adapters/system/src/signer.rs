use infirmary_kernel::Signer;

use crate::{keyring::SecretKey, mac::Signature};

/// HMAC-SHA-256 under a key of each purpose, which is an HMAC of its name under the house's signing key (as HKDF-Expand,
/// RFC 5869 §2.3, makes its first block).
#[derive(Clone)]
pub struct HmacSigner(Signature);

impl HmacSigner {
    pub fn new(key: &SecretKey) -> Self {
        Self(Signature::new(key))
    }
}

impl Signer for HmacSigner {
    fn mac(&self, purpose: &'static str, payload: &[u8]) -> [u8; 32] {
        let mut info = purpose.as_bytes().to_vec();
        info.push(1);
        Signature::of_bytes(&self.0.of(&info)).of(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purpose_is_a_key_of_its_own() {
        let key = |text: &str| HmacSigner::new(&SecretKey::for_tests(text));
        let (one, other) = (key("one"), key("other"));
        assert_eq!(one.mac("link", b"payload"), one.clone().mac("link", b"payload"));
        for different in [one.mac("links", b"payload"), one.mac("link", b"payloads"), other.mac("link", b"payload")] {
            assert_ne!(one.mac("link", b"payload"), different);
        }
    }
}
