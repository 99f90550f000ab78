use std::sync::Arc;

use infirmary_auth::{Account, AccountStore};
use infirmary_diagnosis::{Diagnosis, DiagnosisFilter, DiagnosisStatus};
use infirmary_financials::{LedgerQueries, Totals};
use infirmary_imaging::{Image, ImageFormat, Modality, PreviewState, Study};
use infirmary_kernel::{
    AccessError, Action, Caller, Currency, DiagnosisId, FileName, Gate, ImageId, NamePart, Page, PageRequest,
    PatientId, Permission, PersonName, Reach, Refused, Standing, Subject,
};
use infirmary_patients::{Patient, PatientStore};
use infirmary_reports::ReportView;

use crate::{Overview, WorkflowError};

/// A diagnosis with everything that is shown beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiagnosisDetail {
    pub diagnosis: Diagnosis,
    pub patient: Patient,
    pub author: PersonName,
    pub confirmed_by: Option<PersonName>,
    pub study: Option<Study>,
    /// By position.
    pub images: Vec<Image>,
    /// What its study was charged for, in words.
    pub tasks: Vec<String>,
    /// The newest one.
    pub report: Option<ReportView>,
}

/// An image in a list: enough to show it and to ask for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedImage {
    pub id: ImageId,
    pub position: u16,
    pub format: ImageFormat,
    pub file_name: Option<FileName>,
    pub has_preview: bool,
}

impl From<&Image> for ListedImage {
    fn from(image: &Image) -> Self {
        Self {
            id: image.id,
            position: image.position,
            format: image.format,
            file_name: image.file_name.clone(),
            has_preview: image.facts.preview == PreviewState::Available,
        }
    }
}

/// A diagnosis in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedDiagnosis {
    pub diagnosis: Diagnosis,
    pub patient: PersonName,
    pub author: PersonName,
    /// Of its study.
    pub modality: Option<Modality>,
    /// By position.
    pub images: Vec<ListedImage>,
    pub report: Option<ReportView>,
}

/// How many of what a patient has; as far as the patient may see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PatientCounts {
    pub diagnoses: u64,
    pub images: u64,
    pub reports: u64,
    /// Charges that are not void.
    pub transactions: u64,
}

/// The numbers of a patient's home page.
#[derive(Debug, Clone)]
pub struct PatientSummary {
    pub counts: PatientCounts,
    pub totals: Totals,
}

/// How many patients a search by a part of the name gives at most: who gets so many types another letter.
pub const MAX_NAMED_PATIENTS: usize = 500;

/// Reads that span domains.
pub struct OverviewQueries {
    pub gate: Gate,
    pub overview: Arc<dyn Overview>,
    pub accounts: Arc<dyn AccountStore>,
    pub patients: Arc<dyn PatientStore>,
    pub ledger: Arc<dyn LedgerQueries>,
    pub currency: Currency,
}

impl OverviewQueries {
    /// A patient sees their own once it is confirmed; before, it is not there for them.
    pub async fn diagnosis(&self, caller: &Caller, id: DiagnosisId) -> Result<DiagnosisDetail, WorkflowError> {
        let unknown = Subject::new("diagnosis", id);
        self.gate.admit(caller, Permission::ReadStudies, unknown).await?;
        let detail = self.overview.diagnosis(id).await?.ok_or(WorkflowError::NotFound)?;
        let (diagnosis, subject) = (&detail.diagnosis, detail.diagnosis.subject());
        let reach = match self.gate.admit_to(caller, Permission::ReadStudies, diagnosis.patient, subject.clone()).await
        {
            Ok(reach) => reach,
            Err(AccessError::Refused(Refused::Hidden)) => return Err(WorkflowError::NotFound),
            Err(error) => return Err(error.into()),
        };
        if !diagnosis.status.is_shown(reach) {
            return Err(self.gate.refuse(caller, subject, Refused::Hidden).await.into());
        }
        self.gate.witness(caller, Action::DIAGNOSIS_READ, subject).await?;
        Ok(detail)
    }

