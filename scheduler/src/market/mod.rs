//! The market: who leads it, and what happens in a tick.

mod book;
mod capacity;
mod clearing;
mod confirm;
mod depth;
mod explain;
mod fee;
mod figures;
mod fit;
mod halt;
mod history;
mod leader;
mod month;
mod offer;
mod place;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod properties;
mod queue;
mod quote;
mod record;
mod replay;
mod snapshot;
mod supply;
mod term;
mod tick;
mod ticks;
mod view;

pub use capacity::{FORECAST_METHOD, ForecastHour, ObservedHour, forecast, hours};
pub use depth::{CellDepth, Depth, depth};
pub use explain::{
    BidOutcome, CellOutcome, Fate, LostFill, MAX_CELLS, SetterView, TickRef, Why, explain_bid,
};
pub use fee::{FeeRate, fees, set_fee};
pub use figures::Figures;
pub use halt::{Halt, halt, halts, lift_halt};
pub use history::{Candle, CellFilter, CellPrice, candles, price_changes, prices};
pub use leader::resign;
pub use month::{MonthPast, ask_of, estimate_month};
pub use offer::{Offer, Standing, Unsold, explain_vehicle};
pub use pricing::Reason;
pub use quote::{
    ESTIMATE_METHOD, Estimate, PAST_METHOD, Past, Quote, QuoteRequest, Work, quote, would_clear,
};
pub use replay::{Replay, Replayer, replay};
pub use tick::{Draft, TickReport, commit, draft, tick};
pub use ticks::{TickDetail, TickView, tick_detail, ticks};
pub use view::{Alarm, MarketView, Status, alarms, list, status};

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
    /// The availability window.
    pub stay: crate::Stay,
}

/// The same, borrowed: cars are many, cells are few.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct CellRef<'a> {
    region: &'a str,
    class: &'a str,
    permits: crate::Permits,
    stay: crate::Stay,
}

impl CellRef<'_> {
    fn to_key(self) -> CellKey {
        let (region, class) = (self.region.to_owned(), self.class.to_owned());
        CellKey { region, class, permits: self.permits, stay: self.stay }
    }
}

impl CellKey {
    fn borrowed(&self) -> CellRef<'_> {
        let CellKey { region, class, permits, stay } = self;
        CellRef { region, class, permits: *permits, stay: *stay }
    }
}

/// The market's row, ours until the transaction ends: first in the order of locks.
pub(crate) fn lock_market(tx: &mut Tx<'_>, market: &str) -> Result<()> {
    Ok(store::lock_row(tx.conn, "market", market)?)
}

/// Refuses a market that is none.
fn known(tx: &mut Tx<'_>, id: &str) -> Result<()> {
    use diesel::prelude::*;
    use store::schema::market;
    let found: i64 = market::table.find(id).count().get_result(tx.conn)?;
    if found == 0 { Err(crate::Error::NotFound("market")) } else { Ok(()) }
}

/// The settlement asset of a market.
pub(crate) fn asset(tx: &mut Tx<'_>, market: &str) -> Result<String> {
    use diesel::prelude::*;
    use store::schema::market as table;
    Ok(table::table.find(market).select(table::asset).first(tx.conn)?)
}
