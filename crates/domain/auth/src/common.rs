//! The passwords that are tried first. Where they come from: `data/README.md`.

use sha2::{Digest, Sha256};

const ENTRY_BYTES: usize = 8;
static COMMON: &[u8] = include_bytes!("../data/common_passwords.bin");

/// Whether a password, in NFC, is a common one, whatever its case.
pub(crate) fn is_common(password: &str) -> bool {
    let digest = Sha256::digest(password.to_lowercase());
    let (entries, _) = COMMON.as_chunks::<ENTRY_BYTES>();
    entries.binary_search_by(|entry| entry.as_slice().cmp(&digest[..ENTRY_BYTES])).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_least_a_hundred_thousand_of_each_length_are_known_and_sorted() {
        let (entries, rest) = COMMON.as_chunks::<ENTRY_BYTES>();
        assert!(rest.is_empty() && entries.len() >= 200_000);
        assert!(entries.is_sorted());
        for common in ["password1", "12345678", "mychemicalromance", "Manchester UNITED".replace(' ', "").as_str()] {
            assert!(is_common(common), "{common}");
        }
        assert!(!is_common("correct horse battery staple"));
    }
}
