use std::sync::Arc;

use infirmary_auth::{AuthError, DecideRegistration, Registration, SessionTokens};
use infirmary_kernel::{
    Action, BirthDate, EmailAddress, Gate, Origin, PersonName, PhoneNumber, PostalAddress, Subject, Trail,
};
use infirmary_patients::{AdministrativeSex, NewPatient, PatientStore};

use crate::{RegisteredAccount, Registry, WorkflowError};

/// What somebody gives who registers as a patient. There is no role in it.
#[derive(Debug, Clone)]
pub struct NewRegistration {
    pub email: EmailAddress,
    pub name: PersonName,
    pub phone: Option<PhoneNumber>,
    pub address: Option<PostalAddress>,
    pub birth_date: Option<BirthDate>,
    pub sex: Option<AdministrativeSex>,
}

/// A patient registers themselves: an account and its patient record, in one write.
///
/// Always a new record, also when the desk has registered somebody of the same name: to give an account a record that is
/// there, on nothing but a name, would give it to whoever knows the name.
pub struct RegisterAccount {
    pub gate: Gate,
    pub decide: DecideRegistration,
    pub patients: Arc<dyn PatientStore>,
    pub registry: Arc<dyn Registry>,
}

impl RegisterAccount {
    pub async fn run(
        &self,
        origin: &Origin,
        new: NewRegistration,
        password: &str,
    ) -> Result<SessionTokens, WorkflowError> {
        let NewRegistration { email, name, phone, address, birth_date, sex } = new;
        let now = self.gate.now();
        let patient_id = self.gate.mint(now);
        let registration = Registration { email: email.clone(), name: name.clone(), phone: phone.clone(), password };
        let (account, tokens) = self.decide.run(&self.gate, registration, patient_id, origin).await?;

        let new_patient = NewPatient { name, birth_date, sex, phone, email: Some(email), address };
        let mut patient = new_patient.into_patient(patient_id, self.patients.next_mrn().await?, now)?;
        patient.account = Some(account.account.id);

        let subject = Subject::patient(patient_id).at_version(1);
        let session = account.session.as_ref().map(|session| session.id);
        let event = account.account.event(&self.gate, Some(origin), Action::ACCOUNT_REGISTER, subject, session);
        let registered = RegisteredAccount { account, patient, trail: Trail::new(event) };
        self.registry.register_account(registered).await.map_err(AuthError::from)?;
        Ok(tokens)
    }
}
