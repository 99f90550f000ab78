//! The worker, and who looks after messages, over an outbox in memory.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use infirmary_kernel::{
    AccessError, Action, Clock, MessageContent, MessageId, OutgoingMessage, PageRequest, Refused, Role, StoreError,
    Timestamp,
    testing::{CountingEntropy, ManualClock, TestGate, caller, fresh_id, locked, trail},
};
use infirmary_messaging::{
    Breaker, DeliverMessages, Delivery, DeliveryReport, DeliveryStatus, FailureReason, Message, MessageLog,
    MessageSender, MessageState, MessagingError, MockDeliveryWebhook, Outbox, Outcome, Policy, ProviderId, Queries,
    RecordDeliveries, RetryMessage, SendError, Taken, WebhookRefused,
    testing::{MemoryOutbox, Post, code, notice, start},
};

/// Answers as it was told to, in turn, and then takes everything. Says what it was given.
#[derive(Default)]
struct Provider {
    answers: Mutex<VecDeque<SendError>>,
    given: Mutex<Vec<(MessageId, Duration)>>,
}

impl Provider {
    fn answers(&self, answers: impl IntoIterator<Item = SendError>) {
        locked(&self.answers).extend(answers);
    }

    fn given(&self) -> Vec<MessageId> {
        locked(&self.given).iter().map(|(id, _)| *id).collect()
    }
}

#[async_trait]
impl MessageSender for Provider {
    async fn send(&self, message: &OutgoingMessage, timeout: Duration) -> Result<ProviderId, SendError> {
        locked(&self.given).push((message.id, timeout));
        match locked(&self.answers).pop_front() {
            Some(error) => Err(error),
            None => Ok(ProviderId::parse(&format!("wamid.{}", message.id)).unwrap()),
        }
    }
}

struct Office {
    outbox: MemoryOutbox,
    provider: Arc<Provider>,
    clock: Arc<ManualClock>,
    worker: DeliverMessages,
}

impl Office {
    fn new() -> Self {
        let (outbox, provider) = (MemoryOutbox::default(), Arc::new(Provider::default()));
        let clock = Arc::new(ManualClock::default());
        let worker = worker(&outbox, provider.clone(), clock.clone());
        Self { outbox, provider, clock, worker }
    }

    async fn post(&self, message: OutgoingMessage) -> MessageId {
        let id = message.id;
        self.outbox.post(trail(Action::PATIENT_REGISTER).telling([message])).await.unwrap();
        id
    }

    /// The outcomes of one round.
    async fn round(&self) -> Vec<Outcome> {
        self.worker.run().await.unwrap().settled.into_iter().map(|settled| settled.outcome).collect()
    }

    async fn find(&self, id: MessageId) -> Message {
        self.outbox.find(id).await.unwrap().unwrap()
    }

