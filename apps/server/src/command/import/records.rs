//! Diagnoses with their images, reports and bills.

use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use infirmary_diagnosis::{Content, Diagnosis, NewDiagnosis};
use infirmary_financials::{Allocation, Charge, Payment, PaymentMethod, Source};
use infirmary_imaging::{ImagingError, Modality, NewStudy, ReceivedImage};
use infirmary_kernel::{
    AccountId, Action, Id, Invalid, LongText, Money, ObjectKey, PatientId, ReportId, ShortText, Subject, TaskCode,
    Timestamp,
};
use infirmary_reports::{ReceivedPdf, Report, Source as ReportSource, VerificationCode};
use infirmary_workflows::{Imported, ImportedId, ImportedRecord};
use mongodb::bson::Document;

use super::{
    House,
    bills::{Bill, Bills, task_of_modality},
    files::NoFile,
    old,
    people::People,
    told::Told,
};
use crate::{
    command::CommandError,
    legacy::{id::ObjectId, money::money, words},
};

pub const IMAGES: &str = "imgs";
pub const BILLS: &str = "financialsystems";
pub const REPORTS: &str = "reports";
pub const DIAGNOSES: &str = "diagnoses";

/// Files that are read and decoded at once.
const FILES_AT_ONCE: usize = 4;
/// Nobody knows who took a payment or made a bill there.
const NOBODY: AccountId = Id::from_uuid(uuid::Uuid::nil());

struct OldReport {
    id: ObjectId,
    patient: Option<ObjectId>,
    url: String,
    date: Timestamp,
}

/// What is small, and looked up while the diagnoses go by: some hundred bytes for each.
pub struct Beside {
    images: HashMap<ObjectId, String>,
    bills: Bills,
    reports: HashMap<ObjectId, OldReport>,
    /// Diagnoses that were made after this are left to the next run: their bills may not have been read.
    newest: Option<ObjectId>,
}

pub async fn read_beside(
    house: &House,
    old: &old::Old,
    people: &People,
    told: &mut Told,
) -> Result<Beside, CommandError> {
    let newest = old.newest(DIAGNOSES).await?;
    let mut beside = Beside { images: HashMap::new(), bills: Bills::default(), reports: HashMap::new(), newest };
    told.begin(IMAGES);
    let mut images = old.all(IMAGES).await?;
    while let Some(document) = images.try_next().await.map_err(old::failed)? {
        told.read(IMAGES);
        match (old::object_id(&document, "_id"), old::text(&document, "url")) {
            (Some(id), Some(url)) => drop(beside.images.insert(id, url)),
            (id, _) => told.refused(IMAGES, id, "it names no file"),
        }
    }
    told.begin(BILLS);
    let mut bills = old.all(BILLS).await?;
    while let Some(document) = bills.try_next().await.map_err(old::failed)? {
        told.read(BILLS);
        let Some(id) = old::object_id(&document, "_id") else {
            told.refused(BILLS, None, "its id is no ObjectId");
            continue;
        };
        match Bill::read(&document, id, house.currency) {
            Ok(bill) if people.patient(bill.patient).is_some() => beside.bills.add(bill),
            Ok(_) => told.refused(BILLS, Some(id), "its patient is not there"),
            Err(why) => told.refused(BILLS, Some(id), why),
        }
    }
    compare_totals(house, people, &beside.bills, told);
    told.begin(REPORTS);
    let mut reports = old.all(REPORTS).await?;
    while let Some(document) = reports.try_next().await.map_err(old::failed)? {
        told.read(REPORTS);
        let Some(id) = old::object_id(&document, "_id") else {
            told.refused(REPORTS, None, "its id is no ObjectId");
            continue;
        };
        let report = OldReport {
            id,
            patient: old::object_id(&document, "patientID"),
            url: old::text(&document, "pdfUrl").unwrap_or_default(),
            date: old::time(&document, "date", id),
        };
        match old::object_id(&document, "diagnosisID") {
            None => told.refused(REPORTS, Some(id), "it names no diagnosis"),
            Some(diagnosis) if beside.reports.contains_key(&diagnosis) => {
                told.refused(REPORTS, Some(id), "its diagnosis has an earlier report, and one is all");
            }
            Some(diagnosis) => drop(beside.reports.insert(diagnosis, report)),
        }
    }
    Ok(beside)
}

