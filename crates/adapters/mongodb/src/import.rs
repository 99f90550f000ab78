//! Records of another system. Those of a batch are looked for together, decided one after the other, and added together: so a
//! batch is some twenty round trips, however many records it has.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::Duration,
};

use async_trait::async_trait;
use infirmary_diagnosis::Diagnosis;
use infirmary_financials::{Charge, ChargeView, Payment, Source};
use infirmary_kernel::{ChargeId, DiagnosisId, Event, PatientId, StoreError, StudyId, WriteError};
use infirmary_patients::{Mrn, Patient};
use infirmary_workflows::{Imported, ImportedId, ImportedRecord, Importer};
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use uuid::Uuid;

use crate::{
    MongoStore, accounts, diagnosis,
    documents::{Fields, id, uuid},
    financials::{self, charge_view, more_paid},
    imaging, patients,
    reads::Query,
    reports,
    schema::{
        ACCOUNTS, CHARGES, Collection, DIAGNOSES, DIAGNOSIS_VERSIONS, IMAGES, PATIENT_WORDS, PATIENTS, PAYMENTS,
        REPORTS, STUDIES,
    },
    transaction::{Done, Transaction, Work, unopposed},
};

/// A batch is of thousands of documents.
const IMPORT_TIMEOUT_SECONDS: u64 = 60;

#[async_trait]
impl Importer for MongoStore {
    async fn import(&self, batch: Vec<Imported>) -> Result<u64, WriteError> {
        self.transact(None, &Batch(batch)).await
    }

    async fn known(&self, ids: &[ImportedId]) -> Result<HashSet<ImportedId>, StoreError> {
        self.transact(None, &Asked(ids)).await.map_err(unopposed)
    }

    async fn reserve_mrns(&self, count: u64) -> Result<Mrn, StoreError> {
        self.take_mrns(count).await
    }
}

struct Batch(Vec<Imported>);

#[async_trait]
impl Work for Batch {
    type Answer = u64;

    fn timeout(&self) -> Duration {
        Duration::from_secs(IMPORT_TIMEOUT_SECONDS)
    }

    async fn run<'a>(&self, transaction: &mut Transaction<'a>) -> Done<'a, u64> {
        let mut plan = Plan::of(transaction, &self.0).await?;
        let mut events: Vec<&Event> = Vec::new();
        for Imported { record, event } in &self.0 {
            if plan.add(record)? {
                events.push(event);
            }
        }
        if events.is_empty() {
            return Ok((0, None));
        }
        plan.write(transaction).await?;
        Ok((events.len() as u64, Some(transaction.seal(&events).await?)))
    }
}

struct Asked<'a>(&'a [ImportedId]);

#[async_trait]
impl Work for Asked<'_> {
    type Answer = HashSet<ImportedId>;

    async fn run<'a>(&self, transaction: &mut Transaction<'a>) -> Done<'a, Self::Answer> {
        Ok((known(transaction, self.0.iter().copied()).await?, None))
    }
}

/// Those of the ids that are there.
async fn known(
    transaction: &mut Transaction<'_>,
    ids: impl Iterator<Item = ImportedId>,
) -> Result<HashSet<ImportedId>, WriteError> {
    let mut sought: BTreeMap<&str, (&Collection, HashMap<Uuid, ImportedId>)> = BTreeMap::new();
    for id in ids {
        let (collection, key) = place_of(id);
        sought.entry(collection.name).or_insert((collection, HashMap::new())).1.insert(key, id);
    }
    let mut known = HashSet::new();
    for (collection, ids) in sought.into_values() {
        for found in among(transaction, collection, "_id", ids.keys().copied(), doc! {}, &[]).await? {
            known.extend(found.optional_uuid("_id")?.and_then(|key| ids.get(&key)));
        }
    }
    Ok(known)
}

fn place_of(id: ImportedId) -> (&'static Collection, Uuid) {
    match id {
        ImportedId::Account(id) => (&ACCOUNTS, id.as_uuid()),
        ImportedId::Patient(id) => (&PATIENTS, id.as_uuid()),
        ImportedId::Diagnosis(id) => (&DIAGNOSES, id.as_uuid()),
        ImportedId::Study(id) => (&STUDIES, id.as_uuid()),
        ImportedId::Report(id) => (&REPORTS, id.as_uuid()),
        ImportedId::Charge(id) => (&CHARGES, id.as_uuid()),
        ImportedId::Payment(id) => (&PAYMENTS, id.as_uuid()),
    }
}

