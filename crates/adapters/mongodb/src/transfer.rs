//! The house record by record: how it comes from another store, and goes to one.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use async_trait::async_trait;
use infirmary_audit::SealedRoot;
use infirmary_auth::{CounterKey, PasswordHash};
use infirmary_diagnosis::DiagnosisVersion;
use infirmary_financials::{Allocation, ChargeView, Payment, Refund};
use infirmary_kernel::{
    ChargeId, ConversionId, DiagnosisId, Money, PatientId, PaymentId, StoreError, TaskCode, WriteError,
};
use infirmary_patients::{CareTeamMember, Mrn, Patient};
use infirmary_workflows::{Conversion, ConversionPart, HouseRecord, RecordKey, RecordKind, RecordPlace, Transfer};
use mongodb::bson::{Bson, Document, RawDocument, RawDocumentBuf, doc};

use crate::{
    MongoStore, accounts, attempts, audit, care_teams, chains, codes, diagnosis,
    documents::{DocumentExt, Fields, id, number, time, uuid},
    factors, financials, imaging, invitations, key_check, messages, patients,
    reads::Query,
    reports,
    schema::{
        ACCOUNTS, ATTEMPT_COUNTERS, AUDIT, AUDIT_CHAINS, AUDIT_ROOTS, CHALLENGES, CHARGES, CLAIMS, CODE_COUNTERS,
        COUNTERS, Collection, DIAGNOSES, DIAGNOSIS_VERSIONS, EMERGENCY_ACCESSES, HOUSE, IMAGES, INVITATIONS, MESSAGES,
        PATIENT_WORDS, PATIENTS, PAYMENTS, REFUNDS, REPORTS, SESSIONS, STUDIES, TASKS,
    },
    sessions,
    store::{answered, answered_write},
    tasks, trail,
    transaction::{Done, Transaction, Work},
};

#[async_trait]
impl Transfer for MongoStore {
    async fn records(&self, kind: RecordKind, after: &RecordKey, most: usize) -> Result<Vec<HouseRecord>, StoreError> {
        let (collection, after) = match place_of(kind, after) {
            Place::After(collection, after) => (collection, after),
            Place::Only if after.number > 0 => return Ok(Vec::new()),
            Place::Only => return Ok(self.only(kind).await?.into_iter().take(most).collect()),
        };
        let filter = doc! { "_id": { "$gt": after } };
        let query = Query { filter, sort: doc! { "_id": 1 }, limit: most, index: "_id" };
        let found = self.find(collection, query).await?;
        if kind == RecordKind::Study {
            return self.with_images(&found).await;
        }
        found.iter().map(|found| record(kind, found)).collect()
    }

    async fn count(&self, kind: RecordKind) -> Result<u64, StoreError> {
        match place_of(kind, &RecordKey::default()) {
            Place::After(collection, _) => answered(self.documents(collection).estimated_document_count()).await,
            Place::Only => Ok(u64::from(self.only(kind).await?.is_some())),
        }
    }

    /// Patiently: the same again adds nothing, and nobody waits for an answer.
    async fn add(&self, conversion: ConversionId, records: Vec<HouseRecord>) -> Result<(), WriteError> {
        let filling = Filling { conversion, records };
        for _ in 1..TRIES {
            match self.transact(None, &filling).await {
                Err(WriteError::Store(_)) => tokio::time::sleep(PAUSE).await,
                added => return added,
            }
        }
        self.transact(None, &filling).await
    }

    async fn conversion(&self) -> Result<Option<Conversion>, StoreError> {
        self.find_one(&HOUSE, doc! { "_id": CONVERSION }).await?.map(|found| conversion(&found)).transpose()
    }

    async fn set_conversion(&self, conversion: Option<Conversion>) -> Result<(), StoreError> {
        let house = self.documents(&HOUSE);
        match conversion {
            None => self.delete_all(&HOUSE, doc! { "_id": CONVERSION }).await.map(|_| ()),
            Some(conversion) => {
                let known = conversion_document(&conversion);
                answered_write(house.replace_one(doc! { "_id": CONVERSION }, known).upsert(true)).await.map(|_| ())
            }
        }
    }
}

