//! How often an operation asks the database: each time is a way over the network and back, and the longest wait there is.

use std::collections::BTreeMap;

use infirmary_mongodb::Commands;
use infirmary_tests::store::Store;

use crate::faults::{
    house::House,
    rows::{Row, other_reads, rows},
};

/// Of each operation: so many round trips at most beside its transaction, and within it, the commit included.
const AT_MOST: &[(&str, u64, u64)] = &[];

#[derive(Clone, Copy, Default)]
struct RoundTrips {
    beside: u64,
    within: u64,
}

impl RoundTrips {
    fn so_far(commands: &Commands) -> Self {
        let within = commands.within_transactions();
        Self { beside: commands.sent().values().sum::<u64>() - within, within }
    }

    fn since(self, before: Self) -> Self {
        Self { beside: self.beside - before.beside, within: self.within - before.within }
    }

    fn most(self, other: Self) -> Self {
        Self { beside: self.beside.max(other.beside), within: self.within.max(other.within) }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_operation_asks_the_database_no_more_often_than_it_says() {
    let Some(house) = House::open().await else { return };
    let mut asked: BTreeMap<&str, RoundTrips> = BTreeMap::new();
    for row in rows().iter().chain(&other_reads()) {
        let found = round_trips(&house, row).await;
        let most = asked.entry(row.operation).or_default();
        *most = most.most(found);
    }
    let said: BTreeMap<&str, (u64, u64)> =
        AT_MOST.iter().map(|(operation, beside, within)| (*operation, (*beside, *within))).collect();
    let mut wrong = Vec::new();
    for (operation, RoundTrips { beside, within }) in &asked {
        match said.get(operation) {
            Some((most_beside, most_within)) if beside <= most_beside && within <= most_within => {}
            _ => wrong.push(format!("    (\"{operation}\", {beside}, {within}),")),
        }
    }
    wrong.extend(said.keys().filter(|operation| !asked.contains_key(*operation)).map(|gone| format!("{gone} is gone")));
    assert!(wrong.is_empty(), "not as AT_MOST has it:\n{}", wrong.join("\n"));
}

async fn round_trips(house: &House, row: &Row) -> RoundTrips {
    let Store::MongoDb(database) = &house.app.store else { panic!("it is on MongoDB") };
    let (scene, commands) = (house.prepare(row).await, database.commands());
    let before = RoundTrips::so_far(&commands);
    let answer = house.ask(row, &scene).await.unwrap();
    let asked = RoundTrips::so_far(&commands).since(before);
    assert!(answer.status.is_success(), "{}: {}", row.operation, answer.status);
    asked
}
