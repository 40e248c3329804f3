//! The log of a car: everything that ran on it, in plain words.

use actix_web::{HttpResponse, get, web};
use scheduler::lease::{Income, IncomeFilter, income};
use scheduler::{DataClass, EndReason, LeaseState, Purpose};
use serde::{Deserialize, Serialize};
use store::{Amount, LeaseId, Timestamp, VehicleId};
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::auth::Owner;
use crate::money::Money;
use crate::pagination::{Page, PageQuery};
use crate::problem::{Problem, Result};

/// Something that ran on a car.
#[derive(Serialize, ToSchema)]
pub struct Activity {
    #[schema(value_type = String)]
    lease: LeaseId,
    #[schema(value_type = Option<String>, format = "date-time")]
    from: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = "date-time")]
    to: Option<Timestamp>,
    /// Under which consent: `inference`, `simulation` or `video`, and `synthetic` or `non_personal`.
    purpose: &'static str,
    data_class: &'static str,
    /// Whole seconds billed.
    billed_s: i32,
    /// Yours, after the fee.
    earned: Money,
    /// In place of cash, with the bonus.
    credits: Money,
    /// What computer and car drew, watt-hours.
    energy_wh: i64,
    /// What wear of the battery it cost at most: as if all of that came from the battery; nothing
    /// for a car that works on the charger only.
    wear_at_most: Money,
    #[schema(
        example = "Computed simulations with data that was made up, for 12 minutes and 3 seconds. It earned 0.018075 USD."
    )]
    text: String,
}

impl From<Income> for Activity {
    fn from(one: Income) -> Self {
        let money = |amount: Amount| Money::new(amount, &one.money.asset);
        Self {
            text: sentence(&one),
            lease: one.lease,
            from: one.started_at,
            to: one.ended_at,
            purpose: one.purpose.as_str(),
            data_class: one.data_class.as_str(),
            billed_s: one.billed_s,
            earned: money(one.money.cash),
            credits: Money::new(one.money.credits, "CREDIT"),
            energy_wh: one.energy_wh,
            wear_at_most: money(one.wear_at_most),
        }
    }
}

/// What ran, for how long, why it ended, and what it earned.
fn sentence(one: &Income) -> String {
    let what = match one.purpose {
        Purpose::Inference => "Applied trained models",
        Purpose::Simulation => "Computed simulations",
        Purpose::Video => "Encoded or analysed recorded video",
    };
    let data = match one.data_class {
        DataClass::Synthetic => "with data that was made up",
        DataClass::NonPersonal => "with data that is not about people",
    };
    let Some(started_at) = one.started_at else {
        let end = if one.ended_at.is_some() { "was not taken" } else { "waits to be taken" };
        return format!("Work was offered and {end}; nothing ran.");
    };
    let ran = match one.ended_at {
        Some(ended_at) => format!("for {}", duration(ended_at.since(started_at))),
        None => "and still runs".to_owned(),
    };
    let ended = match one.end_reason {
        Some(EndReason::Vacated) => " The car was needed.",
        Some(EndReason::Evicted) => " It was stopped: by you, by a driver, or by an operator.",
        Some(EndReason::Lost) => " The car was not heard of any more.",
        Some(EndReason::Failed) => " The car failed.",
        Some(EndReason::Cancelled) => " The customer called it off.",
        _ => "",
    };
    let Money { amount, currency } = match one.money.credits > Amount::ZERO {
        true => Money::new(one.money.credits, "CREDIT"),
        false => Money::new(one.money.cash, &one.money.asset),
    };
    let earned = match one.state {
        LeaseState::Settled => format!(" It earned {amount} {currency}."),
        LeaseState::Ended => " What it earned is not known yet.".to_owned(),
        LeaseState::Offered | LeaseState::Running => String::new(),
    };
    format!("{what} {data}, {ran}.{ended}{earned}")
}

fn duration(us: i64) -> String {
    let seconds = us.max(0) / 1_000_000;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let parts = [(hours, "hour"), (minutes, "minute"), (seconds, "second")];
    let told = parts.into_iter().filter(|(count, _)| *count > 0);
    let words: Vec<String> = told
        .map(|(count, unit)| format!("{count} {unit}{}", if count == 1 { "" } else { "s" }))
        .collect();
    match words.len() {
        0 => "less than a second".to_owned(),
        _ => words.join(" and "),
    }
}

/// As CSV: one line for each lease.
pub fn csv(rows: &[Activity]) -> Result<String> {
    let mut out = csv::Writer::from_writer(Vec::new());
    let head = [
        "lease",
        "from",
        "to",
        "purpose",
        "data_class",
        "billed_s",
        "earned",
        "currency",
        "credits",
        "energy_wh",
        "wear_at_most",
        "text",
    ];
    out.write_record(head).map_err(Problem::internal)?;
    let at = |moment: Option<Timestamp>| moment.map_or(String::new(), |at| at.to_string());
    for row in rows {
        out.write_record([
            &row.lease.to_string(),
            &at(row.from),
            &at(row.to),
            row.purpose,
            row.data_class,
            &row.billed_s.to_string(),
            &row.earned.amount.to_string(),
            &row.earned.currency,
            &row.credits.amount.to_string(),
            &row.energy_wh.to_string(),
            &row.wear_at_most.amount.to_string(),
            &row.text,
        ])
        .map_err(Problem::internal)?;
    }
    let bytes = out.into_inner().map_err(Problem::internal)?;
    String::from_utf8(bytes).map_err(Problem::internal)
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ActivityQuery {
    /// Rows of a page, 1 to 100; 20 if not named.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// `json`, or `csv`: all that follows the cursor, 10,000 lines at most.
    #[serde(default)]
    #[param(required = false, inline)]
    format: Format,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    #[default]
    Json,
    Csv,
}

/// Most lines of a file.
const MAX_LINES: i64 = 10_000;

/// List what ran on a car
///
/// Everything, in plain words: what, for how long, and what it earned. Oldest first.
#[utoipa::path(operation_id = "list_activity", tag = "vehicles", security(("bearer" = [])),
    params(("id" = String, Path, description = "The car."), ActivityQuery),
    responses((status = 200, description = "A page of it, or a file.", content(
        (Page<Activity> = "application/json"), (String = "text/csv")))))]
#[get("/v1/vehicles/{id}/activity")]
pub async fn list(
    app: App,
    owner: Owner,
    id: web::Path<VehicleId>,
    query: web::Query<ActivityQuery>,
) -> Result<HttpResponse> {
    let ActivityQuery { limit, cursor, format } = query.into_inner();
    let page = PageQuery { limit, cursor }.of::<LeaseId>()?;
    let (party, filter) = (owner.party, IncomeFilter { vehicle: Some(*id), settled: None });
    let rows = if format == Format::Csv { MAX_LINES } else { page.rows() };
    let rows = app.read(move |tx| Ok(income(tx, party, &filter, page.after, rows)?)).await?;
    let rows: Vec<Activity> = rows.into_iter().map(Activity::from).collect();
    match format {
        Format::Csv => {
            Ok(HttpResponse::Ok().content_type("text/csv; charset=utf-8").body(csv(&rows)?))
        }
        Format::Json => Ok(HttpResponse::Ok().json(page.page(rows, |row| row.lease))),
    }
}
