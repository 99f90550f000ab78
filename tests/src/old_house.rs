//! A database of the replaced system, with every irregularity that years have left in such a one, and the files beside it.

use std::{path::Path, sync::LazyLock};

use mongodb::{
    Database,
    bson::{DateTime, Document, doc, oid::ObjectId},
};

/// Everybody's, as bcryptjs keeps it.
pub const OLD_PASSWORD: &str = "hunter2 ئازاد";
static OLD_HASH: LazyLock<String> = LazyLock::new(|| {
    let hash = bcrypt::hash_with_salt(OLD_PASSWORD, 10, [7; 16]).unwrap();
    hash.format_for_version(bcrypt::Version::TwoA)
});

/// When the old house was opened: ObjectIds begin there.
const OPENED: u32 = 1_600_000_000;

/// The id of the n-th record of a kind, made `seconds` after the house was opened.
pub fn id(kind: u8, n: u32, seconds: u32) -> ObjectId {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&(OPENED + seconds).to_be_bytes());
    bytes[4] = kind;
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    ObjectId::from_bytes(bytes)
}

const USER: u8 = 1;
const IMAGE: u8 = 2;
const DIAGNOSIS: u8 = 3;
const BILL: u8 = 4;
const REPORT: u8 = 5;
const TASK: u8 = 6;
const DAY: u32 = 24 * 60 * 60;

pub fn user(n: u32) -> ObjectId {
    id(USER, n, n)
}
pub fn diagnosis(n: u32) -> ObjectId {
    id(DIAGNOSIS, n, n * DAY)
}
pub fn image(n: u32) -> ObjectId {
    id(IMAGE, n, n * DAY)
}
pub fn bill(n: u32) -> ObjectId {
    id(BILL, n, n * DAY + 1)
}
pub fn report_bill(n: u32) -> ObjectId {
    id(BILL, n + 1_000_000, n * DAY + 61)
}
pub fn report(n: u32) -> ObjectId {
    id(REPORT, n, n * DAY + 60)
}

pub fn email(n: u32) -> String {
    format!("user{n}@old.example")
}

/// As the old application wrote it.
pub fn user_row(n: u32, account_type: &str) -> Document {
    doc! {
        "_id": user(n), "Email": email(n), "password": OLD_HASH.as_str(), "Address1": format!("{n} High Street"),
        "Name": format!("Person {n} ئازاد"), "accountType": account_type, "dateCreated": f64::from(OPENED) * 1_000.0,
        "totalCost": 0, "amountLeftToPay": 0, "phoneNum": 9_647_501_000_000_i64 + i64::from(n), "__v": 0,
    }
}

pub fn diagnosis_row(n: u32, patient: u32, doctor: u32) -> Document {
    doc! {
        "_id": diagnosis(n), "imgID": image(n).to_hex(), "classification": "X-Ray", "disease": format!("Disease {n}"),
        "diagnosis": "تەمێک لە سییەکاندا", "doctorConfirmation": true, "patientID": user(patient).to_hex(),
        "Conditions": "Asthma", "Date": date(n), "doctorID": user(doctor).to_hex(),
    }
}

pub fn image_row(n: u32, patient: u32) -> Document {
    doc! { "_id": image(n), "url": format!("scan {n}.png"), "patientID": user(patient).to_hex(), "date": date(n) }
}

pub fn bill_row(id: ObjectId, patient: u32, cost: i32, desc: &str, paid: bool) -> Document {
    doc! { "_id": id, "Cost": cost, "patientID": user(patient).to_hex(), "date": DateTime::from_millis(1_600_000_000_000), "isPaid": paid, "desc": desc }
}

pub fn report_row(n: u32, patient: u32) -> Document {
    doc! {
        "_id": report(n), "patientID": user(patient).to_hex(), "pdfUrl": format!("report {n}.pdf"), "date": date(n),
        "diagnosisID": diagnosis(n).to_hex(),
    }
}

fn date(n: u32) -> DateTime {
    DateTime::from_millis(i64::from(OPENED + n * DAY) * 1_000)
}

/// A PDF as small as one can be.
pub fn pdf() -> Vec<u8> {
    let mut file = b"%PDF-1.4\n".to_vec();
    let mut places = Vec::new();
    for object in [
        "1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n",
        "2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n",
        "3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 72 72]>>endobj\n",
    ] {
        places.push(file.len());
        file.extend_from_slice(object.as_bytes());
    }
    let table = file.len();
    file.extend_from_slice(b"xref\n0 4\n0000000000 65535 f \n");
    for place in places {
        file.extend_from_slice(format!("{place:010} 00000 n \n").as_bytes());
    }
    file.extend_from_slice(format!("trailer<</Size 4/Root 1 0 R>>\nstartxref\n{table}\n%%EOF\n").as_bytes());
    file
}

async fn insert(database: &Database, collection: &str, rows: Vec<Document>) {
    for rows in rows.chunks(1_000) {
        database.collection::<Document>(collection).insert_many(rows).await.unwrap();
    }
}

