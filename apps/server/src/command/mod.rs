//! What the binary can be told to do, a file for each.

pub mod admin;
pub mod audit;
pub mod backup;
pub mod convert;
pub mod demo;
mod error;
pub mod import;
pub mod openapi;
pub mod restore;
pub mod serve;
pub mod verify;

use clap::{Parser, Subcommand};

pub use error::CommandError;

/// A hospital imaging backend: images with diagnoses, reports, charges and payments, in one binary.
#[derive(Parser)]
#[command(name = "infirmary", version, about)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Subcommand)]
pub enum Command {
    /// Serve the API (this is what it does when told nothing)
    Serve,
    /// Fill an empty house with people, images and money to look around in, print who can sign in, and serve
    Demo,
    /// Accounts that no other account can make
    #[command(subcommand)]
    Admin(admin::Admin),
    /// The audit log
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Look whether what is kept holds together; the server may run meanwhile. Exit code 1 and a list when not
    Verify(verify::Verify),
    /// Write the database and all objects into one archive; the server may run meanwhile
    Backup(backup::Backup),
    /// Make a house of an archive, where none is
    Restore(restore::Restore),
    /// Move the house to another store, or its bytes to another store of objects; the server is stopped meanwhile. Broken off, the
    /// same command goes on
    Convert(convert::Convert),
    /// Take over the data and files of the replaced system; can be repeated, and takes what is new
    Import(import::Import),
    /// Print the OpenAPI document
    Openapi,
}
