//! The replaced system's routes, as its application calls them.

use base64::{Engine, engine::general_purpose::STANDARD};
use infirmary_kernel::Role;
use infirmary_tests::{
    PASSWORD, TestApp, User,
    dart::{Dart, Heard},
    old_house::pdf,
    unique_email,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::studies::fixture;

const HOUR: u64 = 60 * 60;

fn phone(app: &TestApp) -> Dart {
    Dart::new(app.address)
}

async fn as_staff(app: &TestApp, role: Role) -> Dart {
    let staff = app.as_staff(role).await;
    phone(app).sign_in(&staff.email, PASSWORD).await
}

async fn as_admin(app: &TestApp) -> Dart {
    phone(app).sign_in("admin@infirmary.example", PASSWORD).await
}

fn registration(email: &str) -> Value {
    json!({"Email": email, "password": PASSWORD, "Address1": "١٢ شەقامی سەرەکی", "Name": "ئازاد Müller",
        "accountType": "admin", "phoneNum": 9_647_501_234_567_u64})
}

async fn as_patient(app: &TestApp) -> Dart {
    let registered = phone(app).post("/api/auth/register/createUser", &registration(&unique_email("pat"))).await;
    phone(app).holding(&registered.text(201))
}

fn upload(patient: &str, doctor: &str, image: &[u8]) -> Value {
    json!({"image": STANDARD.encode(image), "imgName": "image_picker_4711.png", "patientID": patient, "doctorID": doctor,
        "classification": "X-Ray", "disease": "Pneumonia", "diagnosis": "تەمێک لە سییەکاندا", "conditions": "Asthma",
        "docConfirmation": true})
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} of {value} is no text"))
}

