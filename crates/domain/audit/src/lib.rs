//! Who did what to whose record: the log that cannot be changed without telling.
//!
//! Invariants
//! - Entries of a chain are numbered from 1 without gaps, and each holds the hash of the one before ([`chain`]). Where there
//!   are several chains, one hash closes them all ([`root`]).
//! - An entry has exactly one form as bytes, in every store and every version ([`canonical`]).
//! - No secret, token, byte of a file or free text is in an entry; a session is there as a hash.
//! - Entries are added, never changed or removed: no port has a way to.
//! - Reading the log is itself in the log.

pub mod canonical;
pub mod chain;
mod entry;
mod error;
mod ports;
mod queries;
pub mod root;
mod session_hash;
mod verify_chain;

#[cfg(feature = "test-support")]
pub mod testing;

pub use chain::{ChainHead, ChainId, Fault, Flaw, Head, Place, Sealed, Verifier, seal};
pub use entry::Entry;
pub use error::AuditError;
#[cfg(feature = "test-support")]
pub use ports::MockAuditLog;
pub use ports::{AuditLog, EntryFilter, Heads};
pub use queries::{Access, Queries};
pub use root::{Root, RootVerifier, SealedRoot, seal_root};
pub use session_hash::SessionHash;
pub use verify_chain::{Verification, VerifyChain, verify_log};
