//! `/v1/charges`, `/v1/payments`, statements and the summary of the house.

use std::{sync::Arc, time::Duration};

use actix_web::{
    HttpResponse, Responder, get,
    http::header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    post, web,
};
use infirmary_financials::{
    Allocation, ChargeByHand, ChargeFilter, ChargeStatus, ChargeView, Line, NewCharge, NewPayment, NewRefund, Payment,
    PaymentMethod, PaymentView, Period, Posting, Queries, ReceiptSheet, ReceiptTypesetter, Refund, RefundPayment,
    SettleCharge, Statement, StatementSheet, Summary, SummaryBy, SummaryRow, TakePayment, Totals, Void, VoidCharge,
};
use infirmary_kernel::{
    AccountId, Caller, ChargeId, DiagnosisId, House, PatientId, PaymentId, Permission, Receipt, RefundId, ReportId,
    SheetPatient, ShortText, StudyId, TaskCode, Timestamp, marker,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    App,
    extract::{Body, JSON, Params, PathId, SignedIn, created, page},
    money::MoneyBody,
    page::PageBody,
    problem::{Problem, ProblemBody},
};

pub struct Financials {
    pub charge: ChargeByHand,
    pub void: VoidCharge,
    pub take: TakePayment,
    pub refund: RefundPayment,
    pub settle: SettleCharge,
    pub queries: Queries,
    pub typesetter: Arc<dyn ReceiptTypesetter>,
    /// At the head of receipts and statements.
    pub house: House,
}

pub fn routes(config: &mut impl crate::http::Operations) {
    config
        .service(Permission::WriteFinancials, charge_by_hand)
        .service(Permission::ReadCharges, list_charges)
        .service(Permission::WriteFinancials, void_charge)
        .service(Permission::WriteFinancials, take_payment)
        .service(Permission::ReadPayments, list_payments)
        .service(Permission::ReadPayments, read_payment)
        .service(Permission::ReadPayments, read_receipt)
        .service(Permission::WriteFinancials, refund_payment)
        .service(Permission::ReadPayments, read_statement)
        .service(Permission::ReadPayments, print_statement)
        .service(Permission::ReadSummary, read_summary);
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ChargeStatus)]
enum StatusBody {
    /// Something is owed on it; a part may be paid.
    Open,
    Paid,
    Void,
}

impl From<ChargeStatus> for StatusBody {
    fn from(status: ChargeStatus) -> Self {
        match status {
            ChargeStatus::Open => Self::Open,
            ChargeStatus::Paid => Self::Paid,
            ChargeStatus::Void => Self::Void,
        }
    }
}

impl From<StatusBody> for ChargeStatus {
    fn from(status: StatusBody) -> Self {
        match status {
            StatusBody::Open => Self::Open,
            StatusBody::Paid => Self::Paid,
            StatusBody::Void => Self::Void,
        }
    }
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = PaymentMethod)]
enum MethodBody {
    Cash,
    Card,
    Transfer,
    Insurance,
    Other,
}

impl From<PaymentMethod> for MethodBody {
    fn from(method: PaymentMethod) -> Self {
        match method {
            PaymentMethod::Cash => Self::Cash,
            PaymentMethod::Card => Self::Card,
            PaymentMethod::Transfer => Self::Transfer,
            PaymentMethod::Insurance => Self::Insurance,
            PaymentMethod::Other => Self::Other,
        }
    }
}

impl From<MethodBody> for PaymentMethod {
    fn from(method: MethodBody) -> Self {
        match method {
            MethodBody::Cash => Self::Cash,
            MethodBody::Card => Self::Card,
            MethodBody::Transfer => Self::Transfer,
            MethodBody::Insurance => Self::Insurance,
            MethodBody::Other => Self::Other,
        }
    }
}

/// That it is not to be paid: when, by whom, and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Void)]
struct VoidBody {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    #[schema(value_type = String, format = Uuid)]
    by: AccountId,
    #[schema(value_type = String)]
    reason: ShortText,
}

impl From<&Void> for VoidBody {
    fn from(Void { at, by, reason }: &Void) -> Self {
        Self { at: *at, by: *by, reason: reason.clone() }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Charge)]
