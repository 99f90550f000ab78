use async_trait::async_trait;
use infirmary_kernel::{
    DiagnosisId, FileName, ObjectKey, Page, PageRequest, ReportId, StoreError, StoredObject, WriteError,
};
use infirmary_reports::{Report, ReportFilter, ReportStore, ReportView, Source, VerificationCode};
use rusqlite::{OptionalExtension, Params, Row, params};

use crate::{
    SqliteStore,
    care_teams::shown_to_reader,
    rows::{OrWriteError, RowExt, blob},
    statement::Statement,
    writer::Transaction,
};

const LAWS: &[(&str, &str)] = &[("reports.diagnosis", Report::ONE_FOR_A_VERSION)];

/// The columns that [`report`] reads, of `reports r`.
macro_rules! own_columns {
    () => {
        "r.id, r.diagnosis, r.diagnosis_version, r.patient, r.issued_by, r.issued_at, r.uploaded, r.file_name, r.object,
         r.bytes, r.sha256, r.code"
    };
}
/// The columns that [`view`] reads: those, and the version that its diagnosis `d` has now.
macro_rules! report_columns {
    () => {
        concat!($crate::reports::own_columns!(), ", d.version")
    };
}
/// `CROSS` keeps the order: the report leads to its diagnosis.
macro_rules! select_views {
    () => {
        concat!("SELECT ", report_columns!(), " FROM reports r CROSS JOIN diagnoses d ON d.id = r.diagnosis")
    };
}
pub(crate) use {own_columns, report_columns};

#[async_trait]
impl ReportStore for SqliteStore {
    async fn find(&self, id: ReportId) -> Result<Option<ReportView>, StoreError> {
        self.one(concat!(select_views!(), " WHERE r.id = ?"), [blob(id)]).await
    }

    async fn of_version(&self, diagnosis: DiagnosisId, version: u32) -> Result<Option<ReportView>, StoreError> {
        let sql = concat!(select_views!(), " WHERE r.diagnosis = ? AND r.diagnosis_version = ?");
        self.one(sql, (blob(diagnosis), version)).await
    }

    async fn list(&self, filter: &ReportFilter, page: &PageRequest) -> Result<Page<ReportView>, StoreError> {
        let (filter, page) = (*filter, page.clone());
        self.read(move |connection| {
            let rows = listing(&filter, &page).rows(connection, view)?;
            Ok(Page::of_rows(rows, page.limit, ReportView::cursor))
        })
        .await
    }

    async fn by_code(&self, code: &VerificationCode) -> Result<Option<ReportView>, StoreError> {
        self.one(concat!(select_views!(), " WHERE r.code = ?"), [*code.as_bytes()]).await
    }
}

impl SqliteStore {
    async fn one(
        &self,
        sql: &'static str,
        values: impl Params + Send + 'static,
    ) -> Result<Option<ReportView>, StoreError> {
        self.look_up(move |connection| connection.prepare_cached(sql)?.query_row(values, view).optional()).await
    }
}

/// A diagnosis has few reports, which are sorted; of the others each has its index in the order of time. A plus keeps an
/// index from being chosen.
fn listing(filter: &ReportFilter, page: &PageRequest) -> Statement {
    let mut query = Statement::new(concat!(select_views!(), " WHERE 1"));
    query.push_if(filter.diagnosis, " AND r.diagnosis = ?", blob);
    let patient = if filter.diagnosis.is_some() { " AND +r.patient = ?" } else { " AND r.patient = ?" };
    query.push_if(filter.patient, patient, blob);
    query.push_if(filter.reader, concat!(" AND ", shown_to_reader!("r.patient")), blob);
    if let Ok(Some((time, id))) = page.after_time() {
        query.push(" AND (r.issued_at, r.id) < (?, ?)", [Box::new(time.unix_ms()), Box::new(id.into_bytes())]);
    }
    query.push(" ORDER BY r.issued_at DESC, r.id DESC LIMIT ?", [Box::new(page.limit.get() + 1)]);
    query
}

/// Adds a report: of whoever issues one, within a transaction of theirs.
pub(crate) fn insert(transaction: &Transaction<'_>, new: &Report) -> Result<(), WriteError> {
    let (uploaded, file_name) = match &new.source {
        Source::Typeset => (false, None),
        Source::Uploaded { file_name } => (true, file_name.as_ref().map(FileName::as_str)),
    };
    transaction
        .run(
            "INSERT INTO reports (id, diagnosis, diagnosis_version, patient, issued_by, issued_at, uploaded, file_name,
             object, bytes, sha256, code) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            params![
                blob(new.id),
                blob(new.diagnosis),
                new.diagnosis_version,
                blob(new.patient),
                blob(new.issued_by),
                new.issued_at.unix_ms(),
                uploaded,
                file_name,
                new.object.key.as_str(),
                new.object.bytes,
                new.object.sha256.as_bytes(),
                new.code.as_bytes(),
            ],
        )
        .or_conflict(LAWS)
        .map(|_| ())
}

pub(crate) fn view(row: &Row<'_>) -> rusqlite::Result<ReportView> {
    Ok(ReportView::new(report(row)?, row.get(12)?))
}

/// Columns are counted, as they stand in `own_columns`.
pub(crate) fn report(row: &Row<'_>) -> rusqlite::Result<Report> {
    let source = match row.get(6)? {
        true => Source::Uploaded { file_name: row.optional_parsed(7, FileName::parse)? },
        false => Source::Typeset,
    };
    Ok(Report {
        id: row.id(0)?,
        diagnosis: row.id(1)?,
        diagnosis_version: row.get(2)?,
        patient: row.id(3)?,
        issued_by: row.id(4)?,
        issued_at: row.time(5)?,
        source,
        object: StoredObject { key: row.parsed(8, ObjectKey::parse)?, bytes: row.get(9)?, sha256: row.digest(10)? },
        code: VerificationCode::from_bytes(row.get(11)?),
    })
}

#[cfg(test)]
mod tests {
    use infirmary_kernel::{Cursor, Timestamp, testing::fresh_id};
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn every_filter_is_answered_from_its_index() {
        let mut connection = Connection::open_in_memory().unwrap();
        crate::schema::migrate(&mut connection).unwrap().unwrap();
        let (patient, diagnosis, reader) = (Some(fresh_id()), Some(fresh_id()), Some(fresh_id()));
        let any = ReportFilter::default();
        let after = Some(Cursor::at(Timestamp::from_unix_ms(5), fresh_id::<()>().as_uuid()));
        for (filter, index) in [
            (any, "reports_by_time"),
            (ReportFilter { reader, ..any }, "reports_by_time"),
            (ReportFilter { patient, ..any }, "reports_by_patient"),
            (ReportFilter { diagnosis, ..any }, "reports_by_version"),
            (ReportFilter { diagnosis, reader, ..any }, "reports_by_version"),
            (ReportFilter { patient, diagnosis, reader: None }, "reports_by_version"),
        ] {
            for after in [None, after.clone()] {
                let page = PageRequest { after, ..PageRequest::default() };
                let plan = listing(&filter, &page).plan(&connection).join("; ");
                assert!(plan.contains(index), "{filter:?}: {plan}");
            }
        }
    }
}
