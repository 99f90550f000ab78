use std::{collections::BTreeSet, fmt::Display};

use async_trait::async_trait;
use infirmary_diagnosis::{
    ChangedDiagnosis, Content, Diagnosis, DiagnosisFilter, DiagnosisStatus, DiagnosisStore, DiagnosisVersion, Reasoned,
    RecordedDiagnosis, Signature,
};
use infirmary_kernel::{
    Cursor, DiagnosisId, LongText, Page, PageRequest, PatientId, ShortText, StoreError, StudyId, Trail, WriteError,
    Written,
};
use mongodb::bson::{Bson, Document, RawDocument, doc};

use crate::{
    MongoStore,
    care_teams::given_patients,
    documents::{DocumentExt, Fields, id, number, setting, time},
    reads::{Query, after_place, newest_first, one_more},
    schema::{DIAGNOSES, DIAGNOSIS_VERSIONS, PATIENTS},
    transaction::{Transaction, Write, line},
};

/// Of a diagnosis; those that are not set are not there.
const OPTIONAL: [&str; 4] = ["study", "confirmed", "amendment", "retraction"];

#[async_trait]
impl Write for RecordedDiagnosis {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        insert(transaction, &self.diagnosis).await
    }
}

#[async_trait]
impl Write for ChangedDiagnosis {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    fn line(&self) -> Option<usize> {
        Some(line(self.diagnosis.id))
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        update(transaction, &self.diagnosis).await
    }
}

#[async_trait]
impl DiagnosisStore for MongoStore {
    async fn record(&self, recorded: RecordedDiagnosis) -> Result<Written, WriteError> {
        self.write(&recorded).await
    }

    async fn change(&self, changed: ChangedDiagnosis) -> Result<Written, WriteError> {
        self.write(&changed).await
    }

    async fn find(&self, sought: DiagnosisId) -> Result<Option<Diagnosis>, StoreError> {
        let found = self.find_one(&DIAGNOSES, doc! { "_id": id(sought) }).await?;
        found.map(|found| diagnosis(&found)).transpose()
    }

    async fn of_study(&self, study: StudyId) -> Result<Option<Diagnosis>, StoreError> {
        let found = self.find_one(&DIAGNOSES, doc! { "study": id(study) }).await?;
        found.map(|found| diagnosis(&found)).transpose()
    }

    async fn versions(&self, of: DiagnosisId, page: &PageRequest) -> Result<Page<DiagnosisVersion>, StoreError> {
        let before = DiagnosisVersion::after(page).unwrap_or_default().map(|version| doc! { "$lt": number(version) });
        let query = Query {
            filter: doc! { "diagnosis": id(of) }.with("version", before),
            sort: doc! { "version": -1 },
            limit: one_more(page),
            index: "diagnosis",
        };
        let found = self.find(&DIAGNOSIS_VERSIONS, query).await?;
        let versions = found.iter().map(|found| version(found)).collect::<Result<_, _>>()?;
        Ok(Page::of_rows(versions, page.limit, DiagnosisVersion::cursor))
    }

    async fn list(&self, filter: &DiagnosisFilter, page: &PageRequest) -> Result<Page<Diagnosis>, StoreError> {
        let given = given_patients(filter.reader);
        let found = self.find_through(&DIAGNOSES, listing(filter, page), given, Vec::new()).await?;
        let diagnoses = found.iter().map(|found| diagnosis(found)).collect::<Result<_, _>>()?;
        Ok(Page::of_rows(diagnoses, page.limit, |last| Cursor::at(last.recorded_at, last.id.as_uuid())))
    }
}

