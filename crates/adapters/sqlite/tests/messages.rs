//! Two processes on one file send each message once, and one sends what the other died over.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use infirmary_kernel::{
    Action, Clock, MessageId, OutgoingMessage,
    testing::{CountingEntropy, ManualClock, locked, trail},
};
use infirmary_messaging::{
    DeliverMessages, MessageLog, MessageSender, MessageState, Outbox, ProviderId, SendError, Taken,
    testing::{code, notice, start},
};
use infirmary_patients::{PatientStore, RegisteredPatient, testing::patient};
use infirmary_sqlite::SqliteStore;

/// Takes everything, and counts what it was given.
#[derive(Default)]
struct Provider(Mutex<HashMap<MessageId, u32>>);

#[async_trait]
impl MessageSender for Provider {
    async fn send(&self, message: &OutgoingMessage, _: Duration) -> Result<ProviderId, SendError> {
        *locked(&self.0).entry(message.id).or_default() += 1;
        // Lets the other one run while this try is under way.
        tokio::task::yield_now().await;
        Ok(ProviderId::parse(&format!("wamid.{}", message.id)).unwrap())
    }
}

/// The store of a process of its own, and its worker.
fn process(file: &Path, provider: &Arc<Provider>, clock: &Arc<ManualClock>) -> (SqliteStore, DeliverMessages) {
    let store = SqliteStore::open(file, 1).unwrap();
    let entropy = Arc::new(CountingEntropy::default());
    let worker = DeliverMessages::new(Arc::new(store.clone()), provider.clone(), clock.clone(), entropy);
    (store, worker)
}

async fn post(store: &SqliteStore, messages: Vec<OutgoingMessage>) {
    let patient = patient("Ada", store.next_mrn().await.unwrap());
    let trail = trail(Action::PATIENT_REGISTER).telling(messages);
    store.register(RegisteredPatient { patient, trail }).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_send_each_message_once() {
    const MESSAGES: usize = 400;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("infirmary.db");
    let (provider, clock) = (Arc::new(Provider::default()), Arc::new(ManualClock::default()));
    let (store, first) = process(&file, &provider, &clock);
    let (_other, second) = process(&file, &provider, &clock);
    for _ in 0..MESSAGES / 8 {
        post(&store, vec![code(start()), notice(start()), code(start()), notice(start())]).await;
    }
    let work = |worker: DeliverMessages, provider: Arc<Provider>| async move {
        while locked(&provider.0).len() < MESSAGES {
            worker.run().await.unwrap();
        }
    };
    let working = [(first, provider.clone()), (second, provider.clone())]
        .map(|(worker, provider)| tokio::spawn(work(worker, provider)));
    // The other half comes while they work.
    for _ in 0..MESSAGES / 8 {
        post(&store, vec![code(start()), notice(start()), code(start()), notice(start())]).await;
    }
    for working in working {
        working.await.unwrap();
    }
    let given = locked(&provider.0).clone();
    assert_eq!(given.len(), MESSAGES);
    assert!(given.values().all(|times| *times == 1), "one was sent twice");
}

#[tokio::test]
async fn what_a_process_died_over_is_sent_by_another_when_its_lease_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("infirmary.db");
    let (provider, clock) = (Arc::new(Provider::default()), Arc::new(ManualClock::default()));
    let message = code(start());
    {
        let (dying, _worker) = process(&file, &provider, &clock);
        post(&dying, vec![message.clone()]).await;
        assert_eq!(dying.take(10, clock.now()).await.unwrap().len(), 1);
    }
    let (store, worker) = process(&file, &provider, &clock);
    clock.advance(Duration::from_secs(Taken::SECONDS - 1));
    assert!(worker.run().await.unwrap().settled.is_empty());
    clock.advance(Duration::from_secs(1));
    worker.run().await.unwrap();
    assert_eq!(*locked(&provider.0), HashMap::from([(message.id, 1)]));
    assert_eq!(MessageLog::find(&store, message.id).await.unwrap().unwrap().state, MessageState::Sent);
}