/// The bills are the truth: each repeated "paid" was subtracted again there.
fn compare_totals(house: &House, people: &People, bills: &Bills, told: &mut Told) {
    for (patient, (total, left)) in &people.totals {
        let sum = |owed: bool| {
            let amounts = bills.of(*patient).iter().filter(|bill| !(owed && bill.paid)).map(|bill| bill.amount);
            Money::sum(house.currency, amounts).unwrap_or_else(|_| Money::zero(house.currency))
        };
        let differs = |told: &Option<String>, sum: Money| {
            told.as_ref().is_some_and(|told| money(told, house.currency) != Some(sum))
        };
        let (charged, owed) = (sum(false), sum(true));
        if differs(total, charged) || differs(left, owed) {
            let how = format!("its totals disagree with its bills, which are kept: {charged} in all, {owed} to pay");
            told.changed(super::people::USERS, *patient, &how);
        }
    }
}

/// A diagnosis, decided, with the files that it needs.
struct Decided {
    id: ObjectId,
    diagnosis: Diagnosis,
    modality: Modality,
    /// Its image, and the name of the file.
    image: Option<(ObjectId, String)>,
    bill: Option<Bill>,
    task: TaskCode,
    report: Option<(OldReport, Option<Bill>)>,
}

pub async fn import(
    house: &House,
    old: &old::Old,
    people: &mut People,
    mut beside: Beside,
    told: &mut Told,
) -> Result<(), CommandError> {
    told.begin(DIAGNOSES);
    let mut diagnoses = old.all(DIAGNOSES).await?;
    let mut batch = Vec::new();
    while let Some(document) = diagnoses.try_next().await.map_err(old::failed)? {
        told.read(DIAGNOSES);
        if let Some(decided) = decide(house, people, &mut beside, told, &document).await? {
            batch.push(decided);
        }
        if batch.len() == House::BATCH_RECORDS {
            write(house, told, std::mem::take(&mut batch)).await?;
        }
    }
    write(house, told, batch).await?;
    let mut dangling: Vec<_> = beside.reports.into_values().collect();
    dangling.sort_unstable_by_key(|report| report.id);
    for report in dangling {
        told.refused(REPORTS, Some(report.id), "its diagnosis is not there");
    }
    write_bills(house, told, beside.bills.left()).await
}

async fn decide(
    house: &House,
    people: &mut People,
    beside: &mut Beside,
    told: &mut Told,
    document: &Document,
) -> Result<Option<Decided>, CommandError> {
    let Some(id) = old::object_id(document, "_id") else {
        told.refused(DIAGNOSES, None, "its id is no ObjectId");
        return Ok(None);
    };
    if beside.newest.is_none_or(|newest| id > newest) {
        told.refused(DIAGNOSES, Some(id), "it was made while this ran; import again");
        return Ok(None);
    }
    let of = old::object_id(document, "patientID");
    let Some((of, patient)) = of.and_then(|of| people.patient(of).map(|patient| (of, patient))) else {
        told.refused(DIAGNOSES, Some(id), "its patient is not there");
        return Ok(None);
    };
    let author = match old::object_id(document, "doctorID") {
        None => {
            told.refused(DIAGNOSES, Some(id), "it names no doctor");
            return Ok(None);
        }
        Some(doctor) => match people.author(doctor) {
            Some(author) => author,
            None => {
                house.write(vec![people.stand_in(house, doctor)?]).await?;
                told.changed(DIAGNOSES, id, &format!("its doctor {doctor} is not there; one without a name stands in"));
                doctor.to_id()
            }
        },
    };
    let classification = old::text(document, "classification").unwrap_or_default();
    let modality = match words::modality(&classification) {
        Some(modality) => modality,
        None => {
            told.changed(DIAGNOSES, id, "its classification is none that is known; it is called Other");
            Modality::parse("OT").map_err(CommandError::use_case)?
        }
    };
    let (content, shortened) = content_of(document)?;
    if shortened {
        told.changed(DIAGNOSES, id, "its texts are longer than is kept, or empty where something has to stand");
    }
    let report = beside.reports.remove(&id);
    let said = old::flag(document, "doctorConfirmation");
    if report.is_some() && !said {
        told.changed(DIAGNOSES, id, "it was reported without being confirmed; it is confirmed");
    }
    let new = NewDiagnosis { patient, content, confirmed: said || report.is_some() };
    let image = old::object_id(document, "imgID");
    let image = match image.map(|image| (image, beside.images.remove(&image))) {
        Some((image, Some(url))) => Some((image, url)),
        None if document.get("imgID").is_none() => None,
        _ => {
            told.refused(IMAGES, image, &format!("it is not there, and diagnosis {id} names it"));
            None
        }
    };
    let diagnosis = new.into_diagnosis(id.to_id(), None, author, old::time(document, "Date", id));
    let task = task_of_modality(modality.as_str());
    let bill = beside.bills.take(of, &task, id);
    let report = match report {
        Some(report) if report.patient.is_some_and(|patient| patient != of) => {
            told.refused(REPORTS, Some(report.id), "it is of another patient than its diagnosis");
            None
        }
        Some(report) => {
            let bill = beside.bills.take(of, &TaskCode::report(), report.id);
            Some((report, bill))
        }
        None => None,
    };
    Ok(Some(Decided { id, diagnosis, modality, image, bill, task, report }))
}

