//! All that the market stores, as text in which ids are numbers: two databases in which the same
//! happened say the same. And what always holds of it.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use diesel::prelude::*;
use scheduler::job::{JobRow, TaskRow};
use scheduler::lease::{AttemptRow, LeaseRow};
use scheduler::{AttemptOutcome, JobState, LeaseState, TaskState, Verdict};
use store::schema::{account, attempt, balance, blob, car_hour, car_program, job, job_pace, lease};
use store::schema::{presence, region_hour, task};
use store::{Amount, AttemptId, JobId, PartyId, TaskId, Tx};

use super::{AnyResult, World};

struct All {
    jobs: Vec<JobRow>,
    tasks: Vec<TaskRow>,
    leases: Vec<LeaseRow>,
    attempts: Vec<AttemptRow>,
}

fn load(tx: &mut Tx<'_>) -> AnyResult<All> {
    Ok(All {
        jobs: job::table.order(job::id).load(tx.conn)?,
        tasks: task::table.order((task::job_id, task::number)).load(tx.conn)?,
        leases: lease::table.order(lease::id).load(tx.conn)?,
        attempts: attempt::table.order(attempt::id).load(tx.conn)?,
    })
}

type Word = (store::VehicleId, i64, bool, String);
type Money = (String, PartyId, String, i64, i64, i64);

/// What the past says: of cars, of regions, and of jobs.
fn dump_past(world: &World) -> String {
    type Hour<K> = (K, i32, i64, i64, i64);
    world.write(|tx| {
        let cars: Vec<Hour<store::VehicleId>> =
            car_hour::table.order((car_hour::vehicle_id, car_hour::hour)).load(tx.conn)?;
        let regions: Vec<Hour<String>> =
            region_hour::table.order((region_hour::region_id, region_hour::hour)).load(tx.conn)?;
        let programs: Vec<(store::VehicleId, String)> =
            car_program::table.order(car_program::vehicle_id).load(tx.conn)?;
        let paces: Vec<(JobId, i64, i64)> =
            job_pace::table.order(job_pace::job_id).load(tx.conn)?;
        Ok(format!("{cars:?}\n{regions:?}\n{programs:?}\n{paces:?}\n"))
    })
}

/// Every row of the market and every balance.
pub fn dump(world: &World) -> String {
    let mut text = String::new();
    let (all, words, money, blobs) = world.write(|tx| {
        let words: Vec<Word> = presence::table
            .order(presence::vehicle_id)
            .select((presence::vehicle_id, presence::seen_at, presence::eligible, presence::reason))
            .load(tx.conn)?;
        let money: Vec<Money> = account::table
            .inner_join(balance::table.on(balance::account_id.eq(account::id)))
            .order((account::code, account::party_id, account::asset))
            .select((
                account::code,
                account::party_id,
                account::asset,
                balance::posted,
                balance::held,
                balance::entries,
            ))
            .load(tx.conn)?;
        let blobs: i64 = blob::table.count().get_result(tx.conn)?;
        Ok((load(tx)?, words, money, blobs))
    });
    let line = |text: &mut String, row: &dyn std::fmt::Debug| writeln!(text, "{row:?}").unwrap();
    all.jobs.iter().for_each(|row| line(&mut text, row));
    all.tasks.iter().for_each(|row| line(&mut text, row));
    all.leases.iter().for_each(|row| line(&mut text, row));
    all.attempts.iter().for_each(|row| line(&mut text, row));
    words.iter().for_each(|row| line(&mut text, row));
    money.iter().for_each(|row| line(&mut text, row));
    line(&mut text, &blobs);
    text += &dump_past(world);
    numbered(&text)
}

/// The text with each id, and each digest, as the number of its first place.
pub fn numbered(text: &str) -> String {
    let mut names: HashMap<&str, usize> = HashMap::new();
    let mut out = String::new();
    let mut rest = text;
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    while let Some(from) = rest.find(word) {
        out.push_str(&rest[..from]);
        let length = rest[from..].find(|c| !word(c)).unwrap_or(rest.len() - from);
        let token = &rest[from..from + length];
        let is_id = token.rsplit_once('_').is_some_and(|(_, id)| id.len() == 26);
        if is_id || token.len() == 64 {
            let next = names.len();
            write!(out, "#{}", names.entry(token).or_insert(next)).unwrap();
        } else {
            out.push_str(token);
        }
        rest = &rest[from + length..];
    }
    out + rest
}

