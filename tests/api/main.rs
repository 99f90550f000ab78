//! The API as its clients meet it: over HTTP, on the real server, with real stores. One binary, a file for each domain.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as expected")]

mod access;
mod audit;
mod clock;
mod codes;
mod diagnoses;
mod edge;
mod factors;
mod financials;
mod form;
mod legacy;
mod messages;
mod on_mongodb;
mod patients;
mod reports;
mod restricted;
mod studies;
mod tasks;
mod walk;