/// And whether something of it had to be changed.
fn content_of(document: &Document) -> Result<(Content, bool), CommandError> {
    let mut changed = false;
    let mut cut = |text: String, most: usize| {
        let plain = |c: &char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
        let kept: String = text.chars().filter(plain).take(most).collect();
        changed |= kept.chars().count() != text.chars().count();
        kept
    };
    let field = |name| old::text(document, name).unwrap_or_default();
    let disease = cut(field("disease").replace(['\n', '\r', '\t'], " "), ShortText::MAX_CODE_POINTS);
    let findings = cut(field("diagnosis"), LongText::MAX_CODE_POINTS);
    let conditions = cut(field("Conditions"), LongText::MAX_CODE_POINTS);
    let disease = if disease.trim().is_empty() {
        changed = true;
        "Not stated".to_owned()
    } else {
        disease
    };
    let refused = |invalid: Invalid| CommandError::use_case(invalid);
    let content = Content {
        disease: ShortText::parse(&disease).map_err(refused)?,
        findings: LongText::parse(&findings).map_err(refused)?,
        conditions: LongText::parse(&conditions).map_err(refused)?,
    };
    Ok((content, changed))
}

fn bills_of(decided: &Decided) -> impl Iterator<Item = &Bill> {
    decided.bill.iter().chain(decided.report.iter().filter_map(|(_, bill)| bill.as_ref()))
}

fn ids_of_bill(bill: &Bill) -> [ImportedId; 2] {
    [ImportedId::Charge(bill.id.to_id()), ImportedId::Payment(bill.id.to_id())]
}

fn count_bill(told: &mut Told, bill: &Bill, known: &HashSet<ImportedId>) {
    let [charge, payment] = ids_of_bill(bill);
    if known.contains(&charge) {
        told.there(BILLS);
    } else {
        told.added(BILLS, 1);
    }
    if bill.is_payment() && !known.contains(&payment) {
        told.added("payments", 1);
    }
}

fn told_bills(told: &mut Told, batch: &[Decided], known: &HashSet<ImportedId>) {
    batch.iter().flat_map(bills_of).for_each(|bill| count_bill(told, bill, known));
}

/// What of a diagnosis is not there yet.
struct Wanted {
    decided: Decided,
    is_new: bool,
    image_is_new: bool,
    report_is_new: bool,
}

async fn write(house: &House, told: &mut Told, batch: Vec<Decided>) -> Result<(), CommandError> {
    let mut ids = Vec::new();
    for decided in &batch {
        ids.push(ImportedId::Diagnosis(decided.diagnosis.id));
        ids.extend(decided.image.iter().map(|(image, _)| ImportedId::Study(image.to_id())));
        ids.extend(decided.report.iter().map(|(report, _)| ImportedId::Report(report.id.to_id())));
        ids.extend(bills_of(decided).flat_map(ids_of_bill));
    }
    let known = house.known(&ids).await?;
    told_bills(told, &batch, &known);
    let is_new = |id: ImportedId| !known.contains(&id);
    let wanted = batch.into_iter().map(|decided| Wanted {
        is_new: is_new(ImportedId::Diagnosis(decided.diagnosis.id)),
        image_is_new: decided.image.as_ref().is_some_and(|(image, _)| is_new(ImportedId::Study(image.to_id()))),
        report_is_new: decided.report.as_ref().is_some_and(|(report, _)| is_new(ImportedId::Report(report.id.to_id()))),
        decided,
    });
    let mut fetched = stream::iter(wanted).map(|wanted| fetch(house, wanted)).buffered(FILES_AT_ONCE);
    let mut records = Vec::new();
    while let Some(fetched) = fetched.next().await {
        records_of(house, told, fetched, &mut records).await?;
    }
    house.write(records).await?;
    Ok(())
}

