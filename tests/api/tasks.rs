use infirmary_tests::TestApp;
use reqwest::StatusCode;
use serde_json::{Value, json};

fn path(task: &Value) -> String {
    format!("/v1/tasks/{}", task["id"].as_str().unwrap())
}

fn pounds(amount: i64) -> Value {
    json!({"amount": amount * 100, "currency": "GBP"})
}

#[tokio::test]
async fn a_house_opens_with_its_tasks_for_everybody_to_read() {
    let app = TestApp::start().await;
    for user in [app.as_admin(), app.as_doctor().await, app.as_accountant().await, app.as_patient().await] {
        let page = app.get(&user, "/v1/tasks").await.expect(StatusCode::OK);
        let told: Vec<_> = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|task| (task["code"].as_str().unwrap(), task["price"].clone()))
            .collect();
        let image = pounds(299);
        assert_eq!(
            told,
            [
                ("CT", image.clone()),
                ("MR", image.clone()),
                ("REPORT", pounds(50)),
                ("US", image.clone()),
                ("XR", image),
            ]
        );
    }
    app.get(&app.nobody(), "/v1/tasks").await.problem(401);
}

#[tokio::test]
async fn the_tasks_of_a_house_are_in_its_own_currency() {
    let app = TestApp::start_with(&[("INFIRMARY_CURRENCY", "IQD")]).await;
    let page = app.get(&app.as_admin(), "/v1/tasks?limit=1").await.expect(StatusCode::OK);
    assert_eq!(page["items"][0]["price"], json!({"amount": 299_000, "currency": "IQD"}));
    assert!(page["nextCursor"].is_string());
}

#[tokio::test]
async fn a_task_is_created_and_its_price_changes_from_a_moment_on() {
    let app = TestApp::start().await;
    let accountant = app.as_accountant().await;
    let new = json!({"code": "xr-chest", "name": "Chest, سنگ", "price": pounds(120)});
    let created = app.post_with_key(&accountant, "/v1/tasks", "t", &new).await.expect(StatusCode::CREATED);
    assert_eq!((&created["code"], &created["price"]), (&json!("XR-CHEST"), &pounds(120)));
    let again = app.post_with_key(&accountant, "/v1/tasks", "t", &new).await.expect(StatusCode::CREATED);
    assert_eq!(again, created);
    let taken = app.post(&accountant, "/v1/tasks", &new).await.problem(409);
    assert!(taken["detail"].as_str().unwrap().contains("XR-CHEST"), "{taken}");

    let read = app.get(&accountant, &path(&created)).await;
    assert_eq!(read.expect(StatusCode::OK), created);
    let change = json!({"price": {"amount": 15_000, "currency": "GBP", "from": "2100-01-01T00:00:00Z"}});
    let planned = app.patch(&accountant, &path(&created), read.etag(), &change).await;
    let body = planned.expect(StatusCode::OK);
    assert_eq!(body["price"], pounds(120), "until then the old one holds");
    assert_eq!(body["prices"][0]["until"], "2100-01-01T00:00:00.000Z");
    assert_eq!((&body["prices"][1]["amount"], &body["prices"][1]["until"]), (&pounds(150), &Value::Null));

    let now = json!({"price": pounds(130), "active": false, "name": "Chest"});
    let changed = app.patch(&accountant, &path(&created), planned.etag(), &now).await.expect(StatusCode::OK);
    assert_eq!((&changed["price"], &changed["active"], &changed["version"]), (&pounds(130), &json!(false), &json!(3)));
    app.patch(&accountant, &path(&created), "\"2\"", &now).await.problem(412);
}

#[tokio::test]
async fn who_may_not_write_the_catalogue_is_turned_away() {
    let app = TestApp::start().await;
    let new = json!({"code": "A", "name": "A", "price": pounds(1)});
    let created = app.post(&app.as_admin(), "/v1/tasks", &new).await.expect(StatusCode::CREATED);
    for user in [app.as_doctor().await, app.as_patient().await] {
        app.post(&user, "/v1/tasks", &json!({"code": "B", "name": "B", "price": pounds(1)})).await.problem(403);
        app.patch(&user, &path(&created), "\"1\"", &json!({"active": false})).await.problem(403);
    }
    app.get(&app.as_admin(), "/v1/tasks/0198c1f0-7c3e-7d0a-9c55-3f1d2b6a4e10").await.problem(404);
}

#[tokio::test]
async fn refused_values_are_named_by_their_place() {
    let app = TestApp::start().await;
    let admin = app.as_admin();
    for (body, pointer) in [
        (json!({"name": "A", "price": pounds(1)}), "/code"),
        (json!({"code": "a b", "name": "A", "price": pounds(1)}), "/code"),
        (json!({"code": "A", "name": "", "price": pounds(1)}), "/name"),
        (json!({"code": "A", "name": "A"}), "/price"),
        (json!({"code": "A", "name": "A", "price": 5}), "/price"),
        (json!({"code": "A", "name": "A", "price": {"amount": 1.5, "currency": "GBP"}}), "/price/amount"),
        (json!({"code": "A", "name": "A", "price": {"amount": -1, "currency": "GBP"}}), "/price/amount"),
        (json!({"code": "A", "name": "A", "price": {"amount": 1, "currency": "IQD"}}), "/price/currency"),
        (json!({"code": "A", "name": "A", "price": {"amount": 1, "currency": "pounds"}}), "/price/currency"),
    ] {
        let refused = app.post(&admin, "/v1/tasks", &body).await.problem(422);
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    }
    let page = app.get(&admin, "/v1/tasks").await.expect(StatusCode::OK);
    let task = path(&page["items"][0]);
    for (body, pointer) in [
        (json!({"price": {"amount": 1, "currency": "GBP", "from": "2020-01-01T00:00:00Z"}}), "/price/from"),
        (json!({"code": "B"}), "/code"),
    ] {
        let refused = app.patch(&admin, &task, "\"1\"", &body).await.problem(422);
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    }
}
