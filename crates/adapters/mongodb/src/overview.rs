//! Reads that span domains, each of one moment: one query or, for a list, one and then five at once, however long it is.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use futures_util::future::try_join5;
use infirmary_diagnosis::{Diagnosis, DiagnosisFilter, DiagnosisStatus};
use infirmary_imaging::Modality;
use infirmary_kernel::{
    AccountId, Cursor, DiagnosisId, FileName, Page, PageRequest, PatientId, PersonName, StoreError, StudyId,
};
use infirmary_reports::{Report, ReportView};
use infirmary_workflows::{DiagnosisDetail, ListedDiagnosis, ListedImage, Overview, PatientCounts};
use mongodb::bson::{Bson, Document, RawDocument, RawDocumentBuf, doc};

use crate::{
    MongoStore,
    care_teams::given_patients,
    diagnosis::{diagnosis, listing},
    documents::{Fields, id},
    imaging::{by_study, images_beside, images_of, study, with_images_of},
    patients::patient,
    reads::{Query, Snapshot},
    reports::report,
    schema::{ACCOUNTS, CHARGES, Collection, DIAGNOSES, IMAGES, PATIENTS, REPORTS, STUDIES},
    transaction::{Done, Transaction, Work, unopposed},
};

#[async_trait]
impl Overview for MongoStore {
    async fn diagnosis(&self, sought: DiagnosisId) -> Result<Option<DiagnosisDetail>, StoreError> {
        let found = self.snapshot().await?.aggregate(&DIAGNOSES, in_detail(sought)).await?;
        found.first().map(|found| detail(found)).transpose()
    }

    async fn diagnoses(
        &self,
        filter: &DiagnosisFilter,
        page: &PageRequest,
    ) -> Result<Page<ListedDiagnosis>, StoreError> {
        let mut snapshot = self.snapshot().await?;
        let given = given_patients(filter.reader);
        let found = snapshot.find_through(&DIAGNOSES, listing(filter, page), given, Vec::new()).await?;
        let diagnoses = found.iter().map(|found| diagnosis(found)).collect::<Result<_, _>>()?;
        let place = |last: &Diagnosis| Cursor::at(last.recorded_at, last.id.as_uuid());
        let Page { items, next } = Page::of_rows(diagnoses, page.limit, place);
        let mut beside = Beside::of(&snapshot, &items).await?;
        let items = items.into_iter().map(|diagnosis| beside.list(diagnosis)).collect::<Result<_, _>>()?;
        Ok(Page { items, next })
    }

    async fn counts(
        &self,
        patient: PatientId,
        statuses: &[DiagnosisStatus],
    ) -> Result<Option<PatientCounts>, StoreError> {
        self.transact(None, &Counting { patient, statuses }).await.map_err(unopposed)
    }

    async fn names(&self, accounts: &[AccountId]) -> Result<HashMap<AccountId, PersonName>, StoreError> {
        let found = self
            .find_through(&ACCOUNTS, Query::with_ids(accounts.iter().copied()), Vec::new(), only(&["name"]))
            .await?;
        found.iter().map(|found| Ok((found.id("_id")?, name(found)?))).collect()
    }
}

fn only(fields: &[&str]) -> Vec<Document> {
    let fields: Document = fields.iter().map(|field| ((*field).to_owned(), 1.into())).collect();
    vec![doc! { "$project": fields }]
}

fn name(found: &RawDocument) -> Result<PersonName, StoreError> {
    found.parsed("name", PersonName::parse)
}

fn absent(what: &str) -> StoreError {
    StoreError::Corrupt { reason: format!("the {what} of a diagnosis is not there") }
}

/// A stage that adds, as `name`, what the other collection has of the same value.
fn with(name: &str, collection: &Collection, (local, foreign): (&str, &str), pipeline: Vec<Document>) -> Document {
    doc! { "$lookup": {
        "from": collection.name,
        "localField": local,
        "foreignField": foreign,
        "pipeline": pipeline,
        "as": name,
    } }
}

