//! The rules of the house that a compiler does not know, so that they cannot rot: crates on the map, arrows inward, time
//! and randomness in one place, records that no body of an answer can be by accident.
//!
//! An exception stands in a list here, with its reason; one that is not needed any more fails too.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as expected")]

mod arrows;
mod files;
mod sources;
