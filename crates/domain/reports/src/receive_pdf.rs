use std::{fmt, sync::Arc};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use infirmary_kernel::{Caller, FileName, Gate, Objects, Permission, Staged, Subject};

use crate::{InspectError, MAX_PDF_BYTES, PdfInspector, PdfRefusal, ReportError};

/// A PDF from outside that may become a report: whole, inspected, and not kept yet. Drop it to forget it.
pub struct ReceivedPdf {
    pub staged: Box<dyn Staged>,
    pub file_name: Option<FileName>,
    pub pages: usize,
}

impl fmt::Debug for ReceivedPdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedPdf").field("pages", &self.pages).finish_non_exhaustive()
    }
}

/// Takes in the bytes of a PDF that was made elsewhere. Nothing is visible to anyone until a workflow issues the report.
pub struct ReceivePdf {
    pub gate: Gate,
    pub objects: Arc<dyn Objects>,
    pub inspector: Arc<dyn PdfInspector>,
}

impl ReceivePdf {
    /// The caller's right is checked before the first byte is asked for. `sent_name` is the client's name for the file.
    pub async fn run<E: fmt::Display>(
        &self,
        caller: &Caller,
        sent_name: Option<&str>,
        bytes: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<ReceivedPdf, ReportError> {
        self.gate.admit(caller, Permission::IssueReports, Subject::all("report")).await?;
        self.receive(sent_name, bytes).await
    }

    /// The same for an admin, who uploads what a doctor stands for.
    pub async fn run_for_doctor<E: fmt::Display>(
        &self,
        caller: &Caller,
        sent_name: Option<&str>,
        bytes: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<ReceivedPdf, ReportError> {
        self.gate.admit(caller, Permission::RecordForDoctors, Subject::all("report")).await?;
        self.receive(sent_name, bytes).await
    }

    /// The same for the command line, which brings in what another system kept: who may run it may read the store.
    pub async fn run_by_operator<E: fmt::Display>(
        &self,
        bytes: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<ReceivedPdf, ReportError> {
        self.receive(None, bytes).await
    }

    async fn receive<E: fmt::Display>(
        &self,
        sent_name: Option<&str>,
        bytes: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<ReceivedPdf, ReportError> {
        let mut staging = self.objects.stage().await?;
        let mut bytes = std::pin::pin!(bytes);
        let mut received: u64 = 0;
        let mut head = Vec::with_capacity(MAGIC.len());
        while let Some(chunk) = bytes.next().await {
            let chunk = chunk.map_err(|error| ReportError::BrokenUpload { reason: error.to_string() })?;
            received += chunk.len() as u64;
            if received > MAX_PDF_BYTES {
                return Err(ReportError::Refused(PdfRefusal::TooLarge));
            }
            head.extend(chunk.iter().take(MAGIC.len() - head.len()));
            if !MAGIC.starts_with(&head) {
                return Err(ReportError::Refused(PdfRefusal::NotPdf));
            }
            staging.write(chunk).await?;
        }
        let staged = staging.seal().await?;
        let pages = self.inspector.inspect(staged.path()).await.map_err(|error| match error {
            InspectError::Refused(refusal) => ReportError::Refused(refusal),
            InspectError::Busy => ReportError::Busy,
            InspectError::Store(error) => error.into(),
        })?;
        Ok(ReceivedPdf { staged, file_name: sent_name.and_then(FileName::of_upload), pages })
    }
}

/// Looked for in the first chunks already, so that a wrong file is not read to its end.
const MAGIC: &[u8] = b"%PDF-";