/// The records of one diagnosis, each after what it needs. Those that are there already may be among them: a bill is taken by
/// hand after the study or report that it is for, in case that is not taken.
async fn records_of(
    house: &House,
    told: &mut Told,
    fetched: Fetched,
    records: &mut Vec<Imported>,
) -> Result<(), CommandError> {
    let Fetched { wanted: Wanted { decided, is_new, image_is_new, report_is_new }, image, pdf } = fetched;
    let Decided { id, diagnosis, modality, image: named, bill, task, report } = decided;
    let patient = diagnosis.patient;
    if is_new {
        told.added(DIAGNOSES, 1);
        let event = house.event(Action::DIAGNOSIS_RECORD, diagnosis.subject());
        records.push(Imported { record: ImportedRecord::Diagnosis(diagnosis.clone()), event });
    } else {
        told.there(DIAGNOSES);
    }
    match (named, image) {
        (Some((image_id, url)), Some(Ok(received))) => {
            told.added(IMAGES, 1);
            if bill.is_none() {
                told.changed(DIAGNOSES, id, "it has no bill; it is charged nothing");
            }
            let (image, by) = ((image_id, url.as_str()), (&task, bill.as_ref()));
            records.push(keep_image(house, &diagnosis, modality, image, by, received).await?);
        }
        (Some((image_id, _)), Some(Err(NoFile::Refused(why)))) => {
            told.refused(IMAGES, Some(image_id), &format!("{why}; diagnosis {id} is taken without it"));
        }
        (_, Some(Err(NoFile::Without))) => told.left_out(IMAGES),
        (_, Some(Err(NoFile::Store(error)))) => return Err(CommandError::use_case(error)),
        (Some(_), None) if !image_is_new => told.there(IMAGES),
        _ => {}
    }
    records.extend(bill.as_ref().map(|bill| by_hand(house, bill, patient)).transpose()?);
    records.extend(bill.as_ref().and_then(|bill| payment(house, bill, patient)));

    let Some((report, report_bill)) = report else { return Ok(()) };
    match pdf {
        Some(Ok(pdf)) => {
            told.added(REPORTS, 1);
            if report_bill.is_none() {
                told.changed(REPORTS, report.id, "it has no bill; it is charged nothing");
            }
            records.push(keep_report(house, &diagnosis, &report, report_bill.as_ref(), pdf).await?);
        }
        Some(Err(NoFile::Refused(why))) => told.refused(REPORTS, Some(report.id), &why),
        Some(Err(NoFile::Without)) => told.left_out(REPORTS),
        Some(Err(NoFile::Store(error))) => return Err(CommandError::use_case(error)),
        None if !report_is_new => told.there(REPORTS),
        None => {}
    }
    records.extend(report_bill.as_ref().map(|bill| by_hand(house, bill, patient)).transpose()?);
    records.extend(report_bill.as_ref().and_then(|bill| payment(house, bill, patient)));
    Ok(())
}

struct Fetched {
    wanted: Wanted,
    image: Option<Result<ReceivedImage, NoFile>>,
    pdf: Option<Result<ReceivedPdf, NoFile>>,
}

async fn fetch(house: &House, wanted: Wanted) -> Fetched {
    let image = match &wanted.decided.image {
        Some((_, url)) if wanted.image_is_new => Some(house.files.image(url).await),
        _ => None,
    };
    let pdf = match &wanted.decided.report {
        Some((report, _)) if wanted.report_is_new => Some(house.files.pdf(&report.url).await),
        _ => None,
    };
    Fetched { wanted, image, pdf }
}

async fn keep_image(
    house: &House,
    diagnosis: &Diagnosis,
    modality: Modality,
    (image, url): (ObjectId, &str),
    (task, bill): (&TaskCode, Option<&Bill>),
    received: ReceivedImage,
) -> Result<Imported, CommandError> {
    let new = NewStudy { patient: diagnosis.patient, author: diagnosis.author, modality };
    let mut received = vec![received];
    let study = new.into_study(image.to_id(), &received, diagnosis.recorded_at).map_err(CommandError::use_case)?;
    let key = ObjectKey::image(image.to_id());
    house.clear(&key).await?;
    let received = received.pop().ok_or_else(|| CommandError::UseCase(format!("the image {url} went missing")))?;
    let kept = received.keep(image.to_id(), &study, 0).await;
    let kept = kept.map_err(|error| CommandError::use_case(ImagingError::from(error)))?;
    house.let_go(&key).await?;
    let source = Source::Study { study: study.id, diagnosis: diagnosis.id, author: diagnosis.author };
    let charge = charge(house, image, diagnosis.patient, source, task, bill, diagnosis.recorded_at)?;
    let event = house.event(Action::STUDY_RECORD, Subject::new("study", study.id).of_patient(diagnosis.patient));
    let record = ImportedRecord::Study { study, images: vec![kept], diagnosis: diagnosis.id, charge };
    Ok(Imported { record, event })
}

