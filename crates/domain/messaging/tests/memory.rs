//! The outbox in memory keeps the laws.

use std::sync::Arc;

use infirmary_messaging::testing::{MemoryOutbox, PostHouse};

async fn house() -> (PostHouse, ()) {
    let memory = Arc::new(MemoryOutbox::default());
    (PostHouse::of(memory.clone(), memory), ())
}

infirmary_messaging::outbox_laws!(house);
