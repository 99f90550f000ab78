//! Somebody sets the machine's clock: what was over stays over, and nothing waits for a time that does not come.

use infirmary_tests::{PASSWORD, TestApp, User, unique_email};
use reqwest::StatusCode;
use serde_json::{Value, json};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const PHONE: &str = "+9647700000001";
const OTHER: &str = "nine loud crows at dawn";

/// Somebody with a bit of everything that has an end.
struct Held {
    /// With an access token and a refresh token.
    patient: User,
    /// A code that was sent and not used, and what it answers.
    code: (Value, String),
    proof: Value,
    invitation: Value,
    /// An address of a link to a report.
    link: String,
    admin: User,
    /// Of which the price changes half an hour after it was made.
    task: Value,
}

/// How many seconds each of them lives, in the order of [`alive`].
const LIVES: [u64; 7] = [15 * MINUTE, 3 * DAY, 5 * MINUTE, 5 * MINUTE, DAY, 5 * MINUTE, 15 * MINUTE];

async fn ask(app: &TestApp, phone: &str, purpose: &str) -> Value {
    let body = json!({"phone": phone, "purpose": purpose});
    app.post(&app.nobody(), "/v1/auth/otp", &body).await.expect(StatusCode::ACCEPTED)
}

async fn hold(app: &TestApp) -> Held {
    let (patient, doctor) = (app.as_patient().await, app.as_doctor().await);
    app.verify_phone(&patient, PHONE).await;
    // Codes are a minute apart, by a clock that goes on while the machine's stands.
    app.advance(2 * MINUTE);
    let asked = ask(app, PHONE, "passwordReset").await;
    let proof = app.answer(&app.nobody(), &asked, &app.code(PHONE)).await.expect(StatusCode::OK);
    app.advance(2 * MINUTE);
    let asked = ask(app, PHONE, "signIn").await;
    let code = app.code(PHONE);
    // An account of its own, so that each is the first to accept.
    let invited = json!({"email": unique_email("invited"), "name": "Ines Invited", "role": "doctor"});
    let invited = app.post(&app.as_admin(), "/v1/accounts", &invited).await.expect(StatusCode::CREATED);
    let new = json!({"patientId": patient.patient, "disease": "Asthma", "findings": "", "confirmed": true});
    let diagnosis = app.post(&doctor, "/v1/diagnoses", &new).await.expect(StatusCode::CREATED);
    let report = app.post(&doctor, "/v1/reports", &json!({"diagnosisId": diagnosis["id"]})).await.json();
    let link = app.post(&patient, &format!("/v1/reports/{}/link", report["id"].as_str().unwrap()), &json!({})).await;
    let link = link.json()["url"].as_str().unwrap().strip_prefix("https://infirmary.example").unwrap().to_owned();
    let price = |amount: i64| json!({"amount": amount, "currency": "GBP"});
    let task = json!({"code": "XR-CHEST", "name": "Chest", "price": price(100)});
    let admin = app.as_admin();
    let task = app.post(&admin, "/v1/tasks", &task).await.expect(StatusCode::CREATED);
    let path = format!("/v1/tasks/{}", task["id"].as_str().unwrap());
    let from = infirmary_kernel::Timestamp::from_unix_ms((app.unix_seconds() + 30 * MINUTE) as i64 * 1_000);
    let planned = json!({"price": {"amount": 200, "currency": "GBP", "from": from.to_string()}});
    let task = app.patch(&admin, &path, "\"1\"", &planned).await.expect(StatusCode::OK);
    assert_eq!(task["price"], price(100));
    Held {
        patient,
        code: (asked, code),
        proof: proof["proof"].clone(),
        invitation: invited["invitation"]["code"].clone(),
        link,
        admin,
        task,
    }
}

/// Which of them are good for anything. Asked in an order in which one answer does not end another one: what is found alive
/// is used up.
async fn alive(app: &TestApp, held: &Held) -> [bool; 7] {
    let nobody = app.nobody();
    let access = app.get(&held.patient, "/v1/me").await.status == StatusCode::OK;
    let link = app.get(&nobody, &held.link).await.status == StatusCode::OK;
    // What an admin may not do without a recent sign-in, with an access token that is good in any case.
    let refreshed = app.post(&nobody, "/v1/auth/refresh", &json!({"refreshToken": held.admin.refresh_token})).await;
    let step_up = match refreshed.status {
        StatusCode::OK => app.get(&User::of(&refreshed.json()), "/v1/audit?limit=1").await.status == StatusCode::OK,
        _ => false,
    };
    let refresh = app.post(&nobody, "/v1/auth/refresh", &json!({"refreshToken": held.patient.refresh_token})).await;
    let code = app.answer(&nobody, &held.code.0, &held.code.1).await;
    let reset = json!({"proof": held.proof, "password": OTHER});
    let proof = app.post(&nobody, "/v1/auth/password/reset", &reset).await;
    let invitation = json!({"code": held.invitation, "password": PASSWORD});
    let invitation = app.post(&nobody, "/v1/auth/invitation", &invitation).await;
    let [refresh, code, proof, invitation] =
        [refresh, code, proof, invitation].map(|answer| answer.status.is_success());
    [access, refresh, code, proof, invitation, link, step_up]
}

