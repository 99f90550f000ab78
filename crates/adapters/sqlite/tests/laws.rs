//! SQLite keeps the laws of every store port.

use infirmary_sqlite::SqliteStore;
use tempfile::TempDir;

async fn store() -> (SqliteStore, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("infirmary.db"), 2).unwrap();
    (store, folder)
}

mod patients {
    use super::store;
    infirmary_patients::patient_store_laws!(store);
}

mod audit {
    use super::store;
    infirmary_audit::audit_log_laws!(store);
}
