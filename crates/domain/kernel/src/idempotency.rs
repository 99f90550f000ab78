use std::fmt;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{AccountId, Invalid, Timestamp};

/// What a client names a request by, so that it can send it again (the IETF draft `Idempotency-Key`): 1 to 255 characters.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    pub const MAX_CHARS: usize = 255;

    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if (1..=Self::MAX_CHARS).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::new("/Idempotency-Key", "must be 1 to 255 characters"))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// SHA-256 over the operation and what it was asked: tells a repeated request from another one under the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Each part is preceded by its length, so that no two lists of parts run together to the same bytes.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A request that can be told from others: its key and its fingerprint.
#[derive(Debug, Clone)]
pub struct Idempotency {
    pub key: IdempotencyKey,
    pub fingerprint: Fingerprint,
}

/// What the caller was told, to the byte. Written in the transaction of what it tells of.
#[derive(Clone, PartialEq, Eq)]
pub struct Receipt(Vec<u8>);

impl Receipt {
    pub fn json(value: &impl Serialize) -> Self {
        // Types that are answers hold no map with keys other than text, the one thing that cannot be written as JSON.
        Self(serde_json::to_vec(value).unwrap_or_default())
    }

    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receipt({} bytes)", self.0.len())
    }
}

/// The record that a key was used: unique on (account, key), kept [`Claim::KEPT_HOURS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    pub account: AccountId,
    pub key: IdempotencyKey,
    pub fingerprint: Fingerprint,
    pub receipt: Receipt,
    pub at: Timestamp,
}

impl Claim {
    pub const KEPT_HOURS: u64 = 48;
}

/// What a store says of a write that it made, or had made before under the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    Now,
    Before(Receipt),
}

/// What a use case that creates gives back.
#[derive(Debug, Clone)]
pub enum Done<T> {
    Now {
        value: T,
        receipt: Receipt,
    },
    /// The same request was answered before; this is that answer.
    Before(Receipt),
}

impl<T> Done<T> {
    pub fn new(written: Written, value: T, receipt: Receipt) -> Self {
        match written {
            Written::Now => Self::Now { value, receipt },
            Written::Before(receipt) => Self::Before(receipt),
        }
    }

    pub fn into_receipt(self) -> Receipt {
        match self {
            Self::Now { receipt, .. } | Self::Before(receipt) => receipt,
        }
    }
}