/// Whose diagnoses they are is looked at beside it ([`given_patients`]).
pub(crate) fn listing(filter: &DiagnosisFilter, page: &PageRequest) -> Query {
    let status = match filter.statuses.as_slice() {
        [] => None,
        [one] => Some(Bson::from(one.as_str())),
        some => {
            let some: Vec<&str> = some.iter().map(|status| status.as_str()).collect();
            Some(doc! { "$in": some }.into())
        }
    };
    let index = match (filter.patient, filter.author, filter.statuses.as_slice()) {
        (Some(_), _, _) => "patient",
        (None, Some(_), _) => "author",
        (None, None, [_]) => "status",
        (None, None, _) => "time",
    };
    let recorded = Document::new().with("$gte", filter.from.map(time)).with("$lt", filter.to.map(time));
    let all = Document::new()
        .with("patient", filter.patient.map(id))
        .with("author", filter.author.map(id))
        .with("status", status)
        .with("recorded_at", (!recorded.is_empty()).then_some(recorded));
    Query {
        filter: after_place(all, "recorded_at", page),
        sort: newest_first("recorded_at"),
        limit: one_more(page),
        index,
    }
}

/// Adds a diagnosis and its first version.
pub(crate) async fn insert(transaction: &mut Transaction<'_>, new: &Diagnosis) -> Result<(), WriteError> {
    // A patient that was there stays.
    if transaction.find_one(&PATIENTS, doc! { "_id": id(new.patient) }).await?.is_none() {
        return Err(WriteError::Conflict { law: Diagnosis::OF_A_KNOWN_PATIENT });
    }
    transaction.insert(&DIAGNOSES, document(new)).await?;
    insert_version(transaction, new).await
}

/// Makes the diagnosis its next version and adds that to the history.
pub(crate) async fn update(transaction: &mut Transaction<'_>, changed: &Diagnosis) -> Result<(), WriteError> {
    let due = doc! { "_id": id(changed.id), "version": number(i64::from(changed.version) - 1) };
    if !transaction.update(&DIAGNOSES, due, setting(document(changed), &OPTIONAL)).await? {
        return Err(WriteError::Stale);
    }
    insert_version(transaction, changed).await
}

/// Whether the diagnosis has that version, and until the end of the transaction no other.
pub(crate) async fn stays_at(
    transaction: &mut Transaction<'_>,
    diagnosis: DiagnosisId,
    version: u32,
) -> Result<bool, WriteError> {
    let at_version = doc! { "_id": id(diagnosis), "version": number(version) };
    transaction.update(&DIAGNOSES, at_version, doc! { "$inc": { "turns": number(1) } }).await
}

/// Touches the diagnoses, so that whoever reports on one meanwhile is undone, or undoes this.
pub(crate) async fn hold(
    transaction: &mut Transaction<'_>,
    diagnoses: BTreeSet<DiagnosisId>,
) -> Result<(), WriteError> {
    if diagnoses.is_empty() {
        return Ok(());
    }
    let ids: Vec<Bson> = diagnoses.into_iter().map(id).collect();
    let turn = doc! { "$inc": { "turns": number(1) } };
    transaction.update_all(&DIAGNOSES, doc! { "_id": { "$in": ids } }, turn).await
}

async fn insert_version(transaction: &mut Transaction<'_>, diagnosis: &Diagnosis) -> Result<(), WriteError> {
    transaction.insert(&DIAGNOSIS_VERSIONS, version_document(diagnosis)).await
}

pub(crate) fn document(diagnosis: &Diagnosis) -> Document {
    let Content { disease, findings, conditions } = &diagnosis.content;
    doc! {
        "_id": id(diagnosis.id),
        "patient": id(diagnosis.patient),
        "author": id(diagnosis.author),
        "disease": disease.as_str(),
        "findings": findings.as_str(),
        "conditions": conditions.as_str(),
        "status": diagnosis.status.as_str(),
        "version": number(diagnosis.version),
        "recorded_at": time(diagnosis.recorded_at),
        "updated": signed(diagnosis.updated),
    }
    .with("study", diagnosis.study.map(id))
    .with("confirmed", diagnosis.confirmed.map(signed))
    .with("amendment", diagnosis.amendment.as_ref().map(reasoned))
    .with("retraction", diagnosis.retraction.as_ref().map(reasoned))
}

/// What the history keeps of it as it is now.
pub(crate) fn version_document(diagnosis: &Diagnosis) -> Document {
    history_document(diagnosis.patient, diagnosis.as_version())
}

