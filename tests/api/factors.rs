//! Second factors: set up, asked for, lost; and the authentication that has to be recent.

use infirmary_kernel::Role;
use infirmary_tests::{PASSWORD, TestApp, User};
use reqwest::StatusCode;
use serde_json::{Value, json};
use totp_rs::TOTP;

const PHONE: &str = "+9647700000001";

/// What the application of somebody shows, by the server's clock.
struct Application(TOTP);

impl Application {
    fn code(&self, app: &TestApp) -> String {
        self.0.generate(app.unix_seconds())
    }
}

async fn enrol(app: &TestApp, user: &User) -> (Application, Vec<String>) {
    let begun = app.post(user, "/v1/auth/factors/totp", &json!({})).await.expect(StatusCode::OK);
    let application = Application(TOTP::from_url(begun["otpauthUri"].as_str().unwrap()).unwrap());
    assert!(begun["qrCodeSvg"].as_str().unwrap().contains("<svg"));
    assert_eq!(begun["secret"], application.0.get_secret_base32());
    let body = json!({"enrolment": begun["enrolment"], "code": application.code(app)});
    let confirmed = app.post(user, "/v1/auth/factors/totp/confirm", &body).await.expect(StatusCode::OK);
    (application, codes(&confirmed))
}

fn codes(answer: &Value) -> Vec<String> {
    let codes = answer["recoveryCodes"].as_array().unwrap().iter();
    let codes: Vec<String> = codes.map(|code| code.as_str().unwrap().to_owned()).collect();
    assert_eq!(codes.len(), 10);
    codes
}

async fn login(app: &TestApp, email: &str) -> Value {
    let body = json!({"email": email, "password": PASSWORD});
    app.post(&app.nobody(), "/v1/auth/login", &body).await.expect(StatusCode::OK)
}

#[tokio::test]
async fn an_authenticator_is_asked_for_after_the_password() {
    let app = TestApp::start_at_rest(&[]).await;
    let doctor = app.as_doctor().await;
    let elsewhere = app.sign_in(&doctor.email, PASSWORD).await;
    let (application, recovery) = enrol(&app, &doctor).await;
    app.get(&elsewhere, "/v1/me").await.problem(401);
    assert_eq!(app.get(&doctor, "/v1/me").await.expect(StatusCode::OK)["secondFactor"], true);

    app.advance(30);
    let due = login(&app, &doctor.email).await;
    assert!(due["accessToken"].is_null());
    assert_eq!(due["challenge"]["methods"], json!(["totp", "recoveryCode"]));
    app.answer(&app.nobody(), &due, "000000").await.problem(422);
    let code = application.code(&app);
    let session = app.answer(&app.nobody(), &due, &code).await.expect(StatusCode::OK);
    app.get(&User::of(&session), "/v1/patients").await.expect(StatusCode::OK);
    let again = login(&app, &doctor.email).await;
    app.answer(&app.nobody(), &again, &code).await.problem(422);
    app.answer(&app.nobody(), &again, &recovery[0]).await.expect(StatusCode::OK);
    let factors = app.get(&doctor, "/v1/auth/factors").await.expect(StatusCode::OK);
    let expected = json!({
        "totp": true, "whatsapp": false, "recoveryCodesLeft": 9, "phoneVerified": false, "required": false
    });
    assert_eq!(factors, expected);

    let renewed = app.post(&doctor, "/v1/auth/factors/recovery-codes", &json!({})).await.expect(StatusCode::OK);
    assert!(!codes(&renewed).contains(&recovery[1]));
    let disable =
        async |password: &str| app.post(&doctor, "/v1/auth/factors/totp/disable", &json!({"password": password})).await;
    disable("not the right password").await.problem(401);
    disable(PASSWORD).await.expect(StatusCode::NO_CONTENT);
    app.sign_in(&doctor.email, PASSWORD).await;
    app.post(&doctor, "/v1/auth/factors/recovery-codes", &json!({})).await.problem(409);
}

