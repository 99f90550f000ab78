//! `/v1/tasks`: the catalogue of procedures and their prices.

use actix_web::{HttpResponse, Responder, get, patch, post, web};
use infirmary_diagnosis::{ChangeTask, CreateTask, NewPrice, NewTask, Price, Queries, Task, TaskChange};
use infirmary_kernel::{
    Currency, LongText, Money, Permission, Receipt, ShortText, TaskCode, TaskId, Timestamp, marker,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    App,
    extract::{Body, IfMatch, Params, PathId, SignedIn, created, etag, page},
    money::MoneyBody,
    page::PageBody,
    problem::{Problem, ProblemBody},
};

pub struct Tasks {
    pub create: CreateTask,
    pub change: ChangeTask,
    pub queries: Queries,
}

pub fn routes(config: &mut impl crate::http::Operations) {
    config
        .service(Permission::ReadTasks, list)
        .service(Permission::WriteTasks, create)
        .service(Permission::ReadTasks, read)
        .service(Permission::WriteTasks, change);
}

/// What a task costs from one moment to another.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Price)]
struct PriceBody {
    amount: MoneyBody,
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    /// Not this moment any more; `null`: until further notice.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

impl From<&Price> for PriceBody {
    fn from(Price { amount, from, until }: &Price) -> Self {
        Self { amount: (*amount).into(), from: *from, until: *until }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Task)]
struct TaskBody {
    #[schema(value_type = String, format = Uuid)]
    id: TaskId,
    #[schema(value_type = String, example = "XR-CHEST")]
    code: TaskCode,
    #[schema(value_type = String)]
    name: ShortText,
    #[schema(value_type = String)]
    description: LongText,
    /// Whether new work may be charged by it.
    active: bool,
    /// What it costs at this moment.
    price: Option<MoneyBody>,
    /// In the order of time.
    prices: Vec<PriceBody>,
    version: u32,
}

impl TaskBody {
    fn at(task: &Task, moment: Timestamp) -> Self {
        Self {
            id: task.id,
            code: task.code.clone(),
            name: task.name.clone(),
            description: task.description.clone(),
            active: task.active,
            price: task.price_at(moment).map(MoneyBody::from),
            prices: task.prices.as_slice().iter().map(PriceBody::from).collect(),
            version: task.version,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    cursor: Option<String>,
}

/// The catalogue, in the order of the code
#[utoipa::path(tag = "Tasks", params(ListParams), security(("token" = [])), responses((status = 200, body = PageBody<TaskBody>)))]
#[get("/v1/tasks")]
async fn list(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    Params(params): Params<ListParams>,
) -> Result<impl Responder, Problem> {
    let request = page(params.limit, params.cursor.as_deref())?;
    let (tasks, now) = (app.tasks.queries.tasks(&caller, &request).await?, app.gate.now());
    Ok(web::Json(PageBody::from(tasks.map(|task| TaskBody::at(&task, now)))))
}

/// Read a task
#[utoipa::path(tag = "Tasks", security(("token" = [])), responses((status = 200, body = TaskBody)))]
#[get("/v1/tasks/{id}")]
async fn read(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Task>,
) -> Result<HttpResponse, Problem> {
    let task = app.tasks.queries.task(&caller, id).await?;
    Ok(answer(&app, &task))
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewTask)]
struct NewTaskBody {
    /// 1 to 32 letters and digits, with `-`, `_` or `.` between them; kept in capitals, and for good.
    #[schema(value_type = String, example = "XR-CHEST")]
    code: TaskCode,
    #[schema(value_type = String, min_length = 1, max_length = 500)]
    name: ShortText,
    #[schema(value_type = Option<String>, max_length = 20000)]
    description: Option<LongText>,
    /// What it costs from now on.
    price: MoneyBody,
}

/// Add a task
#[utoipa::path(tag = "Tasks", request_body = NewTaskBody, security(("token" = [])),
    responses((status = 201, body = TaskBody), (status = 409, body = ProblemBody, description = "The code is that of another task")))]
#[post("/v1/tasks")]
async fn create(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    body: Body<NewTaskBody>,
) -> Result<HttpResponse, Problem> {
    let NewTaskBody { code, name, description, price } = body.value;
    let new = NewTask { code, name, description: description.unwrap_or_default(), price: price.into() };
    let told = |task: &Task| Receipt::json(&TaskBody::at(task, task.created_at));
    let done = app.tasks.create.run(&caller, new, body.idempotency, told).await?;
    Ok(created(done.into_receipt()))
}

/// An amount from a moment on; without `from`, from now on.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewPrice)]
struct NewPriceBody {
    #[schema(minimum = 0, example = 31900)]
    amount: i64,
    #[schema(value_type = String, example = "GBP")]
    currency: Currency,
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
}

/// Fields that are absent stay. The code never changes.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = TaskChange)]
struct TaskChangeBody {
    #[schema(value_type = Option<String>)]
    name: Option<ShortText>,
    #[schema(value_type = Option<String>)]
    description: Option<LongText>,
    active: Option<bool>,
    /// Ends the price that holds at its beginning; charges that were made keep their own.
    price: Option<NewPriceBody>,
}

/// Change a task
#[utoipa::path(tag = "Tasks", request_body = TaskChangeBody, security(("token" = [])), params(("If-Match" = String, Header, description = "The ETag that you saw")),
    responses((status = 200, body = TaskBody), (status = 412, body = ProblemBody), (status = 428, body = ProblemBody)))]
#[patch("/v1/tasks/{id}")]
async fn change(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Task>,
    IfMatch(version): IfMatch,
    body: Body<TaskChangeBody>,
) -> Result<HttpResponse, Problem> {
    let TaskChangeBody { name, description, active, price } = body.value;
    let price =
        price.map(|NewPriceBody { amount, currency, from }| NewPrice { amount: Money::new(amount, currency), from });
    let task = app.tasks.change.run(&caller, id, version, TaskChange { name, description, active, price }).await?;
    Ok(answer(&app, &task))
}

fn answer(app: &App, task: &Task) -> HttpResponse {
    HttpResponse::Ok().insert_header(etag(task.version)).json(TaskBody::at(task, app.gate.now()))
}