/// How leases and attempts have ended so far, in words.
pub fn ends(world: &World) -> Vec<String> {
    let all = world.write(load);
    let leases = all.leases.iter().filter_map(|row| Some(row.end_reason?.to_string()));
    leases.chain(all.attempts.iter().map(|row| row.state.to_string())).collect()
}

/// What holds after every commit.
pub fn check(world: &World) {
    world.check();
    let all = world.write(load);
    check_tasks(&all);
    check_leases(&all);
    check_jobs(world, &all);
}

/// No task is lost: it waits, runs in one attempt, or has ended.
fn check_tasks(all: &All) {
    let mut running: BTreeMap<TaskId, usize> = BTreeMap::new();
    for row in all.attempts.iter().filter(|row| row.state == AttemptOutcome::Running) {
        *running.entry(row.task_id).or_default() += 1;
    }
    for row in &all.tasks {
        let attempts = running.get(&row.id).copied().unwrap_or(0);
        assert_eq!(attempts, usize::from(row.state == TaskState::Leased), "{row:?}");
        let pending = |id: AttemptId| all.attempts.iter().find(|it| it.id == id).unwrap().verdict;
        if let Some(resume) = row.resume_attempt {
            assert_eq!(pending(resume), Verdict::Pending, "{row:?}");
        }
    }
}

/// A lease's row is the fold of its attempts, and a car has one live lease at most.
fn check_leases(all: &All) {
    let mut live = std::collections::HashSet::new();
    for row in &all.leases {
        let own = || all.attempts.iter().filter(|attempt| attempt.lease_id == row.id);
        let running = own().find(|attempt| attempt.state == AttemptOutcome::Running);
        assert_eq!(row.attempt_id, running.map(|attempt| attempt.id), "{row:?}");
        let of = |verdict| {
            let ended = own().filter(|attempt| attempt.state != AttemptOutcome::Running);
            let own = ended.filter(|attempt| attempt.verdict == verdict);
            own.fold((0, 0), |(n, us), attempt| (n + 1, us + attempt.billable_us))
        };
        assert_eq!((row.paid, row.paid_us), of(Verdict::Paid), "{row:?}");
        assert_eq!((row.pending, row.pending_us), of(Verdict::Pending), "{row:?}");
        let is_live = matches!(row.state, LeaseState::Offered | LeaseState::Running);
        assert!(!is_live || live.insert(row.vehicle_id), "two leases of a car: {row:?}");
        let open = row.attempt_id.is_some() || row.pending > 0;
        assert!(row.state != LeaseState::Settled || !open, "settled too early: {row:?}");
        assert!(row.state != LeaseState::Ended || open, "not settled: {row:?}");
        assert!(!open || row.state != LeaseState::Offered, "{row:?}");
    }
}

/// Earmarks are within the hold; what has ended leaves nothing behind.
fn check_jobs(world: &World, all: &All) {
    for row in &all.jobs {
        let hold = world.write(|tx| Ok(ledger::hold(tx, row.hold_id)?));
        let own = |job: JobId| all.leases.iter().filter(move |lease| lease.job_id == job);
        let earmarked: Amount = own(row.id).map(|lease| lease.earmark).sum();
        assert!(earmarked <= hold.remaining(), "{earmarked} of {hold:?}: {row:?}");
        let spent: Amount = own(row.id).filter_map(|lease| lease.amount).sum();
        assert_eq!(spent, hold.captured, "{row:?}");
        let count = |state| {
            let tasks = all.tasks.iter().filter(|task| task.job_id == row.id);
            i32::try_from(tasks.filter(|task| task.state == state).count()).unwrap()
        };
        assert_eq!(row.tasks_completed, count(TaskState::Completed), "{row:?}");
        assert_eq!(row.tasks_failed, count(TaskState::Failed), "{row:?}");
        let active = row.state == JobState::Active;
        assert!(active || count(TaskState::Queued) == 0, "{row:?}");
        let unsettled = own(row.id).any(|lease| lease.state != LeaseState::Settled);
        assert_eq!(hold.open, active || unsettled || hold.remaining() > Amount::ZERO, "{row:?}");
        assert!(active || unsettled || !hold.open, "a hold that does not end: {row:?}");
    }
}
