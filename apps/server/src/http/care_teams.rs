//! Who comes to a restricted record: its care team, and who broke the glass.

use std::{collections::HashMap, sync::Arc};

use actix_web::{HttpRequest, HttpResponse, Responder, delete, get, post, put, web};
use infirmary_kernel::{
    AccountId, EmergencyAccessId, Id, Page, PatientId, Permission, PersonName, Receipt, ShortText, Timestamp, marker,
};
use infirmary_patients::{CareTeamMember, EmergencyAccess, EmergencyReason};
use infirmary_workflows::{ChangeCareTeam, Overview, StartEmergencyAccess};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    App, Operations,
    extract::{Body, Params, PathId, SignedIn, created, page},
    page::PageBody,
    problem::{Problem, ProblemBody},
};

pub struct CareTeams {
    pub change: ChangeCareTeam,
    pub start: StartEmergencyAccess,
    /// For the names of accounts.
    pub overview: Arc<dyn Overview>,
}

pub fn routes(config: &mut impl Operations) {
    config
        .service(Permission::ReadCareTeam, list)
        .service(Permission::ManageCareTeams, add)
        .service(Permission::ManageCareTeams, remove)
        .service(Permission::UseEmergencyAccess, break_glass)
        .service(Permission::ReadEmergencyAccess, emergency_accesses);
}

/// Somebody who takes part in the care of a patient.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CareTeamMember)]
struct MemberBody {
    #[schema(value_type = String, format = Uuid)]
    account_id: AccountId,
    #[schema(value_type = Option<String>)]
    name: Option<PersonName>,
    #[schema(value_type = String, format = DateTime)]
    added_at: Timestamp,
    /// The account of the admin who added them.
    #[schema(value_type = String, format = Uuid)]
    added_by: AccountId,
}

impl MemberBody {
    fn of(member: CareTeamMember, names: &HashMap<AccountId, PersonName>) -> Self {
        let CareTeamMember { account, added_at, added_by, .. } = member;
        Self { account_id: account, name: names.get(&account).cloned(), added_at, added_by }
    }
}

/// The care team of a patient, in the order in which it came together: for admins, for the team, and for the patient
#[utoipa::path(tag = "Care teams", security(("token" = [])), responses((status = 200, body = PageBody<MemberBody>)))]
#[get("/v1/patients/{id}/care-team")]
async fn list(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Patient>,
) -> Result<impl Responder, Problem> {
    let members = app.patients.queries.care_team(&caller, id).await?;
    let accounts: Vec<_> = members.iter().map(|member| member.account).collect();
    let names = app.care_teams.overview.names(&accounts).await?;
    let items = members.into_iter().map(|member| MemberBody::of(member, &names)).collect();
    Ok(web::Json(PageBody::from(Page { items, next: None })))
}

/// Add a doctor or an admin to the care team; an admin who signed in within 15 minutes
///
/// Whoever is of it already stays. A team may be made before the record is restricted.
#[utoipa::path(tag = "Care teams", security(("token" = [])), params(("id" = String, Path), ("accountId" = String, Path)),
    responses((status = 204), (status = 409, body = ProblemBody, description = "The team has as many members as it may have"),
        (status = 422, body = ProblemBody, description = "It is the account of no doctor and no admin")))]
