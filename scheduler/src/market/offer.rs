//! What becomes of a car in the market, and at which reserve it would have been sold.

use diesel::prelude::*;
use pricing::CellClearing;
use store::schema::lease;
use store::{Amount, LeaseId, PartyId, Rounding, Tx, VehicleId, mul_div};

use super::explain::{SetterView, TickRef, load_last, setter};
use super::halt::halted_regions;
use super::leader::{Reign, observe};
use super::supply::{IdleCar, ask, cell_of};
use super::{CellKey, CellRef};
use crate::assurance::load_resting;
use crate::fleet::{VehicleRow, load_permits, load_presence};
use crate::{Config, Permits, Result};

/// Where a car stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is let: the lease and its price per lane-hour.
    Leased { lease: LeaseId, price: Amount },
    /// It is not on offer: no heartbeat, no consent, the region is halted, its owner wants it too
    /// soon, or what telemetry says.
    NotOffered { reason: String },
    /// It is on offer and came after the last tick, or nothing was cleared yet.
    Waiting,
    /// It was let in the last tick, and that lease has ended.
    Sold { lease: LeaseId, price: Amount },
    /// It was on offer and not let.
    Unsold(Unsold),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsold {
    /// `no_demand`, `reserve_too_high` or `drawn`: as many others asked the same, and lots were
    /// drawn.
    pub reason: &'static str,
    /// Of the cell, per lane-hour; none if nothing was sold.
    pub price: Option<Amount>,
    pub set_by: SetterView,
    /// With a reserve up to this one, net, it would have been sold, all else as it was. None: at
    /// no reserve.
    pub would_sell_at: Option<Amount>,
}

/// A car in its market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub asset: String,
    /// Net, as its owner set it, and as the market sees it: with the fee, on the grid.
    pub reserve: Amount,
    pub asks: Amount,
    /// Its cell, if it is on offer.
    pub cell: Option<CellKey>,
    /// The tick that is told of.
    pub tick: Option<TickRef>,
    pub standing: Standing,
}

/// What becomes of an owner's car, by what it asks now and the market's last tick.
///
/// # Errors
/// [`crate::Error::NotFound`] for another's car.
pub fn explain_vehicle(
    tx: &mut Tx<'_>,
    config: &Config,
    owner: PartyId,
    id: VehicleId,
) -> Result<Offer> {
    let row = crate::fleet::owned(tx, owner, id)?;
    let market = crate::fleet::market_of(tx, &row)?;
    let reign = observe(tx, &market)?;
    let last = load_last(tx, &market)?;
    let mut offer = Offer {
        asset: reign.row.asset.clone(),
        reserve: row.reserve,
        asks: Amount(ask(&reign, row.reserve)?),
        cell: None,
        tick: last.as_ref().map(|(tick, _)| tick.clone()),
        standing: Standing::Waiting,
    };
    if let Some((lease, price)) = live_lease(tx, id)? {
        offer.standing = Standing::Leased { lease, price };
        return Ok(offer);
    }
    let car = match on_offer(tx, config, &market, row)? {
        Ok(car) => car,
        Err(reason) => {
            offer.standing = Standing::NotOffered { reason };
            return Ok(offer);
        }
    };
    let Some(key) = cell_of(&car, tx.now, config).map(CellRef::to_key) else {
        offer.standing = Standing::NotOffered { reason: "wanted_too_soon".to_owned() };
        return Ok(offer);
    };
    if let Some((tick, record)) = &last {
        let place = record.cells.iter().position(|cell| *cell == key);
        let cell = place.and_then(|place| record.result.cells.get(place));
        offer.standing = match (sold_in(tx, tick, id)?, cell) {
            (Some((lease, price)), _) => Standing::Sold { lease, price },
            (None, Some(cell)) => unsold(&reign, offer.asks, cell),
            (None, None) => Standing::Waiting,
        };
    }
    offer.cell = Some(key);
    Ok(offer)
}