/// That the house goes on as ever: people come in, codes are sent and answered, money is taken, pages are read.
async fn goes_on(app: &TestApp) {
    app.get(&app.nobody(), "/health/ready").await.expect(StatusCode::OK);
    let admin = app.sign_in(&app.as_admin().email, PASSWORD).await;
    app.get(&admin, "/v1/audit/head").await.expect(StatusCode::OK);
    let valid = app.get(&admin, "/v1/audit/verify").await.expect(StatusCode::OK);
    assert_eq!(valid["valid"], true, "the log does not mind: {valid}");
    let patient = app.as_patient().await;
    let again = json!({"refreshToken": patient.refresh_token});
    app.post(&app.nobody(), "/v1/auth/refresh", &again).await.expect(StatusCode::OK);
    let phone = "+9647700000002";
    app.verify_phone(&patient, phone).await;
    let charge =
        json!({"patientId": patient.patient, "description": "Chest", "amount": {"amount": 500, "currency": "GBP"}});
    app.post(&admin, "/v1/charges", &charge).await.expect(StatusCode::CREATED);
    let pay = json!({"patientId": patient.patient, "amount": {"amount": 500, "currency": "GBP"}, "method": "cash"});
    let first = app.post_with_key(&admin, "/v1/payments", "clock", &pay).await.expect(StatusCode::CREATED);
    let second = app.post_with_key(&admin, "/v1/payments", "clock", &pay).await.expect(StatusCode::CREATED);
    assert_eq!(first, second);
}

async fn price(app: &TestApp, held: &Held) -> i64 {
    let admin = app.sign_in(&held.admin.email, PASSWORD).await;
    let path = format!("/v1/tasks/{}", held.task["id"].as_str().unwrap());
    app.get(&admin, &path).await.expect(StatusCode::OK)["price"]["amount"].as_i64().unwrap()
}

#[tokio::test]
async fn what_is_over_stays_over_when_the_clock_is_put_back_a_day() {
    let app = TestApp::start_on_a_machine_whose_clock_is_set(&[]).await;
    let held = hold(&app).await;
    app.advance(3 * DAY + HOUR);
    assert_eq!(price(&app, &held).await, 200);
    app.put_back(DAY);
    assert_eq!(alive(&app, &held).await, [false; 7]);
    assert_eq!(price(&app, &held).await, 200, "a price that began goes on");
    goes_on(&app).await;
}

#[tokio::test]
async fn what_is_over_when_the_clock_is_set_ahead_stays_over_when_it_is_set_right() {
    for ahead in [MINUTE, HOUR, 4 * DAY, 31 * DAY] {
        let app = TestApp::start_on_a_machine_whose_clock_is_set(&[]).await;
        let held = hold(&app).await;
        app.advance(ahead);
        let expected = LIVES.map(|seconds| seconds > ahead);
        assert_eq!(alive(&app, &held).await, expected, "{ahead} s ahead");
        assert_eq!(price(&app, &held).await, if ahead > 30 * MINUTE { 200 } else { 100 });
        goes_on(&app).await;
        // The last refresh token gives its successor once more for ten seconds.
        app.advance(11);
        // The server has to see it, to know how late it was when the clock is put back.
        app.sign_in(&held.admin.email, PASSWORD).await;
        app.put_back(ahead + 11);
        assert_eq!(
            alive(&app, &held).await,
            [false; 7],
            "what was alive is used up, what was over is over: {ahead} s back"
        );
        assert_eq!(price(&app, &held).await, if ahead > 30 * MINUTE { 200 } else { 100 });
    }
}

/// Five wrong passwords shut the door for a second: neither for a day, nor not at all.
#[tokio::test]
async fn a_wait_goes_on_by_itself_when_the_clock_is_put_back() {
    let app = TestApp::start_on_a_machine_whose_clock_is_set(&[]).await;
    let patient = app.as_patient().await;
    let attempt = async |password: &str| {
        let body = json!({"email": patient.email, "password": password});
        app.post(&app.nobody(), "/v1/auth/login", &body).await
    };
    for _ in 0..5 {
        attempt("not the right password").await.problem(401);
    }
    app.put_back(DAY);
    let shut = attempt(PASSWORD).await;
    shut.problem(429);
    assert_eq!(shut.header("retry-after"), "1");
    let mut tries = 0;
    while attempt(PASSWORD).await.status == StatusCode::TOO_MANY_REQUESTS {
        tries += 1;
        assert!(tries < 10_000, "it is shut for good");
    }
}
