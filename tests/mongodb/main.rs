//! What there is to ask of a house on MongoDB alone: what becomes of a request when the database fails in the middle of it,
//! and how often the database is asked for one.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as expected")]

mod faults;
mod round_trips;
