use async_trait::async_trait;
use infirmary_kernel::{
    BirthDate, Cursor, EmailAddress, Page, PageRequest, PatientId, PersonName, PhoneNumber, PostalAddress, StoreError,
    WriteError, Written, fold,
};
use infirmary_patients::{
    ChangedPatient, MAX_CANDIDATES, Mrn, Patient, PatientStore, RegisteredPatient, SearchTerms, index_words,
};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params, params_from_iter};

use crate::{
    SqliteStore,
    rows::{OrWriteError, RowExt, blob, optional_blob, place_after, unopposed},
    writer::Transaction,
};

const LAWS: &[(&str, &str)] = &[("patients.mrn", "mrn"), ("patients.account", "account")];

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
            update(transaction, &changed.patient)?;
            transaction.keep(&changed.trail).map(|_| ())
        })
        .await
    }

    async fn find(&self, id: PatientId) -> Result<Option<Patient>, StoreError> {
        self.look_up(move |connection| {
            connection.prepare_cached("SELECT * FROM patients WHERE id = ?")?.query_row([blob(id)], patient).optional()
        })
        .await
    }

    async fn search(&self, terms: &SearchTerms, page: &PageRequest) -> Result<Page<Patient>, StoreError> {
        let (terms, page) = (terms.clone(), page.clone());
        self.read_snapshot(move |connection| search(connection, &terms, &page)).await
    }

    async fn list(&self, page: &PageRequest) -> Result<Page<Patient>, StoreError> {
        let (time, id) = place_after(page);
        let limit = page.limit;
        self.read(move |connection| {
            let rows = connection
                .prepare_cached(
                    "SELECT * FROM patients WHERE (registered_at, id) < (?, ?) ORDER BY registered_at DESC, id DESC LIMIT ?",
                )?
                .query_map(params![time, id, limit.get() + 1], patient)?
                .collect::<Result<Vec<_>, _>>()?;
            Ok(Page::of_rows(rows, limit, |last| Cursor::at(last.registered_at, last.id.as_uuid())))
        })
        .await
    }

    async fn candidates(&self, patient_sought: &Patient) -> Result<Vec<Patient>, StoreError> {
        let sought = patient_sought.clone();
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT * FROM patients WHERE phone = ?1
                     UNION SELECT * FROM patients WHERE folded_name = ?2 AND birth_date = ?3
                     LIMIT ?4",
                )?
                .query_map(
                    params![
                        sought.phone.as_ref().map(PhoneNumber::as_str),
                        fold(sought.name.as_str()),
                        sought.birth_date.map(|date| date.to_string()),
                        MAX_CANDIDATES,
                    ],
                    patient,
                )?
                .collect()
        })
        .await
    }
}

pub(crate) fn insert(transaction: &Transaction<'_>, new: &Patient) -> Result<(), WriteError> {
    transaction
        .prepare_cached(
            "INSERT INTO patients (id, mrn, name, folded_name, birth_date, sex, phone, email, address, account,
             registered_at, version) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )
        .and_then(|mut insert| bind(new, |values| insert.execute(values)))
        .or_conflict(LAWS)?;
    insert_words(transaction, new)
}

pub(crate) fn update(transaction: &Transaction<'_>, changed: &Patient) -> Result<(), WriteError> {
    let updated = transaction
        .prepare_cached(
            "UPDATE patients SET mrn = ?2, name = ?3, folded_name = ?4, birth_date = ?5, sex = ?6, phone = ?7, email = ?8,
             address = ?9, account = ?10, registered_at = ?11, version = ?12 WHERE id = ?1 AND version = ?12 - 1",
        )
        .and_then(|mut update| bind(changed, |values| update.execute(values)))
        .or_conflict(LAWS)?;
    if updated == 0 {
        return Err(WriteError::Stale);
    }
    transaction
        .prepare_cached("DELETE FROM patient_words WHERE patient = ?")
        .and_then(|mut delete| delete.execute([blob(changed.id)]))
        .or_write_error()?;
    insert_words(transaction, changed)
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
    ])
}

