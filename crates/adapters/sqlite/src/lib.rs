//! Every store of the hospital, embedded: SQLite, with nothing to install beside it.
//!
//! One thread writes. It drains a bounded queue into one transaction and answers when that is on the disk, so many
//! writes share one fsync; each runs in a savepoint of its own and fails alone. Other threads read, each from its own
//! connection; what is found by its key is looked up on the thread that asks. Files mirror the domain: `patients.rs` here
//! implements the ports of the patients crate.
//!
//! Invariants
//! - What was acknowledged is on the disk (`synchronous=FULL`); every other write is there whole or not at all.
//! - An audit entry is sealed and written in the transaction of what it tells of.
//! - Laws of uniqueness are unique indexes; every query has an index, or says why it walks (`plans.rs` looks, in
//!   debug builds).
//! - No SQL is made from what a client sent; values are bound.

mod accounts;
mod attempts;
mod audit;
mod care_teams;
mod codes;
mod diagnosis;
mod factors;
mod financials;
mod imaging;
mod import;
mod inspection;
mod invitations;
mod key_check;
mod leases;
mod messages;
mod overview;
mod patients;
mod plans;
mod readers;
mod reports;
mod rows;
mod schema;
mod sessions;
mod snapshot;
mod statement;
mod store;
mod sweep;
mod tasks;
mod trail;
mod workflows;
mod writer;

pub use schema::VERSION as SCHEMA_VERSION;
pub use store::{OpenError, SqliteStore};
