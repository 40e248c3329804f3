//! A tick as it is stored: the book, what its numbers stand for, and what came of it, in few bytes.
//!
//! The first byte is the version, of the form and of the mechanism: a `pricing::clear` that finds
//! other prices or fills for some book takes the next one. The rest is postcard (variable-length integers, no names). Ids
//! stand once and are numbers elsewhere, and so do the lists of cells that many bids share. A
//! record says nothing of the tick's number or time, so ticks that are alike share one row, under
//! the SHA-256 of its bytes.

use std::collections::BTreeMap;

use pricing::{Book, Clearing, SetBy};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::BidId;

use super::CellKey;
use crate::{Error, LeftOut, Result};

const VERSION: u8 = 1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// By cell id.
    pub cells: Vec<CellKey>,
    pub book: Book,
    pub result: Clearing,
    /// Who waited and was not in the book.
    pub left_out: Vec<(BidId, LeftOut)>,
}

/// The same with numbers in place of ids: in the book and the result a bid's id is its place in
/// `bids`, a customer's its place in `customers`, and a bid's only cell is the number of its set.
#[derive(Serialize, Deserialize)]
struct Packed {
    cells: Vec<CellKey>,
    bids: Vec<[u8; 16]>,
    customers: Vec<[u8; 16]>,
    sets: Vec<Vec<u32>>,
    book: Book,
    result: Clearing,
    left_out: Vec<([u8; 16], LeftOut)>,
}

/// The bytes of a record, and their SHA-256.
///
/// # Errors
/// Corrupt, if the result names what is not in the book.
pub(super) fn encode(record: Record) -> Result<([u8; 32], Vec<u8>)> {
    let bytes = postcard::to_extend(&pack(record)?, vec![VERSION])
        .map_err(|error| Error::corrupt(format!("a clearing cannot be stored: {error}")))?;
    Ok((Sha256::digest(&bytes).into(), bytes))
}

/// # Errors
/// Corrupt, for bytes that are no record of a version we know.
pub(super) fn decode(bytes: &[u8]) -> Result<Record> {
    let corrupt = |why: String| Error::corrupt(format!("a stored clearing: {why}"));
    let packed = match bytes.split_first() {
        Some((&VERSION, rest)) => {
            let (packed, rest) = postcard::take_from_bytes::<Packed>(rest)
                .map_err(|error| corrupt(error.to_string()))?;
            if !rest.is_empty() {
                return Err(corrupt(format!("{} bytes too many", rest.len())));
            }
            packed
        }
        Some((version, _)) => return Err(corrupt(format!("unknown version {version}"))),
        None => return Err(corrupt("empty".to_owned())),
    };
    unpack(packed).ok_or_else(|| corrupt("a number that stands for nothing".to_owned()))
}

fn pack(record: Record) -> Result<Packed> {
    let Record { cells, mut book, mut result, left_out } = record;
    let bids = sorted(book.bids.iter().map(|bid| bid.id));
    let capped = book.caps.iter().map(|cap| cap.customer);
    let customers = sorted(book.bids.iter().filter_map(|bid| bid.customer).chain(capped));
    let mut sets: BTreeMap<Vec<u32>, u32> = BTreeMap::new();
    for bid in &mut book.bids {
        let next = u32::try_from(sets.len()).unwrap_or(u32::MAX);
        let set = *sets.entry(std::mem::take(&mut bid.cells)).or_insert(next);
        bid.cells = vec![set];
    }
    let mut by_number: Vec<(Vec<u32>, u32)> = sets.into_iter().collect();
    by_number.sort_unstable_by_key(|(_, number)| *number);
    let place = |ids: &[u128], id: u128| ids.binary_search(&id).ok().map(|place| place as u128);
    let packed =
        renumber(&mut book, &mut result, |id| place(&bids, id), |id| place(&customers, id));
    packed.ok_or_else(|| Error::Clearing("a result of nothing that was in the book".to_owned()))?;
    Ok(Packed {
        cells,
        bids: bids.into_iter().map(u128::to_be_bytes).collect(),
        customers: customers.into_iter().map(u128::to_be_bytes).collect(),
        sets: by_number.into_iter().map(|(cells, _)| cells).collect(),
        book,
        result,
        left_out: left_out.into_iter().map(|(bid, why)| (*bid.as_bytes(), why)).collect(),
    })
}

