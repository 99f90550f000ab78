//! What only the machine can give: the time, ids, randomness, and the house's secrets with what is made of them.
//!
//! This is the one crate that may ask for the time or for randomness; every other asks the kernel's ports.
//!
//! Invariants
//! - A secret is at least 32 bytes, is no sample, and its file is for its owner only; else nothing starts.
//! - Passwords are hashed on threads of their own, few and of low priority; other requests go on beside them.
//! - An access token is accepted only when its header is, to the byte, one that we write: there is no algorithm to choose.
//! - Files are read here at the start, and never later.

#![allow(clippy::disallowed_methods, reason = "the place where the time and randomness are asked for")]

mod authenticators;
mod clock;
mod entropy;
mod hs256;
mod ids;
mod keyring;
mod log_sender;
mod mac;
mod passwords;
mod signer;
mod standing;
mod tokens;

pub use authenticators::TotpAuthenticators;
pub use clock::{SteadyClock, SystemClock};
pub use entropy::OsEntropy;
pub use ids::SystemIds;
pub use keyring::{GivenSecrets, Keyring, KeyringError, PEPPER_FILE, SecretKey};
pub use log_sender::LogSender;
pub use passwords::{BcryptHasher, DEFAULT_BCRYPT_COST};
pub use signer::HmacSigner;
pub use standing::StandingJwt;
pub use tokens::JwtTokens;
