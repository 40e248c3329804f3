//! Markets: their state, prices, ticks and capacity, quotes, and what an operator may do to them.

mod capacity;
mod operator;
mod prices;
mod quotes;
mod status;
mod ticks;

use scheduler::market::{Alarm, CellFilter};
use serde::Deserialize;
use store::Timestamp;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::problem::{Code, Problem, Result};

pub fn configure(routes: &mut ServiceConfig<'_>) {
    status::configure(routes);
    prices::configure(routes);
    ticks::configure(routes);
    capacity::configure(routes);
    quotes::configure(routes);
    operator::configure(routes);
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CellQuery {
    /// One region only.
    region: Option<String>,
    /// One hardware class only.
    class: Option<String>,
}

impl CellQuery {
    fn filter(self) -> CellFilter {
        CellFilter { region: self.region, class: self.class }
    }
}

/// A time in a query.
fn moment(name: &str, text: &str) -> Result<Timestamp> {
    let bad = || Problem::new(Code::InvalidQuery).detail(format!("`{name}` is an RFC 3339 time"));
    Timestamp::parse(text).ok_or_else(bad)
}

/// What the scheduler finds wrong with a query's parameter is no fault of a body's field.
fn as_query(error: scheduler::Error) -> Problem {
    match error {
        scheduler::Error::Invalid { pointer, why } => {
            let name = pointer.trim_start_matches('/');
            Problem::new(Code::InvalidQuery).detail(format!("`{name}`: {why}"))
        }
        other => other.into(),
    }
}

fn alarm_word(alarm: Alarm) -> &'static str {
    match alarm {
        Alarm::Thin => "thin",
        Alarm::Wide => "wide",
    }
}
