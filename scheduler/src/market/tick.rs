//! A tick: snapshot, clear, check, choose cars, store; one transaction.

use diesel::prelude::*;
use pricing::Clearing;
use serde::Serialize;
use store::schema::{cell_price, clearing};
use store::{ClearingId, NodeId, Store, Tx};

use super::CellKey;
use super::book::{OpenBook, open_book};
use super::leader::{MarketRow, lead};
use super::place::choose_cars;
use super::snapshot::load_snapshot;
use crate::job::end_early;
use crate::lease::{NewLease, insert_lease};
use crate::{Config, Error, JobState, Result};

/// What a tick did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TickReport {
    pub tick: i64,
    /// Idle cars and bids that met.
    pub cars: usize,
    pub bids: usize,
    pub leases: usize,
    /// Lanes sold that found no car.
    pub unplaced: i32,
    /// Jobs ended because their budget does not reach for one more lease.
    pub exhausted: usize,
}

/// Clears the market once, as its leader.
///
/// # Errors
/// [`Error::NotLeader`] if another node leads; [`Error::Clearing`] if the clearing fails its own
/// optimality check: then nothing is stored.
pub fn tick(store: &Store, config: &Config, market: &str, node: NodeId) -> Result<TickReport> {
    store.write(|tx| {
        let row = lead(tx, config, market, node)?;
        let snapshot = load_snapshot(tx, config, market)?;
        let open = open_book(&row, &snapshot, config)?;
        for job in &open.exhausted {
            end_early(tx, *job, JobState::Failed)?;
        }
        let mut report = TickReport {
            tick: row.tick,
            cars: snapshot.cars.len(),
            bids: open.book.bids.len(),
            exhausted: open.exhausted.len(),
            ..TickReport::default()
        };
        if open.book.bids.is_empty() || open.book.cells.is_empty() {
            return Ok(report);
        }
        let result = clear(&open)?;
        let (placements, unplaced) = choose_cars(&row, &open, &result, &snapshot.cars)?;
        let id = store_clearing(tx, &row, &open, &result, unplaced)?;
        for placement in &placements {
            let new = NewLease {
                market: row.id.clone(),
                clearing: id,
                job: placement.job,
                vehicle: placement.vehicle,
                price: placement.price,
                fee_ppm: row.fee_ppm,
                bonus_ppm: row.bonus_ppm,
                term_s: placement.term_s,
            };
            insert_lease(tx, &new)?;
        }
        report.leases = placements.len();
        report.unplaced = unplaced;
        Ok(report)
    })
}

/// Clears and checks: a clearing that is not optimal is a fault of ours, and moves nobody.
fn clear(open: &OpenBook) -> Result<Clearing> {
    let result = pricing::clear(&open.book).map_err(|error| Error::Clearing(error.to_string()))?;
    pricing::check(&open.book, &result).map_err(|error| Error::Clearing(error.to_string()))?;
    Ok(result)
}

/// What a replay needs: the book, and what its cell numbers stand for.
#[derive(Serialize)]
struct StoredBook<'a> {
    cells: &'a [CellKey],
    book: &'a pricing::Book,
}

fn store_clearing(
    tx: &mut Tx<'_>,
    row: &MarketRow,
    open: &OpenBook,
    result: &Clearing,
    unplaced: i32,
) -> Result<ClearingId> {
    let id = tx.id();
    let book = StoredBook { cells: &open.cells, book: &open.book };
    diesel::insert_into(clearing::table)
        .values((
            clearing::id.eq(id),
            clearing::market_id.eq(&row.id),
            clearing::tick.eq(row.tick),
            clearing::fence.eq(row.fence),
            clearing::at.eq(tx.now),
            clearing::book.eq(to_json(&book)?),
            clearing::result.eq(to_json(result)?),
            clearing::unplaced.eq(unplaced),
        ))
        .execute(tx.conn)?;
    for (cell, key) in result.cells.iter().zip(&open.cells) {
        if let Some(price) = cell.price {
            store_price(tx, row, key, price, cell.lanes.into())?;
        }
    }
    Ok(id)
}

fn store_price(
    tx: &mut Tx<'_>,
    row: &MarketRow,
    key: &CellKey,
    price: i64,
    lanes: i64,
) -> Result<()> {
    diesel::insert_into(cell_price::table)
        .values((
            cell_price::market_id.eq(&row.id),
            cell_price::region_id.eq(&key.region),
            cell_price::class_id.eq(&key.class),
            cell_price::permits.eq(key.permits.0),
            cell_price::tick.eq(row.tick),
            cell_price::at.eq(tx.now),
            cell_price::price.eq(price),
            cell_price::lanes.eq(lanes),
        ))
        .execute(tx.conn)?;
    Ok(())
}

fn to_json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::corrupt(error.to_string()))
}
