//! Bills, and that they are paid.

use actix_web::{HttpResponse, get, put, web};
use infirmary_financials::{ChargeStatus, PaymentMethod};
use infirmary_kernel::Permission;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    Refusal,
    body::{Unread, loose},
    caller::Known,
    documents::FinancialBody,
    done, json, lists,
};
use crate::{http::App, legacy::id};

pub fn routes(config: &mut impl crate::http::Operations) {
    config.service(Permission::ReadPayments, payments).service(Permission::WriteFinancials, set_is_paid);
}

/// The bills of a patient, oldest first
#[utoipa::path(tag = "Replaced system", security(("legacyToken" = [], "legacyUid" = [])), responses((status = 200, body = Vec<FinancialBody>)))]
#[get("/api/patient/getPatientPayments/{patientID}")]
async fn payments(
    app: web::Data<App>,
    Known(caller): Known,
    patient: web::Path<String>,
) -> Result<HttpResponse, Refusal> {
    let patient = id::parse(&patient).ok_or_else(Refusal::not_found)?;
    let queries = &app.financials.queries;
    let bills = lists::whole(async |page| Ok(queries.bills(&caller, patient, &page).await?)).await?;
    let owed = bills.iter().rev().filter(|bill| bill.status() != ChargeStatus::Void);
    Ok(json(&owed.map(FinancialBody::from).collect::<Vec<_>>()))
}

#[derive(Deserialize, ToSchema)]
#[schema(as = LegacyPayment)]
struct PaidBody {
    #[serde(rename = "fID", default, deserialize_with = "loose")]
    #[schema(value_type = String)]
    bill: Option<String>,
    #[serde(rename = "pID", default, deserialize_with = "loose")]
    #[schema(value_type = String)]
    patient: Option<String>,
    /// Counts for nothing.
    #[expect(dead_code, reason = "clients send it")]
    #[serde(default, deserialize_with = "loose")]
    #[schema(value_type = Option<String>)]
    desc: Option<String>,
}

/// What is left on a bill is paid; once, however often it is said
#[utoipa::path(tag = "Replaced system", security(("legacyToken" = [], "legacyUid" = [])), request_body = PaidBody, responses((status = 200, content_type = "text/html", body = String)))]
#[put("/api/financial/setIsPaid")]
async fn set_is_paid(app: web::Data<App>, Known(caller): Known, body: Unread) -> Result<HttpResponse, Refusal> {
    let PaidBody { bill, patient, .. } = body.fields().await?;
    let called = |name: Option<String>| name.as_deref().and_then(id::parse::<()>).map(|id| id.as_uuid());
    let (bill, patient) = (called(bill).unwrap_or_default(), called(patient).unwrap_or_default());
    let (bill, patient) = (infirmary_kernel::Id::from_uuid(bill), infirmary_kernel::Id::from_uuid(patient));
    app.financials.settle.run(&caller, patient, bill, PaymentMethod::Other).await?;
    Ok(done("done"))
}
