//! The ways in which a database fails.

use std::collections::BTreeMap;

use infirmary_mongodb::testing::FailPoint;
use mongodb::bson::{Bson, Document, doc};

/// The commands that are made to fail.
const COMMANDS: [&str; 7] = ["aggregate", "commitTransaction", "delete", "find", "findAndModify", "insert", "update"];

/// What the database does to a command instead of what it was asked for, or beside it.
pub struct Kind {
    name: &'static str,
    data: Document,
    lasts: Lasts,
    /// Reads are not told of it.
    of_writes: bool,
}

enum Lasts {
    /// For so many commands.
    Times(i32),
    /// From one of them on.
    ForGood,
}

/// Those after which the driver looks for the server anew take half a second or more; they are not more than there have to be.
pub fn kinds() -> Vec<Kind> {
    use Lasts::{ForGood, Times};
    let kind = |name, lasts, data| Kind { name, data, lasts, of_writes: false };
    let unsafe_write = doc! { "writeConcernError": { "code": 64, "errmsg": "waiting timed out" } };
    let conflict = || doc! { "errorCode": 112, "errorLabels": ["TransientTransactionError"] };
    vec![
        kind("interrupted at shutdown", Times(1), doc! { "errorCode": 11_600 }),
        kind("took too long", ForGood, doc! { "errorCode": 262 }),
        kind("write conflict", Times(1), conflict()),
        kind("closed connection", Times(1), doc! { "closeConnection": true }),
        Kind { of_writes: true, ..kind("majority not reached in time", ForGood, unsafe_write) },
        kind("slow", ForGood, doc! { "blockConnection": true, "blockTimeMS": 20 }),
        kind("shutdown in progress", Times(2), doc! { "errorCode": 91 }),
        kind("over its time", ForGood, doc! { "errorCode": 50 }),
        kind("write conflicts", Times(3), conflict()),
        kind("not the primary any more", Times(1), doc! { "errorCode": 10_107 }),
        kind("not allowed any more", ForGood, doc! { "errorCode": 13 }),
        kind("closed connections", Times(2), doc! { "closeConnection": true }),
    ]
}

impl Kind {
    fn strikes(&self, command: &str) -> bool {
        !(self.of_writes && ["aggregate", "find"].contains(&command))
    }
}

/// One way in which one command of a request fails.
pub struct Fault<'k> {
    kind: &'k Kind,
    pub command: &'static str,
    /// How many commands of that name get through before, of what then fails for good.
    skip: u64,
}

impl std::fmt::Debug for Fault<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, command, skip } = self;
        match kind.lasts {
            Lasts::Times(times) => write!(f, "{command}: {}, {times} times", kind.name),
            Lasts::ForGood => write!(f, "{command}: {}, after {skip}", kind.name),
        }
    }
}

impl<'k> Fault<'k> {
    /// One for each command that a request has sent, so many times; the kinds go round, as `turn` counts.
    pub fn of(sent: &BTreeMap<String, u64>, kinds: &'k [Kind], turn: &mut usize) -> Vec<Self> {
        let sent = COMMANDS.iter().filter_map(|command| Some((*command, *sent.get(*command)?)));
        sent.map(|(command, times)| {
            let kind = loop {
                *turn += 1;
                let kind = &kinds[*turn % kinds.len()];
                if kind.strikes(command) {
                    break kind;
                }
            };
            Self { kind, command, skip: *turn as u64 % times }
        })
        .collect()
    }

    pub async fn arm(&self, fail_point: &FailPoint) {
        let mode: Bson = match self.kind.lasts {
            Lasts::Times(times) => doc! { "times": times }.into(),
            Lasts::ForGood if self.skip == 0 => "alwaysOn".into(),
            Lasts::ForGood => doc! { "skip": self.skip as i64 }.into(),
        };
        fail_point.arm(self.command, mode, &self.kind.data).await;
    }
}
