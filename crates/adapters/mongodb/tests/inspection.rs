//! What is found wrong with a house in which another hand has written.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use infirmary_mongodb::{MongoStore, testing};
use infirmary_workflows::{Inspection, RecordLaw, testing::inspection_laws::furnished};
use mongodb::{
    Database, IndexModel,
    bson::{Binary, Bson, Document, doc, spec::BinarySubtype},
    options::IndexOptions,
};

/// What is done to the documents of a collection that the filter takes.
enum Damage {
    Set(Document),
    Unset(&'static str),
    Remove,
}

use Damage::{Remove, Set, Unset};

type Case = (RecordLaw, &'static str, Document, Damage, &'static str);

/// The id of nothing.
fn nobody() -> Binary {
    Binary { subtype: BinarySubtype::Uuid, bytes: vec![7; 16] }
}

fn exists() -> Document {
    doc! { "$exists": true }
}

fn unreadable() -> Vec<Case> {
    let case = |collection, change: Document, told| (RecordLaw::Storage, collection, doc! {}, Set(change), told);
    vec![
        case("accounts", doc! { "role": "king" }, "account N: it cannot be read: the field role of a document is"),
        case("patients", doc! { "name": 7 }, "patient N: it cannot be read: the field name of a document is"),
        case("emergency_accesses", doc! { "ends_at": "soon" }, "emergency access N: "),
        case("studies", doc! { "modality": "?!" }, "study N: "),
        case("images", doc! { "sha256": "text" }, "image N: "),
        case("diagnoses", doc! { "version": -1_i64 }, "diagnosis N: "),
        case("diagnosis_versions", doc! { "made": 7 }, "version of the diagnosis N: "),
        case("reports", doc! { "code": "text" }, "report N: "),
        case("reports", doc! { "object": "../x" }, "report N: "),
        case("charges", doc! { "currency": "pounds" }, "charge N: "),
        case("payments", doc! { "allocations": 7 }, "payment N: "),
        case("refunds", doc! { "amount": "7" }, "refund N: "),
    ]
}

fn dangling() -> Vec<Case> {
    let removed = |collection, told| (RecordLaw::References, collection, doc! {}, Remove, told);
    let set =
        |collection, filter, change: Document, told| (RecordLaw::References, collection, filter, Set(change), told);
    let not_there = |collection, told| (RecordLaw::References, collection, doc! {}, Remove, told);
    vec![
        removed("accounts", "study N: its author has no account"),
        removed("accounts", "diagnosis N: its author has no account"),
        removed("accounts", "account N: it is of a care team, and is not there"),
        removed("accounts", "account N: it used emergency access, and is not there"),
        removed("accounts", "patient N: its account is not there"),
        not_there("accounts", "account N: it is not there, and documents of sessions name it"),
        removed("patients", "account N: its patient record is not there"),
        not_there("patients", "patient N: it is not there, and documents of charges name it"),
        not_there("patients", "patient N: it is not there, and documents of patient_words name it"),
        not_there("studies", "study N: it is not there, and documents of images name it"),
        removed("studies", "diagnosis N: its study is not there, or of another patient"),
        not_there("diagnoses", "diagnosis N: it is not there, and documents of reports name it"),
        not_there("diagnoses", "diagnosis N: it is not there, and documents of diagnosis_versions name it"),
        removed("diagnoses", "charge N: its study and diagnosis are not there"),
        removed("reports", "charge N: its report and diagnosis are not there"),
        not_there("charges", "charge N: it is not there, and documents of payments name it"),
        not_there("payments", "payment N: it is not there, and documents of refunds name it"),
        set("images", doc! {}, doc! { "patient": nobody() }, "image N: it is of another patient than its study"),
        set("reports", doc! {}, doc! { "patient": nobody() }, "report N: it is of another patient than its diagnosis"),
        set("refunds", doc! {}, doc! { "patient": nobody() }, "refund N: it is of another patient than its payment"),
        set("accounts", doc! { "patient": exists() }, doc! { "patient": nobody() }, "account N: its patient record"),
        set("charges", doc! { "study": exists() }, doc! { "author": nobody() }, "charge N: its study and diagnosis"),
        set("charges", doc! { "report": exists() }, doc! { "diagnosis": nobody() }, "charge N: its report and diag"),
    ]
}

fn untrue() -> Vec<Case> {
    use RecordLaw::{Completeness, Histories, House};
    let change = |change: Document| Set(change);
    vec![
        (Histories, "diagnosis_versions", doc! { "version": 1 }, Remove, "diagnosis N: a version of it is missing"),
        (Histories, "diagnosis_versions", doc! { "version": 3 }, Remove, "diagnosis N: a version of it is missing"),
        (
            Histories,
            "diagnoses",
            doc! { "version": 2 },
            change(doc! { "findings": "Nothing." }),
            "diagnosis N: it says something else than its last version",
        ),
        (
            Histories,
            "reports",
            doc! { "diagnosis_version": 2 },
            change(doc! { "diagnosis_version": 9_i64 }),
            "report N: the version of the diagnosis that it reports is not there",
        ),
        (
            Histories,
            "counters",
            doc! {},
            change(doc! { "last": 0_i64 }),
            "patient N: its record number is above those that were given",
        ),
        (Completeness, "images", doc! { "position": 1 }, Remove, "study N: an image of it is missing"),
        (Completeness, "images", doc! {}, Remove, "study N: an image of it is missing"),
        (Completeness, "charges", doc! { "study": exists() }, Remove, "study N: it has no charge"),
        (Completeness, "diagnoses", doc! {}, Remove, "study N: it has no diagnosis, or more than one"),
        (Completeness, "charges", doc! { "report": exists() }, Remove, "report N: its diagnosis has no charge for a"),
        (
            Completeness,
            "charges",
            doc! { "report": exists() },
            Unset("report"),
            "report N: its diagnosis has no charge",
        ),
        (House, "payments", doc! {}, change(doc! { "amount": 501_i64 }), "house: the balance is "),
        (House, "refunds", doc! {}, change(doc! { "allocations": [] }), "house: the balance is "),
    ]
}

fn untold() -> Vec<Case> {
    let case = |action: &str, told| (RecordLaw::Trail, "audit", doc! { "action": action }, Remove, told);
    vec![
        case("account.register", "patient N: the audit trail does not tell of its registration"),
        case("study.record", "study N: the audit trail does not tell of it"),
        case("diagnosis.record", "diagnosis N: the audit trail does not tell of it"),
        case("diagnosis.confirm", "diagnosis N: the audit trail does not tell of every change to it"),
        case("diagnosis.amend", "diagnosis N: the audit trail does not tell of every change to it"),
        case("report.issue", "report N: the audit trail does not tell of it"),
        case("charge.create", "charge N: the audit trail does not tell of it"),
        case("charge.void", "charge N: the audit trail does not tell that it was made void"),
        case("payment.take", "payment N: the audit trail does not tell of it"),
        case("payment.refund", "payment N: the audit trail does not tell of every refund of it"),
        case("careTeam.add", "account N: the audit trail does not tell that it came to a care team"),
        case("emergencyAccess.start", "emergency access N: the audit trail does not tell of it"),
    ]
}

async fn all(database: &Database, collection: &str, filter: Document) -> Vec<Document> {
    let mut found = database.collection::<Document>(collection).find(filter).await.unwrap();
    let mut all = Vec::new();
    while found.advance().await.unwrap() {
        all.push(found.deserialize_current().unwrap());
    }
    all
}

/// What is told of the law; an id is `N`.
async fn told(store: &MongoStore, law: RecordLaw) -> Vec<String> {
    let flaws = store.flaws(law, 100).await.unwrap();
    let told = flaws.iter().map(|flaw| {
        let record = match flaw.record.rsplit_once(' ') {
            Some((noun, id)) if id.len() == 36 => format!("{noun} N"),
            _ => flaw.record.clone(),
        };
        format!("{record}: {}", flaw.what)
    });
    told.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_done_to_the_documents_is_named() {
    let Some((store, database)) = testing::store().await else { return };
    furnished(&store).await;
    let client = database.client().await;
    let mut unnamed = Vec::new();
    for (law, collection, filter, damage, named) in [unreadable(), dangling(), untrue(), untold()].into_iter().flatten()
    {
        let damaged = client.collection::<Document>(collection);
        let before = all(&client, collection, filter.clone()).await;
        assert!(!before.is_empty(), "{collection} {filter}");
        match &damage {
            Set(change) => drop(damaged.update_many(filter.clone(), doc! { "$set": change }).await.unwrap()),
            Unset(field) => drop(damaged.update_many(filter.clone(), doc! { "$unset": { *field: "" } }).await.unwrap()),
            Remove => drop(damaged.delete_many(filter.clone()).await.unwrap()),
        }
        let told = told(&store, law).await;
        if !told.iter().any(|told| told.starts_with(named)) {
            unnamed.push(format!("{collection} {filter}: {named}, and not {told:?}"));
        }
        assert!(store.flaws(law, 1).await.unwrap().len() <= 1);
        for document in before {
            let id = doc! { "_id": document.get("_id").unwrap() };
            damaged.replace_one(id, document).upsert(true).await.unwrap();
        }
    }
    assert!(unnamed.is_empty(), "{unnamed:#?}");
    for law in RecordLaw::ALL {
        assert_eq!(told(&store, law).await, Vec::<String>::new(), "what was put back is as it was");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn collections_and_indexes_that_are_not_those_of_this_version_are_named() {
    let Some((store, database)) = testing::store().await else { return };
    furnished(&store).await;
    let client = database.client().await;
    let index = |name: &str, keys: Document, options: IndexOptions| {
        let options =
            IndexOptions::builder().name(name.to_owned()).unique(options.unique).sparse(options.sparse).build();
        IndexModel::builder().keys(keys).options(options).build()
    };
    let charges = client.collection::<Document>("charges");
    charges.drop_index("task_of_study").await.unwrap();
    charges.drop_index("voided").await.unwrap();
    charges.create_index(index("voided", doc! { "voided_at": 1 }, IndexOptions::default())).await.unwrap();
    let reports = client.collection::<Document>("reports");
    reports.drop_index("one_of_version").await.unwrap();
    let keys = doc! { "patient": 1, "diagnosis": 1, "diagnosis_version": 1 };
    reports.create_index(index("one_of_version", keys, IndexOptions::default())).await.unwrap();
    reports.create_index(index("mine", doc! { "uploaded": 1 }, IndexOptions::default())).await.unwrap();
    client.collection("notes").insert_one(doc! { "note": "x" }).await.unwrap();
    let words = client.collection::<Document>("patient_words");
    words.delete_one(doc! {}).await.unwrap();
    let mut told = told(&store, RecordLaw::Shape).await;
    told.sort();
    let expected = [
        "collection notes: it is none of this version",
        "index mine of reports: it is none of this version",
        "index one_of_version of reports: it is another one than this version makes",
        "index task_of_study of charges: it is not there",
        "index voided of charges: it is another one than this version makes",
        "patient N: an entry of it in the index of words is missing, or another one",
    ];
    assert_eq!(told, expected);
}

/// Documents that look like those of a house, as far as they are asked here: 5 doctors, 30 patients, 60 studies of 50 images
/// each, and 1,500 diagnoses.
async fn fill(database: &Database) {
    let id = |kind: u128, number: u128| {
        let bytes = ((kind << 64) | number).to_be_bytes().to_vec();
        Bson::Binary(Binary { subtype: BinarySubtype::Uuid, bytes })
    };
    let (doctor, patient, study) = (|n| id(1, n % 5), |n| id(2, n % 30), |n| id(3, n % 60));
    let add = async |collection, count: u128, make: &dyn Fn(u128) -> Document| {
        let all: Vec<Document> = (0..count).map(make).collect();
        database.collection::<Document>(collection).insert_many(all).await.unwrap();
    };
    add("accounts", 5, &|n| doc! { "_id": doctor(n), "email": n.to_string() }).await;
    add("patients", 30, &|n| doc! { "_id": patient(n), "mrn": 1 + n as i64, "name": "Ada" }).await;
    add("studies", 60, &|n| doc! { "_id": study(n), "patient": patient(n), "author": doctor(n) }).await;
    let image = |n: u128| {
        doc! { "_id": id(4, n), "patient": patient(n), "study": study(n), "position": (n / 60) as i64 }
    };
    add("images", 3_000, &image).await;
    let diagnosis = |n| doc! { "_id": id(5, n), "patient": patient(n), "author": doctor(n), "version": 1_i64 };
    add("diagnoses", 60, &|n| {
        let mut diagnosis = diagnosis(n);
        diagnosis.insert("study", study(n));
        diagnosis
    })
    .await;
    add("diagnoses", 1_440, &|n| diagnosis(60 + n)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_law_is_held_against_thousands_of_documents_in_few_round_trips() {
    let Some((store, database)) = testing::store().await else { return };
    fill(&database.client().await).await;
    let asked = async |law| {
        let (flaws, sent) = store.commands().of(store.flaws(law, 5_000)).await;
        (flaws.unwrap(), sent.values().sum::<u64>())
    };
    let (flaws, sent) = asked(RecordLaw::References).await;
    assert_eq!(flaws, []);
    assert!(sent < 90, "{sent}");
    let (flaws, sent) = asked(RecordLaw::Completeness).await;
    assert!(flaws.len() == 60 && flaws.iter().all(|flaw| flaw.what == "it has no charge"), "{flaws:?}");
    assert!(sent < 30, "{sent}");
    let (flaws, sent) = asked(RecordLaw::Trail).await;
    assert_eq!(flaws.len(), 30 + 60 + 1_440, "patients, studies, and diagnoses without one");
    assert!(sent < 30, "{sent}");
    let (flaws, sent) = asked(RecordLaw::Histories).await;
    assert_eq!(flaws.len(), 1_500 + 30, "no version, and no record number");
    assert!(sent < 20, "{sent}");
    let (counts, sent) = store.commands().of(Inspection::counts(&store)).await;
    assert_eq!((counts.unwrap().images, sent.values().sum::<u64>()), (3_000, 10));

    let client = database.client().await;
    client.collection::<Document>("accounts").delete_one(doc! { "email": "4" }).await.unwrap();
    let (flaws, _) = asked(RecordLaw::References).await;
    assert_eq!(flaws.len(), 60 / 5 + 1_500 / 5);
    let images = client.collection::<Document>("images");
    images.delete_many(doc! { "position": { "$in": [17, 49] } }).await.unwrap();
    let (flaws, _) = asked(RecordLaw::Completeness).await;
    assert_eq!(flaws.iter().filter(|flaw| flaw.what == "an image of it is missing").count(), 60);
}
