//! The log of privileged acts: who, what, before, after, from where.
//!
//! An act calls [`record`] in its own transaction, so there is no act without its row and no row
//! without its act. Rows carry ids, never personal data; addresses are apart and can be erased.

mod export;
mod model;
mod store;

pub use export::Format;
pub use model::{Actor, AuditEvent, Filter, Who};
pub use store::{record, write_all};

use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::{HttpResponse, get, web};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::auth::Books;
use crate::pagination::{Page, PageQuery};
use crate::problem::{Code, Problem, Result};
use crate::stream::streamed;

pub fn configure(routes: &mut ServiceConfig<'_>) {
    routes.service(list).service(export_log);
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// By this party, user or API key; or `command_line`, `system`.
    actor: Option<String>,
    /// Such as `deposit.confirmed`.
    action: Option<String>,
    /// Of this id.
    subject: Option<String>,
    /// At this time or later, RFC 3339 or a date.
    from: Option<String>,
    /// Before this time.
    to: Option<String>,
    /// Rows of a page, 1 to 100; 20 if not named.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ExportQuery {
    /// `jsonl` if not named.
    #[serde(default)]
    #[param(required = false, inline)]
    format: Format,
    /// At this time or later, RFC 3339 or a date.
    from: Option<String>,
    /// Before this time.
    to: Option<String>,
}

fn moment(text: Option<&str>) -> Result<Option<::store::Timestamp>> {
    let bad = || Problem::new(Code::InvalidQuery).detail("a time is RFC 3339");
    text.map(|text| ::store::Timestamp::parse(text).ok_or_else(bad)).transpose()
}

/// List privileged acts
///
/// For finance and operators, oldest first.
#[utoipa::path(operation_id = "list_audit_events", tag = "service", security(("bearer" = [])),
    params(AuditQuery), responses(
    (status = 200, description = "A page of acts.", body = Page<AuditEvent>),
))]
#[get("/v1/audit")]
async fn list(app: App, _books: Books, query: web::Query<AuditQuery>) -> Result<HttpResponse> {
    let AuditQuery { actor, action, subject, from, to, limit, cursor } = query.into_inner();
    let page = PageQuery { limit, cursor }.of()?;
    let (from, to) = (moment(from.as_deref())?, moment(to.as_deref())?);
    let filter = Filter { actor, action, subject, from, to };
    let rows = app.read(move |tx| Ok(store::list(tx, &filter, page.after, page.rows())?)).await?;
    Ok(HttpResponse::Ok().json(page.page(rows, |event| event.id)))
}

/// Export privileged acts
///
/// For finance and operators. Sent while it is read: its length does not matter.
#[utoipa::path(operation_id = "export_audit_events", tag = "service", security(("bearer" = [])),
    params(ExportQuery), responses((status = 200, description = "Every act, oldest first.",
        content((String = "text/csv"), (String = "application/x-ndjson")))))]
#[get("/v1/audit/export")]
async fn export_log(
    app: App,
    _books: Books,
    query: web::Query<ExportQuery>,
) -> Result<HttpResponse> {
    let format = query.format;
    let (from, to) = (moment(query.from.as_deref())?, moment(query.to.as_deref())?);
    let filter = Filter { from, to, ..Filter::default() };
    let (kind, name) = format.file();
    let mut answer = HttpResponse::Ok();
    answer
        .content_type(kind)
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")));
    streamed(app.store.clone(), answer, move |tx, out| write_all(tx, &filter, format, out)).await
}
