//! The rows of a tick: its clearing with figures and record, its prices, and the fills that found
//! no car.

use std::collections::BTreeMap;

use diesel::prelude::*;
use pricing::{CellClearing, Clearing};
use store::schema::{cell_price, clearing, clearing_record, unplaced_fill};
use store::{BidId, ClearingId, Tx};

use super::CellKey;
use super::book::OpenBook;
use super::figures::Figures;
use super::leader::Reign;
use super::place::Unplaced;
use super::record::{Record, encode};
use crate::{NoCar, Result};

pub(super) struct Cleared<'a> {
    pub reign: &'a Reign,
    pub open: OpenBook,
    pub result: Clearing,
    pub fallen: Vec<Unplaced>,
}

pub(super) fn store_clearing(tx: &mut Tx<'_>, cleared: Cleared<'_>) -> Result<ClearingId> {
    let Cleared { reign, open, result, fallen } = cleared;
    let OpenBook { book, cells, left_out, .. } = open;
    let id = tx.id();
    for (cell, key) in result.cells.iter().zip(&cells) {
        let levels = book.cells.iter().find(|row| row.id == cell.cell).map(|row| &row.levels);
        let offered = levels.into_iter().flatten().map(|level| i64::from(level.lanes)).sum();
        store_price(tx, reign, key, cell, offered)?;
    }
    store_fallen(tx, id, &cells, &fallen)?;
    let figures = Figures::of(&book, &result);
    let record = store_record(tx, Record { cells, book, result, left_out })?;
    diesel::insert_into(clearing::table)
        .values((
            clearing::id.eq(id),
            clearing::market_id.eq(&reign.row.id),
            clearing::tick.eq(reign.row.tick),
            clearing::fence.eq(reign.row.fence),
            clearing::at.eq(tx.now),
            clearing::unplaced.eq(i32::try_from(fallen.len()).unwrap_or(i32::MAX)),
            clearing::record.eq(Some(record.as_slice())),
            clearing::bids.eq(figures.bids),
            clearing::wanted.eq(figures.wanted),
            clearing::offered.eq(figures.offered),
            clearing::sold.eq(figures.sold),
            clearing::welfare.eq(figures.welfare),
            clearing::bound.eq(figures.bound),
            clearing::payments.eq(figures.payments),
            clearing::owner_surplus.eq(figures.owner_surplus),
            clearing::spread.eq(figures.spread),
        ))
        .execute(tx.conn)?;
    Ok(id)
}

/// Stores a record unless it is there already. The market's lock does not keep two markets from
/// storing the same one, but theirs never are: cells and bids are of one market.
fn store_record(tx: &mut Tx<'_>, record: Record) -> Result<[u8; 32]> {
    let (digest, content) = encode(record)?;
    let known: i64 = clearing_record::table.find(digest.as_slice()).count().get_result(tx.conn)?;
    if known == 0 {
        diesel::insert_into(clearing_record::table)
            .values((
                clearing_record::digest.eq(digest.as_slice()),
                clearing_record::content.eq(content.as_slice()),
            ))
            .execute(tx.conn)?;
    }
    Ok(digest)
}

fn store_price(
    tx: &mut Tx<'_>,
    reign: &Reign,
    key: &CellKey,
    cell: &CellClearing,
    offered: i64,
) -> Result<()> {
    let Some(price) = cell.price else { return Ok(()) };
    diesel::insert_into(cell_price::table)
        .values((
            cell_price::market_id.eq(&reign.row.id),
            cell_price::region_id.eq(&key.region),
            cell_price::class_id.eq(&key.class),
            cell_price::permits.eq(key.permits.0),
            cell_price::stay.eq(key.stay),
            cell_price::tick.eq(reign.row.tick),
            cell_price::at.eq(tx.now),
            cell_price::price.eq(price),
            cell_price::low.eq(cell.lo),
            cell_price::high.eq(cell.hi),
            cell_price::lanes.eq(i64::from(cell.lanes)),
            cell_price::offered.eq(offered),
        ))
        .execute(tx.conn)?;
    Ok(())
}

fn store_fallen(
    tx: &mut Tx<'_>,
    id: ClearingId,
    cells: &[CellKey],
    fallen: &[Unplaced],
) -> Result<()> {
    let mut lines: BTreeMap<(BidId, usize, NoCar), i32> = BTreeMap::new();
    for lost in fallen {
        *lines.entry((lost.bid, lost.cell, lost.reason)).or_default() += 1;
    }
    for (((bid, cell, reason), lanes), line) in lines.into_iter().zip(0..) {
        diesel::insert_into(unplaced_fill::table)
            .values((
                unplaced_fill::clearing_id.eq(id),
                unplaced_fill::line.eq(line),
                unplaced_fill::bid_id.eq(bid),
                unplaced_fill::region_id.eq(&cells[cell].region),
                unplaced_fill::class_id.eq(&cells[cell].class),
                unplaced_fill::lanes.eq(lanes),
                unplaced_fill::reason.eq(reason),
            ))
            .execute(tx.conn)?;
    }
    Ok(())
}
