//! Codes by WhatsApp: sign-in, phone, reset. What was sent is read where it waits to be sent, never from an answer.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use infirmary_tests::{PASSWORD, TestApp, User};
use reqwest::StatusCode;
use serde_json::{Value, json};

const PHONE: &str = "+9647700000001";
const OTHER: &str = "nine loud crows at dawn";

async fn ask(app: &TestApp, phone: &str, purpose: &str) -> infirmary_tests::Answer {
    app.post(&app.nobody(), "/v1/auth/otp", &json!({"phone": phone, "purpose": purpose})).await
}

/// A patient whose phone is a way in.
async fn reachable(app: &TestApp, phone: &str) -> User {
    let patient = app.as_patient().await;
    app.verify_phone(&patient, phone).await;
    app.advance(60);
    patient
}

fn wrong(code: &str) -> String {
    code.chars().map(|digit| if digit == '0' { '1' } else { '0' }).collect()
}

#[tokio::test]
async fn who_verified_their_phone_signs_in_by_it() {
    let app = TestApp::start_at_rest(&[]).await;
    let patient = app.as_patient().await;
    let before = app.get(&patient, "/v1/me").await.expect(StatusCode::OK);
    assert_eq!((before["phone"].as_str(), before["phoneVerified"].as_bool()), (Some("+9647501234567"), Some(false)));
    ask(&app, PHONE, "phoneVerification").await.problem(401);
    app.verify_phone(&patient, PHONE).await;
    let after = app.get(&patient, "/v1/me").await.expect(StatusCode::OK);
    assert_eq!((after["phone"].as_str(), after["phoneVerified"].as_bool()), (Some(PHONE), Some(true)));

    app.advance(60);
    let asked = ask(&app, "٠٠٩٦٤٧٧٠٠٠٠٠٠٠١", "signIn").await.expect(StatusCode::ACCEPTED);
    let code = app.code(PHONE);
    assert_eq!(code.len(), 6);
    assert!(!asked.to_string().contains(&code));
    let refused = app.answer(&app.nobody(), &asked, &wrong(&code)).await.problem(422);
    assert_eq!(refused["errors"][0]["pointer"], "/code");
    let session = app.answer(&app.nobody(), &asked, &code).await.expect(StatusCode::OK);
    let user = User::of(&session);
    assert_eq!(user.account, patient.account);
    app.get(&user, "/v1/me").await.expect(StatusCode::OK);
    app.answer(&app.nobody(), &asked, &code).await.problem(422);
}

