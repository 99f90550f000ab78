use std::io::Read;

use clap::Subcommand;
use infirmary_kernel::{EmailAddress, PersonName};

use crate::{
    command::CommandError,
    config::Config,
    wiring::{self, HashCost},
};

#[derive(Subcommand)]
pub enum Admin {
    /// Make an admin, the only one who can invite others; the server may run meanwhile
    Create {
        #[arg(long)]
        email: String,
        #[arg(long)]
        name: String,
        /// Read the password from the standard input, to its first line break
        #[arg(long, required = true)]
        password_stdin: bool,
    },
}

/// More than any password may have.
const MAX_STDIN_BYTES: u64 = 4_096;

pub async fn run(config: &Config, command: Admin) -> Result<(), CommandError> {
    let Admin::Create { email, name, password_stdin: _ } = command;
    let email = EmailAddress::parse(&email).map_err(CommandError::argument)?;
    let name = PersonName::parse(&name).map_err(|invalid| CommandError::argument(invalid.at("/name")))?;
    let mut password = String::new();
    std::io::stdin().take(MAX_STDIN_BYTES).read_to_string(&mut password).map_err(CommandError::input)?;
    let password = password.lines().next().unwrap_or_default();

    let wired = wiring::wire(config, HashCost::default()).await?;
    let account = wired.create_admin.run(email, name, password).await.map_err(CommandError::use_case)?;
    println!("admin {} was created", account.email.as_str());
    Ok(())
}
