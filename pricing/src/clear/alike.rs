//! Cells that no bid tells apart are cleared as one.
//!
//! Of cells of the same speed that are accepted by the same bids, a lane is worth the same to
//! everybody: only the reserves differ. Their levels are merged, which leaves the optimum and its
//! prices as they are (`spread.rs` deals the lanes out again), and saves the more the fewer kinds
//! of cells there are: where every bid accepts every cell, only the classes are left.

use std::collections::HashMap;

use crate::book::{Bid, Book, Cell, NOWHERE};

/// Cells alike, by id; at least one, all of one speed, all with lanes.
#[derive(Debug)]
pub(super) struct Kind<'a> {
    pub speed_ppm: u32,
    pub cells: Vec<&'a Cell>,
}

/// The cells with lanes by kind, and where to find the kind of each cell of the book.
pub(super) struct Kinds<'a> {
    pub kinds: Vec<Kind<'a>>,
    /// Per cell of the book by id, its kind or [`NOWHERE`].
    pub of: Vec<u32>,
}

/// Kinds in the order of their first cells' ids.
pub(super) fn kinds<'a>(book: &'a Book, bids: &[&Bid]) -> Kinds<'a> {
    let mut cells: Vec<&Cell> = book.cells.iter().collect();
    cells.sort_unstable_by_key(|cell| cell.id);
    let merged = merge(&cells, &fingerprints(book, bids));
    match merged.kinds.len() == cells.len() || tell_none_apart(book, bids, &merged) {
        true => merged,
        // Two fingerprints are the same by chance: nothing is lost but time.
        false => merge(&cells, &(0..cells.len() as u128).collect::<Vec<u128>>()),
    }
}

fn merge<'a>(cells: &[&'a Cell], fingerprints: &[u128]) -> Kinds<'a> {
    let mut merged = Kinds { kinds: Vec::new(), of: vec![NOWHERE; cells.len()] };
    // The kind, and its lanes so far: together they must be countable like those of a cell.
    let mut known: HashMap<(u32, u128), (usize, u64)> = HashMap::new();
    for (at, cell) in cells.iter().enumerate().filter(|(_, cell)| !cell.levels.is_empty()) {
        let lanes: u64 = cell.levels.iter().map(|level| u64::from(level.lanes)).sum();
        let next = (merged.kinds.len(), 0);
        let entry = known.entry((cell.speed_ppm, fingerprints[at])).or_insert(next);
        if entry.1 + lanes > u64::from(u32::MAX) {
            *entry = next;
        }
        entry.1 += lanes;
        if entry.0 == merged.kinds.len() {
            merged.kinds.push(Kind { speed_ppm: cell.speed_ppm, cells: Vec::new() });
        }
        merged.kinds[entry.0].cells.push(cell);
        merged.of[at] = entry.0 as u32;
    }
    merged
}

/// Per cell by id, a number that is the same for cells accepted by the same bids.
fn fingerprints(book: &Book, bids: &[&Bid]) -> Vec<u128> {
    let ids = book.cell_ids();
    let mut sums = vec![0_u128; book.cells.len()];
    for (rank, bid) in (1..).zip(bids) {
        // An odd factor and a shift: enough for sums not to meet by chance.
        let mixed = u128::wrapping_mul(rank, 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        let mixed = (mixed ^ (mixed >> 61)).wrapping_mul(0xD1B5_4A32_D192_ED03_9E37_79B9_7F4A_7C15);
        let mixed = mixed ^ (mixed >> 67);
        for cell in bid.cells.iter().filter_map(|id| ids.position(*id)) {
            sums[cell] = sums[cell].wrapping_add(mixed);
        }
    }
    sums
}

/// Whether the bids accept all cells of a kind or none: `seen` is how many of each it accepts.
fn tell_none_apart(book: &Book, bids: &[&Bid], kinds: &Kinds) -> bool {
    let ids = book.cell_ids();
    let mut seen = vec![0_usize; kinds.kinds.len()];
    bids.iter().all(|bid| {
        let of = |id: &u32| ids.position(*id).map(|at| kinds.of[at]).filter(|k| *k != NOWHERE);
        bid.cells.iter().filter_map(of).for_each(|kind| seen[kind as usize] += 1);
        // Counted down again, so that each bid finds zeros.
        bid.cells.iter().filter_map(of).all(|kind| {
            let all = kinds.kinds[kind as usize].cells.len();
            let seen = &mut seen[kind as usize];
            let accepts_all = *seen == 0 || *seen == all;
            *seen = 0;
            accepts_all
        })
    })
}
