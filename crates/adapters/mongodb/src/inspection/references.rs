//! Whatever a document names is there, and of the same patient. Each collection is gone through once; what the documents of a
//! part name is looked for together.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use infirmary_kernel::{StoreError, WriteError};
use mongodb::bson::{Bson, Document, RawDocument, RawDocumentBuf, doc};
use uuid::Uuid;

use super::{
    checks::{self, Check},
    flaws::Flaws,
};
use crate::{
    MongoStore,
    documents::{Fields, uuid},
    parts::Part,
    schema::{
        ACCOUNTS, CHARGES, Collection, DIAGNOSES, DIAGNOSIS_VERSIONS, EMERGENCY_ACCESSES, IMAGES, INVITATIONS,
        PATIENT_WORDS, PATIENTS, PAYMENTS, REFUNDS, REPORTS, SESSIONS, STUDIES,
    },
    transaction::Transaction,
};

/// That are looked for at once.
const IDS_AT_ONCE: usize = 250;

struct Reference {
    /// With an id; or `list.field`, of each document in a list.
    field: &'static str,
    /// Another field that is there where this is a reference.
    having: &'static str,
    to: &'static Collection,
    /// Pairs of a field here and the one there that has the same value.
    agrees: &'static [(&'static str, &'static str)],
    broken: Broken,
}

/// What is told when it does not hold.
enum Broken {
    /// Of the id that is not there, which is one of these: what it was named for.
    Absent(&'static str, &'static str),
    /// Of what is there and does not agree: of the document that names it, what is wrong with it.
    Unlike(&'static str, &'static str),
    /// Either, of the document that names it.
    Wrong(&'static str, &'static str),
}

const NAMED: &str = "";

impl Reference {
    const fn new(field: &'static str, to: &'static Collection, broken: Broken) -> Self {
        Self { field, having: field, to, agrees: &[], broken }
    }

    /// To what has to be there, whatever the reference is for.
    const fn there(field: &'static str, to: &'static Collection, noun: &'static str) -> Self {
        Self::new(field, to, Broken::Absent(noun, NAMED))
    }

    const fn wrong(noun: &'static str, field: &'static str, to: &'static Collection, what: &'static str) -> Self {
        Self::new(field, to, Broken::Wrong(noun, what))
    }

    const fn agreeing(mut self, agrees: &'static [(&'static str, &'static str)]) -> Self {
        self.agrees = agrees;
        self
    }

    const fn having(mut self, field: &'static str) -> Self {
        self.having = field;
        self
    }
}

const OF_PATIENT: Reference = Reference::there("patient", &PATIENTS, "patient");
const SAME_PATIENT: &[(&str, &str)] = &[("patient", "patient")];
const OF_NO_STUDY: &str = "its study and diagnosis are not there, or of another patient";
const OF_NO_REPORT: &str = "its report and diagnosis are not there, or of another patient";

static REFERENCES: &[(&Collection, &[Reference])] = &[
    (
        &ACCOUNTS,
        &[Reference::wrong("account", "patient", &PATIENTS, "its patient record is not there, or of another account")
            .agreeing(&[("_id", "account")])],
    ),
    (
        &PATIENTS,
        &[
            Reference::wrong("patient", "account", &ACCOUNTS, "its account is not there, or of another patient")
                .agreeing(&[("_id", "patient")]),
            Reference::new(
                "care_team.account",
                &ACCOUNTS,
                Broken::Absent("account", "it is of a care team, and is not there"),
            )
            .having("care_team"),
        ],
    ),
    (&PATIENT_WORDS, &[OF_PATIENT]),
    (
        &EMERGENCY_ACCESSES,
        &[
            OF_PATIENT,
            Reference::new(
                "account",
                &ACCOUNTS,
                Broken::Absent("account", "it used emergency access, and is not there"),
            ),
        ],
    ),
    (&INVITATIONS, &[Reference::there("_id", &ACCOUNTS, "account")]),
    (&SESSIONS, &[Reference::there("account", &ACCOUNTS, "account")]),
    (&STUDIES, &[OF_PATIENT, Reference::wrong("study", "author", &ACCOUNTS, "its author has no account")]),
    (
        &IMAGES,
        &[
            Reference::there("study", &STUDIES, "study"),
            Reference::new("study", &STUDIES, Broken::Unlike("image", "it is of another patient than its study"))
                .agreeing(SAME_PATIENT),
        ],
    ),
    (
        &DIAGNOSES,
        &[
            OF_PATIENT,
            Reference::wrong("diagnosis", "author", &ACCOUNTS, "its author has no account"),
            Reference::wrong("diagnosis", "study", &STUDIES, "its study is not there, or of another patient")
                .agreeing(SAME_PATIENT),
        ],
    ),
    (&DIAGNOSIS_VERSIONS, &[Reference::there("diagnosis", &DIAGNOSES, "diagnosis")]),
    (
        &REPORTS,
        &[
            Reference::there("diagnosis", &DIAGNOSES, "diagnosis"),
            Reference::new(
                "diagnosis",
                &DIAGNOSES,
                Broken::Unlike("report", "it is of another patient than its diagnosis"),
            )
            .agreeing(SAME_PATIENT),
        ],
    ),
    (
        &CHARGES,
        &[
            OF_PATIENT,
            Reference::wrong("charge", "diagnosis", &DIAGNOSES, OF_NO_STUDY).having("study").agreeing(&[
                ("study", "study"),
                ("patient", "patient"),
                ("author", "author"),
            ]),
            Reference::wrong("charge", "diagnosis", &DIAGNOSES, OF_NO_REPORT)
                .having("report")
                .agreeing(&[("patient", "patient"), ("author", "author")]),
            Reference::wrong("charge", "report", &REPORTS, OF_NO_REPORT).agreeing(&[("diagnosis", "diagnosis")]),
        ],
    ),
    (&PAYMENTS, &[OF_PATIENT, Reference::there("allocations.charge", &CHARGES, "charge").having("allocations")]),
    (
        &REFUNDS,
        &[
            Reference::there("payment", &PAYMENTS, "payment"),
            Reference::new("payment", &PAYMENTS, Broken::Unlike("refund", "it is of another patient than its payment"))
                .agreeing(SAME_PATIENT),
            Reference::there("allocations.charge", &CHARGES, "charge").having("allocations"),
        ],
    ),
];