/// The car as the next tick will see it, or why it will not.
fn on_offer(
    tx: &mut Tx<'_>,
    config: &Config,
    market: &str,
    row: VehicleRow,
) -> Result<std::result::Result<IdleCar, String>> {
    let since = tx.now.plus_s(-config.heartbeat_timeout_s);
    let word = load_presence(tx, row.id)?.filter(|word| word.seen_at >= since);
    let no = |reason: &str| Ok(Err(reason.to_owned()));
    if row.paused_at.is_some() {
        return no(if row.leaving.is_some() { "leaving" } else { "paused" });
    }
    let Some(word) = word.filter(|_| row.active) else { return no("no_heartbeat") };
    if !word.eligible {
        return no(&word.reason);
    }
    let permits = load_permits(tx, &[row.id])?.remove(&row.id).unwrap_or_default();
    if permits == Permits::default() {
        return no("no_consent");
    }
    if halted_regions(tx, market)?.contains(&row.region_id) {
        return no("region_halted");
    }
    if load_resting(tx)?.contains(&row.id) {
        return no("resting");
    }
    Ok(Ok(IdleCar {
        id: row.id,
        owner: row.owner_id,
        region: row.region_id,
        class: row.class_id,
        permits,
        reserve: row.reserve,
        until: row.available_until,
    }))
}

/// A car more in the cell would be sold below the least price that clears: that price is what one
/// more lane is worth to the market.
fn unsold(reign: &Reign, asks: Amount, cell: &CellClearing) -> Standing {
    if asks.0 < cell.lo {
        // It would have been sold: it came, or came to ask so little, after the tick.
        return Standing::Waiting;
    }
    let reason = match cell.would_sell() {
        None => "no_demand",
        Some(price) if price == asks.0 => "drawn",
        Some(_) => "reserve_too_high",
    };
    Standing::Unsold(Unsold {
        reason,
        price: cell.price.map(Amount),
        set_by: setter(cell, None),
        would_sell_at: cell.would_sell().and_then(|price| net_below(reign, price)),
    })
}

/// The greatest net reserve whose ask is below this price.
fn net_below(reign: &Reign, price: i64) -> Option<Amount> {
    let grid = reign.row.grid;
    let asks = (price - 1).div_euclid(grid) * grid;
    let share = 1_000_000 - i64::from(reign.rate.fee_ppm);
    let net = mul_div(asks, share, 1_000_000, Rounding::Down)?;
    (price > 0).then_some(Amount(net))
}

fn live_lease(tx: &mut Tx<'_>, id: VehicleId) -> Result<Option<(LeaseId, Amount)>> {
    let live = lease::table
        .filter(lease::vehicle_id.eq(id))
        .filter(crate::lease::is_live())
        .select((lease::id, lease::price))
        .first(tx.conn)
        .optional()?;
    Ok(live)
}

fn sold_in(tx: &mut Tx<'_>, tick: &TickRef, id: VehicleId) -> Result<Option<(LeaseId, Amount)>> {
    let sold = lease::table
        .filter(lease::vehicle_id.eq(id))
        .filter(lease::clearing_id.eq(tick.clearing))
        .select((lease::id, lease::price))
        .first(tx.conn)
        .optional()?;
    Ok(sold)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use store::Timestamp;

    use super::super::fee::FeeRate;
    use super::super::leader::MarketRow;
    use super::*;

    fn reign(fee_ppm: i32, grid: i64) -> Reign {
        let at = Timestamp(0);
        let rate = FeeRate {
            market_id: String::new(),
            from_at: at,
            fee_ppm,
            bonus_ppm: 0,
            set_by: None,
            set_at: at,
        };
        let (id, asset) = (String::new(), String::new());
        let row = MarketRow { id, asset, grid, leader: None, leader_until: at, fence: 0, tick: 0 };
        Reign { row, rate }
    }

    proptest! {
        #[test]
        fn what_would_sell_asks_less_than_the_price_and_a_little_more_does_not(
            fee_ppm in 0..=500_000_i32,
            grid in 1..5_000_i64,
            price in 1..1_000_000_000_i64,
        ) {
            let reign = reign(fee_ppm, grid);
            let net = net_below(&reign, price).unwrap();
            prop_assert!(net.0 >= 0);
            prop_assert!(ask(&reign, net).unwrap() < price);
            prop_assert!(ask(&reign, Amount(net.0 + 1)).unwrap() >= price);
        }
    }
}
