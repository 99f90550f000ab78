//! Every write has its entry. Entries and records are both gone through in the order of the patient.

use std::collections::HashMap;

use async_trait::async_trait;
use infirmary_kernel::{Action, StoreError, WriteError};
use mongodb::bson::{Document, RawDocumentBuf, doc};
use uuid::Uuid;

use super::{
    checks::{Check, Of, Ordered},
    flaws::Flaws,
};
use crate::{
    audit,
    documents::Fields,
    parts::Part,
    schema::{
        AUDIT, CHARGES, Collection, DIAGNOSES, EMERGENCY_ACCESSES, PATIENTS, PAYMENTS, REFUNDS, REPORTS, STUDIES,
    },
    transaction::Transaction,
};

const REGISTRATION: &[Action] = &[Action::PATIENT_REGISTER, Action::ACCOUNT_REGISTER];
const CHANGE: &[Action] =
    &[Action::DIAGNOSIS_CHANGE, Action::DIAGNOSIS_CONFIRM, Action::DIAGNOSIS_AMEND, Action::DIAGNOSIS_RETRACT];
const UNTOLD: &str = "the audit trail does not tell of it";

/// Records each of which one entry tells of.
struct Kind {
    noun: &'static str,
    action: Action,
    untold: &'static str,
    records: Ordered,
}

pub(super) struct Trail;

#[async_trait]
impl Check for Trail {
    fn by(&self) -> &'static Collection {
        &PATIENTS
    }

    async fn look(&self, transaction: &mut Transaction<'_>, part: &Part, flaws: &mut Flaws) -> Result<(), WriteError> {
        let team = Of { collection: &PATIENTS, key: "_id", filter: Document::new(), fields: &["care_team.account"] };
        let mut patients = Ordered::open(transaction, part, team).await?;
        let mut kinds = kinds(transaction, part).await?;
        let changed = of_patients(&DIAGNOSES, doc! { "version": { "$gt": 1 } }, &["version"]);
        let mut changed = Ordered::open(transaction, part, changed).await?;
        let refunds = of_patients(&REFUNDS, Document::new(), &["payment"]);
        let mut refunds = Ordered::open(transaction, part, refunds).await?;
        let mut entries = Ordered::open(transaction, part, of_patients(&AUDIT, of_these(&kinds), &[])).await?;
        while let Some(patient) = patients.next(transaction).await? {
            let id = patient.id::<()>("_id")?.as_uuid();
            let told = Told::by(&entries.of(transaction, id).await?)?;
            if !told.any(REGISTRATION, id) {
                flaws.add("patient", id, "the audit trail does not tell of its registration");
            }
            for member in patient.optional_documents("care_team")? {
                let account = member.id::<()>("account")?.as_uuid();
                if !told.any(&[Action::CARE_TEAM_ADD], account) {
                    flaws.add("account", account, "the audit trail does not tell that it came to a care team");
                }
            }
            for kind in &mut kinds {
                for record in kind.records.of(transaction, id).await? {
                    let record = record.id::<()>("_id")?.as_uuid();
                    if !told.any(std::slice::from_ref(&kind.action), record) {
                        flaws.add(kind.noun, record, kind.untold);
                    }
                }
            }
            for diagnosis in changed.of(transaction, id).await? {
                let (diagnosis, version) = (diagnosis.id::<()>("_id")?.as_uuid(), diagnosis.number("version")?);
                if !told.every_version(diagnosis, version) {
                    flaws.add("diagnosis", diagnosis, "the audit trail does not tell of every change to it");
                }
            }
            let mut refunded: HashMap<Uuid, usize> = HashMap::new();
            for refund in refunds.of(transaction, id).await? {
                *refunded.entry(refund.id::<()>("payment")?.as_uuid()).or_default() += 1;
            }
            for (payment, refunds) in refunded {
                if told.times(&Action::PAYMENT_REFUND, payment) < refunds {
                    flaws.add("payment", payment, "the audit trail does not tell of every refund of it");
                }
            }
        }
        Ok(())
    }
}

const fn of_patients(collection: &'static Collection, filter: Document, fields: &'static [&'static str]) -> Of {
    Of { collection, key: "patient", filter, fields }
}

async fn kinds(transaction: &mut Transaction<'_>, part: &Part) -> Result<Vec<Kind>, WriteError> {
    let none = || doc! { "$exists": false };
    let by_hand = doc! { "study": none(), "report": none() };
    let voided = doc! { "voided_at": { "$exists": true } };
    let not_voided = "the audit trail does not tell that it was made void";
    let all = Document::new;
    let of: [(_, &'static Collection, _, _, _); 7] = [
        ("study", &STUDIES, all(), Action::STUDY_RECORD, UNTOLD),
        ("diagnosis", &DIAGNOSES, doc! { "study": none() }, Action::DIAGNOSIS_RECORD, UNTOLD),
        ("emergency access", &EMERGENCY_ACCESSES, all(), Action::EMERGENCY_ACCESS_START, UNTOLD),
        ("report", &REPORTS, all(), Action::REPORT_ISSUE, UNTOLD),
        ("charge", &CHARGES, by_hand, Action::CHARGE_CREATE, UNTOLD),
        ("charge", &CHARGES, voided, Action::CHARGE_VOID, not_voided),
        ("payment", &PAYMENTS, all(), Action::PAYMENT_TAKE, UNTOLD),
    ];
    let mut kinds = Vec::new();
    for (noun, collection, filter, action, untold) in of {
        let records = Ordered::open(transaction, part, of_patients(collection, filter, &["_id"])).await?;
        kinds.push(Kind { noun, action, untold, records });
    }
    Ok(kinds)
}

/// Entries of the actions that are looked for.
fn of_these(kinds: &[Kind]) -> Document {
    let of_kinds = kinds.iter().map(|kind| &kind.action);
    let others = [Action::CARE_TEAM_ADD, Action::PAYMENT_REFUND];
    let actions = of_kinds.chain(REGISTRATION).chain(CHANGE).chain(&others);
    let actions: Vec<&str> = actions.map(Action::as_str).collect();
    doc! { "action": { "$in": actions } }
}

/// What the entries about one patient tell of: the versions that they name, of an action on a record.
struct Told(HashMap<(Action, Uuid), Vec<Option<u32>>>);

impl Told {
    fn by(entries: &[RawDocumentBuf]) -> Result<Self, StoreError> {
        let mut told: HashMap<_, Vec<_>> = HashMap::new();
        for entry in entries {
            let entry = audit::sealed(entry)?.open()?;
            if let Some(id) = entry.subject.id {
                told.entry((entry.action, id)).or_default().push(entry.subject.version);
            }
        }
        Ok(Self(told))
    }

    fn times(&self, action: &Action, record: Uuid) -> usize {
        self.0.get(&(action.clone(), record)).map_or(0, Vec::len)
    }

    fn any(&self, actions: &[Action], record: Uuid) -> bool {
        actions.iter().any(|action| self.times(action, record) > 0)
    }

    /// Of changes up to that one.
    fn every_version(&self, diagnosis: Uuid, version: u32) -> bool {
        let of_changes = CHANGE.iter().filter_map(|action| self.0.get(&(action.clone(), diagnosis)));
        let told: Vec<Option<u32>> = of_changes.flatten().copied().collect();
        (2..=version).all(|version| told.contains(&Some(version)))
    }
}