pub(super) async fn find(store: &MongoStore, flaws: &mut Flaws) -> Result<(), StoreError> {
    for (collection, references) in REFERENCES {
        checks::check(store, &Named { collection, references }, flaws).await?;
    }
    Ok(())
}

/// What the documents of a collection name.
struct Named {
    collection: &'static Collection,
    references: &'static [Reference],
}

#[async_trait]
impl Check for Named {
    fn by(&self) -> &'static Collection {
        self.collection
    }

    async fn look(&self, transaction: &mut Transaction<'_>, part: &Part, flaws: &mut Flaws) -> Result<(), WriteError> {
        let fields: Document = NAMING.iter().map(|field| ((*field).to_owned(), 1.into())).collect();
        let mut rest = transaction.open(self.collection, part.own(), "_id", fields).await?;
        let mut all = Vec::new();
        while let Some(document) = transaction.next(&mut rest).await? {
            all.push(document);
        }
        for reference in self.references {
            check(transaction, self.collection, &all, reference, flaws).await?;
        }
        Ok(())
    }
}

async fn check(
    transaction: &mut Transaction<'_>,
    collection: &Collection,
    all: &[RawDocumentBuf],
    reference: &Reference,
    flaws: &mut Flaws,
) -> Result<(), WriteError> {
    let mut named = Vec::new();
    for document in all.iter().filter(|document| matches!(document.get(reference.having), Ok(Some(_)))) {
        for id in ids(document, reference.field)? {
            named.push((document, id));
        }
    }
    let there = there(transaction, reference, named.iter().map(|(_, id)| *id).collect()).await?;
    for (document, id) in named {
        let target = there.get(&id);
        let agrees = target.is_some_and(|target| agree(document, target, reference.agrees));
        match (&reference.broken, target) {
            (Broken::Absent(noun, NAMED), None) => {
                let what = format!("it is not there, and documents of {} name it", collection.name);
                flaws.add(noun, id, what);
            }
            (Broken::Absent(noun, what), None) => flaws.add(noun, id, *what),
            (Broken::Unlike(noun, what), Some(_)) | (Broken::Wrong(noun, what), _) if !agrees => {
                flaws.add(noun, document.id::<()>("_id")?.as_uuid(), *what);
            }
            _ => {}
        }
    }
    Ok(())
}

/// What the document names by the field.
fn ids(document: &RawDocument, field: &str) -> Result<Vec<Uuid>, StoreError> {
    match field.split_once('.') {
        Some((list, field)) => {
            document.documents(list)?.iter().map(|part| Ok(part.id::<()>(field)?.as_uuid())).collect()
        }
        None => Ok(vec![document.id::<()>(field)?.as_uuid()]),
    }
}

/// Of the ids those that are there, with what has to agree.
async fn there(
    transaction: &mut Transaction<'_>,
    reference: &Reference,
    ids: HashSet<Uuid>,
) -> Result<HashMap<Uuid, RawDocumentBuf>, WriteError> {
    let mut there = HashMap::new();
    let ids: Vec<Bson> = ids.into_iter().map(uuid).collect();
    for ids in ids.chunks(IDS_AT_ONCE) {
        let mut fields: Document = reference.agrees.iter().map(|(_, field)| ((*field).to_owned(), 1.into())).collect();
        fields.insert("_id", 1);
        let pipeline = vec![doc! { "$match": { "_id": { "$in": ids } } }, doc! { "$project": fields }];
        for found in transaction.aggregate(reference.to, pipeline).await? {
            there.insert(found.id::<()>("_id")?.as_uuid(), found);
        }
    }
    Ok(there)
}

fn agree(here: &RawDocument, there: &RawDocument, fields: &[(&str, &str)]) -> bool {
    fields.iter().all(|(one, other)| matches!((here.get(one), there.get(other)), (Ok(one), Ok(other)) if one == other))
}

/// Every field that names something, or agrees with what another one names.
const NAMING: &[&str] = &[
    "patient",
    "account",
    "author",
    "study",
    "diagnosis",
    "report",
    "payment",
    "care_team.account",
    "allocations.charge",
];
