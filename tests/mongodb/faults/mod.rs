//! The database fails in the middle of every operation that writes, in every way that it has. Whatever is answered is true;
//! and the same request again, when the database is well, leaves one effect.

mod fault;
pub mod house;
pub mod rows;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use infirmary_server::{command::verify::verify, wiring};
use infirmary_tests::{Answer, TestApp, config, store::Store};
use reqwest::StatusCode;

use crate::operations;

use self::{
    fault::{Fault, Kind, kinds},
    house::{House, Scene},
    rows::{Again, Row, rows},
};

/// Each on a server of its own, as a server fails for everybody at once.
const HOUSES: usize = 3;
const LEAST_FAULTS: usize = 200;
/// However the database fails at once. When it says nothing at all, each step waits for it for ten seconds.
const MAX_ANSWER: Duration = Duration::from_secs(15);
/// Requests between two verifications of the house.
const ROUND: usize = 40;

/// What came of a walk.
#[derive(Default)]
struct Findings {
    faults: BTreeMap<&'static str, usize>,
    answers: BTreeMap<&'static str, usize>,
    longest: Duration,
    wrong: Vec<String>,
}

impl Findings {
    fn assert(&mut self, holds: bool, told: impl FnOnce() -> String) {
        if !holds {
            self.wrong.push(told());
        }
    }
}

/// What an answer says of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Done,
    /// Nothing was changed.
    Not,
    /// It is not known whether it was carried out.
    Perhaps,
}

impl Said {
    /// `None`: it is none of what may be said.
    fn of(row: &Row, answer: &Answer) -> Option<Self> {
        match answer.status {
            status if status.is_success() => Some(Self::Done),
            StatusCode::SERVICE_UNAVAILABLE if is_in_form(row, answer) => {
                let text = String::from_utf8_lossy(&answer.bytes);
                Some(if text.contains("it is not known whether") { Self::Perhaps } else { Self::Not })
            }
            _ => None,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Not => "not done",
            Self::Perhaps => "not known",
        }
    }
}

