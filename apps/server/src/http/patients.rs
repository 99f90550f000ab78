//! `/v1/patients`: the registry.

use actix_web::{HttpResponse, Responder, get, patch, post, web};
use infirmary_kernel::{
    AccountId, BirthDate, EmailAddress, Page, PatientId, Permission, PersonName, PhoneNumber, PostalAddress, Reach,
    Receipt, Timestamp, marker,
};
use infirmary_patients::{
    AdministrativeSex, ChangePatient, NewPatient, Patient, PatientChange, Queries, RegisterPatient, SearchTerms,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    App,
    extract::{Body, IfMatch, Params, PathId, SignedIn, created, etag, page},
    page::PageBody,
    problem::{Problem, ProblemBody},
};

pub struct Patients {
    pub register: RegisterPatient,
    pub change: ChangePatient,
    pub queries: Queries,
}

pub fn routes(config: &mut impl crate::http::Operations) {
    config
        .service(Permission::RegisterPatient, register)
        .service(Permission::FindPatients, find)
        .service(Permission::ReadPatient, read)
        .service(Permission::ChangePatient, change);
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Patient)]
pub struct PatientBody {
    #[schema(value_type = String, format = Uuid)]
    id: PatientId,
    /// The medical record number; made by the house.
    #[schema(example = "P00004175")]
    mrn: String,
    /// Absent where no more is told of a restricted patient than that there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    name: Option<PersonName>,
    /// An accountant does not see from here on, except for the phone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    birth_date: Option<BirthDate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sex: Option<Sex>,
    #[schema(value_type = Option<String>, example = "+9647501234567")]
    phone: Option<PhoneNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    email: Option<EmailAddress>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    address: Option<PostalAddress>,
    /// The account by which the patient signs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    account_id: Option<AccountId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    registered_at: Option<Timestamp>,
    /// Whether the record is open to its care team only, and to who breaks the glass.
    #[serde(skip_serializing_if = "Option::is_none")]
    restricted: Option<bool>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sex {
    Male,
    Female,
    Other,
    Unknown,
}

impl From<AdministrativeSex> for Sex {
    fn from(sex: AdministrativeSex) -> Self {
        match sex {
            AdministrativeSex::Male => Self::Male,
            AdministrativeSex::Female => Self::Female,
            AdministrativeSex::Other => Self::Other,
            AdministrativeSex::Unknown => Self::Unknown,
        }
    }
}

impl From<Sex> for AdministrativeSex {
    fn from(sex: Sex) -> Self {
        match sex {
            Sex::Male => Self::Male,
            Sex::Female => Self::Female,
            Sex::Other => Self::Other,
            Sex::Unknown => Self::Unknown,
        }
    }
}

impl From<&Patient> for PatientBody {
    fn from(patient: &Patient) -> Self {
        Self {
            id: patient.id,
            mrn: patient.mrn.to_string(),
            name: Some(patient.name.clone()),
            birth_date: patient.birth_date,
            sex: patient.sex.map(Sex::from),
            phone: patient.phone.clone(),
            email: patient.email.clone(),
            address: patient.address.clone(),
            account_id: patient.account,
            registered_at: Some(patient.registered_at),
            restricted: Some(patient.restricted),
        }
    }
}

impl PatientBody {
    fn within(reach: Reach, patient: &Patient) -> Self {
        let all = Self::from(patient);
        match reach {
            Reach::All | Reach::Own => all,
            Reach::Billing => Self {
                birth_date: None,
                sex: None,
                email: None,
                address: None,
                account_id: None,
                registered_at: None,
                restricted: None,
                ..all
            },
            Reach::Existence => {
                let restricted = all.restricted;
                Self { name: None, phone: None, restricted, ..Self::within(Reach::Billing, patient) }
            }
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewPatientBody {
    #[schema(value_type = String, min_length = 1, max_length = 200, example = "ئازاد عەلی")]
    name: PersonName,
    #[schema(value_type = Option<String>, format = Date)]
    birth_date: Option<BirthDate>,
    sex: Option<Sex>,
    /// With its country, in any spelling.
    #[schema(value_type = Option<String>, example = "+964 750 123 4567")]
    phone: Option<PhoneNumber>,
    #[schema(value_type = Option<String>, format = Email)]
    email: Option<EmailAddress>,
    #[schema(value_type = Option<String>, max_length = 500)]
    address: Option<PostalAddress>,
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RegisterParams {
    /// Register even when somebody with the same phone, or the same name and birth date, is there.
    #[serde(default)]
    allow_duplicate: bool,
}

/// Register a patient who came to the desk
#[utoipa::path(tag = "Patients", request_body = NewPatientBody, params(RegisterParams), security(("token" = [])),
    responses((status = 201, body = PatientBody), (status = 409, body = ProblemBody, description = "Probably registered already; with the candidates")))]
#[post("/v1/patients")]
async fn register(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    Params(params): Params<RegisterParams>,
    body: Body<NewPatientBody>,
) -> Result<HttpResponse, Problem> {
    let NewPatientBody { name, birth_date, sex, phone, email, address } = body.value;
    let new = NewPatient { name, birth_date, sex: sex.map(AdministrativeSex::from), phone, email, address };
    let told = |patient: &Patient| Receipt::json(&PatientBody::from(patient));
    let done = app.patients.register.run(&caller, new, params.allow_duplicate, body.idempotency, told).await?;
    Ok(created(done.into_receipt()))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FindParams {
    /// The beginning of any word of the name, of the phone or of the record number; accents and case do not matter.
    q: Option<String>,
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Find patients; without `q` all, newest first
///
/// A doctor finds restricted patients whose care team they are of; another one only by the whole record number, and then only
/// that there is one.
#[utoipa::path(tag = "Patients", params(FindParams), security(("token" = [])), responses((status = 200, body = PageBody<PatientBody>)))]
#[get("/v1/patients")]
async fn find(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    Params(params): Params<FindParams>,
) -> Result<impl Responder, Problem> {
    let terms = params.q.as_deref().map(SearchTerms::parse).transpose()?;
    let request = page(params.limit, params.cursor.as_deref())?;
    let (found, reach): (Page<Patient>, Reach) = app.patients.queries.find(&caller, terms.as_ref(), &request).await?;
    Ok(web::Json(PageBody::from(found.map(|patient| PatientBody::within(reach, &patient)))))
}

/// Read a patient
#[utoipa::path(tag = "Patients", security(("token" = [])), responses((status = 200, body = PatientBody)))]
#[get("/v1/patients/{id}")]
async fn read(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Patient>,
) -> Result<HttpResponse, Problem> {
    let (patient, reach) = app.patients.queries.patient(&caller, id).await?;
    Ok(HttpResponse::Ok().insert_header(etag(patient.version)).json(PatientBody::within(reach, &patient)))
}

/// Fields that are absent stay; `null` empties one.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PatientChangeBody {
    #[schema(value_type = Option<String>)]
    name: Option<PersonName>,
    #[serde(default, with = "super::nullable")]
    #[schema(value_type = Option<String>, format = Date)]
    birth_date: Option<Option<BirthDate>>,
    #[serde(default, with = "super::nullable")]
    #[schema(value_type = Option<Sex>)]
    sex: Option<Option<Sex>>,
    #[serde(default, with = "super::nullable")]
    #[schema(value_type = Option<String>)]
    phone: Option<Option<PhoneNumber>>,
    #[serde(default, with = "super::nullable")]
    #[schema(value_type = Option<String>)]
    email: Option<Option<EmailAddress>>,
    #[serde(default, with = "super::nullable")]
    #[schema(value_type = Option<String>)]
    address: Option<Option<PostalAddress>>,
    /// For an admin who signed in within 15 minutes: whether the record is open to its care team only.
    restricted: Option<bool>,
}

/// Change a patient; a patient changes only phone, email and address of their own
#[utoipa::path(tag = "Patients", request_body = PatientChangeBody, security(("token" = [])), params(("If-Match" = String, Header, description = "The ETag that you saw")),
    responses((status = 200, body = PatientBody), (status = 412, body = ProblemBody), (status = 428, body = ProblemBody)))]
#[patch("/v1/patients/{id}")]
async fn change(
    app: web::Data<App>,
    SignedIn(caller): SignedIn,
    PathId(id): PathId<marker::Patient>,
    IfMatch(version): IfMatch,
    body: Body<PatientChangeBody>,
) -> Result<HttpResponse, Problem> {
    let PatientChangeBody { name, birth_date, sex, phone, email, address, restricted } = body.value;
    let sex = sex.map(|sex| sex.map(AdministrativeSex::from));
    let change = PatientChange { name, birth_date, sex, phone, email, address, restricted };
    let patient = app.patients.change.run(&caller, id, version, change).await?;
    Ok(HttpResponse::Ok().insert_header(etag(patient.version)).json(PatientBody::from(&patient)))
}
