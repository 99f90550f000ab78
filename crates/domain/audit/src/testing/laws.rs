//! One test for each law of [`AuditLog`]. Every adapter runs them all on an empty log:
//! `infirmary_audit::audit_log_laws!(make_log)`, where `make_log` is an async function that gives a log, which is the
//! journal too, and whatever has to live as long as it does.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use infirmary_kernel::{
    Action, Event, Journal, Limit, Outcome, PageRequest, Role, Subject, Timestamp,
    testing::{caller, fresh_id},
};

use crate::{AuditLog, Entry, EntryFilter, Head, SessionHash, Verifier, verify_log};

#[macro_export]
macro_rules! audit_log_laws {
    ($make:path) => {
        $crate::audit_log_laws!(@each $make:
            an_entry_tells_all_that_the_event_told
            entries_of_many_writers_are_dense_and_linked
            the_head_is_that_of_the_last_entry
            what_follows_a_place_comes_in_order
            a_filter_takes_what_it_says
            found_entries_are_newest_first_and_stable_under_equal_times);
    };
    (@each $make:path: $($law:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $law() {
            let (log, _keep) = $make().await;
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
    let exported = log.head().await.unwrap();
    let verification = verify_log(log, Some(exported), |_| {}).await.unwrap();
    assert_eq!((verification.head, verification.fault), (exported, None));
    assert_eq!(exported.sequence, 128);
}

pub async fn the_head_is_that_of_the_last_entry(log: &(impl AuditLog + Journal)) {
    assert_eq!(log.head().await.unwrap(), Head::GENESIS);
    for count in 1..=3 {
        log.append(event(Action::PATIENT_READ, 0)).await.unwrap();
        let last = log.after(count - 1, 10).await.unwrap();
        assert_eq!(log.head().await.unwrap(), last[0].head());
        assert_eq!((last.len(), last[0].sequence), (1, count));
    }
}

pub async fn what_follows_a_place_comes_in_order(log: &(impl AuditLog + Journal)) {
    for offset_ms in [5, 3, 9, 1, 7] {
        log.append(event(Action::PATIENT_READ, offset_ms)).await.unwrap();
    }
    let sequences = async |sequence, limit| -> Vec<_> {
        log.after(sequence, limit).await.unwrap().iter().map(|sealed| sealed.sequence).collect()
    };
    assert_eq!(sequences(0, 3).await, [1, 2, 3], "in the order of the chain, not of their times");
    assert_eq!(sequences(3, 3).await, [4, 5]);
    assert_eq!(sequences(5, 3).await, [0_u64; 0]);
    let mut verifier = Verifier::default();
    for sealed in log.after(0, 10).await.unwrap() {
        verifier.take(&sealed).unwrap();
    }
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
    let mut expected = Vec::new();
    for (place, offset_ms) in [0, 5, 5, 5, 5, 2, 5].into_iter().enumerate() {
        let event = event(Action::PATIENT_READ, offset_ms);
        expected.push((event.at, place as u64 + 1));
        log.append(event).await.unwrap();
    }
    expected.sort();
    expected.reverse();
    let mut page = PageRequest { limit: Limit::new(2).unwrap(), after: None };
    let mut found = Vec::new();
    loop {
        let entries = log.find(&EntryFilter::default(), &page).await.unwrap();
        found.extend(entries.items.iter().map(|entry| (entry.at, entry.sequence)));
        log.append(event(Action::PATIENT_READ, 100)).await.unwrap();
        match entries.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    assert_eq!(found, expected);
}
