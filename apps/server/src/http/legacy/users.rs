//! People: the own data, searches, and what an admin does to accounts.

use actix_web::{HttpResponse, delete, get, put, web};
use infirmary_auth::{Account, AccountChange, AccountState, AuthError};
use infirmary_kernel::{AccountId, Caller, Id, NamePart, PatientId, Permission, Reach, Role};
use infirmary_patients::PatientError;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    Refusal,
    body::{Unread, loose, required},
    caller::Known,
    documents::UserBody,
    done, json,
};
use crate::{
    http::App,
    legacy::{id, words},
};

pub fn routes(config: &mut impl crate::http::Operations) {
    config
        .service(Permission::OwnAccount, own_data)
        .service(Permission::FindPatients, find_patients)
        .service(Permission::ManageAccounts, find_users)
        .service(Permission::ManageAccounts, delete_user)
        .service(Permission::ManageAccounts, delete_user_twice_named)
        .service(Permission::ManageAccounts, change_type);
}

/// The own data
#[utoipa::path(tag = "Replaced system", security(("legacyToken" = [], "legacyUid" = [])), responses((status = 200, body = UserBody)))]
#[get("/api/userdata/user/data")]
async fn own_data(app: web::Data<App>, Known(caller): Known) -> Result<HttpResponse, Refusal> {
    let account = app.auth.queries.me(&caller).await?;
    let Some(patient) = caller.patient else { return Ok(json(&UserBody::of_staff(&account))) };
    let (patient, reach) = app.patients.queries.patient(&caller, patient).await?;
    let totals = app.financials.queries.totals(&caller, patient.id).await?;
    Ok(json(&UserBody::of_patient(&patient, &totals, reach).signing_in_as(&account)))
}

/// Patients whose name has the text in it, oldest first
#[utoipa::path(tag = "Replaced system", security(("legacyToken" = [], "legacyUid" = [])), responses((status = 200, body = Vec<UserBody>)))]
#[get("/api/userdata/user/getAllPatients/{text}")]
async fn find_patients(
    app: web::Data<App>,
    Known(caller): Known,
    part: web::Path<String>,
) -> Result<HttpResponse, Refusal> {
    let (found, reach) = app.reports.overview.patients_named(&caller, &NamePart::parse(&part)?).await?;
    let users: Vec<_> = found.iter().map(|(patient, totals)| UserBody::of_patient(patient, totals, reach)).collect();
    Ok(json(&users))
}

/// Whoever has an account and the text in the name: staff, then patients, each oldest first
#[utoipa::path(tag = "Replaced system", security(("legacyToken" = [], "legacyUid" = [])), responses((status = 200, body = Vec<UserBody>)))]
#[get("/api/user/getUser/{text}")]
async fn find_users(
    app: web::Data<App>,
    Known(caller): Known,
    part: web::Path<String>,
) -> Result<HttpResponse, Refusal> {
    let part = NamePart::parse(&part)?;
    let is_there = |account: &Account| account.state != AccountState::Disabled;
    let staff = app.auth.queries.staff_named(&caller, &part).await?;
    let mut users: Vec<_> = staff.iter().filter(|account| is_there(account)).map(UserBody::of_staff).collect();
    let (patients, _) = app.reports.overview.patients_named(&caller, &part).await?;
    let accounts: Vec<AccountId> = patients.iter().filter_map(|(patient, _)| patient.account).collect();
    let accounts = app.auth.queries.accounts_by_id(&caller, &accounts).await?;
    for (patient, totals) in &patients {
        let account = accounts.iter().find(|account| Some(account.id) == patient.account);
        users.extend(
            account
                .filter(|account| is_there(account))
                .map(|account| UserBody::of_patient(patient, totals, Reach::All).signing_in_as(account)),
        );
    }
    Ok(json(&users))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = LegacyDeletion)]
struct DeletionBody {
    #[serde(default, deserialize_with = "loose")]
    #[schema(value_type = String)]
    uid: Option<String>,
}

/// Deactivate an account; its records stay
#[utoipa::path(tag = "Replaced system", security(("legacyToken" = [], "legacyUid" = [])), request_body = DeletionBody,
    responses((status = 200, content_type = "text/html", body = String), (status = 404, content_type = "text/html", body = String)))]
#[delete("/api/auth/deleteUser")]
async fn delete_user(app: web::Data<App>, Known(caller): Known, body: Unread) -> Result<HttpResponse, Refusal> {
    deactivate(&app, &caller, body).await
}

/// Deactivate an account; its records stay
#[utoipa::path(tag = "Replaced system", security(("legacyToken" = [], "legacyUid" = [])), request_body = DeletionBody,
    responses((status = 200, content_type = "text/html", body = String), (status = 404, content_type = "text/html", body = String)))]
#[delete("/api/auth/deleteUser/deleteUser")]
async fn delete_user_twice_named(
    app: web::Data<App>,
    Known(caller): Known,
    body: Unread,
) -> Result<HttpResponse, Refusal> {
    deactivate(&app, &caller, body).await
}

async fn deactivate(app: &App, caller: &Caller, body: Unread) -> Result<HttpResponse, Refusal> {
    let DeletionBody { uid } = body.fields().await?;
    let account = account_called(app, caller, uid).await?;
    app.accounts.change.deactivate(caller, account.id).await?;
    Ok(done("done"))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = LegacyAccountType)]
struct TypeBody {
    #[serde(rename = "pID", default, deserialize_with = "loose")]
    #[schema(value_type = String)]
    user: Option<String>,
    #[serde(rename = "accountType", default, deserialize_with = "loose")]
    #[schema(value_type = String)]
    account_type: Option<String>,
}

/// Give an account of staff another role
#[utoipa::path(tag = "Replaced system", security(("legacyToken" = [], "legacyUid" = [])), request_body = TypeBody,
    responses((status = 200, content_type = "text/html", body = String), (status = 404, content_type = "text/html", body = String)))]
#[put("/api/user/updateAccType")]
async fn change_type(app: web::Data<App>, Known(caller): Known, body: Unread) -> Result<HttpResponse, Refusal> {
    let TypeBody { user, account_type } = body.fields().await?;
    let account = account_called(&app, &caller, user).await?;
    let role = words::role(required(account_type, "accountType is required")?.as_str());
    let role: Role = role.ok_or(Refusal::bad("accountType must be admin, Doctor, accountant or Patient"))?;
    let change = AccountChange { role: Some(role), ..AccountChange::default() };
    app.accounts.change.run(&caller, account.id, account.version, change).await?;
    Ok(done("done"))
}

/// The account that clients call so: by its own name, or by that of the patient whose it is.
async fn account_called(app: &App, caller: &Caller, name: Option<String>) -> Result<Account, Refusal> {
    let name: Option<Id<()>> = name.as_deref().and_then(id::parse);
    let called = name.map_or(uuid::Uuid::nil(), |id| id.as_uuid());
    match app.auth.queries.account(caller, AccountId::from_uuid(called)).await {
        Ok(account) => return Ok(account),
        Err(AuthError::NotFound) => {}
        Err(error) => return Err(error.into()),
    }
    match app.patients.queries.patient(caller, PatientId::from_uuid(called)).await {
        Ok((patient, _)) => {
            let account = patient.account.ok_or_else(Refusal::not_found)?;
            Ok(app.auth.queries.account(caller, account).await?)
        }
        Err(PatientError::NotFound) => Err(Refusal::not_found()),
        Err(error) => Err(error.into()),
    }
}
