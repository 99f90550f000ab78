//! Infirmary, the server: configuration, wiring, HTTP, command line.
//!
//! A handler extracts, converts, runs a use case and responds; what may be done is decided in the domain crates. One file,
//! `http/problem.rs`, turns every error into an answer; one, `wiring.rs`, knows which adapters are behind the ports.
//!
//! Invariants
//! - A handler without authentication has no [`infirmary_kernel::Caller`] to pass on.
//! - Every route is in the OpenAPI document: both are made from one list.
//! - No 5xx tells anything about the inside; the chain of causes is logged once.

pub mod archive;
pub mod background;
pub mod command;
pub mod config;
pub mod http;
pub mod legacy;
pub mod wiring;
