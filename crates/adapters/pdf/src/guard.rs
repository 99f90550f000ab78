use std::{io::Read, path::Path};

use async_trait::async_trait;
use infirmary_kernel::StoreError;
use infirmary_reports::{InspectError, MAX_PDF_BYTES, PdfInspector};

use crate::{
    reader,
    workers::{NotRun, Workers},
};

/// Files that may wait to be inspected. One takes a fraction of a second.
const MAX_WAITING_FILES: usize = 32;

/// Looks into PDFs that come from outside. Holds one file of at most [`MAX_PDF_BYTES`] for each that it inspects.
#[derive(Clone)]
pub struct PdfGuard {
    workers: Workers,
}

impl Default for PdfGuard {
    fn default() -> Self {
        Self { workers: Workers::half_of_the_cores(MAX_WAITING_FILES) }
    }
}

#[async_trait]
impl PdfInspector for PdfGuard {
    async fn inspect(&self, file: &Path) -> Result<usize, InspectError> {
        let path = file.to_owned();
        let unavailable = |reason| InspectError::Store(StoreError::Unavailable { reason });
        let inspected = self.workers.run(move || {
            let mut bytes = Vec::new();
            // One byte above the limit is enough to know that it is passed.
            std::fs::File::open(path)?.take(MAX_PDF_BYTES + 1).read_to_end(&mut bytes)?;
            Ok(reader::inspect(&bytes))
        });
        match inspected.await {
            Ok(Ok(pages)) => pages.map_err(InspectError::Refused),
            Ok(Err(error)) => Err(unavailable(std::io::Error::to_string(&error))),
            Err(NotRun::Busy) => Err(InspectError::Busy),
            Err(NotRun::Broken(reason)) => Err(unavailable(reason)),
        }
    }
}
