//! Markets: prices, ticks, and what an operator may do to them.

mod prices;
mod ticks;

use utoipa_actix_web::service_config::ServiceConfig;

pub fn configure(routes: &mut ServiceConfig<'_>) {
    prices::configure(routes);
    ticks::configure(routes);
}
