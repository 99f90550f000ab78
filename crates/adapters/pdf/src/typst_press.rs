use async_trait::async_trait;
use infirmary_financials::{ReceiptSheet, ReceiptTypesetter, StatementSheet};
use infirmary_kernel::TypesetError;
use infirmary_reports::{ReportSheet, Typesetter};

use crate::{
    press::{self, Job},
    receipt, report,
    workers::{NotRun, Workers},
};

/// Documents that may wait to be set. One takes a fraction of a second, so the last of them waits some seconds.
const MAX_WAITING_DOCUMENTS: usize = 32;

/// Sets every sheet of the house. Clones share their places.
#[derive(Clone)]
pub struct TypstPress {
    workers: Workers,
}

impl Default for TypstPress {
    fn default() -> Self {
        Self { workers: Workers::half_of_the_cores(MAX_WAITING_DOCUMENTS) }
    }
}

impl TypstPress {
    async fn set(&self, job: impl FnOnce() -> Result<Job, String> + Send + 'static) -> Result<Vec<u8>, TypesetError> {
        match self.workers.run(move || job().and_then(press::set)).await {
            Ok(Ok(pdf)) => Ok(pdf),
            Ok(Err(reason)) | Err(NotRun::Broken(reason)) => Err(TypesetError::Failed { reason }),
            Err(NotRun::Busy) => Err(TypesetError::Busy),
        }
    }
}

#[async_trait]
impl Typesetter for TypstPress {
    async fn report(&self, sheet: ReportSheet) -> Result<Vec<u8>, TypesetError> {
        self.set(move || report::job(sheet)).await
    }
}

#[async_trait]
impl ReceiptTypesetter for TypstPress {
    async fn receipt(&self, sheet: ReceiptSheet) -> Result<Vec<u8>, TypesetError> {
        self.set(move || receipt::receipt(&sheet)).await
    }

    async fn statement(&self, sheet: StatementSheet) -> Result<Vec<u8>, TypesetError> {
        self.set(move || receipt::statement(&sheet)).await
    }
}
