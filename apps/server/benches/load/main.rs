//! What the server reaches on this machine: the real binary in a process of its own, under a load generator in this one; on
//! its embedded default, or in a database of MongoDB that is there for this run alone.
//!
//!     cargo bench --workspace --bench load                             every line
//!     cargo bench --workspace --bench load -- me find                  the lines of these names
//!     cargo bench --workspace --bench load -- --store mongodb://host/bench?replicaSet=rs0
//!     cargo bench --workspace --bench load -- --patients 20000 find    in a house of another size
//!
//! Each line prints requests a second, how long half and 99 % of them took, what was to be reached, and what the system
//! that Infirmary replaces reaches. `docs/benchmarks.md` has a run, and what holds each line back.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]

mod client;
mod files;
mod house;
mod lines;
#[path = "../../tests/process/mod.rs"]
mod process;
mod table;

use house::{House, Kept};

const PATIENTS: usize = 100_000;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (mut address, mut patients, mut chosen) = (None, PATIENTS, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--store" => address = Some(arguments.next().expect("--store has an address")),
            "--patients" => patients = arguments.next().and_then(|number| number.parse().ok()).expect("a number"),
            // cargo says `--bench` to every benchmark.
            option if option.starts_with("--") => {}
            _ => chosen.push(argument),
        }
    }
    let unknown: Vec<_> = chosen.iter().filter(|name| !lines::NAMES.contains(&name.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?} are no lines; there are {:?}", lines::NAMES);

    let house = House::build(Kept::parse(address.as_deref()).unwrap(), patients).await;
    table::head();
    for name in lines::NAMES {
        if chosen.is_empty() || chosen.iter().any(|chosen| chosen == name) {
            lines::run(name, &house).await;
        }
    }
}
