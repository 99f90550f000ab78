use std::{fmt, ops::Range, sync::Arc};

use infirmary_kernel::{
    AccessError, Action, Caller, Gate, House, Link, LinkTarget, ObjectRead, Objects, Page, PageRequest, PatientId,
    Permission, Reach, Refused, ReportId, ServedAs, SignedLink, Signer, Subject,
};

use crate::{ReportError, ReportFilter, ReportStore, ReportView, Verdict, VerificationCode};

/// Reads that only fetch.
pub struct Queries {
    pub gate: Gate,
    pub reports: Arc<dyn ReportStore>,
    pub objects: Arc<dyn Objects>,
    pub signer: Arc<dyn Signer>,
    pub house: House,
}

/// Leave to read the PDF of one report, once: what it is is known before a range of it is asked for.
pub struct ReportPdf {
    pub view: ReportView,
    objects: Arc<dyn Objects>,
}

impl fmt::Debug for ReportPdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportPdf").field("view", &self.view).finish_non_exhaustive()
    }
}

impl ReportPdf {
    /// All of it, or a range of its bytes.
    pub async fn read(&self, range: Option<Range<u64>>) -> Result<ObjectRead, ReportError> {
        self.objects.read(&self.view.report.object.key, range).await?.ok_or(ReportError::ObjectMissing)
    }

    /// An address of the store's own at which the PDF can be had, where it gives such away.
    pub async fn signed_url(&self, served: &ServedAs) -> Result<Option<String>, ReportError> {
        Ok(self.objects.signed_url(&self.view.report.object.key, served).await?)
    }
}

impl Queries {
    pub async fn report(&self, caller: &Caller, id: ReportId) -> Result<ReportView, ReportError> {
        let view = self.admitted(caller, id).await?;
        self.gate.witness(caller, Action::REPORT_READ, subject(&view)).await?;
        Ok(view)
    }

    /// Patients find their own reports only, whatever the filter says.
    pub async fn reports(
        &self,
        caller: &Caller,
        filter: &ReportFilter,
        page: &PageRequest,
    ) -> Result<Page<ReportView>, ReportError> {
        let mut filter = *filter;
        let mut subject = Subject::all("report");
        subject.patient = filter.patient;
        match filter.patient {
            Some(patient) => {
                self.gate.admit_to(caller, Permission::ReadReports, patient, subject.clone()).await?;
            }
            None => {
                if self.gate.admit(caller, Permission::ReadReports, subject.clone()).await? == Reach::Own {
                    let own = match caller.patient {
                        Some(own) => own,
                        None => return Err(self.gate.refuse(caller, subject, Refused::Hidden).await.into()),
                    };
                    filter.patient = Some(own);
                    subject.patient = Some(own);
                } else {
                    filter.reader = self.gate.reader(caller, Permission::ReadReports);
                }
            }
        }
        page.after_time()?;
        let found = self.reports.list(&filter, page);
        let patient_of = |view: &ReportView| view.report.patient;
        Ok(self.gate.witness_list(caller, Action::REPORT_READ, subject, found, patient_of).await?)
    }

    pub async fn pdf(&self, caller: &Caller, id: ReportId) -> Result<ReportPdf, ReportError> {
        let view = self.report(caller, id).await?;
        Ok(ReportPdf { view, objects: self.objects.clone() })
    }

    /// A link by which the caller's browser reads the PDF without a header, for [`Link::TTL_SECONDS`].
    pub async fn link(&self, caller: &Caller, id: ReportId) -> Result<SignedLink, ReportError> {
        let view = self.admitted(caller, id).await?;
        self.gate.witness(caller, Action::REPORT_LINK, subject(&view)).await?;
        Ok(Link::signed(LinkTarget::Report(id), caller.session, self.gate.now(), &*self.signer))
    }

    /// Links to many reports of one patient, for a list of them; see [`Queries::link`].
    pub async fn links(
        &self,
        caller: &Caller,
        patient: PatientId,
        reports: &[ReportId],
    ) -> Result<Vec<SignedLink>, ReportError> {
        let subject = Subject::all("report").of_patient(patient);
        self.gate.admit_to(caller, Permission::ReadReports, patient, subject.clone()).await?;
        self.gate.witness(caller, Action::REPORT_LINK, subject).await?;
        let now = self.gate.now();
        let signed = |id: &ReportId| Link::signed(LinkTarget::Report(*id), caller.session, now, &*self.signer);
        Ok(reports.iter().map(signed).collect())
    }

    /// Whether a report with this code was issued here, and is still current. For anyone: it tells nothing of whose it is.
    pub async fn verify(&self, code: &VerificationCode) -> Result<Verdict, ReportError> {
        Ok(match self.reports.by_code(code).await? {
            Some(ReportView { report, status }) => {
                Verdict::Authentic { house: self.house.name.clone(), issued_at: report.issued_at, status }
            }
            None => Verdict::Unknown,
        })
    }

    /// What is absent and what is hidden look the same to who may not know.
    async fn admitted(&self, caller: &Caller, id: ReportId) -> Result<ReportView, ReportError> {
        let unknown = Subject::new("report", id);
        self.gate.admit(caller, Permission::ReadReports, unknown).await?;
        let view = self.reports.find(id).await?.ok_or(ReportError::NotFound)?;
        match self.gate.admit_to(caller, Permission::ReadReports, view.report.patient, subject(&view)).await {
            Ok(_) => Ok(view),
            Err(AccessError::Refused(Refused::Hidden)) => Err(ReportError::NotFound),
            Err(error) => Err(error.into()),
        }
    }
}

fn subject(view: &ReportView) -> Subject {
    Subject::new("report", view.report.id).of_patient(view.report.patient).at_version(view.report.diagnosis_version)
}
