use std::sync::Arc;

use infirmary_kernel::{
    Action, BirthDate, Caller, Done, EmailAddress, Gate, Idempotency, Invalid, PatientId, Permission, PersonName,
    PhoneNumber, PostalAddress, Receipt, Subject, Timestamp,
};

use crate::{AdministrativeSex, Mrn, Patient, PatientError, PatientStore, RegisteredPatient};

#[derive(Debug, Clone)]
pub struct NewPatient {
    pub name: PersonName,
    pub birth_date: Option<BirthDate>,
    pub sex: Option<AdministrativeSex>,
    pub phone: Option<PhoneNumber>,
    pub email: Option<EmailAddress>,
    pub address: Option<PostalAddress>,
}

impl NewPatient {
    pub(crate) fn check(&self, now: Timestamp) -> Result<(), Invalid> {
        birth_date_is_not_in_the_future(self.birth_date, now)
    }

    /// The record. Pure: the number, the id and the time are given.
    pub fn into_patient(self, id: PatientId, mrn: Mrn, now: Timestamp) -> Result<Patient, Invalid> {
        self.check(now)?;
        let Self { name, birth_date, sex, phone, email, address } = self;
        Ok(Patient {
            id,
            mrn,
            name,
            birth_date,
            sex,
            phone,
            email,
            address,
            account: None,
            restricted: false,
            registered_at: now,
            version: 1,
        })
    }
}

pub(crate) fn birth_date_is_not_in_the_future(birth_date: Option<BirthDate>, now: Timestamp) -> Result<(), Invalid> {
    match birth_date {
        Some(date) if date.is_after(now) => Err(Invalid::new("/birthDate", "is in the future")),
        _ => Ok(()),
    }
}

/// Staff register a patient who came to the desk.
pub struct RegisterPatient {
    pub gate: Gate,
    pub patients: Arc<dyn PatientStore>,
}

impl RegisterPatient {
    /// A record number is taken before the write, so a refused write leaves a gap in the numbers: a gap harms nobody, a
    /// number given twice would.
    pub async fn run(
        &self,
        caller: &Caller,
        new: NewPatient,
        allow_duplicate: bool,
        idempotency: Option<Idempotency>,
        receipt: impl FnOnce(&Patient) -> Receipt,
    ) -> Result<Done<Patient>, PatientError> {
        self.gate.admit(caller, Permission::RegisterPatient, Subject::all("patient")).await?;
        if let Some(receipt) = self.gate.earlier(caller, idempotency.as_ref()).await? {
            return Ok(Done::Before(receipt));
        }
        let now = self.gate.now();
        new.check(now)?;
        let patient = new.into_patient(self.gate.mint(now), self.patients.next_mrn().await?, now)?;
        if !allow_duplicate {
            // Who is not to know of a restricted patient registers another: a duplicate can be seen by who may know of both.
            let reader = self.gate.reader(caller, Permission::RegisterPatient);
            let candidates = self.patients.candidates(&patient, reader).await?;
            if !candidates.is_empty() {
                // The answer shows records of patients: that is a read of them.
                let found = candidates.iter().map(|candidate| candidate.id);
                self.gate.witness_each(caller, Action::PATIENT_FIND, &Subject::all("patient"), found).await?;
                return Err(PatientError::LikelyDuplicate { candidates });
            }
        }
        let receipt = receipt(&patient);
        let event = self.gate.event(caller, Action::PATIENT_REGISTER, Subject::patient(patient.id).at_version(1));
        let trail = self.gate.trail(caller, event, idempotency.as_ref(), &receipt);
        let written = self.patients.register(RegisteredPatient { patient: patient.clone(), trail }).await?;
        Ok(Done::new(written, patient, receipt))
    }
}
