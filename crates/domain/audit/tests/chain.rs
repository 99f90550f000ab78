//! The form is of one event and no other, and whatever is done to a log is named.

use std::{borrow::Cow, net::IpAddr};

use infirmary_audit::{
    ChainHead, ChainId, Fault, Flaw, Head, Sealed, SealedRoot, SessionHash, Verifier, canonical, seal, seal_root,
};
use infirmary_kernel::{
    Action, Event, Id, Outcome, Purpose, Role, Sha256Digest, Subject, Timestamp,
    testing::{caller, fresh_id},
};
use proptest::{collection, option, prelude::*, sample};

fn ids<T: 'static>() -> impl Strategy<Value = Id<T>> {
    any::<u128>().prop_map(|bits| Id::from_uuid(uuid(bits)))
}

fn uuid(bits: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(bits)
}

/// Short texts of few letters, so that two events are often nearly the same, and of any.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![r#"["\\,:{}a]{0,4}"#, any::<String>(), "[ئازادكريم\u{0}-\u{1f}]{0,6}"]
}

fn cows() -> impl Strategy<Value = Cow<'static, str>> {
    texts().prop_map(Cow::Owned)
}

prop_compose! {
    fn subjects()(
        kind in cows(),
        id in option::of(any::<u128>()),
        version in option::of(any::<u32>()),
        patient in option::of(ids()),
    ) -> Subject {
        Subject { kind, id: id.map(uuid), version, patient }
    }
}

prop_compose! {
    fn who()(
        account in option::of(ids()),
        role in option::of(sample::select(Role::ALL.to_vec())),
        session in option::of(ids()),
        address in option::of(any::<IpAddr>()),
        agent in option::of(texts()),
        request in option::of(ids()),
    ) -> Event {
        let event = Event::anonymous(fresh_id(), Timestamp::from_unix_ms(0), None, Action::AUDIT_READ, Subject::default());
        Event { account, role, session, address, agent, request, ..event }
    }
}

prop_compose! {
    fn events()(
        who in who(),
        id in ids(),
        at in any::<i64>(),
        action in texts(),
        subject in subjects(),
        fields in collection::vec(cows(), 0..4),
        refused in any::<bool>(),
        rule in option::of(cows()),
        purpose in option::of(Just(Purpose::BreakTheGlass)),
    ) -> Event {
        Event {
            id,
            at: Timestamp::from_unix_ms(at),
            action: Action::from_stored(action),
            subject,
            fields,
            outcome: if refused { Outcome::Refused } else { Outcome::Done },
            rule,
            purpose,
            ..who
        }
    }
}

prop_compose! {
    fn heads()(sequence in 0..(1_u64 << 53) - 1, hash in any::<[u8; 32]>()) -> Head {
        Head { sequence, hash: Sha256Digest::from_bytes(hash) }
    }
}

proptest! {
    #[test]
    fn an_entry_comes_back_from_its_form_with_all_it_told(chain in any::<u16>(), head in heads(), event in events()) {
        let chain = ChainId::new(chain);
        let sealed = seal(chain, &head, &event);
        let entry = sealed.open().unwrap();
        prop_assert_eq!(entry.chain, chain);
        prop_assert_eq!(entry.sequence, head.sequence + 1);
        prop_assert_eq!(entry.previous, head.hash);
        prop_assert_eq!(entry.hash, sealed.hash);
        prop_assert_eq!(entry.session, event.session.map(SessionHash::of));
        let back = Event {
            id: entry.id,
            at: entry.at,
            account: entry.account,
            role: entry.role,
            session: event.session,
            address: entry.address,
            agent: entry.agent,
            request: entry.request,
            action: entry.action,
            subject: entry.subject,
            fields: entry.fields,
            outcome: entry.outcome,
            rule: entry.rule,
            purpose: entry.purpose,
        };
        prop_assert_eq!(back, event);
    }

    #[test]
    fn two_events_have_one_form_only_if_they_are_one(first in events(), second in events()) {
        let forms = [&first, &second].map(|event| canonical::write(ChainId::ONLY, &Head::GENESIS, event));
        prop_assert_eq!(first == second, forms[0] == forms[1]);
    }

    #[test]
    fn the_form_is_json_with_its_keys_in_order_and_nothing_between(event in events()) {
        let form = canonical::write(ChainId::ONLY, &Head::GENESIS, &event);
        let value: serde_json::Value = serde_json::from_slice(&form).unwrap();
        let mut expected = String::new();
        write_sorted(&value, &mut expected);
        prop_assert_eq!(std::str::from_utf8(&form).unwrap(), expected);
    }

    #[test]
    fn bytes_with_one_bit_turned_are_not_the_form_of_the_same_entry(event in events(), place in any::<sample::Index>(), bit in 0..8) {
        let form = canonical::write(ChainId::ONLY, &Head::GENESIS, &event);
        let mut turned = form.clone();
        turned[place.index(form.len())] ^= 1_u8 << bit;
        if let Ok(entry) = canonical::parse(&turned) {
            prop_assert_ne!(entry, canonical::parse(&form).unwrap());
        }
    }
}

