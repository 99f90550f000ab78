//! What there is to ask of a house on MongoDB alone: what becomes of a request when the database fails in the middle of it,
//! and how often the database is asked for one.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is not as expected")]

mod faults;
mod round_trips;

use std::collections::BTreeSet;

use infirmary_tests::TestApp;
use reqwest::StatusCode;

/// By method and path, as the document has them.
async fn operations(app: &TestApp) -> BTreeSet<String> {
    let document = app.get(&app.nobody(), "/openapi.json").await.expect(StatusCode::OK);
    let mut all = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        all.extend(item.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())));
    }
    all
}