pub struct ChargeBody {
    #[schema(value_type = String, format = Uuid)]
    id: ChargeId,
    #[schema(value_type = String, format = Uuid)]
    patient_id: PatientId,
    #[schema(value_type = String)]
    description: ShortText,
    /// The code in the catalogue that it was priced by.
    #[schema(value_type = Option<String>, example = "CT")]
    task: Option<TaskCode>,
    /// What it is for; none of the three for a charge by hand.
    #[schema(value_type = Option<String>, format = Uuid)]
    study_id: Option<StudyId>,
    #[schema(value_type = Option<String>, format = Uuid)]
    report_id: Option<ReportId>,
    #[schema(value_type = Option<String>, format = Uuid)]
    diagnosis_id: Option<DiagnosisId>,
    status: StatusBody,
    amount: MoneyBody,
    /// All that was ever paid on it.
    paid: MoneyBody,
    /// What of that was given back.
    refunded: MoneyBody,
    /// What is owed on it now.
    outstanding: MoneyBody,
    #[schema(value_type = String, format = DateTime)]
    charged_at: Timestamp,
    voided: Option<VoidBody>,
}

impl From<&ChargeView> for ChargeBody {
    fn from(view: &ChargeView) -> Self {
        let charge = &view.charge;
        Self {
            id: charge.id,
            patient_id: charge.patient,
            description: charge.description.clone(),
            task: charge.task.clone(),
            study_id: charge.source.study(),
            report_id: charge.source.report(),
            diagnosis_id: charge.source.diagnosis(),
            status: view.status().into(),
            amount: charge.amount.into(),
            paid: view.paid.into(),
            refunded: view.refunded.into(),
            outstanding: view.outstanding().into(),
            charged_at: charge.charged_at,
            voided: charge.voided.as_ref().map(VoidBody::from),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewCharge)]
struct NewChargeBody {
    #[schema(value_type = String, format = Uuid)]
    patient_id: PatientId,
    #[schema(value_type = String, min_length = 1, max_length = 500)]
    description: ShortText,
    /// More than zero, at most 10¹² minor units.
    amount: MoneyBody,
    /// A code of the catalogue, to sum it under.
    #[schema(value_type = Option<String>, max_length = 32)]
    task: Option<TaskCode>,
}

/// Charge by hand what no study or report has charged by itself
#[utoipa::path(tag = "Financials", request_body = NewChargeBody, security(("token" = [])), responses((status = 201, body = ChargeBody)))]
#[post("/v1/charges")]
async fn charge_by_hand(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    body: Body<NewChargeBody>,
) -> Result<HttpResponse, Problem> {
    let NewChargeBody { patient_id: patient, description, amount, task } = body.value;
    let new = NewCharge { patient, description, amount: amount.into(), task };
    let told = |view: &ChargeView| Receipt::json(&ChargeBody::from(view));
    let done = app.financials.charge.run(&caller, new, body.idempotency, told).await?;
    Ok(created(done.into_receipt()))
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ChargeParams {
    #[param(value_type = Option<String>, format = Uuid)]
    patient_id: Option<PatientId>,
    status: Option<StatusBody>,
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    cursor: Option<String>,
}

/// List charges, newest first; a doctor gets those of their own studies, a patient their own
#[utoipa::path(tag = "Financials", params(ChargeParams), security(("token" = [])), responses((status = 200, body = PageBody<ChargeBody>)))]
#[get("/v1/charges")]
async fn list_charges(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    Params(params): Params<ChargeParams>,
) -> Result<impl Responder, Problem> {
    let status = params.status.map(ChargeStatus::from);
    let filter = ChargeFilter { patient: params.patient_id, status, ..ChargeFilter::default() };
    let request = page(params.limit, params.cursor.as_deref())?;
    let found = app.financials.queries.charges(&caller, filter, &request).await?;
    Ok(web::Json(PageBody::from(found.map(|view| ChargeBody::from(&view)))))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewVoid)]
struct NewVoidBody {
    #[schema(value_type = String, min_length = 1, max_length = 500)]
    reason: ShortText,
}

/// Take a charge off the account; only while nothing is paid on it
#[utoipa::path(tag = "Financials", request_body = NewVoidBody, security(("token" = [])),
    responses((status = 200, body = ChargeBody), (status = 409, body = ProblemBody, description = "It is void already, or something is paid on it")))]
