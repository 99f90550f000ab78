//! MongoDB keeps the laws of every store port.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use infirmary_kernel::{Action, PatientId, testing::trail};
use infirmary_mongodb::{MongoStore, testing::store};
use infirmary_patients::{PatientStore, RegisteredPatient, testing::patient};

mod patients {
    use super::store;
    infirmary_patients::patient_store_laws!(store);
}

mod care_teams {
    use super::store;
    infirmary_patients::care_team_laws!(store);
}

mod registry {
    use super::store;
    infirmary_workflows::registry_laws!(store);
}

mod key_check {
    use super::store;
    infirmary_kernel::key_check_laws!(store);
}

mod leases {
    use super::store;
    infirmary_kernel::lease_laws!(store);
}

mod messages {
    use std::sync::Arc;

    use async_trait::async_trait;
    use infirmary_kernel::{Trail, WriteError};
    use infirmary_messaging::testing::{Post, PostHouse};
    use infirmary_mongodb::{MongoStore, testing::TestDatabase};
    use infirmary_patients::{PatientStore, RegisteredPatient, testing::patient};

    struct Registration(MongoStore);

    #[async_trait]
    impl Post for Registration {
        async fn post(&self, trail: Trail) -> Result<(), WriteError> {
            let patient = patient("Ada", self.0.next_mrn().await.unwrap());
            self.0.register(RegisteredPatient { patient, trail }).await.map(|_| ())
        }
    }

    async fn house() -> Option<(PostHouse, TestDatabase)> {
        let (store, database) = super::store().await?;
        Some((PostHouse::of(Arc::new(store.clone()), Arc::new(Registration(store))), database))
    }

    infirmary_messaging::outbox_laws!(house);
}

mod financials {
    use infirmary_financials::testing::Books;
    use infirmary_kernel::{Action, PatientId, testing::trail};
    use infirmary_mongodb::{MongoStore, testing::TestDatabase};
    use infirmary_patients::{PatientStore, RegisteredPatient, testing::patient};

    async fn registered(store: &MongoStore) -> PatientId {
        let patient = patient("Ada", store.next_mrn().await.unwrap());
        let registered = RegisteredPatient { patient: patient.clone(), trail: trail(Action::PATIENT_REGISTER) };
        store.register(registered).await.unwrap();
        patient.id
    }

    async fn books() -> Option<(Books, TestDatabase)> {
        let (store, database) = super::store().await?;
        let known = [registered(&store).await, registered(&store).await, registered(&store).await];
        Some((Books::over(&store, known), database))
    }

    infirmary_financials::ledger_laws!(books);
}

mod audit {
    use super::store;
    infirmary_audit::audit_log_laws!(store);
}

/// A patient of the registry, for what has to be about one.
async fn registered(store: &MongoStore) -> PatientId {
    let patient = patient("Ada", store.next_mrn().await.unwrap());
    let registered = RegisteredPatient { patient: patient.clone(), trail: trail(Action::PATIENT_REGISTER) };
    store.register(registered).await.unwrap();
    patient.id
}

mod diagnosis {
    use infirmary_diagnosis::testing::laws::House;
    use infirmary_kernel::testing::fresh_id;
    use infirmary_mongodb::MongoStore;

    async fn house() -> Option<House<MongoStore>> {
        let (store, database) = super::store().await?;
        let patients = [super::registered(&store).await, super::registered(&store).await];
        let doctors = [fresh_id(), fresh_id()];
        Some(House { store, patients, doctors, study: Some(fresh_id()), keep: Box::new(database) })
    }

    infirmary_diagnosis::diagnosis_store_laws!(house);
}

mod tasks {
    use super::store;
    infirmary_diagnosis::task_store_laws!(store);
}

mod auth {
    use std::sync::Arc;

    use infirmary_auth::testing::Stores;
    use infirmary_mongodb::testing::TestDatabase;

    async fn stores() -> Option<(Stores, TestDatabase)> {
        let (store, database) = super::store().await?;
        Some((Stores::of(Arc::new(store)), database))
    }

    infirmary_auth::auth_store_laws!(stores);
}

mod transfer {
    use super::store;
    infirmary_workflows::transfer_laws!(store);
}