fn unpack(packed: Packed) -> Option<Record> {
    let Packed { cells, bids, customers, sets, mut book, mut result, left_out } = packed;
    let id = |ids: &[[u8; 16]], place: u128| {
        let place = usize::try_from(place).ok()?;
        ids.get(place).map(|bytes| u128::from_be_bytes(*bytes))
    };
    renumber(&mut book, &mut result, |n| id(&bids, n), |n| id(&customers, n))?;
    for bid in &mut book.bids {
        let set = bid.cells.first().and_then(|set| usize::try_from(*set).ok())?;
        bid.cells = sets.get(set)?.clone();
    }
    let left_out = left_out.into_iter().map(|(bid, why)| (BidId::from_bytes(bid), why)).collect();
    Some(Record { cells, book, result, left_out })
}

/// Puts other numbers in place of every bid's and customer's id.
fn renumber(
    book: &mut Book,
    result: &mut Clearing,
    bid: impl Fn(u128) -> Option<u128>,
    customer: impl Fn(u128) -> Option<u128>,
) -> Option<()> {
    for row in &mut book.bids {
        row.id = bid(row.id)?;
        row.customer = row.customer.map(&customer).map_or(Some(None), |id| id.map(Some))?;
    }
    for cap in &mut book.caps {
        cap.customer = customer(cap.customer)?;
    }
    for fill in &mut result.fills {
        fill.bid = bid(fill.bid)?;
    }
    for short in &mut result.unfilled {
        short.bid = bid(short.bid)?;
    }
    for cell in &mut result.cells {
        for setter in [&mut cell.lo_by.by, &mut cell.hi_by.by] {
            if let SetBy::Bid(id) = setter {
                *id = bid(*id)?;
            }
        }
    }
    Some(())
}

fn sorted(ids: impl Iterator<Item = u128>) -> Vec<u128> {
    let mut ids: Vec<u128> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

#[cfg(test)]
mod tests {
    use pricing::{Bid, Cap, Cell, Level};
    use proptest::prelude::*;

    use super::*;
    use crate::{Permits, Stay};

    fn record(bids: Vec<(u128, i64, u32, bool)>) -> Record {
        let key = |region: &str| CellKey {
            region: region.to_owned(),
            class: "hw4".to_owned(),
            permits: Permits(5),
            stay: Stay::Term,
        };
        let cell = |id| Cell {
            id,
            speed_ppm: 1_000_000,
            levels: vec![Level { reserve: 1_000, lanes: 3 }, Level { reserve: 2_000, lanes: 2 }],
        };
        let bids = bids.into_iter().zip(0..).map(|((id, price, lanes, both), n)| Bid {
            id: id << 8 | n,
            price,
            lanes,
            cells: if both { vec![0, 1] } else { vec![1] },
            customer: Some(id),
            ..Bid::default()
        });
        let book = Book {
            grid: 1_000,
            cells: vec![cell(0), cell(1)],
            bids: bids.collect(),
            caps: vec![Cap { customer: 77, lanes: 1 }],
            ..Book::default()
        };
        let result = pricing::clear(&book).unwrap();
        let left_out = vec![(BidId::from_bytes([9; 16]), LeftOut::Halted)];
        Record { cells: vec![key("us-ca"), key("us-tx")], book, result, left_out }
    }

    proptest! {
        #[test]
        fn what_is_stored_is_what_was(
            bids in proptest::collection::vec(
                (any::<u64>().prop_map(u128::from), 1..5_000_i64, 1..4_u32, any::<bool>()), 0..20),
        ) {
            let before = record(bids);
            let (digest, bytes) = encode(before.clone()).unwrap();
            let after = decode(&bytes).unwrap();
            prop_assert_eq!(&after, &before);
            prop_assert_eq!(encode(after).unwrap(), (digest, bytes));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _refused_or_read = decode(&bytes);
        }
    }

    #[test]
    fn a_bid_costs_less_than_sixty_bytes() {
        let bytes = |bids: u128| {
            let bids = (0..bids).map(|n| (n << 60, 3_000, 2, n % 2 == 0)).collect();
            encode(record(bids)).unwrap().1.len()
        };
        // A customer of its own, an id, and what it did not win.
        assert!((bytes(300) - bytes(200)) / 100 < 60, "{}", (bytes(300) - bytes(200)) / 100);
    }

    #[test]
    fn broken_bytes_are_refused() {
        let (_, bytes) = encode(record(vec![(1, 3_000, 2, true)])).unwrap();
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut]).is_err(), "{cut}");
        }
        assert!(decode(&[bytes.clone(), vec![0]].concat()).is_err());
        assert!(decode(&[vec![2], bytes[1..].to_vec()].concat()).is_err());
    }
}