fn fields(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

const USER: [&str; 9] =
    ["Address1", "Email", "Name", "_id", "accountType", "amountLeftToPay", "dateCreated", "phoneNum", "totalCost"];
const DIAGNOSIS: [&str; 10] = [
    "Conditions",
    "Date",
    "_id",
    "classification",
    "diagnosis",
    "disease",
    "doctorConfirmation",
    "doctorID",
    "imgID",
    "patientID",
];

/// Without headers, as an image view or a browser opens it.
async fn open(app: &TestApp, url: &str) -> Heard {
    phone(app).get(&format!("/api/{url}")).await
}

#[tokio::test]
async fn a_day_at_the_ward_goes_as_it_went() {
    let app = TestApp::start().await;
    let admin = as_admin(&app).await;
    let doctor = as_staff(&app, Role::Doctor).await;
    let accountant = as_staff(&app, Role::Accountant).await;

    // A patient registers, and signs in on another phone.
    let email = unique_email("azad");
    let registered = phone(&app).post("/api/auth/register/createUser", &registration(&email)).await.text(201);
    let claims = Dart::claims(&registered);
    assert_eq!((&claims["Email"], &claims["accountType"]), (&json!(email), &json!("Patient")));
    let lives = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert_eq!(lives, 72 * 60 * 60);
    let again = phone(&app).post("/api/auth/register/createUser", &registration(&email)).await;
    assert_eq!(again.text(409), "User Already exists");
    let patient = phone(&app).sign_in(&email, PASSWORD).await;
    assert_eq!(patient.uid, phone(&app).holding(&registered).uid);

    // The home page of a patient.
    let data = patient.get("/api/userdata/user/data").await.json();
    assert_eq!(fields(&data), USER);
    assert_eq!(
        (&data["_id"], &data["Email"], &data["Name"], &data["Address1"], &data["accountType"]),
        (&json!(patient.uid), &json!(email), &json!("ئازاد Müller"), &json!("١٢ شەقامی سەرەکی"), &json!("Patient"))
    );
    assert_eq!((&data["totalCost"], &data["amountLeftToPay"]), (&json!(0), &json!(0)));
    assert_eq!(data["phoneNum"], json!(9_647_501_234_567_u64));
    assert!(data["dateCreated"].as_i64().unwrap() > 1_700_000_000_000);
    assert_eq!(patient.get("/api/patient/getNumberDiagnosis").await.text(200), "0");
    let details = format!("/api/patient/getPatientDiagnosisDetails/{}", patient.uid);
    assert_eq!(patient.get(&details).await.json(), json!([[], [], []]));

    // The doctor finds them by a part of the name, and uploads a photo.
    let found = doctor.get("/api/userdata/user/getAllPatients/%C3%BCll").await.json();
    assert_eq!((found.as_array().unwrap().len(), &found[0]["_id"]), (1, &json!(patient.uid)));
    assert_eq!(fields(&found[0]), USER);
    assert_eq!(doctor.get("/api/userdata/user/getAllPatients/.*").await.json(), json!([]));
    let photo = fixture("images/phantom.png");
    let uploaded = doctor.post("/api/doctor/uploadIMG", &upload(&patient.uid, &admin.uid, &photo)).await;
    assert_eq!(uploaded.text(200), "items added");

    // Whoever may looks at it.
    let diagnosis = patient.get(&format!("/api/diagnosis/getDiagnosis/{}", patient.uid)).await.json()[0].clone();
    assert_eq!(fields(&diagnosis), DIAGNOSIS);
    let said = |field: &str| diagnosis[field].clone();
    assert_eq!((said("classification"), said("disease")), (json!("X-Ray"), json!("Pneumonia")));
    assert_eq!((said("diagnosis"), said("Conditions")), (json!("تەمێک لە سییەکاندا"), json!("Asthma")));
    assert_eq!((said("patientID"), said("doctorConfirmation")), (json!(patient.uid), json!(true)));
    assert_eq!(said("doctorID"), json!(doctor.uid), "it is the doctor's who is signed in");
    let path = format!("/api/diagnosis/getDiagnosisDetails/{}", text(&diagnosis, "_id"));
    let detail = patient.get(&path).await.json();
    assert_eq!(detail.as_array().unwrap().len(), 4);
    assert_eq!((&detail[0], &detail[1], &detail[2]), (&diagnosis, &json!("Sam Staff"), &json!("ئازاد Müller")));
    let url = detail[3].as_str().unwrap();
    assert!(url.starts_with(&format!("files/{}?", text(&diagnosis, "imgID"))), "{url}");
    let seen = open(&app, url).await;
    assert!(seen.status == 200 && seen.bytes == photo && seen.header("content-type") == "image/png");
    let all = doctor.get(&details).await.json();
    assert_eq!((&all[0][0], &all[1][0]), (&diagnosis, &json!("Sam Staff")));
    assert_eq!(open(&app, all[2][0].as_str().unwrap()).await.bytes, photo);

    // The report.
    let data = doctor.get(&format!("/api/report/getReportData/{}", text(&diagnosis, "_id"))).await.json();
    assert_eq!((&data[0], &data[1]["_id"], &data[2]["_id"]), (&diagnosis, &json!(patient.uid), &json!(doctor.uid)));
    assert_eq!((fields(&data[1]), fields(&data[2])), (USER.to_vec(), USER.to_vec()));
    assert_eq!((&data[1]["totalCost"], &data[2]["accountType"]), (&json!(299), &json!("Doctor")));
    assert_eq!(open(&app, data[3].as_str().unwrap()).await.bytes, photo);
    let report = json!({"file": STANDARD.encode(pdf()), "fileName": "report.pdf", "patientID": patient.uid,
        "diagnosisID": diagnosis["_id"]});
    assert_eq!(doctor.post("/api/report/upload", &report).await.text(200), "items added");
    assert_eq!(doctor.post("/api/report/upload", &report).await.text(201), "exisits");
    let reports = patient.get(&format!("/api/report/getReportPatient/{}", patient.uid)).await.json();
    assert_eq!(reports.as_array().unwrap().len(), 1);
    assert_eq!(fields(&reports[0]), ["_id", "date", "diagnosisID", "patientID", "pdfUrl"]);
    assert_eq!((&reports[0]["diagnosisID"], &reports[0]["patientID"]), (&diagnosis["_id"], &json!(patient.uid)));
    let paper = open(&app, text(&reports[0], "pdfUrl")).await;
    assert!(paper.bytes == pdf() && paper.header("content-type") == "application/pdf");

    // The accountant finds what is owed, and takes it; saying so twice takes nothing more.
    let found = accountant.get("/api/userdata/user/getAllPatients/AZAD").await.json();
    assert_eq!(found, json!([]), "a name is compared letter by letter, in its own script");
    let found = accountant.get("/api/userdata/user/getAllPatients/muller").await.json();
    assert_eq!((&found[0]["totalCost"], &found[0]["amountLeftToPay"]), (&json!(349), &json!(349)));
    let payments = format!("/api/patient/getPatientPayments/{}", patient.uid);
    let bills = accountant.get(&payments).await.json();
    let told: Vec<_> =
        bills.as_array().unwrap().iter().map(|bill| (&bill["desc"], &bill["Cost"], &bill["isPaid"])).collect();
    assert_eq!(told, [(&json!("X-Ray"), &json!(299), &json!(false)), (&json!("Report"), &json!(50), &json!(false))]);
    assert_eq!(fields(&bills[0]), ["Cost", "_id", "date", "desc", "isPaid", "patientID"]);
    let paid = json!({"fID": bills[0]["_id"], "pID": patient.uid, "desc": "anything"});
    for _ in 0..2 {
        assert_eq!(accountant.put("/api/financial/setIsPaid", &paid).await.text(200), "done");
    }
    let data = patient.get("/api/userdata/user/data").await.json();
    assert_eq!((&data["totalCost"], &data["amountLeftToPay"]), (&json!(349), &json!(50)));
    assert_eq!(patient.get(&payments).await.json()[0]["isPaid"], true);
    assert_eq!(patient.get("/api/patient/getNumberTransactions").await.text(200), "2");
    assert_eq!(patient.get("/api/patient/getNumberDiagnosis").await.text(200), "1");

    // The admin gives somebody another role, and lets somebody go.
    let users = admin.get("/api/user/getUser/sam").await.json();
    assert_eq!(users.as_array().unwrap().len(), 2);
    let change = json!({"pID": accountant.uid, "accountType": "Doctor"});
    assert_eq!(admin.put("/api/user/updateAccType", &change).await.text(200), "done");
    assert_eq!(accountant.get(&payments).await.text(401), "Invalid_Token", "another role ends the session");
    assert_eq!(admin.delete("/api/auth/deleteUser", &json!({"uid": patient.uid})).await.text(200), "done");
    assert_eq!(patient.get("/api/userdata/user/data").await.text(401), "Invalid_Token");
    assert_eq!(open(&app, url).await.text(404), "the link is over, or is none; ask for a new one");
    let users = admin.get("/api/user/getUser/muller").await.json();
    assert_eq!(users, json!([]), "who was let go is not found");
    assert_eq!(doctor.get("/api/userdata/user/getAllPatients/muller").await.json()[0]["_id"], patient.uid.as_str());
}

#[tokio::test]
async fn every_route_wants_both_headers_and_a_living_session_of_the_one_who_is_named() {
    let app = TestApp::start().await;
    let (doctor, other) = (as_staff(&app, Role::Doctor).await, as_staff(&app, Role::Doctor).await);
    let document = app.get(&app.nobody(), "/openapi.json").await.expect(StatusCode::OK);
    let mut guarded = 0;
    for (path, methods) in document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with("/api/")) {
        for (method, operation) in methods.as_object().unwrap() {
            assert_eq!(operation["deprecated"], true, "{method} {path}");
            if operation["security"].is_null() {
                continue;
            }
            guarded += 1;
            let path = path.replace("{text}", "x").replace("{patientID}", "x").replace("{diagnosisID}", "x");
            let method = method.to_uppercase();
            for (token, uid, status, said) in [
                ("", "", 403, "A token/uid is required for authentication!"),
                (doctor.token.as_str(), "", 403, "A token/uid is required for authentication!"),
                ("", doctor.uid.as_str(), 403, "A token/uid is required for authentication!"),
                ("nonsense", doctor.uid.as_str(), 401, "Invalid_Token"),
                (doctor.token.as_str(), other.uid.as_str(), 401, "Invalid_Token"),
            ] {
                let client = Dart { token: token.to_owned(), uid: uid.to_owned(), ..phone(&app) };
                let heard = client.send(&method, &path, None).await;
                assert_eq!(
                    (heard.status, String::from_utf8_lossy(&heard.bytes)),
                    (status, said.into()),
                    "{method} {path}"
                );
            }
        }
    }
    assert_eq!(guarded, 19);
}