fn in_detail(sought: DiagnosisId) -> Vec<Document> {
    // Those that were made void too: it was done, whoever pays.
    let of_study = vec![
        doc! { "$match": { "study": { "$exists": true } } },
        doc! { "$sort": { "charged_at": 1, "_id": 1 } },
        doc! { "$project": { "description": 1 } },
    ];
    let newest = vec![doc! { "$sort": { "diagnosis_version": -1 } }, doc! { "$limit": 1 }];
    vec![
        doc! { "$match": { "_id": id(sought) } },
        with("patients", &PATIENTS, ("patient", "_id"), Vec::new()),
        with("authors", &ACCOUNTS, ("author", "_id"), only(&["name"])),
        with("confirmed_by", &ACCOUNTS, ("confirmed.by", "_id"), only(&["name"])),
        with("studies", &STUDIES, ("study", "_id"), Vec::new()),
        with_images_of("study"),
        // By the diagnosis: one without a study would be given the charges that have none.
        with("charges", &CHARGES, ("_id", "diagnosis"), of_study),
        with("reports", &REPORTS, ("_id", "diagnosis"), newest),
    ]
}

fn detail(found: &RawDocument) -> Result<DiagnosisDetail, StoreError> {
    let diagnosis = diagnosis(found)?;
    let one = |of: &str| Ok::<_, StoreError>(found.documents(of)?.first().copied());
    let tasks = found.documents("charges")?.into_iter().map(|charge| charge.text("description").map(str::to_owned));
    let report = one("reports")?.map(report).transpose()?;
    Ok(DiagnosisDetail {
        patient: one("patients")?.map(patient).ok_or_else(|| absent("patient"))??,
        author: one("authors")?.map(name).ok_or_else(|| absent("author"))??,
        confirmed_by: one("confirmed_by")?.map(name).transpose()?,
        study: one("studies")?.map(study).transpose()?,
        images: images_beside(found)?,
        tasks: tasks.collect::<Result<_, _>>()?,
        report: report.map(|report| ReportView::new(report, diagnosis.version)),
        diagnosis,
    })
}

/// What is shown beside the diagnoses of a page.
struct Beside {
    patients: HashMap<PatientId, PersonName>,
    authors: HashMap<AccountId, PersonName>,
    modalities: HashMap<StudyId, Modality>,
    images: HashMap<StudyId, Vec<ListedImage>>,
    reports: HashMap<DiagnosisId, Report>,
}

impl Beside {
    async fn of(snapshot: &Snapshot<'_>, diagnoses: &[Diagnosis]) -> Result<Self, StoreError> {
        let patients: BTreeSet<PatientId> = diagnoses.iter().map(|diagnosis| diagnosis.patient).collect();
        let authors: BTreeSet<AccountId> = diagnoses.iter().map(|diagnosis| diagnosis.author).collect();
        let studies: Vec<StudyId> = diagnoses.iter().filter_map(|diagnosis| diagnosis.study).collect();
        let shown = only(&["study", "position", "format", "file_name", "no_preview"]);
        let images = images_of(studies.iter().copied().map(id).collect());
        let newest = vec![
            doc! { "$group": { "_id": "$diagnosis", "newest": { "$first": "$$ROOT" } } },
            doc! { "$replaceRoot": { "newRoot": "$newest" } },
        ];
        // Five of these futures are too large to be carried about.
        let also = |collection, query, kept, then| Box::pin(snapshot.also_through(collection, query, kept, then));
        let (patients, authors, studies, images, reports) = try_join5(
            also(&PATIENTS, Query::with_ids(patients), Vec::new(), only(&["name"])),
            also(&ACCOUNTS, Query::with_ids(authors), Vec::new(), only(&["name"])),
            also(&STUDIES, Query::with_ids(studies), Vec::new(), only(&["modality"])),
            also(&IMAGES, images, Vec::new(), shown),
            also(&REPORTS, reports_on(diagnoses), newest, Vec::new()),
        )
        .await?;
        Ok(Self {
            patients: each(&patients, |found| Ok((found.id("_id")?, name(found)?)))?.collect(),
            authors: each(&authors, |found| Ok((found.id("_id")?, name(found)?)))?.collect(),
            modalities: each(&studies, |found| Ok((found.id("_id")?, found.parsed("modality", Modality::parse)?)))?
                .collect(),
            images: by_study(each(&images, listed_image)?),
            reports: each(&reports, |found| report(found).map(|report| (report.diagnosis, report)))?.collect(),
        })
    }

