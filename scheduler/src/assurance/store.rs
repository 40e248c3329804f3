//! Rows of claims and reputations.

use std::collections::{BTreeMap, HashMap, HashSet};

use ::store::schema::{claim, job, reputation, task};
use ::store::sets::Set;
use ::store::{AttemptId, JobId, PartyId, TaskId, Timestamp, Tx, VehicleId};
use diesel::prelude::*;

use super::reputation::{FAILED_OFTEN, WRONG_RESULTS};
use super::{Assurance, Reputation};
use crate::job::TaskRow;
use crate::{ClaimState, Result, TaskState};

/// A result that a car named: a row of `claim`.
#[derive(Clone, Debug, PartialEq, Queryable, QueryableByName)]
#[diesel(table_name = claim)]
pub(crate) struct ClaimRow {
    pub attempt_id: AttemptId,
    pub task_id: TaskId,
    pub vehicle_id: VehicleId,
    pub owner_id: PartyId,
    pub class_id: String,
    pub output: String,
    pub state: ClaimState,
    pub expected: Option<String>,
    pub agreeing: Option<i32>,
    pub claimed_at: Timestamp,
    pub decided_at: Option<Timestamp>,
}

/// The undecided results of tasks, in the order of their making.
pub(crate) fn load_claims(
    tx: &mut Tx<'_>,
    tasks: impl Iterator<Item = TaskId>,
) -> Result<Vec<ClaimRow>> {
    let rows = Set::default().ids("id", tasks).load(
        tx.conn,
        "SELECT c.* FROM {set} CROSS JOIN claim c WHERE c.task_id = w.id AND c.state = 'pending'",
    )?;
    Ok(rows)
}

/// Stores new results, and what was decided of known ones.
pub(crate) fn store_claims<'a>(
    tx: &mut Tx<'_>,
    new: impl Iterator<Item = &'a ClaimRow> + Clone,
    changed: impl Iterator<Item = &'a ClaimRow> + Clone,
) -> Result<()> {
    let rows = || new.clone();
    Set::default()
        .ids("attempt_id", rows().map(|row| row.attempt_id))
        .ids("task_id", rows().map(|row| row.task_id))
        .ids("vehicle_id", rows().map(|row| row.vehicle_id))
        .ids("owner_id", rows().map(|row| row.owner_id))
        .texts("class_id", rows().map(|row| &*row.class_id))
        .texts("output", rows().map(|row| &*row.output))
        .texts("state", rows().map(|row| row.state.as_str()))
        .maybe_texts("expected", rows().map(|row| row.expected.as_deref()))
        .maybe_numbers("agreeing", rows().map(|row| row.agreeing.map(i64::from)))
        .numbers("claimed_at", rows().map(|row| row.claimed_at.0))
        .maybe_numbers("decided_at", rows().map(|row| Some(row.decided_at?.0)))
        .execute(
            tx.conn,
            "INSERT INTO claim (attempt_id, task_id, vehicle_id, owner_id, class_id, output, state,
                expected, agreeing, claimed_at, decided_at)
            SELECT w.attempt_id, w.task_id, w.vehicle_id, w.owner_id, w.class_id, w.output, w.state,
                w.expected, CAST(w.agreeing AS INTEGER), w.claimed_at, w.decided_at FROM {set}",
        )?;
    let rows = || changed.clone();
    Set::default()
        .ids("id", rows().map(|row| row.attempt_id))
        .texts("state", rows().map(|row| row.state.as_str()))
        .maybe_texts("expected", rows().map(|row| row.expected.as_deref()))
        .maybe_numbers("agreeing", rows().map(|row| row.agreeing.map(i64::from)))
        .maybe_numbers("decided_at", rows().map(|row| Some(row.decided_at?.0)))
        .execute(
            tx.conn,
            "UPDATE claim SET state = w.state, expected = w.expected,
                agreeing = CAST(w.agreeing AS INTEGER), decided_at = w.decided_at
            FROM {set} WHERE claim.attempt_id = w.id",
        )?;
    Ok(())
}

/// A row of `reputation`.
#[derive(Clone, Debug, QueryableByName)]
#[diesel(table_name = reputation)]
struct ReputationRow {
    vehicle_id: VehicleId,
    right_count: i64,
    dissent: i64,
    failed: i64,
    lost: i64,
    recent: i32,
    clean: i32,
    rests: i32,
    resting_until: Option<Timestamp>,
    rest_reason: Option<String>,
}