/// JSON as RFC 8785 has it, told once more in the plainest way.
fn write_sorted(value: &serde_json::Value, out: &mut String) {
    match value {
        serde_json::Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| key.encode_utf16().collect::<Vec<_>>());
            out.push('{');
            for (index, (key, member)) in members.into_iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                write_text(key, out);
                out.push(':');
                write_sorted(member, out);
            }
            out.push('}');
        }
        serde_json::Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                write_sorted(item, out);
            }
            out.push(']');
        }
        serde_json::Value::String(text) => write_text(text, out),
        serde_json::Value::Number(number) => out.push_str(&number.to_string()),
        serde_json::Value::Null | serde_json::Value::Bool(_) => panic!("neither is in a form"),
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\0'..='\u{1f}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => out.push(c),
        }
    }
    out.push('"');
}

/// The form is a promise to logs that exist: if this test fails, the code is wrong, not the test.
#[test]
fn the_form_is_the_one_that_logs_were_written_in() {
    let id = |last: u128| uuid(0x0198_c1f0_7c3e_7d0a_9c55_0000_0000_0000 | last);
    let event = Event {
        purpose: None,
        id: Id::from_uuid(id(1)),
        at: Timestamp::parse("2026-03-01T09:00:00.007Z").unwrap(),
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
    };
    let full = seal(ChainId::ONLY, &Head::GENESIS, &event);
    assert_eq!(
        std::str::from_utf8(&full.canonical).unwrap(),
        concat!(
            r#"{"account":"0198c1f0-7c3e-7d0a-9c55-000000000002","action":"diagnosis.change","address":"2001:db8::1","#,
            r#""agent":"متصفح \"x\"\n","at":"2026-03-01T09:00:00.007Z","fields":["disease","findings"],"#,
            r#""id":"0198c1f0-7c3e-7d0a-9c55-000000000001","outcome":"refused","#,
            r#""previous":"0000000000000000000000000000000000000000000000000000000000000000","#,
            r#""request":"0198c1f0-7c3e-7d0a-9c55-000000000004","role":"doctor","#,
            r#""rule":"write studies and diagnoses","sequence":1,"#,
            r#""session":"c0bb5adce9d81355d6acfe5c716f5d23073457fc55f970c7b25844af05bed4a5","#,
            r#""subject":{"id":"0198c1f0-7c3e-7d0a-9c55-000000000005","kind":"diagnosis","#,
            r#""patient":"0198c1f0-7c3e-7d0a-9c55-000000000006","version":2}}"#,
        )
    );
    let least = Event::anonymous(
        Id::from_uuid(id(7)),
        Timestamp::parse("0001-01-01T00:00:00Z").unwrap(),
        None,
        Action::SESSION_START,
        Subject::all("session"),
    );
    let least = seal(ChainId::ONLY, &full.head(), &least);
    assert_eq!(
        std::str::from_utf8(&least.canonical).unwrap(),
        concat!(
            r#"{"action":"session.start","at":"0001-01-01T00:00:00.000Z","id":"0198c1f0-7c3e-7d0a-9c55-000000000007","#,
            r#""outcome":"done","previous":"cacfe5b15898096fb025517580b783a33b4dee8a217aa305213559d1728955d1","sequence":2,"subject":{"kind":"session"}}"#,
        )
    );
    // Both by another program: `printf %s "$FORM" | sha256sum`.
    assert_eq!(least.hash.to_string(), "2a1a3060904991f176dac592e60fa28aace170ce93d6e1aeb52f31d188576ff3");
}

