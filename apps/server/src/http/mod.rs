//! The HTTP application: one list of routes, from which the document is made too.

pub mod access;
pub mod accounts;
pub mod audit;
pub mod auth;
pub mod care_teams;
pub mod codes;
pub mod diagnoses;
pub mod docs;
pub mod download;
pub mod edge;
pub mod extract;
pub mod factors;
pub mod financials;
pub mod health;
pub mod images;
pub mod incoming;
pub mod legacy;
pub mod links;
pub mod messages;
pub mod metrics;
pub mod money;
pub mod nullable;
pub mod page;
pub mod patients;
pub mod problem;
pub mod reports;
pub mod studies;
pub mod tasks;
pub mod upload;
pub mod verify;
pub mod webhooks;

use std::{net::IpAddr, sync::Arc};

use actix_web::{HttpRequest, HttpResponse, dev::HttpServiceFactory, http::Method, web};
use infirmary_kernel::{Gate, Objects, Readiness};
use secrecy::SecretString;
use utoipa::openapi::{
    self, ComponentsBuilder, OpenApi, OpenApiBuilder, RefOr, Schema,
    path::{Operation, PathItem},
};
use utoipa_actix_web::OpenApiFactory;

use self::{access::Access, metrics::Metrics, problem::Problem};

/// What handlers work with: the use cases of each domain, wired. Nothing here knows an adapter.
pub struct App {
    pub gate: Gate,
    pub auth: auth::Auth,
    pub codes: codes::Codes,
    pub factors: factors::Factors,
    pub accounts: accounts::Accounts,
    pub patients: patients::Patients,
    pub care_teams: care_teams::CareTeams,
    pub diagnoses: diagnoses::Diagnoses,
    pub studies: studies::Studies,
    pub reports: reports::Reports,
    pub links: links::Links,
    pub legacy: legacy::Legacy,
    pub tasks: tasks::Tasks,
    pub audit: audit::Audit,
    pub financials: financials::Financials,
    pub messages: messages::Messages,
    pub store: Arc<dyn Readiness>,
    pub objects: Arc<dyn Objects>,
    pub metrics: Metrics,
    pub metrics_token: Option<SecretString>,
    pub trusted_proxies: Vec<IpAddr>,
    pub cors_origins: Vec<String>,
}

/// Where operations are listed: the application that serves them, or the document that describes them. Each worker makes an
/// application of its own; the document is made once.
pub trait Operations: Sized {
    /// Lists an operation with its entry in the table of permissions: the permission that its use case asks for, or one of
    /// the other values of [`Access`].
    fn service(
        &mut self,
        access: impl Into<Access>,
        operation: impl HttpServiceFactory + OpenApiFactory + 'static,
    ) -> &mut Self;

    fn configure(&mut self, routes: impl FnOnce(&mut Self)) -> &mut Self {
        routes(self);
        self
    }
}

impl Operations for web::ServiceConfig {
    fn service(
        &mut self,
        _: impl Into<Access>,
        operation: impl HttpServiceFactory + OpenApiFactory + 'static,
    ) -> &mut Self {
        self.service(operation)
    }
}

/// What operations say of themselves.
#[derive(Default)]
struct Described {
    paths: openapi::Paths,
    schemas: Vec<(String, RefOr<Schema>)>,
}

impl Operations for Described {
    fn service(
        &mut self,
        access: impl Into<Access>,
        operation: impl HttpServiceFactory + OpenApiFactory + 'static,
    ) -> &mut Self {
        let access = access.into();
        let mut paths = operation.paths();
        paths.paths.values_mut().flat_map(operations_of).for_each(|operation| access.describe(operation));
        self.paths.merge(paths);
        operation.schemas(&mut self.schemas);
        self
    }
}

fn operations_of(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.patch, &mut item.put, &mut item.delete].into_iter().flatten()
}

/// Every operation of the API. What is not in this list is neither served nor documented.
pub fn routes(config: &mut impl Operations) {
    config
        .configure(auth::routes)
        .configure(codes::routes)
        .configure(factors::routes)
        .configure(accounts::routes)
        .configure(patients::routes)
        .configure(care_teams::routes)
        .configure(studies::routes)
        .configure(images::routes)
        .configure(links::routes)
        .configure(diagnoses::routes)
        .configure(reports::routes)
        .configure(verify::routes)
        .configure(tasks::routes)
        .configure(audit::routes)
        .configure(financials::routes)
        .configure(messages::routes)
        .configure(webhooks::routes)
        .configure(health::routes);
}

/// The same, with the routes of the replaced system where they are served.
pub fn routes_with<O: Operations>(legacy_api: bool) -> impl FnOnce(&mut O) {
    move |config| {
        config.configure(routes);
        if legacy_api {
            config.configure(legacy::routes);
        }
    }
}

/// The OpenAPI document, from the code.
pub fn openapi(legacy_api: bool) -> OpenApi {
    let mut described = Described::default();
    described.configure(routes_with(legacy_api));
    let Described { paths, schemas } = described;
    let components = ComponentsBuilder::new().schemas_from_iter(schemas).build();
    docs::described(OpenApiBuilder::new().paths(paths).components(Some(components)).build())
}

/// Each with its method and path.
pub fn operations(document: &OpenApi) -> impl Iterator<Item = (Method, &str, &Operation)> {
    let at = |(path, item)| methods_of(item).map(move |(method, operation)| (method, String::as_str(path), operation));
    document.paths.paths.iter().flat_map(at)
}

fn methods_of(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    let methods = [
        (Method::GET, &item.get),
        (Method::POST, &item.post),
        (Method::PATCH, &item.patch),
        (Method::PUT, &item.put),
        (Method::DELETE, &item.delete),
    ];
    methods.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

/// What is at an address of which some methods are served: for the answer to the others.
pub struct Paths(Vec<(actix_web::dev::ResourceDef, Vec<Method>)>);

impl Paths {
    pub fn of(document: &OpenApi) -> Self {
        let methods = |item: &PathItem| {
            // What answers GET answers HEAD, too.
            let too = |method: &Method| (method == Method::GET).then_some(Method::HEAD);
            methods_of(item).flat_map(|(method, _)| [too(&method), Some(method)].into_iter().rev().flatten()).collect()
        };
        let paths = &document.paths.paths;
        Self(
            paths.iter().map(|(path, item)| (actix_web::dev::ResourceDef::new(path.as_str()), methods(item))).collect(),
        )
    }

    fn allowed(&self, path: &str) -> Option<&[Method]> {
        self.0.iter().find(|(pattern, _)| pattern.is_match(path)).map(|(_, methods)| methods.as_slice())
    }
}

/// What no route takes: another method than those of the address, or an address that is none.
pub async fn elsewhere(paths: web::Data<Paths>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    Err(match paths.allowed(request.path()) {
        Some(methods) => Problem::method_not_allowed(methods.to_vec()),
        None => Problem::not_found("there is nothing at this address; all addresses are in /openapi.json"),
    })
}

/// Browsers may call from the listed origins, and from no other. No cookies: whoever calls sends a token.
pub fn cors(origins: &[String]) -> actix_cors::Cors {
    let cors = actix_cors::Cors::default()
        .allowed_methods(["GET", "POST", "PATCH", "PUT", "DELETE"])
        .allowed_headers([
            "authorization",
            "content-type",
            "if-match",
            "idempotency-key",
            "range",
            "x-access-token",
            "uid",
        ])
        .expose_headers(["etag", "x-request-id", "content-range", "retry-after", "x-access-token"])
        .max_age(3_600);
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
}