/// The ids, and these fields, of the documents whose `field` is one of the ids; an index that it leads has its name.
async fn among(
    transaction: &mut Transaction<'_>,
    collection: &Collection,
    field: &'static str,
    ids: impl Iterator<Item = Uuid>,
    and: Document,
    fields: &[&str],
) -> Result<Vec<RawDocumentBuf>, WriteError> {
    let ids: Vec<Bson> = ids.map(uuid).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut filter = doc! { field: { "$in": ids } };
    filter.extend(and);
    let kept: Document = fields.iter().chain(&["_id"]).map(|field| ((*field).to_owned(), 1.into())).collect();
    let pipeline = vec![doc! { "$match": filter }, doc! { "$project": kept }];
    match field {
        "_id" => transaction.aggregate(collection, pipeline).await,
        _ => transaction.aggregate_by(collection, field, pipeline).await,
    }
}

/// A charge as it is to be, and whether the house has it.
struct Bill {
    view: ChargeView,
    found: bool,
    changed: bool,
    /// What lies on it has to be told of its task.
    retold: bool,
}

impl Bill {
    const fn new(view: ChargeView, found: bool) -> Self {
        Self { view, found, changed: false, retold: false }
    }
}

/// What of the house the batch has to do with: as it was found, and as the records leave it that are to be added.
#[derive(Default)]
struct Plan {
    /// Those that are there, or will be.
    known: HashSet<ImportedId>,
    /// Diagnoses that were found, and whether they have a study.
    with_study: HashMap<DiagnosisId, bool>,
    reported: HashSet<(DiagnosisId, u32)>,
    /// Those on which the report was charged.
    charged: HashSet<DiagnosisId>,
    bills: BTreeMap<ChargeId, Bill>,

    accounts: Vec<Document>,
    patients: Vec<Document>,
    words: Vec<Document>,
    diagnoses: BTreeMap<DiagnosisId, Diagnosis>,
    /// Studies of diagnoses that were found.
    attached: Vec<(DiagnosisId, StudyId)>,
    /// Diagnoses that were found and are reported on.
    held: BTreeSet<DiagnosisId>,
    studies: Vec<Document>,
    images: Vec<Document>,
    reports: Vec<Document>,
    payments: Vec<Document>,
}

impl Plan {
    async fn of(transaction: &mut Transaction<'_>, batch: &[Imported]) -> Result<Self, WriteError> {
        let records = || batch.iter().map(|imported| &imported.record);
        let patients = records().filter_map(patient_of).map(ImportedId::Patient);
        let mut plan = Self {
            known: known(transaction, records().map(ImportedRecord::id).chain(patients)).await?,
            ..Self::default()
        };
        plan.find_diagnoses(transaction, records().filter_map(diagnosis_of).collect()).await?;
        plan.find_bills(transaction, records().flat_map(bills_of).collect()).await?;
        Ok(plan)
    }

    /// And what is known of the reports on them.
    async fn find_diagnoses(
        &mut self,
        transaction: &mut Transaction<'_>,
        sought: BTreeSet<DiagnosisId>,
    ) -> Result<(), WriteError> {
        let ids = || sought.iter().map(|diagnosis| diagnosis.as_uuid());
        for found in among(transaction, &DIAGNOSES, "_id", ids(), doc! {}, &["study"]).await? {
            self.with_study.insert(found.id("_id")?, found.field("study")?.is_some());
        }
        let version = ["diagnosis", "diagnosis_version"];
        for found in among(transaction, &REPORTS, "diagnosis", ids(), doc! {}, &version).await? {
            self.reported.insert((found.id("diagnosis")?, found.number("diagnosis_version")?));
        }
        let of_report = doc! { "report": { "$exists": true } };
        for found in among(transaction, &CHARGES, "diagnosis", ids(), of_report, &["diagnosis"]).await? {
            self.charged.insert(found.id("diagnosis")?);
        }
        Ok(())
    }

