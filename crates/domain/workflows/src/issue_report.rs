use std::sync::Arc;

use bytes::Bytes;
use infirmary_diagnosis::{Catalogue, DiagnosisStatus, TaskStore};
use infirmary_financials::{Charge, Source as ChargeSource};
use infirmary_imaging::{ImagingError, PreviewSize, Previews};
use infirmary_kernel::{
    Action, Caller, DiagnosisId, Done, Entropy, Gate, House, Idempotency, ObjectKey, Objects, OutgoingMessage,
    Permission, Receipt, ReportId, SheetPatient, Staged, Subject, TaskCode, Timestamp, WriteError,
};
use infirmary_reports::{
    ReceivedPdf, Report, ReportSheet, ReportStatus, ReportStore, ReportView, SheetAmendment, SheetImage, SheetSigner,
    SheetStudy, SheetSubject, Source, Typesetter, VerificationCode,
};

use crate::{DiagnosisDetail, IssuedReport, Overview, ReportIssuer, WorkflowError};

/// The task that a report is charged by.
const REPORT_TASK: &str = "REPORT";

/// A report that was issued, or the one that the version of the diagnosis has already.
#[derive(Debug)]
pub enum Issued {
    Now(Done<ReportView>),
    Already(ReportView),
}

/// Sets the report of a diagnosis, or takes one made elsewhere; stores it, and charges it once.
pub struct IssueReport {
    pub gate: Gate,
    pub overview: Arc<dyn Overview>,
    pub reports: Arc<dyn ReportStore>,
    pub tasks: Arc<dyn TaskStore>,
    pub previews: Previews,
    pub typesetter: Arc<dyn Typesetter>,
    pub objects: Arc<dyn Objects>,
    pub issuer: Arc<dyn ReportIssuer>,
    pub entropy: Arc<dyn Entropy>,
    pub house: House,
    /// Where a verification code is asked for: the code follows it.
    pub verification_base_url: String,
    /// Whether the patient's phone is told that there is a report.
    pub notices: bool,
}

impl IssueReport {
    /// Sets the PDF here, from the record.
    pub async fn typeset(
        &self,
        caller: &Caller,
        diagnosis: DiagnosisId,
        idempotency: Option<Idempotency>,
        receipt: impl FnOnce(&ReportView) -> Receipt,
    ) -> Result<Issued, WorkflowError> {
        let permission = Permission::IssueReports;
        let detail = match self.begin(caller, permission, diagnosis, idempotency.as_ref()).await? {
            Begun::Ready(detail) => *detail,
            Begun::Over(issued) => return Ok(issued),
        };
        let now = self.gate.now();
        let report = self.gate.mint(now);
        let code = VerificationCode::draw(&*self.entropy);
        let sheet = self.sheet(&detail, report, code, now).await?;
        let pdf = Bytes::from(self.typesetter.report(sheet).await?);
        let mut staging = self.objects.stage().await?;
        staging.write(pdf).await?;
        let staged = staging.seal().await?;
        self.issue(caller, &detail, report, code, Source::Typeset, staged, now, idempotency, receipt).await
    }

    /// Takes a PDF that was made elsewhere.
    pub async fn uploaded(
        &self,
        caller: &Caller,
        diagnosis: DiagnosisId,
        pdf: ReceivedPdf,
        idempotency: Option<Idempotency>,
        receipt: impl FnOnce(&ReportView) -> Receipt,
    ) -> Result<Issued, WorkflowError> {
        self.take(caller, Permission::IssueReports, diagnosis, pdf, idempotency, receipt).await
    }

    /// The same for an admin, of a diagnosis that a doctor stands for.
    pub async fn uploaded_for_doctor(
        &self,
        caller: &Caller,
        diagnosis: DiagnosisId,
        pdf: ReceivedPdf,
        idempotency: Option<Idempotency>,
        receipt: impl FnOnce(&ReportView) -> Receipt,
    ) -> Result<Issued, WorkflowError> {
        self.take(caller, Permission::RecordForDoctors, diagnosis, pdf, idempotency, receipt).await
    }

    async fn take(
        &self,
        caller: &Caller,
        permission: Permission,
        diagnosis: DiagnosisId,
        pdf: ReceivedPdf,
        idempotency: Option<Idempotency>,
        receipt: impl FnOnce(&ReportView) -> Receipt,
    ) -> Result<Issued, WorkflowError> {
        let detail = match self.begin(caller, permission, diagnosis, idempotency.as_ref()).await? {
            Begun::Ready(detail) => *detail,
            Begun::Over(issued) => return Ok(issued),
        };
        let now = self.gate.now();
        let code = VerificationCode::draw(&*self.entropy);
        let source = Source::Uploaded { file_name: pdf.file_name };
        self.issue(caller, &detail, self.gate.mint(now), code, source, pdf.staged, now, idempotency, receipt).await
    }

    async fn begin(
        &self,
        caller: &Caller,
        permission: Permission,
        diagnosis: DiagnosisId,
        idempotency: Option<&Idempotency>,
    ) -> Result<Begun, WorkflowError> {
        self.gate.admit(caller, permission, Subject::new("diagnosis", diagnosis)).await?;
        let detail = self.overview.diagnosis(diagnosis).await?.ok_or(WorkflowError::NotFound)?;
        let (patient, subject_of_it) = (detail.diagnosis.patient, detail.diagnosis.subject());
        self.gate.confide(caller, permission, patient, subject_of_it).await?;
        if let Some(receipt) = self.gate.earlier(caller, idempotency).await? {
            return Ok(Begun::Over(Issued::Now(Done::Before(receipt))));
        }
        match detail.diagnosis.status {
            DiagnosisStatus::Confirmed | DiagnosisStatus::Amended => {}
            status => return Err(WorkflowError::NotConfirmed { status }),
        }
        if let Some(report) = self.reports.of_version(diagnosis, detail.diagnosis.version).await? {
            self.gate.witness(caller, Action::REPORT_READ, subject(&report.report)).await?;
            return Ok(Begun::Over(Issued::Already(report)));
        }
        Ok(Begun::Ready(Box::new(detail)))
    }

