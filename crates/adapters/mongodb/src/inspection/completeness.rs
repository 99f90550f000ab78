use async_trait::async_trait;
use infirmary_kernel::WriteError;
use mongodb::bson::{Document, doc};

use super::{
    checks::{Check, Of, Ordered},
    flaws::Flaws,
};
use crate::{
    documents::Fields,
    parts::Part,
    schema::{CHARGES, Collection, DIAGNOSES, IMAGES, REPORTS, STUDIES},
    transaction::Transaction,
};

pub(super) struct Studies;

#[async_trait]
impl Check for Studies {
    fn by(&self) -> &'static Collection {
        &STUDIES
    }

    async fn look(&self, transaction: &mut Transaction<'_>, part: &Part, flaws: &mut Flaws) -> Result<(), WriteError> {
        let all = |collection, key, fields| Of { collection, key, filter: Document::new(), fields };
        let mut studies = Ordered::open(transaction, part, all(&STUDIES, "_id", &["_id"])).await?;
        let mut diagnoses = Ordered::open(transaction, part, all(&DIAGNOSES, "study", &["_id"])).await?;
        let mut images = Ordered::open(transaction, part, all(&IMAGES, "study", &["position"])).await?;
        let mut charges = Ordered::open(transaction, part, all(&CHARGES, "study", &["_id"])).await?;
        while let Some(study) = studies.next(transaction).await? {
            let id = study.id::<()>("_id")?.as_uuid();
            if diagnoses.of(transaction, id).await?.len() != 1 {
                flaws.add("study", id, "it has no diagnosis, or more than one");
            }
            let images = images.of(transaction, id).await?;
            let positions = images.iter().map(|image| image.number("position")).collect::<Result<Vec<usize>, _>>()?;
            if positions.is_empty() || positions.iter().enumerate().any(|(place, position)| place != *position) {
                flaws.add("study", id, "an image of it is missing");
            }
            if charges.of(transaction, id).await?.is_empty() {
                flaws.add("study", id, "it has no charge");
            }
        }
        Ok(())
    }
}

pub(super) struct Reports;

#[async_trait]
impl Check for Reports {
    fn by(&self) -> &'static Collection {
        &DIAGNOSES
    }

    async fn look(&self, transaction: &mut Transaction<'_>, part: &Part, flaws: &mut Flaws) -> Result<(), WriteError> {
        let of_diagnosis = |collection, filter| Of { collection, key: "diagnosis", filter, fields: &["_id"] };
        let mut reports = Ordered::open(transaction, part, of_diagnosis(&REPORTS, Document::new())).await?;
        let charged = of_diagnosis(&CHARGES, doc! { "report": { "$exists": true } });
        let mut charges = Ordered::open(transaction, part, charged).await?;
        let mut charged = (None, 0);
        while let Some(report) = reports.next(transaction).await? {
            let diagnosis = report.id::<()>("diagnosis")?.as_uuid();
            // Of several reports on a diagnosis the first has asked.
            if charged.0 != Some(diagnosis) {
                charged = (Some(diagnosis), charges.of(transaction, diagnosis).await?.len());
            }
            if charged.1 != 1 {
                let id = report.id::<()>("_id")?.as_uuid();
                flaws.add("report", id, "its diagnosis has no charge for a report, or more than one");
            }
        }
        Ok(())
    }
}
