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

mod financials {
    use infirmary_financials::testing::Books;
    use infirmary_kernel::{Action, testing::trail};
    use infirmary_patients::{PatientStore, RegisteredPatient, testing::patient};
    use infirmary_sqlite::SqliteStore;
    use tempfile::TempDir;

    async fn books() -> (Books, TempDir) {
        let (store, folder) = super::store().await;
        let known = [known(&store).await, known(&store).await, known(&store).await];
        (Books::over(&store, known), folder)
    }

    async fn known(store: &SqliteStore) -> infirmary_kernel::PatientId {
        let patient = patient("Ada", store.next_mrn().await.unwrap());
        let trail = trail(Action::PATIENT_REGISTER);
        store.register(RegisteredPatient { patient: patient.clone(), trail }).await.unwrap();
        patient.id
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
