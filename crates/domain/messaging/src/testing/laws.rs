//! One test for each law of [`crate::Outbox`] and [`crate::MessageLog`]. Every adapter runs them all on an empty store:
//! `infirmary_messaging::outbox_laws!(make_house)`, where `make_house` is an async function that gives a [`PostHouse`] and
//! whatever has to live as long as it does.

#![allow(clippy::unwrap_used, reason = "a law that does not hold is a panic")]

pub use infirmary_kernel::testing::made;

use std::{collections::HashSet, time::Duration};

use futures_util::future::join_all;
use infirmary_kernel::{
    Action, Claim, Fingerprint, IdempotencyKey, Limit, MessageContent, MessageId, MessageKind, OutgoingMessage,
    PageRequest, Receipt, Timestamp, WriteError,
    testing::{fresh_id, trail, trail_with_claim},
};
use secrecy::ExposeSecret;

use super::{PostHouse, code, notice, start};
use crate::{
    Delivery, DeliveryReport, DeliveryStatus, Failure, FailureReason, Message, MessageState, ProviderId, SentAgain,
    Settlement, Taken, TakenKey,
};

#[macro_export]
macro_rules! outbox_laws {
    ($make:path) => {
        $crate::outbox_laws!(@each $make:
            a_message_comes_with_its_write_and_is_due_at_once
            a_write_that_was_made_before_adds_no_message
            a_message_that_cannot_be_kept_stops_its_write
            of_sixteen_workers_each_message_is_given_to_one
            what_was_taken_is_due_again_when_its_worker_died
            codes_come_first_and_then_what_waits_the_longest
            what_is_over_is_not_given_and_fails
            only_the_last_taking_settles_a_message
            a_try_that_does_not_count_is_as_if_it_had_not_been
            a_failed_message_is_sent_again_as_if_it_were_new
            a_code_is_not_sent_again
            a_report_is_found_by_the_providers_id_and_counts_once
            a_report_of_a_lost_answer_is_found_by_our_own_id
            a_report_of_a_strange_message_changes_nothing
            of_many_reports_at_once_the_furthest_holds
            lists_are_newest_first_and_stable_under_equal_times);
    };
    (@each $make:path: $($law:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $law() {
            let Some((house, _keep)) = $crate::testing::laws::made($make().await) else { return };
            $crate::testing::laws::$law(&house).await;
        })*
    };
}

const SECOND: Duration = Duration::from_secs(1);
const TAKEN: Duration = Duration::from_secs(Taken::SECONDS);

async fn post(house: &PostHouse, message: OutgoingMessage) -> OutgoingMessage {
    house.post.post(trail(Action::PATIENT_REGISTER).telling([message.clone()])).await.unwrap();
    message
}

async fn take(house: &PostHouse, now: Timestamp) -> Vec<Taken> {
    house.outbox.take(100, now).await.unwrap()
}

async fn take_one(house: &PostHouse, now: Timestamp) -> Taken {
    let mut taken = take(house, now).await;
    assert_eq!(taken.len(), 1);
    taken.remove(0)
}

fn ids(taken: &[Taken]) -> Vec<MessageId> {
    taken.iter().map(|taken| taken.message.id).collect()
}

async fn find(house: &PostHouse, id: MessageId) -> Message {
    house.log.find(id).await.unwrap().unwrap()
}

fn provider_id(text: &str) -> ProviderId {
    ProviderId::parse(text).unwrap()
}

fn sent(text: &str) -> Settlement {
    Settlement::Sent(provider_id(text))
}

const UNREACHABLE: Failure = FailureReason::Unreachable.with(Some(503));

fn report(id: &str, status: DeliveryStatus, at: Timestamp) -> DeliveryReport {
    DeliveryReport { provider_id: provider_id(id), message: None, status, at }
}