#[post("/v1/charges/{id}/void")]
async fn void_charge(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Charge>,
    body: Body<NewVoidBody>,
) -> Result<HttpResponse, Problem> {
    let told = |view: &ChargeView| Receipt::json(&ChargeBody::from(view));
    let done = app.financials.void.run(&caller, id, body.value.reason, body.idempotency, told).await?;
    Ok(HttpResponse::Ok().content_type(JSON).body(done.into_receipt().into_bytes()))
}

/// The part that is on one charge.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Allocation)]
struct AllocationBody {
    #[schema(value_type = String, format = Uuid)]
    charge_id: ChargeId,
    amount: MoneyBody,
}

fn allocations(allocations: &[Allocation]) -> Vec<AllocationBody> {
    let body = |part: &Allocation| AllocationBody { charge_id: part.charge, amount: part.amount.into() };
    allocations.iter().map(body).collect()
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Refund)]
struct RefundBody {
    #[schema(value_type = String, format = Uuid)]
    id: RefundId,
    #[schema(value_type = String, format = Uuid)]
    payment_id: PaymentId,
    amount: MoneyBody,
    #[schema(value_type = String)]
    reason: ShortText,
    #[schema(value_type = String, format = DateTime)]
    refunded_at: Timestamp,
    #[schema(value_type = String, format = Uuid)]
    refunded_by: AccountId,
    /// What it takes back from each charge, newest charge first: that much is owed again.
    allocations: Vec<AllocationBody>,
}

impl From<&Refund> for RefundBody {
    fn from(refund: &Refund) -> Self {
        Self {
            id: refund.id,
            payment_id: refund.payment,
            amount: refund.amount.into(),
            reason: refund.reason.clone(),
            refunded_at: refund.refunded_at,
            refunded_by: refund.refunded_by,
            allocations: allocations(&refund.allocations),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Payment)]
struct PaymentBody {
    /// Also the number of its receipt.
    #[schema(value_type = String, format = Uuid)]
    id: PaymentId,
    #[schema(value_type = String, format = Uuid)]
    patient_id: PatientId,
    amount: MoneyBody,
    method: MethodBody,
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
    #[schema(value_type = String, format = Uuid)]
    received_by: AccountId,
    /// The charges that it lies on, oldest first.
    allocations: Vec<AllocationBody>,
    refunded: MoneyBody,
    /// What is left of it to give back.
    refundable: MoneyBody,
    /// Oldest first.
    refunds: Vec<RefundBody>,
}

impl From<&PaymentView> for PaymentBody {
    fn from(view: &PaymentView) -> Self {
        let payment = &view.payment;
        Self {
            id: payment.id,
            patient_id: payment.patient,
            amount: payment.amount.into(),
            method: payment.method.into(),
            received_at: payment.received_at,
            received_by: payment.received_by,
            allocations: allocations(&payment.allocations),
            refunded: view.refunded().into(),
            refundable: view.refundable().into(),
            refunds: view.refunds.iter().map(RefundBody::from).collect(),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = NewPayment)]
struct NewPaymentBody {
    #[schema(value_type = String, format = Uuid)]
    patient_id: PatientId,
    /// More than zero, at most what is owed.
    amount: MoneyBody,
    method: MethodBody,
    /// The charges that it is for, 1 to 500; without, whatever is open. Oldest first in either case.
    #[schema(value_type = Option<Vec<String>>)]
    charge_ids: Option<Vec<ChargeId>>,
}

/// Take a payment
#[utoipa::path(tag = "Financials", request_body = NewPaymentBody, security(("token" = [])), params(("Idempotency-Key" = String, Header, description = "1 to 255 characters; the same one when you send the request again")),
    responses((status = 201, body = PaymentBody), (status = 400, body = ProblemBody, description = "Unreadable, or without Idempotency-Key"), (status = 422, body = ProblemBody, description = "A value is refused, such as more than is owed")))]
