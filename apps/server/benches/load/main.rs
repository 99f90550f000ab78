//! What the server reaches on this machine: the real binary in a process of its own, on its embedded default, under a load
//! generator in this one.
//!
//!     cargo bench --workspace --bench load                 every line
//!     cargo bench --workspace --bench load -- me find      the lines of these names
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

use house::House;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // cargo says `--bench` to every benchmark.
    let chosen: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let unknown: Vec<_> = chosen.iter().filter(|name| !lines::NAMES.contains(&name.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?} are no lines; there are {:?}", lines::NAMES);

    let house = House::build().await;
    table::head();
    for name in lines::NAMES {
        if chosen.is_empty() || chosen.iter().any(|chosen| chosen == name) {
            lines::run(name, &house).await;
        }
    }
}