    #[expect(clippy::too_many_arguments, reason = "each is a field of the report, and each has a type of its own")]
    async fn issue(
        &self,
        caller: &Caller,
        detail: &DiagnosisDetail,
        id: ReportId,
        code: VerificationCode,
        source: Source,
        staged: Box<dyn Staged>,
        now: Timestamp,
        idempotency: Option<Idempotency>,
        receipt: impl FnOnce(&ReportView) -> Receipt,
    ) -> Result<Issued, WorkflowError> {
        let diagnosis = &detail.diagnosis;
        let charge = self.charge(caller, detail, id, now).await?;
        let object = staged.keep(&ObjectKey::report(id)).await?;
        let report = Report {
            id,
            diagnosis: diagnosis.id,
            diagnosis_version: diagnosis.version,
            patient: diagnosis.patient,
            issued_by: caller.account,
            issued_at: now,
            source,
            object,
            code,
        };
        let view = ReportView { report, status: ReportStatus::Current };
        let receipt = receipt(&view);
        let event = self.gate.event(caller, Action::REPORT_ISSUE, subject(&view.report));
        let trail = self.gate.trail(caller, event, idempotency.as_ref(), &receipt);
        let phone = detail.patient.phone.clone().filter(|_| self.notices);
        let notice = phone.map(|phone| OutgoingMessage::report_ready(self.gate.mint(now), phone, id, now));
        let trail = trail.telling(notice);
        let issued = IssuedReport { report: view.report.clone(), charge, trail };
        match self.issuer.issue_report(issued).await {
            Ok(written) => Ok(Issued::Now(Done::new(written, view, receipt))),
            // Another issued it meanwhile: there is one report of a version, and this is it.
            Err(WriteError::Conflict { law: Report::ONE_FOR_A_VERSION }) => {
                let known = self.reports.of_version(diagnosis.id, diagnosis.version).await?;
                Ok(Issued::Already(known.ok_or(WriteError::Stale)?))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn charge(
        &self,
        caller: &Caller,
        detail: &DiagnosisDetail,
        report: ReportId,
        now: Timestamp,
    ) -> Result<Charge, WorkflowError> {
        let codes = [TaskCode::parse(REPORT_TASK)?];
        let price = Catalogue::new(self.tasks.by_codes(&codes).await?).price(REPORT_TASK, now)?;
        let diagnosis = &detail.diagnosis;
        let source = ChargeSource::Report { report, diagnosis: diagnosis.id, author: diagnosis.author };
        Ok(Charge::new(
            self.gate.mint(now),
            diagnosis.patient,
            source,
            Some(price.code),
            price.name,
            price.amount,
            now,
            caller.account,
        )?)
    }

    async fn sheet(
        &self,
        detail: &DiagnosisDetail,
        report: ReportId,
        code: VerificationCode,
        now: Timestamp,
    ) -> Result<ReportSheet, WorkflowError> {
        let diagnosis = &detail.diagnosis;
        let confirmed = diagnosis.confirmed.ok_or(WorkflowError::NotConfirmed { status: diagnosis.status })?;
        let confirmed_by = detail.confirmed_by.clone().unwrap_or_else(|| detail.author.clone());
        let mut images = Vec::new();
        for image in detail.images.iter().take(ReportSheet::MAX_IMAGES) {
            let preview = match self.previews.of(image, PreviewSize::default()).await {
                Ok(png) => Some(png),
                // The report says that the image cannot be shown.
                Err(ImagingError::NoPreview { .. }) => None,
                Err(error) => return Err(error.into()),
            };
            let name = image.file_name.as_ref().map(|name| name.as_str().to_owned());
            images.push(SheetImage { caption: name.unwrap_or_else(|| format!("{}", image.position + 1)), preview });
        }
        Ok(ReportSheet {
            report,
            issued_at: now,
            house: self.house.clone(),
            subject: SheetSubject {
                patient: SheetPatient { name: detail.patient.name.clone(), mrn: detail.patient.mrn.to_string() },
                birth_date: detail.patient.birth_date,
                sex: detail.patient.sex.map(|sex| sex.as_str().to_owned()),
            },
            study: detail
                .study
                .as_ref()
                .map(|study| SheetStudy { modality: study.modality.as_str().to_owned(), at: study.recorded_at }),
            tasks: detail.tasks.clone(),
            images_left_out: detail.images.len().saturating_sub(images.len()),
            images,
            disease: diagnosis.content.disease.clone(),
            findings: diagnosis.content.findings.clone(),
            conditions: diagnosis.content.conditions.clone(),
            author: SheetSigner { name: detail.author.clone(), at: diagnosis.recorded_at },
            confirmed_by: SheetSigner { name: confirmed_by, at: confirmed.at },
            version: diagnosis.version,
            amendment: diagnosis
                .amendment
                .as_ref()
                .map(|amendment| SheetAmendment { reason: amendment.reason.clone(), at: amendment.at }),
            code,
            verification_url: format!("{}/verify/{code}", self.verification_base_url),
        })
    }
}

#[expect(clippy::large_enum_variant, reason = "it is made once for a request and moved twice")]
enum Begun {
    Ready(Box<DiagnosisDetail>),
    Over(Issued),
}

fn subject(report: &Report) -> Subject {
    Subject::new("report", report.id).of_patient(report.patient).at_version(report.diagnosis_version)
}
