use infirmary_kernel::Role;
use infirmary_tests::{Answer, TestApp, User};
use reqwest::StatusCode;
use serde_json::{Value, json};

const NOBODY: &str = "0198c1f0-7c3e-7d0a-9c55-3f1d2b6a4e10";

fn gbp(pence: i64) -> Value {
    json!({"amount": pence, "currency": "GBP"})
}

fn id(record: &Value) -> &str {
    record["id"].as_str().unwrap()
}

async fn charge(app: &TestApp, clerk: &User, patient: &str, pence: i64) -> Value {
    let body = json!({"patientId": patient, "description": "أشعة للصدر", "amount": gbp(pence), "task": "xr-chest"});
    app.post(clerk, "/v1/charges", &body).await.expect(StatusCode::CREATED)
}

async fn pay(app: &TestApp, clerk: &User, key: &str, patient: &str, pence: i64) -> Answer {
    let body = json!({"patientId": patient, "amount": gbp(pence), "method": "card"});
    app.post_with_key(clerk, "/v1/payments", key, &body).await
}

async fn give_back(app: &TestApp, clerk: &User, key: &str, payment: &Value, pence: i64) -> Answer {
    let body = json!({"amount": gbp(pence), "reason": "paid twice"});
    app.post_with_key(clerk, &format!("/v1/payments/{}/refund", id(payment)), key, &body).await
}

async fn void(app: &TestApp, clerk: &User, charge: &Value) -> Answer {
    app.post(clerk, &format!("/v1/charges/{}/void", id(charge)), &json!({"reason": "charged in error"})).await
}

#[tokio::test]
async fn what_is_charged_is_paid_in_parts_given_back_and_made_void() {
    let app = TestApp::start().await;
    let (clerk, patient) = (app.as_accountant().await, app.register_patient("ئازاد عەلی").await);
    let patient = id(&patient);
    let (old, new) = (charge(&app, &clerk, patient, 29_900).await, charge(&app, &clerk, patient, 5_000).await);
    assert_eq!((&old["status"], &old["task"], &old["outstanding"]), (&json!("open"), &json!("XR-CHEST"), &gbp(29_900)));

    let payment = pay(&app, &clerk, "1", patient, 30_000).await.expect(StatusCode::CREATED);
    let parts = json!([{"chargeId": old["id"], "amount": gbp(29_900)}, {"chargeId": new["id"], "amount": gbp(100)}]);
    assert_eq!((&payment["allocations"], &payment["refundable"]), (&parts, &gbp(30_000)));
    let open = app.get(&clerk, &format!("/v1/charges?patientId={patient}&status=open")).await.expect(StatusCode::OK);
    assert_eq!(open["items"][0]["outstanding"], gbp(4_900));
    let paid = app.get(&clerk, &format!("/v1/charges?patientId={patient}&status=paid")).await.expect(StatusCode::OK);
    assert_eq!((&paid["items"][0]["id"], paid["items"].as_array().unwrap().len()), (&old["id"], 1));
    void(&app, &clerk, &new).await.problem(409);

    let refund = give_back(&app, &clerk, "2", &payment, 100).await.expect(StatusCode::CREATED);
    assert_eq!(refund["allocations"], json!([{"chargeId": new["id"], "amount": gbp(100)}]));
    let voided = void(&app, &clerk, &new).await.expect(StatusCode::OK);
    assert_eq!((&voided["status"], &voided["voided"]["reason"]), (&json!("void"), &json!("charged in error")));
    void(&app, &clerk, &new).await.problem(409);

    let read = app.get(&clerk, &format!("/v1/payments/{}", id(&payment))).await.expect(StatusCode::OK);
    assert_eq!((&read["refunded"], &read["refunds"]), (&gbp(100), &json!([refund])));
    let listed = app.get(&clerk, &format!("/v1/payments?patientId={patient}")).await.expect(StatusCode::OK);
    assert_eq!(listed["items"], json!([read]));

    let statement = app.get(&clerk, &format!("/v1/patients/{patient}/statement")).await.expect(StatusCode::OK);
    let lines: Vec<_> = statement["items"].as_array().unwrap().iter().collect();
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                line["kind"].as_str().unwrap(),
                line["amount"]["amount"].as_i64().unwrap(),
                line["balance"]["amount"].as_i64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("charge", 29_900, 29_900),
            ("charge", 5_000, 34_900),
            ("payment", -30_000, 4_900),
            ("refund", 100, 5_000),
            ("void", -5_000, 0)
        ]
    );
    assert_eq!(lines[0]["description"], "أشعة للصدر");
    let totals = json!({"charged": gbp(34_900), "voided": gbp(5_000), "paid": gbp(30_000), "refunded": gbp(100), "balance": gbp(0)});
    assert_eq!(statement["totals"], totals);

    for by in ["day", "month", "task", "method"] {
        let summary = app.get(&clerk, &format!("/v1/financials/summary?by={by}")).await.expect(StatusCode::OK);
        assert_eq!((&summary["totals"], &summary["by"]), (&totals, &json!(by)));
        assert_eq!((&summary["rows"][0]["paid"], summary["rows"].as_array().unwrap().len()), (&gbp(30_000), 1), "{by}");
    }
}