#[tokio::test]
async fn a_code_to_the_phone_is_asked_for_after_the_password() {
    let app = TestApp::start_at_rest(&[]).await;
    let doctor = app.as_doctor().await;
    app.post(&doctor, "/v1/auth/factors/whatsapp", &json!({})).await.problem(409);
    app.verify_phone(&doctor, PHONE).await;
    app.advance(60);
    let enabled = app.post(&doctor, "/v1/auth/factors/whatsapp", &json!({})).await.expect(StatusCode::OK);
    codes(&enabled);
    let due = login(&app, &doctor.email).await;
    assert_eq!(due["challenge"]["methods"], json!(["whatsapp", "recoveryCode"]));
    let ask = json!({"purpose": "secondFactor", "challenge": due["challenge"]["id"]});
    let asked = app.post(&app.nobody(), "/v1/auth/otp", &ask).await.expect(StatusCode::ACCEPTED);
    assert!(!asked.to_string().contains(PHONE));
    let session = app.answer(&app.nobody(), &asked, &app.code(PHONE)).await.expect(StatusCode::OK);
    app.get(&User::of(&session), "/v1/patients").await.expect(StatusCode::OK);

    let sent = app.codes(PHONE).len();
    app.advance(900);
    let body = json!({"purpose": "signIn", "phone": PHONE});
    app.post(&app.nobody(), "/v1/auth/otp", &body).await.expect(StatusCode::ACCEPTED);
    assert_eq!(app.codes(PHONE).len(), sent, "a phone that is the second factor is no way in");
}

