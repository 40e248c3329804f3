//! A stored clearing made again from its book: the same prices and fills, byte for byte.

use diesel::prelude::*;
use sha2::{Digest, Sha256};
use store::schema::{cell_price, clearing, clearing_record, lease};
use store::{ClearingId, Timestamp, Tx};

use super::record::{Record, decode, encode};
use crate::{Error, Result};

/// A row of `clearing`, as far as a replay needs it.
#[derive(Clone, Debug, Queryable)]
struct Row {
    id: ClearingId,
    market_id: String,
    tick: i64,
    at: Timestamp,
    unplaced: i32,
    record: Option<Vec<u8>>,
}

/// What became of one clearing made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    pub clearing: ClearingId,
    pub market: String,
    pub tick: i64,
    pub at: Timestamp,
    pub bids: usize,
    pub cells: usize,
    pub lanes: i64,
    /// Bytes of its record; none for one from before there were records, which is not replayed.
    pub bytes: Option<usize>,
    /// What differs from what is stored; none: nothing does.
    pub difference: Option<String>,
}

/// Makes clearings again. Ticks that are alike share a record, and mostly follow each other: the
/// last record is cleared once for all of them.
#[derive(Default)]
pub struct Replayer {
    last: Option<Judged>,
}

/// A record, its bytes, and whether it clears as it is stored.
struct Judged {
    digest: Vec<u8>,
    bytes: Option<usize>,
    record: std::result::Result<Record, String>,
}

/// Makes one clearing again.
///
/// # Errors
/// [`Error::NotFound`] if there is no such clearing.
pub fn replay(tx: &mut Tx<'_>, id: ClearingId) -> Result<Replay> {
    let row: Option<Row> = clearing::table.find(id).select(columns()).first(tx.conn).optional()?;
    let row = row.ok_or(Error::NotFound("clearing"))?;
    Replayer::default().row(tx, row)
}

impl Replayer {
    /// Makes the clearings after `after` again, at most `limit`, in the order of their making.
    ///
    /// # Errors
    /// Those of the database only: what differs is said in the answer.
    pub fn page(
        &mut self,
        tx: &mut Tx<'_>,
        after: Option<ClearingId>,
        limit: i64,
    ) -> Result<Vec<Replay>> {
        let rows: Vec<Row> = clearing::table
            .filter(clearing::id.gt(after.unwrap_or(ClearingId::NIL)))
            .order(clearing::id)
            .limit(limit)
            .select(columns())
            .load(tx.conn)?;
        rows.into_iter().map(|row| self.row(tx, row)).collect()
    }

    fn row(&mut self, tx: &mut Tx<'_>, row: Row) -> Result<Replay> {
        let mut replay = Replay {
            clearing: row.id,
            market: row.market_id.clone(),
            tick: row.tick,
            at: row.at,
            bids: 0,
            cells: 0,
            lanes: 0,
            bytes: None,
            difference: None,
        };
        let Some(digest) = &row.record else { return Ok(replay) };
        let judged = match self.last.take().filter(|last| last.digest == *digest) {
            Some(last) => last,
            None => judge(tx, digest)?,
        };
        replay.bytes = judged.bytes.or(Some(0));
        match &judged.record {
            Err(why) => replay.difference = Some(why.clone()),
            Ok(record) => {
                replay.bids = record.book.bids.len();
                replay.cells = record.cells.len();
                replay.lanes = record.result.cells.iter().map(|cell| i64::from(cell.lanes)).sum();
                replay.difference = compare_rows(tx, &row, record)?;
            }
        }
        self.last = Some(judged);
        Ok(replay)
    }
}

fn judge(tx: &mut Tx<'_>, digest: &[u8]) -> Result<Judged> {
    let content: Option<Vec<u8>> = clearing_record::table
        .find(digest)
        .select(clearing_record::content)
        .first(tx.conn)
        .optional()?;
    let bytes = content.as_ref().map(Vec::len);
    let record = content.ok_or_else(|| "its record is missing".to_owned());
    let record = record.and_then(|content| {
        let record = decode(&content).map_err(|error| error.to_string())?;
        differs(digest, &content, &record).map_or(Ok(record), Err)
    });
    Ok(Judged { digest: digest.to_vec(), bytes, record })
}

type Columns = (
    clearing::id,
    clearing::market_id,
    clearing::tick,
    clearing::at,
    clearing::unplaced,
    clearing::record,
);

fn columns() -> Columns {
    (
        clearing::id,
        clearing::market_id,
        clearing::tick,
        clearing::at,
        clearing::unplaced,
        clearing::record,
    )
}

/// Clears the stored book and holds the result against the stored one.
fn differs(digest: &[u8], content: &[u8], record: &Record) -> Option<String> {
    if Sha256::digest(content).as_slice() != digest {
        return Some("its record is not what was stored".to_owned());
    }
    let result = match pricing::clear(&record.book) {
        Ok(result) => result,
        Err(error) => return Some(format!("its book does not clear: {error}")),
    };
    for (made, stored) in result.cells.iter().zip(&record.result.cells) {
        if made != stored {
            return Some(format!("cell {}: {made:?}, stored {stored:?}", made.cell));
        }
    }
    for (made, stored) in result.fills.iter().zip(&record.result.fills) {
        if made != stored {
            return Some(format!("{made:?}, stored {stored:?}"));
        }
    }
    match encode(Record { result, ..record.clone() }) {
        Ok((_, bytes)) if bytes == content => None,
        Ok(_) => Some("the result is not the stored one".to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

/// How the prices and leases that were made of it differ from the record.
fn compare_rows(tx: &mut Tx<'_>, row: &Row, record: &Record) -> Result<Option<String>> {
    for (cell, key) in record.result.cells.iter().zip(&record.cells) {
        let stored: Option<(i64, i64)> = cell_price::table
            .find((&row.market_id, &key.region, &key.class, key.permits.0, key.stay, row.tick))
            .select((cell_price::price, cell_price::lanes))
            .first(tx.conn)
            .optional()?;
        let made = cell.price.map(|price| (price, i64::from(cell.lanes)));
        if stored != made {
            let name = format!("{} {}", key.region, key.class);
            return Ok(Some(format!("{name}: published {stored:?}, cleared {made:?}")));
        }
    }
    let leases: i64 =
        lease::table.filter(lease::clearing_id.eq(row.id)).count().get_result(tx.conn)?;
    let sold: i64 = record.result.fills.iter().map(|fill| i64::from(fill.lanes)).sum();
    let all = leases + i64::from(row.unplaced) == sold;
    let difference = || format!("{sold} lanes sold, {leases} leases, {} unplaced", row.unplaced);
    Ok((!all).then(difference))
}