/// Over a minute in all, each try with the time of a write: for so long a server may keep what a process had begun to write
/// that was killed (`transactionLifetimeLimitSeconds`).
const TRIES: u32 = 8;
const PAUSE: Duration = Duration::from_secs(2);

/// Where the records of a kind are.
enum Place {
    /// Documents whose `_id` is greater.
    After(&'static Collection, Bson),
    /// There is one at most.
    Only,
}

fn place_of(kind: RecordKind, after: &RecordKey) -> Place {
    let RecordKey { id: record, number: place, text } = after;
    let whole = number(i64::try_from(*place).unwrap_or(i64::MAX));
    let by_id = |collection| Place::After(collection, uuid(*record));
    match kind {
        RecordKind::KeyCheck | RecordKind::MrnCounter => Place::Only,
        RecordKind::Task => by_id(&TASKS),
        RecordKind::Account => by_id(&ACCOUNTS),
        RecordKind::Invitation => by_id(&INVITATIONS),
        RecordKind::Session => by_id(&SESSIONS),
        RecordKind::Challenge => by_id(&CHALLENGES),
        RecordKind::AttemptCounter => Place::After(&ATTEMPT_COUNTERS, text.as_str().into()),
        RecordKind::CodeCounter => Place::After(&CODE_COUNTERS, text.as_str().into()),
        RecordKind::Patient => by_id(&PATIENTS),
        RecordKind::EmergencyAccess => by_id(&EMERGENCY_ACCESSES),
        RecordKind::Study => by_id(&STUDIES),
        RecordKind::Diagnosis => by_id(&DIAGNOSES),
        RecordKind::DiagnosisVersion => Place::After(&DIAGNOSIS_VERSIONS, diagnosis::version_id(record, *place).into()),
        RecordKind::Report => by_id(&REPORTS),
        RecordKind::Charge => by_id(&CHARGES),
        RecordKind::Payment => by_id(&PAYMENTS),
        RecordKind::Refund => by_id(&REFUNDS),
        RecordKind::Message => by_id(&MESSAGES),
        RecordKind::Claim => Place::After(&CLAIMS, trail::claim_id(record, text).into()),
        RecordKind::AuditEntry => Place::After(&AUDIT, whole),
        RecordKind::AuditRoot => Place::After(&AUDIT_ROOTS, whole),
    }
}

fn record(kind: RecordKind, found: &RawDocument) -> Result<HouseRecord, StoreError> {
    Ok(match kind {
        RecordKind::Task => HouseRecord::Task(tasks::task(found)?),
        RecordKind::Account => {
            let mut factors = factors::kept(found)?;
            factors.recovery.sort_unstable();
            let password = found.optional_text("password")?.map(|hash| PasswordHash::from_stored(hash.to_owned()));
            HouseRecord::Account { account: accounts::account(found)?, password, factors }
        }
        RecordKind::Invitation => HouseRecord::Invitation(invitations::invitation(found)?),
        RecordKind::Session => HouseRecord::Session(sessions::session(found)?),
        RecordKind::Challenge => HouseRecord::Challenge(codes::challenge(found)?),
        RecordKind::AttemptCounter => HouseRecord::AttemptCounter(counter_key(found)?, attempts::counter(found)?),
        RecordKind::CodeCounter => HouseRecord::CodeCounter(counter_key(found)?, codes::counter_in(found)?),
        RecordKind::Patient => {
            let patient = patients::patient(found)?;
            let mut care_team = care_teams::members(patient.id, found)?;
            care_team.sort_by_key(|member| member.account);
            HouseRecord::Patient { patient, care_team }
        }
        RecordKind::EmergencyAccess => HouseRecord::EmergencyAccess(care_teams::access(found)?),
        RecordKind::Study => HouseRecord::Study { study: imaging::study(found)?, images: Vec::new() },
        RecordKind::Diagnosis => HouseRecord::Diagnosis(diagnosis::diagnosis(found)?),
        RecordKind::DiagnosisVersion => HouseRecord::DiagnosisVersion(diagnosis::version(found)?),
        RecordKind::Report => HouseRecord::Report(reports::report(found)?),
        RecordKind::Charge => HouseRecord::Charge(financials::charge(found)?),
        RecordKind::Payment => HouseRecord::Payment(financials::payment(found)?),
        RecordKind::Refund => HouseRecord::Refund(financials::refund(found)?),
        RecordKind::Message => HouseRecord::Message(messages::kept(found)?),
        RecordKind::Claim => HouseRecord::Claim(trail::claim(found)?),
        RecordKind::AuditEntry => HouseRecord::AuditEntry(audit::sealed(found)?),
        RecordKind::AuditRoot => HouseRecord::AuditRoot(audit::root_of(found)?),
        RecordKind::KeyCheck | RecordKind::MrnCounter => {
            return Err(StoreError::Corrupt { reason: format!("there is one {}", kind.as_str()) });
        }
    })
}

fn counter_key(found: &RawDocument) -> Result<CounterKey, StoreError> {
    Ok(CounterKey::from_stored(found.text("_id")?.to_owned()))
}

impl MongoStore {
    async fn only(&self, kind: RecordKind) -> Result<Option<HouseRecord>, StoreError> {
        if kind == RecordKind::KeyCheck {
            let house = self.find_one(&HOUSE, doc! { "_id": "house" }).await?;
            let value = house.map_or(Ok(None), |house| key_check::value_in(&house))?;
            return Ok(value.map(HouseRecord::KeyCheck));
        }
        let counter = self.find_one(&COUNTERS, doc! { "_id": "mrn" }).await?;
        let last = counter.map(|counter| counter.number("last").map(Mrn::from_serial)).transpose()?;
        Ok(last.map(HouseRecord::MrnCounter))
    }

