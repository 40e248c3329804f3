//! Loads what a batch needs into its world, a query for each table.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Text};
use store::schema::{market, task};
use store::sets::Set;
use store::{AnyConnection, AttemptId, JobId, LeaseId, TaskId, Tx, VehicleId};

use super::Call;
use super::beat::{named, reported};
use super::world::{Car, World};
use crate::assurance::{Assurance, load_claims, load_reputations};
use crate::fleet::{VehicleRow, load_permits, load_places, load_used, load_vehicles, load_words};
use crate::job::TaskRow;
use crate::lease::store::{AttemptRow, LeaseRow, is_open};
use crate::{Config, PayIn, Result};

/// What a batch is about.
#[derive(Default)]
pub(crate) struct Scope<'a> {
    pub calls: &'a [Call<'a>],
    /// Leases that time has caught up with.
    pub leases: Vec<LeaseRow>,
    /// Jobs that end before their tasks are done.
    pub ending: Vec<JobId>,
    /// Tasks that waited long enough for a further result.
    pub waiting: Vec<TaskRow>,
}

/// Whoever loads a world to change it has the market's row.
pub(crate) fn load_world<'w, 't: 'w>(
    tx: &mut Tx<'t>,
    config: &'w Config,
    market_id: &str,
    mut scope: Scope<'_>,
) -> Result<World<'w>> {
    let asset = market::table.find(market_id).select(market::asset).first(tx.conn)?;
    let mut world = World::new(tx.now, tx.ids(), config, market_id, asset);
    load_cars(tx, &mut world, scope.calls)?;
    let leases = std::mem::take(&mut scope.leases);
    leases.into_iter().for_each(|row| world.put_lease(row));
    load_running(tx, &mut world, scope.calls)?;
    load_jobs(tx, &mut world, &scope)?;
    load_stages(tx, &mut world)?;
    load_tasks(tx, &mut world, scope.calls, &scope.ending)?;
    scope.waiting.into_iter().for_each(|row| world.put_task(row));
    load_results(tx, &mut world)?;
    load_checkpoints(tx, &mut world)?;
    load_payees(tx, &mut world)?;
    load_blobs(tx, &mut world, scope.calls)?;
    Ok(world)
}

