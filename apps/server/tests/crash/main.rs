//! Durability: the server is killed (SIGKILL) in the middle of its work, again and again, and nothing that it has
//! acknowledged may be missing afterwards; what it has not is there wholly or not at all, and once at most however often
//! it is sent again.
//!
//! Here and not in `tests/`, because only the package of a binary is told by cargo where that binary is.
//!
//! Who says what was acknowledged? Each writer has a journal, which another process writes and syncs before the writer
//! sends anything more: a list that was kept in the memory of one process could agree with a server by accident, and one
//! in a file that nobody synced would say nothing about disks.
//!
//! `INFIRMARY_TEST_SEED` repeats a run, `INFIRMARY_TEST_ROUNDS` makes it longer. Several servers on one database are in
//! `cluster.rs`, which has settings of its own.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as expected")]

mod cluster;
mod journal;
#[path = "../process/mod.rs"]
mod process;
mod writers;

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use journal::Journal;
use process::Server;
use tokio::task::JoinSet;
use writers::{People, Random, Sums, Writer};

const ROUNDS: u64 = 50;
const WRITERS: u64 = 8;
const SEED: u64 = 20_260_301;
/// How long the writers write before the kill.
const LEAST_ROUND_MS: u64 = 100;
const SPREAD_OF_ROUNDS_MS: u64 = 300;
const PASSWORD: &str = "seven quiet herons at dusk";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_the_server_is_killed() {
    let seed = setting("INFIRMARY_TEST_SEED").unwrap_or(SEED);
    let rounds = setting("INFIRMARY_TEST_ROUNDS").unwrap_or(ROUNDS);
    println!("{rounds} rounds, {WRITERS} writers, INFIRMARY_TEST_SEED={seed}");
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let created = process::run(
        data,
        &[],
        ["admin", "create", "--email", "admin@infirmary.example", "--name", "Ada", "--password-stdin"],
        PASSWORD,
    );
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));

    let mut server = Server::start(data, &[]);
    let people = Arc::new(People::sign_in(&server, false).await);
    let mut random = Random(seed);
    let mut writers: Vec<Writer> = (0..WRITERS)
        .map(|number| Writer::new(number, random.next(), Journal::open(data, number), people.clone()))
        .collect();
    let (began, mut sums) = (Instant::now(), Sums::default());
    for round in 1..=rounds {
        let mut writing = JoinSet::new();
        for writer in writers.drain(..) {
            writing.spawn(writer.write(server.address.to_string(), Arc::new(AtomicBool::new(false))));
        }
        // The moment of death is what is tried, so this waits for nothing.
        tokio::time::sleep(Duration::from_millis(LEAST_ROUND_MS + random.below(SPREAD_OF_ROUNDS_MS))).await;
        drop(server);
        writers = writing.join_all().await;

        // On the store as the kill left it, and on one that serves: by turns.
        if round % 2 == 0 {
            verify(data, round);
        }
        server = Server::start(data, &[]);
        let mut checking = JoinSet::new();
        for writer in writers.drain(..) {
            checking.spawn(writer.check(server.address.to_string()));
        }
        for (writer, found) in checking.join_all().await {
            writers.push(writer);
            sums.add(&found);
        }
        if round % 2 == 1 {
            verify(data, round);
        }
    }
    println!(
        "{sums:?} in {:.1} s; of those in flight at a kill, the ones `written` were there before they were sent again",
        began.elapsed().as_secs_f64()
    );
    assert!(sums.acknowledged > rounds * WRITERS, "too little was written to try anything: {sums:?}");

    // Once more everything, as the journals on the disk have it.
    for writer in &writers {
        let kept = writer.journal.read();
        assert!(!kept.is_empty());
        for entry in &kept {
            writer.is_there(&server.address.to_string(), entry).await;
        }
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn verify(data: &Path, round: u64) {
    let verified = process::run(data, &[], ["verify"], "");
    assert!(
        verified.status.success(),
        "round {round}: {}{}",
        String::from_utf8_lossy(&verified.stdout),
        String::from_utf8_lossy(&verified.stderr)
    );
}
