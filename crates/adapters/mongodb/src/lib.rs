//! Every store port of Infirmary on MongoDB: for many machines.
//!
//! Any number of processes work on one replica set or sharded cluster, through the official driver. A write is a value that
//! is applied in one transaction, from the start again when the server asks for it ([`transaction`]). Files mirror the
//! domain: `patients.rs` here implements the ports of the patients crate.
//!
//! Invariants
//! - What was acknowledged is in the journals of the majority, whatever the address says of concerns; every other write is
//!   there whole or not at all. A commit whose outcome stays unknown is told as that.
//! - An audit entry is sealed and written in the transaction of what it tells of; no two entries have one place in a chain.
//! - Laws of uniqueness are unique indexes. A law about what a transaction only reads has a document that all its writers
//!   touch, since snapshots do not see each other.
//! - Every query has an index, which queries for more than one document name (`plans.rs` looks, in tests).
//! - Nothing that a client sent becomes an operator or the name of a field: it is a value.
//! - Documents that belong to a patient have the patient's id, and their laws of uniqueness begin with it: so they can be
//!   sharded by it.

mod accounts;
mod address;
mod attempts;
mod audit;
mod care_teams;
mod chains;
mod codes;
mod commands;
mod diagnosis;
mod documents;
mod factors;
mod failures;
mod financials;
mod imaging;
mod import;
mod inspection;
mod invitations;
mod key_check;
mod leases;
mod messages;
mod objects;
mod overview;
mod parts;
mod patients;
#[cfg(feature = "test-support")]
mod plans;
mod reads;
mod reports;
mod schema;
mod sessions;
mod store;
mod sweep;
mod tasks;
#[cfg(feature = "test-support")]
pub mod testing;
mod trail;
mod transaction;
mod transfer;
mod workflows;
mod writes;

pub use address::Address;
pub use commands::Commands;
pub use schema::VERSION as SCHEMA_VERSION;
pub use store::{MongoStore, OpenError};