    async fn with_images(&self, found: &[RawDocumentBuf]) -> Result<Vec<HouseRecord>, StoreError> {
        let studies = found.iter().map(|found| imaging::study(found)).collect::<Result<Vec<_>, _>>()?;
        if studies.is_empty() {
            return Ok(Vec::new());
        }
        let of = studies.iter().map(|study| id(study.id)).collect();
        let images = self.find(&IMAGES, imaging::images_of(of)).await?;
        let images = images.iter().map(|found| imaging::image(found).map(|image| (image.study, image)));
        let mut images = imaging::by_study(images.collect::<Result<Vec<_>, _>>()?);
        let with_images = studies.into_iter().map(|study| {
            let images = images.remove(&study.id).unwrap_or_default();
            HouseRecord::Study { study, images }
        });
        Ok(with_images.collect())
    }
}

struct Filling {
    conversion: ConversionId,
    records: Vec<HouseRecord>,
}

#[async_trait]
impl Work for Filling {
    type Answer = ();

    async fn run<'a>(&self, transaction: &mut Transaction<'a>) -> Done<'a, ()> {
        let found = transaction.find_one(&HOUSE, doc! { "_id": CONVERSION }).await?;
        let known = found.map(|found| conversion(&found)).transpose()?;
        let Some(Conversion { part: ConversionPart::Target { filled }, .. }) =
            known.filter(|known| known.id == self.conversion)
        else {
            return Err(WriteError::Stale);
        };
        let fresh = self.records.iter().filter(|record| filled.as_ref().is_none_or(|last| record.place() > *last));
        let fresh: Vec<&HouseRecord> = fresh.collect();
        let Some(last) = fresh.last() else { return Ok(((), None)) };
        for of_kind in fresh.chunk_by(|one, next| one.kind() == next.kind()) {
            insert(transaction, of_kind).await?;
        }
        let filled = doc! { "$set": { "filled": place_document(&last.place()) } };
        transaction.update(&HOUSE, doc! { "_id": CONVERSION }, filled).await?;
        Ok(((), None))
    }
}

