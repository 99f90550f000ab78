use std::collections::HashSet;

use futures_util::future::join_all;
use infirmary_kernel::Role;
use infirmary_tests::{PASSWORD, TestApp, User, unique_email};
use reqwest::StatusCode;
use serde_json::json;

#[tokio::test]
async fn whoever_registers_is_a_patient_whatever_the_body_says() {
    let app = TestApp::start().await;
    let body = json!({"email": unique_email("eve"), "password": PASSWORD, "name": "Eve", "role": "admin"});
    let refused = app.post(&app.nobody(), "/v1/auth/register", &body).await.problem(422);
    assert_eq!(refused["errors"][0]["pointer"], "/role");
    let patient = app.as_patient().await;
    let me = app.get(&patient, "/v1/me").await.expect(StatusCode::OK);
    assert_eq!(me["role"], "patient");
    assert!(me.as_object().unwrap().keys().all(|field| !field.to_lowercase().contains("password")), "{me}");
    app.get(&patient, "/v1/accounts").await.problem(403);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_email_are_answered_alike() {
    let app = TestApp::start().await;
    let patient = app.as_patient().await;
    let attempt = async |email: &str, password: &str| {
        let body = json!({"email": email, "password": password});
        let answer = app.post(&app.nobody(), "/v1/auth/login", &body).await;
        answer.problem(401);
        answer.but_for_its_request()
    };
    let wrong = attempt(&patient.email, "not the right password").await;
    let unknown = attempt("nobody@infirmary.example", PASSWORD).await;
    assert_eq!(wrong, unknown);
}

#[tokio::test]
async fn without_a_living_session_nothing_is_answered() {
    let app = TestApp::start().await;
    let patient = app.as_patient().await;
    let with = |token: &str| User { token: Some(token.to_owned()), ..User::default() };
    for user in [app.nobody(), with("nonsense"), with(&format!("{}x", patient.token.as_ref().unwrap()))] {
        let refused = app.get(&user, "/v1/me").await;
        refused.problem(401);
        assert!(refused.header("www-authenticate").starts_with("Bearer"));
    }
    app.get(&patient, "/v1/me").await.expect(StatusCode::OK);
    app.post(&patient, "/v1/auth/logout", &json!({})).await.expect(StatusCode::NO_CONTENT);
    app.get(&patient, "/v1/me").await.problem(401);
}

#[tokio::test]
async fn a_refresh_rotates_and_an_old_one_ends_the_session() {
    let app = TestApp::start().await;
    let patient = app.as_patient().await;
    let refresh =
        async |token: &str| app.post(&app.nobody(), "/v1/auth/refresh", &json!({"refreshToken": token})).await;
    let second = User::of(&refresh(&patient.refresh_token).await.expect(StatusCode::OK));
    let lost = User::of(&refresh(&patient.refresh_token).await.expect(StatusCode::OK));
    assert_eq!(second.refresh_token, lost.refresh_token, "an answer that was lost is given again");
    let third = User::of(&refresh(&second.refresh_token).await.expect(StatusCode::OK));
    refresh(&patient.refresh_token).await.problem(401);
    for dead in [&patient, &second, &third] {
        app.get(dead, "/v1/me").await.problem(401);
    }
}

#[tokio::test]
async fn staff_are_invited_choose_their_password_once_and_go_when_they_are_disabled() {
    let app = TestApp::start().await;
    let admin = app.as_admin();
    let email = unique_email("doctor");
    let invite = json!({"email": email, "name": "Dr. Dana", "role": "doctor"});
    let lost = app.post(&admin, "/v1/accounts", &invite).await.expect(StatusCode::CREATED);
    let invited = app.post(&admin, "/v1/accounts", &invite).await.expect(StatusCode::CREATED);
    let accept = async |code: &serde_json::Value| {
        app.post(&app.nobody(), "/v1/auth/invitation", &json!({"code": code, "password": PASSWORD})).await
    };
    accept(&lost["invitation"]["code"]).await.problem(422);
    let doctor = User::of(&accept(&invited["invitation"]["code"]).await.expect(StatusCode::OK));
    accept(&invited["invitation"]["code"]).await.problem(422);
    app.get(&doctor, "/v1/patients").await.expect(StatusCode::OK);

    let path = format!("/v1/accounts/{}", doctor.account);
    let etag = app.get(&admin, &path).await.etag().to_owned();
    let accountant = app.patch(&admin, &path, &etag, &json!({"role": "accountant"})).await.expect(StatusCode::OK);
    assert_eq!(accountant["role"], "accountant");
    app.get(&doctor, "/v1/me").await.problem(401);
    let again = app.sign_in(&email, PASSWORD).await;
    app.delete(&admin, &path).await.expect(StatusCode::NO_CONTENT);
    app.get(&again, "/v1/me").await.problem(401);
    app.post(&app.nobody(), "/v1/auth/login", &json!({"email": email, "password": PASSWORD})).await.problem(401);
}

#[tokio::test]
async fn the_last_admin_cannot_go() {
    let app = TestApp::start().await;
    let admin = app.as_admin();
    let path = format!("/v1/accounts/{}", admin.account);
    app.delete(&admin, &path).await.problem(409);
    let second = app.as_staff(Role::Admin).await;
    app.delete(&admin, &path).await.expect(StatusCode::NO_CONTENT);
    app.delete(&second, &format!("/v1/accounts/{}", second.account)).await.problem(409);
}

#[tokio::test]
async fn a_changed_password_ends_the_other_sessions_and_keeps_this_one() {
    let app = TestApp::start().await;
    let phone = app.as_patient().await;
    let laptop = app.sign_in(&phone.email, PASSWORD).await;
    let sessions = app.get(&laptop, "/v1/auth/sessions").await.expect(StatusCode::OK);
    assert_eq!(sessions["items"].as_array().unwrap().len(), 2);
    let change = |current: &str, new: &str| json!({"currentPassword": current, "newPassword": new});
    app.post(&laptop, "/v1/auth/password", &change("wrong wrong wrong", "nine loud crows at dawn")).await.problem(401);
    app.post(&laptop, "/v1/auth/password", &change(PASSWORD, "short")).await.problem(422);
    app.post(&laptop, "/v1/auth/password", &change(PASSWORD, "nine loud crows at dawn"))
        .await
        .expect(StatusCode::NO_CONTENT);
    app.get(&phone, "/v1/me").await.problem(401);
    app.get(&laptop, "/v1/me").await.expect(StatusCode::OK);
    app.sign_in(&phone.email, "nine loud crows at dawn").await;
}

#[tokio::test]
async fn fifty_refreshes_with_one_token_at_once_get_one_successor() {
    let app = TestApp::start().await;
    let patient = app.as_patient().await;
    let body = json!({"refreshToken": patient.refresh_token});
    let nobody = app.nobody();
    let answers = join_all((0..50).map(|_| app.post(&nobody, "/v1/auth/refresh", &body))).await;
    let successors: HashSet<String> =
        answers.iter().map(|answer| User::of(&answer.expect(StatusCode::OK)).refresh_token).collect();
    assert_eq!(successors.len(), 1);
    assert!(!successors.contains(&patient.refresh_token));
}

#[tokio::test]
async fn of_fifty_registrations_of_one_email_in_different_case_at_once_one_wins() {
    let app = TestApp::start().await;
    let email = unique_email("race");
    let spelt = |n: usize| {
        let upper = |(place, c): (usize, char)| if (n >> (place % 6)) & 1 == 1 { c.to_ascii_uppercase() } else { c };
        email.chars().enumerate().map(upper).collect::<String>()
    };
    let nobody = app.nobody();
    let answers = join_all((0..50).map(async |n| {
        let body = json!({"email": spelt(n), "password": PASSWORD, "name": "Rae Race"});
        app.post(&nobody, "/v1/auth/register", &body).await
    }))
    .await;
    // Who finds too many passwords before theirs is told to come again, and then hears the same as the others.
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!(count(StatusCode::CREATED), 1);
    assert_eq!(count(StatusCode::CONFLICT) + count(StatusCode::SERVICE_UNAVAILABLE), 49);
    let accounts = app.get(&app.as_admin(), "/v1/accounts?role=patient").await.expect(StatusCode::OK);
    assert_eq!(accounts["items"].as_array().unwrap().len(), 1);
    let again = json!({"email": spelt(63), "password": PASSWORD, "name": "Rae Race"});
    app.post(&nobody, "/v1/auth/register", &again).await.problem(409);
}

#[tokio::test]
async fn of_the_last_two_admins_who_demote_each_other_at_once_one_stays() {
    let app = TestApp::start().await;
    let (one, two) = (app.as_admin(), app.as_staff(Role::Admin).await);
    let path = |admin: &User| format!("/v1/accounts/{}", admin.account);
    let (of_one, of_two) = (path(&one), path(&two));
    let etags = [app.get(&two, &of_one).await, app.get(&one, &of_two).await].map(|answer| answer.etag().to_owned());
    let demoted = json!({"role": "doctor"});
    let answers =
        tokio::join!(app.patch(&one, &of_two, &etags[1], &demoted), app.patch(&two, &of_one, &etags[0], &demoted),);
    let statuses = [answers.0.status, answers.1.status];
    assert_eq!(statuses.iter().filter(|status| **status == StatusCode::OK).count(), 1, "{statuses:?}");
    let stays = if answers.0.status == StatusCode::OK { &one } else { &two };
    let admins = app.get(stays, "/v1/accounts?role=admin").await.expect(StatusCode::OK);
    assert_eq!(admins["items"].as_array().unwrap().len(), 1);
}