#[put("/v1/patients/{id}/care-team/{accountId}")]
async fn add(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Patient>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    app.care_teams.change.add(&caller, id, account_in(&request)?).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Take somebody off the care team; an admin who signed in within 15 minutes
#[utoipa::path(tag = "Care teams", security(("token" = [])), params(("id" = String, Path), ("accountId" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemBody, description = "They are not of it")))]
#[delete("/v1/patients/{id}/care-team/{accountId}")]
async fn remove(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Patient>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    app.care_teams.change.remove(&caller, id, account_in(&request)?).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// As [`PathId`], of the second id in a path.
fn account_in(request: &HttpRequest) -> Result<AccountId, Problem> {
    let id = request.match_info().get("accountId").and_then(|text| Id::parse(text).ok());
    id.ok_or_else(|| Problem::not_found("there is no such record"))
}

/// Why the glass is broken; a concept of the v3 code system ActReason.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EmergencyReason)]
enum ReasonBody {
    /// ETREAT
    EmergencyTreatment,
    /// PATSFTY
    PatientSafety,
    /// COC: for a colleague of the care team who is not there
    CoordinationOfCare,
}

impl From<ReasonBody> for EmergencyReason {
    fn from(reason: ReasonBody) -> Self {
        match reason {
            ReasonBody::EmergencyTreatment => Self::EmergencyTreatment,
            ReasonBody::PatientSafety => Self::PatientSafety,
            ReasonBody::CoordinationOfCare => Self::CoordinationOfCare,
        }
    }
}

impl From<EmergencyReason> for ReasonBody {
    fn from(reason: EmergencyReason) -> Self {
        match reason {
            EmergencyReason::EmergencyTreatment => Self::EmergencyTreatment,
            EmergencyReason::PatientSafety => Self::PatientSafety,
            EmergencyReason::CoordinationOfCare => Self::CoordinationOfCare,
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewEmergencyAccess)]
struct NewAccessBody {
    /// The patient reads it in the access log.
    reason: ReasonBody,
    /// In your words, for the admins who look into it; the patient does not read it.
    #[schema(value_type = String, min_length = 1, max_length = 500, example = "Found unconscious; which allergies?")]
    note: ShortText,
}

/// A doctor came to a restricted record by breaking the glass.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EmergencyAccess)]
struct AccessBody {
    #[schema(value_type = String, format = Uuid)]
    id: EmergencyAccessId,
    #[schema(value_type = String, format = Uuid)]
    patient_id: PatientId,
    #[schema(value_type = String, format = Uuid)]
    account_id: AccountId,
    reason: ReasonBody,
    #[schema(value_type = String)]
    note: ShortText,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// From then on the record is closed again; sooner when the session ends.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

impl From<&EmergencyAccess> for AccessBody {
    fn from(access: &EmergencyAccess) -> Self {
        Self {
            id: access.id,
            patient_id: access.patient,
            account_id: access.account,
            reason: access.reason.into(),
            note: access.note.clone(),
            started_at: access.started_at,
            expires_at: access.ends_at,
        }
    }
}

/// Break the glass: come to a restricted record for 60 minutes, in this session; a doctor who signed in within 15 minutes
///
/// The admins are told, the patient sees it in the access log, and every entry of the audit log about it is marked `BTG`.
#[utoipa::path(tag = "Care teams", request_body = NewAccessBody, security(("token" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat")),
    responses((status = 201, body = AccessBody), (status = 409, body = ProblemBody, description = "The record is open to you already")))]
#[post("/v1/patients/{id}/emergency-access")]
async fn break_glass(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Patient>,
    body: Body<NewAccessBody>,
) -> Result<HttpResponse, Problem> {
    let NewAccessBody { reason, note } = body.value;
    let told = |access: &EmergencyAccess| Receipt::json(&AccessBody::from(access));
    let done = app.care_teams.start.run(&caller, id, reason.into(), note, body.idempotency, told).await?;
    Ok(created(done.into_receipt()))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AccessParams {
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Who broke the glass for a patient, and what for, newest first; for admins
#[utoipa::path(tag = "Care teams", params(AccessParams), security(("token" = [])), responses((status = 200, body = PageBody<AccessBody>)))]
#[get("/v1/patients/{id}/emergency-access")]
async fn emergency_accesses(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Patient>,
    Params(params): Params<AccessParams>,
) -> Result<impl Responder, Problem> {
    let request = page(params.limit, params.cursor.as_deref())?;
    let found = app.patients.queries.emergency_accesses(&caller, id, &request).await?;
    Ok(web::Json(PageBody::from(found.map(|access| AccessBody::from(&access)))))
}