/// Documents by the collection that they go to.
#[derive(Default)]
struct Documents(Vec<(&'static Collection, Vec<Document>)>);

impl Documents {
    fn push(&mut self, collection: &'static Collection, document: Document) {
        match self.0.iter_mut().find(|(known, _)| known.name == collection.name) {
            Some((_, documents)) => documents.push(document),
            None => self.0.push((collection, vec![document])),
        }
    }
}

/// As they are: what writes are held against is not asked again. The records are of one kind, so that each collection is written
/// to once.
async fn insert(transaction: &mut Transaction<'_>, records: &[&HouseRecord]) -> Result<(), WriteError> {
    let mut documents = Documents::default();
    let (mut versions, mut payments, mut refunds, mut roots) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut chains = BTreeSet::new();
    for record in records {
        match record {
            HouseRecord::KeyCheck(value) => {
                let kept = doc! { "$set": key_check::field(*value) };
                transaction.update(&HOUSE, doc! { "_id": "house" }, kept).await?;
            }
            HouseRecord::Task(task) => documents.push(&TASKS, tasks::document(task)),
            HouseRecord::Account { account, password, factors } => {
                let mut document =
                    accounts::document(account).with("password", password.as_ref().map(PasswordHash::as_stored));
                let recovery = (!factors.recovery.is_empty()).then_some(factors.recovery.as_slice());
                document.extend(factors::fields(factors.authenticator.as_ref(), recovery));
                documents.push(&ACCOUNTS, document);
            }
            HouseRecord::Invitation(invitation) => documents.push(&INVITATIONS, invitations::document(invitation)),
            HouseRecord::Session(session) => documents.push(&SESSIONS, sessions::document(session)),
            HouseRecord::Challenge(challenge) => documents.push(&CHALLENGES, codes::document(challenge)),
            HouseRecord::AttemptCounter(key, counter) => {
                documents.push(&ATTEMPT_COUNTERS, attempts::document(key, counter));
            }
            HouseRecord::CodeCounter(key, counter) => {
                documents.push(&CODE_COUNTERS, codes::counter_document(key, counter));
            }
            HouseRecord::MrnCounter(last) => {
                let last = number(i64::try_from(last.serial()).unwrap_or(i64::MAX));
                transaction.put(&COUNTERS, doc! { "_id": "mrn", "last": last }).await?;
            }
            HouseRecord::Patient { patient, care_team } => {
                documents.push(&PATIENTS, patient_document(patient, care_team));
                patients::words_of(patient).into_iter().for_each(|word| documents.push(&PATIENT_WORDS, word));
            }
            HouseRecord::EmergencyAccess(access) => care_teams::begin(transaction, access).await?,
            HouseRecord::Study { study, images } => {
                documents.push(&STUDIES, imaging::study_document(study));
                images.iter().for_each(|image| documents.push(&IMAGES, imaging::image_document(image)));
            }
            HouseRecord::Diagnosis(diagnosis) => documents.push(&DIAGNOSES, diagnosis::document(diagnosis)),
            HouseRecord::DiagnosisVersion(version) => versions.push(version),
            HouseRecord::Report(report) => documents.push(&REPORTS, reports::document(report)),
            HouseRecord::Charge(charge) => documents.push(&CHARGES, financials::charge_document(charge)),
            HouseRecord::Payment(payment) => payments.push(payment),
            HouseRecord::Refund(refund) => refunds.push(refund),
            HouseRecord::Message(kept) => documents.push(&MESSAGES, messages::kept_document(kept)),
            HouseRecord::Claim(claim) => documents.push(&CLAIMS, trail::claim_document(claim)),
            HouseRecord::AuditEntry(sealed) => {
                chains.insert(sealed.chain.get());
                documents.push(&AUDIT, chains::entry(sealed));
            }
            HouseRecord::AuditRoot(root) => roots.push(root),
        }
    }
    for (collection, documents) in documents.0 {
        transaction.insert_all(collection, documents).await?;
    }
    for chain in chains {
        transaction.put(&AUDIT_CHAINS, doc! { "_id": number(chain), "begun": true }).await?;
    }
    insert_versions(transaction, &versions).await?;
    insert_payments(transaction, &payments).await?;
    insert_refunds(transaction, &refunds).await?;
    insert_roots(transaction, &roots).await
}

fn patient_document(patient: &Patient, care_team: &[CareTeamMember]) -> Document {
    let team: Vec<Document> = care_team.iter().map(care_teams::member).collect();
    patients::document(patient).with("care_team", (!team.is_empty()).then_some(team))
}

/// Those of the documents with these ids that are there.
async fn with_ids(
    transaction: &mut Transaction<'_>,
    collection: &Collection,
    ids: Vec<Bson>,
) -> Result<Vec<RawDocumentBuf>, WriteError> {
    let limit = ids.len();
    if limit == 0 {
        return Ok(Vec::new());
    }
    let filter = doc! { "_id": { "$in": ids } };
    transaction.find(collection, Query { filter, sort: doc! {}, limit, index: "_id" }).await
}

fn gone(what: &str) -> WriteError {
    StoreError::Corrupt { reason: format!("a record names a {what} that is not there") }.into()
}

/// Each with the patient of its diagnosis.
async fn insert_versions(transaction: &mut Transaction<'_>, versions: &[&DiagnosisVersion]) -> Result<(), WriteError> {
    let of: BTreeSet<DiagnosisId> = versions.iter().map(|version| version.diagnosis).collect();
    let found = with_ids(transaction, &DIAGNOSES, of.into_iter().map(id).collect()).await?;
    let patients = found.iter().map(|found| Ok((found.id("_id")?, found.id("patient")?)));
    let patients: HashMap<DiagnosisId, PatientId> = patients.collect::<Result<_, StoreError>>()?;
    let mut documents = Vec::new();
    for version in versions {
        let patient = patients.get(&version.diagnosis).ok_or_else(|| gone("diagnosis"))?;
        documents.push(diagnosis::history_document(*patient, (*version).clone()));
    }
    transaction.insert_all(&DIAGNOSIS_VERSIONS, documents).await
}

/// The charges that are paid, or of which something is given back.
struct Standing(BTreeMap<ChargeId, ChargeView>);

impl Standing {
    async fn of(
        transaction: &mut Transaction<'_>,
        allocations: impl Iterator<Item = &Allocation>,
    ) -> Result<Self, WriteError> {
        let charges: BTreeSet<ChargeId> = allocations.map(|part| part.charge).collect();
        let found = with_ids(transaction, &CHARGES, charges.into_iter().map(id).collect()).await?;
        let views = found.iter().map(|found| financials::charge_view(found).map(|view| (view.charge.id, view)));
        Ok(Self(views.collect::<Result<_, _>>()?))
    }

    /// Without asking whether it is owed: it was decided by the other store.
    fn add(
        &mut self,
        allocations: &[Allocation],
        sum: impl Fn(&mut ChargeView) -> &mut Money,
    ) -> Result<(), WriteError> {
        for part in allocations {
            let sum = sum(self.0.get_mut(&part.charge).ok_or_else(|| gone("charge"))?);
            let overflows = |_| StoreError::Corrupt { reason: "the sums of a charge are too large".to_owned() };
            *sum = sum.checked_add(part.amount).map_err(overflows)?;
        }
        Ok(())
    }

    fn tasks(&self) -> HashMap<ChargeId, &TaskCode> {
        self.0.iter().filter_map(|(charge, view)| Some((*charge, view.charge.task.as_ref()?))).collect()
    }

    async fn save(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        let updates = self
            .0
            .iter()
            .map(|(charge, view)| (doc! { "_id": id(*charge) }, doc! { "$set": financials::standing(view) }));
        transaction.update_each(&CHARGES, updates.collect()).await.map(|_| ())
    }
}

async fn insert_payments(transaction: &mut Transaction<'_>, payments: &[&Payment]) -> Result<(), WriteError> {
    let mut standing = Standing::of(transaction, payments.iter().flat_map(|payment| &payment.allocations)).await?;
    for payment in payments {
        standing.add(&payment.allocations, |view| &mut view.paid)?;
    }
    standing.save(transaction).await?;
    let tasks = standing.tasks();
    let documents = payments.iter().map(|payment| financials::payment_document(payment, &tasks));
    transaction.insert_all(&PAYMENTS, documents.collect()).await
}

async fn insert_refunds(transaction: &mut Transaction<'_>, refunds: &[&Refund]) -> Result<(), WriteError> {
    let mut standing = Standing::of(transaction, refunds.iter().flat_map(|refund| &refund.allocations)).await?;
    for refund in refunds {
        standing.add(&refund.allocations, |view| &mut view.refunded)?;
    }
    standing.save(transaction).await?;
    let of: BTreeSet<PaymentId> = refunds.iter().map(|refund| refund.payment).collect();
    let found = with_ids(transaction, &PAYMENTS, of.into_iter().map(id).collect()).await?;
    let payments = found.iter().map(|found| financials::payment(found).map(|payment| (payment.id, payment)));
    let payments: HashMap<PaymentId, Payment> = payments.collect::<Result<_, _>>()?;
    let tasks = standing.tasks();
    let (mut documents, mut given_back) = (Vec::new(), Vec::new());
    for refund in refunds {
        let payment = payments.get(&refund.payment).ok_or_else(|| gone("payment"))?;
        documents.push(financials::refund_document(refund, payment, &tasks));
        let more = doc! { "$inc": { "refunded": number(refund.amount.amount_minor()) } };
        given_back.push((doc! { "_id": id(refund.payment) }, more));
    }
    transaction.update_each(&PAYMENTS, given_back).await?;
    transaction.insert_all(&REFUNDS, documents).await
}

/// Each with the places up to which it and those before it have closed the chains.
async fn insert_roots(transaction: &mut Transaction<'_>, roots: &[&SealedRoot]) -> Result<(), WriteError> {
    if roots.is_empty() {
        return Ok(());
    }
    let last = transaction.find(&AUDIT_ROOTS, audit::last()).await?;
    let mut closed = last.first().map_or(Ok(Vec::new()), |last| audit::closed_by(last))?;
    let mut documents = Vec::new();
    for root in roots {
        for head in root.open().map_err(StoreError::from)?.heads {
            audit::close(&mut closed, &head);
        }
        documents.push(audit::root_document(root, &closed));
    }
    transaction.insert_all(&AUDIT_ROOTS, documents).await
}

/// `_id` of what is known of a conversion.
const CONVERSION: &str = "conversion";
const SOURCE: &str = "source";
const LEFT: &str = "left";
const TARGET: &str = "target";

fn conversion_document(conversion: &Conversion) -> Document {
    let (part, filled) = match &conversion.part {
        ConversionPart::Source => (SOURCE, None),
        ConversionPart::Left => (LEFT, None),
        ConversionPart::Target { filled } => (TARGET, filled.as_ref()),
    };
    doc! {
        "_id": CONVERSION,
        "conversion": id(conversion.id),
        "begun_at": time(conversion.begun_at),
        "part": part,
    }
    .with("filled", filled.map(place_document))
}

fn place_document(RecordPlace { kind, key }: &RecordPlace) -> Document {
    doc! {
        "kind": kind.as_str(),
        "id": uuid(key.id),
        "number": number(i64::try_from(key.number).unwrap_or(i64::MAX)),
        "text": key.text.as_str(),
    }
}

fn conversion(found: &RawDocument) -> Result<Conversion, StoreError> {
    let strange = || StoreError::Corrupt { reason: "what is known of a conversion is none of this version".to_owned() };
    let place = |found: &RawDocument| {
        let kind = RecordKind::from_stored(found.text("kind")?).ok_or_else(strange)?;
        let id = found.optional_uuid("id")?.ok_or_else(strange)?;
        let key = RecordKey { id, number: found.number("number")?, text: found.text("text")?.to_owned() };
        Ok::<_, StoreError>(RecordPlace { kind, key })
    };
    let part = match found.text("part")? {
        SOURCE => ConversionPart::Source,
        LEFT => ConversionPart::Left,
        TARGET => ConversionPart::Target { filled: found.optional_document("filled")?.map(place).transpose()? },
        _ => return Err(strange()),
    };
    Ok(Conversion { id: found.id("conversion")?, begun_at: found.time("begun_at")?, part })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{COLLECTIONS, LEASES, TURNS};

    #[test]
    fn every_collection_goes_with_a_kind_of_record() {
        // Of records of another collection, or made from them; and what is of processes, not of the house.
        let beside = [&PATIENT_WORDS, &IMAGES, &AUDIT_CHAINS, &COUNTERS, &HOUSE, &LEASES, &TURNS];
        let of_kinds = RecordKind::ALL.into_iter().filter_map(|kind| match place_of(kind, &RecordKey::default()) {
            Place::After(collection, _) => Some(collection.name),
            Place::Only => None,
        });
        let known: BTreeSet<&str> = of_kinds.chain(beside.iter().map(|collection| collection.name)).collect();
        assert_eq!(COLLECTIONS.iter().map(|collection| collection.name).collect::<BTreeSet<_>>(), known);
    }
}
