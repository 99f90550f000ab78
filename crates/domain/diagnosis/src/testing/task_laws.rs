//! One test for each law of [`TaskStore`]. Every adapter runs them all on an empty catalogue:
//! `infirmary_diagnosis::task_store_laws!(make_store)`, where `make_store` is an async function that gives a store and
//! whatever has to live as long as it does.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

pub use infirmary_kernel::testing::made;

use infirmary_kernel::{
    Action, Claim, Currency, Fingerprint, IdempotencyKey, Money, Receipt, TaskCode, WriteError, Written,
    testing::{fresh_id, trail, trail_with_claim},
};

use super::{at, task};
use crate::{ChangedTask, CreatedTask, Task, TaskStore};

#[macro_export]
macro_rules! task_store_laws {
    ($make:path) => {
        $crate::task_store_laws!(@each $make:
            a_task_is_found_with_all_its_prices
            a_used_claim_gives_the_receipt_and_adds_nothing
            a_code_is_one_task
            a_stale_change_changes_nothing
            all_tasks_are_in_the_order_of_their_codes
            sixteen_creations_of_one_code_make_one);
    };
    (@each $make:path: $($law:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $law() {
            let Some((store, _keep)) = $crate::testing::task_laws::made($make().await) else { return };
            $crate::testing::task_laws::$law(&store).await;
        })*
    };
}

async fn create(store: &impl TaskStore, task: Task) -> Result<Task, WriteError> {
    let created = CreatedTask { task: task.clone(), trail: trail(Action::TASK_CREATE) };
    store.create(created).await.map(|_| task)
}

async fn change(store: &impl TaskStore, task: Task) -> Result<(), WriteError> {
    store.change(ChangedTask { task, trail: trail(Action::TASK_CHANGE) }).await
}

fn codes(tasks: &[Task]) -> Vec<&str> {
    tasks.iter().map(|task| task.code.as_str()).collect()
}

pub async fn a_task_is_found_with_all_its_prices(store: &impl TaskStore) {
    let other = create(store, task("OTHER")).await.unwrap();
    let mut known = create(store, task("XR")).await.unwrap();
    assert_eq!(store.find(known.id).await.unwrap().as_ref(), Some(&known));
    let most = Money::new(1_000_000_000_000, Currency::GBP);
    for (amount, from) in [(Money::zero(Currency::GBP), 1_000), (most, 2_000), (Money::new(1, Currency::GBP), 1_500)] {
        known.prices = known.prices.with(amount, at(from), at(1)).unwrap();
    }
    known = Task { active: false, version: 2, ..known };
    change(store, known.clone()).await.unwrap();
    assert_eq!(known.prices.as_slice().len(), 4);
    assert_eq!(store.find(known.id).await.unwrap().as_ref(), Some(&known));
    assert_eq!(store.find(other.id).await.unwrap(), Some(other), "prices are of one task");
    assert_eq!(store.find(fresh_id()).await.unwrap(), None);
}

pub async fn a_used_claim_gives_the_receipt_and_adds_nothing(store: &impl TaskStore) {
    let account = fresh_id();
    let create = async |account, code, asked: &[u8], answer: &str| {
        let claim = Claim {
            account,
            key: IdempotencyKey::parse("k").unwrap(),
            fingerprint: Fingerprint::of([asked]),
            receipt: Receipt::from_bytes(answer.as_bytes().to_vec()),
            at: at(0),
        };
        store.create(CreatedTask { task: task(code), trail: trail_with_claim(Action::TASK_CREATE, claim) }).await
    };
    assert_eq!(create(account, "XR", b"xr", "first").await.unwrap(), Written::Now);
    let again = create(account, "XR", b"xr", "second").await.unwrap();
    assert_eq!(again, Written::Before(Receipt::from_bytes(b"first".to_vec())), "sooner than the law of the code");
    assert!(matches!(create(account, "CT", b"ct", "third").await, Err(WriteError::KeyReused)));
    assert_eq!(create(fresh_id(), "MR", b"mr", "fourth").await.unwrap(), Written::Now);
    assert_eq!(codes(&store.all().await.unwrap()), ["MR", "XR"]);
}

pub async fn a_code_is_one_task(store: &impl TaskStore) {
    let first = create(store, task("XR")).await.unwrap();
    let refused = create(store, task("xr")).await;
    assert!(matches!(refused, Err(WriteError::Conflict { law: Task::ONE_FOR_A_CODE })));
    assert_eq!(store.all().await.unwrap(), [first]);
}

pub async fn a_stale_change_changes_nothing(store: &impl TaskStore) {
    let first = create(store, task("XR")).await.unwrap();
    let second = Task { version: 2, active: false, ..first.clone() };
    change(store, second.clone()).await.unwrap();
    for version in [1, 2, 4] {
        let prices = first.prices.with(Money::new(1, Currency::GBP), at(9), at(9)).unwrap();
        let stale = Task { version, prices, ..first.clone() };
        assert!(matches!(change(store, stale).await, Err(WriteError::Stale)), "{version}");
    }
    assert_eq!(store.find(first.id).await.unwrap(), Some(second));
    assert!(matches!(change(store, Task { version: 2, ..task("CT") }).await, Err(WriteError::Stale)));
}

pub async fn all_tasks_are_in_the_order_of_their_codes(store: &impl TaskStore) {
    for code in ["US", "XR-CHEST", "CT", "XR", "MR"] {
        create(store, task(code)).await.unwrap();
    }
    assert_eq!(codes(&store.all().await.unwrap()), ["CT", "MR", "US", "XR", "XR-CHEST"]);
    let some = ["XR", "CT", "NONE"].map(|code| TaskCode::parse(code).unwrap());
    let mut some = store.by_codes(&some).await.unwrap();
    some.sort_by(|one, other| one.code.cmp(&other.code));
    assert_eq!(codes(&some), ["CT", "XR"]);
    assert_eq!(store.by_codes(&[]).await.unwrap(), []);
}

pub async fn sixteen_creations_of_one_code_make_one(store: &impl TaskStore) {
    let attempts = futures_util::future::join_all((0..16).map(|_| create(store, task("XR")))).await;
    assert_eq!(attempts.iter().filter(|attempt| attempt.is_ok()).count(), 1);
    assert_eq!(store.all().await.unwrap().len(), 1);
}
