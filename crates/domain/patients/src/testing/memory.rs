use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use infirmary_kernel::{
    AccountId, Confidentiality, Cursor, NamePart, Page, PageRequest, PatientId, SessionId, Standing, StoreError,
    Timestamp, WriteError, Written, fold,
    testing::{MemoryConfidentiality, MemoryJournal, locked},
};

use crate::{
    AddedMember, CareTeamMember, CareTeamStore, ChangedPatient, EmergencyAccess, Mrn, Patient, PatientStore,
    RegisteredPatient, RemovedMember, SearchTerms, StartedEmergencyAccess, index_words, ports::MAX_CANDIDATES,
};

/// The registry in memory, with its care teams. Clones are the same registry.
#[derive(Clone, Default)]
pub struct MemoryPatients {
    rows: Arc<Mutex<BTreeMap<PatientId, Patient>>>,
    last_serial: Arc<Mutex<u64>>,
    members: Arc<Mutex<Vec<CareTeamMember>>>,
    accesses: Arc<Mutex<Vec<EmergencyAccess>>>,
    pub journal: MemoryJournal,
    pub confidentiality: MemoryConfidentiality,
}

impl MemoryPatients {
    fn label(&self, patient: &Patient) {
        if patient.restricted {
            self.confidentiality.restrict(patient.id);
        } else {
            self.confidentiality.lift(patient.id);
        }
    }
}

#[async_trait]
impl PatientStore for MemoryPatients {
    async fn next_mrn(&self) -> Result<Mrn, StoreError> {
        let mut last = locked(&self.last_serial);
        *last += 1;
        Ok(Mrn::from_serial(*last))
    }

    async fn register(&self, registered: RegisteredPatient) -> Result<Written, WriteError> {
        let mut rows = locked(&self.rows);
        if let Some(before) = self.journal.repeated(&registered.trail)? {
            return Ok(before);
        }
        let new = registered.patient;
        if rows.values().any(|known| known.mrn == new.mrn) {
            return Err(WriteError::Conflict { law: "mrn" });
        }
        if new.account.is_some() && rows.values().any(|known| known.account == new.account) {
            return Err(WriteError::Conflict { law: "account" });
        }
        self.label(&new);
        rows.insert(new.id, new);
        Ok(self.journal.keep(registered.trail))
    }

    async fn change(&self, changed: ChangedPatient) -> Result<(), WriteError> {
        let mut rows = locked(&self.rows);
        match rows.get_mut(&changed.patient.id) {
            Some(known) if known.version + 1 == changed.patient.version => {
                if known.restricted && !changed.patient.restricted {
                    let now = changed.trail.event.at;
                    let mut accesses = locked(&self.accesses);
                    for access in accesses.iter_mut().filter(|access| access.patient == known.id) {
                        access.ends_at = access.ends_at.min(now);
                    }
                }
                self.label(&changed.patient);
                *known = changed.patient;
                self.journal.keep(changed.trail);
                Ok(())
            }
            _ => Err(WriteError::Stale),
        }
    }

    async fn find(&self, id: PatientId) -> Result<Option<Patient>, StoreError> {
        Ok(locked(&self.rows).get(&id).cloned())
    }

    async fn by_mrn(&self, mrn: Mrn) -> Result<Option<Patient>, StoreError> {
        Ok(locked(&self.rows).values().find(|patient| patient.mrn == mrn).cloned())
    }

    async fn search(
        &self,
        terms: &SearchTerms,
        reader: Option<AccountId>,
        page: &PageRequest,
    ) -> Result<Page<Patient>, StoreError> {
        let first = &terms.as_slice()[0];
        let place = |patient: &Patient| {
            let word = index_words(patient).into_iter().filter(|word| word.starts_with(first)).min();
            (word.unwrap_or_default(), patient.id.as_uuid())
        };
        let mut found: Vec<Patient> =
            locked(&self.rows).values().filter(|patient| terms.matches(patient)).cloned().collect();
        found.retain(|patient| self.confidentiality.shows(patient.id, reader));
        found.sort_by_cached_key(place);
        if let Some(after) = &page.after {
            found.retain(|patient| place(patient) > (after.sort_key.clone(), after.id));
        }
        Ok(Page::of_rows(found, page.limit, |last| {
            let (sort_key, id) = place(last);
            Cursor { sort_key, id }
        }))
    }

    async fn list(&self, reader: Option<AccountId>, page: &PageRequest) -> Result<Page<Patient>, StoreError> {
        let mut all: Vec<Patient> = locked(&self.rows).values().cloned().collect();
        all.retain(|patient| self.confidentiality.shows(patient.id, reader));
        all.sort_by_key(|patient| std::cmp::Reverse((patient.registered_at, patient.id)));
        if let Ok(Some((time, id))) = page.after_time() {
            all.retain(|patient| (patient.registered_at, patient.id.as_uuid()) < (time, id));
        }
        Ok(Page::of_rows(all, page.limit, |last| Cursor::at(last.registered_at, last.id.as_uuid())))
    }

