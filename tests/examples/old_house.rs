//! Makes a database of the replaced system, to try the import on: the small one with every irregularity and its files, or a
//! large one without.
//!
//!     cargo run -p infirmary-tests --example old_house -- mongodb://host/database FOLDER
//!     cargo run -p infirmary-tests --example old_house -- mongodb://host/database --diagnoses 100000
#![allow(clippy::unwrap_used, reason = "a tool for tests stops at the first thing that is not as expected")]

use std::path::Path;

use infirmary_tests::old_house;

const USAGE: &str = "old_house mongodb://host/database (FOLDER | --diagnoses NUMBER)";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    infirmary_server::wiring::choose_tls_provider();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let database = async |address: &str| {
        mongodb::Client::with_uri_str(address).await.expect(USAGE).default_database().expect(USAGE)
    };
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [address, "--diagnoses", number] => {
            old_house::fill_many(&database(address).await, number.parse().expect(USAGE)).await;
        }
        [address, folder] => {
            let photo = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/images/phantom.png")).unwrap();
            old_house::fill(&database(address).await, Path::new(folder), &photo).await;
        }
        _ => eprintln!("{USAGE}"),
    }
}
