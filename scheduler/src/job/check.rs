//! Is what the customer asks for sound?

use std::collections::BTreeSet;

use diesel::prelude::*;
use store::schema::{hardware_class, market, region};
use store::{Amount, PartyId, Tx};

use super::{BidChange, Extras, Inputs, MAX_ARRAY, MAX_TEMPLATE, NewBid, NewJob, NewStage};
use crate::fleet::MAX_PRICE;
use crate::{Error, Result};

/// Most inputs of one job that are named one by one.
pub const MAX_TASKS: usize = 10_000;
/// Most lanes of one bid.
pub const MAX_LANES: i32 = 100_000;

/// Checks every field and answers the market's asset.
pub(super) fn check(
    tx: &mut Tx<'_>,
    customer: PartyId,
    new: &NewJob,
    extras: &Extras,
) -> Result<String> {
    check_extras(extras)?;
    if new.name.trim().is_empty() || new.name.chars().count() > 200 {
        return Err(Error::invalid("/name", "1 to 200 characters"));
    }
    let listed = listed(new, extras).count();
    if (extras.stages.is_empty() && listed == 0) || listed > MAX_TASKS {
        return Err(Error::invalid("/inputs", format!("1 to {MAX_TASKS} inputs, one a task")));
    }
    if !new.assurance.is_valid() {
        let why = "spot_check of more than 0 to 100 %, quorum of 2 to 5 results";
        return Err(Error::invalid("/assurance", why));
    }
    let asset = check_quote(tx, &new.market, &new.bid)?;
    check_blobs(tx, customer, new, extras)?;
    check_bans(tx, customer, new, extras)?;
    Ok(asset)
}

/// Checks a bid that nobody makes yet and answers the market's asset.
pub(crate) fn check_quote(tx: &mut Tx<'_>, market: &str, bid: &NewBid) -> Result<String> {
    check_bid(tx, bid)?;
    let asset = check_places(tx, market, bid)?;
    if bid.currency != asset {
        let why = format!("market {market} settles in {asset}");
        return Err(Error::invalid("/bid/budget/currency", why));
    }
    Ok(asset)
}

fn check_price(pointer: &'static str, price: Amount) -> Result<()> {
    match price.is_positive() && price <= MAX_PRICE {
        true => Ok(()),
        false => Err(Error::invalid(pointer, format!("more than 0, at most {MAX_PRICE} per hour"))),
    }
}

/// Checks what a customer wants to change of a live bid.
pub(super) fn check_change(tx: &Tx<'_>, change: &BidChange) -> Result<()> {
    if change.expires_at.is_some_and(|at| at <= tx.now) {
        return Err(Error::invalid("/expires_at", "in the future"));
    }
    change.price.map_or(Ok(()), |price| check_price("/max_price", price))
}

fn check_bid(tx: &Tx<'_>, bid: &NewBid) -> Result<()> {
    check_price("/bid/max_price", bid.price)?;
    if !(1..=MAX_LANES).contains(&bid.lanes) {
        return Err(Error::invalid("/bid/lanes", format!("1 to {MAX_LANES}")));
    }
    if !(1..=bid.lanes).contains(&bid.min_fill) {
        return Err(Error::invalid("/bid/min_fill", "1 to the lanes wanted"));
    }
    if !bid.budget.is_positive() || bid.budget > Amount::MAX_INPUT {
        return Err(Error::invalid("/bid/budget", "more than 0"));
    }
    if bid.deadline.is_some_and(|deadline| deadline <= tx.now) {
        return Err(Error::invalid("/bid/deadline", "in the future"));
    }
    if bid.expires_at.is_some_and(|at| at <= tx.now) {
        return Err(Error::invalid("/bid/expires_at", "in the future"));
    }
    Ok(())
}

fn check_places(tx: &mut Tx<'_>, market: &str, bid: &NewBid) -> Result<String> {
    let asset: Option<String> =
        market::table.find(market).select(market::asset).first(tx.conn).optional()?;
    let Some(asset) = asset else {
        return Err(Error::invalid("/market", "no such market"));
    };
    let regions: Vec<String> =
        region::table.filter(region::market_id.eq(market)).select(region::id).load(tx.conn)?;
    if let Some(unknown) = bid.regions.iter().find(|id| !regions.contains(id)) {
        return Err(Error::invalid("/bid/regions", format!("{unknown} is not of this market")));
    }
    let classes: Vec<String> = hardware_class::table.select(hardware_class::id).load(tx.conn)?;
    if let Some(unknown) = bid.classes.iter().find(|id| !classes.contains(id)) {
        return Err(Error::invalid("/bid/classes", format!("no hardware class {unknown}")));
    }
    Ok(asset)
}

fn check_extras(extras: &Extras) -> Result<()> {
    if !(0..=9).contains(&extras.priority) {
        return Err(Error::invalid("/priority", "0 to 9"));
    }
    if !(0..=5).contains(&extras.program_retries) {
        return Err(Error::invalid("/program_retries", "0 to 5"));
    }
    if !(0..=MAX_ARRAY).contains(&extras.early_stop) {
        return Err(Error::invalid("/early_stop", format!("0 to {MAX_ARRAY}")));
    }
    let long = |stage: &NewStage| match &stage.inputs {
        Inputs::Template { text, .. } => text.len() > MAX_TEMPLATE,
        _ => false,
    };
    match extras.stages.iter().any(long) {
        true => Err(Error::invalid("/stages", format!("a template has {MAX_TEMPLATE} bytes"))),
        false => Ok(()),
    }
}

/// The inputs that are named one by one.
fn listed<'a>(new: &'a NewJob, extras: &'a Extras) -> impl Iterator<Item = &'a String> {
    let of_stages = extras.stages.iter().flat_map(|stage| match &stage.inputs {
        Inputs::List(list) => list.as_slice(),
        _ => &[],
    });
    new.inputs.iter().chain(of_stages)
}

fn programs<'a>(new: &'a NewJob, extras: &'a Extras) -> impl Iterator<Item = &'a String> {
    [&new.program].into_iter().chain(extras.stages.iter().map(|stage| &stage.program))
}

fn check_blobs(tx: &mut Tx<'_>, customer: PartyId, new: &NewJob, extras: &Extras) -> Result<()> {
    let rows = extras.stages.iter().filter_map(|stage| match &stage.inputs {
        Inputs::Template { rows, .. } => rows.as_ref(),
        Inputs::Rows { digest, .. } => Some(digest),
        _ => None,
    });
    let named = listed(new, extras).chain(programs(new, extras)).chain(rows);
    let digests: BTreeSet<&str> = named.map(String::as_str).collect();
    let known = crate::blob::known(tx, customer, &digests)?;
    match digests.iter().find(|digest| !known.contains(**digest)) {
        Some(missing) => Err(Error::UnknownBlob((*missing).to_owned())),
        None => Ok(()),
    }
}

fn check_bans(tx: &mut Tx<'_>, customer: PartyId, new: &NewJob, extras: &Extras) -> Result<()> {
    let mut subjects = vec![customer.to_string()];
    subjects.extend(programs(new, extras).cloned());
    match crate::ban::find(tx, &subjects)? {
        Some(ban) => Err(Error::Banned(ban.reason)),
        None => Ok(()),
    }
}
