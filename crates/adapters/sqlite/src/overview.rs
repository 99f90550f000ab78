//! Reads that span domains. A list takes three queries, however long it is; each begins with the same rows.

use std::collections::HashMap;

use async_trait::async_trait;
use infirmary_diagnosis::{DiagnosisFilter, DiagnosisStatus};
use infirmary_imaging::Modality;
use infirmary_kernel::{
    AccountId, Cursor, DiagnosisId, FileName, Page, PageRequest, PatientId, PersonName, StoreError, StudyId,
};
use infirmary_reports::ReportView;
use infirmary_workflows::{DiagnosisDetail, ListedDiagnosis, ListedImage, Overview, PatientCounts};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::{
    SqliteStore,
    diagnosis::{self, DIAGNOSIS_COLUMNS, diagnosis_columns},
    imaging, patients,
    reports::{self, report_columns},
    rows::{RowExt, blob},
    statement::Statement,
};

/// Names of the patient and the author of the diagnosis `d`: each is one look by the primary key.
macro_rules! names {
    () => {
        "(SELECT p.name FROM patients p WHERE p.id = d.patient), (SELECT a.name FROM accounts a WHERE a.id = d.author)"
    };
}
/// Of the diagnosis `d`, the report on the newest version that has one.
macro_rules! newest_report {
    () => {
        "r.diagnosis = d.id AND r.diagnosis_version =
         (SELECT max(n.diagnosis_version) FROM reports n WHERE n.diagnosis = d.id)"
    };
}

#[async_trait]
impl Overview for SqliteStore {
    async fn diagnosis(&self, id: DiagnosisId) -> Result<Option<DiagnosisDetail>, StoreError> {
        self.read_snapshot(move |connection| detail(connection, id)).await
    }

    async fn diagnoses(
        &self,
        filter: &DiagnosisFilter,
        page: &PageRequest,
    ) -> Result<Page<ListedDiagnosis>, StoreError> {
        let (filter, page) = (filter.clone(), page.clone());
        self.read_snapshot(move |connection| list(connection, &filter, &page)).await
    }

    async fn counts(
        &self,
        patient: PatientId,
        statuses: &[DiagnosisStatus],
    ) -> Result<Option<PatientCounts>, StoreError> {
        let given = |place: usize| statuses.get(place).map(|status| status.as_str());
        let statuses: [_; DiagnosisStatus::ALL.len()] = std::array::from_fn(given);
        self.read(move |connection| {
            connection
                .prepare_cached(
                    "SELECT
                     (SELECT count(*) FROM diagnoses d WHERE d.patient = ?1 AND +d.status IN (?2, ?3, ?4, ?5)),
                     (SELECT count(*) FROM diagnoses d CROSS JOIN images i ON i.study = d.study
                      WHERE d.patient = ?1 AND +d.status IN (?2, ?3, ?4, ?5)),
                     (SELECT count(*) FROM diagnoses d CROSS JOIN reports r ON r.diagnosis = d.id
                      WHERE d.patient = ?1 AND +d.status IN (?2, ?3, ?4, ?5)),
                     (SELECT count(*) FROM charges c WHERE c.patient = ?1 AND c.voided_at IS NULL)
                     FROM patients WHERE id = ?1",
                )?
                .query_row(params![blob(patient), statuses[0], statuses[1], statuses[2], statuses[3]], |row| {
                    Ok(PatientCounts {
                        diagnoses: row.get(0)?,
                        images: row.get(1)?,
                        reports: row.get(2)?,
                        transactions: row.get(3)?,
                    })
                })
                .optional()
        })
        .await
    }

    async fn names(&self, accounts: &[AccountId]) -> Result<HashMap<AccountId, PersonName>, StoreError> {
        let accounts = accounts.to_vec();
        self.read(move |connection| {
            let mut query = Statement::new("SELECT id, name FROM accounts WHERE id IN (NULL");
            for account in accounts {
                query.push(", ?", [Box::new(blob(account))]);
            }
            query.push(")", []);
            let named = query.rows(connection, |row| Ok((row.id(0)?, row.parsed(1, PersonName::parse)?)))?;
            Ok(named.into_iter().collect())
        })
        .await
    }
}

