use async_trait::async_trait;
use infirmary_kernel::{StoreError, WriteError};
use mongodb::bson::{Document, RawDocument};

use super::{
    checks::{self, Check},
    flaws::Flaws,
};
use crate::{
    MongoStore, accounts, care_teams, diagnosis,
    documents::Fields,
    financials, imaging, messages,
    parts::Part,
    patients, reports,
    schema::{
        ACCOUNTS, CHARGES, Collection, DIAGNOSES, DIAGNOSIS_VERSIONS, EMERGENCY_ACCESSES, IMAGES, MESSAGES, PATIENTS,
        PAYMENTS, REFUNDS, REPORTS, SESSIONS, STUDIES, TASKS,
    },
    sessions, tasks,
    transaction::Transaction,
};

type Read = fn(&RawDocument) -> Result<(), StoreError>;

/// The noun of what a collection holds, and how it is read.
static DOCUMENTS: &[(&str, &Collection, Read)] = &[
    ("account", &ACCOUNTS, |found| accounts::account(found).map(drop)),
    ("session", &SESSIONS, |found| sessions::session(found).map(drop)),
    ("patient", &PATIENTS, |found| {
        care_teams::members(found.id("_id")?, found)?;
        patients::patient(found).map(drop)
    }),
    ("emergency access", &EMERGENCY_ACCESSES, |found| care_teams::access(found).map(drop)),
    ("study", &STUDIES, |found| imaging::study(found).map(drop)),
    ("image", &IMAGES, |found| imaging::image(found).map(drop)),
    ("diagnosis", &DIAGNOSES, |found| diagnosis::diagnosis(found).map(drop)),
    ("version of the diagnosis", &DIAGNOSIS_VERSIONS, |found| diagnosis::version(found).map(drop)),
    ("report", &REPORTS, |found| reports::report(found).map(drop)),
    ("task", &TASKS, |found| tasks::task(found).map(drop)),
    ("charge", &CHARGES, |found| financials::charge_view(found).map(drop)),
    ("payment", &PAYMENTS, |found| financials::payment(found).map(drop)),
    ("refund", &REFUNDS, |found| financials::refund(found).map(drop)),
    ("message", &MESSAGES, |found| messages::message(found).map(drop)),
];

/// Documents that cannot be read. Damage to the files of the server is for the server to find: it sums up every block that it
/// reads, and what it is asked to look for by hand (`validate`) takes rights over the whole database, and locks it.
pub(super) async fn find(store: &MongoStore, flaws: &mut Flaws) -> Result<(), StoreError> {
    for (noun, collection, read) in DOCUMENTS {
        checks::check(store, &Documents { noun, collection, read: *read }, flaws).await?;
    }
    Ok(())
}

struct Documents {
    noun: &'static str,
    collection: &'static Collection,
    read: Read,
}

#[async_trait]
impl Check for Documents {
    fn by(&self) -> &'static Collection {
        self.collection
    }

    async fn look(&self, transaction: &mut Transaction<'_>, part: &Part, flaws: &mut Flaws) -> Result<(), WriteError> {
        let mut documents = transaction.open(self.collection, part.own(), "_id", Document::new()).await?;
        while let Some(document) = transaction.next(&mut documents).await? {
            let Err(error) = (self.read)(&document) else { continue };
            let what = match error {
                StoreError::Corrupt { reason } => format!("it cannot be read: {reason}"),
                other => return Err(other.into()),
            };
            match document.optional_uuid("_id").ok().flatten().or_else(|| of_version(&document)) {
                Some(id) => flaws.add(self.noun, id, what),
                None => flaws.add_part(format!("{} without an id", self.noun), what),
            }
        }
        Ok(())
    }
}

/// Of whose history the document is.
fn of_version(document: &RawDocument) -> Option<uuid::Uuid> {
    let (diagnosis, _) = document.text("_id").ok()?.split_once(':')?;
    diagnosis.parse().ok()
}