/// A promise too.
#[test]
fn the_form_of_one_of_several_chains_and_of_a_root_is_the_one_that_logs_were_written_in() {
    let id = Id::from_uuid(uuid(0x0198_c1f0_7c3e_7d0a_9c55_0000_0000_0001));
    let at = Timestamp::parse("2026-03-01T09:00:00Z").unwrap();
    let event = Event::anonymous(id, at, None, Action::AUDIT_READ, Subject::all("audit"));
    let chain = ChainId::new(17);
    let sealed = seal(chain, &Head::GENESIS, &event);
    assert_eq!(
        std::str::from_utf8(&sealed.canonical).unwrap(),
        concat!(
            r#"{"action":"audit.read","at":"2026-03-01T09:00:00.000Z","chain":17,"#,
            r#""id":"0198c1f0-7c3e-7d0a-9c55-000000000001","outcome":"done","#,
            r#""previous":"0000000000000000000000000000000000000000000000000000000000000000","sequence":1,"#,
            r#""subject":{"kind":"audit"}}"#,
        )
    );
    let hash = Sha256Digest::from_bytes([0xab; 32]);
    let heads = [(ChainId::ONLY, 7), (chain, 1)];
    let heads = heads.map(|(chain, sequence)| ChainHead { chain, head: Head { sequence, hash } });
    let root: SealedRoot = seal_root(&Head::GENESIS, at, &heads);
    let hash = "ab".repeat(32);
    let expected = format!(
        r#"{{"at":"2026-03-01T09:00:00.000Z","heads":[{{"chain":0,"hash":"{hash}","sequence":7}},{{"chain":17,"hash":"{hash}","sequence":1}}],"previous":"{}","sequence":1}}"#,
        Head::GENESIS.hash
    );
    assert_eq!(std::str::from_utf8(&root.canonical).unwrap(), expected);
    assert_eq!(root.hash, Sha256Digest::of(expected.as_bytes()));
    assert_eq!(root.open().unwrap().heads, heads);
}

fn log(entries: usize) -> Vec<Sealed> {
    let doctor = caller(Role::Doctor);
    let mut head = Head::GENESIS;
    (0..entries)
        .map(|at| {
            let at = Timestamp::from_unix_ms(1_772_355_600_000 + at as i64);
            let event =
                Event::by(fresh_id(), at, &doctor, Action::PATIENT_READ, Subject::patient(fresh_id()).at_version(1));
            let sealed = seal(ChainId::ONLY, &head, &event);
            head = sealed.head();
            sealed
        })
        .collect()
}

fn verify(log: &[Sealed], exported: Option<Head>) -> Result<Head, Fault> {
    let mut verifier = Verifier::new(ChainId::ONLY, exported);
    log.iter().try_for_each(|sealed| verifier.take(sealed))?;
    verifier.finish()
}

/// Seals all entries from `from` on once more, as one would who can write the whole store.
fn reseal(log: &mut [Sealed], from: usize) {
    for index in from..log.len() {
        let previous = if index == 0 { Head::GENESIS } else { log[index - 1].head() };
        let Sealed { at, account, patient, ref action, .. } = log[index];
        let mut event = Event::anonymous(fresh_id(), at, None, action.clone(), Subject::default());
        event.account = account;
        event.subject.patient = patient;
        log[index] = seal(ChainId::ONLY, &previous, &event);
    }
}

const ENTRIES: usize = 12;

#[derive(Debug, Clone)]
enum Edit {
    TurnBitOfForm(usize, u8),
    TurnBitOfHash(usize, u8),
    ChangeColumn(usize),
    Delete,
    Repeat,
    InsertForged,
    Swap(sample::Index),
    CutTail,
    RewriteFromHere,
}

fn edits() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (any::<usize>(), 0..8_u8).prop_map(|(place, bit)| Edit::TurnBitOfForm(place, bit)),
        (0..32_usize, 0..8_u8).prop_map(|(place, bit)| Edit::TurnBitOfHash(place, bit)),
        (0..5_usize).prop_map(Edit::ChangeColumn),
        Just(Edit::Delete),
        Just(Edit::Repeat),
        Just(Edit::InsertForged),
        any::<sample::Index>().prop_map(Edit::Swap),
        Just(Edit::CutTail),
        Just(Edit::RewriteFromHere),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_is_done_to_a_log_the_first_bad_entry_is_named(index in 0..ENTRIES, edit in edits()) {
        let good = log(ENTRIES);
        let exported = good[ENTRIES - 1].head();
        prop_assert_eq!(verify(&good, Some(exported)), Ok(exported));

        let mut bad = good.clone();
        let mut first = index;
        match edit {
            Edit::TurnBitOfForm(place, bit) => {
                let form = &mut bad[index].canonical;
                let place = place % form.len();
                form[place] ^= 1_u8 << bit;
            }
            Edit::TurnBitOfHash(place, bit) => {
                let mut hash = *bad[index].hash.as_bytes();
                hash[place] ^= 1_u8 << bit;
                bad[index].hash = Sha256Digest::from_bytes(hash);
            }
            Edit::ChangeColumn(column) => match column {
                0 => bad[index].at = Timestamp::from_unix_ms(0),
                1 => bad[index].account = None,
                2 => bad[index].patient = Some(fresh_id()),
                3 => bad[index].action = Action::AUDIT_READ,
                _ => bad[index].sequence += 1,
            },
            Edit::Delete => drop(bad.remove(index)),
            Edit::Repeat => {
                bad.insert(index, good[index].clone());
                // The entry itself is good in its first place and named as misplaced in its second.
            }
            Edit::InsertForged => {
                let mut forged = log(1).remove(0);
                forged.sequence = index as u64 + 1;
                bad.insert(index, forged);
                // A forged first entry is a good chain of one; the one that follows is then out of place.
            }
            Edit::Swap(other) => {
                let other = other.index(ENTRIES);
                prop_assume!(other != index);
                bad.swap(index, other);
                first = index.min(other);
            }
            Edit::CutTail => bad.truncate(index),
            Edit::RewriteFromHere => {
                bad[index].account = None;
                reseal(&mut bad, index);
                // It holds by itself: only the exported head tells.
                prop_assert!(verify(&bad, None).is_ok());
                first = ENTRIES - 1;
            }
        }
        let fault = verify(&bad, Some(exported)).unwrap_err();
        prop_assert_eq!(fault.place.sequence(), first as u64 + 1, "{}", fault);
    }
}

