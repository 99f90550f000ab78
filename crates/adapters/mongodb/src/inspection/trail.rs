//! Every write has its entry. Entries and records are both gone through in the order of the patient.

use std::collections::HashMap;

use infirmary_kernel::{Action, StoreError};
use mongodb::bson::{Document, RawDocumentBuf, doc};
use uuid::Uuid;

use super::{
    flaws::Flaws,
    ordered::{Of, Ordered},
};
use crate::{
    audit,
    documents::{Fields, uuid},
    reads::Snapshot,
    schema::{
        AUDIT, CHARGES, Collection, DIAGNOSES, EMERGENCY_ACCESSES, PATIENTS, PAYMENTS, REFUNDS, REPORTS, STUDIES,
    },
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

pub(super) async fn find(snapshot: &mut Snapshot<'_>, flaws: &mut Flaws) -> Result<(), StoreError> {
    let team =
        Of { collection: &PATIENTS, index: "_id", key: "_id", filter: Document::new(), fields: &["care_team.account"] };
    let mut patients = Ordered::open(snapshot, team).await?;
    let mut kinds = kinds(snapshot).await?;
    let mut changed = of_patients(snapshot, &DIAGNOSES, doc! { "version": { "$gt": 1 } }, &["version"]).await?;
    let mut refunds = of_patients(snapshot, &REFUNDS, Document::new(), &["payment"]).await?;
    let mut entries = entries(snapshot, &kinds).await?;
    while let Some(patient) = patients.next(snapshot).await?.filter(|_| !flaws.is_full()) {
        let id = patient.id::<()>("_id")?.as_uuid();
        let told = Told::by(&entries.of(snapshot, id).await?)?;
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
            for record in kind.records.of(snapshot, id).await? {
                let record = record.id::<()>("_id")?.as_uuid();
                if !told.any(std::slice::from_ref(&kind.action), record) {
                    flaws.add(kind.noun, record, kind.untold);
                }
            }
        }
        for diagnosis in changed.of(snapshot, id).await? {
            let (diagnosis, version) = (diagnosis.id::<()>("_id")?.as_uuid(), diagnosis.number("version")?);
            if !told.every_version(diagnosis, version) {
                flaws.add("diagnosis", diagnosis, "the audit trail does not tell of every change to it");
            }
        }
        let mut refunded: HashMap<Uuid, usize> = HashMap::new();
        for refund in refunds.of(snapshot, id).await? {
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

async fn of_patients(
    snapshot: &mut Snapshot<'_>,
    collection: &'static Collection,
    filter: Document,
    fields: &'static [&'static str],
) -> Result<Ordered, StoreError> {
    Ordered::open(snapshot, Of { collection, index: "patient", key: "patient", filter, fields }).await
}

async fn kinds(snapshot: &mut Snapshot<'_>) -> Result<Vec<Kind>, StoreError> {
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
        let records = of_patients(snapshot, collection, filter, &["_id"]).await?;
        kinds.push(Kind { noun, action, untold, records });
    }
    Ok(kinds)
}

/// Of the actions that are looked for.
async fn entries(snapshot: &mut Snapshot<'_>, kinds: &[Kind]) -> Result<Ordered, StoreError> {
    let of_kinds = kinds.iter().map(|kind| &kind.action);
    let others = [Action::CARE_TEAM_ADD, Action::PAYMENT_REFUND];
    let actions = of_kinds.chain(REGISTRATION).chain(CHANGE).chain(&others);
    let actions: Vec<&str> = actions.map(Action::as_str).collect();
    let filter = doc! { "patient": { "$gte": uuid(Uuid::nil()) }, "action": { "$in": actions } };
    of_patients(snapshot, &AUDIT, filter, &[]).await
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