pub async fn a_message_comes_with_its_write_and_is_due_at_once(house: &PostHouse) {
    let (code, notice) = (code(start()), notice(start()));
    let both = [code.clone(), notice.clone()];
    house.post.post(trail(Action::PATIENT_REGISTER).telling(both)).await.unwrap();
    let told = find(house, code.id).await;
    let expected = Message {
        id: code.id,
        recipient: code.recipient.clone(),
        kind: MessageKind::OneTimeCode,
        report: None,
        created: code.created,
        expires: code.expires,
        state: MessageState::Pending,
        changed: code.created,
        tries: 0,
        provider_id: None,
        delivery: None,
        failure: None,
    };
    assert_eq!(told, expected);
    assert_eq!(house.outbox.oldest_due(start().minus(SECOND)).await.unwrap(), None);
    assert_eq!(house.outbox.oldest_due(start()).await.unwrap(), Some(start()));
    assert!(take(house, start().minus(SECOND)).await.is_empty());
    let taken = take(house, start()).await;
    assert_eq!(ids(&taken), [code.id, notice.id]);
    for (taken, message) in taken.iter().zip([&code, &notice]) {
        assert_eq!((taken.take, taken.tries, taken.until), (1, 1, start().plus(TAKEN)));
        let (ours, theirs) = (&taken.message, message);
        assert_eq!(
            (ours.id, &ours.recipient, ours.created, ours.expires),
            (theirs.id, &theirs.recipient, theirs.created, theirs.expires)
        );
    }
    match (&taken[0].message.content, &taken[1].message.content, &notice.content) {
        (
            MessageContent::OneTimeCode { code },
            MessageContent::ReportReady { report },
            MessageContent::ReportReady { report: told },
        ) => assert_eq!((code.expose_secret(), report), ("012345", told)),
        other => panic!("{other:?}"),
    }
}

pub async fn a_write_that_was_made_before_adds_no_message(house: &PostHouse) {
    let claim = Claim {
        account: fresh_id(),
        key: IdempotencyKey::parse("key").unwrap(),
        fingerprint: Fingerprint::of([b"asked".as_slice()]),
        receipt: Receipt::json(&"told"),
        at: start(),
    };
    let (first, second) = (notice(start()), notice(start()));
    for message in [&first, &second] {
        let trail = trail_with_claim(Action::PATIENT_REGISTER, claim.clone()).telling([message.clone()]);
        house.post.post(trail).await.unwrap();
    }
    assert_eq!(ids(&take(house, start()).await), [first.id]);
    assert_eq!(house.log.find(second.id).await.unwrap(), None);
}

pub async fn a_message_that_cannot_be_kept_stops_its_write(house: &PostHouse) {
    let first = post(house, notice(start())).await;
    let second = notice(start());
    let same_id = trail(Action::PATIENT_REGISTER).telling([second.clone(), first.clone()]);
    assert!(house.post.post(same_id).await.is_err());
    assert_eq!(house.log.find(second.id).await.unwrap(), None);
    assert_eq!(ids(&take(house, start()).await), [first.id]);
}

pub async fn of_sixteen_workers_each_message_is_given_to_one(house: &PostHouse) {
    let messages = (0..40).map(|n| if n % 2 == 0 { code(start()) } else { notice(start()) });
    let messages: Vec<OutgoingMessage> = messages.collect();
    for few in messages.chunks(10) {
        house.post.post(trail(Action::PATIENT_REGISTER).telling(few.to_vec())).await.unwrap();
    }
    let rounds = (0..16).map(async |_| {
        let mut taken = house.outbox.take(3, start()).await.unwrap();
        assert!(taken.len() <= 3);
        taken.extend(house.outbox.take(3, start()).await.unwrap());
        taken
    });
    let given: Vec<MessageId> = join_all(rounds).await.iter().flat_map(|taken| ids(taken)).collect();
    assert_eq!(given.iter().collect::<HashSet<_>>().len(), given.len(), "one was given to two");
    assert_eq!(given.len(), 40);
}

pub async fn what_was_taken_is_due_again_when_its_worker_died(house: &PostHouse) {
    let message = post(house, notice(start())).await;
    let first = take_one(house, start()).await;
    let late = start().plus(TAKEN);
    assert!(take(house, late.minus(Duration::from_millis(1))).await.is_empty());
    assert_eq!(house.outbox.oldest_due(late).await.unwrap(), Some(late));
    let second = take_one(house, late).await;
    assert!(second.take > first.take);
    assert_eq!((second.message.id, second.tries), (message.id, 2));
}