fn insert_words(transaction: &Transaction<'_>, patient: &Patient) -> Result<(), WriteError> {
    transaction
        .prepare_cached("INSERT OR IGNORE INTO patient_words (word, patient) VALUES (?, ?)")
        .and_then(|mut insert| {
            index_words(patient).iter().try_for_each(|word| insert.execute(params![word, blob(patient.id)]).map(|_| ()))
        })
        .or_write_error()
}

pub(crate) fn patient(row: &Row<'_>) -> rusqlite::Result<Patient> {
    Ok(Patient {
        id: row.id("id")?,
        mrn: Mrn::from_serial(row.get("mrn")?),
        name: row.parsed("name", PersonName::parse)?,
        birth_date: row.optional_parsed("birth_date", BirthDate::parse)?,
        sex: row.optional_parsed("sex", str::parse)?,
        phone: row.optional_parsed("phone", PhoneNumber::parse)?,
        email: row.optional_parsed("email", EmailAddress::parse)?,
        address: row.optional_parsed("address", PostalAddress::parse)?,
        account: row.optional_id("account")?,
        registered_at: row.time("registered_at")?,
        version: row.get("version")?,
    })
}

/// Words that begin with `term` are those from `term` to before this: no word has a code point that is none of a character.
fn end_of(term: &str) -> String {
    format!("{term}\u{10ffff}")
}

/// A term that fewer words begin with is looked up whole; one that more begin with is checked word by word.
const RARE_WORDS: usize = 500;

/// The page is the first part of the words that begin with the first term, in the order of the index; further terms are
/// checked for each. When a further term is rare and the first is not, that would walk through many words for a few
/// matches: then the patients of the rare term are looked up and sorted.
fn search(connection: &Connection, terms: &SearchTerms, page: &PageRequest) -> rusqlite::Result<Page<Patient>> {
    let Some((first, others)) = terms.as_slice().split_first() else {
        return Ok(Page { items: Vec::new(), next: None });
    };
    let rare = match others {
        [] => None,
        _ if begins(connection, first)? <= RARE_WORDS => None,
        _ => rarest(connection, others)?,
    };
    let (after_word, after_id) =
        page.after.as_ref().map_or((String::new(), [0; 16]), |after| (after.sort_key.clone(), after.id.into_bytes()));

    let mut sql = String::from(
        "SELECT w.word AS word, p.* FROM patient_words w CROSS JOIN patients p ON p.id = w.patient
         WHERE w.word >= ?1 AND w.word < ?2 AND (w.word, w.patient) > (?3, ?4)
         AND NOT EXISTS (SELECT 1 FROM patient_words e WHERE e.patient = w.patient AND e.word >= ?1 AND e.word < w.word)",
    );
    if rare.is_some() {
        // `+` keeps the index by word from being chosen: the few patients lead, and their words are looked up.
        sql = sql.replace("WHERE w.word >= ?1 AND w.word < ?2", "WHERE +w.word >= ?1 AND +w.word < ?2");
        sql.push_str(" AND w.patient IN (SELECT patient FROM patient_words WHERE word >= ?6 AND word < ?7)");
    }
    let mut values: Vec<Box<dyn ToSql>> = vec![
        Box::new(first.clone()),
        Box::new(end_of(first)),
        Box::new(after_word),
        Box::new(after_id),
        Box::new(page.limit.get() + 1),
    ];
    let checked = rare.iter().chain(others.iter().filter(|term| Some(*term) != rare.as_ref()));
    for (place, term) in checked.enumerate() {
        let (from, to) = (6 + 2 * place, 7 + 2 * place);
        if !(place == 0 && rare.is_some()) {
            sql.push_str(&format!(
                " AND EXISTS (SELECT 1 FROM patient_words o WHERE o.patient = w.patient AND o.word >= ?{from} AND o.word < ?{to})"
            ));
        }
        values.push(Box::new(term.clone()));
        values.push(Box::new(end_of(term)));
    }
    sql.push_str(" ORDER BY w.word, w.patient LIMIT ?5");

    let rows = connection
        .prepare_cached(&sql)?
        .query_map(params_from_iter(values.iter()), |row| Ok((row.get::<_, String>("word")?, patient(row)?)))?
        .collect::<Result<Vec<_>, _>>()?;
    let page = Page::of_rows(rows, page.limit, |(word, last)| Cursor { sort_key: word.clone(), id: last.id.as_uuid() });
    Ok(page.map(|(_, patient)| patient))
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
