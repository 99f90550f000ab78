use infirmary_kernel::StoreError;
use mongodb::bson::{Document, doc};

use super::{
    flaws::Flaws,
    ordered::{Of, Ordered},
};
use crate::{
    documents::Fields,
    reads::Snapshot,
    schema::{CHARGES, Collection, DIAGNOSES, IMAGES, REPORTS, STUDIES},
};

pub(super) async fn find(snapshot: &mut Snapshot<'_>, flaws: &mut Flaws) -> Result<(), StoreError> {
    studies(snapshot, flaws).await?;
    reports(snapshot, flaws).await
}

async fn studies(snapshot: &mut Snapshot<'_>, flaws: &mut Flaws) -> Result<(), StoreError> {
    let of_study = |collection: &'static Collection, fields| Of {
        collection,
        index: "study",
        key: "study",
        filter: doc! { "study": { "$exists": true } },
        fields,
    };
    let all = Of { collection: &STUDIES, index: "_id", key: "_id", filter: Document::new(), fields: &["_id"] };
    let mut studies = Ordered::open(snapshot, all).await?;
    let mut diagnoses = Ordered::open(snapshot, of_study(&DIAGNOSES, &["_id"])).await?;
    let mut images = Ordered::open(snapshot, of_study(&IMAGES, &["position"])).await?;
    let mut charges = Ordered::open(snapshot, of_study(&CHARGES, &["_id"])).await?;
    while let Some(study) = studies.next(snapshot).await?.filter(|_| !flaws.is_full()) {
        let id = study.id::<()>("_id")?.as_uuid();
        if diagnoses.of(snapshot, id).await?.len() != 1 {
            flaws.add("study", id, "it has no diagnosis, or more than one");
        }
        let positions = images.of(snapshot, id).await?;
        let positions = positions.iter().map(|image| image.number("position")).collect::<Result<Vec<usize>, _>>()?;
        if positions.is_empty() || positions.iter().enumerate().any(|(place, position)| place != *position) {
            flaws.add("study", id, "an image of it is missing");
        }
        if charges.of(snapshot, id).await?.is_empty() {
            flaws.add("study", id, "it has no charge");
        }
    }
    Ok(())
}

async fn reports(snapshot: &mut Snapshot<'_>, flaws: &mut Flaws) -> Result<(), StoreError> {
    let of_diagnosis = |collection: &'static Collection, filter: Document| Of {
        collection,
        index: "diagnosis",
        key: "diagnosis",
        filter,
        fields: &["_id"],
    };
    let of_reports = doc! { "diagnosis": { "$exists": true }, "report": { "$exists": true } };
    let mut reports = Ordered::open(snapshot, of_diagnosis(&REPORTS, Document::new())).await?;
    let mut charges = Ordered::open(snapshot, of_diagnosis(&CHARGES, of_reports)).await?;
    let mut charged = (None, 0);
    while let Some(report) = reports.next(snapshot).await?.filter(|_| !flaws.is_full()) {
        let diagnosis = report.id::<()>("diagnosis")?.as_uuid();
        // Of several reports on a diagnosis the first has asked.
        if charged.0 != Some(diagnosis) {
            charged = (Some(diagnosis), charges.of(snapshot, diagnosis).await?.len());
        }
        if charged.1 != 1 {
            let id = report.id::<()>("_id")?.as_uuid();
            flaws.add("report", id, "its diagnosis has no charge for a report, or more than one");
        }
    }
    Ok(())
}
