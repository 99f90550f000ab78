use std::{error::Error, io::IsTerminal, process::ExitCode};

use clap::Parser;
use infirmary_server::{
    command::{self, Cli, Command},
    config::{Config, LogFormat},
    wiring::choose_tls_provider,
};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    match run(Cli::parse().command.unwrap_or(Command::Serve)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("infirmary: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  because: {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Box<dyn Error>> {
    if let Command::Openapi = command {
        return Ok(command::openapi::run()?);
    }
    let config = Config::load()?;
    log_as(&config)?;
    // Before any client is made: a bucket of the replaced system is opened before the house is.
    choose_tls_provider();
    actix_web::rt::System::new().block_on(async {
        match command {
            Command::Serve => command::serve::run(&config).await?,
            Command::Demo => command::demo::run(&config).await?,
            Command::Admin(admin) => command::admin::run(&config, admin).await?,
            Command::Audit(audit) => command::audit::run(&config, audit).await?,
            Command::Verify(verify) => command::verify::run(&config, verify).await?,
            Command::Backup(backup) => command::backup::run(&config, backup).await?,
            Command::Restore(restore) => command::restore::run(&config, restore).await?,
            Command::Convert(convert) => command::convert::run(&config, convert).await?,
            Command::Import(import) => command::import::run(&config, import).await?,
            Command::Openapi => {}
        }
        Ok(())
    })
}

/// Logs go to the standard error: the standard output is for what a command was asked for.
fn log_as(config: &Config) -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_new(&config.log)
        .map_err(|_| "INFIRMARY_LOG is refused: give error, warn, info, debug or a filter")?;
    // Colours are for a person: in a file or a journal they would stand between a name and its value.
    let colours = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    match config.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}
