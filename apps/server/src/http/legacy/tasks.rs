//! The catalogue.

use actix_web::{HttpResponse, get, http::StatusCode, post, web};
use infirmary_diagnosis::{DiagnosisError, NewTask, Task};
use infirmary_kernel::{LongText, Permission, Receipt, Role, ShortText};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    JSON, Refusal,
    body::{Unread, loose, required},
    caller::{Known, only},
    documents::TaskBody,
    json, lists,
};
use crate::{
    http::{App, access::Access},
    legacy::{money::money, words},
};

pub fn routes(config: &mut impl crate::http::Operations) {
    config.service(Permission::ReadTasks, list).service(Access::OnlyAs(Role::Admin, Permission::WriteTasks), create);
}

/// The tasks that are in use
#[utoipa::path(tag = "Replaced system", security(("legacyToken" = [], "legacyUid" = [])), responses((status = 200, body = Vec<TaskBody>)))]
#[get("/api/tasks")]
async fn list(app: web::Data<App>, Known(caller): Known) -> Result<HttpResponse, Refusal> {
    let tasks = lists::whole(async |page| Ok(app.tasks.queries.tasks(&caller, &page).await?)).await?;
    let now = app.gate.now();
    let in_use = tasks.iter().filter(|task| task.active).filter_map(|task| TaskBody::at(task, now));
    Ok(json(&in_use.collect::<Vec<_>>()))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewLegacyTask)]
struct NewTaskBody {
    #[serde(rename = "taskName", default, deserialize_with = "loose")]
    #[schema(value_type = String)]
    name: Option<String>,
    #[serde(rename = "Desc", default, deserialize_with = "loose")]
    #[schema(value_type = Option<String>)]
    description: Option<String>,
    #[serde(rename = "Cost", default, deserialize_with = "loose")]
    #[schema(value_type = f64)]
    cost: Option<String>,
}

const NO_CODE: Refusal = Refusal::bad("taskName needs letters from A to Z or digits, to make a code of");
const ALL_FIELDS: &str = "all fields are required";

/// Add a task; its code is made of its name
#[utoipa::path(tag = "Replaced system", security(("legacyToken" = [], "legacyUid" = [])), request_body = NewTaskBody,
    responses((status = 201, body = TaskBody), (status = 409, content_type = "text/html", body = String)))]
#[post("/api/tasks")]
async fn create(app: web::Data<App>, Known(caller): Known, body: Unread) -> Result<HttpResponse, Refusal> {
    only(&app, &caller, &[Role::Admin], "task", "only an admin may add a task here").await?;
    let NewTaskBody { name, description, cost } = body.fields().await?;
    let (name, cost) = (required(name, ALL_FIELDS)?, required(cost, ALL_FIELDS)?);
    let price = money(&cost, app.tasks.create.currency);
    let new = NewTask {
        code: words::task_code(&name).ok_or(NO_CODE)?,
        name: ShortText::parse(&name).map_err(|invalid| invalid.at("/taskName"))?,
        description: LongText::parse(description.as_deref().unwrap_or("")).map_err(|invalid| invalid.at("/Desc"))?,
        price: price.ok_or(Refusal::bad("Cost must be an amount such as 299"))?,
    };
    let now = app.gate.now();
    let told =
        |task: &Task| TaskBody::at(task, now).map_or(Receipt::from_bytes(Vec::new()), |body| Receipt::json(&body));
    match app.tasks.create.run(&caller, new, None, told).await {
        Ok(created) => Ok(HttpResponse::Created().content_type(JSON).body(created.into_receipt().into_bytes())),
        Err(DiagnosisError::CodeTaken { .. }) => {
            Err(Refusal::said(StatusCode::CONFLICT, "a task of this name exists already"))
        }
        Err(error) => Err(error.into()),
    }
}
