//! Every operation of the document, called by everybody on everybody's records. What is to be answered is read from the
//! table of permissions, as the document shows it (`x-access`); what a case adds to it is in [`cases`].

mod cases;
mod house;

use std::collections::{BTreeMap, BTreeSet};

use infirmary_kernel::Role;
use infirmary_tests::Answer;
use reqwest::StatusCode;
use serde_json::Value;

use self::{
    cases::{Case, cases},
    house::{Canary, House, Identity, Side},
};

const LEAST_ASSERTIONS: usize = 900;

/// How far an operation reaches for an identity, by the table of the document.
enum Reach {
    Anyone,
    /// Nobody is signed in, and somebody has to be.
    SignInFirst,
    /// The role may not.
    Forbidden,
    Own,
    All,
}

fn reach(access: &Value, who: &Identity) -> Reach {
    if access == "anyone" {
        return Reach::Anyone;
    }
    let Some(role) = who.role else { return Reach::SignInFirst };
    match access[role.as_str()].as_str() {
        None => Reach::Forbidden,
        Some("own") => Reach::Own,
        Some("all" | "billing") => Reach::All,
        Some(other) => panic!("{other} is no reach"),
    }
}

/// The status that the identity is to be answered with.
fn expected(case: &Case, access: &Value, who: &Identity, side: Side) -> u16 {
    let is_legacy = case.operation.contains(" /api/");
    let exception = case.but.iter().find(|(role, of, _)| who.role == Some(*role) && *of == side);
    match reach(access, who) {
        Reach::SignInFirst if is_legacy => 403,
        Reach::SignInFirst => 401,
        Reach::Forbidden => 403,
        _ if exception.is_some() => exception.unwrap().2,
        Reach::Own if side != Side::Own => 404,
        Reach::Own => case.success,
        Reach::All | Reach::Anyone if side == Side::Absent => case.absent,
        Reach::All | Reach::Anyone => case.success,
    }
}

/// What was wrong, of all that was asked.
#[derive(Default)]
struct Findings {
    assertions: usize,
    wrong: Vec<String>,
}

impl Findings {
    fn assert(&mut self, holds: bool, told: impl FnOnce() -> String) {
        self.assertions += 1;
        if !holds {
            self.wrong.push(told());
        }
    }
}

/// All that an answer says, in a form in which it can be searched.
fn said(answer: &Answer) -> String {
    let mut text = format!("{:?}\n", answer.headers);
    text += &String::from_utf8_lossy(&answer.bytes);
    if answer.bytes.starts_with(b"%PDF-") {
        text += &house::text_of_pdf(&answer.bytes);
    }
    text.to_lowercase()
}

/// The answer without what is of its request alone.
fn but_for_its_request(answer: &Answer) -> (StatusCode, Vec<String>, String) {
    let headers = answer.headers.iter().filter(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()));
    let mut headers: Vec<_> = headers.map(|(name, value)| format!("{name}: {value:?}")).collect();
    headers.sort();
    let body = String::from_utf8_lossy(&answer.bytes).replace(answer.header("x-request-id"), "");
    (answer.status, headers, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_answered_as_the_table_says_and_nobody_reads_a_word_that_is_not_for_them() {
    let house = House::open().await;
    let document = house.app.get(&house.app.nobody(), "/openapi.json").await.expect(StatusCode::OK);
    let table = table_of(&document);
    let cases = cases();
    let tried: BTreeSet<&str> = cases.iter().map(|case| case.operation).collect();
    let untried: Vec<_> = table.keys().filter(|operation| !tried.contains(operation.as_str())).collect();
    assert!(untried.is_empty(), "operations without a case in tests/api/walk/cases.rs: {untried:?}");
    let gone: Vec<_> = tried.iter().filter(|operation| !table.contains_key(**operation)).collect();
    assert!(gone.is_empty(), "cases of operations that are not in the document: {gone:?}");

    let mut findings = Findings::default();
    for case in &cases {
        for who in &house.identities {
            walk(&house, case, &table[case.operation], who, &mut findings).await;
        }
    }
    let Findings { assertions, wrong } = findings;
    println!("walked {} operations in {} cases with {assertions} assertions", table.len(), cases.len());
    assert!(wrong.is_empty(), "{} of {assertions} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(assertions >= LEAST_ASSERTIONS, "{assertions} assertions");
}

/// Method and path of each operation, with its entry.
fn table_of(document: &Value) -> BTreeMap<String, Value> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().unwrap().iter().map(move |(method, operation)| {
                (format!("{} {path}", method.to_uppercase()), operation["x-access"].clone())
            })
        })
        .collect()
}

async fn walk(house: &House, case: &Case, access: &Value, who: &Identity, findings: &mut Findings) {
    let sides: &[Side] = if case.is_of_a_record() { &[Side::Own, Side::Others, Side::Absent] } else { &[Side::Own] };
    let mut hidden = Vec::new();
    for &side in sides {
        let cell = || format!("{} as {} on {side:?}{}", case.operation, who.name, case.variant);
        let is_let_in = !matches!(reach(access, who), Reach::SignInFirst | Reach::Forbidden);
        let answer = house.ask(case, who, side, is_let_in).await;
        let (status, expected) = (answer.status.as_u16(), expected(case, access, who, side));
        findings.assert(status == expected, || {
            let body: String = String::from_utf8_lossy(&answer.bytes).chars().take(300).collect();
            format!("{}: {status} and not {expected}: {body}", cell())
        });
        let text = said(&answer);
        let is_for_them = |canary: &Canary| {
            canary.is_for(who) || (case.opens && canary.side == side && matches!(canary.kind, house::Kind::Clinical))
        };
        let read: Vec<_> =
            house.canaries.iter().filter(|canary| text.contains(&canary.text) && !is_for_them(canary)).collect();
        findings.assert(read.is_empty(), || format!("{}: reads what is not for them: {read:?}", cell()));
        if who.role == Some(Role::Patient) && side != Side::Own && status == 404 {
            hidden.push(but_for_its_request(&answer));
        }
    }
    if let [others, absent] = hidden.as_slice() {
        findings.assert(others == absent, || {
            format!("{}: what is hidden and what is absent are told apart: {others:?} {absent:?}", case.operation)
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_to_a_record_is_in_its_log() {
    let house = House::open().await;
    let document = house.app.get(&house.app.nobody(), "/openapi.json").await.expect(StatusCode::OK);
    let table = table_of(&document);
    let mut asked = Vec::new();
    for case in cases().iter().filter(|case| case.is_of_a_patient()) {
        for who in &house.identities {
            if matches!(reach(&table[case.operation], who), Reach::SignInFirst | Reach::Forbidden) {
                continue;
            }
            let answer = house.ask(case, who, Side::Own, true).await;
            if answer.status.is_success() {
                let cell = format!("{} as {}{}", case.operation, who.name, case.variant);
                asked.push((answer.header("x-request-id").to_owned(), cell));
            }
        }
    }
    assert!(asked.len() > 150, "{} were answered", asked.len());
    let noted = house.requests_in_the_log_of(Side::Own).await;
    let unseen: Vec<_> = asked.iter().filter(|(request, _)| !noted.contains(request)).map(|(_, cell)| cell).collect();
    assert!(unseen.is_empty(), "of {} requests these left no entry of the patient: {unseen:#?}", asked.len());
}
