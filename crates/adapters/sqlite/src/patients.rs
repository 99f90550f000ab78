use std::collections::BTreeSet;

use async_trait::async_trait;
use infirmary_kernel::{
    AccountId, BirthDate, Cursor, EmailAddress, NamePart, Page, PageRequest, PatientId, PersonName, PhoneNumber,
    PostalAddress, StoreError, Timestamp, WriteError, Written, fold,
};
use infirmary_patients::{
    ChangedPatient, MAX_CANDIDATES, Mrn, Patient, PatientStore, RegisteredPatient, SearchTerms, index_words,
};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use crate::{
    SqliteStore, care_teams,
    rows::{OrWriteError, RowExt, blob, id_of, optional_blob, place_after, unopposed},
    writer::Transaction,
};

const LAWS: &[(&str, &str)] = &[("patients.mrn", "mrn"), ("patients.account", "account")];

/// Of the patient `p`, in the order in which [`patient`] reads them.
macro_rules! patient_columns {
    () => {
        "p.id, p.mrn, p.name, p.birth_date, p.sex, p.phone, p.email, p.address, p.account, p.registered_at, p.version,
         p.restricted"
    };
}

pub(crate) use patient_columns;

/// Whether the patient `p` is given to the reader in the parameter `$reader`; without a reader each is.
macro_rules! shown {
    ($reader:literal) => {
        concat!(
            "(NOT p.restricted OR ",
            $reader,
            " IS NULL OR EXISTS (SELECT 1 FROM care_teams c WHERE c.patient = p.id AND c.account = ",
            $reader,
            "))"
        )
    };
}

#[async_trait]
impl PatientStore for SqliteStore {
    async fn next_mrn(&self) -> Result<Mrn, StoreError> {
        let taken = self.write(|transaction| {
            transaction
                .prepare_cached("UPDATE mrn_counter SET last = last + 1 WHERE only = 1 RETURNING last")
                .and_then(|mut take| take.query_row((), |row| row.get(0)))
                .or_write_error()
        });
        taken.await.map(Mrn::from_serial).map_err(unopposed)
    }

    async fn register(&self, registered: RegisteredPatient) -> Result<Written, WriteError> {
        self.write(move |transaction| {
            if let Some(before) = transaction.repeated(&registered.trail)? {
                return Ok(before);
            }
            insert(transaction, &registered.patient)?;
            transaction.keep(&registered.trail)
        })
        .await
    }

    async fn change(&self, changed: ChangedPatient) -> Result<(), WriteError> {
        self.write(move |transaction| {
            update(transaction, &changed.patient, changed.trail.event.at)?;
            transaction.keep(&changed.trail).map(|_| ())
        })
        .await
    }

    async fn find(&self, id: PatientId) -> Result<Option<Patient>, StoreError> {
        self.look_up(move |connection| find(connection, id)).await
    }

    async fn by_mrn(&self, mrn: Mrn) -> Result<Option<Patient>, StoreError> {
        self.look_up(move |connection| {
            connection
                .prepare_cached(concat!("SELECT ", patient_columns!(), " FROM patients p WHERE p.mrn = ?"))?
                .query_row([mrn.serial()], patient)
                .optional()
        })
        .await
    }

    async fn search(
        &self,
        terms: &SearchTerms,
        reader: Option<AccountId>,
        page: &PageRequest,
    ) -> Result<Page<Patient>, StoreError> {
        let (terms, page) = (terms.clone(), page.clone());
        self.read_snapshot(move |connection| search(connection, &terms, reader, &page)).await
    }

    async fn list(&self, reader: Option<AccountId>, page: &PageRequest) -> Result<Page<Patient>, StoreError> {
        let (time, id) = place_after(page);
        let limit = page.limit;
        self.read(move |connection| {
            let rows = connection
                .prepare_cached(concat!(
                    "SELECT ",
                    patient_columns!(),
                    " FROM patients p WHERE (p.registered_at, p.id) < (?1, ?2) AND ",
                    shown!("?4"),
                    " ORDER BY p.registered_at DESC, p.id DESC LIMIT ?3"
                ))?
                .query_map(params![time, id, limit.get() + 1, optional_blob(reader)], patient)?
                .collect::<Result<Vec<_>, _>>()?;
            Ok(Page::of_rows(rows, limit, |last| Cursor::at(last.registered_at, last.id.as_uuid())))
        })
        .await
    }

