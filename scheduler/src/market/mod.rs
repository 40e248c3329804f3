//! The market: who leads it, and what happens in a tick.

mod book;
mod leader;
mod place;
mod snapshot;
mod tick;
mod view;

pub use leader::resign;
pub use tick::{TickReport, tick};
pub use view::{CellPrice, MarketView, history, list, prices};

use store::Tx;

use crate::Result;

/// What a cell is: a uniform price each tick.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct CellKey {
    pub region: String,
    pub class: String,
    /// The eligibility group: what the owners of its cars allow.
    pub permits: crate::Permits,
}

/// The market's row, ours until the transaction ends: first in the order of locks.
pub(crate) fn lock_market(tx: &mut Tx<'_>, market: &str) -> Result<()> {
    Ok(store::lock_row(tx.conn, "market", market)?)
}

/// The settlement asset of a market.
pub(crate) fn asset(tx: &mut Tx<'_>, market: &str) -> Result<String> {
    use diesel::prelude::*;
    use store::schema::market as table;
    Ok(table::table.find(market).select(table::asset).first(tx.conn)?)
}
