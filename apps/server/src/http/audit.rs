//! `/v1/audit` and `/v1/me/access-log`: who did what to whose record.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use actix_web::{Responder, get, web};
use infirmary_audit::{Access, Entry, EntryFilter, Head, Place, Queries, Verification, VerifyChain};
use infirmary_kernel::{
    AccountId, Action, AuditEntryId, PatientId, Permission, PersonName, Purpose, RequestId, Role, Sha256Digest,
    StoreError, Timestamp,
};
use infirmary_workflows::Overview;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    App,
    extract::{Params, SignedIn, page},
    page::PageBody,
    problem::Problem,
};

pub struct Audit {
    pub queries: Queries,
    pub verify: VerifyChain,
    /// For the names of those who acted.
    pub overview: Arc<dyn Overview>,
}

impl Audit {
    async fn names(
        &self,
        accounts: impl IntoIterator<Item = AccountId>,
    ) -> Result<HashMap<AccountId, PersonName>, StoreError> {
        let mut accounts: Vec<_> = accounts.into_iter().collect();
        accounts.sort();
        accounts.dedup();
        self.overview.names(&accounts).await
    }
}

pub fn routes(config: &mut impl crate::http::Operations) {
    config
        .service(Permission::ReadAudit, find)
        .service(Permission::ReadAudit, newest)
        .service(Permission::ReadAudit, verify)
        .service(Permission::ReadOwnAccessLog, access_log);
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditSubject)]
struct SubjectBody {
    /// The noun of the record.
    #[schema(example = "diagnosis")]
    kind: String,
    #[schema(value_type = Option<String>, format = Uuid)]
    id: Option<Uuid>,
    version: Option<u32>,
    /// Whose record it is.
    #[schema(value_type = Option<String>, format = Uuid)]
    patient_id: Option<PatientId>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditEntry)]
struct EntryBody {
    /// 0 where the log is one chain; a store of many machines has several.
    chain: u16,
    /// Its place in the chain, from 1.
    sequence: u64,
    #[schema(value_type = String, format = Uuid)]
    id: AuditEntryId,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    #[schema(value_type = Option<String>, format = Uuid)]
    account_id: Option<AccountId>,
    #[schema(value_type = Option<String>)]
    account_name: Option<PersonName>,
    #[schema(value_type = Option<String>, example = "doctor")]
    role: Option<Role>,
    /// SHA-256 of the session's id: entries of one session have the same.
    session: Option<String>,
    #[schema(value_type = Option<String>)]
    address: Option<IpAddr>,
    agent: Option<String>,
    #[schema(value_type = Option<String>, format = Uuid)]
    request_id: Option<RequestId>,
    #[schema(example = "diagnosis.confirm")]
    action: String,
    subject: SubjectBody,
    /// The names of the fields that changed.
    fields: Vec<String>,
    /// `done` or `refused`
    outcome: &'static str,
    /// The rule by which it was refused, or the reason it was done for.
    rule: Option<String>,
    /// `BTG`: the record is restricted, and they came to it by emergency access ("break the glass").
    #[schema(example = "BTG")]
    purpose: Option<&'static str>,
    #[schema(value_type = String)]
    previous: Sha256Digest,
    #[schema(value_type = String)]
    hash: Sha256Digest,
}

