use async_trait::async_trait;

use crate::StoreError;

/// A MAC of a fixed text under the secrets of a house. Two that are the same tell that the secrets are, and nothing of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyCheckValue([u8; 32]);

impl KeyCheckValue {
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Where a house keeps the key check value of the secrets it was begun with: whoever works on its store has to have the same.
///
/// Laws
/// - `kept` is `None` until a value was kept.
/// - `keep` keeps the value when there is none, and gives the one that is kept: however many ask at once, they all hear the
///   same one, and it stays.
#[cfg_attr(feature = "test-support", mockall::automock)]
#[async_trait]
pub trait KeyCheck: Send + Sync {
    async fn kept(&self) -> Result<Option<KeyCheckValue>, StoreError>;
    async fn keep(&self, value: KeyCheckValue) -> Result<KeyCheckValue, StoreError>;
}