#[tokio::test]
async fn where_staff_need_a_second_factor_who_has_none_is_led_to_set_one_up() {
    let app = TestApp::start_at_rest(&[("INFIRMARY_REQUIRE_SECOND_FACTOR", "staff")]).await;
    let admin = app.as_admin();
    let refused = app.get(&admin, "/v1/patients").await.problem(403);
    assert_eq!(refused["type"], "urn:infirmary:problem:second-factor-required");
    for path in ["/v1/accounts", "/v1/audit", "/v1/tasks", "/v1/charges", "/v1/payments"] {
        app.get(&admin, path).await.problem(403);
    }
    app.get(&admin, "/v1/me").await.expect(StatusCode::OK);
    assert_eq!(app.get(&admin, "/v1/auth/factors").await.expect(StatusCode::OK)["required"], true);
    enrol(&app, &admin).await;
    app.get(&admin, "/v1/patients").await.expect(StatusCode::OK);
    let doctor = app.as_doctor().await;
    app.get(&doctor, "/v1/patients").await.problem(403);
    let patient = app.as_patient().await;
    app.get(&patient, &format!("/v1/patients/{}", patient.patient)).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn what_needs_a_recent_authentication_is_opened_by_another_one() {
    let app = TestApp::start_at_rest(&[]).await;
    let admin = app.as_admin();
    let invite = json!({"email": "new@infirmary.example", "name": "New", "role": "doctor"});
    app.advance(901);
    let refreshed = json!({"refreshToken": admin.refresh_token});
    let admin = User::of(&app.post(&app.nobody(), "/v1/auth/refresh", &refreshed).await.expect(StatusCode::OK));
    let refused = app.post(&admin, "/v1/accounts", &invite).await;
    assert_eq!(refused.problem(401)["type"], "urn:infirmary:problem:recent-authentication-required");
    assert!(refused.header("www-authenticate").contains("insufficient_user_authentication"));
    for (path, body) in [
        ("/v1/auth/factors/totp", json!({})),
        ("/v1/auth/factors/whatsapp", json!({})),
        ("/v1/auth/factors/recovery-codes", json!({})),
        ("/v1/auth/factors/totp/disable", json!({"password": PASSWORD})),
        ("/v1/auth/otp", json!({"purpose": "phoneVerification", "phone": PHONE})),
    ] {
        let refused = app.post(&admin, path, &body).await.problem(401);
        assert_eq!(refused["type"], "urn:infirmary:problem:recent-authentication-required", "{path}");
    }
    let confirm = async |user: &User, password: &str| {
        app.post(user, "/v1/auth/reauthenticate", &json!({"password": password})).await
    };
    confirm(&app.nobody(), PASSWORD).await.problem(401);
    confirm(&admin, "not the right password").await.problem(401);
    app.post(&admin, "/v1/accounts", &invite).await.problem(401);
    let confirmed = confirm(&admin, PASSWORD).await.expect(StatusCode::OK);
    assert!(confirmed["authenticatedAt"].is_string());
    app.post(&admin, "/v1/accounts", &invite).await.expect(StatusCode::CREATED);

    let (application, _) = enrol(&app, &admin).await;
    app.advance(901);
    let refreshed = json!({"refreshToken": admin.refresh_token});
    let admin = User::of(&app.post(&app.nobody(), "/v1/auth/refresh", &refreshed).await.expect(StatusCode::OK));
    let due = confirm(&admin, PASSWORD).await.expect(StatusCode::OK);
    app.post(&admin, "/v1/accounts", &invite).await.problem(401);
    app.answer(&app.nobody(), &due, &application.code(&app)).await.problem(422);
    let confirmed = app.answer(&admin, &due, &application.code(&app)).await.expect(StatusCode::OK);
    assert!(confirmed["authenticatedAt"].is_string());
    app.post(&admin, "/v1/accounts", &invite).await.expect(StatusCode::CREATED);
}

#[tokio::test]
async fn who_lost_everything_begins_again_with_a_code_of_an_admin() {
    let app = TestApp::start_at_rest(&[]).await;
    let (admin, doctor, patient) = (app.as_admin(), app.as_doctor().await, app.as_patient().await);
    enrol(&app, &patient).await;
    let restart = |account: &str| format!("/v1/accounts/{account}/restart");
    app.post(&app.nobody(), &restart(&patient.account), &json!({})).await.problem(401);
    for other in [&doctor, &patient, &app.as_staff(Role::Accountant).await] {
        app.post(other, &restart(&patient.account), &json!({})).await.problem(403);
    }
    let begun = app.post(&admin, &restart(&patient.account), &json!({})).await.expect(StatusCode::OK);
    assert_eq!((&begun["account"]["invited"], &begun["account"]["secondFactor"]), (&json!(true), &json!(false)));
    app.get(&patient, "/v1/me").await.problem(401);
    let accept = json!({"code": begun["invitation"]["code"], "password": "nine loud crows at dawn"});
    let back = User::of(&app.post(&app.nobody(), "/v1/auth/invitation", &accept).await.expect(StatusCode::OK));
    assert_eq!(back.patient, patient.patient);
    app.get(&back, &format!("/v1/patients/{}", patient.patient)).await.expect(StatusCode::OK);
    app.post(&admin, &restart(&admin.account), &json!({})).await.problem(409);
    app.post(&admin, &restart("0198c1f0-7c3e-7d0a-9c55-3f1d2b6a4e10"), &json!({})).await.problem(404);
}

#[tokio::test]
async fn the_own_factors_are_for_everybody_who_is_signed_in_and_nobody_else() {
    let app = TestApp::start_at_rest(&[]).await;
    let everybody = [app.as_admin(), app.as_doctor().await, app.as_accountant().await, app.as_patient().await];
    for user in &everybody {
        app.get(user, "/v1/auth/factors").await.expect(StatusCode::OK);
        app.post(user, "/v1/auth/factors/totp", &json!({})).await.expect(StatusCode::OK);
        app.post(user, "/v1/auth/reauthenticate", &json!({"password": PASSWORD})).await.expect(StatusCode::OK);
    }
    let nobody = app.nobody();
    app.get(&nobody, "/v1/auth/factors").await.problem(401);
    for path in [
        "/v1/auth/reauthenticate",
        "/v1/auth/factors/totp",
        "/v1/auth/factors/totp/confirm",
        "/v1/auth/factors/totp/disable",
        "/v1/auth/factors/whatsapp",
        "/v1/auth/factors/whatsapp/disable",
        "/v1/auth/factors/recovery-codes",
    ] {
        app.post(&nobody, path, &json!({})).await.problem(401);
    }
    // What one began, another cannot confirm.
    let [admin, doctor, ..] = &everybody;
    let begun = app.post(admin, "/v1/auth/factors/totp", &json!({})).await.expect(StatusCode::OK);
    let application = Application(TOTP::from_url(begun["otpauthUri"].as_str().unwrap()).unwrap());
    let body = json!({"enrolment": begun["enrolment"], "code": application.code(&app)});
    let refused = app.post(doctor, "/v1/auth/factors/totp/confirm", &body).await.problem(422);
    assert_eq!(refused["errors"][0]["pointer"], "/enrolment");
}
