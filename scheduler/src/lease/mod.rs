//! Leases: a car let to a job at one price for a term, in which it runs task after task.

mod bill;
pub(crate) mod engine;
mod evict;
mod heartbeat;
mod income;
mod plan;
mod reach;
mod store;
mod sweep;
mod view;

pub use bill::{Bill, BillLine, bill};
pub use evict::{Evict, evict};
pub use heartbeat::heartbeat;
pub use income::{DayIncome, Days, Income, IncomeFilter, Money, income, income_days};
pub use reach::{may_fetch, may_store};
#[cfg(test)]
pub(crate) use store::earmark;
pub use store::{AttemptRow, LeaseRow};
pub(crate) use store::{NewLease, insert_leases, is_live, is_open};
pub use sweep::{Swept, sweep};
pub use view::{LeaseView, of_job, of_owner};
