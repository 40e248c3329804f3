//! `kill -9` of a process that posts, at random moments, again and again: what was acknowledged is
//! in the book, nothing is half done, and the next process goes on.
#![allow(clippy::unwrap_used)]

mod load;

use std::collections::BTreeSet;
use std::time::Duration;

use end_to_end::{Place, long};
use load::{Load, assert_whole};
use rand::Rng;

/// Kills on one database. A long run takes more databases, so that checking stays quick.
const KILLS: usize = 10;

#[test]
fn kill_9_loses_nothing_acknowledged_sqlite() {
    kill_again_and_again(Place::sqlite);
}

#[test]
fn kill_9_loses_nothing_acknowledged_postgres() {
    kill_again_and_again(Place::postgres);
}

fn kill_again_and_again(place: fn() -> Place) {
    for _ in 0..if long() { 200 / KILLS } else { 1 } {
        let place = load::alone(place);
        let mut acknowledged = BTreeSet::new();
        for _ in 0..KILLS {
            // A few steps back, so that some of it was done already.
            let from = next_step(&acknowledged).saturating_sub(3).to_string();
            let mut load = Load::start(&place, "load", &["--threads", "8", "--from", &from]);
            let mut rng = rand::rng();
            // Mostly in the middle of it, sometimes while it starts.
            if rng.random_bool(0.9) {
                load.wait_for_first();
            }
            std::thread::sleep(Duration::from_millis(rng.random_range(0..500)));
            let new = load.kill();
            acknowledged.extend(new);
            assert_whole(&place, &acknowledged);
        }
        assert!(acknowledged.len() > 50 * KILLS, "{} acknowledged", acknowledged.len());
        // And once to its end, over all that was begun.
        let steps = next_step(&acknowledged).to_string();
        let load = Load::start(&place, "load", &["--threads", "8", "--steps", &steps]);
        let all = load.finish();
        assert!(acknowledged.is_subset(&all), "what was done is a replay");
        assert_whole(&place, &all);
    }
}

/// A step after the last of which something was acknowledged. One more than the keys say: those of
/// deposits do not say theirs.
fn next_step(acknowledged: &BTreeSet<String>) -> usize {
    acknowledged.iter().filter_map(|key| load::step(key)).max().map_or(0, |last| last + 2)
}
