use async_trait::async_trait;
use infirmary_diagnosis::{
    ChangedDiagnosis, Content, Diagnosis, DiagnosisFilter, DiagnosisStore, DiagnosisVersion, Reasoned,
    RecordedDiagnosis, Signature,
};
use infirmary_kernel::{
    Cursor, DiagnosisId, LongText, Page, PageRequest, ShortText, StoreError, StudyId, Timestamp, WriteError, Written,
};
use rusqlite::{Connection, Error, OptionalExtension, Row, ToSql, ffi, params};

use crate::{
    SqliteStore,
    care_teams::shown_to_reader,
    rows::{OrWriteError, RowExt, blob, optional_blob},
    statement::Statement,
    writer::Transaction,
};

const LAWS: &[(&str, &str)] = &[("diagnoses.study", Diagnosis::ONE_FOR_A_STUDY)];

/// The columns that [`diagnosis`] reads, of `diagnoses d`.
macro_rules! diagnosis_columns {
    () => {
        "d.id, d.patient, d.study, d.author, d.disease, d.findings, d.conditions, d.status, d.version, d.recorded_at,
         d.updated_at, d.updated_by, d.confirmed_at, d.confirmed_by, d.amended_at, d.amended_by, d.amendment_reason,
         d.retracted_at, d.retracted_by, d.retraction_reason"
    };
}
/// How many they are.
pub(crate) const DIAGNOSIS_COLUMNS: usize = 20;
/// The columns that [`version`] reads.
macro_rules! version_columns {
    () => {
        "diagnosis, version, status, disease, findings, conditions, made_at, made_by, reason"
    };
}
pub(crate) use {diagnosis_columns, version_columns};

#[async_trait]
impl DiagnosisStore for SqliteStore {
    async fn record(&self, recorded: RecordedDiagnosis) -> Result<Written, WriteError> {
        self.write(move |transaction| {
            if let Some(before) = transaction.repeated(&recorded.trail)? {
                return Ok(before);
            }
            insert(transaction, &recorded.diagnosis)?;
            transaction.keep(&recorded.trail)
        })
        .await
    }

    async fn change(&self, changed: ChangedDiagnosis) -> Result<Written, WriteError> {
        self.write(move |transaction| {
            if let Some(before) = transaction.repeated(&changed.trail)? {
                return Ok(before);
            }
            update(transaction, &changed.diagnosis)?;
            transaction.keep(&changed.trail)
        })
        .await
    }

    async fn find(&self, id: DiagnosisId) -> Result<Option<Diagnosis>, StoreError> {
        self.look_up(move |connection| find(connection, id)).await
    }

    async fn of_study(&self, study: StudyId) -> Result<Option<Diagnosis>, StoreError> {
        self.look_up(move |connection| {
            connection
                .prepare_cached(concat!("SELECT ", diagnosis_columns!(), " FROM diagnoses d WHERE d.study = ?"))?
                .query_row([blob(study)], diagnosis)
                .optional()
        })
        .await
    }

    async fn versions(&self, id: DiagnosisId, page: &PageRequest) -> Result<Page<DiagnosisVersion>, StoreError> {
        let after = DiagnosisVersion::after(page).unwrap_or_default().map_or(i64::MAX, i64::from);
        let limit = page.limit;
        self.read(move |connection| {
            let rows = connection
                .prepare_cached(concat!(
                    "SELECT ",
                    version_columns!(),
                    " FROM diagnosis_versions WHERE diagnosis = ? AND version < ? ORDER BY version DESC LIMIT ?",
                ))?
                .query_map(params![blob(id), after, limit.get() + 1], version)?
                .collect::<Result<_, _>>()?;
            Ok(Page::of_rows(rows, limit, DiagnosisVersion::cursor))
        })
        .await
    }

    async fn list(&self, filter: &DiagnosisFilter, page: &PageRequest) -> Result<Page<Diagnosis>, StoreError> {
        let (filter, page) = (filter.clone(), page.clone());
        self.read(move |connection| list(connection, &filter, &page)).await
    }
}

pub(crate) fn find(connection: &Connection, id: DiagnosisId) -> rusqlite::Result<Option<Diagnosis>> {
    connection
        .prepare_cached(concat!("SELECT ", diagnosis_columns!(), " FROM diagnoses d WHERE d.id = ?"))?
        .query_row([blob(id)], diagnosis)
        .optional()
}

pub(crate) fn list(
    connection: &Connection,
    filter: &DiagnosisFilter,
    page: &PageRequest,
) -> rusqlite::Result<Page<Diagnosis>> {
    let select = concat!("SELECT ", diagnosis_columns!(), " FROM diagnoses d");
    let rows = listing(select, filter, page).rows(connection, diagnosis)?;
    Ok(Page::of_rows(rows, page.limit, |last| Cursor::at(last.recorded_at, last.id.as_uuid())))
}