impl EntryBody {
    fn of(entry: Entry, names: &HashMap<AccountId, PersonName>) -> Self {
        Self {
            chain: entry.chain.get(),
            sequence: entry.sequence,
            id: entry.id,
            at: entry.at,
            account_id: entry.account,
            account_name: entry.account.and_then(|account| names.get(&account).cloned()),
            role: entry.role,
            session: entry.session.map(|session| session.to_string()),
            address: entry.address,
            agent: entry.agent,
            request_id: entry.request,
            action: entry.action.to_string(),
            subject: SubjectBody {
                kind: entry.subject.kind.into_owned(),
                id: entry.subject.id,
                version: entry.subject.version,
                patient_id: entry.subject.patient,
            },
            fields: entry.fields.into_iter().map(|field| field.into_owned()).collect(),
            outcome: entry.outcome.as_str(),
            rule: entry.rule.map(|rule| rule.into_owned()),
            purpose: entry.purpose.map(Purpose::as_str),
            previous: entry.previous,
            hash: entry.hash,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FindParams {
    /// Whose record was acted on.
    #[param(value_type = Option<String>, format = Uuid)]
    patient_id: Option<PatientId>,
    /// Who acted.
    #[param(value_type = Option<String>, format = Uuid)]
    account_id: Option<AccountId>,
    #[param(example = "diagnosis.confirm")]
    action: Option<String>,
    /// From this moment on.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Before this moment.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Find entries of the audit log, newest first; an admin who signed in within 15 minutes
#[utoipa::path(tag = "Audit", params(FindParams), security(("token" = [])), responses((status = 200, body = PageBody<EntryBody>)))]
#[get("/v1/audit")]
async fn find(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    Params(params): Params<FindParams>,
) -> Result<impl Responder, Problem> {
    let filter = EntryFilter {
        patient: params.patient_id,
        account: params.account_id,
        except_account: None,
        action: params.action.map(Action::from_stored),
        from: params.from,
        to: params.to,
    };
    let request = page(params.limit, params.cursor.as_deref())?;
    let found = app.audit.queries.entries(&caller, &filter, &request).await?;
    let names = app.audit.names(found.items.iter().filter_map(|entry| entry.account)).await?;
    Ok(web::Json(PageBody::from(found.map(|entry| EntryBody::of(entry, &names)))))
}

/// How far the log has come. Keep it elsewhere, and give it to the verification.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditHead)]
struct HeadBody {
    /// Sequence and hash of the last entry or, where the log is several chains, of the root that closes them.
    #[schema(example = "7:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")]
    head: String,
}

impl From<Head> for HeadBody {
    fn from(head: Head) -> Self {
        Self { head: head.to_string() }
    }
}

/// The head of the audit log, to be kept where this machine cannot write
#[utoipa::path(tag = "Audit", security(("token" = [])), responses((status = 200, body = HeadBody)))]
#[get("/v1/audit/head")]
async fn newest(app: web::Data<App>, SignedIn(caller): SignedIn) -> Result<impl Responder, Problem> {
    Ok(web::Json(HeadBody::from(app.audit.queries.head(&caller).await?)))
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditFault)]
struct FaultBody {
    /// Of the first entry (or root) that does not hold.
    sequence: u64,
    /// The entry's chain; absent of a root.
    chain: Option<u16>,
    detail: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditVerification)]
struct VerificationBody {
    valid: bool,
    /// The last one up to which everything holds.
    #[serde(flatten)]
    head: HeadBody,
    fault: Option<FaultBody>,
}

impl From<Verification> for VerificationBody {
    fn from(Verification { head, fault }: Verification) -> Self {
        let fault = fault.map(|fault| FaultBody {
            sequence: fault.place.sequence(),
            chain: match fault.place {
                Place::Entry { chain, .. } => Some(chain.get()),
                Place::Root { .. } => None,
            },
            detail: fault.to_string(),
        });
        Self { valid: fault.is_none(), head: head.into(), fault }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct VerifyParams {
    /// A head that was exported before: the log has to lead through it.
    head: Option<String>,
}

/// Read the whole log and tell whether it holds; an admin who signed in within 15 minutes
#[utoipa::path(tag = "Audit", params(VerifyParams), security(("token" = [])), responses((status = 200, body = VerificationBody)))]
#[get("/v1/audit/verify")]
async fn verify(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    Params(params): Params<VerifyParams>,
) -> Result<impl Responder, Problem> {
    let exported = params.head.as_deref().map(str::parse).transpose()?;
    Ok(web::Json(VerificationBody::from(app.audit.verify.run(&caller, exported).await?)))
}

/// Somebody came to the record.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Access)]
struct AccessBody {
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    #[schema(example = "diagnosis.read")]
    action: String,
    #[schema(value_type = Option<String>, example = "doctor")]
    role: Option<Role>,
    /// Of staff; who else it was is not told.
    #[schema(value_type = Option<String>)]
    name: Option<PersonName>,
    /// `done`, or `refused`: they saw nothing.
    outcome: &'static str,
    /// `BTG`: your record is restricted, and they came to it by emergency access ("break the glass").
    #[schema(example = "BTG")]
    purpose: Option<&'static str>,
    /// Of `emergencyAccess.start`: what for.
    #[schema(example = "emergencyTreatment")]
    reason: Option<String>,
}

impl AccessBody {
    fn of(access: Access, names: &HashMap<AccountId, PersonName>) -> Self {
        let staff = access.account.filter(|_| access.role.is_some_and(Role::is_staff));
        Self {
            at: access.at,
            action: access.action.to_string(),
            role: access.role,
            name: staff.and_then(|account| names.get(&account).cloned()),
            outcome: access.outcome.as_str(),
            purpose: access.purpose.map(Purpose::as_str),
            reason: access.reason.map(|reason| reason.into_owned()),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AccessParams {
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Who came to the own record, newest first; for patients
#[utoipa::path(tag = "Audit", params(AccessParams), security(("token" = [])), responses((status = 200, body = PageBody<AccessBody>)))]
#[get("/v1/me/access-log")]
async fn access_log(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    Params(params): Params<AccessParams>,
) -> Result<impl Responder, Problem> {
    let request = page(params.limit, params.cursor.as_deref())?;
    let found = app.audit.queries.access_log(&caller, &request).await?;
    let names = app.audit.names(found.items.iter().filter_map(|access| access.account)).await?;
    Ok(web::Json(PageBody::from(found.map(|access| AccessBody::of(access, &names)))))
}
