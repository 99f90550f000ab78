use async_trait::async_trait;
use infirmary_kernel::{StoreError, WriteError};
use mongodb::bson::{Document, RawDocument, doc};

use super::{
    checks::{Check, Of, Ordered},
    flaws::Flaws,
};
use crate::{
    MongoStore,
    documents::Fields,
    parts::Part,
    reads::Query,
    schema::{COUNTERS, Collection, DIAGNOSES, DIAGNOSIS_VERSIONS, PATIENTS, REPORTS},
    transaction::Transaction,
};

/// What a version says.
const SAID: &[&str] = &["status", "disease", "findings", "conditions"];
const SAID_AT_VERSION: &[&str] = &["version", "status", "disease", "findings", "conditions"];

pub(super) struct Versions;

#[async_trait]
impl Check for Versions {
    fn by(&self) -> &'static Collection {
        &DIAGNOSES
    }

    async fn look(&self, transaction: &mut Transaction<'_>, part: &Part, flaws: &mut Flaws) -> Result<(), WriteError> {
        let all = |collection, key, fields| Of { collection, key, filter: Document::new(), fields };
        let mut diagnoses = Ordered::open(transaction, part, all(&DIAGNOSES, "_id", SAID_AT_VERSION)).await?;
        let versions = all(&DIAGNOSIS_VERSIONS, "diagnosis", SAID_AT_VERSION);
        let mut versions = Ordered::open(transaction, part, versions).await?;
        let reports = all(&REPORTS, "diagnosis", &["diagnosis_version"]);
        let mut reports = Ordered::open(transaction, part, reports).await?;
        while let Some(diagnosis) = diagnoses.next(transaction).await? {
            let id = diagnosis.id::<()>("_id")?.as_uuid();
            // Newest first, as the index has them.
            let found = versions.of(transaction, id).await?;
            let numbers = found.iter().map(|version| version.number("version")).collect::<Result<Vec<u64>, _>>()?;
            let newest: u64 = diagnosis.number("version")?;
            if numbers.len() as u64 != newest || !numbers.iter().copied().eq((1..=newest).rev()) {
                flaws.add("diagnosis", id, "a version of it is missing");
            }
            if numbers.first() == Some(&newest) && !found.first().is_some_and(|last| say_the_same(&diagnosis, last)) {
                flaws.add("diagnosis", id, "it says something else than its last version");
            }
            for report in reports.of(transaction, id).await? {
                if !numbers.contains(&report.number("diagnosis_version")?) {
                    let id = report.id::<()>("_id")?.as_uuid();
                    flaws.add("report", id, "the version of the diagnosis that it reports is not there");
                }
            }
        }
        Ok(())
    }
}

fn say_the_same(diagnosis: &RawDocument, version: &RawDocument) -> bool {
    SAID.iter().all(|field| matches!((diagnosis.get(field), version.get(field)), (Ok(one), Ok(other)) if one == other))
}

/// A number is given before it is written: so those that were given are asked for last.
pub(super) async fn record_numbers(store: &MongoStore, flaws: &mut Flaws) -> Result<(), StoreError> {
    let highest = Query { filter: doc! {}, sort: doc! { "mrn": -1 }, limit: flaws.most(), index: "mrn" };
    let highest = store.find(&PATIENTS, highest).await?;
    let counter = store.find_one(&COUNTERS, doc! { "_id": "mrn" }).await?;
    let last: i64 = counter.map_or(Ok(0), |counter| counter.number("last"))?;
    for patient in highest {
        if patient.number::<i64>("mrn")? > last {
            let id = patient.id::<()>("_id")?.as_uuid();
            flaws.add("patient", id, "its record number is above those that were given");
        }
    }
    Ok(())
}
