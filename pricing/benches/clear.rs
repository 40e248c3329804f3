//! CPU milliseconds of `clear` and `check`: `cargo bench -p pricing`.
//!
//! Markets of 50 cells × 50 levels, and with the argument `large` of 200 × 200. `regions`: a bid
//! accepts the cells of one to three regions of five cells, of one class or of all; `all`: every bid accepts every cell; `random`: any ten cells.

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::Instant;

use common::Random;
use pricing::{Bid, Book, Cell, Level, check, clear, lane_value};

/// Cells in a region: one hw3, three hw4, one ai5.
const SPEEDS: [u32; 5] = [288_000, 1_000_000, 1_000_000, 1_000_000, 2_500_000];

fn main() {
    println!(
        "{:<10}{:>8}{:>7}{:>8}{:>12}{:>12}{:>10}",
        "shape", "bids", "cells", "levels", "clear ms", "check ms", "fills"
    );
    for shape in ["regions", "all", "random"] {
        for bids in [1_000, 10_000] {
            run(shape, bids, 50);
        }
    }
    if std::env::args().any(|arg| arg == "large") {
        run("regions", 100_000, 200);
        run("random", 100_000, 200);
    }
}

fn run(shape: &str, bids: u64, cells: u64) {
    let book = book(shape, bids, cells);
    let (cleared, clear_us) = timed(|| clear(&book));
    let clearing = cleared.expect("the book is valid");
    let (checked, check_us) = timed(|| check(&book, &clearing));
    checked.expect("the clearing is optimal");
    let ms = |us: u64| format!("{}.{}", us / 1_000, us % 1_000 / 100);
    let (clear_ms, check_ms, fills) = (ms(clear_us), ms(check_us), clearing.fills.len());
    println!("{shape:<10}{bids:>8}{cells:>7}{cells:>8}{clear_ms:>12}{check_ms:>12}{fills:>10}");
}

/// As many levels a cell as cells; demand is about supply.
fn book(shape: &str, bids: u64, cells: u64) -> Book {
    let mut random = Random(bids);
    let step = 150_000 / cells as i64;
    let market = (0..cells).map(|c| {
        let speed_ppm = SPEEDS[c as usize % SPEEDS.len()];
        let levels = (0..cells).map(|l| Level {
            reserve: lane_value(40_000 + l as i64 * step, speed_ppm) / 100 * 100,
            lanes: random.within(1, (bids * 40 / (cells * cells)).max(1)) as u32,
        });
        Cell { id: c as u32, speed_ppm, levels: levels.collect() }
    });
    let market: Vec<Cell> = market.collect();
    let bids = (0..bids).map(|id| Bid {
        id: u128::from(id),
        time: random.within(0, 1_000) as i64,
        price: random.within(30_000, 250_000) as i64,
        lanes: random.within(1, 40) as u32,
        cells: accepted(shape, cells as u32, &mut random),
        ..Bid::default()
    });
    let bids = bids.collect();
    Book { grid: 100, k_ppm: 0, cells: market, bids, ..Book::default() }
}

fn accepted(shape: &str, cells: u32, random: &mut Random) -> Vec<u32> {
    let mut all: Vec<u32> = (0..cells).collect();
    match shape {
        "all" => all,
        "random" => {
            random.shuffle(&mut all);
            all[..10].to_vec()
        }
        _ => {
            let regions = cells / 5;
            let from = random.within(0, u64::from(regions) - 1) as u32;
            let to = (from + random.within(0, 2) as u32).min(regions - 1);
            let class = random.one_of(&[None, Some(0..1), Some(1..4), Some(4..5)].each_ref());
            let fits = |c: &u32| class.as_ref().is_none_or(|class| class.contains(&(c % 5)));
            all.retain(|c| (from..=to).contains(&(c / 5)) && fits(c));
            all
        }
    }
}

/// The mean of as many runs as fill a fifth of a second: the kernel's count moves in ticks.
fn timed<T>(work: impl Fn() -> T) -> (T, u64) {
    let (wall, cpu) = (Instant::now(), cpu_ns());
    let mut runs = 0;
    loop {
        let result = work();
        runs += 1;
        if wall.elapsed().as_millis() >= 200 {
            let ns = match (cpu, cpu_ns()) {
                (Some(before), Some(after)) => after - before,
                _ => wall.elapsed().as_nanos() as u64,
            };
            return (result, ns / runs / 1_000);
        }
    }
}

/// Time this process has spent on a CPU, where the kernel tells.
fn cpu_ns() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    stat.split(' ').next()?.parse().ok()
}
