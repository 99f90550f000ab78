//! One test for each law of [`AuditLog`]. Every adapter runs them all on an empty log:
//! `infirmary_audit::audit_log_laws!(make_log)`, where `make_log` is an async function that gives a log, which is the
//! journal too, and whatever has to live as long as it does.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

pub use infirmary_kernel::testing::made;

use infirmary_kernel::{
    Action, Event, Journal, Limit, Outcome, PageRequest, Purpose, Role, Sha256Digest, Subject, Timestamp,
    testing::{caller, fresh_id},
};

use crate::{
    AuditLog, ChainHead, ChainId, Entry, EntryFilter, Flaw, Head, Heads, RootVerifier, SessionHash, Verifier,
    verify_log,
};

#[macro_export]
macro_rules! audit_log_laws {
    ($make:path) => {
        $crate::audit_log_laws!(@each $make:
            an_entry_tells_all_that_the_event_told
            entries_of_many_writers_are_dense_and_linked
            events_that_are_given_together_are_there_together_and_in_order
            a_closed_log_is_covered_by_the_head_that_is_exported
            of_many_who_close_at_once_each_root_is_linked
            what_follows_a_place_comes_in_order
            a_filter_takes_what_it_says
            found_entries_are_newest_first_and_stable_under_equal_times);
    };
    (@each $make:path: $($law:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $law() {
            let Some((log, _keep)) = $crate::testing::laws::made($make().await) else { return };
            $crate::testing::laws::$law(&log).await;
        })*
    };
}

fn at(offset_ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_772_355_600_000 + offset_ms)
}

fn event(action: Action, offset_ms: i64) -> Event {
    Event::by(fresh_id(), at(offset_ms), &caller(Role::Doctor), action, Subject::patient(fresh_id()).at_version(3))
}

async fn find(log: &impl AuditLog, filter: &EntryFilter) -> Vec<Entry> {
    log.find(filter, &PageRequest { limit: Limit::new(200).unwrap(), after: None }).await.unwrap().items
}

