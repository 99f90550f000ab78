use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use futures_util::future::{try_join, try_join_all};
use infirmary_kernel::{
    AccountId, BirthDate, Cursor, EmailAddress, NamePart, Page, PageRequest, PatientId, PersonName, PhoneNumber,
    PostalAddress, StoreError, Trail, WriteError, Written, fold,
};
use infirmary_patients::{
    ChangedPatient, MAX_CANDIDATES, Mrn, Patient, PatientStore, RegisteredPatient, SearchTerms, index_words,
};
use mongodb::bson::{Document, RawDocument, RawDocumentBuf, doc};
use uuid::Uuid;

use crate::{
    MongoStore,
    care_teams::{self, given_to},
    documents::{DocumentExt, Fields, id, number, setting, time, uuid},
    reads::{Query, after_place, newest_first, one_more},
    schema::{COUNTERS, PATIENT_WORDS, PATIENTS},
    transaction::{Transaction, Write},
};

/// Of a patient; those that are not set are not there.
const OPTIONAL: [&str; 7] = ["birth_date", "sex", "phone", "email", "address", "account", "restricted"];

#[async_trait]
impl Write for RegisteredPatient {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        insert(transaction, &self.patient).await
    }
}

#[async_trait]
impl Write for ChangedPatient {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        let changed = &self.patient;
        let before = transaction.find_one(&PATIENTS, doc! { "_id": id(changed.id) }).await?;
        let before = before.map(|before| patient(&before)).transpose()?.ok_or(WriteError::Stale)?;
        let due = doc! { "_id": id(changed.id), "version": number(i64::from(changed.version) - 1) };
        if !transaction.update(&PATIENTS, due, setting(document(changed), &OPTIONAL)).await? {
            return Err(WriteError::Stale);
        }
        if before.restricted && !changed.restricted {
            care_teams::end_emergency_access(transaction, changed.id, self.trail.event.at).await?;
        }
        let (old, new) = (Entries::of(&before), Entries::of(changed));
        if old.words != new.words {
            transaction.delete(&PATIENT_WORDS, doc! { "_id": { "$in": old.ids() } }).await?;
            transaction.insert_all(&PATIENT_WORDS, new.documents()).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl PatientStore for MongoStore {
    async fn next_mrn(&self) -> Result<Mrn, StoreError> {
        self.take_mrns(1).await
    }

    async fn register(&self, registered: RegisteredPatient) -> Result<Written, WriteError> {
        self.write(&registered).await
    }

    async fn change(&self, changed: ChangedPatient) -> Result<(), WriteError> {
        self.write(&changed).await.map(|_| ())
    }

    async fn find(&self, sought: PatientId) -> Result<Option<Patient>, StoreError> {
        let found = self.find_one(&PATIENTS, doc! { "_id": id(sought) }).await?;
        found.map(|found| patient(&found)).transpose()
    }

    async fn by_mrn(&self, mrn: Mrn) -> Result<Option<Patient>, StoreError> {
        let sought = doc! { "mrn": number(i64::try_from(mrn.serial()).unwrap_or(i64::MAX)) };
        self.find_one(&PATIENTS, sought).await?.map(|found| patient(&found)).transpose()
    }

    async fn search(
        &self,
        terms: &SearchTerms,
        reader: Option<AccountId>,
        page: &PageRequest,
    ) -> Result<Page<Patient>, StoreError> {
        let Some((first, others)) = terms.as_slice().split_first() else {
            return Ok(Page { items: Vec::new(), next: None });
        };
        let rare = match others {
            [] => None,
            _ => self.rarest(terms.as_slice()).await?.filter(|rare| rare != first),
        };
        let (mut found, mut rest) = (Vec::new(), page.clone());
        loop {
            let places = match &rare {
                Some(rare) => self.places_of_rare(rare, terms, &rest).await?,
                None => self.places_in_order(first, others, &rest).await?,
            };
            // There may be more behind them, and those who are not given to the reader leave room for it.
            let last = places.last().filter(|_| places.len() == one_more(&rest)).cloned();
            found.extend(self.at_places(places, reader).await?);
            match last {
                Some((word, last)) if found.len() < one_more(page) => {
                    rest.after = Some(Cursor { sort_key: word, id: last.as_uuid() });
                }
                _ => break,
            }
        }
        found.truncate(one_more(page));
        let page =
            Page::of_rows(found, page.limit, |(word, last)| Cursor { sort_key: word.clone(), id: last.id.as_uuid() });
        Ok(page.map(|(_, patient)| patient))
    }

    async fn list(&self, reader: Option<AccountId>, page: &PageRequest) -> Result<Page<Patient>, StoreError> {
        let query = Query {
            filter: after_place(given_to(doc! {}, reader), "registered_at", page),
            sort: newest_first("registered_at"),
            limit: one_more(page),
            index: "time",
        };
        let found = self.find(&PATIENTS, query).await?;
        let patients = found.iter().map(|found| patient(found)).collect::<Result<_, _>>()?;
        Ok(Page::of_rows(patients, page.limit, |last| Cursor::at(last.registered_at, last.id.as_uuid())))
    }

    /// Walks along the index of time, oldest first: which names have a part of a word in them no index tells.
    async fn named(&self, part: &NamePart, reader: Option<AccountId>, most: usize) -> Result<Vec<Patient>, StoreError> {
        // As a literal, so that nothing in it is an expression.
        let place = doc! { "$indexOfBytes": ["$folded_name", { "$literal": part.folded() }] };
        let query = Query {
            filter: given_to(doc! { "$expr": { "$gte": [place, 0] } }, reader),
            sort: doc! { "registered_at": 1, "_id": 1 },
            limit: most,
            index: "time",
        };
        self.find(&PATIENTS, query).await?.iter().map(|found| patient(found)).collect()
    }

    async fn candidates(&self, sought: &Patient, reader: Option<AccountId>) -> Result<Vec<Patient>, StoreError> {
        let alike = async |filter: Option<Document>, index| match filter {
            Some(filter) => {
                let filter = given_to(filter, reader);
                self.find(&PATIENTS, Query { filter, sort: doc! {}, limit: MAX_CANDIDATES, index }).await
            }
            None => Ok(Vec::new()),
        };
        let phone = sought.phone.as_ref().map(|phone| doc! { "phone": phone.as_str() });
        let folded_name = fold(sought.name.as_str());
        let born = sought.birth_date.map(|date| doc! { "folded_name": folded_name, "birth_date": date.to_string() });
        let (by_phone, by_birth) = try_join(alike(phone, "phone"), alike(born, "name_and_birth_date")).await?;
        let found = by_phone.iter().chain(&by_birth).map(|found| patient(found)).collect::<Result<Vec<_>, _>>()?;
        let mut seen = BTreeSet::new();
        let distinct = found.into_iter().filter(|candidate| seen.insert(candidate.id));
        Ok(distinct.take(MAX_CANDIDATES).collect())
    }
}

pub(crate) async fn insert(transaction: &mut Transaction<'_>, new: &Patient) -> Result<(), WriteError> {
    transaction.insert(&PATIENTS, document(new)).await?;
    transaction.insert_all(&PATIENT_WORDS, words_of(new)).await
}

/// For [`PATIENT_WORDS`].
pub(crate) fn words_of(patient: &Patient) -> Vec<Document> {
    Entries::of(patient).documents()
}

pub(crate) fn document(patient: &Patient) -> Document {
    doc! {
        "_id": id(patient.id),
        "mrn": number(i64::try_from(patient.mrn.serial()).unwrap_or(i64::MAX)),
        "name": patient.name.as_str(),
        "folded_name": fold(patient.name.as_str()),
        "registered_at": time(patient.registered_at),
        "version": number(patient.version),
    }
    .with("birth_date", patient.birth_date.map(|date| date.to_string()))
    .with("sex", patient.sex.map(|sex| sex.as_str()))
    .with("phone", patient.phone.as_ref().map(PhoneNumber::as_str))
    .with("email", patient.email.as_ref().map(EmailAddress::as_str))
    .with("address", patient.address.as_ref().map(PostalAddress::as_str))
    .with("account", patient.account.map(id))
    .with("restricted", patient.restricted.then_some(true))
}

pub(crate) fn patient(found: &RawDocument) -> Result<Patient, StoreError> {
    Ok(Patient {
        id: found.id("_id")?,
        mrn: Mrn::from_serial(found.number("mrn")?),
        name: found.parsed("name", PersonName::parse)?,
        birth_date: found.optional_parsed("birth_date", BirthDate::parse)?,
        sex: found.optional_parsed("sex", str::parse)?,
        phone: found.optional_parsed("phone", PhoneNumber::parse)?,
        email: found.optional_parsed("email", EmailAddress::parse)?,
        address: found.optional_parsed("address", PostalAddress::parse)?,
        account: found.optional_id("account")?,
        registered_at: found.time("registered_at")?,
        restricted: found.optional_flag("restricted")?.unwrap_or(false),
        version: found.number("version")?,
    })
}

/// What a patient is found by: one document for each word.
struct Entries {
    patient: PatientId,
    words: BTreeSet<String>,
}

impl Entries {
    fn of(patient: &Patient) -> Self {
        Self { patient: patient.id, words: index_words(patient).into_iter().collect() }
    }

    fn entry_id(&self, word: &str) -> String {
        format!("{word}:{}", self.patient)
    }

    fn ids(&self) -> Vec<String> {
        self.words.iter().map(|word| self.entry_id(word)).collect()
    }

    fn documents(&self) -> Vec<Document> {
        let all: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let before = std::iter::once("").chain(all.iter().copied());
        all.iter()
            .zip(before)
            .map(|(word, before)| {
                doc! {
                    "_id": self.entry_id(word),
                    "word": *word,
                    "patient": id(self.patient),
                    "words": all.clone(),
                    "before": before,
                }
            })
            .collect()
    }
}

/// Words that begin with `term`: no word has a code point that is none of a character.
fn beginning_with(term: &str) -> Document {
    doc! { "$gte": term, "$lt": format!("{term}\u{10ffff}") }
}

/// A term that fewer words begin with is read whole and sorted; one that more begin with is walked in the order of the index,
/// and the walk ends with the page.
const RARE_WORDS: usize = 1_000;

/// A patient in the order of the list: by the first word that begins with the first term.
type Place = (String, PatientId);
type Found = (String, Patient);

impl MongoStore {
    /// The first of so many record numbers in a row.
    pub(crate) async fn take_mrns(&self, count: u64) -> Result<Mrn, StoreError> {
        let more = doc! { "$inc": { "last": number(i64::try_from(count).unwrap_or(i64::MAX)) } };
        let taken = self.change_or_make(&COUNTERS, doc! { "_id": "mrn" }, more.clone()).await?;
        // Of those who ask for the very first number at once, one makes the counter.
        let taken = match taken {
            Some(taken) => Some(taken),
            None => self.change_one(&COUNTERS, doc! { "_id": "mrn" }, more).await?,
        };
        let gone = || StoreError::Unavailable { reason: "the counter of record numbers is gone".to_owned() };
        let last: u64 = taken.ok_or_else(gone)?.number("last")?;
        Ok(Mrn::from_serial((last + 1).saturating_sub(count)))
    }

    /// The first part of the words that begin with the first term, in the order of the index; further terms are compared at
    /// each. Of the entries of a patient the first one counts: the one before it begins otherwise.
    async fn places_in_order(
        &self,
        first: &str,
        others: &[String],
        page: &PageRequest,
    ) -> Result<Vec<Place>, StoreError> {
        let mut word = beginning_with(first);
        let mut filter = doc! { "before": { "$lt": first } };
        if let Some(after) = &page.after {
            word.insert("$gte", after.sort_key.as_str());
            let until = doc! { "word": after.sort_key.as_str(), "patient": { "$lte": uuid(after.id) } };
            filter = filter.but_not(until);
        }
        filter.insert("word", word);
        if !others.is_empty() {
            let each = others.iter().map(|term| doc! { "words": { "$elemMatch": beginning_with(term) } });
            filter.insert("$and", each.collect::<Vec<_>>());
        }
        let sort = doc! { "word": 1, "patient": 1 };
        let entries = self.find(&PATIENT_WORDS, Query { filter, sort, limit: one_more(page), index: "word" }).await?;
        entries.iter().map(|entry| Ok((entry.text("word")?.to_owned(), entry.id("patient")?))).collect()
    }

    /// When a further term is rare and the first is not, the index of the first would be walked through many words for a few
    /// matches: so the entries of the rare one are read, and sorted.
    async fn places_of_rare(
        &self,
        rare: &str,
        terms: &SearchTerms,
        page: &PageRequest,
    ) -> Result<Vec<Place>, StoreError> {
        let filter = doc! { "word": beginning_with(rare), "before": { "$lt": rare } };
        let query = Query { filter, sort: doc! {}, limit: RARE_WORDS, index: "word" };
        let entries = self.find(&PATIENT_WORDS, query).await?;
        let mut places = Vec::new();
        for entry in &entries {
            let words = entry.texts("words")?;
            let begun = |term: &String| words.iter().copied().find(|word| word.starts_with(term.as_str()));
            let firsts: Option<Vec<&str>> = terms.as_slice().iter().map(begun).collect();
            if let Some(word) = firsts.and_then(|firsts| firsts.first().copied()) {
                places.push((word.to_owned(), entry.id("patient")?));
            }
        }
        let place = |(word, patient): &Place| (word.clone(), patient.as_uuid());
        let after: (String, Uuid) =
            page.after.as_ref().map_or((String::new(), Uuid::nil()), |after| (after.sort_key.clone(), after.id));
        places.retain(|found| place(found) > after);
        places.sort_by_cached_key(place);
        places.truncate(one_more(page));
        Ok(places)
    }

    /// The patients of these places that are given to the reader, in their order.
    async fn at_places(&self, places: Vec<Place>, reader: Option<AccountId>) -> Result<Vec<Found>, StoreError> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        // The ids alone lead to the documents; beside a `$nor` not every server follows them.
        let (by_id, given) =
            (Query::with_ids(places.iter().map(|(_, id)| *id)), doc! { "$match": given_to(doc! {}, reader) });
        let found = self.find_through(&PATIENTS, by_id, vec![given], Vec::new()).await?;
        let found = found.iter().map(|found| patient(found).map(|found| (found.id, found)));
        let mut patients: HashMap<PatientId, Patient> = found.collect::<Result<_, _>>()?;
        Ok(places.into_iter().filter_map(|(word, id)| Some((word, patients.remove(&id)?))).collect())
    }

    /// The term that the fewest words begin with, when those are few.
    async fn rarest(&self, terms: &[String]) -> Result<Option<String>, StoreError> {
        let counts = try_join_all(terms.iter().map(async |term| {
            let count = vec![
                doc! { "$match": { "word": beginning_with(term) } },
                doc! { "$limit": RARE_WORDS as i64 + 1 },
                doc! { "$count": "words" },
            ];
            let counted: Vec<RawDocumentBuf> = self.aggregate(&PATIENT_WORDS, count).await?;
            let words: usize = counted.first().map_or(Ok(0), |counted| counted.number("words"))?;
            Ok::<_, StoreError>((words, term.clone()))
        }))
        .await?;
        Ok(counts.into_iter().filter(|(words, _)| *words <= RARE_WORDS).min().map(|(_, term)| term))
    }
}