    /// The same, with the account of its author: whom a reader may turn to.
    pub async fn diagnosis_with_author(
        &self,
        caller: &Caller,
        id: DiagnosisId,
    ) -> Result<(DiagnosisDetail, Account), WorkflowError> {
        let detail = self.diagnosis(caller, id).await?;
        let author = self.accounts.find(detail.diagnosis.author).await?.ok_or(WorkflowError::NotFound)?;
        Ok((detail, author))
    }

    /// Newest first. A patient finds their own, whatever the filter says.
    pub async fn diagnoses(
        &self,
        caller: &Caller,
        mut filter: DiagnosisFilter,
        page: &PageRequest,
    ) -> Result<Page<ListedDiagnosis>, WorkflowError> {
        let mut subject = Subject { patient: filter.patient, ..Subject::all("diagnosis") };
        let reach = self.gate.admit(caller, Permission::ReadStudies, subject.clone()).await?;
        match filter.patient {
            Some(patient) => {
                self.gate.confide(caller, Permission::ReadStudies, patient, subject.clone()).await?;
            }
            None => filter.reader = self.gate.reader(caller, Permission::ReadStudies),
        }
        if reach == Reach::Own {
            filter.patient = filter.patient.or(caller.patient);
            subject.patient = filter.patient;
            match filter.patient {
                Some(patient) => {
                    self.gate.admit_to(caller, Permission::ReadStudies, patient, subject.clone()).await?;
                }
                None => return Err(self.gate.refuse(caller, subject, Refused::Hidden).await.into()),
            }
        }
        page.after_time()?;
        let found = async {
            match filter.shown(reach) {
                Some(filter) => self.overview.diagnoses(&filter, page).await,
                None => Ok(Page { items: Vec::new(), next: None }),
            }
        };
        let patient_of = |listed: &ListedDiagnosis| listed.diagnosis.patient;
        Ok(self.gate.witness_list(caller, Action::DIAGNOSIS_READ, subject, found, patient_of).await?)
    }

    /// Patients whose name has the part in it, oldest first, each with what was charged and is owed; at most
    /// [`MAX_NAMED_PATIENTS`]. The trail keeps that a search was made and not its words.
    pub async fn patients_named(
        &self,
        caller: &Caller,
        part: &NamePart,
    ) -> Result<(Vec<(Patient, Totals)>, Reach), WorkflowError> {
        let subject = Subject::all("patient");
        let reach = self.gate.admit(caller, Permission::FindPatients, subject.clone()).await?;
        let reader = self.gate.reader(caller, Permission::FindPatients);
        let patients = self.patients.named(part, reader, MAX_NAMED_PATIENTS).await?;
        let ids: Vec<_> = patients.iter().map(|patient| patient.id).collect();
        let totals = self.ledger.totals_of_patients(&ids, self.currency).await?;
        self.gate.witness(caller, Action::PATIENT_FIND, subject).await?;
        Ok((patients.into_iter().zip(totals).collect(), reach))
    }

    /// An accountant gets the balance only; see [`Reach::Billing`]. So does an admin to whom the studies of the patient are
    /// closed: how many there are tells of the patient's health.
    pub async fn summary(&self, caller: &Caller, patient: PatientId) -> Result<(PatientSummary, Reach), WorkflowError> {
        let subject = Subject::patient(patient);
        let mut reach = self.gate.admit_to(caller, Permission::ReadPatient, patient, subject.clone()).await?;
        if reach == Reach::All && self.gate.standing(caller, patient).await? == Standing::Outside {
            reach = Reach::Billing;
        }
        let statuses: Vec<_> = DiagnosisStatus::ALL.into_iter().filter(|status| status.is_shown(reach)).collect();
        let counts = self.overview.counts(patient, &statuses).await?.ok_or(WorkflowError::NotFound)?;
        let totals = self.ledger.totals_of_patients(&[patient], self.currency).await?.pop();
        let totals = totals.unwrap_or_else(|| Totals::zero(self.currency));
        self.gate.witness(caller, Action::PATIENT_READ, subject).await?;
        Ok((PatientSummary { counts, totals }, reach))
    }
}
