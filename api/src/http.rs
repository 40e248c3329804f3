//! What every request goes through: its id, the guard against panics, limits, and the answers for
//! routes that do not exist.

use std::panic::AssertUnwindSafe;

use actix_web::body::MessageBody;
use actix_web::dev::{ResourceDef, ServiceRequest, ServiceResponse};
use actix_web::http::header::{ALLOW, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use futures_util::FutureExt;
use tracing::Instrument;
use utoipa::openapi::OpenApi;

use crate::problem::{Code, Problem};

pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the request that this task answers.
pub fn request_id() -> Option<String> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Gives the request an id, turns a panic into a problem, and logs the outcome. Ids come from
/// here, never from the client: two requests cannot share one in the log.
pub async fn guard<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let id = format!("req_{}", uuid::Uuid::now_v7().simple());
    let span =
        tracing::info_span!("request", id, method = %request.method(), path = request.path());
    let answer = async {
        readable(&request)?;
        next.call(request).await
    };
    let work = AssertUnwindSafe(CURRENT.scope(id.clone(), answer)).catch_unwind();
    let mut response = work.instrument(span.clone()).await.unwrap_or_else(|_| {
        tracing::error!(parent: &span, "panicked");
        Err(Problem::new(Code::Internal).for_request(&id).into())
    })?;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    tracing::debug!(parent: &span, status = response.status().as_u16(), "answered");
    Ok(response)
}

/// Text with NUL, which PostgreSQL cannot keep: no path names anything by it, no query asks for it.
fn readable(request: &ServiceRequest) -> Result<(), Problem> {
    const NUL: &str = "%00";
    if request.path().contains(NUL) {
        return Err(Problem::new(Code::UnknownRoute));
    }
    if request.query_string().contains(NUL) {
        let detail = "A query holds no character U+0000.";
        return Err(Problem::new(Code::InvalidQuery).detail(detail));
    }
    Ok(())
}

/// Which methods each documented path takes, to tell 405 from 404.
pub struct RouteMap(Vec<(ResourceDef, Vec<&'static str>)>);

impl RouteMap {
    pub fn new(spec: &OpenApi) -> Self {
        let paths = spec.paths.paths.iter().map(|(path, item)| {
            let methods = [
                ("GET", item.get.is_some()),
                ("PUT", item.put.is_some()),
                ("POST", item.post.is_some()),
                ("PATCH", item.patch.is_some()),
                ("DELETE", item.delete.is_some()),
            ];
            let taken = methods.iter().filter(|(_, taken)| *taken).map(|(name, _)| *name);
            (ResourceDef::new(path.as_str()), taken.collect())
        });
        Self(paths.collect())
    }

    fn methods(&self, path: &str) -> Option<&[&'static str]> {
        let found = self.0.iter().find(|(definition, _)| definition.is_match(path));
        found.map(|(_, methods)| methods.as_slice())
    }
}

/// No handler took the request.
pub async fn no_route(request: HttpRequest, routes: web::Data<RouteMap>) -> HttpResponse {
    let Some(methods) = routes.methods(request.path()) else {
        return Problem::new(Code::UnknownRoute).error_response();
    };
    let mut response = Problem::new(Code::MethodNotAllowed).error_response();
    if let Ok(allow) = HeaderValue::from_str(&methods.join(", ")) {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}

/// An id in a path that cannot be one names nothing.
pub fn bad_path(_: actix_web::error::PathError, _: &HttpRequest) -> actix_web::Error {
    Problem::new(Code::NotFound).into()
}

pub fn bad_query(error: actix_web::error::QueryPayloadError, _: &HttpRequest) -> actix_web::Error {
    Problem::new(Code::InvalidQuery).detail(error.to_string()).into()
}

#[cfg(test)]
mod tests {
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, init_service, read_body_json, try_call_service};
    use actix_web::{App, web};

    async fn panics() -> &'static str {
        panic!("a secret of the house")
    }

    #[actix_web::test]
    async fn a_panic_is_a_problem_that_tells_nothing() {
        let app = App::new().wrap(from_fn(super::guard)).route("/", web::get().to(panics));
        let service = init_service(app).await;
        let error = try_call_service(&service, TestRequest::get().uri("/").to_request()).await;
        let response = error.err().unwrap().error_response();
        assert_eq!(response.status().as_u16(), 500);
        let request = TestRequest::get().to_http_request();
        let response = actix_web::dev::ServiceResponse::new(request, response);
        let body: serde_json::Value = read_body_json(response).await;
        assert_eq!(body["code"], "internal");
        assert!(body["request_id"].as_str().unwrap().starts_with("req_"));
        assert!(!body.to_string().contains("secret"));
    }
}
