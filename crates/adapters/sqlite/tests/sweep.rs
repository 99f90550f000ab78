//! What is over is removed, and nothing else.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::time::Duration;

use futures_util::future::join_all;
use infirmary_auth::{
    Account, AccountState, AccountStore, Admission, Attempt, AttemptStore, Challenge, CodePurpose, CodeStore,
    CountedRequest, CounterKey, Invitation, InvitationStore, Invited, NewAccount, OpenedChallenge, PasswordHash,
    Session, SessionStore, testing::account,
};
use infirmary_kernel::{
    Action, Claim, Clock, Fingerprint, IdempotencyKey, OutgoingMessage, PhoneNumber, Receipt, Receipts, Role,
    Sha256Digest, Sweep, Swept, Timestamp,
    testing::{ManualClock, fresh_id, trail, trail_with_claim},
};
use infirmary_messaging::{
    Delivery, DeliveryReport, DeliveryStatus, FailureReason, Message, MessageLog, Outbox, ProviderId, Settlement,
    testing::{code, notice},
};
use infirmary_patients::{PatientStore, RegisteredPatient, testing::patient};
use infirmary_sqlite::SqliteStore;
use tempfile::TempDir;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn store() -> (SqliteStore, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("infirmary.db"), 1).unwrap();
    (store, folder)
}

fn start() -> Timestamp {
    ManualClock::default().now()
}

async fn claim(store: &SqliteStore, at: Timestamp) -> Claim {
    let key = IdempotencyKey::parse("key").unwrap();
    let fingerprint = Fingerprint::of([]);
    let claim = Claim { account: fresh_id(), key, fingerprint, receipt: Receipt::from_bytes(Vec::new()), at };
    let patient = patient("Ada", store.next_mrn().await.unwrap());
    let trail = trail_with_claim(Action::PATIENT_REGISTER, claim.clone());
    store.register(RegisteredPatient { patient, trail }).await.unwrap();
    claim
}

#[tokio::test]
async fn a_claim_is_kept_for_its_hours() {
    let (store, _folder) = store();
    let old = claim(&store, start()).await;
    let young = claim(&store, start().plus(HOUR)).await;
    let kept = HOUR * u32::try_from(Claim::KEPT_HOURS).unwrap();
    assert_eq!(store.sweep(start().plus(kept)).await.unwrap(), Swept::default());
    let swept = store.sweep(start().plus(kept + HOUR)).await.unwrap();
    assert_eq!(swept, Swept::of([("claims", 1)]));
    assert!(Receipts::find(&store, old.account, &old.key).await.unwrap().is_none());
    assert!(Receipts::find(&store, young.account, &young.key).await.unwrap().is_some());
}

async fn with_session(store: &SqliteStore, email: &str, expires_at: Timestamp) -> Session {
    let account = account(email, Role::Doctor);
    let session = Session {
        id: fresh_id(),
        account: account.id,
        started_at: start(),
        authenticated_at: start(),
        refreshed_at: start(),
        expires_at,
        agent: None,
        address: None,
        refresh: Sha256Digest::of(b"token"),
        previous: None,
    };
    let password = PasswordHash::from_stored("password".to_owned());
    let new = NewAccount { account, password, session: Some(session.clone()) };
    store.create(new, trail(Action::ACCOUNT_REGISTER)).await.unwrap();
    session
}

#[tokio::test]
async fn a_session_that_is_over_goes_and_its_account_stays() {
    let (store, _folder) = store();
    let over = with_session(&store, "ada@example.org", start().plus(HOUR)).await;
    let lives = with_session(&store, "bob@example.org", start().plus(HOUR * 2)).await;
    let swept = store.sweep(start().plus(HOUR)).await.unwrap();
    assert_eq!(swept, Swept::of([("sessions", 1)]));
    assert_eq!(store.live(over.id).await.unwrap(), None);
    assert!(store.live(lives.id).await.unwrap().is_some());
    assert!(AccountStore::find(&store, over.account).await.unwrap().is_some());
}

#[tokio::test]
async fn an_invitation_that_is_over_goes_and_who_waits_can_be_invited_again() {
    let (store, _folder) = store();
    let waiting = Account { state: AccountState::Invited, joined_at: None, ..account("ada@example.org", Role::Doctor) };
    let invite = async |version: u32, code: &[u8], expires_at| {
        let account = Account { version, ..waiting.clone() };
        let invitation = Invitation { account: account.id, code: Sha256Digest::of(code), expires_at };
        store.invite(Invited { account, invitation, trail: trail(Action::ACCOUNT_INVITE) }).await.unwrap();
    };
    let found = async |code: &[u8]| store.find_by_code(Sha256Digest::of(code)).await.unwrap().is_some();
    invite(1, b"first", start().plus(DAY)).await;
    assert_eq!(store.sweep(start().plus(HOUR * 23)).await.unwrap(), Swept::default());
    assert!(found(b"first").await);
    let swept = store.sweep(start().plus(DAY)).await.unwrap();
    assert_eq!(swept, Swept::of([("invitations", 1)]));
    assert!(!found(b"first").await);
    invite(2, b"second", start().plus(DAY * 2)).await;
    assert!(found(b"second").await);
}

fn attempt(email: &str, at: Timestamp) -> Attempt {
    Attempt::new(&email.parse().unwrap(), None, at)
}

