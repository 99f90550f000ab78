//! The laws of [`crate::AuditLog`] as a suite, and a log in memory that passes it.

pub mod laws;
mod memory;

pub use memory::MemoryAuditLog;