async fn keep_report(
    house: &House,
    diagnosis: &Diagnosis,
    old: &OldReport,
    bill: Option<&Bill>,
    pdf: ReceivedPdf,
) -> Result<Imported, CommandError> {
    let id: ReportId = old.id.to_id();
    let key = ObjectKey::report(id);
    house.clear(&key).await?;
    let object = pdf.staged.keep(&key).await.map_err(CommandError::use_case)?;
    house.let_go(&key).await?;
    let source = Source::Report { report: id, diagnosis: diagnosis.id, author: diagnosis.author };
    let charge = charge(house, old.id, diagnosis.patient, source, &TaskCode::report(), bill, old.date)?;
    let report = Report {
        id,
        diagnosis: diagnosis.id,
        diagnosis_version: 1,
        patient: diagnosis.patient,
        issued_by: diagnosis.author,
        issued_at: old.date,
        source: ReportSource::Uploaded { file_name: pdf.file_name },
        object,
        code: VerificationCode::draw(&*house.entropy),
    };
    let subject = Subject::new("report", id).of_patient(diagnosis.patient).at_version(1);
    let event = house.event(Action::REPORT_ISSUE, subject);
    Ok(Imported { record: ImportedRecord::Report { report, charge }, event })
}

/// By its bill; of nothing, and called like the record, where there is none.
fn charge(
    house: &House,
    record: ObjectId,
    patient: PatientId,
    source: Source,
    task: &TaskCode,
    bill: Option<&Bill>,
    at: Timestamp,
) -> Result<Charge, CommandError> {
    let said = words::bill_of(task).unwrap_or(task.as_str());
    let description = ShortText::parse(said).map_err(CommandError::use_case)?;
    let by = source.author().unwrap_or(NOBODY);
    let (id, description, amount, at) = match bill {
        Some(bill) => (bill.id, bill.description.clone(), bill.amount, bill.date),
        None => (record, description, Money::zero(house.currency), at),
    };
    Charge::new(id.to_id(), patient, source, Some(task.clone()), description, amount, at, by)
        .map_err(CommandError::use_case)
}

fn by_hand(house: &House, bill: &Bill, patient: PatientId) -> Result<Imported, CommandError> {
    let (id, task, said) = (bill.id.to_id(), bill.task.clone(), bill.description.clone());
    let charge = Charge::new(id, patient, Source::Hand, task, said, bill.amount, bill.date, NOBODY)
        .map_err(CommandError::use_case)?;
    let event = house.event(Action::CHARGE_CREATE, Subject::new("charge", charge.id).of_patient(patient));
    Ok(Imported { record: ImportedRecord::Charge(charge), event })
}

/// What was paid there; nobody knows when, so it is as old as the bill.
fn payment(house: &House, bill: &Bill, patient: PatientId) -> Option<Imported> {
    if !bill.is_payment() {
        return None;
    }
    let payment = Payment {
        id: bill.id.to_id(),
        patient,
        amount: bill.amount,
        method: PaymentMethod::Other,
        received_at: bill.date,
        received_by: NOBODY,
        allocations: vec![Allocation { charge: bill.id.to_id(), amount: bill.amount }],
    };
    let subject = Subject::new("payment", payment.id).of_patient(patient);
    Some(Imported { record: ImportedRecord::Payment(payment), event: house.event(Action::PAYMENT_TAKE, subject) })
}

async fn write_bills(house: &House, told: &mut Told, bills: Vec<Bill>) -> Result<(), CommandError> {
    for bills in bills.chunks(House::BATCH_RECORDS) {
        let ids: Vec<_> = bills.iter().flat_map(ids_of_bill).collect();
        let known = house.known(&ids).await?;
        let mut records = Vec::new();
        for bill in bills {
            count_bill(told, bill, &known);
            let patient = bill.patient.to_id();
            records.push(by_hand(house, bill, patient)?);
            records.extend(payment(house, bill, patient));
        }
        house.write(records).await?;
    }
    Ok(())
}