    /// Walks: which names have a part of a word in them no index tells. A walk of a hundred thousand takes tenths of a second.
    async fn named(&self, part: &NamePart, reader: Option<AccountId>, most: usize) -> Result<Vec<Patient>, StoreError> {
        let part = part.clone();
        self.read(move |connection| {
            connection
                .prepare_cached(concat!(
                    "SELECT ",
                    patient_columns!(),
                    " FROM patients p WHERE instr(p.folded_name, ?1) > 0 AND ",
                    shown!("?3"),
                    " ORDER BY p.registered_at, p.id LIMIT ?2"
                ))?
                .query_map(params![part.folded(), most, optional_blob(reader)], patient)?
                .collect()
        })
        .await
    }

    async fn candidates(
        &self,
        patient_sought: &Patient,
        reader: Option<AccountId>,
    ) -> Result<Vec<Patient>, StoreError> {
        let sought = patient_sought.clone();
        self.read(move |connection| {
            connection
                .prepare_cached(concat!(
                    "SELECT ",
                    patient_columns!(),
                    " FROM patients p WHERE p.phone = ?1 AND ",
                    shown!("?5"),
                    " UNION SELECT ",
                    patient_columns!(),
                    " FROM patients p WHERE p.folded_name = ?2 AND p.birth_date = ?3 AND ",
                    shown!("?5"),
                    " LIMIT ?4"
                ))?
                .query_map(
                    params![
                        sought.phone.as_ref().map(PhoneNumber::as_str),
                        fold(sought.name.as_str()),
                        sought.birth_date.map(|date| date.to_string()),
                        MAX_CANDIDATES,
                        optional_blob(reader),
                    ],
                    patient,
                )?
                .collect()
        })
        .await
    }
}

pub(crate) fn find(connection: &Connection, id: PatientId) -> rusqlite::Result<Option<Patient>> {
    connection
        .prepare_cached(concat!("SELECT ", patient_columns!(), " FROM patients p WHERE p.id = ?"))?
        .query_row([blob(id)], patient)
        .optional()
}

pub(crate) fn insert(transaction: &Transaction<'_>, new: &Patient) -> Result<(), WriteError> {
    transaction
        .prepare_cached(
            "INSERT INTO patients (id, mrn, name, folded_name, birth_date, sex, phone, email, address, account,
             registered_at, version, restricted) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        )
        .and_then(|mut insert| bind(new, |values| insert.execute(values)))
        .or_conflict(LAWS)?;
    insert_words(transaction, new)
}

pub(crate) fn update(transaction: &Transaction<'_>, changed: &Patient, at: Timestamp) -> Result<(), WriteError> {
    let before = find(transaction, changed.id).or_write_error()?.ok_or(WriteError::Stale)?;
    let updated = transaction
        .prepare_cached(
            "UPDATE patients SET mrn = ?2, name = ?3, folded_name = ?4, birth_date = ?5, sex = ?6, phone = ?7, email = ?8,
             address = ?9, account = ?10, registered_at = ?11, version = ?12, restricted = ?13 WHERE id = ?1 AND version = ?12 - 1",
        )
        .and_then(|mut update| bind(changed, |values| update.execute(values)))
        .or_conflict(LAWS)?;
    if updated == 0 {
        return Err(WriteError::Stale);
    }
    if before.restricted && !changed.restricted {
        care_teams::end_emergency_access(transaction, changed.id, at)?;
    }
    if index_words(&before) != index_words(changed) {
        transaction
            .prepare_cached("DELETE FROM patient_words WHERE word = ? AND patient = ?")
            .and_then(|mut delete| {
                index_words(&before)
                    .iter()
                    .try_for_each(|word| delete.execute(params![word, blob(changed.id)]).map(|_| ()))
            })
            .or_write_error()?;
        insert_words(transaction, changed)?;
    }
    Ok(())
}