    async fn named(&self, part: &NamePart, reader: Option<AccountId>, most: usize) -> Result<Vec<Patient>, StoreError> {
        let mut found: Vec<Patient> =
            locked(&self.rows).values().filter(|patient| part.is_in(&patient.name)).cloned().collect();
        found.retain(|patient| self.confidentiality.shows(patient.id, reader));
        found.sort_by_key(|patient| (patient.registered_at, patient.id));
        found.truncate(most);
        Ok(found)
    }

    async fn candidates(&self, patient: &Patient, reader: Option<AccountId>) -> Result<Vec<Patient>, StoreError> {
        let name = fold(patient.name.as_str());
        let same = |known: &&Patient| {
            (patient.phone.is_some() && known.phone == patient.phone)
                || (patient.birth_date.is_some()
                    && known.birth_date == patient.birth_date
                    && fold(known.name.as_str()) == name)
        };
        let shown = |known: &&Patient| self.confidentiality.shows(known.id, reader);
        Ok(locked(&self.rows).values().filter(same).filter(shown).take(MAX_CANDIDATES).cloned().collect())
    }
}

#[async_trait]
impl CareTeamStore for MemoryPatients {
    async fn add(&self, added: AddedMember) -> Result<bool, WriteError> {
        let rows = locked(&self.rows);
        let (mut members, new) = (locked(&self.members), added.member);
        if !rows.contains_key(&new.patient) {
            return Err(WriteError::Conflict { law: CareTeamMember::OF_A_KNOWN_PATIENT });
        }
        let of_team = || members.iter().filter(|member| member.patient == new.patient);
        if of_team().any(|member| member.account == new.account) {
            return Ok(false);
        }
        if of_team().count() >= CareTeamMember::MAX_PER_PATIENT {
            return Err(WriteError::Conflict { law: CareTeamMember::FULL });
        }
        self.confidentiality.add_to_care_team(new.patient, new.account);
        members.push(new);
        self.journal.keep(added.trail);
        Ok(true)
    }

    async fn remove(&self, removed: RemovedMember) -> Result<(), WriteError> {
        let mut members = locked(&self.members);
        if !self.confidentiality.remove_from_care_team(removed.patient, removed.account) {
            return Err(WriteError::Stale);
        }
        members.retain(|member| (member.patient, member.account) != (removed.patient, removed.account));
        self.journal.keep(removed.trail);
        Ok(())
    }

    async fn members(&self, patient: PatientId) -> Result<Vec<CareTeamMember>, StoreError> {
        let members = locked(&self.members);
        let mut team: Vec<_> = members.iter().filter(|member| member.patient == patient).cloned().collect();
        team.sort_by_key(|member| (member.added_at, member.account));
        Ok(team)
    }

    async fn start_emergency_access(&self, started: StartedEmergencyAccess) -> Result<Written, WriteError> {
        let rows = locked(&self.rows);
        if let Some(before) = self.journal.repeated(&started.trail)? {
            return Ok(before);
        }
        let access = started.access;
        if !rows.contains_key(&access.patient) {
            return Err(WriteError::Conflict { law: CareTeamMember::OF_A_KNOWN_PATIENT });
        }
        self.confidentiality.break_glass(access.patient, access.session, access.ends_at);
        locked(&self.accesses).push(access);
        Ok(self.journal.keep(started.trail))
    }

    async fn emergency_accesses(
        &self,
        patient: PatientId,
        page: &PageRequest,
    ) -> Result<Page<EmergencyAccess>, StoreError> {
        let accesses = locked(&self.accesses);
        let mut found: Vec<_> = accesses.iter().filter(|access| access.patient == patient).cloned().collect();
        found.sort_by_key(|access| std::cmp::Reverse((access.started_at, access.id)));
        if let Ok(Some((time, id))) = page.after_time() {
            found.retain(|access| (access.started_at, access.id.as_uuid()) < (time, id));
        }
        Ok(Page::of_rows(found, page.limit, EmergencyAccess::cursor))
    }
}

#[async_trait]
impl Confidentiality for MemoryPatients {
    async fn standing(
        &self,
        patient: PatientId,
        account: AccountId,
        session: SessionId,
        at: Timestamp,
    ) -> Result<Standing, StoreError> {
        if !locked(&self.rows).contains_key(&patient) {
            return Ok(Standing::NoRecord);
        }
        self.confidentiality.standing(patient, account, session, at).await
    }
}
