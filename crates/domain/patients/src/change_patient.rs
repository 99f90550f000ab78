use std::sync::Arc;

use infirmary_kernel::{
    Action, BirthDate, Caller, EmailAddress, Gate, Invalid, PatientId, Permission, PersonName, PhoneNumber,
    PostalAddress, Reach, Subject, Trail, WriteError,
};

use crate::{
    AdministrativeSex, ChangedPatient, Patient, PatientError, PatientStore,
    register_patient::birth_date_is_not_in_the_future,
};

/// What to change. `None` leaves a field as it is; `Some(None)` empties it.
#[derive(Debug, Clone, Default)]
pub struct PatientChange {
    pub name: Option<PersonName>,
    pub birth_date: Option<Option<BirthDate>>,
    pub sex: Option<Option<AdministrativeSex>>,
    pub phone: Option<Option<PhoneNumber>>,
    pub email: Option<Option<EmailAddress>>,
    pub address: Option<Option<PostalAddress>>,
    /// An admin's to say.
    pub restricted: Option<bool>,
}

impl PatientChange {
    /// What a patient may not change of themselves: who they are. A name or a birth date is checked at the desk.
    fn identity_field(&self) -> Option<&'static str> {
        let identity =
            [(self.name.is_some(), "/name"), (self.birth_date.is_some(), "/birthDate"), (self.sex.is_some(), "/sex")];
        identity.into_iter().find_map(|(changed, pointer)| changed.then_some(pointer))
    }

    /// Applies the change; gives the names of the fields that are different now.
    fn apply(self, patient: &mut Patient) -> Vec<&'static str> {
        let mut changed = Vec::new();
        let mut set = |name, different| {
            if different {
                changed.push(name);
            }
        };
        macro_rules! field {
            ($field:ident, $name:literal) => {
                if let Some(value) = self.$field {
                    set($name, patient.$field != value);
                    patient.$field = value;
                }
            };
        }
        field!(name, "name");
        field!(birth_date, "birthDate");
        field!(sex, "sex");
        field!(phone, "phone");
        field!(email, "email");
        field!(address, "address");
        field!(restricted, "restricted");
        changed
    }
}

pub struct ChangePatient {
    pub gate: Gate,
    pub patients: Arc<dyn PatientStore>,
}

impl ChangePatient {
    /// `expected_version` is the one that the caller saw: a change made meanwhile by another makes this one `Stale`.
    pub async fn run(
        &self,
        caller: &Caller,
        id: PatientId,
        expected_version: u32,
        change: PatientChange,
    ) -> Result<Patient, PatientError> {
        let subject = Subject::patient(id);
        let reach = self.gate.admit_to(caller, Permission::ChangePatient, id, subject.clone()).await?;
        if change.restricted.is_some() {
            self.gate.admit(caller, Permission::ManageCareTeams, subject.clone()).await?;
            self.gate.step_up(caller, subject.clone()).await?;
        }
        if let (Reach::Own, Some(pointer)) = (reach, change.identity_field()) {
            let detail = "can be changed by staff only; a patient changes phone, email and address";
            return Err(Invalid::new(pointer, detail).into());
        }
        if let Some(birth_date) = change.birth_date {
            birth_date_is_not_in_the_future(birth_date, self.gate.now())?;
        }
        let mut patient = self.patients.find(id).await?.ok_or(PatientError::NotFound)?;
        if patient.version != expected_version {
            return Err(WriteError::Stale.into());
        }
        let fields = change.apply(&mut patient);
        if fields.is_empty() {
            self.gate.witness(caller, Action::PATIENT_READ, subject).await?;
            return Ok(patient);
        }
        patient.version += 1;
        let event =
            self.gate.event(caller, Action::PATIENT_CHANGE, subject.at_version(patient.version)).changing(fields);
        let trail = Trail::new(event);
        self.patients.change(ChangedPatient { patient: patient.clone(), trail }).await?;
        Ok(patient)
    }
}