#[test]
fn a_fault_tells_what_is_wrong() {
    let good = log(3);
    let flaw = |change: &dyn Fn(&mut Vec<Sealed>), exported: Option<Head>| {
        let mut bad = good.clone();
        change(&mut bad);
        let Fault { place, flaw } = verify(&bad, exported).unwrap_err();
        (place.sequence(), flaw)
    };
    assert_eq!(flaw(&|log| drop(log.remove(1)), None), (2, Flaw::Missing { found: 3 }));
    assert_eq!(flaw(&|log| log.swap(0, 1), None), (1, Flaw::Missing { found: 2 }));
    assert_eq!(flaw(&|log| log.push(good[1].clone()), None), (2, Flaw::Misplaced));
    assert_eq!(flaw(&|log| log[1].hash = Head::GENESIS.hash, None), (2, Flaw::WrongHash));
    assert_eq!(flaw(&|log| log[1].patient = None, None), (2, Flaw::WrongColumn { column: "patient" }));
    assert_eq!(flaw(&|log| log[1].chain = ChainId::new(1), None), (2, Flaw::WrongColumn { column: "chain" }));
    assert_eq!(flaw(&|log| log.truncate(2), Some(good[2].head())), (3, Flaw::CutOff));
    assert_eq!(flaw(&|log| reseal(log, 1), Some(good[1].head())), (2, Flaw::NotAsExported));
    let spaced = |log: &mut Vec<Sealed>| {
        log[1].canonical.push(b' ');
        log[1].hash = Sha256Digest::of(&log[1].canonical);
    };
    assert_eq!(flaw(&spaced, None), (2, Flaw::NotCanonical));
    let relinked = |log: &mut Vec<Sealed>| {
        let Sealed { at, ref action, .. } = log[1];
        log[1] = seal(
            ChainId::ONLY,
            &Head { sequence: 1, hash: Head::GENESIS.hash },
            &Event::anonymous(fresh_id(), at, None, action.clone(), Subject::default()),
        );
    };
    assert_eq!(flaw(&relinked, None), (2, Flaw::WrongPrevious));
    assert_eq!(verify(&[], None), Ok(Head::GENESIS));
}

#[test]
fn a_head_is_exported_as_text_and_comes_back() {
    let head = log(2)[1].head();
    assert_eq!(head.to_string().parse::<Head>().unwrap(), head);
    assert_eq!(Head::GENESIS.to_string().parse::<Head>().unwrap(), Head::GENESIS);
    let (plus, zeros) = (format!("+{head}"), format!("0{head}"));
    for refused in ["", "1", "1:", ":ab", "-1:00", "x:y", &plus, &zeros] {
        assert!(refused.parse::<Head>().is_err(), "{refused}");
    }
}

#[test]
fn the_number_of_an_entry_is_in_the_order_of_chain_then_place_and_leads_back() {
    let places = [(0, 1), (0, 2), (0, (1 << 48) - 1), (1, 0), (1, 1 << 40), (256, 3)];
    let numbers = places.map(|(chain, sequence)| ChainId::new(chain).number(sequence));
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    assert_eq!(numbers.map(ChainId::of_number), places.map(|(chain, sequence)| (ChainId::new(chain), sequence)));
    assert_eq!(ChainId::ONLY.number(7), 7);
    assert_eq!(ChainId::ONLY.number(u64::MAX), ChainId::new(1).number(0) - 1);
}

#[test]
fn heads_that_are_known_from_elsewhere_and_by_roots_are_all_held_against_the_chain() {
    let good = log(6);
    let holds = |closed: Head| {
        let mut verifier = Verifier::new(ChainId::ONLY, [good[5].head(), good[0].head()]);
        verifier.expect(closed, 1);
        verifier.expect(good[3].head(), 2);
        good.iter().try_for_each(|sealed| verifier.take(sealed)).map_err(|fault| fault.place.sequence())
    };
    assert_eq!(holds(good[2].head()), Ok(()));
    assert_eq!(holds(Head { sequence: 3, hash: Head::GENESIS.hash }), Err(3));
}