#[tokio::test]
async fn a_counter_is_forgotten_after_thirty_quiet_days_unless_it_keeps_a_password_off() {
    let (store, _folder) = store();
    let mut at = start();
    for _ in 0..100 {
        assert_eq!(store.begin(&attempt("off@example.org", at)).await.unwrap(), Admission::Admitted);
        at = at.plus(HOUR);
    }
    for _ in 0..5 {
        store.begin(&attempt("ada@example.org", at)).await.unwrap();
    }
    assert_eq!(store.sweep(at.plus(DAY * 30)).await.unwrap(), Swept::default());
    let (later, swept) = (at.plus(DAY * 31), Swept::of([("counters", 1)]));
    assert_eq!(store.sweep(later).await.unwrap(), swept);
    assert!(matches!(store.begin(&attempt("off@example.org", later)).await.unwrap(), Admission::Refused { .. }));
    for _ in 0..5 {
        assert_eq!(store.begin(&attempt("ada@example.org", later)).await.unwrap(), Admission::Admitted);
    }
}

#[tokio::test]
async fn a_challenge_goes_when_it_is_over_and_its_counters_a_day_later() {
    let (store, _folder) = store();
    let phone = PhoneNumber::parse("+9647501234567").unwrap();
    let ask = async |at: Timestamp| {
        let challenge = Challenge {
            id: fresh_id(),
            purpose: CodePurpose::SignIn,
            account: None,
            phone: Some(phone.clone()),
            session: None,
            code: None,
            tries: 0,
            proved: false,
            expires_at: at.plus(HOUR),
        };
        let number = CounterKey::phone(&phone);
        let request = CountedRequest { number, address: None, sent: false, apart: Duration::ZERO, max_per_day: 1, at };
        let trail = trail(Action::CODE_REQUEST);
        let opened = OpenedChallenge { challenge: challenge.clone(), request: Some(request), password: None, trail };
        (challenge.id, store.open(opened).await.unwrap())
    };
    let (id, admission) = ask(start()).await;
    assert_eq!(admission, Admission::Admitted);
    assert_eq!(store.sweep(start()).await.unwrap(), Swept::default());
    assert_eq!(store.sweep(start().plus(HOUR)).await.unwrap(), Swept::of([("challenges", 1)]));
    assert_eq!(CodeStore::find(&store, id).await.unwrap(), None);
    assert!(matches!(ask(start()).await.1, Admission::Refused { .. }), "its number is remembered");
    assert_eq!(store.sweep(start().plus(DAY)).await.unwrap(), Swept::of([("code counters", 1)]));
    assert_eq!(ask(start()).await.1, Admission::Admitted);
}

#[tokio::test]
async fn however_much_is_over_all_of_it_goes() {
    let (store, _folder) = store();
    let attempts: Vec<Attempt> = (0..1_001).map(|n| attempt(&format!("a{n}@example.org"), start())).collect();
    join_all(attempts.iter().map(async |attempt| store.begin(attempt).await.unwrap())).await;
    let later = start().plus(DAY * 365);
    assert_eq!(store.sweep(later).await.unwrap(), Swept::of([("counters", 1_001)]));
    assert_eq!(store.sweep(later).await.unwrap(), Swept::default());
}

#[tokio::test]
async fn a_message_that_is_settled_goes_after_its_days_and_one_that_is_not_stays() {
    let (store, _folder) = store();
    let send = async |message: OutgoingMessage| {
        let patient = patient("Ada", store.next_mrn().await.unwrap());
        let trail = trail(Action::PATIENT_REGISTER).telling([message]);
        store.register(RegisteredPatient { patient, trail }).await.unwrap();
    };
    let (over, pending) = (code(start()), notice(start()));
    send(over.clone()).await;
    send(OutgoingMessage { expires: start().plus(DAY * 365), ..pending.clone() }).await;
    assert_eq!(store.expire(start().plus(HOUR)).await.unwrap(), 1);
    let kept = DAY * u32::try_from(Message::KEPT_DAYS).unwrap();
    assert_eq!(store.sweep(start().plus(kept)).await.unwrap(), Swept::default());
    let swept = store.sweep(start().plus(kept + HOUR)).await.unwrap();
    assert_eq!(swept, Swept::of([("messages", 1)]));
    assert_eq!(MessageLog::find(&store, over.id).await.unwrap(), None);
    assert!(MessageLog::find(&store, pending.id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_code_is_not_in_its_row_any_more_when_the_message_is_settled() {
    let (store, folder) = store();
    let codes = || -> Vec<Option<String>> {
        let connection = rusqlite::Connection::open(folder.path().join("infirmary.db")).unwrap();
        let mut find = connection.prepare("SELECT code FROM messages ORDER BY id").unwrap();
        find.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let messages = [code(start()), code(start()), code(start()), code(start())];
    let patient = patient("Ada", store.next_mrn().await.unwrap());
    let trail = trail(Action::PATIENT_REGISTER).telling(messages.clone());
    store.register(RegisteredPatient { patient, trail }).await.unwrap();
    assert!(codes().iter().all(Option::is_some));
    let taken = store.take(3, start()).await.unwrap();
    let settle = async |place: usize, settlement| store.settle(taken[place].key(), settlement, start()).await.unwrap();
    assert!(settle(0, Settlement::Sent(ProviderId::parse("wamid.0").unwrap())).await);
    assert!(settle(1, Settlement::Failed(FailureReason::Recipient.with(None))).await);
    let arrived = DeliveryReport {
        provider_id: ProviderId::parse("wamid.2").unwrap(),
        message: Some(taken[2].message.id),
        status: DeliveryStatus::Reached(Delivery::Sent),
        at: start(),
    };
    assert!(store.report(&arrived).await.unwrap());
    assert_eq!(codes().iter().flatten().count(), 1);
    assert_eq!(store.expire(messages[3].expires).await.unwrap(), 1);
    assert!(codes().iter().all(Option::is_none));
}