/// The values of a row, in the order of both statements above.
fn bind<T>(patient: &Patient, run: impl FnOnce(&[&dyn ToSql]) -> T) -> T {
    run(params![
        blob(patient.id),
        patient.mrn.serial(),
        patient.name.as_str(),
        fold(patient.name.as_str()),
        patient.birth_date.map(|date| date.to_string()),
        patient.sex.map(|sex| sex.as_str()),
        patient.phone.as_ref().map(PhoneNumber::as_str),
        patient.email.as_ref().map(EmailAddress::as_str),
        patient.address.as_ref().map(PostalAddress::as_str),
        optional_blob(patient.account),
        patient.registered_at.unix_ms(),
        patient.version,
        patient.restricted,
    ])
}

fn insert_words(transaction: &Transaction<'_>, patient: &Patient) -> Result<(), WriteError> {
    let words = Words::of(patient);
    transaction
        .prepare_cached("INSERT INTO patient_words (word, patient, words) VALUES (?, ?, ?)")
        .and_then(|mut insert| {
            words.each().try_for_each(|word| insert.execute(params![word, blob(patient.id), words.0]).map(|_| ()))
        })
        .or_write_error()
}

/// All words of a patient as an entry of the index has them: sorted, each once, with a space before and after each.
struct Words<T>(T);

impl Words<String> {
    fn of(patient: &Patient) -> Self {
        let words: BTreeSet<String> = index_words(patient).into_iter().collect();
        Self(words.iter().fold(String::from(" "), |all, word| all + word + " "))
    }
}

impl<T: AsRef<str>> Words<T> {
    fn each(&self) -> impl Iterator<Item = &str> {
        self.0.as_ref().split_terminator(' ').skip(1)
    }

    /// The first word that begins with the term: of the entries of a patient, the one that counts.
    fn first(&self, term: &str) -> Option<&str> {
        self.each().find(|word| word.starts_with(term))
    }

    fn match_all(&self, terms: &[String]) -> bool {
        terms.iter().all(|term| self.first(term).is_some())
    }
}

pub(crate) fn patient(row: &Row<'_>) -> rusqlite::Result<Patient> {
    Ok(Patient {
        id: row.id(0)?,
        mrn: Mrn::from_serial(row.get(1)?),
        name: row.parsed(2, PersonName::parse)?,
        birth_date: row.optional_parsed(3, BirthDate::parse)?,
        sex: row.optional_parsed(4, str::parse)?,
        phone: row.optional_parsed(5, PhoneNumber::parse)?,
        email: row.optional_parsed(6, EmailAddress::parse)?,
        address: row.optional_parsed(7, PostalAddress::parse)?,
        account: row.optional_id(8)?,
        registered_at: row.time(9)?,
        version: row.get(10)?,
        restricted: row.get(11)?,
    })
}

/// Words that begin with `term` are those from `term` to before this: no word has a code point that is none of a character.
fn end_of(term: &str) -> String {
    format!("{term}\u{10ffff}")
}

/// A term that fewer words begin with is looked up whole and sorted; one that more begin with is walked in the order of the
/// index, and the walk ends with the page.
const RARE_WORDS: usize = 2_000;

/// A patient in the order of the list: by the first word that begins with the first term.
type Place = (String, [u8; 16]);

/// The page is the first part of the words that begin with the first term, in the order of the index; further terms are
/// compared at each. When a further term is rare and the first is not, that would walk through many words for a few
/// matches: then the entries of the rare term are read and sorted.
fn search(
    connection: &Connection,
    terms: &SearchTerms,
    reader: Option<AccountId>,
    page: &PageRequest,
) -> rusqlite::Result<Page<Patient>> {
    let Some((first, others)) = terms.as_slice().split_first() else {
        return Ok(Page { items: Vec::new(), next: None });
    };
    let after: Place =
        page.after.as_ref().map_or((String::new(), [0; 16]), |after| (after.sort_key.clone(), after.id.into_bytes()));
    let most = page.limit.get() + 1;
    let rare = match others {
        [] => None,
        _ if begins(connection, first)? <= RARE_WORDS => None,
        _ => rarest(connection, others)?,
    };
    let rows = match rare {
        Some(rare) => sort(connection, &rare, terms.as_slice(), reader, &after, most)?,
        None => walk(connection, first, others, reader, &after, most)?,
    };
    let page = Page::of_rows(rows, page.limit, |(word, last)| Cursor { sort_key: word.clone(), id: last.id.as_uuid() });
    Ok(page.map(|(_, patient)| patient))
}

