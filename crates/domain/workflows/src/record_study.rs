use std::sync::Arc;

use infirmary_auth::AccountStore;
use infirmary_diagnosis::{Catalogue, Content, Diagnosis, NewDiagnosis, PricedTask, TaskStore};
use infirmary_financials::{Charge, Source};
use infirmary_imaging::{Image, Modality, NewStudy, ReceivedImage, Study};
use infirmary_kernel::{
    AccountId, Action, Caller, Done, Gate, Idempotency, Invalid, PatientId, Permission, Receipt, Role, Subject,
    TaskCode, Timestamp,
};

use crate::{RecordedStudy, StudyRecorder, WorkflowError};

/// What a doctor uploads, beside the images.
#[derive(Debug, Clone)]
pub struct NewStudyRecord {
    pub patient: PatientId,
    pub modality: Modality,
    pub content: Content,
    /// Recorded and confirmed in one go.
    pub confirmed: bool,
    /// What it is charged by. Empty: by the task of its modality.
    pub tasks: Vec<TaskCode>,
}

/// A study with its images, its diagnosis and its charges: all of them, or none.
#[derive(Debug, Clone)]
pub struct StudyRecord {
    pub study: Study,
    pub images: Vec<Image>,
    pub diagnosis: Diagnosis,
    pub charges: Vec<Charge>,
}

/// The images with the diagnosis in one go; the charge follows by itself.
pub struct RecordStudy {
    pub gate: Gate,
    pub accounts: Arc<dyn AccountStore>,
    pub tasks: Arc<dyn TaskStore>,
    pub objects: Arc<dyn infirmary_kernel::Objects>,
    pub recorder: Arc<dyn StudyRecorder>,
}

impl RecordStudy {
    /// The author is who is signed in.
    pub async fn run(
        &self,
        caller: &Caller,
        new: NewStudyRecord,
        received: Vec<ReceivedImage>,
        idempotency: Option<Idempotency>,
        receipt: impl FnOnce(&StudyRecord) -> Receipt,
    ) -> Result<Done<StudyRecord>, WorkflowError> {
        self.admit(caller, Permission::WriteStudies, new.patient).await?;
        self.record(caller, caller.account, new, received, idempotency, receipt).await
    }

    /// An admin records what a doctor found. The study is the doctor's; the trail has the admin.
    pub async fn run_for_doctor(
        &self,
        caller: &Caller,
        author: AccountId,
        new: NewStudyRecord,
        received: Vec<ReceivedImage>,
        idempotency: Option<Idempotency>,
        receipt: impl FnOnce(&StudyRecord) -> Receipt,
    ) -> Result<Done<StudyRecord>, WorkflowError> {
        self.admit(caller, Permission::RecordForDoctors, new.patient).await?;
        match self.accounts.find(author).await? {
            Some(doctor) if doctor.role == Role::Doctor && doctor.is_active() => {}
            _ => return Err(Invalid::new("/doctorId", "is of no doctor of this house").into()),
        }
        self.record(caller, author, new, received, idempotency, receipt).await
    }

    async fn admit(&self, caller: &Caller, permission: Permission, patient: PatientId) -> Result<(), WorkflowError> {
        let subject = Subject::all("study").of_patient(patient);
        if self.gate.admit_to_add(caller, permission, patient, subject).await? {
            Ok(())
        } else {
            Err(Invalid::new("/patientId", "is of no patient").into())
        }
    }

    async fn record(
        &self,
        caller: &Caller,
        author: AccountId,
        new: NewStudyRecord,
        received: Vec<ReceivedImage>,
        idempotency: Option<Idempotency>,
        receipt: impl FnOnce(&StudyRecord) -> Receipt,
    ) -> Result<Done<StudyRecord>, WorkflowError> {
        if let Some(receipt) = self.gate.earlier(caller, idempotency.as_ref()).await? {
            return Ok(Done::Before(receipt));
        }
        let now = self.gate.now();
        let priced = self.priced(&new, now).await?;
        let study = NewStudy { patient: new.patient, author, modality: new.modality };
        let study = study.into_study(self.gate.mint(now), &received, now)?;
        let diagnosis = NewDiagnosis { patient: new.patient, content: new.content, confirmed: new.confirmed };
        let diagnosis = diagnosis.into_diagnosis(self.gate.mint(now), Some(study.id), author, now);
        let charges = priced
            .into_iter()
            .map(|task| self.charge(&study, &diagnosis, task, caller.account, now))
            .collect::<Result<_, _>>()?;

        // Bytes first: until the row is there, nobody can ask for them.
        let mut images = Vec::with_capacity(received.len());
        for (position, received) in (0..).zip(received) {
            images.push(received.keep(self.gate.mint(now), &study, position).await?);
        }

        let record = StudyRecord { study, images, diagnosis, charges };
        let receipt = receipt(&record);
        let subject = Subject::new("study", record.study.id).of_patient(record.study.patient);
        let event = self.gate.event(caller, Action::STUDY_RECORD, subject);
        let trail = self.gate.trail(caller, event, idempotency.as_ref(), &receipt);
        let written = self.recorder.record_study(RecordedStudy { record: record.clone(), trail }).await?;
        Ok(Done::new(written, record, receipt))
    }

    async fn priced(&self, new: &NewStudyRecord, now: Timestamp) -> Result<Vec<PricedTask>, WorkflowError> {
        let modality = new.modality.as_str();
        let codes = if new.tasks.is_empty() { Catalogue::codes_for(modality) } else { new.tasks.clone() };
        let catalogue = Catalogue::new(self.tasks.by_codes(&codes).await?);
        Ok(catalogue.for_study(&new.tasks, modality, now)?)
    }

    fn charge(
        &self,
        study: &Study,
        diagnosis: &Diagnosis,
        task: PricedTask,
        charged_by: AccountId,
        now: Timestamp,
    ) -> Result<Charge, Invalid> {
        let source = Source::Study { study: study.id, diagnosis: diagnosis.id, author: study.author };
        let PricedTask { code, name, amount } = task;
        Charge::new(self.gate.mint(now), study.patient, source, Some(code), name, amount, now, charged_by)
    }
}