fn detail(connection: &Connection, id: DiagnosisId) -> rusqlite::Result<Option<DiagnosisDetail>> {
    let found = connection
        .prepare_cached(concat!(
            "SELECT ",
            diagnosis_columns!(),
            ", (SELECT a.name FROM accounts a WHERE a.id = d.author),
             (SELECT a.name FROM accounts a WHERE a.id = d.confirmed_by) FROM diagnoses d WHERE d.id = ?"
        ))?
        .query_row([blob(id)], |row| {
            Ok((
                diagnosis::diagnosis(row)?,
                row.parsed(DIAGNOSIS_COLUMNS, PersonName::parse)?,
                row.optional_parsed(DIAGNOSIS_COLUMNS + 1, PersonName::parse)?,
            ))
        })
        .optional()?;
    let Some((diagnosis, author, confirmed_by)) = found else { return Ok(None) };
    let report = connection
        .prepare_cached(concat!(
            "SELECT ",
            report_columns!(),
            " FROM diagnoses d CROSS JOIN reports r ON ",
            newest_report!(),
            " WHERE d.id = ?"
        ))?
        .query_row([blob(id)], reports::view)
        .optional()?;
    let (mut study, mut images, mut tasks) = (None, Vec::new(), Vec::new());
    if let Some(id) = diagnosis.study {
        study = imaging::find(connection, id)?;
        images = imaging::images_of(connection, id)?;
        tasks = charged_for(connection, id)?;
    }
    let patient = patients::find(connection, diagnosis.patient)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    Ok(Some(DiagnosisDetail { diagnosis, patient, author, confirmed_by, study, images, tasks, report }))
}

/// Those that were made void too: it was done, whoever pays.
fn charged_for(connection: &Connection, id: StudyId) -> rusqlite::Result<Vec<String>> {
    connection
        .prepare_cached("SELECT description FROM charges WHERE study = ? ORDER BY charged_at, id")?
        .query_map([blob(id)], |row| row.get(0))?
        .collect()
}

fn list(
    connection: &Connection,
    filter: &DiagnosisFilter,
    page: &PageRequest,
) -> rusqlite::Result<Page<ListedDiagnosis>> {
    let select = concat!(
        "SELECT ",
        diagnosis_columns!(),
        ", ",
        names!(),
        ", (SELECT s.modality FROM studies s WHERE s.id = d.study) FROM diagnoses d"
    );
    let rows = diagnosis::listing(select, filter, page).rows(connection, |row| {
        Ok(ListedDiagnosis {
            diagnosis: diagnosis::diagnosis(row)?,
            patient: row.parsed(DIAGNOSIS_COLUMNS, PersonName::parse)?,
            author: row.parsed(DIAGNOSIS_COLUMNS + 1, PersonName::parse)?,
            modality: row.optional_parsed(DIAGNOSIS_COLUMNS + 2, Modality::parse)?,
            images: Vec::new(),
            report: None,
        })
    })?;

    let select = "SELECT i.study, i.id, i.position, i.format, i.file_name, i.no_preview IS NULL
        FROM (SELECT d.study FROM diagnoses d";
    let mut query = diagnosis::listing(select, filter, page);
    query.push(") d CROSS JOIN images i ON i.study = d.study", []);
    let mut images: HashMap<StudyId, Vec<ListedImage>> = HashMap::new();
    for (study, image) in query.rows(connection, listed_image)? {
        images.entry(study).or_default().push(image);
    }

    let select = concat!("SELECT ", report_columns!(), " FROM (SELECT d.id, d.version FROM diagnoses d");
    let mut reports = diagnosis::listing(select, filter, page);
    reports.push(concat!(") d CROSS JOIN reports r ON ", newest_report!()), []);
    let reports: Vec<ReportView> = reports.rows(connection, reports::view)?;
    let mut reports: HashMap<DiagnosisId, ReportView> =
        reports.into_iter().map(|view| (view.report.diagnosis, view)).collect();

    let rows = rows.into_iter().map(|listed| {
        let mut images = listed.diagnosis.study.and_then(|study| images.remove(&study)).unwrap_or_default();
        images.sort_unstable_by_key(|image| image.position);
        ListedDiagnosis { images, report: reports.remove(&listed.diagnosis.id), ..listed }
    });
    let place = |last: &ListedDiagnosis| Cursor::at(last.diagnosis.recorded_at, last.diagnosis.id.as_uuid());
    Ok(Page::of_rows(rows.collect(), page.limit, place))
}

fn listed_image(row: &Row<'_>) -> rusqlite::Result<(StudyId, ListedImage)> {
    let image = ListedImage {
        id: row.id(1)?,
        position: row.get(2)?,
        format: row.parsed(3, str::parse)?,
        file_name: row.optional_parsed(4, FileName::parse)?,
        has_preview: row.get(5)?,
    };
    Ok((row.id(0)?, image))
}
