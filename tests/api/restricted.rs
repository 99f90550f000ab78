//! Restricted records at every door: their care team, a doctor who breaks the glass, and nobody else.

use infirmary_kernel::Role;
use infirmary_tests::{PASSWORD, TestApp, User, dart::Dart};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::studies::{details, fixture, recorded};

const HOUR: u64 = 60 * 60;

/// A house with a restricted patient who has a study, a diagnosis, a draft, a report and charges by a doctor of the care team;
/// and beside them a patient who is not restricted, with the same.
struct House {
    app: TestApp,
    admin: User,
    member: User,
    outside: User,
    accountant: User,
    ada: User,
    study: Value,
    draft: Value,
    report: Value,
    open: Value,
    open_study: Value,
}

async fn set_restricted(app: &TestApp, patient: &str, restricted: bool) {
    let (admin, path) = (app.as_admin(), format!("/v1/patients/{patient}"));
    let etag = app.get(&admin, &path).await.etag().to_owned();
    let changed = app.patch(&admin, &path, &etag, &json!({"restricted": restricted})).await.expect(StatusCode::OK);
    assert_eq!(changed["restricted"], restricted);
}

async fn on_the_team(app: &TestApp, method: Method, patient: &str, doctor: &User) -> StatusCode {
    let path = format!("/v1/patients/{patient}/care-team/{}", doctor.account);
    app.send(&app.as_admin(), method, &path, |request| request).await.status
}

async fn break_glass(app: &TestApp, doctor: &User, patient: &str) -> infirmary_tests::Answer {
    let body = json!({"reason": "emergencyTreatment", "note": "Found unconscious; which allergies?"});
    app.post(doctor, &format!("/v1/patients/{patient}/emergency-access"), &body).await
}

impl House {
    async fn build(app: TestApp) -> Self {
        let (admin, accountant) = (app.as_admin(), app.as_accountant().await);
        let (member, outside, ada) = (app.as_doctor().await, app.as_doctor().await, app.as_patient().await);
        let study = recorded(&app, &member, &ada.patient).await;
        let report = json!({"diagnosisId": study["diagnosis"]["id"]});
        let report = app.post(&member, "/v1/reports", &report).await.expect(StatusCode::CREATED);
        let draft = json!({"patientId": ada.patient, "disease": "Seen by the team", "findings": ""});
        let draft = app.post(&member, "/v1/diagnoses", &draft).await.expect(StatusCode::CREATED);
        let open = app.register_patient("Opal Open").await;
        let open_study = recorded(&app, &member, open["id"].as_str().unwrap()).await;
        assert_eq!(on_the_team(&app, Method::PUT, &ada.patient, &member).await, StatusCode::NO_CONTENT);
        set_restricted(&app, &ada.patient, true).await;
        Self { app, admin, member, outside, accountant, ada, study, draft, report, open, open_study }
    }

    /// What is read of the record by its names. Those of the books come last.
    fn doors(&self) -> Vec<String> {
        let (patient, study) = (&self.ada.patient, text(&self.study, "id"));
        let (diagnosis, report) = (text(&self.study["diagnosis"], "id"), text(&self.report, "id"));
        let image = text(&self.study["images"][0], "id");
        [
            format!("/v1/studies?patientId={patient}"),
            format!("/v1/studies/{study}"),
            format!("/v1/images/{image}"),
            format!("/v1/images/{image}/content"),
            format!("/v1/images/{image}/preview"),
            format!("/v1/diagnoses?patientId={patient}"),
            format!("/v1/diagnoses?patientId={patient}&doctorId={}&status=confirmed", self.member.account),
            format!("/v1/diagnoses/{diagnosis}"),
            format!("/v1/diagnoses/{diagnosis}/versions"),
            format!("/v1/diagnoses/{diagnosis}/report-data"),
            format!("/v1/reports?patientId={patient}"),
            format!("/v1/reports/{report}"),
            format!("/v1/reports/{report}/pdf"),
            format!("/v1/patients/{patient}"),
            format!("/v1/patients/{patient}/summary"),
            format!("/v1/patients/{patient}/care-team"),
        ]
        .into()
    }

