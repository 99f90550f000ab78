//! MongoDB keeps the laws of every store port.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use infirmary_mongodb::testing::store;

mod audit {
    use super::store;
    infirmary_audit::audit_log_laws!(store);
}