pub(crate) fn history_document(patient: PatientId, version: DiagnosisVersion) -> Document {
    let DiagnosisVersion { diagnosis: of, version, status, content, made, reason } = version;
    doc! {
        "_id": version_id(of, version.into()),
        "patient": id(patient),
        "diagnosis": id(of),
        "version": number(version),
        "status": status.as_str(),
        "disease": content.disease.as_str(),
        "findings": content.findings.as_str(),
        "conditions": content.conditions.as_str(),
        "made": signed(made),
    }
    .with("reason", reason.as_ref().map(ShortText::as_str))
}

/// In the order of diagnoses and their versions.
pub(crate) fn version_id(diagnosis: impl Display, version: u64) -> String {
    format!("{diagnosis}:{version:010}")
}

fn signed(signature: Signature) -> Document {
    doc! { "by": id(signature.by), "at": time(signature.at) }
}

fn reasoned(reasoned: &Reasoned) -> Document {
    doc! { "by": id(reasoned.by), "at": time(reasoned.at), "reason": reasoned.reason.as_str() }
}

pub(crate) fn diagnosis(found: &RawDocument) -> Result<Diagnosis, StoreError> {
    Ok(Diagnosis {
        id: found.id("_id")?,
        patient: found.id("patient")?,
        study: found.optional_id("study")?,
        author: found.id("author")?,
        content: content(found)?,
        status: status(found)?,
        version: found.number("version")?,
        recorded_at: found.time("recorded_at")?,
        updated: signature(found.document("updated")?)?,
        confirmed: found.optional_document("confirmed")?.map(signature).transpose()?,
        amendment: found.optional_document("amendment")?.map(reason_of).transpose()?,
        retraction: found.optional_document("retraction")?.map(reason_of).transpose()?,
    })
}

pub(crate) fn version(found: &RawDocument) -> Result<DiagnosisVersion, StoreError> {
    Ok(DiagnosisVersion {
        diagnosis: found.id("diagnosis")?,
        version: found.number("version")?,
        status: status(found)?,
        content: content(found)?,
        made: signature(found.document("made")?)?,
        reason: found.optional_parsed("reason", ShortText::parse)?,
    })
}

fn status(found: &RawDocument) -> Result<DiagnosisStatus, StoreError> {
    found.parsed("status", str::parse)
}

fn content(found: &RawDocument) -> Result<Content, StoreError> {
    Ok(Content {
        disease: found.parsed("disease", ShortText::parse)?,
        findings: found.parsed("findings", LongText::parse)?,
        conditions: found.parsed("conditions", LongText::parse)?,
    })
}

fn signature(found: &RawDocument) -> Result<Signature, StoreError> {
    Ok(Signature { by: found.id("by")?, at: found.time("at")? })
}

fn reason_of(found: &RawDocument) -> Result<Reasoned, StoreError> {
    Ok(Reasoned { by: found.id("by")?, at: found.time("at")?, reason: found.parsed("reason", ShortText::parse)? })
}

#[cfg(test)]
mod tests {
    use infirmary_kernel::{Timestamp, testing::fresh_id};

    use super::*;

    #[test]
    fn every_filter_has_an_index_that_begins_with_what_it_gives_one_value() {
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
            (DiagnosisFilter { patient, statuses: shown, ..any() }, "patient"),
            (DiagnosisFilter { patient, author, statuses: drafts.clone(), from: at, to: at, reader: None }, "patient"),
            (DiagnosisFilter { author, statuses: drafts, reader: author, ..any() }, "author"),
        ];
        for (filter, expected) in filters {
            let Query { filter: asked, sort, index, .. } = listing(&filter, &PageRequest::default());
            assert_eq!(index, expected, "{filter:?}");
            let known = DIAGNOSES.indexes.iter().find(|known| known.name == index).unwrap();
            let (given, order) = known.keys.split_at(known.keys.len() - sort.len());
            let order: Document = order.iter().map(|(field, way)| ((*field).to_owned(), (*way).into())).collect();
            assert_eq!(order, sort, "{filter:?} is sorted");
            assert!(given.iter().all(|(field, _)| asked.get(field).is_some_and(|value| value.as_document().is_none())));
        }
    }
}