#[tokio::test]
async fn who_has_the_wrong_role_is_told_so() {
    let app = TestApp::start().await;
    let (doctor, accountant) = (as_staff(&app, Role::Doctor).await, as_staff(&app, Role::Accountant).await);
    let (patient, other) = (as_patient(&app).await, as_patient(&app).await);
    let of = |name: &str, user: &Dart| format!("/api/{name}/{}", user.uid);
    let body = json!({});
    for (who, method, path) in [
        (&patient, "GET", "/api/userdata/user/getAllPatients/a".to_owned()),
        (&doctor, "GET", "/api/user/getUser/a".to_owned()),
        (&accountant, "GET", "/api/user/getUser/a".to_owned()),
        (&doctor, "DELETE", "/api/auth/deleteUser".to_owned()),
        (&patient, "DELETE", "/api/auth/deleteUser/deleteUser".to_owned()),
        (&doctor, "PUT", "/api/user/updateAccType".to_owned()),
        (&accountant, "POST", "/api/doctor/uploadIMG".to_owned()),
        (&patient, "POST", "/api/doctor/uploadIMG".to_owned()),
        (&accountant, "POST", "/api/report/upload".to_owned()),
        (&accountant, "GET", of("diagnosis/getDiagnosis", &patient)),
        (&accountant, "GET", of("patient/getPatientDiagnosisDetails", &patient)),
        (&accountant, "GET", of("report/getReportPatient", &patient)),
        (&doctor, "GET", "/api/patient/getNumberDiagnosis".to_owned()),
        (&accountant, "GET", "/api/patient/getNumberTransactions".to_owned()),
        (&doctor, "GET", of("patient/getPatientPayments", &patient)),
        (&doctor, "PUT", "/api/financial/setIsPaid".to_owned()),
        (&patient, "PUT", "/api/financial/setIsPaid".to_owned()),
        (&doctor, "POST", "/api/tasks".to_owned()),
        (&accountant, "POST", "/api/tasks".to_owned()),
    ] {
        let body = (method != "GET").then(|| body.to_string());
        let said = who.send(method, &path, body.as_deref()).await.text(403);
        assert!(!said.is_empty() && !said.starts_with('{'), "{method} {path}: {said}");
    }
    for path in [
        of("diagnosis/getDiagnosis", &patient),
        of("patient/getPatientDiagnosisDetails", &patient),
        of("report/getReportPatient", &patient),
        of("patient/getPatientPayments", &patient),
    ] {
        assert_eq!(other.get(&path).await.text(404), "there is no such record", "{path}");
        assert_eq!(patient.get(&path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn an_id_of_nothing_is_404_and_a_missing_field_400() {
    let app = TestApp::start().await;
    let (admin, doctor, patient) = (as_admin(&app).await, as_staff(&app, Role::Doctor).await, as_patient(&app).await);
    for id in ["nonsense", "507f1f77bcf86cd799439011", "0198c1f0-7c3e-7d0a-9c55-3f1d2b6a4e10", "%00", "undefined"] {
        for path in ["diagnosis/getDiagnosisDetails", "report/getReportData"] {
            assert_eq!(
                doctor.get(&format!("/api/{path}/{id}")).await.text(404),
                "there is no such record",
                "{path}/{id}"
            );
        }
        let body = json!({"uid": id});
        assert_eq!(admin.delete("/api/auth/deleteUser", &body).await.text(404), "there is no such record");
        let paid = json!({"fID": id, "pID": patient.uid, "desc": ""});
        assert_eq!(admin.put("/api/financial/setIsPaid", &paid).await.text(404), "there is no such record");
    }
    let photo = fixture("images/phantom.png");
    let whole = upload(&patient.uid, &doctor.uid, &photo);
    for field in ["image", "imgName", "patientID", "doctorID", "classification", "disease", "diagnosis", "conditions"] {
        let mut body = whole.clone();
        body.as_object_mut().unwrap().remove(field);
        let said = doctor.post("/api/doctor/uploadIMG", &body).await.text(400);
        assert_eq!(said, "all fields are required", "{field}");
    }
    for (field, value, status) in [
        ("patientID", json!("nobody"), 400),
        ("classification", json!("tarot"), 400),
        ("image", json!("not base64!"), 400),
        ("image", json!(7), 400),
        ("image", json!(STANDARD.encode("<svg/>".repeat(50))), 415),
        ("imgName", json!("photo.gif"), 415),
    ] {
        let mut body = whole.clone();
        body[field] = value;
        let said = doctor.post("/api/doctor/uploadIMG", &body).await.text(status);
        assert!(!said.contains("urn:"), "{said}");
    }
    for field in ["Email", "password", "Address1", "Name", "accountType", "phoneNum"] {
        let mut body = registration(&unique_email("x"));
        body.as_object_mut().unwrap().remove(field);
        let said = phone(&app).post("/api/auth/register/createUser", &body).await.text(400);
        assert_eq!(said, "All inputs are required", "{field}");
    }
    let report = json!({"fileName": "a.pdf", "patientID": patient.uid, "diagnosisID": "x"});
    assert_eq!(doctor.post("/api/report/upload", &report).await.text(400), "all fields are required");
}

#[tokio::test]
async fn what_was_wrong_and_who_is_unknown_sound_the_same_and_share_the_counters() {
    let app = TestApp::start().await;
    let patient = app.as_patient().await;
    let attempt = async |path: &str, email: &str, password: &str| {
        phone(&app).post(path, &json!({"Email": email, "password": password})).await
    };
    assert_eq!(attempt("/api/auth/login", "nobody@infirmary.example", PASSWORD).await.text(400), "Invalid Credentials");
    for path in ["/api/auth/login/", "/api/auth/login", "/api/auth/refresh", "/api/auth/login/refresh"] {
        assert_eq!(attempt(path, &patient.email, "wrong").await.text(400), "Invalid Credentials", "{path}");
        attempt(path, &patient.email, PASSWORD).await.text(201);
    }
    for path in
        ["/api/auth/login/", "/api/auth/login", "/api/auth/refresh", "/api/auth/login/refresh", "/api/auth/login"]
    {
        attempt(path, &patient.email, "wrong").await;
    }
    let refused = attempt("/api/auth/refresh", &patient.email, PASSWORD).await;
    assert!(refused.text(429).contains("too many attempts"));
    assert!(!refused.header("retry-after").is_empty());
    let weak = json!({"Email": unique_email("w"), "password": "short", "Address1": "a", "Name": "b", "accountType": "Patient", "phoneNum": 9_647_501_234_567_u64});
    let said = phone(&app).post("/api/auth/register/createUser", &weak).await.text(400);
    assert!(said.contains("at least 15 characters"), "{said}");
}

#[tokio::test]
async fn a_token_of_a_day_is_renewed_by_the_answer_and_one_of_three_days_is_over() {
    let app = TestApp::start_at_rest(&[]).await;
    let mut patient = as_patient(&app).await;
    let first = patient.clone();
    assert_eq!(patient.get("/api/userdata/user/data").await.header("x-access-token"), "");
    for _ in 0..10 {
        app.advance(48 * HOUR);
        let answer = patient.get("/api/userdata/user/data").await;
        assert_eq!(answer.status, 200);
        patient = patient.holding(answer.header("x-access-token"));
        assert_eq!(patient.get("/api/userdata/user/data").await.header("x-access-token"), "");
    }
    assert_eq!(first.get("/api/userdata/user/data").await.text(401), "Invalid_Token");
    app.advance(73 * HOUR);
    assert_eq!(patient.get("/api/userdata/user/data").await.text(401), "Invalid_Token");
}

#[tokio::test]
async fn each_api_takes_its_own_tokens_only() {
    let app = TestApp::start().await;
    let patient = app.as_patient().await;
    let old = phone(&app).sign_in(&patient.email, PASSWORD).await;
    let bearer = User { token: Some(old.token.clone()), ..User::default() };
    app.get(&bearer, "/v1/me").await.problem(401);
    let new = Dart { token: patient.token.clone().unwrap(), ..old.clone() };
    assert_eq!(new.get("/api/userdata/user/data").await.text(401), "Invalid_Token");
    app.post(&patient, "/v1/auth/logout", &json!({})).await.expect(StatusCode::NO_CONTENT);
    old.get("/api/userdata/user/data").await.json();
}

#[tokio::test]
async fn an_admin_uploads_in_the_name_of_a_doctor_and_the_trail_has_the_admin() {
    let app = TestApp::start().await;
    let (admin, doctor, patient) = (as_admin(&app).await, as_staff(&app, Role::Doctor).await, as_patient(&app).await);
    let photo = fixture("images/turned.jpg");
    let mut body = upload(&patient.uid, &doctor.uid, &photo);
    body["imgName"] = json!("turned.JPG");
    body.as_object_mut().unwrap().remove("docConfirmation");
    for nobody in [&patient.uid, &admin.uid] {
        let refused = json!({"doctorID": nobody});
        let mut body = body.clone();
        body["doctorID"] = refused["doctorID"].clone();
        assert!(admin.post("/api/doctor/uploadIMG", &body).await.text(400).contains("is of no doctor"));
    }
    assert_eq!(admin.post("/api/doctor/uploadIMG", &body).await.text(200), "items added");
    let listed = admin.get(&format!("/api/diagnosis/getDiagnosis/{}", patient.uid)).await.json();
    assert_eq!((&listed[0]["doctorID"], &listed[0]["doctorConfirmation"]), (&json!(doctor.uid), &json!(false)));
    let own = patient.get(&format!("/api/diagnosis/getDiagnosis/{}", patient.uid)).await.json();
    assert_eq!(own, json!([]), "a patient sees it once somebody stands for it");

    let report = json!({"file": format!("data:application/pdf;base64,{}", STANDARD.encode(pdf())), "fileName": "r.pdf",
        "patientID": patient.uid, "diagnosisID": listed[0]["_id"]});
    assert_eq!(admin.post("/api/report/upload", &report).await.text(200), "items added");
    let own = patient.get(&format!("/api/diagnosis/getDiagnosis/{}", patient.uid)).await.json();
    assert_eq!(own[0]["doctorConfirmation"], true, "who reports it stands for it");
    let log = app.get(&app.as_admin(), &format!("/v1/audit?patientId={}", patient.uid)).await.expect(StatusCode::OK);
    for action in ["study.record", "diagnosis.confirm", "report.issue"] {
        let entry = log["items"].as_array().unwrap().iter().find(|entry| entry["action"] == action);
        assert_eq!(entry.unwrap()["accountId"], admin.uid.as_str(), "{action}");
    }
}

#[tokio::test]
async fn the_catalogue_is_listed_and_an_admin_adds_to_it() {
    let app = TestApp::start().await;
    let (admin, patient) = (as_admin(&app).await, as_patient(&app).await);
    let task = json!({"taskName": "Blood test (2 tubes)", "Desc": "Fasting", "Cost": 12.5});
    let created = admin.post("/api/tasks", &task).await;
    assert_eq!(created.status, 201);
    assert!(admin.post("/api/tasks", &task).await.text(409).contains("exists already"));
    assert_eq!(admin.post("/api/tasks", &json!({"Desc": "x"})).await.text(400), "all fields are required");
    let listed = patient.get("/api/tasks").await.json();
    let added = listed.as_array().unwrap().iter().find(|listed| listed["taskName"] == task["taskName"]).unwrap();
    assert_eq!(fields(added), ["Cost", "Desc", "_id", "taskName"]);
    assert_eq!((&added["Cost"], &added["Desc"]), (&json!(12.5), &json!("Fasting")));
    assert!(listed.as_array().unwrap().iter().any(|task| task["taskName"] == "X-ray" && task["Cost"] == json!(299)));
}

#[tokio::test]
async fn what_asks_for_a_recent_sign_in_says_so_and_the_last_admin_stays() {
    let app = TestApp::start_at_rest(&[]).await;
    let (admin, doctor) = (as_admin(&app).await, as_staff(&app, Role::Doctor).await);
    let own = json!({"uid": admin.uid});
    assert!(admin.delete("/api/auth/deleteUser", &own).await.text(409).contains("last active admin"));
    app.advance(16 * 60);
    let change = json!({"pID": doctor.uid, "accountType": "accountant"});
    assert!(admin.put("/api/user/updateAccType", &change).await.text(403).contains("sign in again"));
    let admin = as_admin(&app).await;
    for wrong in ["Nurse", "Patient", ""] {
        let body = json!({"pID": doctor.uid, "accountType": wrong});
        admin.put("/api/user/updateAccType", &body).await.text(400);
    }
    assert_eq!(admin.put("/api/user/updateAccType", &change).await.text(200), "done");
}

#[tokio::test]
async fn a_file_is_opened_by_its_own_link_for_minutes_and_as_long_as_the_session_lives() {
    let app = TestApp::start_at_rest(&[]).await;
    let (doctor, patient) = (as_staff(&app, Role::Doctor).await, as_patient(&app).await);
    let photo = fixture("images/phantom.png");
    doctor.post("/api/doctor/uploadIMG", &upload(&patient.uid, &doctor.uid, &photo)).await.text(200);
    let details = format!("/api/patient/getPatientDiagnosisDetails/{}", patient.uid);
    let url = async || patient.get(&details).await.json()[2][0].as_str().unwrap().to_owned();
    let first = url().await;
    assert_eq!(open(&app, &first).await.bytes, photo);
    let part =
        app.send(&app.nobody(), Method::GET, &format!("/api/{first}"), |get| get.header("range", "bytes=1-3")).await;
    assert_eq!((part.status, part.bytes.as_slice()), (StatusCode::PARTIAL_CONTENT, b"PNG".as_slice()));
    let (file, token) = first.split_once("?token=").unwrap();
    for wrong in [format!("{file}?token={}A", &token[1..]), file.to_owned(), format!("files/x?token={token}")] {
        open(&app, &wrong).await.text(404);
    }
    app.advance(5 * 60);
    open(&app, &first).await.text(404);
    let second = url().await;
    assert_eq!(open(&app, &second).await.bytes, photo);
    let admin = as_admin(&app).await;
    admin.delete("/api/auth/deleteUser/deleteUser", &json!({"uid": patient.uid})).await.text(200);
    open(&app, &second).await.text(404);
}

#[tokio::test]
async fn an_upload_is_read_for_who_may_and_up_to_fifty_mebibytes() {
    let app = TestApp::start().await;
    let (doctor, patient) = (as_staff(&app, Role::Doctor).await, as_patient(&app).await);
    let mut body = upload(&patient.uid, &doctor.uid, b"");
    body["image"] = json!("A".repeat(51 * 1024 * 1024));
    assert!(doctor.post("/api/doctor/uploadIMG", &body).await.text(413).contains("52428800"));
    body["image"] = json!(STANDARD.encode([&fixture("images/phantom.png")[..], &vec![0; 21 * 1024 * 1024]].concat()));
    let said = doctor.post("/api/doctor/uploadIMG", &body).await.text(413);
    assert!(said.contains("20971520"), "{said}");
    assert_eq!(
        patient.send("POST", "/api/doctor/uploadIMG", Some("not even read")).await.status,
        403,
        "who may not is told before a byte is read"
    );
}

#[tokio::test]
async fn switched_off_there_is_nothing_of_it() {
    let app = TestApp::start_with(&[("INFIRMARY_LEGACY_API", "off")]).await;
    for (method, path) in [("POST", "/api/auth/login/"), ("GET", "/api/userdata/user/data"), ("GET", "/api/files/x")] {
        assert_eq!(phone(&app).send(method, path, None).await.status, 404, "{path}");
    }
    let document = app.get(&app.nobody(), "/openapi.json").await.expect(StatusCode::OK);
    assert!(document["paths"].as_object().unwrap().keys().all(|path| !path.starts_with("/api/")));
}

#[tokio::test]
async fn a_phone_number_without_a_country_is_of_the_house_or_refused() {
    let app = TestApp::start().await;
    let mut body = registration(&unique_email("local"));
    body["phoneNum"] = json!(7_501_234_567_u64);
    assert!(phone(&app).post("/api/auth/register/createUser", &body).await.text(400).contains("country"));
    let app = TestApp::start_with(&[("INFIRMARY_CALLING_CODE", "964")]).await;
    let token = phone(&app).post("/api/auth/register/createUser", &body).await.text(201);
    let data = phone(&app).holding(&token).get("/api/userdata/user/data").await.json();
    assert_eq!(data["phoneNum"], json!(9_647_501_234_567_u64));
}

#[tokio::test]
async fn who_holds_a_phone_is_asked_by_a_code_that_is_good_once_for_five_minutes_and_five_tries() {
    let app = TestApp::start_at_rest(&[]).await;
    let ask =
        async |phone_number: &Value| phone(&app).post("/api/auth/otp/createOTP", &json!({"phone": phone_number})).await;
    let verify = async |number: &str, otp: &str, hash: &str| {
        phone(&app).post("/api/auth/otp/verifyOTP", &json!({"phone": number, "otp": otp, "hash": hash})).await
    };
    let number = "+9647507654321";
    let told = ask(&json!(9_647_507_654_321_u64)).await.text(200);
    let (challenge, expiry) = told.split_once('.').unwrap();
    assert!(!challenge.is_empty() && expiry.parse::<u64>().unwrap() == (app.unix_seconds() + 300) * 1_000);
    let code = app.code(number);
    assert!(code.len() == 6 && !told.contains(&code));
    app.advance(240);
    assert!(ask(&json!(number)).await.text(400).contains("wait"), "one while it lives");

    let wrong = if code == "123456" { "654321" } else { "123456" };
    assert_eq!(verify(number, wrong, &told).await.text(400), "Invalid OTP");
    assert_eq!(verify("+9647500000000", &code, &told).await.text(400), "Invalid OTP", "it is of one phone");
    assert_eq!(verify(number, &code, "nonsense").await.text(400), "Invalid OTP");
    assert_eq!(verify(number, &code, &told).await.text(200), "Success");
    assert_eq!(verify(number, &code, &told).await.text(400), "Invalid OTP", "it is good once");

    app.advance(60);
    let told = ask(&json!(number)).await.text(200);
    let code = app.code(number);
    for _ in 0..5 {
        assert_eq!(verify(number, wrong, &told).await.text(400), "Invalid OTP");
    }
    assert_eq!(verify(number, &code, &told).await.text(400), "Invalid OTP", "five tries are all");
    app.advance(300);
    assert_eq!(verify(number, &code, &told).await.text(400), "OTP Expired");
    assert_eq!(ask(&json!("")).await.text(400), "All inputs are required");
    // At the other API it is no way in.
    let told = ask(&json!("+9647501111111")).await.text(200);
    let path = format!("/v1/auth/otp/{}/verify", told.split_once('.').unwrap().0);
    app.post(&app.nobody(), &path, &json!({"code": app.code("+9647501111111")})).await.problem(422);
}

#[tokio::test]
async fn who_has_a_second_factor_is_told_that_this_application_knows_none() {
    let app = TestApp::start_at_rest(&[]).await;
    let doctor = app.as_doctor().await;
    app.verify_phone(&doctor, "+9647501234567").await;
    let on = app.post(&doctor, "/v1/auth/factors/whatsapp", &json!({})).await;
    assert!(on.status.is_success(), "{}", String::from_utf8_lossy(&on.bytes));
    let login = json!({"Email": doctor.email, "password": PASSWORD});
    let said = phone(&app).post("/api/auth/login/", &login).await.text(403);
    assert!(said.contains("second factor"), "{said}");
}