/// `select` has the table of diagnoses as `d`. A plus keeps an index from being chosen: of a patient's or a doctor's
/// diagnoses the status is looked at, not looked up, so that they are read in the order of time.
pub(crate) fn listing(select: &'static str, filter: &DiagnosisFilter, page: &PageRequest) -> Statement {
    let mut query = Statement::new(select);
    query.push(" WHERE 1", []);
    query.push_if(filter.patient, " AND d.patient = ?", blob);
    let author = if filter.patient.is_some() { " AND +d.author = ?" } else { " AND d.author = ?" };
    query.push_if(filter.author, author, blob);
    if let Some((first, others)) = filter.statuses.split_first() {
        let looked_up = filter.patient.is_none() && filter.author.is_none() && others.is_empty();
        query.push(if looked_up { " AND d.status IN (?" } else { " AND +d.status IN (?" }, [Box::new(first.as_str())]);
        for other in others {
            query.push(", ?", [Box::new(other.as_str())]);
        }
        query.push(")", []);
    }
    query.push_if(filter.reader, concat!(" AND ", shown_to_reader!("d.patient")), blob);
    query.push_if(filter.from, " AND d.recorded_at >= ?", Timestamp::unix_ms);
    query.push_if(filter.to, " AND d.recorded_at < ?", Timestamp::unix_ms);
    if let Ok(Some((time, id))) = page.after_time() {
        query.push(" AND (d.recorded_at, d.id) < (?, ?)", [Box::new(time.unix_ms()), Box::new(id.into_bytes())]);
    }
    query.push(" ORDER BY d.recorded_at DESC, d.id DESC LIMIT ?", [Box::new(page.limit.get() + 1)]);
    query
}

/// Adds a diagnosis and its first version.
pub(crate) fn insert(transaction: &Transaction<'_>, new: &Diagnosis) -> Result<(), WriteError> {
    insert_alone(transaction, new)?;
    insert_version(transaction, &new.as_version())
}

/// Without a version.
pub(crate) fn insert_alone(transaction: &Transaction<'_>, new: &Diagnosis) -> Result<(), WriteError> {
    let inserted = transaction
        .prepare_cached(
            "INSERT INTO diagnoses (id, patient, study, author, disease, findings, conditions, status, version,
             recorded_at, updated_at, updated_by, confirmed_at, confirmed_by, amended_at, amended_by, amendment_reason,
             retracted_at, retracted_by, retraction_reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
        )
        .and_then(|mut insert| bind(new, |values| insert.execute(values)));
    match inserted {
        // The patient is the only record that a diagnosis refers to, and the message does not name it.
        Err(Error::SqliteFailure(failure, _)) if failure.extended_code == ffi::SQLITE_CONSTRAINT_FOREIGNKEY => {
            Err(WriteError::Conflict { law: Diagnosis::OF_A_KNOWN_PATIENT })
        }
        other => other.or_conflict(LAWS).map(|_| ()),
    }
}

/// Makes the diagnosis its next version and adds that to the history.
pub(crate) fn update(transaction: &Transaction<'_>, changed: &Diagnosis) -> Result<(), WriteError> {
    let updated = transaction
        .prepare_cached(
            "UPDATE diagnoses SET patient = ?2, study = ?3, author = ?4, disease = ?5, findings = ?6, conditions = ?7,
             status = ?8, version = ?9, recorded_at = ?10, updated_at = ?11, updated_by = ?12, confirmed_at = ?13,
             confirmed_by = ?14, amended_at = ?15, amended_by = ?16, amendment_reason = ?17, retracted_at = ?18,
             retracted_by = ?19, retraction_reason = ?20 WHERE id = ?1 AND version = ?9 - 1",
        )
        .and_then(|mut update| bind(changed, |values| update.execute(values)))
        .or_conflict(LAWS)?;
    if updated == 0 {
        return Err(WriteError::Stale);
    }
    insert_version(transaction, &changed.as_version())
}

/// The values of a row, in the order of both statements above.
fn bind<T>(diagnosis: &Diagnosis, run: impl FnOnce(&[&dyn ToSql]) -> T) -> T {
    let Diagnosis { content, confirmed, amendment, retraction, .. } = diagnosis;
    run(params![
        blob(diagnosis.id),
        blob(diagnosis.patient),
        optional_blob(diagnosis.study),
        blob(diagnosis.author),
        content.disease.as_str(),
        content.findings.as_str(),
        content.conditions.as_str(),
        diagnosis.status.as_str(),
        diagnosis.version,
        diagnosis.recorded_at.unix_ms(),
        diagnosis.updated.at.unix_ms(),
        blob(diagnosis.updated.by),
        confirmed.map(|signed| signed.at.unix_ms()),
        confirmed.map(|signed| blob(signed.by)),
        amendment.as_ref().map(|reasoned| reasoned.at.unix_ms()),
        amendment.as_ref().map(|reasoned| blob(reasoned.by)),
        amendment.as_ref().map(|reasoned| reasoned.reason.as_str()),
        retraction.as_ref().map(|reasoned| reasoned.at.unix_ms()),
        retraction.as_ref().map(|reasoned| blob(reasoned.by)),
        retraction.as_ref().map(|reasoned| reasoned.reason.as_str()),
    ])
}