    async fn find_bills(
        &mut self,
        transaction: &mut Transaction<'_>,
        sought: BTreeSet<ChargeId>,
    ) -> Result<(), WriteError> {
        if sought.is_empty() {
            return Ok(());
        }
        let ids: Vec<Bson> = sought.iter().map(|charge| id(*charge)).collect();
        let filter = doc! { "_id": { "$in": ids } };
        let query = Query { filter, sort: doc! {}, limit: sought.len(), index: "_id" };
        for found in transaction.find(&CHARGES, query).await? {
            let view = charge_view(&found)?;
            self.bills.insert(view.charge.id, Bill::new(view, true));
        }
        Ok(())
    }

    /// Whether the record is to be added: what is there, or what somebody did here meanwhile, is not done again.
    fn add(&mut self, record: &ImportedRecord) -> Result<bool, WriteError> {
        if self.known.contains(&record.id()) {
            return Ok(false);
        }
        match record {
            ImportedRecord::Account { account, password, patient } => {
                self.accounts.push(accounts::with_password(account, password.as_ref()));
                patient.iter().for_each(|patient| self.add_patient(patient));
            }
            ImportedRecord::Patient(patient) => self.add_patient(patient),
            ImportedRecord::Diagnosis(diagnosis) => {
                self.see_known(diagnosis.patient, Diagnosis::OF_A_KNOWN_PATIENT)?;
                self.diagnoses.insert(diagnosis.id, diagnosis.clone());
            }
            ImportedRecord::Study { study, images, diagnosis, charge } => {
                if !self.attach(study.id, *diagnosis) {
                    return Ok(false);
                }
                self.studies.push(imaging::study_document(study));
                self.images.extend(images.iter().map(imaging::image_document));
                self.add_or_link(charge)?;
            }
            ImportedRecord::Report { report, charge } => {
                let of_version = (report.diagnosis, report.diagnosis_version);
                if self.reported.contains(&of_version) || self.charged.contains(&report.diagnosis) {
                    return Ok(false);
                }
                if self.with_study.contains_key(&report.diagnosis) {
                    self.held.insert(report.diagnosis);
                } else if !self.diagnoses.contains_key(&report.diagnosis) {
                    return Err(WriteError::Stale);
                }
                self.reported.insert(of_version);
                self.charged.insert(report.diagnosis);
                self.reports.push(reports::document(report));
                self.add_or_link(charge)?;
            }
            ImportedRecord::Charge(charge) => self.add_charge(charge)?,
            ImportedRecord::Payment(payment) => {
                if !self.pay(payment) {
                    return Ok(false);
                }
            }
        }
        self.known.insert(record.id());
        Ok(true)
    }

    fn add_patient(&mut self, patient: &Patient) {
        self.patients.push(patients::document(patient));
        self.words.extend(patients::words_of(patient));
        self.known.insert(ImportedId::Patient(patient.id));
    }

    fn see_known(&self, patient: PatientId, law: &'static str) -> Result<(), WriteError> {
        if self.known.contains(&ImportedId::Patient(patient)) { Ok(()) } else { Err(WriteError::Conflict { law }) }
    }

    /// Whether the study is now that of the diagnosis: not when it has one, or is not there.
    fn attach(&mut self, study: StudyId, diagnosis: DiagnosisId) -> bool {
        if let Some(new) = self.diagnoses.get_mut(&diagnosis) {
            let alone = new.study.is_none();
            new.study.get_or_insert(study);
            return alone;
        }
        match self.with_study.get_mut(&diagnosis) {
            Some(has_one @ false) => {
                *has_one = true;
                self.attached.push((diagnosis, study));
                true
            }
            _ => false,
        }
    }

    fn add_charge(&mut self, charge: &Charge) -> Result<(), WriteError> {
        self.see_known(charge.patient, Charge::OF_A_KNOWN_PATIENT)?;
        self.bills.insert(charge.id, Bill::new(ChargeView::unpaid(charge.clone()), false));
        self.known.insert(ImportedId::Charge(charge.id));
        Ok(())
    }

    /// A charge that was taken by hand is of what it turns out to be for.
    fn add_or_link(&mut self, charge: &Charge) -> Result<(), WriteError> {
        let Some(bill) = self.bills.get_mut(&charge.id) else { return self.add_charge(charge) };
        let before = &mut bill.view.charge;
        if before.source == Source::Hand {
            bill.retold = before.task != charge.task;
            (before.source, before.task) = (charge.source, charge.task.clone());
            bill.changed = true;
        }
        Ok(())
    }

