//! `/v1/messages`: what is told to people outside, for whoever looks after it. What a message says is in no answer.

use actix_web::{HttpResponse, Responder, get, post, web};
use infirmary_kernel::{MessageId, Permission, PhoneNumber, ReportId, Timestamp};
use infirmary_messaging::{Message, MessageState, Queries, RecordDeliveries, RetryMessage};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    App,
    extract::{Params, PathId, SignedIn, page},
    page::PageBody,
    problem::{Problem, ProblemBody},
};

pub struct Messages {
    pub queries: Queries,
    pub retry: RetryMessage,
    /// Of a house whose provider calls back.
    pub deliveries: Option<RecordDeliveries>,
}

pub fn routes(config: &mut impl crate::http::Operations) {
    config
        .service(Permission::ManageMessages, list)
        .service(Permission::ManageMessages, read)
        .service(Permission::ManageMessages, retry);
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = MessageFailure)]
struct FailureBody {
    /// `expired`: it was over before it could be sent; `unreachable`: every try failed; `recipient`: they cannot be written
    /// to; `rejected`: a template or a setting is wrong; `undelivered`: the provider took it, and did not deliver it.
    #[schema(example = "recipient")]
    reason: &'static str,
    /// The provider's own number for it.
    #[schema(example = 131_026)]
    code: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Message)]
struct MessageBody {
    #[schema(value_type = String, format = Uuid)]
    id: MessageId,
    #[schema(value_type = String, example = "+9647501234567")]
    recipient: PhoneNumber,
    /// `oneTimeCode`, `emergencyAccess` or `reportReady`
    #[schema(example = "reportReady")]
    kind: &'static str,
    /// The report that it tells of.
    #[schema(value_type = Option<String>, format = Uuid)]
    report_id: Option<ReportId>,
    /// `pending`, `sent` or `failed`
    #[schema(example = "failed")]
    status: &'static str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When its status or its delivery became what it is.
    #[schema(value_type = String, format = DateTime)]
    changed_at: Timestamp,
    /// From then on it is not sent any more.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// How often it was tried.
    tries: u32,
    /// How far it has come, of one that was sent: `sent`, `delivered` or `read`.
    delivery: Option<&'static str>,
    failure: Option<FailureBody>,
    /// Whether `retry` would send it. A code is not kept when it has failed: who waits for it asks for a new one.
    can_be_sent_again: bool,
}

impl From<Message> for MessageBody {
    fn from(message: Message) -> Self {
        Self {
            can_be_sent_again: message.can_be_sent_again(),
            id: message.id,
            recipient: message.recipient,
            kind: message.kind.as_str(),
            report_id: message.report,
            status: message.state.as_str(),
            created_at: message.created,
            changed_at: message.changed,
            expires_at: message.expires,
            tries: message.tries,
            delivery: message.delivery.map(|delivery| delivery.as_str()),
            failure: message.failure.map(|failure| FailureBody { reason: failure.reason.as_str(), code: failure.code }),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// `pending`, `sent` or `failed`; all of them without.
    #[param(example = "failed")]
    status: Option<String>,
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Messages, newest first; for an admin. Kept for 30 days
#[utoipa::path(tag = "Messages", params(ListParams), security(("token" = [])), responses((status = 200, body = PageBody<MessageBody>)))]
#[get("/v1/messages")]
async fn list(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    Params(params): Params<ListParams>,
) -> Result<impl Responder, Problem> {
    let state = params.status.as_deref().map(str::parse::<MessageState>).transpose()?;
    let request = page(params.limit, params.cursor.as_deref())?;
    let found = app.messages.queries.list(&caller, state, &request).await?;
    Ok(web::Json(PageBody::from(found.map(MessageBody::from))))
}

/// One message; for an admin
#[utoipa::path(tag = "Messages", params(("id" = String, Path, format = Uuid)), security(("token" = [])), responses((status = 200, body = MessageBody), (status = 404, body = ProblemBody)))]
#[get("/v1/messages/{id}")]
async fn read(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<infirmary_kernel::marker::Message>,
) -> Result<impl Responder, Problem> {
    Ok(web::Json(MessageBody::from(app.messages.queries.find(&caller, id).await?)))
}

/// Send a message again that has failed; for an admin. It is pending afterwards
#[utoipa::path(tag = "Messages", params(("id" = String, Path, format = Uuid)), security(("token" = [])), responses((status = 202, body = MessageBody), (status = 404, body = ProblemBody), (status = 409, body = ProblemBody, description = "It has not failed, or what it said is not kept")))]
#[post("/v1/messages/{id}/retry")]
async fn retry(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<infirmary_kernel::marker::Message>,
) -> Result<HttpResponse, Problem> {
    let again = app.messages.retry.run(&caller, id).await?;
    Ok(HttpResponse::Accepted().json(MessageBody::from(again)))
}
