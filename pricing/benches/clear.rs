//! CPU milliseconds of `clear` and `check`: `cargo bench -p pricing`.
//!
//! Markets of 50 cells × 50 levels. `regions`: a bid accepts the cells of one to three of ten
//! regions, of one class or of all; `all`: every bid accepts every cell; `random`: any ten cells.

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::Instant;

use common::Random;
use pricing::{Bid, Book, Cell, Level, check, clear};

const CELLS: u64 = 50;
const LEVELS: u64 = 50;

fn main() {
    println!("{:<10}{:>8}{:>12}{:>12}{:>10}", "shape", "bids", "clear ms", "check ms", "fills");
    for shape in ["regions", "all", "random"] {
        for bids in [1_000, 10_000] {
            run(shape, bids);
        }
    }
}

fn run(shape: &str, bids: u64) {
    let book = book(shape, bids);
    let (cleared, clear_us) = timed(|| clear(&book));
    let clearing = cleared.expect("the book is valid");
    let (checked, check_us) = timed(|| check(&book, &clearing));
    checked.expect("the clearing is optimal");
    let ms = |us: u64| format!("{}.{}", us / 1_000, us % 1_000 / 100);
    let fills = clearing.fills.len();
    println!("{shape:<10}{bids:>8}{:>12}{:>12}{fills:>10}", ms(clear_us), ms(check_us));
}

/// Five cells (of classes hw3, hw4, ai5) in each of ten regions; demand is about supply.
fn book(shape: &str, bids: u64) -> Book {
    let mut random = Random(bids);
    let speeds = [288_000, 1_000_000, 1_000_000, 1_000_000, 2_500_000];
    let cells = (0..CELLS).map(|c| {
        let speed_ppm = speeds[(c % 5) as usize];
        let levels = (0..LEVELS).map(|l| Level {
            reserve: (40_000 + l as i64 * 3_000) * i64::from(speed_ppm) / 1_000_000 / 1_000 * 1_000,
            lanes: random.within(1, bids * 40 / (CELLS * LEVELS)) as u32,
        });
        Cell { id: c as u32, speed_ppm, levels: levels.collect() }
    });
    let cells: Vec<Cell> = cells.collect();
    let bids = (0..bids).map(|id| Bid {
        id: u128::from(id),
        time: random.within(0, 1_000) as i64,
        price: random.within(30_000, 250_000) as i64,
        lanes: random.within(1, 40) as u32,
        cells: accepted(shape, &mut random),
    });
    let bids = bids.collect();
    Book { grid: 1_000, k_ppm: 0, cells, bids }
}

fn accepted(shape: &str, random: &mut Random) -> Vec<u32> {
    let mut all: Vec<u32> = (0..CELLS as u32).collect();
    match shape {
        "all" => all,
        "random" => {
            random.shuffle(&mut all);
            all[..10].to_vec()
        }
        _ => {
            let from = random.within(0, 9) as u32;
            let to = (from + random.within(0, 2) as u32).min(9);
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