/// Admin 1, doctor 2, accountant 3, patients 10 to 12, and what is wrong in such a house.
///
/// Diagnosis 1: whole, with image, report and both bills, paid. 2: unconfirmed. 3: its image is missing. 4: its image is no
/// image. 5: of a doctor whose row is gone. 6: of a patient whose row is gone. 7: reported and unconfirmed, its report's file
/// missing. 8: without a bill.
pub async fn fill(database: &Database, files: &Path, photo: &[u8]) {
    std::fs::create_dir_all(files.join("images")).unwrap();
    std::fs::create_dir_all(files.join("reports")).unwrap();
    let mut users = vec![user_row(1, "admin"), user_row(2, "Doctor"), user_row(3, "accountant")];
    users.extend((10..=12).map(|n| user_row(n, "Patient")));
    // The totals do not agree with the bills: "paid" was said twice.
    let mut disagrees = user_row(13, "Patient");
    disagrees.extend(doc! {"totalCost": 349, "amountLeftToPay": -299});
    // One mailbox twice, in another case.
    let mut twice = user_row(14, "Patient");
    twice.insert("Email", "USER10@old.example");
    let mut doctor_twice = user_row(15, "Doctor");
    doctor_twice.insert("Email", "User2@Old.Example");
    let unknown_type = user_row(16, "Nurse");
    let mut no_country = user_row(17, "Patient");
    no_country.insert("phoneNum", 7_501_234_567_i64);
    let mut no_hash = user_row(18, "Doctor");
    no_hash.insert("password", "plain text");
    users.extend([disagrees, twice, doctor_twice, unknown_type, no_country, no_hash]);
    insert(database, "users", users).await;

    let mut diagnoses: Vec<Document> = (1..=8).map(|n| diagnosis_row(n, 10, 2)).collect();
    diagnoses[1].insert("doctorConfirmation", false);
    diagnoses[4].insert("doctorID", user(99).to_hex());
    diagnoses[5].insert("patientID", user(98).to_hex());
    diagnoses[6].insert("doctorConfirmation", false);
    diagnoses.push(diagnosis_row(9, 13, 15));
    insert(database, "diagnoses", diagnoses).await;
    let mut images: Vec<Document> = (1..=9).map(|n| image_row(n, 10)).collect();
    // A name that means another one to who decodes or encodes it.
    let (awkward, name) = (5, "scan (50%25).png");
    images[awkward - 1].insert("url", name);
    insert(database, "imgs", images).await;
    std::fs::write(files.join("images").join(name), photo).unwrap();
    for n in [1, 2, 6, 7, 8, 9] {
        std::fs::write(files.join("images").join(format!("scan {n}.png")), photo).unwrap();
    }
    std::fs::write(files.join("images/scan 4.png"), b"<svg/>").unwrap();
    insert(database, "reports", vec![report_row(1, 10), report_row(7, 10), report_row(77, 10)]).await;
    std::fs::write(files.join("reports/report 1.pdf"), pdf()).unwrap();

    let mut bills: Vec<Document> = (1..=7).map(|n| bill_row(bill(n), 10, 299, "X-Ray", n == 1)).collect();
    bills[5].insert("patientID", user(98).to_hex());
    bills.extend([
        bill_row(report_bill(1), 10, 50, "Report", true),
        bill_row(report_bill(7), 10, 50, "Report", false),
        bill_row(bill(9), 13, 299, "X-Ray", true),
        bill_row(id(BILL, 500, 500), 13, 50, "Parking", false),
    ]);
    insert(database, "financialsystems", bills).await;
    insert(database, "tasks", vec![doc! {"_id": id(TASK, 1, 1), "taskName": "Blood test", "Desc": "", "Cost": 12.5}])
        .await;
    insert(database, "otpexps", vec![doc! {"phone": 9_647_501_000_010_i64, "expiry": 0_i64}]).await;
}

/// So many diagnoses, each with its row of an image, its bill, and for every second one a report with its bill; of a tenth
/// as many patients. No files.
pub async fn fill_many(database: &Database, diagnoses: u32) {
    let patients = (diagnoses / 10).max(1);
    let mut users = vec![user_row(1, "admin"), user_row(2, "Doctor"), user_row(3, "accountant")];
    users.extend((0..patients).map(|n| user_row(10 + n, "Patient")));
    insert(database, "users", users).await;
    let of = |n: u32| 10 + n % patients;
    // A minute apart, so that all fit into the seconds of an ObjectId.
    let at = |kind: u8, n: u32, seconds: u32| id(kind, n, n * 60 + seconds);
    for n in (0..diagnoses).step_by(5_000) {
        let range = || n..(n + 5_000).min(diagnoses);
        let rows = range().map(|n| {
            let mut row = diagnosis_row(1, of(n), 2);
            row.extend(doc! {"_id": at(DIAGNOSIS, n, 0), "imgID": at(IMAGE, n, 0).to_hex()});
            row
        });
        insert(database, "diagnoses", rows.collect()).await;
        let rows = range().map(|n| {
            let mut row = image_row(1, of(n));
            row.insert("_id", at(IMAGE, n, 0));
            row
        });
        insert(database, "imgs", rows.collect()).await;
        let rows = range().flat_map(|n| {
            let report = (n % 2 == 0).then(|| bill_row(at(BILL, n + diagnoses, 31), of(n), 50, "Report", false));
            [Some(bill_row(at(BILL, n, 1), of(n), 299, "X-Ray", n % 3 == 0)), report].into_iter().flatten()
        });
        insert(database, "financialsystems", rows.collect()).await;
        let rows = range().filter(|n| n % 2 == 0).map(|n| {
            let mut row = report_row(1, of(n));
            row.extend(doc! {"_id": at(REPORT, n, 30), "diagnosisID": at(DIAGNOSIS, n, 0).to_hex()});
            row
        });
        insert(database, "reports", rows.collect()).await;
    }
}