pub async fn an_entry_tells_all_that_the_event_told(log: &(impl AuditLog + Journal)) {
    let full = Event {
        agent: Some("متصفح \u{1}\"\\$.%_".into()),
        address: "2001:db8::7".parse().ok(),
        fields: vec!["birthDate".into(), "name".into()],
        outcome: Outcome::Refused,
        rule: Some("not the caller's record".into()),
        purpose: Some(Purpose::BreakTheGlass),
        ..event(Action::PATIENT_CHANGE, 1)
    };
    let least = Event::anonymous(fresh_id(), at(0), None, Action::SESSION_START, Subject::all("session"));
    for event in [&full, &least] {
        log.append(event.clone()).await.unwrap();
    }
    let found = find(log, &EntryFilter::default()).await;
    assert_eq!(found.len(), 2);
    for (entry, event) in found.into_iter().zip([full, least]) {
        assert_eq!(entry.session, event.session.map(SessionHash::of));
        let told = Event {
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
        assert_eq!(told, event);
    }
}

pub async fn entries_of_many_writers_are_dense_and_linked(log: &(impl AuditLog + Journal)) {
    let writers = (0..16).map(async |writer| {
        for step in 0..8 {
            log.append(event(Action::PATIENT_READ, writer - step)).await.unwrap();
        }
    });
    futures_util::future::join_all(writers).await;
    let exported = log.close(at(100)).await.unwrap();
    let mut verified = 0;
    let verification = verify_log(log, Some(exported), |good| verified = good).await.unwrap();
    assert_eq!((verification.head, verification.fault), (exported, None));
    assert_eq!(verified, 128);
    assert_eq!(entries_of(&log.heads().await.unwrap()), 128);
}

pub async fn events_that_are_given_together_are_there_together_and_in_order(log: &(impl AuditLog + Journal)) {
    log.append_all(Vec::new()).await.unwrap();
    let lists: Vec<Vec<Event>> =
        [1, 2, 60].map(|count| (0..count).map(|n| event(Action::CHARGE_READ, n)).collect()).into();
    let written = lists.iter().map(async |list| log.append_all(list.clone()).await.unwrap());
    futures_util::future::join_all(written).await;
    let mut found = find(log, &EntryFilter::default()).await;
    assert_eq!(found.len(), 63);
    found.sort_by_key(|entry| (entry.chain, entry.sequence));
    for list in lists {
        let ids: Vec<_> = list.iter().map(|event| event.id).collect();
        let of_list: Vec<&Entry> = found.iter().filter(|entry| ids.contains(&entry.id)).collect();
        assert_eq!(of_list.iter().map(|entry| entry.id).collect::<Vec<_>>(), ids);
        let follows = |pair: &[&Entry]| pair[0].chain == pair[1].chain && pair[0].sequence + 1 == pair[1].sequence;
        assert!(of_list.windows(2).all(follows), "no other entry is between them");
    }
    let exported = log.close(at(100)).await.unwrap();
    let verification = verify_log(log, Some(exported), |_| {}).await.unwrap();
    assert_eq!((verification.head, verification.fault), (exported, None));
}

fn entries_of(heads: &Heads) -> u64 {
    heads.chains.iter().map(|chain| chain.head.sequence).sum()
}

pub async fn a_closed_log_is_covered_by_the_head_that_is_exported(log: &(impl AuditLog + Journal)) {
    assert_eq!(log.heads().await.unwrap().exported(), Head::GENESIS);
    assert_eq!(log.close(at(0)).await.unwrap(), Head::GENESIS, "there is nothing to close");
    let mut before = Head::GENESIS;
    for count in 1..=5 {
        log.append(event(Action::PATIENT_READ, 0)).await.unwrap();
        let exported = log.close(at(count)).await.unwrap();
        assert_ne!(exported, before);
        assert_eq!(log.close(at(count)).await.unwrap(), exported, "nothing was written since");
        let heads = log.heads().await.unwrap();
        assert_eq!((heads.exported(), entries_of(&heads)), (exported, count as u64));
        for known in [before, exported] {
            let verification = verify_log(log, Some(known), |_| {}).await.unwrap();
            assert_eq!((verification.head, verification.fault), (exported, None));
        }
        let forged = Head { sequence: exported.sequence, hash: Sha256Digest::of(b"another") };
        let verification = verify_log(log, Some(forged), |_| {}).await.unwrap();
        let fault = verification.fault.unwrap();
        assert_eq!((fault.place.sequence(), fault.flaw), (exported.sequence, Flaw::NotAsExported));
        before = exported;
    }
}

pub async fn of_many_who_close_at_once_each_root_is_linked(log: &(impl AuditLog + Journal)) {
    let writers = (0..8).map(async |writer| {
        for step in 0..4 {
            log.append(event(Action::PATIENT_READ, writer)).await.unwrap();
            log.close(at(step)).await.unwrap();
        }
    });
    futures_util::future::join_all(writers).await;
    let exported = log.heads().await.unwrap().exported();
    assert_eq!(log.close(at(9)).await.unwrap(), exported, "the last one to close covered all");
    let verification = verify_log(log, Some(exported), |_| {}).await.unwrap();
    assert_eq!((verification.head, verification.fault), (exported, None));
}

pub async fn what_follows_a_place_comes_in_order(log: &(impl AuditLog + Journal)) {
    for offset_ms in [5, 3, 9, 1, 7, 5, 2, 8, 4] {
        log.append(event(Action::PATIENT_READ, offset_ms)).await.unwrap();
    }
    log.close(at(10)).await.unwrap();
    let heads = log.heads().await.unwrap();
    assert_eq!(entries_of(&heads), 9);
    assert!(heads.chains.is_sorted_by(|one, next| one.chain < next.chain));
    for ChainHead { chain, head } in heads.chains {
        let after = async |sequence, limit| log.after(chain, sequence, limit).await.unwrap();
        let all = after(0, 10).await;
        let mut verifier = Verifier::new(chain, Some(head));
        for (place, sealed) in all.iter().enumerate() {
            verifier.take(sealed).unwrap();
            assert_eq!(
                after(place as u64, 1).await,
                std::slice::from_ref(sealed),
                "in the order of the chain, not of the times"
            );
        }
        assert_eq!(verifier.finish().unwrap(), head);
        assert_eq!(after(head.sequence, 10).await, []);
    }
    let root = heads.root.unwrap_or_default();
    let mut roots = RootVerifier::new(Some(root));
    for sealed in log.roots_after(0, 10).await.unwrap() {
        roots.take(&sealed).unwrap();
    }
    assert_eq!(roots.finish().unwrap(), root);
    assert_eq!(log.roots_after(root.sequence, 10).await.unwrap(), []);
    assert_eq!(log.after(ChainId::new(u16::MAX), 0, 10).await.unwrap(), []);
}

pub async fn a_filter_takes_what_it_says(log: &(impl AuditLog + Journal)) {
    let first = event(Action::PATIENT_READ, 0);
    let second = Event { account: first.account, ..event(Action::PATIENT_CHANGE, 10) };
    let third = Event { subject: first.subject.clone(), ..event(Action::PATIENT_READ, 20) };
    let nobody = Event { subject: first.subject.clone(), account: None, ..event(Action::ACCESS_REFUSED, 30) };
    for event in [&first, &second, &third, &nobody] {
        log.append(event.clone()).await.unwrap();
    }
    let any = EntryFilter::default;
    let patient = first.subject.patient;
    let cases = [
        (any(), vec![&nobody, &third, &second, &first]),
        (EntryFilter { patient, ..any() }, vec![&nobody, &third, &first]),
        (EntryFilter { account: first.account, ..any() }, vec![&second, &first]),
        (EntryFilter { patient, except_account: first.account, ..any() }, vec![&nobody, &third]),
        (EntryFilter { patient, account: first.account, ..any() }, vec![&first]),
        (EntryFilter { action: Some(Action::PATIENT_READ), ..any() }, vec![&third, &first]),
        (EntryFilter { action: Some(Action::PATIENT_READ), account: third.account, ..any() }, vec![&third]),
        (EntryFilter { from: Some(at(10)), ..any() }, vec![&nobody, &third, &second]),
        (EntryFilter { to: Some(at(10)), ..any() }, vec![&first]),
        (EntryFilter { patient, from: Some(at(0)), to: Some(at(21)), ..any() }, vec![&third, &first]),
        (EntryFilter { action: Some(Action::REPORT_READ), ..any() }, vec![]),
        (EntryFilter { action: Some(Action::from_stored("patient.%".into())), ..any() }, vec![]),
    ];
    for (filter, expected) in cases {
        let found: Vec<_> = find(log, &filter).await.iter().map(|entry| entry.id).collect();
        assert_eq!(found, expected.iter().map(|event| event.id).collect::<Vec<_>>(), "{filter:?}");
    }
}

pub async fn found_entries_are_newest_first_and_stable_under_equal_times(log: &(impl AuditLog + Journal)) {
    for offset_ms in [0, 5, 5, 5, 5, 2, 5] {
        log.append(event(Action::PATIENT_READ, offset_ms)).await.unwrap();
    }
    let place = |entry: &Entry| (entry.at, entry.chain, entry.sequence);
    let expected: Vec<_> = find(log, &EntryFilter::default()).await.iter().map(place).collect();
    assert_eq!(expected.len(), 7);
    assert!(expected.is_sorted_by(|newer, older| newer > older), "{expected:?}");
    let mut page = PageRequest { limit: Limit::new(2).unwrap(), after: None };
    let mut found = Vec::new();
    loop {
        let entries = log.find(&EntryFilter::default(), &page).await.unwrap();
        found.extend(entries.items.iter().map(place));
        log.append(event(Action::PATIENT_READ, 100)).await.unwrap();
        match entries.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    assert_eq!(found, expected);
}