pub async fn codes_come_first_and_then_what_waits_the_longest(house: &PostHouse) {
    let mut expected = Vec::new();
    for message in
        [notice(start()), notice(start().plus(SECOND)), code(start().plus(SECOND * 2)), code(start().plus(SECOND))]
    {
        expected.push(post(house, message).await.id);
    }
    expected = [3, 2, 0, 1].map(|place: usize| expected[place]).to_vec();
    let now = start().plus(SECOND * 2);
    assert_eq!(house.outbox.oldest_due(now).await.unwrap(), Some(start()));
    let mut given = Vec::new();
    for most in [1, 2, 5] {
        given.extend(ids(&house.outbox.take(most, now).await.unwrap()));
    }
    assert_eq!(given, expected);
}

pub async fn what_is_over_is_not_given_and_fails(house: &PostHouse) {
    let (code, notice) = (post(house, code(start())).await, post(house, notice(start())).await);
    let over = code.expires;
    assert_eq!(house.outbox.expire(over.minus(Duration::from_millis(1))).await.unwrap(), 0);
    assert_eq!(ids(&house.outbox.take(100, over).await.unwrap()), [notice.id]);
    let taken = house.log.find(code.id).await.unwrap().unwrap();
    assert_eq!((taken.state, taken.tries), (MessageState::Pending, 0));
    assert_eq!(house.outbox.expire(over).await.unwrap(), 1);
    let failed = find(house, code.id).await;
    let reason = Some(FailureReason::Expired.with(None));
    assert_eq!((failed.state, failed.failure, failed.changed), (MessageState::Failed, reason, over));
    assert_eq!(house.outbox.expire(over).await.unwrap(), 0);
    assert_eq!(find(house, notice.id).await.state, MessageState::Pending);
}

pub async fn only_the_last_taking_settles_a_message(house: &PostHouse) {
    let message = post(house, notice(start())).await;
    let settle = async |key: TakenKey, settlement| house.outbox.settle(key, settlement, start()).await.unwrap();
    let nobody = TakenKey { id: fresh_id(), take: 1 };
    assert!(!settle(nobody, sent("wamid.0")).await);
    let first = take_one(house, start()).await.key();
    let second = take_one(house, start().plus(TAKEN)).await.key();
    for settlement in
        [sent("wamid.1"), Settlement::Failed(UNREACHABLE), Settlement::Again { due: start(), counts: false }]
    {
        assert!(!settle(first, settlement).await);
    }
    let known = find(house, message.id).await;
    assert_eq!((known.state, known.tries), (MessageState::Pending, 2));
    assert!(settle(second, sent("wamid.2")).await);
    let known = find(house, message.id).await;
    let expected = (MessageState::Sent, Some(provider_id("wamid.2")), None, None);
    assert_eq!((known.state, known.provider_id, known.delivery, known.failure), expected);
    assert!(!settle(second, Settlement::Failed(UNREACHABLE)).await, "it is settled");
    assert!(take(house, start().plus(TAKEN * 10)).await.is_empty());
}

pub async fn a_try_that_does_not_count_is_as_if_it_had_not_been(house: &PostHouse) {
    let message = post(house, notice(start())).await;
    let mut now = start();
    for (counts, tries) in [(false, 1), (true, 1), (false, 2), (true, 2), (true, 3)] {
        let taken = take_one(house, now).await;
        assert_eq!(taken.tries, tries);
        let due = now.plus(TAKEN * 3);
        assert!(house.outbox.settle(taken.key(), Settlement::Again { due, counts }, now).await.unwrap());
        assert_eq!(find(house, message.id).await.tries, tries - u32::from(!counts));
        assert!(take(house, due.minus(SECOND)).await.is_empty());
        now = due;
    }
}

async fn failed(house: &PostHouse, message: OutgoingMessage) -> Message {
    let message = post(house, message).await;
    let taken = take_one(house, message.created).await;
    let settlement = Settlement::Failed(UNREACHABLE);
    assert!(house.outbox.settle(taken.key(), settlement, message.created.plus(SECOND)).await.unwrap());
    find(house, message.id).await
}

