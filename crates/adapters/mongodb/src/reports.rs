use async_trait::async_trait;
use infirmary_kernel::{DiagnosisId, FileName, Page, PageRequest, ReportId, StoreError, WriteError};
use infirmary_reports::{Report, ReportFilter, ReportStore, ReportView, Source, VerificationCode};
use mongodb::bson::{Document, RawDocument, doc};

use crate::{
    MongoStore,
    care_teams::given_patients,
    documents::{DocumentExt, Fields, bytes, id, number, time},
    objects::{object, with_object},
    reads::{Query, after_place, newest_first, one_more},
    schema::{DIAGNOSES, REPORTS},
    transaction::Transaction,
};

#[async_trait]
impl ReportStore for MongoStore {
    async fn find(&self, sought: ReportId) -> Result<Option<ReportView>, StoreError> {
        self.one(doc! { "_id": id(sought) }, "_id").await
    }

    async fn of_version(&self, diagnosis: DiagnosisId, version: u32) -> Result<Option<ReportView>, StoreError> {
        let of_version = doc! { "diagnosis": id(diagnosis), "diagnosis_version": number(version) };
        self.one(of_version, "diagnosis").await
    }

    async fn list(&self, filter: &ReportFilter, page: &PageRequest) -> Result<Page<ReportView>, StoreError> {
        let given = given_patients(filter.reader);
        let found = self.find_through(&REPORTS, listing(filter, page), given, with_version()).await?;
        let views = found.iter().map(|found| view(found)).collect::<Result<_, _>>()?;
        Ok(Page::of_rows(views, page.limit, ReportView::cursor))
    }

    async fn by_code(&self, code: &VerificationCode) -> Result<Option<ReportView>, StoreError> {
        self.one(doc! { "code": bytes(code.as_bytes().as_slice()) }, "code").await
    }
}

impl MongoStore {
    async fn one(&self, filter: Document, index: &'static str) -> Result<Option<ReportView>, StoreError> {
        let query = Query { filter, sort: doc! {}, limit: 1, index };
        let found = self.find_through(&REPORTS, query, Vec::new(), with_version()).await?;
        found.first().map(|found| view(found)).transpose()
    }
}

/// A diagnosis has few reports, which are sorted; the others are found in the order of time.
fn listing(filter: &ReportFilter, page: &PageRequest) -> Query {
    let index = match (filter.diagnosis, filter.patient) {
        (Some(_), _) => "diagnosis",
        (None, Some(_)) => "patient",
        (None, None) => "time",
    };
    let all = Document::new().with("diagnosis", filter.diagnosis.map(id)).with("patient", filter.patient.map(id));
    Query { filter: after_place(all, "issued_at", page), sort: newest_first("issued_at"), limit: one_more(page), index }
}

/// With what [`view`] needs: the version that its diagnosis has.
pub(crate) fn with_version() -> Vec<Document> {
    vec![doc! { "$lookup": {
        "from": DIAGNOSES.name,
        "localField": "diagnosis",
        "foreignField": "_id",
        "pipeline": [{ "$project": { "version": 1 } }],
        "as": "of",
    } }]
}

/// Adds a report: of whoever issues one, within a transaction of theirs.
pub(crate) async fn insert(transaction: &mut Transaction<'_>, new: &Report) -> Result<(), WriteError> {
    transaction.insert(&REPORTS, document(new)).await
}

pub(crate) fn document(report: &Report) -> Document {
    let (uploaded, file_name) = match &report.source {
        Source::Typeset => (false, None),
        Source::Uploaded { file_name } => (true, file_name.as_ref().map(FileName::as_str)),
    };
    let document = doc! {
        "_id": id(report.id),
        "diagnosis": id(report.diagnosis),
        "diagnosis_version": number(report.diagnosis_version),
        "patient": id(report.patient),
        "issued_by": id(report.issued_by),
        "issued_at": time(report.issued_at),
        "uploaded": uploaded,
        "code": bytes(report.code.as_bytes().as_slice()),
    };
    with_object(document, &report.object).with("file_name", file_name)
}

pub(crate) fn report(found: &RawDocument) -> Result<Report, StoreError> {
    let source = match found.flag("uploaded")? {
        true => Source::Uploaded { file_name: found.optional_parsed("file_name", FileName::parse)? },
        false => Source::Typeset,
    };
    let code = found.optional("code", |value| value.as_binary()?.bytes.try_into().ok())?;
    let no_code = || StoreError::Corrupt { reason: "a report has no code".to_owned() };
    Ok(Report {
        id: found.id("_id")?,
        diagnosis: found.id("diagnosis")?,
        diagnosis_version: found.number("diagnosis_version")?,
        patient: found.id("patient")?,
        issued_by: found.id("issued_by")?,
        issued_at: found.time("issued_at")?,
        source,
        object: object(found)?,
        code: VerificationCode::from_bytes(code.ok_or_else(no_code)?),
    })
}

/// Of what went through [`with_version`].
fn view(found: &RawDocument) -> Result<ReportView, StoreError> {
    let gone = || StoreError::Corrupt { reason: "a report is of a diagnosis that is not there".to_owned() };
    let version = found.documents("of")?.first().ok_or_else(gone)?.number("version")?;
    Ok(ReportView::new(report(found)?, version))
}
