use infirmary_kernel::StoreError;
use mongodb::bson::{Document, RawDocument, doc};

use super::{
    flaws::Flaws,
    ordered::{Of, Ordered},
};
use crate::{
    documents::{Fields, number},
    reads::{Query, Snapshot},
    schema::{COUNTERS, DIAGNOSES, DIAGNOSIS_VERSIONS, PATIENTS, REPORTS},
};

/// What a version says.
const SAID: &[&str] = &["status", "disease", "findings", "conditions"];
const SAID_AT_VERSION: &[&str] = &["version", "status", "disease", "findings", "conditions"];

pub(super) async fn find(snapshot: &mut Snapshot<'_>, flaws: &mut Flaws) -> Result<(), StoreError> {
    versions(snapshot, flaws).await?;
    record_numbers(snapshot, flaws).await
}

async fn versions(snapshot: &mut Snapshot<'_>, flaws: &mut Flaws) -> Result<(), StoreError> {
    let of = |collection, index, fields| Of { collection, index, key: index, filter: Document::new(), fields };
    let mut diagnoses = Ordered::open(snapshot, of(&DIAGNOSES, "_id", SAID_AT_VERSION)).await?;
    let mut versions = Ordered::open(snapshot, of(&DIAGNOSIS_VERSIONS, "diagnosis", SAID_AT_VERSION)).await?;
    let mut reports = Ordered::open(snapshot, of(&REPORTS, "diagnosis", &["diagnosis_version"])).await?;
    while let Some(diagnosis) = diagnoses.next(snapshot).await?.filter(|_| !flaws.is_full()) {
        let id = diagnosis.id::<()>("_id")?.as_uuid();
        // Newest first, as the index has them.
        let found = versions.of(snapshot, id).await?;
        let numbers = found.iter().map(|version| version.number("version")).collect::<Result<Vec<u64>, _>>()?;
        let newest: u64 = diagnosis.number("version")?;
        if numbers.len() as u64 != newest || !numbers.iter().copied().eq((1..=newest).rev()) {
            flaws.add("diagnosis", id, "a version of it is missing");
        }
        if numbers.first() == Some(&newest) && !found.first().is_some_and(|last| say_the_same(&diagnosis, last)) {
            flaws.add("diagnosis", id, "it says something else than its last version");
        }
        for report in reports.of(snapshot, id).await? {
            if !numbers.contains(&report.number("diagnosis_version")?) {
                let id = report.id::<()>("_id")?.as_uuid();
                flaws.add("report", id, "the version of the diagnosis that it reports is not there");
            }
        }
    }
    Ok(())
}

fn say_the_same(diagnosis: &RawDocument, version: &RawDocument) -> bool {
    SAID.iter().all(|field| matches!((diagnosis.get(field), version.get(field)), (Ok(one), Ok(other)) if one == other))
}

async fn record_numbers(snapshot: &mut Snapshot<'_>, flaws: &mut Flaws) -> Result<(), StoreError> {
    let counter = Query { filter: doc! { "_id": "mrn" }, sort: doc! {}, limit: 1, index: "_id" };
    let last: i64 = match snapshot.find(&COUNTERS, counter).await?.first() {
        Some(counter) => counter.number("last")?,
        None => 0,
    };
    let filter = doc! { "mrn": { "$gt": number(last) } };
    let above = Query { filter, sort: doc! { "mrn": 1 }, limit: flaws.most(), index: "mrn" };
    for patient in snapshot.find(&PATIENTS, above).await? {
        let id = patient.id::<()>("_id")?.as_uuid();
        flaws.add("patient", id, "its record number is above those that were given");
    }
    Ok(())
}