fn is_in_form(row: &Row, answer: &Answer) -> bool {
    let form = if row.is_of_the_replaced_system() { "text/html; charset=utf-8" } else { "application/problem+json" };
    answer.header("content-type") == form && answer.header("retry-after").parse::<u64>().is_ok_and(|after| after > 0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_has_one_effect_however_the_database_fails() {
    let begun = Instant::now();
    let (rows, kinds) = (rows(), kinds());
    // One after the other: to start a server is to wait for it.
    let mut houses = Vec::new();
    for _ in 0..HOUSES {
        let Some(house) = House::open().await else { return };
        houses.push(house);
    }
    let walks = houses.iter().enumerate().map(async |(number, house)| {
        let own: Vec<&Row> = rows.iter().skip(number).step_by(HOUSES).collect();
        // Each house begins at another kind.
        let findings = walk(house, &own, &kinds, number * kinds.len() / HOUSES).await;
        findings.wrong.iter().for_each(|wrong| println!("{wrong}"));
        findings
    });
    let walked = join_all(walks).await;

    let (mut faults, mut answers, mut wrong) = (BTreeMap::new(), BTreeMap::new(), 0);
    let mut longest = Duration::ZERO;
    for findings in walked {
        findings.faults.iter().for_each(|(command, count)| *faults.entry(*command).or_insert(0) += count);
        findings.answers.iter().for_each(|(said, count)| *answers.entry(*said).or_insert(0) += count);
        longest = longest.max(findings.longest);
        wrong += findings.wrong.len();
    }
    let injected: usize = faults.values().sum();
    println!(
        "{injected} faults in {} operations, in {:.0?}: {faults:?}; they were answered {answers:?}, after {longest:.1?} at most",
        rows.len(),
        begun.elapsed()
    );
    assert_eq!(wrong, 0, "the lines above have them");
    assert!(injected >= LEAST_FAULTS, "{injected} faults");
}

#[tokio::test]
async fn every_operation_that_writes_is_in_the_table() {
    let known = operations(&TestApp::start().await).await;
    let rows = rows();
    let tried: BTreeSet<&str> = rows.iter().map(|row| row.operation).collect();
    let untried: Vec<_> = known
        .iter()
        .filter(|operation| !operation.starts_with("GET ") && !tried.contains(operation.as_str()))
        .collect();
    assert!(untried.is_empty(), "operations without a row in tests/mongodb/faults/rows.rs: {untried:?}");
    let gone: Vec<_> = tried.iter().filter(|operation| !known.contains(**operation)).collect();
    assert!(gone.is_empty(), "rows of operations that are not in the document: {gone:?}");
}

async fn walk(house: &House, rows: &[&Row], kinds: &[Kind], mut turn: usize) -> Findings {
    let mut findings = Findings::default();
    let mut since_verified = 0;
    for row in rows {
        // Once on a database that is well: to see that the row is right, and what it sends.
        let sent = run(house, row, None, &mut findings).await;
        for fault in Fault::of(&sent, kinds, &mut turn) {
            let sent = run(house, row, Some(&fault), &mut findings).await;
            // A request that failed before it came to that command met no fault.
            if sent.contains_key(fault.command) {
                *findings.faults.entry(fault.command).or_default() += 1;
            }
            since_verified += 1;
        }
        if since_verified >= ROUND {
            since_verified = 0;
            holds(house, row.operation, &mut findings).await;
        }
    }
    holds(house, "the end", &mut findings).await;
    findings
}

/// One request of the row, which meets the fault, and then the same once more, which meets none. Gives what the first one
/// sent to the database.
async fn run(house: &House, row: &Row, fault: Option<&Fault<'_>>, findings: &mut Findings) -> BTreeMap<String, u64> {
    let told = |what: String| match fault {
        Some(fault) => format!("{} ({}), {fault:?}: {what}", row.operation, row.path),
        None => format!("{} ({}): {what}", row.operation, row.path),
    };
    let scene = house.prepare(row).await;
    let before = counted(house, row, &scene).await;

    if let Some(fault) = fault {
        fault.arm(&house.fail_point).await;
    }
    let Store::MongoDb(database) = &house.app.store else { panic!("it is on MongoDB") };
    let began = Instant::now();
    let (first, sent) = database.commands().of(house.ask(row, &scene)).await;
    let took = began.elapsed();
    house.fail_point.disarm().await;
    findings.longest = findings.longest.max(took);
    findings.assert(took < MAX_ANSWER, || told(format!("it was answered after {took:?}")));
    let Some(first) = first else { return sent };
    let Some(said) = Said::of(row, &first) else {
        findings.wrong.push(told(format!("first {}", shown(&first))));
        return sent;
    };
    if fault.is_some() {
        *findings.answers.entry(said.as_str()).or_default() += 1;
    } else {
        findings.assert(said == Said::Done, || told(format!("without a fault {}", shown(&first))));
    }
    let after_first = counted(house, row, &scene).await.since(&before);
    let is_true = match said {
        Said::Done => after_first.is(row, 1),
        Said::Not => after_first.is(row, 0),
        Said::Perhaps => after_first.is(row, 0) || after_first.is(row, 1),
    };
    findings.assert(is_true, || told(format!("it was answered {}, and there is {after_first:?}", shown(&first))));

    let Some(second) = house.ask(row, &scene).await else {
        findings.wrong.push(told("the second was not answered".to_owned()));
        return sent;
    };
    let is_told = match row.again {
        Again::Told(statuses) => statuses.contains(&second.status.as_u16()) && after_first.is(row, 1),
        Again::Key | Again::Anew | Again::Read => false,
    };
    findings.assert(second.status.is_success() || is_told, || {
        told(format!("first {}, and there is {after_first:?}; then {}", shown(&first), shown(&second)))
    });
    if row.again == Again::Key && said == Said::Done {
        let same = (first.status, &first.bytes) == (second.status, &second.bytes);
        findings.assert(same, || told(format!("first {}; then {}", shown(&first), shown(&second))));
    }
    let after_second = counted(house, row, &scene).await.since(&before);
    let times = if row.again == Again::Anew { after_first.times(row) + 1 } else { 1 };
    findings.assert(after_second.is(row, times), || {
        told(format!("first {}, then {}, and there is {after_second:?}", shown(&first), shown(&second)))
    });
    sent
}

fn shown(answer: &Answer) -> String {
    let body: String = String::from_utf8_lossy(&answer.bytes).chars().take(300).collect();
    format!("{} {body}", answer.status)
}

/// What there is of the effects of a row, and of entries that note them.
#[derive(Debug, PartialEq, Eq)]
struct Counted {
    effects: Vec<i64>,
    entries: Option<i64>,
}

async fn counted(house: &House, row: &Row, scene: &Scene) -> Counted {
    let mut effects = Vec::new();
    for (who, count, _) in &row.effects {
        effects.push(house.count(who, *count, scene).await);
    }
    let entries = match row.noted {
        Some(action) => Some(house.entries(action, scene).await),
        None => None,
    };
    Counted { effects, entries }
}

impl Counted {
    fn since(self, before: &Self) -> Self {
        let effects = self.effects.iter().zip(&before.effects).map(|(after, before)| after - before).collect();
        let entries = self.entries.map(|entries| entries - before.entries.unwrap_or(0));
        Self { effects, entries }
    }

    /// Whether it is so many times the effect of a request. A read is noted at least when it is answered.
    fn is(&self, row: &Row, times: i64) -> bool {
        let as_changed = row.effects.iter().zip(&self.effects).all(|((.., change), found)| *found == change * times);
        let as_noted = match (row.again, self.entries) {
            (_, None) => true,
            (Again::Read, Some(entries)) => entries >= times,
            (_, Some(entries)) => entries == times,
        };
        as_changed && as_noted
    }

    fn times(&self, row: &Row) -> i64 {
        match (self.entries, row.effects.first(), self.effects.first()) {
            (Some(entries), ..) => entries,
            (None, Some((.., change)), Some(found)) => found / change,
            _ => 0,
        }
    }
}

/// What `infirmary verify` finds: nothing.
async fn holds(house: &House, when: &str, findings: &mut Findings) {
    let TestApp { folder, store, .. } = &house.app;
    let config = config(folder.path(), &[("INFIRMARY_STORE", &store.address())]);
    let inspected = wiring::inspect(&config).await.unwrap();
    let verified = verify(&inspected, &[], Duration::from_secs(24 * 60 * 60)).await.unwrap();
    findings.assert(verified.findings == 0, || {
        format!("after {when}: {} findings of a verification; the lines above have them", verified.findings)
    });
}
