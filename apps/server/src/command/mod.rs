//! What the binary can be told to do, a file for each.

pub mod admin;
pub mod openapi;
pub mod serve;

use clap::{Parser, Subcommand};

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
    /// Accounts that no other account can make
    #[command(subcommand)]
    Admin(admin::Admin),
    /// Print the OpenAPI document
    Openapi,
}
