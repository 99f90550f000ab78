//! The document of the API and the page to try it at; both from the binary.

use actix_web::{HttpResponse, get, web};
use infirmary_kernel::IdempotencyKey;
use utoipa::openapi::{
    Content, ContentBuilder, Deprecated, InfoBuilder, KnownFormat, Object, ObjectBuilder, OpenApi, Ref, RefOr,
    Required, ResponseBuilder, Schema, SchemaFormat, Type,
    path::{Operation, Parameter, ParameterBuilder, ParameterIn},
    schema::SchemaType,
    security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme},
};
use utoipa_swagger_ui::SwaggerUi;

use super::extract::JSON;

/// What no single operation says.
const DESCRIPTION: &str = "\
JSON in camelCase, UTF-8. Times are RFC 3339 UTC with milliseconds, ids are UUIDs, money is minor units with its currency. \
Errors are `application/problem+json` (RFC 9457). Lists take `limit` (1 to 200) and `cursor`. A record carries an `ETag`; \
changes need it as `If-Match`. `Idempotency-Key` (1 to 255 characters) makes a request that creates safe to repeat for 48 \
hours. A JSON body has 64 KiB at most, a PNG or JPEG 20 MiB, a DICOM file 200 MiB, a PDF 10 MiB.";

/// The document of the routes, with what holds for all of them.
pub fn described(mut document: OpenApi) -> OpenApi {
    document.info =
        InfoBuilder::new().title("Infirmary").version(env!("CARGO_PKG_VERSION")).description(Some(DESCRIPTION)).build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    for (name, header) in [("legacyToken", "x-access-token"), ("legacyUid", "uid")] {
        let key = ApiKey::Header(ApiKeyValue::new(header));
        components.add_security_scheme(name, SecurityScheme::ApiKey(key));
    }
    let replaced = document.paths.paths.iter_mut().filter(|(path, _)| path.starts_with("/api/"));
    for operation in replaced.flat_map(|(_, item)| super::operations_of(item)) {
        operation.deprecated = Some(Deprecated::True);
        let text = ContentBuilder::new().schema(Some(Object::with_type(Type::String))).build();
        let refused =
            ResponseBuilder::new().description("Refused or failed; a text for people").content("text/html", text);
        operation.responses.responses.insert("default".to_owned(), refused.build().into());
    }
    for (path, item) in &mut document.paths.paths {
        for operation in super::operations_of(item) {
            name_path_parameters(path, operation);
            give_parameters_a_value(operation);
            let problem = ResponseBuilder::new()
                .description("Refused or failed")
                .content(PROBLEM_JSON, ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build())
                .build();
            operation.responses.responses.entry("default".to_owned()).or_insert_with(|| problem.into());
            type_problems(operation);
        }
    }
    document
}

/// Written once; the document does not change while the server runs.
pub struct Document(pub web::Bytes);

const PROBLEM_JSON: &str = "application/problem+json";
/// What every HTTP client can write into a header: no blanks at the ends, which are not part of a value (RFC 9110 §5.5).
const KEY_PATTERN: &str = "^[!-~]([ -~]*[!-~])?$";

/// What stands in braces is a parameter, whether or not its handler says so. Those of version 1 are ids.
fn name_path_parameters(path: &str, operation: &mut Operation) {
    let parameters = operation.parameters.get_or_insert_default();
    for name in path.split('{').skip(1).filter_map(|rest| rest.split(['}', ':']).next()) {
        let is_named = |known: &RefOr<Parameter>| matches!(known, RefOr::T(known) if matches!(known.parameter_in, ParameterIn::Path) && known.name == name);
        if parameters.iter().any(is_named) {
            continue;
        }
        let mut text = ObjectBuilder::new().schema_type(Type::String);
        if name == "id" && path.starts_with("/v1/") {
            text = text.format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)));
        }
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(text));
        parameters.push(RefOr::T(parameter.build()));
    }
}

/// A parameter may be absent, and cannot be null. A key is text that a header carries.
fn give_parameters_a_value(operation: &mut Operation) {
    let is_null = |schema: &RefOr<Schema>| {
        let RefOr::T(Schema::Object(object)) = schema else { return false };
        matches!(object.schema_type, SchemaType::Type(Type::Null))
    };
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(Parameter { name, schema: Some(schema), .. }) = parameter else { continue };
        if name == "Idempotency-Key" {
            let key = ObjectBuilder::new().schema_type(Type::String).pattern(Some(KEY_PATTERN));
            *schema = key.max_length(Some(IdempotencyKey::MAX_CHARS)).into();
            continue;
        }
        match schema {
            RefOr::T(Schema::Object(Object { schema_type, .. })) => {
                if let SchemaType::Array(types) = schema_type
                    && let [only, Type::Null] = types.as_slice()
                {
                    *schema_type = SchemaType::Type(only.clone());
                }
            }
            RefOr::T(Schema::OneOf(one_of)) => {
                one_of.items.retain(|item| !is_null(item));
                if let [only] = one_of.items.as_slice() {
                    *schema = only.clone();
                }
            }
            _ => {}
        }
    }
}

/// A problem is `application/problem+json`, also where an operation names the status.
fn type_problems(operation: &mut Operation) {
    for response in operation.responses.responses.values_mut() {
        let RefOr::T(response) = response else { continue };
        let is_problem = |content: &RefOr<Content>| {
            let RefOr::T(Content { schema: Some(RefOr::Ref(schema)), .. }) = content else { return false };
            schema.ref_location == "#/components/schemas/Problem"
        };
        if response.content.get("application/json").is_some_and(is_problem)
            && let Some(content) = response.content.shift_remove("application/json")
        {
            response.content.insert(PROBLEM_JSON.to_owned(), content);
        }
    }
}

#[get("/openapi.json")]
pub async fn openapi_json(document: web::Data<Document>) -> HttpResponse {
    HttpResponse::Ok().content_type(JSON).body(document.0.clone())
}

/// Scripts and styles from here, and the styles that the page writes itself.
pub const PAGE_CSP: &str =
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";

pub fn page() -> SwaggerUi {
    SwaggerUi::new("/docs/{_:.*}").config(utoipa_swagger_ui::Config::from("/openapi.json"))
}

#[get("/docs")]
pub async fn to_page() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header(("Location", "/docs/")).finish()
}
