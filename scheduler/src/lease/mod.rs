//! Leases: a car let to a job at one price for a term, in which it runs task after task.

mod attempt;
mod bill;
mod close;
mod heartbeat;
mod plan;
mod store;
mod sweep;
mod view;

pub(crate) use attempt::decide_checkpoint;
pub use bill::{Bill, BillLine, bill};
pub(crate) use close::settle_if_ready;
pub use heartbeat::heartbeat;
#[cfg(test)]
pub(crate) use store::earmark;
pub use store::{AttemptRow, LeaseRow};
pub(crate) use store::{NewLease, insert_lease};
pub use sweep::{Swept, sweep};
pub use view::{LeaseView, of_job, of_owner};
