//! MongoDB keeps the laws of every store port.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use infirmary_kernel::{PatientId, testing::fresh_id};
use infirmary_mongodb::{MongoStore, testing::store};
use infirmary_workflows::testing::register;

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

mod records {
    use super::store;
    infirmary_workflows::record_laws!(store);
}

mod import {
    use super::store;
    infirmary_workflows::import_laws!(store);
}

mod inspection {
    use super::store;
    infirmary_workflows::inspection_laws!(store);
}

mod restrictions {
    use super::store;
    infirmary_workflows::restriction_laws!(store);
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
    use infirmary_mongodb::testing::TestDatabase;

    use super::registered;

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
    register(store, fresh_id()).await.id
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

mod imaging {
    use async_trait::async_trait;
    use infirmary_imaging::{FoundStudy, testing::Seed};
    use infirmary_mongodb::{MongoStore, testing::TestDatabase};
    use infirmary_workflows::{
        StudyRecorder,
        testing::{recorded, register},
    };

    struct House {
        store: MongoStore,
        _database: TestDatabase,
    }

    #[async_trait]
    impl Seed for House {
        async fn study(&self, found: &FoundStudy) {
            register(&self.store, found.study.patient).await;
            let recorded = recorded(found.study.clone(), found.images.clone(), found.released);
            self.store.record_study(recorded).await.unwrap();
        }
    }

    async fn house() -> Option<(MongoStore, House)> {
        let (store, database) = super::store().await?;
        Some((store.clone(), House { store, _database: database }))
    }

    infirmary_imaging::image_store_laws!(house);
}

mod reports {
    use async_trait::async_trait;
    use infirmary_diagnosis::{ChangedDiagnosis, ContentChange, DiagnosisStore, RecordedDiagnosis, testing::signed};
    use infirmary_kernel::{
        Action, DiagnosisId,
        testing::{fresh_id, trail},
    };
    use infirmary_mongodb::{MongoStore, testing::TestDatabase};
    use infirmary_reports::{Report, ReportStore, testing::laws::ReportHouse};
    use infirmary_workflows::{
        ReportIssuer,
        testing::{confirmed, issued, register},
    };

    struct House(MongoStore);

    #[async_trait]
    impl ReportHouse for House {
        fn reports(&self) -> &dyn ReportStore {
            &self.0
        }

        async fn issue(&self, report: &Report) {
            if DiagnosisStore::find(&self.0, report.diagnosis).await.unwrap().is_none() {
                register(&self.0, report.patient).await;
                let diagnosis = confirmed(report.diagnosis, report.patient, fresh_id());
                let trail = trail(Action::DIAGNOSIS_RECORD);
                self.0.record(RecordedDiagnosis { diagnosis, trail }).await.unwrap();
            }
            self.0.issue_report(issued(report.clone())).await.unwrap();
        }

        async fn amend(&self, diagnosis: DiagnosisId, version: u32) {
            let known = DiagnosisStore::find(&self.0, diagnosis).await.unwrap().unwrap();
            let reason = "seen again".to_owned().try_into().unwrap();
            let (diagnosis, _) = known.amend(ContentChange::default(), reason, signed(fresh_id(), 1)).unwrap();
            assert_eq!(diagnosis.version, version);
            self.0.change(ChangedDiagnosis { diagnosis, trail: trail(Action::DIAGNOSIS_AMEND) }).await.unwrap();
        }
    }

    async fn house() -> Option<(House, TestDatabase)> {
        let (store, database) = super::store().await?;
        Some((House(store), database))
    }

    infirmary_reports::report_store_laws!(house);
}