#[tokio::test]
async fn a_statement_is_walked_by_its_cursor_and_its_balance_runs_on() {
    let app = TestApp::start().await;
    let (clerk, patient) = (app.as_accountant().await, app.register_patient("Ada").await);
    let patient = id(&patient);
    for pence in [100, 200, 300] {
        charge(&app, &clerk, patient, pence).await;
    }
    pay(&app, &clerk, "1", patient, 50).await.expect(StatusCode::CREATED);
    let (mut balances, mut next) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/patients/{patient}/statement?limit=3{next}");
        let page = app.get(&clerk, &path).await.expect(StatusCode::OK);
        assert_eq!(page["openingBalance"]["amount"], json!(balances.last().copied().unwrap_or(0)));
        balances
            .extend(page["items"].as_array().unwrap().iter().map(|line| line["balance"]["amount"].as_i64().unwrap()));
        match page["nextCursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(balances, [100, 300, 600, 550]);
    app.get(&clerk, &format!("/v1/patients/{NOBODY}/statement")).await.problem(404);
    let other = app.register_patient("Bob").await;
    let empty = app.get(&clerk, &format!("/v1/patients/{}/statement", id(&other))).await.expect(StatusCode::OK);
    assert_eq!((&empty["items"], &empty["totals"]["balance"]), (&json!([]), &gbp(0)));
}

#[tokio::test]
async fn a_payment_and_a_refund_need_a_key_and_have_one_effect_under_it() {
    let app = TestApp::start().await;
    let (clerk, patient) = (app.as_accountant().await, app.register_patient("Ada").await);
    let patient = id(&patient);
    charge(&app, &clerk, patient, 1_000).await;
    let body = json!({"patientId": patient, "amount": gbp(1_000), "method": "cash"});
    let without = app.post(&clerk, "/v1/payments", &body).await.problem(400);
    assert_eq!(without["type"], "urn:infirmary:problem:idempotency-key-required");

    let attempts = futures_util::future::join_all((0..100).map(|_| pay(&app, &clerk, "$k.1", patient, 1_000))).await;
    let payment = attempts[0].expect(StatusCode::CREATED);
    for attempt in &attempts {
        assert_eq!(attempt.expect(StatusCode::CREATED), payment);
    }
    pay(&app, &clerk, "$k.1", patient, 999).await.problem(422);
    app.post(&clerk, &format!("/v1/payments/{}/refund", id(&payment)), &json!({"amount": gbp(1), "reason": "x"}))
        .await
        .problem(400);
    let attempts =
        futures_util::future::join_all((0..16).map(|_| give_back(&app, &clerk, "$k.2", &payment, 1_000))).await;
    let refund = attempts[0].expect(StatusCode::CREATED);
    for attempt in &attempts {
        assert_eq!(attempt.expect(StatusCode::CREATED), refund);
    }
    let read = app.get(&clerk, &format!("/v1/payments/{}", id(&payment))).await.expect(StatusCode::OK);
    assert_eq!(read["refundable"], gbp(0));
}

#[tokio::test]
async fn clerks_at_many_desks_never_take_more_than_is_owed() {
    let app = TestApp::start().await;
    let (clerk, patient) = (app.as_accountant().await, app.register_patient("Ada").await);
    let patient = id(&patient);
    charge(&app, &clerk, patient, 700).await;
    charge(&app, &clerk, patient, 300).await;
    let keys: Vec<String> = (0..64).map(|key| key.to_string()).collect();
    let attempts = futures_util::future::join_all(keys.iter().map(|key| pay(&app, &clerk, key, patient, 30))).await;
    let mut taken = 0;
    for attempt in &attempts {
        match attempt.status.as_u16() {
            201 => taken += 30,
            // Refused, or too many were quicker: nothing was taken.
            422 | 503 => {}
            other => panic!("{other}: {}", attempt.json()),
        }
    }
    let statement = app.get(&clerk, &format!("/v1/patients/{patient}/statement")).await.expect(StatusCode::OK);
    assert_eq!(statement["totals"]["paid"], gbp(taken));
    assert_eq!(statement["totals"]["balance"], gbp(1_000 - taken));
    assert!(taken <= 1_000);
}

#[tokio::test]
async fn of_a_hundred_keys_on_one_charge_at_once_one_pays_it() {
    let app = TestApp::start().await;
    let (clerk, patient) = (app.as_accountant().await, app.register_patient("Ada").await);
    let patient = id(&patient);
    let named = charge(&app, &clerk, patient, 1_000).await;
    let other = charge(&app, &clerk, patient, 1_000).await;
    let body = json!({"patientId": patient, "amount": gbp(1_000), "method": "card", "chargeIds": [id(&named)]});
    let keys: Vec<String> = (0..100).map(|key| format!("key {key}")).collect();
    let pay = keys.iter().map(|key| app.post_with_key(&clerk, "/v1/payments", key, &body));
    let attempts = futures_util::future::join_all(pay).await;
    let count = |status: u16| attempts.iter().filter(|attempt| attempt.status == status).count();
    assert_eq!(count(201), 1);
    // Refused, or too many were quicker.
    assert_eq!(count(422) + count(503), 99);
    let read = async |charge: &Value| {
        let charges = app.get(&clerk, &format!("/v1/charges?patientId={patient}")).await.expect(StatusCode::OK);
        let charges = charges["items"].as_array().unwrap().clone();
        charges.into_iter().find(|found| id(found) == id(charge)).unwrap()
    };
    assert_eq!(read(&named).await["status"], "paid");
    assert_eq!(read(&other).await["status"], "open");
    let statement = app.get(&clerk, &format!("/v1/patients/{patient}/statement")).await.expect(StatusCode::OK);
    assert_eq!(statement["totals"]["paid"], gbp(1_000));
}

#[tokio::test]
async fn a_receipt_and_a_statement_are_set_as_pdf() {
    let app = TestApp::start().await;
    let (clerk, patient) = (app.as_accountant().await, app.register_patient("ئازاد عەلی").await);
    let patient = id(&patient);
    charge(&app, &clerk, patient, 1_000).await;
    let payment = pay(&app, &clerk, "1", patient, 400).await.expect(StatusCode::CREATED);
    for path in [format!("/v1/payments/{}/receipt", id(&payment)), format!("/v1/patients/{patient}/statement/pdf")] {
        let pdf = app.get(&clerk, &path).await;
        assert_eq!((pdf.status, pdf.header("content-type")), (StatusCode::OK, "application/pdf"));
        assert!(pdf.bytes.starts_with(b"%PDF-"));
        assert!(pdf.header("content-disposition").starts_with("inline; filename="));
        app.get(&app.as_doctor().await, &path).await.problem(403);
        app.get(&app.as_patient().await, &path).await.problem(404);
    }
}

#[tokio::test]
async fn each_role_sees_of_the_accounts_what_is_its_own() {
    let app = TestApp::start().await;
    let (ada, eve) = (app.as_patient().await, app.as_patient().await);
    let (clerk, doctor, admin) = (app.as_accountant().await, app.as_doctor().await, app.as_admin());
    let owed = charge(&app, &clerk, &ada.patient, 1_000).await;
    charge(&app, &admin, &eve.patient, 500).await;
    let payment = pay(&app, &clerk, "1", &ada.patient, 400).await.expect(StatusCode::CREATED);
    let statement = format!("/v1/patients/{}/statement", ada.patient);
    let of_payment = format!("/v1/payments/{}", id(&payment));

    for path in ["/v1/charges".to_owned(), format!("/v1/charges?patientId={}", ada.patient)] {
        let own = app.get(&ada, &path).await.expect(StatusCode::OK);
        assert_eq!((&own["items"][0]["id"], own["items"].as_array().unwrap().len()), (&owed["id"], 1));
        assert_eq!(app.get(&doctor, &path).await.expect(StatusCode::OK)["items"], json!([]), "no study of theirs");
    }
    assert_eq!(app.get(&ada, "/v1/payments").await.expect(StatusCode::OK)["items"], json!([payment]));
    assert_eq!(app.get(&eve, "/v1/payments").await.expect(StatusCode::OK)["items"], json!([]));
    app.get(&ada, &of_payment).await.expect(StatusCode::OK);
    app.get(&ada, &statement).await.expect(StatusCode::OK);

    let hidden = app.get(&eve, &of_payment).await.problem(404);
    let absent = app.get(&eve, &format!("/v1/payments/{NOBODY}")).await.problem(404);
    assert_eq!((&hidden["title"], &hidden["detail"]), (&absent["title"], &absent["detail"]));
    app.get(&eve, &statement).await.problem(404);
    app.get(&eve, &format!("/v1/charges?patientId={}", ada.patient)).await.problem(404);
    app.get(&eve, &format!("/v1/payments?patientId={}", ada.patient)).await.problem(404);
    for path in [&statement, &of_payment, "/v1/payments", "/v1/financials/summary"] {
        app.get(&doctor, path).await.problem(403);
    }
    app.get(&ada, "/v1/financials/summary").await.problem(403);

    for user in [&doctor, &ada] {
        let body = json!({"patientId": ada.patient, "description": "x", "amount": gbp(1)});
        app.post(user, "/v1/charges", &body).await.problem(403);
        pay(&app, user, "2", &ada.patient, 1).await.problem(403);
        give_back(&app, user, "3", &payment, 1).await.problem(403);
        void(&app, user, &owed).await.problem(403);
    }
    for path in ["/v1/charges", "/v1/payments", &statement, &of_payment, "/v1/financials/summary"] {
        app.get(&app.nobody(), path).await.problem(401);
    }
    let second = app.as_staff(Role::Admin).await;
    give_back(&app, &second, "4", &payment, 1).await.expect(StatusCode::CREATED);
}

#[tokio::test]
async fn refused_values_of_the_accounts_are_named_by_their_place() {
    let app = TestApp::start().await;
    let (clerk, patient) = (app.as_accountant().await, app.register_patient("Ada").await);
    let (patient, other) = (id(&patient), app.register_patient("Bob").await);
    let others = charge(&app, &clerk, id(&other), 100).await;
    charge(&app, &clerk, patient, 100).await;

    let new = |field: &str, value: Value| {
        let mut body = json!({"patientId": patient, "description": "Dressing", "amount": gbp(1)});
        body[field] = value;
        body
    };
    for (field, value, pointer) in [
        ("patientId", json!(NOBODY), "/patientId"),
        ("patientId", json!("x"), "/patientId"),
        ("description", json!(""), "/description"),
        ("description", json!("x".repeat(501)), "/description"),
        ("amount", gbp(0), "/amount/amount"),
        ("amount", gbp(-1), "/amount/amount"),
        ("amount", gbp(1_000_000_000_001), "/amount/amount"),
        ("amount", gbp(i64::MAX), "/amount/amount"),
        ("amount", json!({"amount": 1.5, "currency": "GBP"}), "/amount/amount"),
        ("amount", json!({"amount": "1", "currency": "GBP"}), "/amount/amount"),
        ("amount", json!({"amount": 1, "currency": "USD"}), "/amount/currency"),
        ("amount", json!({"amount": 1, "currency": "pounds"}), "/amount/currency"),
        ("amount", json!({"amount": 1}), "/amount/currency"),
        ("amount", json!(1), "/amount"),
        ("task", json!("$where"), "/task"),
        ("study", json!("x"), "/study"),
    ] {
        let refused = app.post(&clerk, "/v1/charges", &new(field, value)).await.problem(422);
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    }

    let new = |field: &str, value: Value| {
        let mut body = json!({"patientId": patient, "amount": gbp(1), "method": "cash"});
        body[field] = value;
        body
    };
    for (field, value, pointer) in [
        ("amount", gbp(101), "/amount/amount"),
        ("amount", gbp(0), "/amount/amount"),
        ("amount", gbp(i64::MIN), "/amount/amount"),
        ("amount", json!({"amount": 1, "currency": "USD"}), "/amount/currency"),
        ("patientId", json!(NOBODY), "/amount/amount"),
        ("method", json!("cheque"), "/method"),
        ("chargeIds", json!([]), "/chargeIds"),
        ("chargeIds", json!([others["id"]]), "/chargeIds/0"),
        ("chargeIds", json!([NOBODY]), "/chargeIds/0"),
        ("chargeIds", json!(["x"]), "/chargeIds/0"),
        ("allocations", json!([]), "/allocations"),
    ] {
        let refused = app.post_with_key(&clerk, "/v1/payments", pointer, &new(field, value)).await.problem(422);
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    }

    let payment = pay(&app, &clerk, "1", patient, 60).await.expect(StatusCode::CREATED);
    let refused = give_back(&app, &clerk, "2", &payment, 61).await.problem(422);
    assert_eq!(refused["errors"][0]["pointer"], "/amount/amount");
    assert!(refused["detail"].as_str().unwrap().contains("0.60 GBP"), "{refused}");
    give_back(&app, &clerk, "2", &json!({"id": NOBODY}), 1).await.problem(404);
    void(&app, &clerk, &json!({"id": NOBODY})).await.problem(404);
    void(&app, &clerk, &json!({"id": "x"})).await.problem(404);

    for refused in [
        "/v1/charges?limit=0",
        "/v1/charges?cursor=x",
        "/v1/payments?limit=201",
        "/v1/financials/summary?from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z",
        "/v1/financials/summary?from=1990-03-02T00:00:00Z&to=2026-03-01T00:00:00Z",
    ] {
        app.get(&clerk, refused).await.problem(422);
    }
    for unreadable in ["/v1/charges?status=owed", "/v1/charges?unknown=1", "/v1/financials/summary?by=year"] {
        app.get(&clerk, unreadable).await.problem(400);
    }
}
