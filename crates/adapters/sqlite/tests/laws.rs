//! SQLite keeps the laws of every store port.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use infirmary_kernel::{Action, PatientId, testing::trail};
use infirmary_patients::{PatientStore, RegisteredPatient, testing::patient};
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

/// A patient of the registry, for what has to be about one.
async fn registered(store: &SqliteStore) -> PatientId {
    let patient = patient("Ada", store.next_mrn().await.unwrap());
    let (id, trail) = (patient.id, trail(Action::PATIENT_REGISTER));
    store.register(RegisteredPatient { patient, trail }).await.unwrap();
    id
}

mod diagnosis {
    use infirmary_diagnosis::testing::laws::House;
    use infirmary_kernel::testing::fresh_id;
    use infirmary_sqlite::SqliteStore;

    async fn house() -> House<SqliteStore> {
        let (store, folder) = super::store().await;
        let patients = [super::registered(&store).await, super::registered(&store).await];
        House { store, patients, doctors: [fresh_id(), fresh_id()], study: Some(fresh_id()), keep: Box::new(folder) }
    }

    infirmary_diagnosis::diagnosis_store_laws!(house);
}

mod tasks {
    use super::store;
    infirmary_diagnosis::task_store_laws!(store);
}

mod financials {
    use infirmary_financials::testing::Books;
    use tempfile::TempDir;

    async fn books() -> (Books, TempDir) {
        let (store, folder) = super::store().await;
        let known = [super::registered(&store).await, super::registered(&store).await, super::registered(&store).await];
        (Books::over(&store, known), folder)
    }

    infirmary_financials::ledger_laws!(books);
}

mod auth {
    use std::sync::Arc;

    use infirmary_auth::testing::Stores;
    use tempfile::TempDir;

    async fn stores() -> (Stores, TempDir) {
        let (store, folder) = super::store().await;
        (Stores::of(Arc::new(store)), folder)
    }

    infirmary_auth::auth_store_laws!(stores);
}