    /// The doors to what is known of the patient's health, which are closed to an admin, too.
    fn clinical_doors(&self) -> Vec<String> {
        let mut doors = self.doors();
        doors.truncate(13);
        doors
    }

    async fn count(&self, user: &User, path: &str) -> usize {
        self.app.get(user, path).await.expect(StatusCode::OK)["items"].as_array().unwrap().len()
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} of {value} is no text"))
}

#[tokio::test]
async fn every_door_is_closed_to_doctors_and_admins_outside_and_open_to_the_team_and_the_patient() {
    let house = House::build(TestApp::start().await).await;
    let House { app, admin, member, outside, ada, .. } = &house;
    for path in house.doors() {
        let refused = app.get(outside, &path).await.problem(403);
        assert_eq!(refused["type"], "urn:infirmary:problem:restricted", "{path}");
        assert_eq!(app.get(member, &path).await.status, StatusCode::OK, "{path}");
        assert_eq!(app.get(ada, &path).await.status, StatusCode::OK, "{path}");
    }
    for path in house.clinical_doors() {
        let refused = app.get(admin, &path).await.problem(403);
        assert_eq!(refused["type"], "urn:infirmary:problem:restricted", "{path}");
    }
    let (image, report) = (text(&house.study["images"][0], "id"), text(&house.report, "id"));
    for path in [format!("/v1/images/{image}/link"), format!("/v1/reports/{report}/link")] {
        for user in [outside, admin] {
            app.post(user, &path, &json!({})).await.problem(403);
        }
        app.post(member, &path, &json!({})).await.expect(StatusCode::OK);
    }
    let charges = format!("/v1/charges?patientId={}", ada.patient);
    app.get(outside, &charges).await.problem(403);
    assert_eq!(house.count(member, &charges).await, 2);

    // An admin who is put on the team comes in like a doctor of it.
    assert_eq!(on_the_team(app, Method::PUT, &ada.patient, admin).await, StatusCode::NO_CONTENT);
    for path in house.clinical_doors() {
        assert_eq!(app.get(admin, &path).await.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn nobody_outside_writes_into_a_restricted_record_nor_the_author_when_they_are_off_the_team() {
    let house = House::build(TestApp::start().await).await;
    let House { app, member, outside, ada, .. } = &house;
    assert_eq!(on_the_team(app, Method::DELETE, &ada.patient, member).await, StatusCode::NO_CONTENT);
    let (confirmed, draft) = (text(&house.study["diagnosis"], "id"), text(&house.draft, "id"));
    for doctor in [outside, member] {
        let path = format!("/v1/patients/{}", ada.patient);
        app.patch(doctor, &path, "\"2\"", &json!({"phone": null})).await.problem(403);
        let study = reqwest::multipart::Form::new()
            .part("study", reqwest::multipart::Part::text(details(&ada.patient).to_string()))
            .part("image", reqwest::multipart::Part::bytes(fixture("images/phantom.png")).file_name("phantom.png"));
        app.send(doctor, Method::POST, "/v1/studies", |request| request.multipart(study)).await.problem(403);
        let new = json!({"patientId": ada.patient, "disease": "Asthma", "findings": ""});
        app.post(doctor, "/v1/diagnoses", &new).await.problem(403);
        let path = format!("/v1/diagnoses/{draft}");
        app.patch(doctor, &path, "\"1\"", &json!({"disease": "Asthma"})).await.problem(403);
        app.post(doctor, &format!("{path}/confirm"), &json!({})).await.problem(403);
        app.post(doctor, &format!("{path}/retract"), &json!({"reason": "wrong"})).await.problem(403);
        let amendment = json!({"reason": "seen again", "disease": "Asthma"});
        app.post(doctor, &format!("/v1/diagnoses/{confirmed}/amend"), &amendment).await.problem(403);
        app.post(doctor, "/v1/reports", &json!({"diagnosisId": confirmed})).await.problem(403);
        for path in house.doors() {
            app.get(doctor, &path).await.problem(403);
        }
    }
    assert_eq!(house.count(&house.ada, "/v1/diagnoses").await, 1, "nothing was written");
}

#[tokio::test]
async fn lists_over_many_patients_have_restricted_ones_for_their_team_only() {
    let house = House::build(TestApp::start().await).await;
    let House { app, admin, member, outside, accountant, ada, .. } = &house;
    let by_author = format!("/v1/diagnoses?doctorId={}", member.account);
    let from = format!("/v1/diagnoses?from={}", text(&house.study, "recordedAt"));
    let of_report = format!("/v1/reports?diagnosisId={}", text(&house.study["diagnosis"], "id"));
    for (path, of_member, of_others) in [
        ("/v1/diagnoses", 3, 1),
        (by_author.as_str(), 3, 1),
        ("/v1/diagnoses?status=confirmed", 2, 1),
        ("/v1/diagnoses?status=draft", 1, 0),
        (from.as_str(), 3, 1),
        ("/v1/reports", 1, 0),
        (of_report.as_str(), 1, 0),
    ] {
        assert_eq!(house.count(member, path).await, of_member, "{path}");
        for user in [outside, admin] {
            assert_eq!(house.count(user, path).await, of_others, "{path}");
        }
    }
    // Pages are full, and lead on past what is left out.
    let first = app.get(outside, "/v1/diagnoses?limit=1").await.expect(StatusCode::OK);
    assert_eq!(first["items"][0]["patientId"], house.open["id"]);
    assert_eq!(first["nextCursor"], Value::Null);

    assert_eq!(house.count(member, "/v1/charges").await, 3);
    assert_eq!(on_the_team(app, Method::DELETE, &ada.patient, member).await, StatusCode::NO_CONTENT);
    assert_eq!(house.count(member, "/v1/charges").await, 1, "whose study it is does not matter");
    assert_eq!(house.count(member, &by_author).await, 1);
    assert_eq!(house.count(accountant, "/v1/charges").await, 3, "somebody has to bill");
    assert_eq!(house.open_study["patientId"], house.open["id"]);
}

#[tokio::test]
async fn who_is_outside_finds_a_restricted_patient_by_the_whole_record_number_and_learns_no_more() {
    let house = House::build(TestApp::start().await).await;
    let House { app, admin, member, outside, accountant, ada, .. } = &house;
    let patient = app.get(admin, &format!("/v1/patients/{}", ada.patient)).await.expect(StatusCode::OK);
    let mrn = text(&patient, "mrn");
    for q in ["pat", "0750 123", &mrn[..mrn.len() - 1]] {
        let path = format!("/v1/patients?q={}", q.replace(' ', "%20"));
        assert_eq!(house.count(outside, &path).await, 0, "{q}");
        for user in [admin, member, accountant] {
            assert_eq!(house.count(user, &path).await, 1, "{q}");
        }
    }
    assert_eq!(house.count(outside, "/v1/patients").await, 1);
    assert_eq!(house.count(member, "/v1/patients").await, 2);
    let found = app.get(outside, &format!("/v1/patients?q={mrn}")).await.expect(StatusCode::OK);
    assert_eq!(found["items"], json!([{"id": ada.patient, "mrn": mrn, "phone": null, "restricted": true}]));

    let same = json!({"name": "Pat Patient", "birthDate": "1990-05-17", "phone": "+9647501234567"});
    app.post(outside, "/v1/patients", &same).await.expect(StatusCode::CREATED);
    let told = app.post(member, "/v1/patients", &same).await.problem(409);
    assert_eq!(told["candidates"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn accountants_bill_and_admins_look_after_the_registry_without_seeing_what_is_confidential() {
    let house = House::build(TestApp::start().await).await;
    let House { app, admin, accountant, ada, .. } = &house;
    let path = format!("/v1/patients/{}", ada.patient);
    let bill = app.get(accountant, &path).await.expect(StatusCode::OK);
    let mut fields: Vec<_> = bill.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["id", "mrn", "name", "phone"]);
    app.get(accountant, &format!("{path}/statement")).await.expect(StatusCode::OK);
    let payment = json!({"patientId": ada.patient, "amount": {"amount": 100, "currency": "GBP"}, "method": "cash"});
    app.post_with_key(accountant, "/v1/payments", "bill-1", &payment).await.expect(StatusCode::CREATED);
    app.get(accountant, &format!("{path}/care-team")).await.problem(403);

    assert_eq!(app.get(admin, &path).await.expect(StatusCode::OK)["restricted"], true);
    let summary = app.get(admin, &format!("{path}/summary")).await.expect(StatusCode::OK);
    assert!(summary.get("diagnoses").is_none_or(Value::is_null), "how many there are tells of them: {summary}");
}

#[tokio::test]
async fn only_an_admin_who_signed_in_lately_restricts_records_and_edits_teams() {
    let house = House::build(TestApp::start_at_rest(&[]).await).await;
    let House { app, admin, member, outside, accountant, ada, .. } = &house;
    let patient = format!("/v1/patients/{}", ada.patient);
    let team = format!("{patient}/care-team");
    let seat = format!("{team}/{}", outside.account);
    for user in [member, outside, accountant, ada] {
        app.send(user, Method::PUT, &seat, |request| request).await.problem(403);
        app.delete(user, &seat).await.problem(403);
        app.patch(user, &patient, "\"2\"", &json!({"restricted": false})).await.problem(403);
    }
    for user in [member, ada, admin] {
        let listed = app.get(user, &team).await.expect(StatusCode::OK);
        assert_eq!(listed["items"][0]["accountId"], member.account.as_str());
        assert_eq!(listed["items"][0]["name"], "Sam Staff");
    }
    // Once more changes nothing; who may not care for patients is refused; a stranger is not of the team.
    assert_eq!(on_the_team(app, Method::PUT, &ada.patient, member).await, StatusCode::NO_CONTENT);
    assert_eq!(house.count(admin, &team).await, 1);
    let nobody = "0198c1f0-7c3e-7d0a-9c55-3f1d2b6a4e10";
    for account in [&accountant.account, &ada.account, nobody] {
        let path = format!("{team}/{account}");
        let refused = app.send(admin, Method::PUT, &path, |request| request).await.problem(422);
        assert_eq!(refused["errors"][0]["pointer"], "/accountId");
    }
    app.delete(admin, &seat).await.problem(404);
    let elsewhere = format!("/v1/patients/{nobody}/care-team");
    app.get(admin, &elsewhere).await.problem(404);
    app.send(admin, Method::PUT, &format!("{elsewhere}/{}", member.account), |request| request).await.problem(404);

    app.advance(16 * 60);
    let admin = &refreshed(app, admin).await;
    for (method, path) in [(Method::PUT, &seat), (Method::DELETE, &seat)] {
        let refused = app.send(admin, method, path, |request| request).await.problem(401);
        assert_eq!(refused["type"], "urn:infirmary:problem:recent-authentication-required");
    }
    app.patch(admin, &patient, "\"2\"", &json!({"restricted": false})).await.problem(401);
    assert_eq!(house.count(admin, &team).await, 1);
}

#[tokio::test]
async fn a_doctor_breaks_the_glass_to_one_record_for_an_hour_and_everybody_who_should_hears_of_it() {
    let house = House::build(TestApp::start_at_rest(&[]).await).await;
    let House { app, member, outside, accountant, ada, .. } = &house;
    let other = app.as_doctor().await;
    for user in [&house.admin, accountant, ada] {
        break_glass(app, user, &ada.patient).await.problem(403);
    }
    break_glass(app, member, &ada.patient).await.problem(409);
    break_glass(app, outside, text(&house.open, "id")).await.problem(409);
    break_glass(app, outside, "0198c1f0-7c3e-7d0a-9c55-3f1d2b6a4e10").await.problem(404);
    let path = format!("/v1/patients/{}/emergency-access", ada.patient);
    for (body, pointer) in [
        (json!({"note": "now"}), "/reason"),
        (json!({"reason": "curiosity", "note": "now"}), "/reason"),
        (json!({"reason": "patientSafety"}), "/note"),
        (json!({"reason": "patientSafety", "note": " "}), "/note"),
    ] {
        let refused = app.post(outside, &path, &body).await.problem(422);
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    }

    // The admin of the house has a phone to be told by.
    let (admin, me) = (app.as_admin(), app.get(&house.admin, "/v1/me").await);
    let phone = json!({"phone": "+9647500000001"});
    app.patch(&admin, "/v1/me", me.etag(), &phone).await.expect(StatusCode::OK);
    let body = json!({"reason": "patientSafety", "note": "Found unconscious; which allergies?"});
    let granted = app.post_with_key(outside, &path, "glass-1", &body).await.expect(StatusCode::CREATED);
    let again = app.post_with_key(outside, &path, "glass-1", &body).await.expect(StatusCode::CREATED);
    assert_eq!(granted, again);
    let (from, to) = (text(&granted, "startedAt"), text(&granted, "expiresAt"));
    assert!(from.starts_with("2026-03-01T09:") && to.starts_with("2026-03-01T10:"), "an hour: {from} to {to}");

    let messages = app.get(&admin, "/v1/messages").await.expect(StatusCode::OK);
    let notices: Vec<_> =
        messages["items"].as_array().unwrap().iter().filter(|message| message["kind"] == "emergencyAccess").collect();
    assert_eq!(notices.len(), 1);
    assert_eq!((&notices[0]["recipient"], &notices[0]["status"]), (&json!("+9647500000001"), &json!("pending")));
    let listed = app.get(&admin, &path).await.expect(StatusCode::OK);
    assert_eq!(listed["items"], json!([granted]));
    for user in [member, outside, accountant, ada] {
        app.get(user, &path).await.problem(403);
    }

    // The record is open, to this doctor in this session; lists over many patients have nothing of it.
    for path in house.doors() {
        assert_eq!(app.get(outside, &path).await.status, StatusCode::OK, "{path}");
        app.get(&other, &path).await.problem(403);
    }
    assert_eq!(house.count(outside, "/v1/diagnoses").await, 1);
    let new = json!({"patientId": ada.patient, "disease": "Hypoglycaemia", "findings": ""});
    app.post(outside, "/v1/diagnoses", &new).await.expect(StatusCode::CREATED);
    let elsewhere = app.sign_in(&outside.email, PASSWORD).await;
    app.get(&elsewhere, &format!("/v1/patients/{}", ada.patient)).await.problem(403);

    let entries = format!("/v1/audit?accountId={}&patientId={}&limit=200", outside.account, ada.patient);
    let entries = app.get(&admin, &entries).await.expect(StatusCode::OK);
    let entries = entries["items"].as_array().unwrap();
    let began = entries.iter().position(|entry| entry["action"] == "emergencyAccess.start").unwrap();
    assert_eq!(entries[began]["rule"], "patientSafety");
    assert!(!entries.iter().any(|entry| entry.to_string().contains("unconscious")), "no free text in the log");
    let done = |entry: &&Value| entry["outcome"] == "done";
    assert!(entries[..began].iter().filter(done).all(|entry| entry["purpose"] == "BTG"), "{entries:#?}");
    assert!(entries[..began].iter().filter(done).count() > house.doors().len() / 2);
    assert!(entries[..began].iter().any(|entry| entry["action"] == "diagnosis.record" && entry["purpose"] == "BTG"));

    let log = app.get(ada, "/v1/me/access-log?limit=200").await.expect(StatusCode::OK);
    let log = log["items"].as_array().unwrap();
    let began = log.iter().find(|access| access["action"] == "emergencyAccess.start").unwrap();
    assert_eq!((&began["name"], &began["role"]), (&json!("Sam Staff"), &json!("doctor")));
    assert_eq!((&began["reason"], &began["at"]), (&json!("patientSafety"), &granted["startedAt"]));
    assert!(log.iter().any(|access| access["action"] == "image.read" && access["purpose"] == "BTG"));
    assert!(log.iter().any(|access| access["action"] == "access.refused" && access["reason"].is_null()));

    app.advance(HOUR - 1);
    let outside = &User { token: refreshed(app, outside).await.token, ..outside.clone() };
    app.get(outside, &format!("/v1/studies/{}", text(&house.study, "id"))).await.expect(StatusCode::OK);
    app.advance(1);
    for path in house.doors() {
        app.get(outside, &path).await.problem(403);
    }
    let stale = break_glass(app, outside, &ada.patient).await.problem(401);
    assert_eq!(stale["type"], "urn:infirmary:problem:recent-authentication-required");
}

/// The session goes on; its access token was over.
async fn refreshed(app: &TestApp, user: &User) -> User {
    let body = json!({"refreshToken": user.refresh_token});
    User::of(&app.post(&app.nobody(), "/v1/auth/refresh", &body).await.expect(StatusCode::OK))
}

#[tokio::test]
async fn emergency_access_ends_with_the_session_the_restriction_and_the_account() {
    let house = House::build(TestApp::start_at_rest(&[]).await).await;
    let House { app, admin, ada, .. } = &house;
    let patient = format!("/v1/patients/{}", ada.patient);
    let study = format!("/v1/studies/{}", text(&house.study, "id"));

    // The session.
    let first = app.as_doctor().await;
    break_glass(app, &first, &ada.patient).await.expect(StatusCode::CREATED);
    app.get(&first, &study).await.expect(StatusCode::OK);
    app.post(&first, "/v1/auth/logout", &json!({})).await.expect(StatusCode::NO_CONTENT);
    let again = app.sign_in(&first.email, PASSWORD).await;
    app.get(&again, &study).await.problem(403);

    // The account: disabled, and active again within the hour.
    break_glass(app, &again, &ada.patient).await.expect(StatusCode::CREATED);
    let account = format!("/v1/accounts/{}", again.account);
    app.delete(admin, &account).await.expect(StatusCode::NO_CONTENT);
    app.get(&again, &study).await.problem(401);
    let etag = app.get(admin, &account).await.etag().to_owned();
    app.patch(admin, &account, &etag, &json!({"active": true})).await.expect(StatusCode::OK);
    let again = app.sign_in(&first.email, PASSWORD).await;
    app.get(&again, &study).await.problem(403);

    // The restriction: lifted, and there again.
    break_glass(app, &again, &ada.patient).await.expect(StatusCode::CREATED);
    set_restricted(app, &ada.patient, false).await;
    app.get(&again, &study).await.expect(StatusCode::OK);
    let read = app.get(admin, &format!("/v1/audit?accountId={}&action=study.read", again.account)).await;
    assert_eq!(read.expect(StatusCode::OK)["items"][0]["purpose"], Value::Null, "the record was open to all");
    set_restricted(app, &ada.patient, true).await;
    app.get(&again, &study).await.problem(403);
    app.get(&house.member, &patient).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_link_opens_nothing_any_more_when_its_maker_may_not_come_to_the_record() {
    let house = House::build(TestApp::start().await).await;
    let House { app, member, outside, ada, .. } = &house;
    let (image, report) = (text(&house.study["images"][0], "id"), text(&house.report, "id"));
    let link = async |user: &User, path: String| {
        let made = app.post(user, &path, &json!({})).await.expect(StatusCode::OK);
        text(&made, "url").replace("https://infirmary.example", "")
    };
    break_glass(app, outside, &ada.patient).await.expect(StatusCode::CREATED);
    let mut links = Vec::new();
    for user in [member, outside] {
        links.push(link(user, format!("/v1/images/{image}/link")).await);
        links.push(link(user, format!("/v1/reports/{report}/link")).await);
    }
    let status = async |path: &str| app.get(&app.nobody(), path).await.status;
    for path in &links {
        assert_eq!(status(path).await, StatusCode::OK);
    }
    assert_eq!(on_the_team(app, Method::DELETE, &ada.patient, member).await, StatusCode::NO_CONTENT);
    for (place, path) in links.iter().enumerate() {
        let expected = if place < 2 { StatusCode::FORBIDDEN } else { StatusCode::OK };
        assert_eq!(status(path).await, expected, "{place}");
        assert_eq!(status(&format!("{path}/preview")).await.is_success(), place == 2, "{place}");
    }
    set_restricted(app, &ada.patient, false).await;
    set_restricted(app, &ada.patient, true).await;
    for path in &links {
        assert_eq!(status(path).await, StatusCode::FORBIDDEN, "emergency access is over, too");
    }
}

#[tokio::test]
async fn the_replaced_routes_keep_a_restricted_record_closed_in_words_that_their_clients_show() {
    let house = House::build(TestApp::start().await).await;
    let House { app, admin, member, outside, accountant, ada, .. } = &house;
    let sign_in = async |email: &str| Dart::new(app.address).sign_in(email, PASSWORD).await;
    let name = |id: &str| id.to_owned();
    let (patient, diagnosis) = (name(&ada.patient), name(text(&house.study["diagnosis"], "id")));
    let doors = [
        format!("/api/diagnosis/getDiagnosis/{patient}"),
        format!("/api/diagnosis/getDiagnosisDetails/{diagnosis}"),
        format!("/api/patient/getPatientDiagnosisDetails/{patient}"),
        format!("/api/report/getReportData/{diagnosis}"),
        format!("/api/report/getReportPatient/{patient}"),
    ];
    let (of_member, of_outside) = (sign_in(&member.email).await, sign_in(&outside.email).await);
    let of_admin = sign_in(&admin.email).await;
    for path in &doors {
        assert_eq!(of_member.get(path).await.status, 200, "{path}");
        for closed in [&of_outside, &of_admin] {
            let refused = closed.get(path).await.text(403);
            assert!(refused.starts_with("the record is restricted to its care team"), "{path}: {refused}");
        }
    }
    let found = async |client: &Dart| {
        client.get("/api/userdata/user/getAllPatients/at%20Pat").await.json().as_array().unwrap().len()
    };
    assert_eq!((found(&of_member).await, found(&of_outside).await, found(&of_admin).await), (1, 0, 1));
    let of_accountant = sign_in(&accountant.email).await;
    assert_eq!(found(&of_accountant).await, 1);
    let bills = of_accountant.get(&format!("/api/patient/getPatientPayments/{patient}")).await.json();
    assert_eq!(bills.as_array().unwrap().len(), 2);

    use base64::{Engine, engine::general_purpose::STANDARD};
    let upload = json!({"image": STANDARD.encode(fixture("images/phantom.png")), "imgName": "a.png", "patientID": patient,
        "doctorID": outside.account, "classification": "X-Ray", "disease": "Asthma", "diagnosis": "?",
        "conditions": "", "docConfirmation": true});
    let report = json!({"file": STANDARD.encode(infirmary_tests::old_house::pdf()), "fileName": "a.pdf",
        "patientID": patient, "diagnosisID": diagnosis});
    for closed in [&of_outside, &of_admin] {
        closed.post("/api/doctor/uploadIMG", &upload).await.text(403);
        closed.post("/api/report/upload", &report).await.text(403);
    }
}

#[tokio::test]
async fn a_house_with_care_teams_and_broken_glass_verifies() {
    let house = House::build(TestApp::start().await).await;
    let House { app, admin, outside, ada, .. } = &house;
    let second = app.as_staff(Role::Admin).await;
    assert_eq!(on_the_team(app, Method::PUT, &ada.patient, &second).await, StatusCode::NO_CONTENT);
    break_glass(app, outside, &ada.patient).await.expect(StatusCode::CREATED);
    let verified = app.get(admin, "/v1/audit/verify").await.expect(StatusCode::OK);
    assert_eq!(verified["valid"], true);
}