#[post("/v1/payments")]
async fn take_payment(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    body: Body<NewPaymentBody>,
) -> Result<HttpResponse, Problem> {
    let (NewPaymentBody { patient_id: patient, amount, method, charge_ids }, idempotency) =
        body.required_idempotency()?;
    let new = NewPayment { patient, amount: amount.into(), method: method.into(), charges: charge_ids };
    let told = |payment: &Payment| {
        let view = PaymentView { payment: payment.clone(), refunds: Vec::new() };
        Receipt::json(&PaymentBody::from(&view))
    };
    let done = app.financials.take.run(&caller, new, idempotency, told).await?;
    Ok(created(done.into_receipt()))
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PaymentParams {
    #[param(value_type = Option<String>, format = Uuid)]
    patient_id: Option<PatientId>,
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    cursor: Option<String>,
}

/// List payments, newest first; a patient gets their own
#[utoipa::path(tag = "Financials", params(PaymentParams), security(("token" = [])), responses((status = 200, body = PageBody<PaymentBody>)))]
#[get("/v1/payments")]
async fn list_payments(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    Params(params): Params<PaymentParams>,
) -> Result<impl Responder, Problem> {
    let request = page(params.limit, params.cursor.as_deref())?;
    let found = app.financials.queries.payments(&caller, params.patient_id, &request).await?;
    Ok(web::Json(PageBody::from(found.map(|view| PaymentBody::from(&view)))))
}

/// Read a payment with what was given back of it
#[utoipa::path(tag = "Financials", security(("token" = [])), responses((status = 200, body = PaymentBody)))]
#[get("/v1/payments/{id}")]
async fn read_payment(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Payment>,
) -> Result<impl Responder, Problem> {
    let view = app.financials.queries.payment(&caller, id).await?;
    Ok(web::Json(PaymentBody::from(&view)))
}

/// The receipt of a payment, as PDF
#[utoipa::path(tag = "Financials", security(("token" = [])), responses((status = 200, content_type = "application/pdf")))]
#[get("/v1/payments/{id}/receipt")]
async fn read_receipt(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Payment>,
) -> Result<HttpResponse, Problem> {
    let financials = &app.financials;
    let paid = financials.queries.receipt(&caller, id).await?;
    let patient = paid.payment.payment.patient;
    let totals = financials.queries.totals(&caller, patient).await?;
    let patient = on_paper(&app, &caller, patient).await?;
    let sheet = ReceiptSheet::of(financials.house.clone(), patient, paid, &totals, app.gate.now());
    Ok(pdf(format!("receipt-{id}.pdf"), financials.typesetter.receipt(sheet).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRefund)]
struct NewRefundBody {
    /// More than zero, at most what is left of the payment.
    amount: MoneyBody,
    #[schema(value_type = String, min_length = 1, max_length = 500)]
    reason: ShortText,
}

/// Give back a payment or a part of it; needs a sign-in within 15 minutes
#[utoipa::path(tag = "Financials", request_body = NewRefundBody, security(("token" = [])), params(("Idempotency-Key" = String, Header, description = "1 to 255 characters; the same one when you send the request again")),
    responses((status = 201, body = RefundBody), (status = 400, body = ProblemBody, description = "Unreadable, or without Idempotency-Key"), (status = 401, body = ProblemBody, description = "Not signed in, or too long ago"), (status = 422, body = ProblemBody, description = "A value is refused, such as more than is left")))]
#[post("/v1/payments/{id}/refund")]
async fn refund_payment(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Payment>,
    body: Body<NewRefundBody>,
) -> Result<HttpResponse, Problem> {
    let (NewRefundBody { amount, reason }, idempotency) = body.required_idempotency()?;
    let new = NewRefund { amount: amount.into(), reason };
    let told = |refund: &Refund| Receipt::json(&RefundBody::from(refund));
    let done = app.financials.refund.run(&caller, id, new, idempotency, told).await?;
    Ok(created(done.into_receipt()))
}

