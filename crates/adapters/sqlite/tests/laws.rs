//! SQLite keeps the laws of every store port.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use infirmary_kernel::{PatientId, testing::fresh_id};
use infirmary_sqlite::SqliteStore;
use infirmary_workflows::testing::register;
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

mod care_teams {
    use super::store;
    infirmary_patients::care_team_laws!(store);
}

mod registry {
    use super::store;
    infirmary_workflows::registry_laws!(store);
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

mod key_check {
    use super::store;
    infirmary_kernel::key_check_laws!(store);
}

mod leases {
    use super::store;
    infirmary_kernel::lease_laws!(store);
}

mod messaging {
    use std::sync::Arc;

    use async_trait::async_trait;
    use infirmary_kernel::{Trail, WriteError};
    use infirmary_messaging::testing::{Post, PostHouse};
    use infirmary_patients::{PatientStore, RegisteredPatient, testing::patient};
    use infirmary_sqlite::SqliteStore;
    use tempfile::TempDir;

    struct Registration(SqliteStore);

    #[async_trait]
    impl Post for Registration {
        async fn post(&self, trail: Trail) -> Result<(), WriteError> {
            let patient = patient("Ada", self.0.next_mrn().await.unwrap());
            self.0.register(RegisteredPatient { patient, trail }).await.map(|_| ())
        }
    }

    async fn house() -> (PostHouse, TempDir) {
        let (store, folder) = super::store().await;
        (PostHouse::of(Arc::new(store.clone()), Arc::new(Registration(store))), folder)
    }

    infirmary_messaging::outbox_laws!(house);
}

mod audit {
    use super::store;
    infirmary_audit::audit_log_laws!(store);
}

/// A patient of the registry, for what has to be about one.
async fn registered(store: &SqliteStore) -> PatientId {
    let id = fresh_id();
    register(store, id).await;
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

mod imaging {
    use async_trait::async_trait;
    use infirmary_imaging::{FoundStudy, testing::Seed};
    use infirmary_sqlite::SqliteStore;
    use infirmary_workflows::{
        StudyRecorder,
        testing::{recorded, register},
    };
    use tempfile::TempDir;

    struct House {
        store: SqliteStore,
        _folder: TempDir,
    }

    #[async_trait]
    impl Seed for House {
        async fn study(&self, found: &FoundStudy) {
            register(&self.store, found.study.patient).await;
            let recorded = recorded(found.study.clone(), found.images.clone(), found.released);
            self.store.record_study(recorded).await.unwrap();
        }
    }

    async fn house() -> (SqliteStore, House) {
        let (store, folder) = super::store().await;
        (store.clone(), House { store, _folder: folder })
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
    use infirmary_reports::{Report, ReportStore, testing::laws::ReportHouse};
    use infirmary_sqlite::SqliteStore;
    use infirmary_workflows::{
        ReportIssuer,
        testing::{confirmed, issued, register},
    };
    use tempfile::TempDir;

    struct House(SqliteStore);

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

    async fn house() -> (House, TempDir) {
        let (store, folder) = super::store().await;
        (House(store), folder)
    }

    infirmary_reports::report_store_laws!(house);
}