    /// Whether all that the payment lies on is owed.
    fn pay(&mut self, payment: &Payment) -> bool {
        let mut paid: BTreeMap<ChargeId, ChargeView> = BTreeMap::new();
        for part in &payment.allocations {
            let bill = self.bills.get(&part.charge).map(|bill| &bill.view);
            let before = paid.get(&part.charge).or(bill).filter(|view| view.charge.patient == payment.patient);
            let Some(after) = before.and_then(|view| more_paid(view, part.amount)) else { return false };
            paid.insert(part.charge, after);
        }
        self.payments.push(financials::payment_document(payment, &financials::tasks(paid.values())));
        for (charge, view) in paid {
            if let Some(bill) = self.bills.get_mut(&charge) {
                (bill.view, bill.changed) = (view, true);
            }
        }
        true
    }

    async fn write(self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        transaction.insert_all(&ACCOUNTS, self.accounts).await?;
        transaction.insert_all(&PATIENTS, self.patients).await?;
        transaction.insert_all(&PATIENT_WORDS, self.words).await?;
        let new = || self.diagnoses.values();
        transaction.insert_all(&DIAGNOSES, new().map(diagnosis::document).collect()).await?;
        transaction.insert_all(&DIAGNOSIS_VERSIONS, new().map(diagnosis::version_document).collect()).await?;
        let attachments = self.attached.into_iter().map(|(diagnosis, study)| {
            (doc! { "_id": id(diagnosis), "study": { "$exists": false } }, doc! { "$set": { "study": id(study) } })
        });
        if !transaction.update_each(&DIAGNOSES, attachments.collect()).await? {
            return Err(WriteError::Stale);
        }
        diagnosis::hold(transaction, self.held).await?;
        transaction.insert_all(&STUDIES, self.studies).await?;
        transaction.insert_all(&IMAGES, self.images).await?;
        transaction.insert_all(&REPORTS, self.reports).await?;
        let retold = self.bills.values().filter(|bill| bill.retold).map(|bill| bill.view.charge.clone());
        let retold: Vec<Charge> = retold.collect();
        let (found, new): (Vec<Bill>, Vec<Bill>) = self.bills.into_values().partition(|bill| bill.found);
        let new = new.iter().map(|bill| financials::view_document(&bill.view));
        transaction.insert_all(&CHARGES, new.collect()).await?;
        let changed: Vec<ChargeView> = found.into_iter().filter(|bill| bill.changed).map(|bill| bill.view).collect();
        financials::put_charges(transaction, &changed).await?;
        transaction.insert_all(&PAYMENTS, self.payments).await?;
        for charge in &retold {
            financials::follow_task(transaction, charge).await?;
        }
        Ok(())
    }
}

/// Who has to be there for the record.
fn patient_of(record: &ImportedRecord) -> Option<PatientId> {
    match record {
        ImportedRecord::Account { .. } | ImportedRecord::Patient(_) | ImportedRecord::Payment(_) => None,
        ImportedRecord::Diagnosis(diagnosis) => Some(diagnosis.patient),
        ImportedRecord::Study { charge, .. } | ImportedRecord::Report { charge, .. } => Some(charge.patient),
        ImportedRecord::Charge(charge) => Some(charge.patient),
    }
}

/// What a study or a report is of.
const fn diagnosis_of(record: &ImportedRecord) -> Option<DiagnosisId> {
    match record {
        ImportedRecord::Study { diagnosis, .. } => Some(*diagnosis),
        ImportedRecord::Report { report, .. } => Some(report.diagnosis),
        _ => None,
    }
}

/// The charges that the record may find.
fn bills_of(record: &ImportedRecord) -> Vec<ChargeId> {
    match record {
        ImportedRecord::Study { charge, .. } | ImportedRecord::Report { charge, .. } => vec![charge.id],
        ImportedRecord::Charge(charge) => vec![charge.id],
        ImportedRecord::Payment(payment) => payment.allocations.iter().map(|part| part.charge).collect(),
        _ => Vec::new(),
    }
}