fn walk(
    connection: &Connection,
    first: &str,
    others: &[String],
    reader: Option<AccountId>,
    after: &Place,
    most: usize,
) -> rusqlite::Result<Vec<(String, Patient)>> {
    let mut query = connection.prepare_cached(
        "SELECT word, patient, words FROM patient_words
         WHERE word >= ?1 AND word < ?2 AND (word, patient) > (?3, ?4) ORDER BY word, patient",
    )?;
    let mut entries = query.query(params![first, end_of(first), after.0, after.1])?;
    let mut rows = Vec::new();
    while rows.len() < most
        && let Some(entry) = entries.next()?
    {
        let (word, words) = (entry.get_ref(0)?.as_str()?, Words(entry.get_ref(2)?.as_str()?));
        if words.first(first) == Some(word) && words.match_all(others) {
            rows.extend(given(connection, entry.id(1)?, reader)?.map(|patient| (word.to_owned(), patient)));
        }
    }
    Ok(rows)
}

fn sort(
    connection: &Connection,
    rare: &str,
    terms: &[String],
    reader: Option<AccountId>,
    after: &Place,
    most: usize,
) -> rusqlite::Result<Vec<(String, Patient)>> {
    let mut query =
        connection.prepare_cached("SELECT patient, words FROM patient_words WHERE word >= ?1 AND word < ?2")?;
    let mut entries = query.query(params![rare, end_of(rare)])?;
    // A set: two words of one patient may begin with the term.
    let mut places = BTreeSet::new();
    while let Some(entry) = entries.next()? {
        let words = Words(entry.get_ref(1)?.as_str()?);
        if let Some(word) = terms.first().and_then(|first| words.first(first))
            && words.match_all(terms)
        {
            places.insert((word.to_owned(), entry.get(0)?));
        }
    }
    let mut rows = Vec::new();
    for (word, id) in places.into_iter().filter(|place| place > after) {
        if rows.len() == most {
            break;
        }
        rows.extend(given(connection, id_of(id), reader)?.map(|patient| (word, patient)));
    }
    Ok(rows)
}

/// The patient, when they are given to the reader. The team is looked at for who is restricted only.
fn given(connection: &Connection, id: PatientId, reader: Option<AccountId>) -> rusqlite::Result<Option<Patient>> {
    let Some(found) = find(connection, id)? else { return Ok(None) };
    let Some(reader) = reader.filter(|_| found.restricted) else { return Ok(Some(found)) };
    let mut member = connection.prepare_cached("SELECT 1 FROM care_teams WHERE patient = ? AND account = ?")?;
    Ok(member.exists(params![blob(id), blob(reader)])?.then_some(found))
}

fn rarest(connection: &Connection, terms: &[String]) -> rusqlite::Result<Option<String>> {
    let mut rarest = None;
    for term in terms {
        let words = begins(connection, term)?;
        if words <= RARE_WORDS && rarest.as_ref().is_none_or(|(fewest, _)| words < *fewest) {
            rarest = Some((words, term.clone()));
        }
    }
    Ok(rarest.map(|(_, term)| term))
}

/// How many entries of the index begin with the term; counts no further than to see that it is not rare.
fn begins(connection: &Connection, term: &str) -> rusqlite::Result<usize> {
    connection
        .prepare_cached("SELECT count(*) FROM (SELECT 1 FROM patient_words WHERE word >= ?1 AND word < ?2 LIMIT ?3)")?
        .query_row(params![term, end_of(term), RARE_WORDS + 1], |row| row.get(0))
}
