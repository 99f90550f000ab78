use std::sync::Arc;

use infirmary_kernel::{Action, Caller, Gate, Page, PageRequest, PatientId, Permission, Reach, Subject};

use crate::{Patient, PatientError, PatientStore, SearchTerms};

/// Reads that only fetch. Each gives, with the patient, how far the caller may see: [`Reach::Billing`] is name, mrn, phone
/// and balance only.
pub struct Queries {
    pub gate: Gate,
    pub patients: Arc<dyn PatientStore>,
}

impl Queries {
    pub async fn patient(&self, caller: &Caller, id: PatientId) -> Result<(Patient, Reach), PatientError> {
        let subject = Subject::patient(id);
        let reach = self.gate.admit_to(caller, Permission::ReadPatient, id, subject.clone()).await?;
        let patient = self.patients.find(id).await?.ok_or(PatientError::NotFound)?;
        self.gate.witness(caller, Action::PATIENT_READ, subject).await?;
        Ok((patient, reach))
    }

    /// All patients when `terms` is `None`. The trail keeps that a search was made and not its words, which are a name.
    pub async fn find(
        &self,
        caller: &Caller,
        terms: Option<&SearchTerms>,
        page: &PageRequest,
    ) -> Result<(Page<Patient>, Reach), PatientError> {
        let subject = Subject::all("patient");
        let reach = self.gate.admit(caller, Permission::FindPatients, subject.clone()).await?;
        if terms.is_none() {
            page.after_time()?;
        }
        let found = async {
            match terms {
                Some(terms) => self.patients.search(terms, page).await,
                None => self.patients.list(page).await,
            }
        };
        Ok((self.gate.witness_during(caller, Action::PATIENT_FIND, subject, found).await?, reach))
    }
}
