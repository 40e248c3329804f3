//! One log of random commands on SQLite, on PostgreSQL and on a model that is too simple to be
//! wrong: the same answers, and the same state after them.
//!
//! `DRIVEWAY_TEST_SEED` is the seed of the first log, otherwise chosen anew each time; a failure
//! prints that of its log. `DRIVEWAY_TEST_LONG=1` replays 200,000 commands and more.
//!
//! Which test states which invariant of the design:
//!
//! | | invariant | here | elsewhere in `ledger/tests` |
//! |---|---|---|---|
//! | 1 | transactions balance, the trial balance is zero | `after_commit`, each commit | `check.rs` |
//! | 2 | a balance is the fold of its entries, which never change | `history`, `check` | `check.rs` |
//! | 3 | available within the limit | `after_commit`, each commit | `concurrent.rs` |
//! | 3 | spent = owners' + fee, exactly | the model's settlements | `split.rs`, `chart.rs` |
//! | 4 | captured + released ≤ held, = once ended; each ends | `after_commit`, `at_end` | `concurrent.rs` |
//! | 5 | once per key, first answer, refusals consume none | answers to repeats | `refusals.rs`, `precedence.rs` |
//! | 6 | no entry lands in a closed month | `months`, each step | `period.rs` |
#![allow(clippy::unwrap_used)]

mod command;
#[path = "../common/mod.rs"]
mod common;
mod draft;
mod invariants;
mod model;
mod random;
mod state;
mod subject;
mod wrong;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use command::{Answer, Step, StepAnswer};
use common::REFUSALS;
use invariants::Watch;
use random::Log;
use state::Lines;
use store::on_both_databases;
use store::testing::{START, TestDb};
use subject::{Mode, Subject};

/// Commands of a log.
const LOG: usize = 1_500;

/// The same for both databases.
static SEED: LazyLock<u64> = LazyLock::new(|| match std::env::var("DRIVEWAY_TEST_SEED") {
    Ok(seed) => seed.parse().unwrap(),
    Err(_) => rand::random::<u32>().into(),
});

fn long() -> bool {
    std::env::var_os("DRIVEWAY_TEST_LONG").is_some()
}

/// Says with which seed it went wrong.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to see it again: DRIVEWAY_TEST_SEED={}", self.0);
        }
    }
}

fn another(db: &TestDb) -> TestDb {
    match db.store.database() {
        "sqlite" => TestDb::sqlite(),
        _ => TestDb::postgres(),
    }
}

/// Takes the log as the model does, or panics; how many transactions were undone on the way.
fn replay(db: &TestDb, log: &Log, mode: Mode, seed: u64) -> usize {
    let mut subject = Subject::new(db, log, mode, seed);
    let mut watch = Watch::default();
    for (n, (step, expected)) in log.steps.iter().enumerate() {
        let answer = subject.step(step, expected);
        compare_answers(n, step, expected, &answer);
        watch.months(db);
        if let Some(expected) = log.checkpoints.get(&n) {
            let lines = db.store.read(state::read).unwrap();
            compare_states(n, expected, &lines);
            watch.history(&lines);
        }
    }
    db.store.read(invariants::at_end).unwrap();
    common::assert_clean(&db.store);
    subject.crashes
}

fn compare_answers(n: usize, step: &Step, expected: &StepAnswer, answer: &StepAnswer) {
    if let (Step::Batch(groups), StepAnswer::Batch(expected), StepAnswer::Batch(answers)) =
        (step, expected, answer)
    {
        for ((group, expected), answer) in groups.iter().zip(expected).zip(answers) {
            assert_eq!(expected, answer, "step {n}, expected and answered: {group:#?}");
        }
    }
    assert_eq!(expected, answer, "step {n}, expected and answered: {step:?}");
}

fn compare_states(n: usize, expected: &Lines, lines: &Lines) {
    if state::hash(expected) != state::hash(lines) {
        let missing: Vec<_> = expected.difference(lines).collect();
        let added: Vec<_> = lines.difference(expected).collect();
        panic!("after step {n}, expected {missing:#?}, there is {added:#?}");
    }
}

on_both_databases! {
    fn the_same_answers_and_state_as_the_model(db) {
        let logs = if long() { 200_000_usize.div_ceil(LOG) } else { 7 };
        let (mut commands, mut crashes) = (0, 0);
        for n in 0..logs as u64 {
            let seed = Seed(SEED.wrapping_add(n));
            let log = random::log(seed.0, LOG, START);
            crashes += replay(&another(&db), &log, Mode::Batches, seed.0);
            commands += log.commands;
        }
        println!("{commands} commands, {crashes} transactions undone, {}", db.store.database());
        assert!(commands >= 10_000 && crashes > 10);
    }
}

on_both_databases! {
    fn one_by_one_or_in_batches(db) {
        let seed = Seed(SEED.wrapping_sub(1));
        let log = random::log(seed.0, if long() { 10 * LOG } else { 600 }, START);
        let batches = another(&db);
        replay(&db, &log, Mode::OneByOne, seed.0);
        replay(&batches, &log, Mode::Batches, seed.0);
        let hash = |db: &TestDb| state::hash(&db.store.read(state::read).unwrap());
        assert_eq!(hash(&db), hash(&batches));
    }
}

#[test]
fn logs_have_everything_in_them() {
    let mut seen = BTreeMap::<String, usize>::new();
    let mut commands = 0;
    // Whichever seed the other tests take.
    for seed in 0..12 {
        let log = random::log(seed, LOG, START);
        log.steps.iter().for_each(|(_, answer)| count_answers(answer, &mut seen));
        commands += log.commands;
    }
    let refused = |name: &str| seen.contains_key(&format!("Refused({name:?})"));
    // No command of a log adds an asset, and all assets have the finest scale.
    let expected = |name: &&&str| !["BadAsset", "AssetExists", "TooFine"].contains(*name);
    let missing: Vec<_> = REFUSALS.iter().filter(expected).filter(|name| !refused(name)).collect();
    assert!(missing.is_empty(), "no log is refused with {missing:?}: {seen:#?}");
    for done in ["Posted { replayed: true }", "Held { replayed: true }", "month", "expired"] {
        assert!(seen.get(done).is_some_and(|count| *count > 10), "{done}: {seen:#?}");
    }
    let posted = seen["Posted { replayed: false }"];
    assert!(posted > commands / 4, "most of it makes sense: {seen:#?}");
}

fn count_answers(answer: &StepAnswer, seen: &mut BTreeMap<String, usize>) {
    let mut see = |what: String| *seen.entry(what).or_default() += 1;
    match answer {
        StepAnswer::Batch(groups) => {
            groups.iter().flatten().for_each(|answer| match answer {
                Answer::Released(_) => see("released".to_owned()),
                answer => see(format!("{answer:?}")),
            });
        }
        StepAnswer::Months(Err(refusal)) => see(format!("Refused({refusal:?})")),
        StepAnswer::Months(Ok(())) => see("month".to_owned()),
        StepAnswer::Expired(keys) => keys.iter().for_each(|_| see("expired".to_owned())),
        StepAnswer::Nothing => {}
    }
}