/// charged − voided − paid + refunded = balance
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Totals)]
struct TotalsBody {
    charged: MoneyBody,
    voided: MoneyBody,
    paid: MoneyBody,
    refunded: MoneyBody,
    balance: MoneyBody,
}

impl From<Totals> for TotalsBody {
    fn from(totals: Totals) -> Self {
        Self {
            charged: totals.charged().into(),
            voided: totals.voided().into(),
            paid: totals.paid().into(),
            refunded: totals.refunded().into(),
            balance: totals.balance().into(),
        }
    }
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = EntryKind)]
enum KindBody {
    Charge,
    Payment,
    Refund,
    Void,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StatementEntry)]
struct EntryBody {
    kind: KindBody,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Above zero, more is owed (a charge, a refund); below, less is (a payment, a void).
    amount: MoneyBody,
    /// What is owed after it.
    balance: MoneyBody,
    /// Of a charge and a void.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Uuid)]
    charge_id: Option<ChargeId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    description: Option<ShortText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    task: Option<TaskCode>,
    /// Of a payment and a refund.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Uuid)]
    payment_id: Option<PaymentId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<MethodBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Uuid)]
    refund_id: Option<RefundId>,
    /// Of a refund and a void.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    reason: Option<ShortText>,
}

impl From<Line> for EntryBody {
    fn from(Line { entry, balance }: Line) -> Self {
        let amount = entry.change().into();
        let bare = |kind| Self {
            kind,
            at: entry.at,
            amount,
            balance: balance.into(),
            charge_id: None,
            description: None,
            task: None,
            payment_id: None,
            method: None,
            refund_id: None,
            reason: None,
        };
        match entry.posting {
            Posting::Charge { charge, task, description } => {
                Self { charge_id: Some(charge), task, description: Some(description), ..bare(KindBody::Charge) }
            }
            Posting::Payment { payment, method } => {
                Self { payment_id: Some(payment), method: Some(method.into()), ..bare(KindBody::Payment) }
            }
            Posting::Refund { refund, payment, method, reason } => Self {
                refund_id: Some(refund),
                payment_id: Some(payment),
                method: Some(method.into()),
                reason: Some(reason),
                ..bare(KindBody::Refund)
            },
            Posting::Void { charge, task, description, reason } => Self {
                charge_id: Some(charge),
                task,
                description: Some(description),
                reason: Some(reason),
                ..bare(KindBody::Void)
            },
        }
    }
}

/// The account of a patient, oldest entry first. The balance runs on from page to page.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Statement)]
struct StatementBody {
    #[schema(value_type = String, format = Uuid)]
    patient_id: PatientId,
    /// What was owed before the first entry of this page.
    opening_balance: MoneyBody,
    items: Vec<EntryBody>,
    next_cursor: Option<String>,
    /// Over all entries, not only those of this page.
    totals: TotalsBody,
}

