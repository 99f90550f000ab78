//! The stores in memory keep the laws.

use std::sync::Arc;

use infirmary_auth::testing::{FastHasher, MemoryAuth, Stores, hasher_laws};

async fn stores() -> (Stores, ()) {
    (Stores::of(Arc::new(MemoryAuth::default())), ())
}

infirmary_auth::auth_store_laws!(stores);

#[tokio::test]
async fn the_fast_hasher_is_as_strict_as_the_real_one() {
    hasher_laws(&FastHasher::default()).await;
}