fn again(id: MessageId, at: Timestamp) -> SentAgain {
    SentAgain { id, at, expires: at.plus(SECOND * 60 * 60), trail: trail(Action::MESSAGE_RETRY) }
}

pub async fn a_failed_message_is_sent_again_as_if_it_were_new(house: &PostHouse) {
    let before = failed(house, notice(start())).await;
    assert_eq!((before.state, before.failure), (MessageState::Failed, Some(UNREACHABLE)));
    let at = start().plus(SECOND * 60);
    house.log.send_again(again(before.id, at)).await.unwrap();
    let expected = Message {
        state: MessageState::Pending,
        changed: at,
        expires: at.plus(SECOND * 60 * 60),
        tries: 0,
        failure: None,
        ..before.clone()
    };
    assert_eq!(find(house, before.id).await, expected);
    let stale = |result| matches!(result, Err(WriteError::Stale));
    assert!(stale(house.log.send_again(again(before.id, at)).await), "it is to be sent already");
    assert!(stale(house.log.send_again(again(fresh_id(), at)).await));
    assert!(take(house, at.minus(SECOND)).await.is_empty());
    let taken = take_one(house, at).await;
    assert_eq!((taken.take, taken.tries), (2, 1), "takings go on being counted");
    assert!(matches!(taken.message.content, MessageContent::ReportReady { report } if Some(report) == before.report));
    assert!(house.outbox.settle(taken.key(), sent("wamid.1"), at).await.unwrap());
    assert!(stale(house.log.send_again(again(before.id, at)).await), "it was sent");
}

pub async fn a_code_is_not_sent_again(house: &PostHouse) {
    let before = failed(house, code(start())).await;
    assert!(matches!(house.log.send_again(again(before.id, start())).await, Err(WriteError::Stale)));
    assert_eq!(find(house, before.id).await, before);
}

async fn sent_as(house: &PostHouse, id: &str) -> MessageId {
    let message = post(house, notice(start())).await;
    let taken = take_one(house, start()).await;
    assert!(house.outbox.settle(taken.key(), sent(id), start()).await.unwrap());
    message.id
}

pub async fn a_report_is_found_by_the_providers_id_and_counts_once(house: &PostHouse) {
    let (first, second) = (sent_as(house, "wamid.$1.{x}").await, sent_as(house, "wamid.2").await);
    let mut at = start();
    for (status, delivery) in
        [(Delivery::Sent, Delivery::Sent), (Delivery::Read, Delivery::Read), (Delivery::Delivered, Delivery::Read)]
    {
        at = at.plus(SECOND);
        let report = report("wamid.$1.{x}", DeliveryStatus::Reached(status), at);
        assert_eq!(house.outbox.report(&report).await.unwrap(), status == delivery, "{status:?}");
        assert!(!house.outbox.report(&report).await.unwrap(), "the second time it is no news");
        assert_eq!(find(house, first).await.delivery, Some(delivery));
    }
    let failed = |at| report("wamid.2", DeliveryStatus::Failed { code: Some(131_026) }, at);
    assert!(house.outbox.report(&failed(at)).await.unwrap());
    let known = find(house, second).await;
    let undelivered = Some(FailureReason::Undelivered.with(Some(131_026)));
    assert_eq!((known.state, known.failure, known.changed), (MessageState::Failed, undelivered, at));
    house.log.send_again(again(second, at)).await.unwrap();
    assert!(!house.outbox.report(&failed(at)).await.unwrap(), "it was of the sending before");
    assert_eq!(find(house, second).await.state, MessageState::Pending);
}

