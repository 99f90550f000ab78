//! How often the database is asked for what is asked all day, or for very much at once.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::{collections::BTreeMap, sync::Arc};

use infirmary_auth::{
    AccessClaims, AccessTokens, AccountStore, Authenticate, FactorPolicy, NewAccount, PasswordHash, Session,
    testing::{PlainTokens, account},
};
use infirmary_kernel::{
    Action, Clock, Gate, Role, Sha256Digest,
    testing::{CountingIds, ManualClock, fresh_id, origin, trail},
};
use infirmary_mongodb::{MongoStore, testing};
use infirmary_workflows::{Importer, testing::import_laws::records_of};
use secrecy::ExposeSecret;

fn sent(commands: &[(&str, u64)]) -> BTreeMap<String, u64> {
    commands.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

fn authenticate(store: &MongoStore) -> Authenticate {
    let shared = Arc::new(store.clone());
    let (clock, ids) = (Arc::new(ManualClock::default()), Arc::new(CountingIds::default()));
    Authenticate {
        gate: Gate::new(shared.clone(), shared.clone(), shared.clone(), clock, ids),
        tokens: Arc::new(PlainTokens),
        sessions: shared,
        factor_policy: FactorPolicy::default(),
    }
}

#[tokio::test]
async fn who_is_calling_and_the_own_account_are_one_look() {
    let Some((store, _database)) = testing::store().await else { return };
    let (account, now) = (account("ada@example.org", Role::Doctor), ManualClock::default().now());
    let session = Session {
        id: fresh_id(),
        account: account.id,
        started_at: now,
        authenticated_at: now,
        refreshed_at: now,
        expires_at: now.plus(std::time::Duration::from_secs(60)),
        agent: None,
        address: None,
        refresh: Sha256Digest::of(b"token"),
        previous: None,
    };
    let (password, id) = (PasswordHash::from_stored("x".to_owned()), session.id);
    let new = NewAccount { account: account.clone(), password, session: Some(session) };
    store.create(new, trail(Action::ACCOUNT_REGISTER)).await.unwrap();
    let now = now.unix_seconds();
    let claims =
        AccessClaims { account: account.id, session: id, issued_at: now, not_before: now, expires_at: now + 60 };
    let token = PlainTokens.issue(&claims);
    let authenticate = authenticate(&store);

    let (caller, asked) = store.commands().of(authenticate.run(token.expose_secret(), origin())).await;
    assert_eq!((caller.unwrap().account, asked), (account.id, sent(&[("aggregate", 1)])));
    let (own, asked) = store.commands().of(authenticate.own_account(token.expose_secret(), origin())).await;
    assert_eq!((own.unwrap(), asked), (account, sent(&[("aggregate", 1)])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_three_thousand_records_is_imported_in_few_round_trips() {
    let Some((store, _database)) = testing::store().await else { return };
    let records = records_of(&store, 500).await;
    assert_eq!(records.len(), 3_000);
    let begun = std::time::Instant::now();
    let (added, asked) = store.commands().of(store.import(records.clone())).await;
    println!("a batch of {} records: {:?}, {asked:?}", records.len(), begun.elapsed());
    // The bill of each study is there already.
    assert_eq!(added.unwrap(), 2_500);
    assert!(asked.values().sum::<u64>() < 40, "{asked:?}");
    // Of some of it: some servers take their time to look for many that are there.
    let (added, asked) = store.commands().of(store.import(records[..600].to_vec())).await;
    assert_eq!(added.unwrap(), 0);
    assert!(asked.values().sum::<u64>() < 20, "{asked:?}");
}
