//! The specification of the API, gathered from the handlers.

use actix_web::{HttpResponse, get, web};
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, OpenApi as Spec, Ref, RefOr, ResponseBuilder, path::Operation,
};
use utoipa_actix_web::AppExt;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::problem::{self, FieldError, ProblemBody, Result};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Driveway",
        description = "A market for the compute in parked cars.\n\n\
            Money is `{\"amount\": \"12.340000\", \"currency\": \"USD\"}`, times are RFC 3339 in \
            UTC, ids are opaque. Refusals are problem documents (RFC 9457); act on their `code`, \
            the list is at `/problems`. A POST that moves money or work takes an \
            `Idempotency-Key`: sent again with the same key and body it answers as the first \
            time, with the header `Idempotent-Replayed: true`. Answers are kept for 24 hours at \
            least.",
    ),
    components(schemas(ProblemBody, FieldError))
)]
struct Base;

/// Every route of the API. What is not here is not served.
pub fn routes(routes: &mut ServiceConfig<'_>) {
    crate::identity::configure(routes);
    crate::audit::configure(routes);
    crate::blobs::configure(routes);
    crate::deposit::configure(routes);
    crate::wallet::configure(routes);
    crate::job::configure(routes);
    crate::vehicle::configure(routes);
    crate::earnings::configure(routes);
    crate::personal::configure(routes);
    crate::payout::configure(routes);
    crate::market::configure(routes);
    crate::ban::configure(routes);
    crate::approval::configure(routes);
    crate::book::configure(routes);
    crate::reports::configure(routes);
    crate::proof::configure(routes);
    routes.service(healthz).service(openapi_json).service(problems);
}

/// The specification.
pub fn spec() -> Spec {
    let app = actix_web::App::new().into_utoipa_app().openapi(Base::openapi());
    let (_, mut spec) = app.configure(routes).split_for_parts();
    spec.info.version = env!("CARGO_PKG_VERSION").to_owned();
    let scheme = |about: &str| {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(about));
        SecurityScheme::Http(bearer.build())
    };
    let components = spec.components.get_or_insert_default();
    components.add_security_scheme("bearer", scheme("An access token from `/v1/login`."));
    components.add_security_scheme(
        "vehicle",
        scheme("A car's token, from `/v1/vehicles/token`, or the one told when it was added."),
    );
    for (path, item) in &mut spec.paths.paths {
        let operations = [
            &mut item.get,
            &mut item.head,
            &mut item.put,
            &mut item.post,
            &mut item.patch,
            &mut item.delete,
        ];
        for operation in operations.into_iter().flatten() {
            add_refusals(path, operation);
        }
    }
    spec
}

/// The refusals that every operation of a kind has, where the handler does not say more.
fn add_refusals(path: &str, operation: &mut Operation) {
    let secured = operation.security.is_some();
    let has_body = operation.request_body.is_some();
    let has_parameters = operation.parameters.as_ref().is_some_and(|list| !list.is_empty());
    let refusals = [
        ("400", has_body || has_parameters, "The request cannot be read, or lacks a header."),
        ("401", secured, "The token is missing, not valid or expired."),
        ("403", secured, "Your role may not do this."),
        ("404", path.contains('{'), "There is no such thing, or it is another's."),
        ("413", has_body, "The body is too large."),
        ("415", has_body, "The body's media type is not taken here."),
        ("422", has_body, "A field is not valid; nothing was stored."),
        ("default", true, "Refused, or a fault of ours: see `code`."),
    ];
    for (status, applies, description) in refusals {
        let known = &mut operation.responses.responses;
        if applies && !known.contains_key(status) {
            known.insert(status.to_owned(), RefOr::T(refusal(description)));
        }
    }
}

fn refusal(description: &str) -> utoipa::openapi::Response {
    let schema = Ref::from_schema_name("Problem");
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description(description).content(problem::CONTENT_TYPE, content).build()
}

/// The specification as it is served.
pub struct SpecText(pub String);

/// This document
#[utoipa::path(tag = "service", responses(
    (status = 200, description = "OpenAPI 3.1.", body = Object),
))]
#[get("/openapi.json")]
async fn openapi_json(text: web::Data<SpecText>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(text.0.clone())
}

/// The table of problem codes
#[utoipa::path(tag = "service", responses(
    (status = 200, description = "Markdown.", body = String, content_type = "text/markdown"),
))]
#[get("/problems")]
async fn problems() -> HttpResponse {
    HttpResponse::Ok().content_type("text/markdown; charset=utf-8").body(problem::table())
}

/// Is the server up
#[utoipa::path(tag = "service", responses(
    (status = 200, description = "It is, and reaches its database.", body = Object,
        example = json!({"status": "ok"})),
    (status = 503, description = "It does not reach its database.", body = ProblemBody,
        content_type = "application/problem+json"),
))]
#[get("/healthz")]
async fn healthz(app: App) -> Result<HttpResponse> {
    app.read(|_| Ok(())).await?;
    Ok(HttpResponse::Ok().json(serde_json::json!({ "status": "ok" })))
}
