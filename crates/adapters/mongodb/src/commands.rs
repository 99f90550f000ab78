use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// How many commands were sent, by name: one is a round trip. Counted in debug builds, for tests.
#[derive(Clone, Default)]
pub struct Commands {
    sent: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Commands {
    pub(crate) fn note(&self, name: &str) {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        *sent.entry(name.to_owned()).or_default() += 1;
    }

    pub fn sent(&self) -> BTreeMap<String, u64> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
