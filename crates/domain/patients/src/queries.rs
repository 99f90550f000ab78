use std::sync::Arc;

use infirmary_kernel::{
    AccountId, Action, Caller, Gate, Page, PageRequest, PatientId, Permission, Reach, Standing, Subject,
};

use crate::{CareTeamMember, CareTeamStore, EmergencyAccess, Patient, PatientError, PatientStore, SearchTerms};

/// Reads that only fetch. Each gives, with the patient, how far the caller may see: [`Reach::Billing`] is name, mrn, phone
/// and balance only.
pub struct Queries {
    pub gate: Gate,
    pub patients: Arc<dyn PatientStore>,
    pub care_teams: Arc<dyn CareTeamStore>,
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
    ///
    /// A doctor finds restricted patients whose care team they are of; another one by the whole record number only, and then
    /// no more than that there is one: enough to break the glass.
    pub async fn find(
        &self,
        caller: &Caller,
        terms: Option<&SearchTerms>,
        page: &PageRequest,
    ) -> Result<(Page<Patient>, Reach), PatientError> {
        let subject = Subject::all("patient");
        let reach = self.gate.admit(caller, Permission::FindPatients, subject.clone()).await?;
        let reader = self.gate.reader(caller, Permission::FindPatients);
        match terms {
            Some(terms) => {
                if let Some(patient) = self.restricted(caller, reader, terms).await? {
                    self.gate.witness(caller, Action::PATIENT_FIND, Subject::patient(patient.id)).await?;
                    return Ok((Page { items: vec![patient], next: None }, Reach::Existence));
                }
            }
            None => {
                page.after_time()?;
            }
        }
        let found = async {
            match terms {
                Some(terms) => self.patients.search(terms, reader, page).await,
                None => self.patients.list(reader, page).await,
            }
        };
        Ok((self.gate.witness_during(caller, Action::PATIENT_FIND, subject, found).await?, reach))
    }

    /// The patient of that record number, when the record is closed to the reader.
    async fn restricted(
        &self,
        caller: &Caller,
        reader: Option<AccountId>,
        terms: &SearchTerms,
    ) -> Result<Option<Patient>, PatientError> {
        let Some(mrn) = terms.record_number().filter(|_| reader.is_some()) else { return Ok(None) };
        let Some(patient) = self.patients.by_mrn(mrn).await? else { return Ok(None) };
        Ok(match self.gate.standing(caller, patient.id).await? {
            Standing::NoRecord | Standing::Open | Standing::CareTeam => None,
            Standing::EmergencyAccess | Standing::Outside => Some(patient),
        })
    }

    /// In the order in which they came to it.
    pub async fn care_team(&self, caller: &Caller, id: PatientId) -> Result<Vec<CareTeamMember>, PatientError> {
        let subject = Subject::all("careTeam").of_patient(id);
        self.gate.admit_to(caller, Permission::ReadCareTeam, id, subject.clone()).await?;
        self.patients.find(id).await?.ok_or(PatientError::NotFound)?;
        let members = self.care_teams.members(id).await?;
        self.gate.witness(caller, Action::CARE_TEAM_READ, subject).await?;
        Ok(members)
    }

    /// Who broke the glass, and what for, newest first.
    pub async fn emergency_accesses(
        &self,
        caller: &Caller,
        id: PatientId,
        page: &PageRequest,
    ) -> Result<Page<EmergencyAccess>, PatientError> {
        let subject = Subject::all("emergencyAccess").of_patient(id);
        self.gate.admit_to(caller, Permission::ReadEmergencyAccess, id, subject.clone()).await?;
        self.patients.find(id).await?.ok_or(PatientError::NotFound)?;
        page.after_time()?;
        let accesses = self.care_teams.emergency_accesses(id, page).await?;
        self.gate.witness(caller, Action::EMERGENCY_ACCESS_READ, subject).await?;
        Ok(accesses)
    }
}
