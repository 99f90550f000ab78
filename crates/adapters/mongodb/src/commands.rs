use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use mongodb::event::{EventHandler, command::CommandEvent};

/// How many commands were sent, by name: one is a round trip. Counted in debug builds, for tests.
#[derive(Clone, Default)]
pub struct Commands {
    sent: Arc<Mutex<BTreeMap<String, u64>>>,
    within: Arc<AtomicU64>,
}

impl Commands {
    pub(crate) fn watch(&self) -> EventHandler<CommandEvent> {
        let commands = self.clone();
        EventHandler::Callback(Arc::new(move |event| {
            let CommandEvent::Started(started) = event else { return };
            let mut sent = commands.sent.lock().unwrap_or_else(PoisonError::into_inner);
            *sent.entry(started.command_name.clone()).or_default() += 1;
            if started.command.contains_key("autocommit") {
                commands.within.fetch_add(1, Ordering::Relaxed);
            }
            #[cfg(feature = "test-support")]
            crate::plans::note(&started);
        }))
    }

    pub fn sent(&self) -> BTreeMap<String, u64> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many of them belong to transactions, the commits included.
    pub fn within_transactions(&self) -> u64 {
        self.within.load(Ordering::Relaxed)
    }

    /// What is sent while `work` is done, by whoever uses the store.
    pub async fn of<T>(&self, work: impl Future<Output = T>) -> (T, BTreeMap<String, u64>) {
        let before = self.sent();
        let done = work.await;
        let mut sent = self.sent();
        for (name, count) in &mut sent {
            *count -= before.get(name).copied().unwrap_or(0);
        }
        sent.retain(|_, count| *count > 0);
        (done, sent)
    }
}