pub(crate) fn insert_version(transaction: &Transaction<'_>, version: &DiagnosisVersion) -> Result<(), WriteError> {
    transaction
        .prepare_cached(
            "INSERT INTO diagnosis_versions (diagnosis, version, status, disease, findings, conditions, made_at, made_by,
             reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .and_then(|mut insert| {
            insert.execute(params![
                blob(version.diagnosis),
                version.version,
                version.status.as_str(),
                version.content.disease.as_str(),
                version.content.findings.as_str(),
                version.content.conditions.as_str(),
                version.made.at.unix_ms(),
                blob(version.made.by),
                version.reason.as_ref().map(ShortText::as_str),
            ])
        })
        .or_write_error()
        .map(|_| ())
}

/// Columns are counted, as they stand in `diagnosis_columns`: lists of them are read all day.
pub(crate) fn diagnosis(row: &Row<'_>) -> rusqlite::Result<Diagnosis> {
    Ok(Diagnosis {
        id: row.id(0)?,
        patient: row.id(1)?,
        study: row.optional_id(2)?,
        author: row.id(3)?,
        content: content(row, 4)?,
        status: row.parsed(7, str::parse)?,
        version: row.get(8)?,
        recorded_at: row.time(9)?,
        updated: Signature { at: row.time(10)?, by: row.id(11)? },
        confirmed: match row.optional_time(12)? {
            Some(at) => Some(Signature { at, by: row.id(13)? }),
            None => None,
        },
        amendment: reasoned(row, 14)?,
        retraction: reasoned(row, 17)?,
    })
}

fn content(row: &Row<'_>, first: usize) -> rusqlite::Result<Content> {
    Ok(Content {
        disease: row.parsed(first, ShortText::parse)?,
        findings: row.parsed(first + 1, LongText::parse)?,
        conditions: row.parsed(first + 2, LongText::parse)?,
    })
}

fn reasoned(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<Reasoned>> {
    match row.optional_time(first)? {
        Some(at) => Ok(Some(Reasoned { at, by: row.id(first + 1)?, reason: row.parsed(first + 2, ShortText::parse)? })),
        None => Ok(None),
    }
}

pub(crate) fn version(row: &Row<'_>) -> rusqlite::Result<DiagnosisVersion> {
    Ok(DiagnosisVersion {
        diagnosis: row.id(0)?,
        version: row.get(1)?,
        status: row.parsed(2, str::parse)?,
        content: content(row, 3)?,
        made: Signature { at: row.time(6)?, by: row.id(7)? },
        reason: row.optional_parsed(8, ShortText::parse)?,
    })
}

#[cfg(test)]
mod tests {
    use infirmary_diagnosis::DiagnosisStatus;
    use infirmary_kernel::{Limit, testing::fresh_id};

    use super::*;

    #[test]
    fn every_filter_is_answered_from_one_index_in_the_order_of_time() {
        let mut connection = Connection::open_in_memory().unwrap();
        crate::schema::migrate(&mut connection).unwrap().unwrap();
        let any = DiagnosisFilter::default;
        let (patient, author) = (Some(fresh_id()), Some(fresh_id()));
        let shown = vec![DiagnosisStatus::Confirmed, DiagnosisStatus::Amended];
        let drafts = vec![DiagnosisStatus::Draft];
        let at = Some(Timestamp::from_unix_ms(0));
        let filters = [
            (any(), "time"),
            (DiagnosisFilter { from: at, to: at, ..any() }, "time"),
            (DiagnosisFilter { statuses: drafts.clone(), ..any() }, "status"),
            (DiagnosisFilter { statuses: shown.clone(), ..any() }, "time"),
            (DiagnosisFilter { patient, ..any() }, "patient"),
            (DiagnosisFilter { patient, statuses: shown.clone(), ..any() }, "patient"),
            (DiagnosisFilter { patient, author, statuses: drafts.clone(), from: at, to: at, reader: None }, "patient"),
            (DiagnosisFilter { author, statuses: drafts.clone(), ..any() }, "author"),
            (DiagnosisFilter { reader: author, ..any() }, "time"),
            (DiagnosisFilter { author, reader: author, ..any() }, "author"),
            (DiagnosisFilter { statuses: drafts, reader: author, from: at, ..any() }, "status"),
        ];
        let after = Some(Cursor::at(Timestamp::from_unix_ms(5), fresh_id::<()>().as_uuid()));
        for (filter, index) in filters {
            for after in [None, after.clone()] {
                let page = PageRequest { limit: Limit::new(50).unwrap(), after };
                let plan = listing("SELECT * FROM diagnoses d", &filter, &page).plan(&connection).join("; ");
                assert!(plan.contains(&format!("diagnoses_by_{index}")), "{filter:?}: {plan}");
                assert!(!plan.contains("TEMP B-TREE"), "{filter:?} is sorted: {plan}");
            }
        }
    }
}