/// Cars, their words and their live leases.
pub(super) fn load_cars(tx: &mut Tx<'_>, world: &mut World<'_>, calls: &[Call<'_>]) -> Result<()> {
    if calls.is_empty() {
        return Ok(());
    }
    let ids: BTreeSet<VehicleId> = calls.iter().map(|call| call.vehicle).collect();
    let ids: Vec<VehicleId> = ids.into_iter().collect();
    let places = load_places(tx)?;
    let mut words = load_words(tx, &ids)?;
    let leases: Vec<LeaseRow> = Set::default().ids("id", ids.iter().copied()).load(
        tx.conn,
        "SELECT l.* FROM {set} CROSS JOIN lease l
        WHERE l.vehicle_id = w.id AND l.state IN ('offered', 'running')",
    )?;
    let leased: Vec<VehicleId> = leases.iter().map(|row| row.vehicle_id).collect();
    let mut permits = load_permits(tx, &leased)?;
    leases.into_iter().for_each(|row| world.put_lease(row));
    let rows = load_vehicles(tx, &ids)?;
    let place_of = |row: &VehicleRow| {
        places.get(&(row.region_id.clone(), row.class_id.clone())).cloned().unwrap_or_default()
    };
    let used = load_used(tx, rows.iter().map(|row| (row, place_of(row).utc_offset_min)))?;
    for row in rows {
        let place = place_of(&row);
        let used_us = used.get(&row.id).copied().unwrap_or(0);
        let permits = permits.remove(&row.id).unwrap_or_default();
        let word = words.remove(&row.id);
        world.put_car(Car { row, place, used_us, permits, word });
    }
    Ok(())
}

/// Whose the attempts are that cars report of.
pub(super) fn load_reported(
    tx: &mut Tx<'_>,
    world: &mut World<'_>,
    calls: &[Call<'_>],
) -> Result<()> {
    #[derive(QueryableByName)]
    struct Whose {
        #[diesel(sql_type = Binary)]
        id: AttemptId,
        #[diesel(sql_type = Binary)]
        vehicle_id: VehicleId,
    }
    let ids: BTreeSet<AttemptId> = calls.iter().filter_map(|call| reported(call.beat)).collect();
    let known = ids.into_iter().filter(|id| !world.reported.contains_key(id));
    let rows: Vec<Whose> = Set::default().ids("id", known).load(
        tx.conn,
        "SELECT a.id, l.vehicle_id FROM {set} CROSS JOIN attempt a CROSS JOIN lease l
        WHERE a.id = w.id AND l.id = a.lease_id",
    )?;
    world.reported.extend(rows.into_iter().map(|row| (row.id, row.vehicle_id)));
    Ok(())
}

/// The attempts that run in leases of this world.
fn load_running(tx: &mut Tx<'_>, world: &mut World<'_>, calls: &[Call<'_>]) -> Result<()> {
    let running: Vec<(AttemptId, VehicleId)> =
        world.leases.iter().filter_map(|row| Some((row.attempt_id?, row.vehicle_id))).collect();
    load_attempts(tx, world, running.iter().map(|(id, _)| *id).collect())?;
    world.reported.extend(running);
    load_reported(tx, world, calls)
}

fn load_attempts(tx: &mut Tx<'_>, world: &mut World<'_>, ids: BTreeSet<AttemptId>) -> Result<()> {
    let rows: Vec<AttemptRow> = Set::default()
        .ids("id", ids)
        .load(tx.conn, "SELECT a.* FROM {set} CROSS JOIN attempt a WHERE a.id = w.id")?;
    rows.into_iter().for_each(|row| world.attempts.load(row.id, row));
    Ok(())
}

fn load_jobs(tx: &mut Tx<'_>, world: &mut World<'_>, scope: &Scope<'_>) -> Result<()> {
    let leased = world.leases.iter().map(|row| row.job_id);
    let waiting = scope.waiting.iter().map(|row| row.job_id);
    let ids: BTreeSet<JobId> = leased.chain(scope.ending.iter().copied()).chain(waiting).collect();
    let rows: Vec<crate::job::JobRow> = Set::default()
        .ids("id", ids)
        .load(tx.conn, "SELECT j.* FROM {set} CROSS JOIN job j WHERE j.id = w.id")?;
    rows.into_iter().for_each(|row| world.jobs.load(row.id, row));
    Ok(())
}

/// The stages of those jobs that have them.
fn load_stages(tx: &mut Tx<'_>, world: &mut World<'_>) -> Result<()> {
    let staged: Vec<JobId> = world.jobs.iter().filter(|job| job.staged).map(|job| job.id).collect();
    let rows: Vec<crate::job::StageRow> = Set::default().ids("id", staged).load(
        tx.conn,
        "SELECT s.* FROM {set} CROSS JOIN job_stage s WHERE s.job_id = w.id ORDER BY s.number",
    )?;
    for row in rows {
        world.stages.entry(row.job_id).or_default().push(row);
    }
    Ok(())
}

/// The tasks that run, and those that the batch can take.
fn load_tasks(
    tx: &mut Tx<'_>,
    world: &mut World<'_>,
    calls: &[Call<'_>],
    ending: &[JobId],
) -> Result<()> {
    let running: BTreeSet<TaskId> = world.attempts.iter().map(|row| row.task_id).collect();
    let rows: Vec<TaskRow> = Set::default()
        .ids("id", running)
        .load(tx.conn, "SELECT t.* FROM {set} CROSS JOIN task t WHERE t.id = w.id")?;
    rows.into_iter().for_each(|row| world.put_task(row));
    // A heartbeat takes one task at most.
    let mut takers: BTreeMap<JobId, i64> = BTreeMap::new();
    for call in calls {
        if let Some(lease) = world.live.get(&call.vehicle).copied() {
            *takers.entry(world.leases.get(lease)?.job_id).or_default() += 1;
        }
    }
    load_fitting(tx, world, calls, &takers)?;
    takers.retain(|job, _| !is_assured(world, *job));
    load_queued(tx.conn, &takers)?.into_iter().for_each(|row| world.put_task(row));
    // Of jobs that end: the rest of their tasks needs no decision.
    let rows: Vec<TaskRow> = Set::default().ids("id", ending.iter().copied()).load(
        tx.conn,
        "SELECT t.* FROM {set} CROSS JOIN task t
        WHERE t.job_id = w.id AND t.state = 'queued'
            AND (t.resume_attempt IS NOT NULL OR t.wanted > 0)",
    )?;
    rows.into_iter().for_each(|row| world.put_task(row));
    Ok(())
}

fn is_assured(world: &World<'_>, job: JobId) -> bool {
    world.jobs.find(job).is_some_and(|job| job.assurance != Assurance::None)
}

/// Of jobs with assurance, the first queued tasks that each car may take: no owner runs a task
/// twice. A query for each owner, class and job.
fn load_fitting(
    tx: &mut Tx<'_>,
    world: &mut World<'_>,
    calls: &[Call<'_>],
    takers: &BTreeMap<JobId, i64>,
) -> Result<()> {
    use diesel::dsl::{exists, not, sql};
    use diesel::sql_types::Bool;
    use store::schema::claim;
    let mut wants = BTreeSet::new();
    for call in calls {
        let (Some(lease), Some(car)) =
            (world.live.get(&call.vehicle), world.cars.get(&call.vehicle))
        else {
            continue;
        };
        let job = world.leases.get(*lease)?.job_id;
        if is_assured(world, job) {
            wants.insert((job, car.row.owner_id, car.row.class_id.clone()));
        }
    }
    for (job, owner, class) in wants {
        let own = claim::table
            .filter(claim::task_id.eq(task::id))
            .filter(claim::owner_id.eq(owner))
            .filter(sql::<Bool>("claim.state = 'pending'"));
        let rows: Vec<TaskRow> = task::table
            .filter(task::job_id.eq(job))
            .filter(sql::<Bool>("task.state = 'queued'"))
            .filter(
                sql::<Bool>("(task.class_id IS NULL OR task.class_id = ")
                    .bind::<Text, _>(class)
                    .sql(")"),
            )
            .filter(not(exists(own)))
            .order(task::number)
            .limit(takers.get(&job).copied().unwrap_or(1))
            .load(tx.conn)?;
        rows.into_iter().for_each(|row| world.put_task(row));
    }
    Ok(())
}

/// The results that there are of tasks which need more than one, and what is known of cars.
fn load_results(tx: &mut Tx<'_>, world: &mut World<'_>) -> Result<()> {
    let tasks: Vec<TaskId> =
        world.tasks.iter().filter(|row| row.wanted > 0).map(|row| row.id).collect();
    load_claims(tx, tasks.into_iter())?.into_iter().for_each(|row| world.put_claim(row));
    let leased = world.leases.iter().map(|row| row.vehicle_id);
    let claimed = world.claims.iter().map(|row| row.vehicle_id);
    let cars: BTreeSet<VehicleId> = leased.chain(claimed).collect();
    world.reputations = load_reputations(tx, cars.into_iter())?;
    Ok(())
}

/// The first queued tasks of each job, as many as there are takers. SQLite has no LATERAL: there it
/// is a query for each job.
fn load_queued(conn: &mut AnyConnection, takers: &BTreeMap<JobId, i64>) -> Result<Vec<TaskRow>> {
    if let AnyConnection::Sqlite(conn) = conn {
        let mut rows = Vec::new();
        for (job, count) in takers {
            let first = task::table
                .filter(task::job_id.eq(job))
                .filter(diesel::dsl::sql::<diesel::sql_types::Bool>("state = 'queued'"))
                .order(task::number)
                .limit(*count);
            rows.extend(first.load::<TaskRow>(conn)?);
        }
        return Ok(rows);
    }
    let set = Set::default().ids("id", takers.keys().copied());
    Ok(set.numbers("count", takers.values().copied()).load(
        conn,
        "SELECT q.* FROM {set} CROSS JOIN LATERAL (
            SELECT * FROM task t WHERE t.job_id = w.id AND t.state = 'queued'
            ORDER BY t.number LIMIT w.count) q",
    )?)
}

/// The attempts whose checkpoints tasks go on from or whose results wait, and their leases.
fn load_checkpoints(tx: &mut Tx<'_>, world: &mut World<'_>) -> Result<()> {
    let resumed = world.attempts.iter().filter_map(|row| row.resumed);
    let waiting = world.tasks.iter().filter_map(|row| row.resume_attempt);
    let claimed = world.claims.iter().map(|row| row.attempt_id);
    let left: BTreeSet<AttemptId> = resumed.chain(waiting).chain(claimed).collect();
    load_attempts(tx, world, left)?;
    let leases: BTreeSet<LeaseId> = world.attempts.iter().map(|row| row.lease_id).collect();
    let missing = leases.into_iter().filter(|id| world.leases.find(*id).is_none());
    let missing: Vec<LeaseId> = missing.collect();
    let rows: Vec<LeaseRow> = Set::default()
        .ids("id", missing)
        .load(tx.conn, "SELECT l.* FROM {set} CROSS JOIN lease l WHERE l.id = w.id")?;
    rows.into_iter().for_each(|row| world.leases.load(row.id, row));
    Ok(())
}

/// Who is paid for leases of cars that are not in the batch.
fn load_payees(tx: &mut Tx<'_>, world: &mut World<'_>) -> Result<()> {
    #[derive(QueryableByName)]
    #[diesel(table_name = store::schema::vehicle)]
    struct Payee {
        id: VehicleId,
        owner_id: store::PartyId,
        pay_in: PayIn,
    }
    let cars: BTreeSet<VehicleId> = world.leases.iter().map(|row| row.vehicle_id).collect();
    let missing = cars.into_iter().filter(|id| !world.payees.contains_key(id));
    let rows: Vec<Payee> = Set::default().ids("id", missing).load(
        tx.conn,
        "SELECT v.id, v.owner_id, v.pay_in FROM {set} CROSS JOIN vehicle v WHERE v.id = w.id",
    )?;
    world.payees.extend(rows.into_iter().map(|row| (row.id, (row.owner_id, row.pay_in))));
    Ok(())
}

/// The blobs that reports and waiting results name, of those that cars did store.
fn load_blobs(tx: &mut Tx<'_>, world: &mut World<'_>, calls: &[Call<'_>]) -> Result<()> {
    #[derive(QueryableByName)]
    struct Stored {
        #[diesel(sql_type = Text)]
        digest: String,
        #[diesel(sql_type = BigInt)]
        size: i64,
    }
    let claimed: Vec<String> = world.claims.iter().map(|row| row.output.clone()).collect();
    let reported = calls.iter().filter_map(|call| named(call.beat));
    let named: BTreeSet<&str> = reported.chain(claimed.iter().map(String::as_str)).collect();
    let nobody = named.iter().map(|_| store::PartyId::NIL);
    let rows: Vec<Stored> =
        Set::default().texts("digest", named.iter().copied()).ids("party", nobody).load(
            tx.conn,
            "SELECT b.digest, b.size FROM {set} CROSS JOIN blob b
        WHERE b.digest = w.digest AND b.party_id = w.party",
        )?;
    world.blobs.extend(rows.into_iter().map(|row| (row.digest, row.size)));
    Ok(())
}

/// How many leases of each job are not settled in the database.
pub(super) fn count_unsettled(
    tx: &mut Tx<'_>,
    jobs: &BTreeSet<JobId>,
) -> Result<BTreeMap<JobId, i64>> {
    #[derive(QueryableByName)]
    struct Unsettled {
        #[diesel(sql_type = Binary)]
        id: JobId,
        #[diesel(sql_type = BigInt)]
        leases: i64,
    }
    let rows: Vec<Unsettled> = Set::default().ids("id", jobs.iter().copied()).load(
        tx.conn,
        "SELECT w.id, (SELECT COUNT(*) FROM lease l
            WHERE l.job_id = w.id AND l.state <> 'settled') AS leases FROM {set}",
    )?;
    Ok(rows.into_iter().map(|row| (row.id, row.leases)).collect())
}

/// Leases of a market that the sweep must look at now, the longest due first.
pub(crate) fn load_due(tx: &mut Tx<'_>, market_id: &str, limit: i64) -> Result<Vec<LeaseRow>> {
    use store::schema::lease;
    let rows = lease::table
        .filter(lease::market_id.eq(market_id))
        .filter(lease::due_at.le(tx.now))
        .filter(is_open())
        .order((lease::due_at, lease::id))
        .limit(limit)
        .load(tx.conn)?;
    Ok(rows)
}