    fn wait(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

fn worker(outbox: &MemoryOutbox, sender: Arc<dyn MessageSender>, clock: Arc<dyn Clock>) -> DeliverMessages {
    DeliverMessages::new(Arc::new(outbox.clone()), sender, clock, Arc::new(CountingEntropy::default()))
}

fn down() -> SendError {
    SendError::Unavailable { reason: "503".into(), code: Some(131_000) }
}

#[tokio::test]
async fn what_is_due_is_sent_once_with_its_time_limit_and_its_code_is_forgotten() {
    let office = Office::new();
    let (code, notice) = (office.post(code(start())).await, office.post(notice(start())).await);
    assert_eq!(office.round().await, [Outcome::Sent, Outcome::Sent]);
    assert_eq!(office.round().await, []);
    let given = locked(&office.provider.given).clone();
    assert_eq!(given, [(code, Duration::from_secs(5)), (notice, Duration::from_secs(10))]);
    assert!(!office.outbox.keeps_content(code), "a code is kept no longer than it has to be");
    let sent = office.find(code).await;
    assert_eq!((sent.state, sent.tries), (MessageState::Sent, 1));
}

#[tokio::test]
async fn a_provider_that_is_down_is_tried_again_after_a_wait_and_a_code_twice_only() {
    let office = Office::new();
    office.provider.answers([down(), down()]);
    let id = office.post(code(start())).await;
    assert_eq!(office.round().await, [Outcome::PutOff(down())]);
    assert_eq!(office.round().await, []);
    office.wait(2);
    let unreachable = FailureReason::Unreachable.with(Some(131_000));
    assert_eq!(office.round().await, [Outcome::Failed(unreachable, Some(down()))]);
    let failed = office.find(id).await;
    assert_eq!((failed.state, failed.failure, failed.tries), (MessageState::Failed, Some(unreachable), 2));
    assert!(!office.outbox.keeps_content(id));
    office.wait(3_600);
    assert_eq!(office.round().await, []);
}

#[tokio::test]
async fn a_notice_is_tried_ten_times_over_hours() {
    let office = Office::new();
    let id = office.post(notice(start())).await;
    let policy = Policy::of(infirmary_kernel::MessageKind::ReportReady);
    for tries in 1..=policy.max_tries {
        office.provider.answers([down()]);
        let outcome = office.round().await.remove(0);
        assert_eq!(matches!(outcome, Outcome::Failed(..)), tries == policy.max_tries, "{tries}: {outcome:?}");
        office.wait(policy.max_wait_seconds);
    }
    assert_eq!(office.find(id).await.state, MessageState::Failed);
    assert_eq!(office.provider.given().len(), 10);
}

#[tokio::test]
async fn a_refusal_is_final_and_says_nothing_of_others() {
    let office = Office::new();
    let cases = [
        (SendError::Recipient { code: Some(131_030) }, FailureReason::Recipient),
        (SendError::Rejected { code: Some(132_001) }, FailureReason::Rejected),
    ];
    for (error, reason) in cases {
        office.provider.answers([error.clone()]);
        let (refused, taken) =
            (office.post(notice(start())).await, office.post(notice(start().plus(Duration::from_millis(1)))).await);
        office.wait(1);
        let failure = reason.with(error.code());
        assert_eq!(office.round().await, [Outcome::Failed(failure, Some(error)), Outcome::Sent]);
        assert_eq!(office.find(refused).await.failure, Some(failure));
        assert_eq!(office.find(taken).await.state, MessageState::Sent);
    }
}

#[tokio::test]
async fn after_five_failures_in_a_row_the_provider_is_left_alone_and_then_asked_with_one_message() {
    let office = Office::new();
    for _ in 0..8 {
        office.post(notice(start())).await;
    }
    office.provider.answers((0..8).map(|_| down()));
    assert_eq!(office.round().await.len(), 8);
    let round = office.worker.run().await.unwrap();
    assert!(round.shut && round.settled.is_empty());
    let waiting = office.post(code(start())).await;
    office.wait(Breaker::SHUT_SECONDS - 1);
    assert!(office.worker.run().await.unwrap().shut);
    office.wait(1);
    assert_eq!(office.round().await, [Outcome::Sent]);
    assert_eq!(office.provider.given().last(), Some(&waiting), "nothing was tried meanwhile");
    assert_eq!(office.find(waiting).await.tries, 1);
    assert_eq!(office.round().await.len(), 8, "it has recovered");
}

#[tokio::test]
async fn when_the_house_is_held_back_messages_wait_and_are_not_counted_as_tried() {
    let office = Office::new();
    let throttled = SendError::Throttled { code: Some(130_429), retry_after: Some(Duration::from_secs(90)) };
    for error in [throttled, SendError::HouseRefused { code: Some(190) }] {
        office.provider.answers([error.clone()]);
        let id = office.post(notice(start())).await;
        assert_eq!(office.round().await, [Outcome::PutOff(error)]);
        assert_eq!(office.find(id).await.tries, 0);
        office.wait(59);
        assert!(office.worker.run().await.unwrap().shut);
        office.wait(31);
        assert_eq!(office.round().await, [Outcome::Sent]);
    }
}

#[tokio::test]
async fn one_recipient_who_had_too_many_holds_back_nobody_else() {
    let office = Office::new();
    let error = SendError::RecipientThrottled { code: Some(131_056) };
    office.provider.answers([error.clone()]);
    office.post(code(start())).await;
    office.post(notice(start())).await;
    assert_eq!(office.round().await, [Outcome::PutOff(error), Outcome::Sent]);
    office.wait(2);
    assert_eq!(office.round().await, [Outcome::Sent]);
}

#[tokio::test]
async fn what_is_over_is_not_sent_whatever_the_provider_does() {
    let office = Office::new();
    office.provider.answers([SendError::Throttled { code: None, retry_after: Some(Duration::from_secs(3_600)) }]);
    office.post(notice(start())).await;
    office.round().await;
    let id = office.post(code(start())).await;
    office.wait(5 * 60);
    let round = office.worker.run().await.unwrap();
    assert!(round.shut, "the code is given up although nothing is sent");
    assert_eq!((round.expired, round.settled.len()), (1, 0));
    assert_eq!(office.find(id).await.failure, Some(FailureReason::Expired.with(None)));
    assert!(!office.outbox.keeps_content(id));
    assert!(!office.provider.given().contains(&id));
}

#[tokio::test]
async fn two_workers_never_send_one_message_both() {
    let office = Office::new();
    let mut expected = Vec::new();
    for _ in 0..100 {
        expected.push(office.post(notice(start())).await);
    }
    let other = worker(&office.outbox, office.provider.clone(), office.clock.clone());
    let work = async |worker: &DeliverMessages| while !worker.run().await.unwrap().settled.is_empty() {};
    futures_util::future::join(work(&office.worker), work(&other)).await;
    let mut given = office.provider.given();
    given.sort();
    expected.sort();
    assert_eq!(given, expected);
}

#[tokio::test]
async fn what_a_worker_died_over_is_sent_by_another() {
    let office = Office::new();
    let id = office.post(code(start())).await;
    // It took the message, and was not heard of again.
    assert_eq!(office.outbox.take(1, office.clock.now()).await.unwrap().len(), 1);
    office.wait(Taken::SECONDS - 1);
    assert_eq!(office.round().await, []);
    office.wait(1);
    assert_eq!(office.round().await, [Outcome::Sent]);
    assert_eq!(office.provider.given(), [id]);
}

#[tokio::test]
async fn a_message_over_which_every_worker_dies_fails() {
    let office = Office::new();
    let id = office.post(code(start())).await;
    for _ in 0..2 {
        office.outbox.take(1, office.clock.now()).await.unwrap();
        office.wait(Taken::SECONDS);
    }
    assert_eq!(office.round().await, [Outcome::Failed(FailureReason::Unreachable.with(None), None)]);
    assert!(office.provider.given().is_empty());
    assert_eq!(office.find(id).await.state, MessageState::Failed);
}

/// Time passes with every look at it, as on a machine that is suspended in the middle of a round.
struct Suspended(Arc<ManualClock>);

impl Clock for Suspended {
    fn now(&self) -> Timestamp {
        self.0.advance(Duration::from_secs(Taken::SECONDS));
        self.0.now()
    }
}

#[tokio::test]
async fn a_worker_that_was_held_up_leaves_what_may_be_anothers_by_now() {
    let office = Office::new();
    office.post(notice(start())).await;
    let late = worker(&office.outbox, office.provider.clone(), Arc::new(Suspended(office.clock.clone())));
    let round = late.run().await.unwrap();
    assert_eq!(round.settled[0].outcome, Outcome::Left);
    assert!(office.provider.given().is_empty());
}

fn desk(office: &Office) -> (Queries, RetryMessage, TestGate) {
    let gate = TestGate::default();
    let log: Arc<dyn MessageLog> = Arc::new(office.outbox.clone());
    (Queries { gate: gate.gate.clone(), log: log.clone() }, RetryMessage { gate: gate.gate.clone(), log }, gate)
}

#[tokio::test]
async fn an_admin_sees_what_failed_and_sends_it_again() {
    let office = Office::new();
    let (queries, retry, gate) = desk(&office);
    office.provider.answers([SendError::Rejected { code: Some(132_001) }]);
    let id = office.post(notice(start())).await;
    let admin = caller(Role::Admin);
    assert!(matches!(retry.run(&admin, id).await, Err(MessagingError::NotFailed)));
    office.round().await;
    let failed = queries.list(&admin, Some(MessageState::Failed), &PageRequest::default()).await.unwrap();
    assert_eq!(failed.items.iter().map(|message| message.id).collect::<Vec<_>>(), [id]);
    let again = retry.run(&admin, id).await.unwrap();
    assert_eq!(queries.find(&admin, id).await.unwrap(), again);
    assert_eq!((again.state, again.failure), (MessageState::Pending, None));
    assert!(matches!(retry.run(&admin, id).await, Err(MessagingError::NotFailed)));
    assert_eq!(office.round().await, [Outcome::Sent]);
    let told: Vec<Action> = gate.journal.events().into_iter().map(|event| event.action).collect();
    assert_eq!(told, [Action::MESSAGE_READ, Action::MESSAGE_READ]);
    let kept: Vec<Action> = office.outbox.journal.events().into_iter().map(|event| event.action).collect();
    assert_eq!(kept, [Action::PATIENT_REGISTER, Action::MESSAGE_RETRY]);
}

#[tokio::test]
async fn a_code_that_failed_is_not_sent_again_and_nobody_else_looks_after_messages() {
    let office = Office::new();
    let (queries, retry, _) = desk(&office);
    office.provider.answers([SendError::Recipient { code: None }]);
    let id = office.post(code(start())).await;
    office.round().await;
    let admin = caller(Role::Admin);
    assert!(matches!(retry.run(&admin, id).await, Err(MessagingError::ContentGone)));
    assert!(matches!(retry.run(&admin, fresh_id()).await, Err(MessagingError::NotFound)));
    for role in [Role::Doctor, Role::Accountant, Role::Patient] {
        let refused = |error| matches!(error, MessagingError::Access(AccessError::Refused(Refused::Role { .. })));
        let caller = caller(role);
        assert!(refused(retry.run(&caller, id).await.unwrap_err()));
        assert!(refused(queries.find(&caller, id).await.unwrap_err()));
        assert!(refused(queries.list(&caller, None, &PageRequest::default()).await.unwrap_err()));
    }
}

#[tokio::test]
async fn what_the_provider_reports_is_kept_and_strange_calls_are_refused() {
    let office = Office::new();
    let id = office.post(notice(start())).await;
    office.round().await;
    let report = DeliveryReport {
        provider_id: ProviderId::parse(&format!("wamid.{id}")).unwrap(),
        message: None,
        status: DeliveryStatus::Reached(Delivery::Delivered),
        at: start(),
    };
    let strange = DeliveryReport { provider_id: ProviderId::parse("wamid.strange").unwrap(), ..report.clone() };
    let mut webhook = MockDeliveryWebhook::new();
    webhook
        .expect_read()
        .withf(|signature, _, _| signature == "good")
        .returning(move |_, _, _| Ok(vec![strange.clone(), report.clone(), report.clone()]));
    webhook.expect_read().returning(|_, _, _| Err(WebhookRefused::Signature));
    let record = RecordDeliveries {
        webhook: Arc::new(webhook),
        outbox: Arc::new(office.outbox.clone()),
        clock: office.clock.clone(),
    };
    assert_eq!(record.run("bad", b"{}").await.unwrap(), Err(WebhookRefused::Signature));
    assert_eq!(office.find(id).await.delivery, None);
    assert_eq!(record.run("good", b"{}").await.unwrap(), Ok(()));
    assert_eq!(office.find(id).await.delivery, Some(Delivery::Delivered));
}

#[tokio::test]
async fn an_outbox_that_cannot_be_reached_stops_the_round_and_sends_nothing() {
    let mut outbox = infirmary_messaging::MockOutbox::new();
    outbox.expect_expire().returning(|_| Err(StoreError::Unavailable { reason: "away".into() }));
    let provider = Arc::new(Provider::default());
    let clock = Arc::new(ManualClock::default());
    let worker = DeliverMessages::new(Arc::new(outbox), provider.clone(), clock, Arc::new(CountingEntropy::default()));
    assert!(worker.run().await.is_err());
    assert!(provider.given().is_empty());
}

#[test]
fn neither_a_code_nor_a_number_can_be_printed_by_accident() {
    let message = code(start());
    let printed = format!("{message:?}");
    assert!(!printed.contains("012345") && !printed.contains("750"), "{printed}");
    assert!(matches!(message.content, MessageContent::OneTimeCode { .. }));
}