#[tokio::test]
async fn a_known_and_an_unknown_phone_are_answered_alike() {
    let app = TestApp::start_at_rest(&[]).await;
    reachable(&app, PHONE).await;
    for purpose in ["signIn", "passwordReset"] {
        app.advance(900);
        let (known, unknown) = (ask(&app, PHONE, purpose).await, ask(&app, "+9647799999999", purpose).await);
        assert_eq!(known.status, StatusCode::ACCEPTED);
        assert_eq!(known.but_for_its_request(), unknown.but_for_its_request());
        let nobody = app.nobody();
        for _ in 0..6 {
            let guesses = [
                app.answer(&nobody, &known.json(), "999999").await,
                app.answer(&nobody, &unknown.json(), "999999").await,
            ];
            assert_eq!(guesses[0].status, StatusCode::UNPROCESSABLE_ENTITY);
            assert_eq!(guesses[0].but_for_its_request(), guesses[1].but_for_its_request());
        }
        let again = [ask(&app, PHONE, purpose).await, ask(&app, "+9647799999999", purpose).await];
        assert_eq!((again[0].status, again[0].header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "60"));
        assert_eq!(again[0].but_for_its_request(), again[1].but_for_its_request());
    }
    assert!(app.codes("+9647799999999").is_empty());
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// `cargo test --workspace --test api time_of_an_answer -- --ignored --nocapture`, on a machine that does nothing else.
#[tokio::test]
#[ignore = "measures, and what else the machine does is in the figures"]
async fn the_time_of_an_answer_does_not_tell_a_known_phone_or_email_from_an_unknown_one() {
    const ROUNDS: u32 = 200;
    let app = TestApp::start_at_rest(&[("INFIRMARY_OTP_MAX_PER_DAY", "100000")]).await;
    let patient = reachable(&app, PHONE).await;
    let nobody = app.nobody();
    for path in ["/v1/auth/login", "/v1/auth/otp"] {
        let [mut known, mut unknown] = [Vec::new(), Vec::new()];
        for round in 0..ROUNDS {
            // So long that nobody has to wait: ten codes a day for a number, and no failures in a row.
            app.advance(3 * 60 * 60);
            app.sign_in(&patient.email, PASSWORD).await;
            let bodies = if path.ends_with("login") {
                [patient.email.clone(), format!("nobody{round}@infirmary.example")]
                    .map(|email| json!({"email": email, "password": OTHER}))
            } else {
                [PHONE.to_owned(), format!("+96477{:08}", 10_000_000 + round)]
                    .map(|phone| json!({"phone": phone, "purpose": "signIn"}))
            };
            let mut times = [Duration::ZERO; 2];
            // Each is first as often as the other.
            for place in [round as usize % 2, (round as usize + 1) % 2] {
                let begun = Instant::now();
                let answer = app.post(&nobody, path, &bodies[place]).await;
                times[place] = begun.elapsed();
                assert!([StatusCode::ACCEPTED, StatusCode::UNAUTHORIZED].contains(&answer.status), "{answer:?}");
            }
            known.push(times[0]);
            unknown.push(times[1]);
        }
        let (known, unknown) = (median(known), median(unknown));
        let gap = known.abs_diff(unknown);
        println!("{path}: known {known:?}, unknown {unknown:?}, gap {gap:?}");
        assert!(gap < Duration::from_millis(20) && gap * 10 < known.max(unknown), "{path}: {gap:?}");
    }
}

#[tokio::test]
async fn of_a_hundred_guesses_at_once_five_are_compared() {
    let app = TestApp::start_at_rest(&[]).await;
    reachable(&app, PHONE).await;
    let asked = ask(&app, PHONE, "signIn").await.expect(StatusCode::ACCEPTED);
    let code = app.code(PHONE);
    let (nobody, guess) = (app.nobody(), wrong(&code));
    for answer in join_all((0..100).map(|_| app.answer(&nobody, &asked, &guess))).await {
        answer.problem(422);
    }
    app.answer(&nobody, &asked, &code).await.problem(422);
    let entries = app.get(&app.as_admin(), "/v1/audit?action=code.verify").await.expect(StatusCode::OK);
    assert_eq!(entries["items"].as_array().unwrap().len(), 5, "{entries}");
    assert!(!entries.to_string().contains(&code));
}

#[tokio::test]
async fn a_forgotten_password_is_reset_by_a_code() {
    let app = TestApp::start_at_rest(&[]).await;
    let patient = reachable(&app, PHONE).await;
    let asked = ask(&app, PHONE, "passwordReset").await.expect(StatusCode::ACCEPTED);
    let code = app.code(PHONE);
    assert_eq!(code.len(), 8);
    let proved = app.answer(&app.nobody(), &asked, &code).await.expect(StatusCode::OK);
    let reset = async |proof: &Value, password: &str| {
        let body = json!({"proof": proof, "password": password});
        app.post(&app.nobody(), "/v1/auth/password/reset", &body).await
    };
    reset(&json!("made up"), OTHER).await.problem(422);
    reset(&proved["proof"], "short").await.problem(422);
    reset(&proved["proof"], OTHER).await.expect(StatusCode::NO_CONTENT);
    let refused = reset(&proved["proof"], PASSWORD).await.problem(422);
    assert_eq!(refused["errors"][0]["pointer"], "/proof");
    app.get(&patient, "/v1/me").await.problem(401);
    app.sign_in(&patient.email, OTHER).await;
}

#[tokio::test]
async fn a_code_needs_the_right_request() {
    let app = TestApp::start_at_rest(&[("INFIRMARY_OTP_COUNTRIES", "+964, +44")]).await;
    let challenge = "0198c1f0-7c3e-7d0a-9c55-3f1d2b6a4e10";
    for (body, pointer) in [
        (json!({"purpose": "signIn"}), "/phone"),
        (json!({"purpose": "signIn", "phone": "0750"}), "/phone"),
        (json!({"purpose": "signIn", "phone": "+18765550100"}), "/phone"),
        (json!({"purpose": "signIn", "phone": PHONE, "challenge": challenge}), "/challenge"),
        (json!({"purpose": "secondFactor"}), "/challenge"),
        (json!({"purpose": "secondFactor", "challenge": challenge}), "/challenge"),
        (json!({"purpose": "secondFactor", "phone": PHONE, "challenge": challenge}), "/phone"),
        (json!({"purpose": "nothing", "phone": PHONE}), "/purpose"),
        (json!({"phone": PHONE}), "/purpose"),
    ] {
        let refused = app.post(&app.nobody(), "/v1/auth/otp", &body).await.problem(422);
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{body}");
    }
    let stranger = User { token: Some("nonsense".into()), ..User::default() };
    app.post(&stranger, "/v1/auth/otp", &json!({"purpose": "signIn", "phone": PHONE})).await.problem(401);
    app.post(&app.nobody(), "/v1/auth/otp/nothing/verify", &json!({"code": "123456"})).await.problem(404);
    let absent = format!("/v1/auth/otp/{challenge}/verify");
    app.post(&app.nobody(), &absent, &json!({"code": "123456"})).await.problem(422);
    app.post(&app.nobody(), &absent, &json!({"code": "x".repeat(1_000)})).await.problem(422);
}