impl From<Statement> for StatementBody {
    fn from(statement: Statement) -> Self {
        Self {
            patient_id: statement.patient,
            opening_balance: statement.opening.into(),
            next_cursor: statement.lines.next.map(|cursor| cursor.encode()),
            items: statement.lines.items.into_iter().map(EntryBody::from).collect(),
            totals: statement.totals.into(),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StatementParams {
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    cursor: Option<String>,
}

/// The account of a patient: charges, voids, payments and refunds with the running balance, oldest first
#[utoipa::path(tag = "Financials", params(StatementParams), security(("token" = [])), responses((status = 200, body = StatementBody)))]
#[get("/v1/patients/{id}/statement")]
async fn read_statement(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Patient>,
    Params(params): Params<StatementParams>,
) -> Result<impl Responder, Problem> {
    let request = page(params.limit, params.cursor.as_deref())?;
    let statement = app.financials.queries.statement(&caller, id, &request).await?;
    if statement.totals.charged().amount_minor() == 0 {
        // An empty account can be that of nobody.
        app.patients.queries.patient(&caller, id).await?;
    }
    Ok(web::Json(StatementBody::from(statement)))
}

/// The whole account of a patient, as PDF
#[utoipa::path(tag = "Financials", security(("token" = [])), responses((status = 200, content_type = "application/pdf"), (status = 422, body = ProblemBody, description = "It has more than 2,000 entries")))]
#[get("/v1/patients/{id}/statement/pdf")]
async fn print_statement(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Patient>,
) -> Result<HttpResponse, Problem> {
    let financials = &app.financials;
    let statement = financials.queries.whole_statement(&caller, id).await?;
    let patient = on_paper(&app, &caller, id).await?;
    let name = format!("statement-{}.pdf", patient.mrn);
    let sheet = StatementSheet::of(financials.house.clone(), patient, statement, app.gate.now());
    Ok(pdf(name, financials.typesetter.statement(sheet).await?))
}

async fn on_paper(app: &App, caller: &Caller, patient: PatientId) -> Result<SheetPatient, Problem> {
    let (patient, _) = app.patients.queries.patient(caller, patient).await?;
    Ok(SheetPatient { name: patient.name, mrn: patient.mrn.to_string() })
}

fn pdf(name: String, bytes: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/pdf"))
        .insert_header((CONTENT_DISPOSITION, format!("inline; filename=\"{name}\"")))
        .body(bytes)
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = SummaryBy)]
enum ByBody {
    #[default]
    Day,
    Month,
    Task,
    Method,
}

impl From<ByBody> for SummaryBy {
    fn from(by: ByBody) -> Self {
        match by {
            ByBody::Day => Self::Day,
            ByBody::Month => Self::Month,
            ByBody::Task => Self::Task,
            ByBody::Method => Self::Method,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SummaryParams {
    /// From this moment on; without, 30 days before `to`.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Before this moment; without, now. At most 3,660 days after `from`.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// Days and months are those of UTC.
    #[serde(default)]
    #[param(inline)]
    by: ByBody,
}

const DEFAULT_SUMMARY_DAYS: u64 = 30;

impl SummaryParams {
    fn period(&self, now: Timestamp) -> Result<Period, Problem> {
        // What happened in this very millisecond has happened.
        let to = self.to.unwrap_or_else(|| now.plus(Duration::from_millis(1)));
        let from = self.from.unwrap_or_else(|| to.minus(Duration::from_secs(DEFAULT_SUMMARY_DAYS * 24 * 60 * 60)));
        Ok(Period::new(from, to)?)
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SummaryRow)]
struct SummaryRowBody {
    /// The day (`2026-03-01`), the month (`2026-03`), the code of the task (`other` for charges without), or the method.
    #[schema(example = "2026-03-01")]
    key: String,
    #[serde(flatten)]
    totals: TotalsBody,
}

impl From<SummaryRow> for SummaryRowBody {
    fn from(SummaryRow { key, totals }: SummaryRow) -> Self {
        Self { key, totals: totals.into() }
    }
}

/// What happened in the house in a period: each charge, void, payment and refund at its own time.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Summary)]
struct SummaryBody {
    #[schema(value_type = String, format = DateTime)]
    from: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    to: Timestamp,
    #[schema(example = "day")]
    by: &'static str,
    /// In the order of their keys; only those under which something happened. By method, charged and voided are zero:
    /// what is charged has no method yet.
    rows: Vec<SummaryRowBody>,
    totals: TotalsBody,
}

impl From<Summary> for SummaryBody {
    fn from(summary: Summary) -> Self {
        Self {
            from: summary.period.from(),
            to: summary.period.to(),
            by: summary.by.as_str(),
            rows: summary.rows.into_iter().map(SummaryRowBody::from).collect(),
            totals: summary.totals.into(),
        }
    }
}

/// The sums of the house by day, month, task or method, for charts
#[utoipa::path(tag = "Financials", params(SummaryParams), security(("token" = [])), responses((status = 200, body = SummaryBody)))]
#[get("/v1/financials/summary")]
async fn read_summary(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    Params(params): Params<SummaryParams>,
) -> Result<impl Responder, Problem> {
    let period = params.period(app.gate.now())?;
    let summary = app.financials.queries.summary(&caller, period, params.by.into()).await?;
    Ok(web::Json(SummaryBody::from(summary)))
}
