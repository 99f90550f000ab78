use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use infirmary_kernel::{
    Cursor, NamePart, Page, PageRequest, PatientId, StoreError, WriteError, Written, fold,
    testing::{MemoryJournal, locked},
};

use crate::{
    ChangedPatient, Mrn, Patient, PatientStore, RegisteredPatient, SearchTerms, index_words, ports::MAX_CANDIDATES,
};

/// The registry in memory. Clones are the same registry.
#[derive(Clone, Default)]
pub struct MemoryPatients {
    rows: Arc<Mutex<BTreeMap<PatientId, Patient>>>,
    last_serial: Arc<Mutex<u64>>,
    pub journal: MemoryJournal,
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
        rows.insert(new.id, new);
        Ok(self.journal.keep(registered.trail))
    }

    async fn change(&self, changed: ChangedPatient) -> Result<(), WriteError> {
        let mut rows = locked(&self.rows);
        match rows.get_mut(&changed.patient.id) {
            Some(known) if known.version + 1 == changed.patient.version => {
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

    async fn search(&self, terms: &SearchTerms, page: &PageRequest) -> Result<Page<Patient>, StoreError> {
        let first = &terms.as_slice()[0];
        let place = |patient: &Patient| {
            let word = index_words(patient).into_iter().filter(|word| word.starts_with(first)).min();
            (word.unwrap_or_default(), patient.id.as_uuid())
        };
        let mut found: Vec<Patient> =
            locked(&self.rows).values().filter(|patient| terms.matches(patient)).cloned().collect();
        found.sort_by_cached_key(place);
        if let Some(after) = &page.after {
            found.retain(|patient| place(patient) > (after.sort_key.clone(), after.id));
        }
        Ok(Page::of_rows(found, page.limit, |last| {
            let (sort_key, id) = place(last);
            Cursor { sort_key, id }
        }))
    }

    async fn list(&self, page: &PageRequest) -> Result<Page<Patient>, StoreError> {
        let mut all: Vec<Patient> = locked(&self.rows).values().cloned().collect();
        all.sort_by_key(|patient| std::cmp::Reverse((patient.registered_at, patient.id)));
        if let Ok(Some((time, id))) = page.after_time() {
            all.retain(|patient| (patient.registered_at, patient.id.as_uuid()) < (time, id));
        }
        Ok(Page::of_rows(all, page.limit, |last| Cursor::at(last.registered_at, last.id.as_uuid())))
    }

    async fn named(&self, part: &NamePart, most: usize) -> Result<Vec<Patient>, StoreError> {
        let mut found: Vec<Patient> =
            locked(&self.rows).values().filter(|patient| part.is_in(&patient.name)).cloned().collect();
        found.sort_by_key(|patient| (patient.registered_at, patient.id));
        found.truncate(most);
        Ok(found)
    }

    async fn candidates(&self, patient: &Patient) -> Result<Vec<Patient>, StoreError> {
        let name = fold(patient.name.as_str());
        let same = |known: &&Patient| {
            (patient.phone.is_some() && known.phone == patient.phone)
                || (patient.birth_date.is_some()
                    && known.birth_date == patient.birth_date
                    && fold(known.name.as_str()) == name)
        };
        Ok(locked(&self.rows).values().filter(same).take(MAX_CANDIDATES).cloned().collect())
    }
}
