//! Reports by name, in every format: the registry is `billing::report`.

use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::{HttpResponse, HttpResponseBuilder, get, web};
use billing::report::{self, Format, Report, Words};
use ledger::export::Slice;
use serde::{Deserialize, Serialize};
use store::Day;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::auth::Finance;
use crate::problem::{Code, Problem, Result};
use crate::stream::streamed;

/// Where an incremental export goes on.
pub const CURSOR: &str = "Driveway-Cursor";

pub fn configure(routes: &mut ServiceConfig<'_>) {
    routes.service(list).service(sealed_journal).service(show);
}

/// How a report is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum As {
    /// One object, rows as objects; amounts are strings.
    #[default]
    Json,
    /// RFC 4180 with a header; no text is a formula.
    Csv,
    /// A workbook; amounts and days are numbers.
    Xlsx,
}

impl From<As> for Format {
    fn from(of: As) -> Self {
        match of {
            As::Json => Self::Json,
            As::Csv => Self::Csv,
            As::Xlsx => Self::Xlsx,
        }
    }
}

/// What there is to ask for.
#[derive(Serialize, ToSchema)]
struct ReportInfo {
    #[schema(example = "trial_balance")]
    name: &'static str,
    #[schema(example = "Trial balance")]
    title: &'static str,
    about: &'static str,
    /// Query parameters that it takes.
    #[schema(example = json!(["as_of", "by"]))]
    parameters: Vec<&'static str>,
    #[schema(example = json!(["place", "account", "asset", "debit", "credit"]))]
    columns: Vec<&'static str>,
}

impl From<&Report> for ReportInfo {
    fn from(of: &Report) -> Self {
        Self {
            name: of.name,
            title: of.title,
            about: of.about,
            parameters: of.takes.iter().flat_map(|param| param.names()).copied().collect(),
            columns: of.columns.iter().map(|column| column.name).collect(),
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ReportQuery {
    /// `json` if not named.
    #[serde(default)]
    #[param(required = false, inline)]
    format: As,
    /// Up to this day and with it; today if not named. The list says which reports take what.
    #[param(example = "2026-11-30")]
    as_of: Option<String>,
    /// The first day of the period; from the beginning if not named.
    #[param(example = "2026-11-01")]
    from: Option<String>,
    /// The last day of the period; today if not named.
    #[param(example = "2026-11-30")]
    to: Option<String>,
    /// By which of its times an entry counts: `booked` if not named, `posted` or `effective`.
    by: Option<String>,
    /// An account's id.
    account: Option<String>,
    /// A payout's id.
    payout: Option<String>,
    /// `net` if not named, or `gross`.
    presentation: Option<String>,
}

/// What reports there are
#[utoipa::path(operation_id = "list_reports", tag = "finance", security(("bearer" = [])),
    responses((status = 200, description = "Every report.", body = Vec<ReportInfo>)))]
#[get("/v1/reports")]
async fn list(_finance: Finance) -> HttpResponse {
    let reports: Vec<ReportInfo> = report::ALL.into_iter().map(ReportInfo::from).collect();
    HttpResponse::Ok().json(reports)
}

/// A report
///
/// Sent while it is read: its length does not matter. The same question to the same book gives the
/// same bytes.
#[utoipa::path(operation_id = "show_report", tag = "finance", security(("bearer" = [])),
    params(("name" = String, Path, description = "Such as `trial_balance`."), ReportQuery),
    responses((status = 200, description = "The report in the format that was asked for.",
        content((Object = "application/json"), (String = "text/csv"),
        (String = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")))))]
#[get("/v1/reports/{name}")]
async fn show(
    app: App,
    _finance: Finance,
    name: web::Path<String>,
    query: web::Query<ReportQuery>,
) -> Result<HttpResponse> {
    let report = report::find(&name)?;
    let ReportQuery { format, as_of, from, to, by, account, payout, presentation } =
        query.into_inner();
    let words = Words { as_of, from, to, by, account, payout, presentation };
    let question = words.read(report, Day::of(app.store.now()))?;
    let answer = attachment(report, format.into());
    streamed(app.store.clone(), answer, move |tx, out| {
        Ok(report.write(tx, &question, format.into(), out)?)
    })
    .await
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SealedQuery {
    #[serde(default)]
    #[param(required = false, inline)]
    format: As,
    /// The `Driveway-Cursor` of the answer before; 0 or nothing for the first.
    #[param(minimum = 0, example = 0)]
    since: Option<i64>,
}

/// The journal since a cursor
///
/// What was sealed since: every transaction is in one answer only, however late it was committed. The
/// header `Driveway-Cursor` says where to go on. What is not sealed yet, some seconds of business, comes
/// with the next.
#[utoipa::path(operation_id = "export_journal", tag = "finance", security(("bearer" = [])),
    params(SealedQuery), responses((status = 200, description = "One row per entry.",
        headers(("Driveway-Cursor" = i64, description = "`since` of the next.")),
        content((Object = "application/json"), (String = "text/csv"),
        (String = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")))))]
#[get("/v1/reports/journal/sealed")]
async fn sealed_journal(
    app: App,
    _finance: Finance,
    query: web::Query<SealedQuery>,
) -> Result<HttpResponse> {
    let SealedQuery { format, since } = query.into_inner();
    let after = since.unwrap_or(0);
    let upto = app.read(|tx| Ok(ledger::proof::head(tx)?.number)).await?;
    if !(0..=upto).contains(&after) {
        let detail = "`since` is the cursor of an earlier answer";
        return Err(Problem::new(Code::InvalidQuery).detail(detail));
    }
    let report = report::find("journal")?;
    let facts = vec![("since", after.to_string()), ("cursor", upto.to_string())];
    let mut answer = attachment(report, format.into());
    answer.insert_header((CURSOR, upto.to_string()));
    streamed(app.store.clone(), answer, move |tx, out| {
        let slice = Slice::Blocks { after, upto };
        Ok(report::write_rows(report, &facts, format.into(), out, |rows| {
            report::journal(tx, &slice, rows)
        })?)
    })
    .await
}

fn attachment(report: &Report, format: Format) -> HttpResponseBuilder {
    let name = format!("attachment; filename=\"{}.{}\"", report.name, format.text());
    let mut answer = HttpResponse::Ok();
    answer.content_type(format.media_type()).insert_header((CONTENT_DISPOSITION, name));
    answer
}

impl From<report::Error> for Problem {
    fn from(error: report::Error) -> Self {
        use report::Error as E;
        let detail = error.to_string();
        match error {
            E::Store(error) => error.into(),
            E::Ledger(ledger::Error::UnknownAccount(_)) | E::Unknown(_) => {
                Self::new(Code::NotFound).detail(detail)
            }
            E::Ledger(error) => error.into(),
            E::Question(_) | E::TooLarge(_) => Self::new(Code::InvalidQuery).detail(detail),
            E::Disagrees(_) | E::Output(_) => Self::internal(detail),
        }
    }
}