    fn list(&mut self, diagnosis: Diagnosis) -> Result<ListedDiagnosis, StoreError> {
        let report = self.reports.remove(&diagnosis.id);
        Ok(ListedDiagnosis {
            patient: self.patients.get(&diagnosis.patient).cloned().ok_or_else(|| absent("patient"))?,
            author: self.authors.get(&diagnosis.author).cloned().ok_or_else(|| absent("author"))?,
            modality: diagnosis.study.and_then(|study| self.modalities.get(&study).copied()),
            images: diagnosis.study.and_then(|study| self.images.remove(&study)).unwrap_or_default(),
            report: report.map(|report| ReportView::new(report, diagnosis.version)),
            diagnosis,
        })
    }
}

fn each<T>(
    found: &[RawDocumentBuf],
    read: impl Fn(&RawDocument) -> Result<T, StoreError>,
) -> Result<impl Iterator<Item = T>, StoreError> {
    Ok(found.iter().map(|found| read(found)).collect::<Result<Vec<_>, _>>()?.into_iter())
}

/// On each of them, the newest first.
fn reports_on(diagnoses: &[Diagnosis]) -> Query {
    let ids: Vec<Bson> = diagnoses.iter().map(|diagnosis| id(diagnosis.id)).collect();
    Query {
        limit: ids.len(),
        filter: doc! { "diagnosis": { "$in": ids } },
        sort: doc! { "diagnosis": 1, "diagnosis_version": -1 },
        index: "diagnosis",
    }
}

fn listed_image(found: &RawDocument) -> Result<(StudyId, ListedImage), StoreError> {
    let image = ListedImage {
        id: found.id("_id")?,
        position: found.number("position")?,
        format: found.parsed("format", str::parse)?,
        file_name: found.optional_parsed("file_name", FileName::parse)?,
        has_preview: found.optional_text("no_preview")?.is_none(),
    };
    Ok((found.id("study")?, image))
}

/// Counts that have to add up. Servers that only speak the protocol of MongoDB may give a snapshot what is newest, each time;
/// what a transaction reads is of one moment on every one.
struct Counting<'a> {
    patient: PatientId,
    statuses: &'a [DiagnosisStatus],
}

#[async_trait]
impl Work for Counting<'_> {
    type Answer = Option<PatientCounts>;

    async fn run<'a>(&self, transaction: &mut Transaction<'a>) -> Done<'a, Self::Answer> {
        let found = transaction.aggregate(&PATIENTS, counted(self.patient, self.statuses)).await?;
        Ok((found.first().map(|found| counts(found)).transpose()?, None))
    }
}

fn counts(found: &RawDocument) -> Result<PatientCounts, StoreError> {
    let (diagnoses, charges) = (found.documents("diagnoses")?, found.documents("charges")?);
    // Of none, there is no sum.
    let sum = |sums: &[&RawDocument], of: &str| sums.first().map_or(Ok(0), |sums| sums.number(of));
    Ok(PatientCounts {
        diagnoses: sum(&diagnoses, "diagnoses")?,
        images: sum(&diagnoses, "images")?,
        reports: sum(&diagnoses, "reports")?,
        transactions: sum(&charges, "charges")?,
    })
}

/// The patient, with the sums of what is counted.
fn counted(patient: PatientId, statuses: &[DiagnosisStatus]) -> Vec<Document> {
    let statuses: Vec<&str> = statuses.iter().map(|status| status.as_str()).collect();
    let sums = doc! {
        "_id": Bson::Null,
        "diagnoses": { "$sum": 1 },
        "images": { "$sum": { "$size": "$images" } },
        "reports": { "$sum": { "$size": "$reports" } },
    };
    let diagnoses = vec![
        doc! { "$match": { "status": { "$in": statuses } } },
        with("images", &IMAGES, ("study", "study"), only(&["_id"])),
        with("reports", &REPORTS, ("_id", "diagnosis"), only(&["_id"])),
        doc! { "$group": sums },
    ];
    let charges = vec![
        doc! { "$match": { "voided_at": { "$exists": false } } },
        doc! { "$group": { "_id": Bson::Null, "charges": { "$sum": 1 } } },
    ];
    let mut pipeline = vec![
        doc! { "$match": { "_id": id(patient) } },
        with("diagnoses", &DIAGNOSES, ("_id", "patient"), diagnoses),
        with("charges", &CHARGES, ("_id", "patient"), charges),
    ];
    pipeline.extend(only(&["diagnoses", "charges"]));
    pipeline
}
