//! The book, for finance.

pub mod named;

use std::collections::BTreeMap;

use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::{HttpResponse, get, web};
use billing::report;
use ledger::check::CheckReport;
use ledger::report::TrialLine;
use serde::{Deserialize, Serialize};
use store::{Amount, Tx};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::auth::Finance;
use crate::book::as_of::AsOfQuery;
use crate::problem::Result;
use crate::stream::streamed;

pub fn configure(routes: &mut ServiceConfig<'_>) {
    routes.service(trial_balance).service(journal).service(check);
    named::configure(routes);
}

/// One account code in one asset.
#[derive(Serialize, ToSchema)]
pub struct Line {
    #[schema(example = "customer_wallet")]
    account: &'static str,
    #[schema(example = "USD")]
    asset: String,
    #[schema(value_type = String, example = "0.000000")]
    debit: Amount,
    #[schema(value_type = String, example = "12.340000")]
    credit: Amount,
}

#[derive(Serialize, ToSchema)]
pub struct TrialBalance {
    lines: Vec<Line>,
    /// Debits less credits by asset: always zero.
    #[schema(value_type = BTreeMap<String, String>)]
    totals: BTreeMap<String, Amount>,
}

impl From<Vec<TrialLine>> for TrialBalance {
    fn from(lines: Vec<TrialLine>) -> Self {
        let mut totals = BTreeMap::new();
        for line in &lines {
            let total: &mut Amount = totals.entry(line.asset.clone()).or_default();
            *total = *total + line.debit - line.credit;
        }
        let lines = lines.into_iter().map(|line| Line {
            account: line.code.text(),
            asset: line.asset,
            debit: line.debit,
            credit: line.credit,
        });
        Self { lines: lines.collect(), totals }
    }
}

/// A stored value that is not what the entries say.
#[derive(Serialize, ToSchema)]
pub struct Difference {
    what: &'static str,
    id: String,
    stored: String,
    derived: String,
}

/// The book, derived again from its entries.
#[derive(Serialize, ToSchema)]
pub struct Check {
    clean: bool,
    accounts: u64,
    transactions: u64,
    entries: u64,
    holds: u64,
    differences: Vec<Difference>,
    #[schema(value_type = BTreeMap<String, String>)]
    trial_balance: BTreeMap<String, Amount>,
}

impl From<CheckReport> for Check {
    fn from(report: CheckReport) -> Self {
        let clean = report.is_clean();
        let differences = report.differences.into_iter().map(|found| Difference {
            what: found.what,
            id: found.id,
            stored: found.stored,
            derived: found.derived,
        });
        Self {
            clean,
            accounts: report.accounts,
            transactions: report.transactions,
            entries: report.entries,
            holds: report.holds,
            differences: differences.collect(),
            trial_balance: report.trial_balance,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    #[default]
    Csv,
    Hledger,
    Beancount,
    Jsonl,
    Xlsx,
}

impl Format {
    /// The whole journal in this format.
    pub fn write(self, tx: &mut Tx<'_>, out: &mut dyn std::io::Write) -> Result<()> {
        match self {
            Self::Csv => ledger::export::csv(tx, out)?,
            Self::Hledger => ledger::export::hledger(tx, out)?,
            Self::Beancount => ledger::export::beancount(tx, out)?,
            Self::Jsonl => ledger::export::jsonl(tx, out)?,
            Self::Xlsx => {
                let all = report::Question::default();
                report::find("journal")?.write(tx, &all, report::Format::Xlsx, out)?;
            }
        }
        Ok(())
    }

    /// Media type, and the name of a file of it.
    fn file(self) -> (&'static str, &'static str) {
        match self {
            Self::Csv => ("text/csv; charset=utf-8", "journal.csv"),
            Self::Hledger => ("text/plain; charset=utf-8", "journal.hledger"),
            Self::Beancount => ("text/plain; charset=utf-8", "journal.beancount"),
            Self::Jsonl => ("application/x-ndjson", "journal.jsonl"),
            Self::Xlsx => (report::Format::Xlsx.media_type(), "journal.xlsx"),
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct JournalQuery {
    /// `csv` if not named.
    #[serde(default)]
    #[param(required = false, inline)]
    format: Format,
}

/// Trial balance
#[utoipa::path(tag = "finance", security(("bearer" = [])), params(AsOfQuery), responses(
    (status = 200, description = "Debit and credit balances by account code.", body = TrialBalance),
))]
#[get("/v1/ledger/trial-balance")]
async fn trial_balance(
    app: App,
    _finance: Finance,
    query: web::Query<AsOfQuery>,
) -> Result<HttpResponse> {
    let as_of = query.read()?;
    let lines = app.read(move |tx| Ok(ledger::report::trial_balance_as_of(tx, as_of)?)).await?;
    Ok(HttpResponse::Ok().json(TrialBalance::from(lines)))
}

/// Journal
///
/// Sent while it is read: its length does not matter.
#[utoipa::path(tag = "finance", security(("bearer" = [])), params(JournalQuery), responses(
    (status = 200, description = "Every entry: CSV, a workbook, JSON Lines, or what hledger or beancount reads.",
        content((String = "text/csv"), (String = "text/plain"), (String = "application/x-ndjson"),
        (String = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"))),
))]
#[get("/v1/ledger/journal")]
async fn journal(
    app: App,
    _finance: Finance,
    query: web::Query<JournalQuery>,
) -> Result<HttpResponse> {
    let format = query.format;
    let (kind, name) = format.file();
    let mut answer = HttpResponse::Ok();
    answer
        .content_type(kind)
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")));
    streamed(app.store.clone(), answer, move |tx, out| format.write(tx, out)).await
}

/// Check the book
///
/// Derives every balance again from the entries.
#[utoipa::path(operation_id = "check_ledger", tag = "finance", security(("bearer" = [])), responses(
    (status = 200, description = "What was read and what does not agree.", body = Check),
))]
#[get("/v1/ledger/check")]
async fn check(app: App, _finance: Finance) -> Result<HttpResponse> {
    let report = app.read(|tx| Ok(ledger::check::check(tx)?)).await?;
    Ok(HttpResponse::Ok().json(Check::from(report)))
}