impl From<&ReputationRow> for Reputation {
    fn from(row: &ReputationRow) -> Self {
        let known = [FAILED_OFTEN, WRONG_RESULTS];
        Self {
            right: row.right_count,
            dissent: row.dissent,
            failed: row.failed,
            lost: row.lost,
            recent: row.recent,
            clean: row.clean,
            rests: row.rests,
            resting_until: row.resting_until,
            rest_reason: known.into_iter().find(|word| row.rest_reason.as_deref() == Some(word)),
        }
    }
}

/// What is known of these cars; of most nothing is.
pub(crate) fn load_reputations(
    tx: &mut Tx<'_>,
    cars: impl Iterator<Item = VehicleId>,
) -> Result<HashMap<VehicleId, Reputation>> {
    let rows: Vec<ReputationRow> = Set::default()
        .ids("id", cars)
        .load(tx.conn, "SELECT r.* FROM {set} CROSS JOIN reputation r WHERE r.vehicle_id = w.id")?;
    Ok(rows.iter().map(|row| (row.vehicle_id, Reputation::from(row))).collect())
}

pub(crate) fn store_reputations(
    tx: &mut Tx<'_>,
    rows: &BTreeMap<VehicleId, Reputation>,
) -> Result<()> {
    let now = tx.now.0;
    Set::default()
        .ids("vehicle_id", rows.keys().copied())
        .numbers("right_count", rows.values().map(|row| row.right))
        .numbers("dissent", rows.values().map(|row| row.dissent))
        .numbers("failed", rows.values().map(|row| row.failed))
        .numbers("lost", rows.values().map(|row| row.lost))
        .integers("recent", rows.values().map(|row| row.recent))
        .integers("clean", rows.values().map(|row| row.clean))
        .integers("rests", rows.values().map(|row| row.rests))
        .maybe_numbers("resting_until", rows.values().map(|row| Some(row.resting_until?.0)))
        .maybe_texts("rest_reason", rows.values().map(|row| row.rest_reason))
        .numbers("changed_at", rows.values().map(|_| now))
        .insert(
            tx.conn,
            "reputation",
            "ON CONFLICT (vehicle_id) DO UPDATE SET right_count = excluded.right_count,
                dissent = excluded.dissent, failed = excluded.failed, lost = excluded.lost,
                recent = excluded.recent, clean = excluded.clean, rests = excluded.rests,
                resting_until = excluded.resting_until, rest_reason = excluded.rest_reason,
                changed_at = excluded.changed_at",
        )?;
    Ok(())
}

/// Cars that take no work now.
pub(crate) fn load_resting(tx: &mut Tx<'_>) -> Result<HashSet<VehicleId>> {
    let ids: Vec<VehicleId> = reputation::table
        .filter(reputation::resting_until.gt(Some(tx.now)))
        .select(reputation::vehicle_id)
        .load(tx.conn)?;
    Ok(ids.into_iter().collect())
}

/// Tasks of a market that waited for a further result for long enough, the longest first.
pub(crate) fn load_waits(tx: &mut Tx<'_>, market: &str, limit: i64) -> Result<Vec<TaskRow>> {
    let rows = task::table
        .inner_join(job::table.on(job::id.eq(task::job_id)))
        .filter(task::verify_by.le(Some(tx.now)))
        .filter(task::state.eq(TaskState::Queued))
        .filter(job::market_id.eq(market))
        .order((task::verify_by, task::id))
        .limit(limit)
        .select(task::all_columns)
        .load(tx.conn)?;
    Ok(rows)
}

/// A queued task that somebody has run: who may not run it again, and on which class it must run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    pub class: String,
    pub owners: HashSet<PartyId>,
}

/// Of each job with assurance, the queued tasks that have a result.
pub(crate) fn load_job_waits(tx: &mut Tx<'_>, market: &str) -> Result<HashMap<JobId, Vec<Wait>>> {
    type Row = (JobId, TaskId, String, PartyId);
    let rows: Vec<Row> = claim::table
        .inner_join(task::table.on(task::id.eq(claim::task_id)))
        .inner_join(job::table.on(job::id.eq(task::job_id)))
        .filter(job::market_id.eq(market))
        .filter(job::assurance.ne(Assurance::None.to_string()))
        .filter(task::state.eq(TaskState::Queued))
        .filter(claim::state.eq(ClaimState::Pending))
        .select((task::job_id, task::id, claim::class_id, claim::owner_id))
        .load(tx.conn)?;
    let mut tasks: BTreeMap<(JobId, TaskId), Wait> = BTreeMap::new();
    for (job, id, class, owner) in rows {
        let wait = || Wait { class, owners: HashSet::new() };
        tasks.entry((job, id)).or_insert_with(wait).owners.insert(owner);
    }
    let mut waits: HashMap<JobId, Vec<Wait>> = HashMap::new();
    for ((job, _), wait) in tasks {
        waits.entry(job).or_default().push(wait);
    }
    Ok(waits)
}
