//! What became of a bid in a tick, and why: read from the tick's record.

use diesel::prelude::*;
use pricing::{Bid, Book, CellClearing, Fill, Reason, SetBy, lane_value};
use store::schema::{clearing, clearing_record, job, lease, unplaced_fill};
use store::{Amount, BidId, ClearingId, JobId, PartyId, Timestamp, Tx};

use super::CellKey;
use super::book::number;
use super::record::{Record, decode};
use crate::{Error, LeftOut, NoCar, Result};

/// A tick that was cleared.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct TickRef {
    pub clearing: ClearingId,
    pub tick: i64,
    pub at: Timestamp,
}

/// What became of a bid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It won all the lanes it wanted.
    Filled,
    /// It won some.
    Partly,
    Unfilled,
    /// It waited, and was not in the book.
    NotInBook,
    /// It wanted no lane: it has as many as it may or can use.
    NotWaiting,
}

/// Why a bid won no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    LeftOut(LeftOut),
    /// As the clearing says it.
    Short(Reason),
}

/// What keeps a cell's price from being lower: the marginal price setter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetterView {
    Nothing,
    /// The dearest reserve that was sold, with the fee on top, per lane-hour.
    Reserve(Amount),
    OwnBid,
    /// A bid that went short; whose, nobody is told.
    AnotherBid,
}

/// A cell that the bid accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellOutcome {
    pub key: CellKey,
    /// Lanes won.
    pub lanes: i64,
    /// Per lane-hour; none if nothing was sold.
    pub price: Option<Amount>,
    /// The least and the greatest that would have cleared.
    pub low: Amount,
    pub high: Amount,
    /// What a lane was worth to the bid.
    pub worth: Amount,
    pub set_by: SetterView,
}

/// Lanes that found no car.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct LostFill {
    pub region: String,
    pub class: String,
    pub lanes: i32,
    pub reason: NoCar,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BidOutcome {
    pub tick: TickRef,
    pub fate: Fate,
    pub wanted: i64,
    /// Lanes won at the clearing; `lost` of them found no car.
    pub won: i64,
    pub lost: Vec<LostFill>,
    pub why: Option<Why>,
    /// The cells it accepts: those it won in first, then the cheapest; at most [`MAX_CELLS`].
    pub cells: Vec<CellOutcome>,
}

/// Most cells of an answer.
pub const MAX_CELLS: usize = 100;

/// What became of a customer's bid in a tick: the one asked for, or the last that had it. None
/// before there was one.
///
/// # Errors
/// [`Error::NotFound`] for another's job, and for a tick that was not cleared.
pub fn explain_bid(
    tx: &mut Tx<'_>,
    customer: PartyId,
    id: JobId,
    tick: Option<i64>,
) -> Result<Option<BidOutcome>> {
    let owned: Option<(PartyId, String)> =
        job::table.find(id).select((job::customer_id, job::market_id)).first(tx.conn).optional()?;
    let market = match owned {
        Some((owner, market)) if owner == customer => market,
        _ => return Err(Error::NotFound("job")),
    };
    let bid = crate::job::load_bid(tx, id)?.id;
    if let Some(tick) = tick {
        let found = load_tick(tx, &market, tick)?.ok_or(Error::NotFound("tick"))?;
        return outcome(tx, bid, found).map(Some);
    }
    let Some(last) = load_last(tx, &market)? else { return Ok(None) };
    let now = outcome(tx, bid, last)?;
    if now.fate != Fate::NotWaiting {
        return Ok(Some(now));
    }
    // It has what it wants: tell of the tick that gave it.
    match load_last_won(tx, id)? {
        Some(won) => outcome(tx, bid, won).map(Some),
        None => Ok(Some(now)),
    }
}

fn outcome(tx: &mut Tx<'_>, bid: BidId, (tick, record): (TickRef, Record)) -> Result<BidOutcome> {
    let lost = unplaced_fill::table
        .filter(unplaced_fill::clearing_id.eq(tick.clearing))
        .filter(unplaced_fill::bid_id.eq(bid))
        .order(unplaced_fill::line)
        .select((
            unplaced_fill::region_id,
            unplaced_fill::class_id,
            unplaced_fill::lanes,
            unplaced_fill::reason,
        ))
        .load(tx.conn)?;
    Ok(fold_outcome(bid, tick, &record, lost))
}