pub async fn a_report_of_a_lost_answer_is_found_by_our_own_id(house: &PostHouse) {
    let (code, notice) = (post(house, code(start())).await, post(house, notice(start())).await);
    let taken = take(house, start()).await;
    let about = |id, provider: &str| DeliveryReport {
        message: Some(id),
        ..report(provider, DeliveryStatus::Reached(Delivery::Sent), start().plus(SECOND))
    };
    for (id, provider) in [(code.id, "wamid.1"), (notice.id, "wamid.2")] {
        assert!(house.outbox.report(&about(id, provider)).await.unwrap());
        let known = find(house, id).await;
        assert_eq!((known.state, known.provider_id), (MessageState::Sent, Some(provider_id(provider))));
    }
    for taken in taken {
        let late = Settlement::Again { due: start(), counts: true };
        assert!(
            !house.outbox.settle(taken.key(), late, start()).await.unwrap(),
            "it has arrived, and is not sent twice"
        );
    }
    // A second sending of the same message is the same message.
    let other = DeliveryReport { status: DeliveryStatus::Reached(Delivery::Delivered), ..about(notice.id, "wamid.3") };
    assert!(house.outbox.report(&other).await.unwrap());
    let known = find(house, notice.id).await;
    assert_eq!((known.provider_id, known.delivery), (Some(provider_id("wamid.2")), Some(Delivery::Delivered)));
}

pub async fn a_report_of_a_strange_message_changes_nothing(house: &PostHouse) {
    let known = sent_as(house, "wamid.1").await;
    let before = find(house, known).await;
    let strange = report("wamid.9", DeliveryStatus::Reached(Delivery::Read), start());
    for report in [strange.clone(), DeliveryReport { message: Some(fresh_id()), ..strange }] {
        assert!(!house.outbox.report(&report).await.unwrap());
    }
    assert_eq!(find(house, known).await, before);
}

pub async fn of_many_reports_at_once_the_furthest_holds(house: &PostHouse) {
    let id = sent_as(house, "wamid.1").await;
    let statuses = Delivery::ALL.into_iter().cycle().take(12);
    let reports = statuses.map(|delivery| report("wamid.1", DeliveryStatus::Reached(delivery), start()));
    let reports: Vec<DeliveryReport> = reports.collect();
    let news = join_all(reports.iter().map(|report| house.outbox.report(report))).await;
    assert!((1..=3).contains(&news.into_iter().filter(|news| *news.as_ref().unwrap()).count()));
    assert_eq!(find(house, id).await.delivery, Some(Delivery::Read));
}

pub async fn lists_are_newest_first_and_stable_under_equal_times(house: &PostHouse) {
    let mut expected = Vec::new();
    for offset in [0, 5, 5, 5, 2, 5] {
        let message = post(house, notice(start().plus(SECOND * offset))).await;
        expected.push((message.created, message.id));
    }
    expected.sort();
    expected.reverse();
    let now = start().plus(SECOND * 5);
    let taken = house.outbox.take(3, now).await.unwrap();
    for (place, taken) in taken.iter().enumerate() {
        let settlement = if place == 0 { sent("wamid.1") } else { Settlement::Failed(UNREACHABLE) };
        assert!(house.outbox.settle(taken.key(), settlement, now).await.unwrap());
    }
    let fails: Vec<MessageId> = ids(&taken[1..]);
    let listed = async |state: Option<MessageState>| {
        let mut page = PageRequest { limit: Limit::new(2).unwrap(), after: None };
        let mut found = Vec::new();
        loop {
            let messages = house.log.list(state, &page).await.unwrap();
            assert!(messages.items.iter().all(|message| state.is_none_or(|state| message.state == state)));
            found.extend(messages.items.iter().map(|message| (message.created, message.id)));
            post(house, notice(start().plus(SECOND * 100))).await;
            match messages.next {
                Some(next) => page.after = Some(next),
                None => return found,
            }
        }
    };
    let failed: Vec<_> = expected.iter().filter(|(_, id)| fails.contains(id)).copied().collect();
    assert_eq!(listed(Some(MessageState::Failed)).await, failed);
    let waiting: Vec<_> = expected.iter().filter(|(_, id)| !ids(&taken).contains(id)).copied().collect();
    let pending = listed(Some(MessageState::Pending)).await;
    assert_eq!(pending.iter().rev().take(3).rev().copied().collect::<Vec<_>>(), waiting);
    let all = listed(None).await;
    assert_eq!(all.iter().rev().take(6).rev().copied().collect::<Vec<_>>(), expected);
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len(), "each once");
}
