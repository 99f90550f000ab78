//! The canonical form of entries and roots: what a file that another hand may have written in is read by.

use infirmary_audit::{ChainHead, ChainId, Head, canonical, seal, seal_root};
use infirmary_kernel::{Action, Event, Id, Outcome, Role, Sha256Digest, Subject, Timestamp};
use serde_json::Value;
use uuid::Uuid;

use crate::harness::Target;

pub const TARGET: Target = Target {
    name: "audit",
    run,
    seeds,
    words: &[
        br#""account":"#,
        br#""chain":1,"#,
        br#""fields":["a"],"#,
        br#""address":"::1","#,
        br#""agent":"x","#,
        br#""rule":"x","#,
        br#""purpose":"BTG","#,
        br#","version":1"#,
        br#""role":"admin","#,
        b"null",
        b"\\u0000",
        b"\\/",
        b" ",
        b"1.0",
        b"9007199254740993",
        b"{\"a\":",
    ],
    max_bytes: 4 * 1024,
    max_mib: 4,
    changes: 2_000,
};

fn run(input: &[u8]) -> String {
    if let Ok(entry) = canonical::parse(input) {
        is_canonical(input);
        assert_eq!(entry.hash, Sha256Digest::of(input));
        if entry.sequence == 0 {
            return "an entry before the first".to_owned();
        }
        // Written again, but for the session, of which the form holds a hash.
        let before = Head { sequence: entry.sequence - 1, hash: entry.previous };
        let event = Event {
            id: entry.id,
            at: entry.at,
            account: entry.account,
            role: entry.role,
            session: None,
            address: entry.address,
            agent: entry.agent.clone(),
            request: entry.request,
            action: entry.action.clone(),
            subject: entry.subject.clone(),
            fields: entry.fields.clone(),
            outcome: entry.outcome,
            rule: entry.rule.clone(),
            purpose: entry.purpose,
        };
        let again = seal(entry.chain, &before, &event);
        assert!(entry.session.is_some() || again.canonical == input, "an entry has one form");
        return format!(
            "an entry, {} fields, chained apart: {}",
            entry.fields.len().min(3),
            entry.chain != ChainId::ONLY
        );
    }
    match canonical::parse_root(input) {
        Ok(root) => {
            is_canonical(input);
            let before = Head { sequence: root.sequence.saturating_sub(1), hash: root.previous };
            assert!(root.sequence == 0 || seal_root(&before, root.at, &root.heads).canonical == input);
            format!("a root of {} heads", root.heads.len().min(3))
        }
        Err(_) => {
            let json = serde_json::from_slice::<Value>(input).is_ok();
            format!("not canonical, JSON: {json}")
        }
    }
}

/// By another writer of JSON: keys in order, nothing between. Its own map keeps them in order.
fn is_canonical(input: &[u8]) {
    let value: Value = serde_json::from_slice(input).unwrap();
    assert_eq!(serde_json::to_vec(&value).unwrap(), input, "the form is not the canonical one of its JSON");
}

fn seeds() -> Vec<Vec<u8>> {
    let id = |last: u128| Uuid::from_u128(0x0198_c1f0_7c3e_7d0a_9c55_0000_0000_0000 | last);
    let at = Timestamp::from_unix_ms(1_772_355_600_007);
    let full = Event {
        id: Id::from_uuid(id(1)),
        at,
        account: Some(Id::from_uuid(id(2))),
        role: Some(Role::Doctor),
        session: Some(Id::from_uuid(id(3))),
        address: Some("2001:db8::1".parse().unwrap()),
        agent: Some("متصفح \"x\"\n".into()),
        request: Some(Id::from_uuid(id(4))),
        action: Action::DIAGNOSIS_CHANGE,
        subject: Subject {
            kind: "diagnosis".into(),
            id: Some(id(5)),
            version: Some(2),
            patient: Some(Id::from_uuid(id(6))),
        },
        fields: vec!["disease".into(), "findings".into()],
        outcome: Outcome::Refused,
        rule: Some("write studies and diagnoses".into()),
        purpose: None,
    };
    let least = Event::anonymous(Id::from_uuid(id(7)), at, None, Action::SESSION_START, Subject::all("session"));
    let first = seal(ChainId::ONLY, &Head::GENESIS, &full);
    let second = seal(ChainId::new(17), &first.head(), &least);
    let heads = [
        ChainHead { chain: ChainId::ONLY, head: first.head() },
        ChainHead { chain: ChainId::new(17), head: second.head() },
    ];
    let roots = [seal_root(&Head::GENESIS, at, &heads), seal_root(&first.head(), at, &[])].map(|root| root.canonical);
    [vec![first.canonical, second.canonical], roots.to_vec()].concat()
}