pub(super) fn fold_outcome(
    bid: BidId,
    tick: TickRef,
    record: &Record,
    lost: Vec<LostFill>,
) -> BidOutcome {
    let id = number(bid.as_bytes());
    let mut outcome = BidOutcome {
        tick,
        fate: Fate::NotWaiting,
        wanted: 0,
        won: 0,
        lost,
        why: None,
        cells: vec![],
    };
    let Some(row) = record.book.bids.iter().find(|row| row.id == id) else {
        if let Some((_, why)) = record.left_out.iter().find(|(left, _)| *left == bid) {
            outcome.fate = Fate::NotInBook;
            outcome.why = Some(Why::LeftOut(*why));
        }
        return outcome;
    };
    let short = record.result.unfilled.iter().find(|short| short.bid == id);
    outcome.wanted = row.lanes.into();
    outcome.won = outcome.wanted - short.map_or(0, |short| i64::from(short.lanes));
    outcome.fate = match outcome.won {
        0 => Fate::Unfilled,
        won if won < outcome.wanted => Fate::Partly,
        _ => Fate::Filled,
    };
    outcome.why = short.map(|short| Why::Short(short.reason.clone()));
    outcome.cells = cells(row, record);
    outcome
}

fn cells(row: &Bid, record: &Record) -> Vec<CellOutcome> {
    let Record { cells, book, result, .. } = record;
    let won: Vec<&Fill> = result.fills.iter().filter(|fill| fill.bid == row.id).collect();
    let outcomes = row.cells.iter().filter_map(|id| {
        let cleared = result.cells.iter().find(|cell| cell.cell == *id)?;
        let key = cells.get(usize::try_from(*id).ok()?)?.clone();
        Some(cell_outcome(row, key, book, &won, cleared))
    });
    let mut outcomes: Vec<CellOutcome> = outcomes.collect();
    outcomes.sort_by_key(|cell| (cell.lanes == 0, cell.price.is_none(), cell.price));
    outcomes.truncate(MAX_CELLS);
    outcomes
}

fn cell_outcome(
    row: &Bid,
    key: CellKey,
    book: &Book,
    won: &[&Fill],
    cell: &CellClearing,
) -> CellOutcome {
    let speed = book.cells.iter().find(|other| other.id == cell.cell).map(|cell| cell.speed_ppm);
    let won = won.iter().filter(|fill| fill.cell == cell.cell);
    CellOutcome {
        key,
        lanes: won.map(|fill| i64::from(fill.lanes)).sum(),
        price: cell.price.map(Amount),
        low: Amount(cell.lo),
        high: Amount(cell.hi),
        worth: Amount(lane_value(row.price, speed.unwrap_or_default())),
        set_by: setter(cell, Some(row.id)),
    }
}

/// Who set the least price that clears; a bid is told only to its own customer.
pub(super) fn setter(cell: &CellClearing, own: Option<u128>) -> SetterView {
    match cell.lo_by.by {
        SetBy::Nothing => SetterView::Nothing,
        SetBy::Reserve(reserve) => SetterView::Reserve(Amount(reserve)),
        SetBy::Bid(id) if Some(id) == own => SetterView::OwnBid,
        SetBy::Bid(_) => SetterView::AnotherBid,
    }
}

/// The market's last clearing.
pub(super) fn load_last(tx: &mut Tx<'_>, market: &str) -> Result<Option<(TickRef, Record)>> {
    let found: Option<(TickRef, Option<Vec<u8>>)> = clearing::table
        .filter(clearing::market_id.eq(market))
        .order(clearing::tick.desc())
        .select(((clearing::id, clearing::tick, clearing::at), clearing::record))
        .first(tx.conn)
        .optional()?;
    with_record(tx, found)
}

pub(super) fn load_tick(
    tx: &mut Tx<'_>,
    market: &str,
    tick: i64,
) -> Result<Option<(TickRef, Record)>> {
    let found = clearing::table
        .filter(clearing::market_id.eq(market))
        .filter(clearing::tick.eq(tick))
        .select(((clearing::id, clearing::tick, clearing::at), clearing::record))
        .first(tx.conn)
        .optional()?;
    with_record(tx, found)
}

fn load_last_won(tx: &mut Tx<'_>, id: JobId) -> Result<Option<(TickRef, Record)>> {
    let found = clearing::table
        .inner_join(lease::table.on(lease::clearing_id.eq(clearing::id)))
        .filter(lease::job_id.eq(id))
        .order(clearing::tick.desc())
        .select(((clearing::id, clearing::tick, clearing::at), clearing::record))
        .first(tx.conn)
        .optional()?;
    with_record(tx, found)
}

/// None as well for a clearing from before there were records.
fn with_record(
    tx: &mut Tx<'_>,
    found: Option<(TickRef, Option<Vec<u8>>)>,
) -> Result<Option<(TickRef, Record)>> {
    let Some((tick, Some(digest))) = found else { return Ok(None) };
    let content: Vec<u8> =
        clearing_record::table.find(digest).select(clearing_record::content).first(tx.conn)?;
    Ok(Some((tick, decode(&content)?)))
}
