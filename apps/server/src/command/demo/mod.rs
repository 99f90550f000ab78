//! A house to look around in: filled through the use cases, as people would have filled it over two months.

mod fill;
mod people;
mod pictures;

use std::fs;

use self::people::{ACCOUNTANT, DOCTOR, MEMBERS, PASSWORD, PATIENT};
use crate::{
    command::{CommandError, serve},
    config::{Config, StoreUrl},
    wiring,
};

/// In the data folder of a house that was filled here, to its end.
const MARK: &str = "demo-house";

pub async fn run(config: &Config) -> Result<(), CommandError> {
    if !config.listen.ip().is_loopback() {
        return Err(CommandError::UseCase(format!(
            "everybody knows the passwords of the demo, so it is served on this machine only, and not on {}; \
             set INFIRMARY_LISTEN to 127.0.0.1 and a port",
            config.listen
        )));
    }
    let mark = config.data_dir.join(MARK);
    if !mark.exists() {
        refuse_unless_empty(config).await?;
        fill::fill(config).await?;
        fs::write(&mark, "This house was filled by `infirmary demo`. Remove its folder to begin again.\n")
            .map_err(|source| CommandError::file(&mark, source))?;
    }
    print(config);
    serve::run(config).await
}

/// Also where a server was only started once: its catalogue has prices from that moment on, and the story begins before.
async fn refuse_unless_empty(config: &Config) -> Result<(), CommandError> {
    if !wiring::is_begun(config).await? {
        return Ok(());
    }
    let (place, instead) = match &config.store {
        StoreUrl::Sqlite(_) => (
            config.data_dir.display().to_string(),
            "a folder of its own: INFIRMARY_DATA_DIR=./demo-data infirmary demo",
        ),
        StoreUrl::MongoDb(address) => (address.to_string(), "a database of its own, by the path in INFIRMARY_STORE"),
    };
    Err(CommandError::UseCase(format!(
        "there is a house in {place} already, and the demo fills a new one only (an earlier demo that was stopped while it was \
         filled is best removed); give it {instead}"
    )))
}

fn print(config: &Config) {
    let api = format!("http://{}", config.listen);
    println!("\nThe demo house in {}. Everybody's password: {PASSWORD}\n", config.data_dir.display());
    println!("  {:<11} {:<36} name", "role", "e-mail");
    for member in MEMBERS {
        println!("  {:<11} {:<36} {}", member.role.as_str(), member.email, member.name);
    }
    println!("\nTo begin with (the page to try everything is {api}/docs):\n");
    println!(
        "  token=$(curl -s {api}/v1/auth/login -H 'Content-Type: application/json' \\\n    \
         -d '{{\"email\":\"{}\",\"password\":\"{PASSWORD}\"}}' | sed 's/.*\"accessToken\":\"\\([^\"]*\\).*/\\1/')",
        DOCTOR.email
    );
    println!("  curl -s -H \"Authorization: Bearer $token\" '{api}/v1/patients?q=ami'");
    println!("  curl -s -H \"Authorization: Bearer $token\" '{api}/v1/diagnoses?limit=3'");
    println!("\nSign in as {} to take payments, as {} to read as a patient.\n", ACCOUNTANT.email, PATIENT.email);
}
