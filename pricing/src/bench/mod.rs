//! Markets to measure by (feature `bench`): seeded books of given size, and what clearing and
//! checking one costs. What a CPU second and a byte of memory are, the caller tells.

mod market;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::book::{Book, BookError};
use crate::check::{Violation, check};
use crate::clear::clear;
use crate::clearing::Reason;

/// Which conditions bids make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// None.
    Convex,
    /// Every fifth wants all its lanes or none.
    AllOrNone,
    /// Every tenth has a budget, from a fifth of what its lanes could cost it to all of it.
    Budgets,
}

/// Which cells bids accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Those of one to three neighbouring regions of five cells, of one class or of all.
    Regions,
    /// Any ten: each cell competes with each other.
    Random,
    /// All of one class or of every class, everywhere.
    Classes,
    /// All.
    All,
}

/// A market to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    pub family: Family,
    pub shape: Shape,
    /// At least 1.
    pub bids: u32,
    /// At least 10 and at most [`MAX_CELLS`](crate::MAX_CELLS), a multiple of 5.
    pub cells: u32,
    /// Reserve levels per cell, at least 1.
    pub levels: u32,
}

impl Case {
    /// The market that stands for a hundred million cars: 200 cells of 200 levels.
    pub fn fleet(family: Family, shape: Shape, bids: u32) -> Case {
        Case { family, shape, bids, cells: 200, levels: 200 }
    }

    /// The case's book: the same for the same case, on any machine.
    pub fn book(&self) -> Book {
        market::book(self)
    }
}

/// What a case cost, and what came out of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    pub case: Case,
    /// CPU time of one `clear`.
    pub clear: Duration,
    /// CPU time of one `check`.
    pub check: Duration,
    /// As the caller's meter says after `clear`: everything in the process, the book included. In
    /// a process of its own, for what is given back is not seen.
    pub rss_bytes: Option<u64>,
    pub welfare: i128,
    pub bound: i128,
    /// Lanes filled.
    pub lanes: u64,
    /// Bids rejected for their min fill, though in the money.
    pub rejected: u64,
}

/// The caller's meters, for this crate reads no clock.
pub struct Meters<'a> {
    /// CPU time that the calling thread has used so far.
    pub cpu: &'a dyn Fn() -> Duration,
    /// Most bytes of memory that the process has held so far, if known.
    pub rss: &'a dyn Fn() -> Option<u64>,
}

/// Why a case could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Book(#[from] BookError),
    #[error("the clearing does not check: {0}")]
    Violation(#[from] Violation),
}

/// Clears and checks a case's book once.
///
/// # Errors
/// If the case makes no valid book, or the clearing does not [`check`].
pub fn run(case: &Case, meters: &Meters) -> Result<Run, Error> {
    let book = case.book();
    let start = (meters.cpu)();
    let clearing = clear(&book)?;
    let cleared = (meters.cpu)();
    let rss_bytes = (meters.rss)();
    let before = (meters.cpu)();
    check(&book, &clearing)?;
    let checked = (meters.cpu)();
    let rejected = clearing.unfilled.iter().filter(|u| matches!(u.reason, Reason::MinFill { .. }));
    Ok(Run {
        case: *case,
        clear: cleared.saturating_sub(start),
        check: checked.saturating_sub(before),
        rss_bytes,
        welfare: clearing.welfare,
        bound: clearing.bound,
        lanes: clearing.cells.iter().map(|cell| u64::from(cell.lanes)).sum(),
        rejected: rejected.count() as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_clears_and_checks() {
        let meters = Meters { cpu: &|| Duration::ZERO, rss: &|| None };
        for family in [Family::Convex, Family::AllOrNone, Family::Budgets] {
            for shape in [Shape::Regions, Shape::Random, Shape::Classes, Shape::All] {
                let case = Case { family, shape, bids: 400, cells: 20, levels: 10 };
                let run = run(&case, &meters).unwrap();
                assert!(run.lanes > 0 && run.welfare <= run.bound, "{case:?}");
                assert!(run.welfare * 10 > run.bound * 9, "{case:?}");
                assert_eq!(case.book(), case.book());
            }
        }
    }
}
