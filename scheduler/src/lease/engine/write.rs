//! Writes what changed in a world, a statement for each table. The market's row is ours.

use std::collections::{BTreeMap, HashMap};

use ledger::Command;
use ledger::chart::{self, Settlement};
use store::sets::Set;
use store::{JobId, LeaseId, TransactionId, Tx};

use super::load::count_unsettled;
use super::world::World;
use crate::lease::store::LeaseRow;
use crate::past::Ended;
use crate::{EndReason, Error, PayIn, Result};

/// Stores the world. Money comes late, for accounts that all leases share are locked from then on.
pub(super) fn store(tx: &mut Tx<'_>, world: &World<'_>) -> Result<()> {
    let released = plan_released(world, &count_unsettled(tx, &world.effects.ended)?)?;
    let words: Vec<_> = world.effects.words.values().cloned().collect();
    crate::fleet::store_words(tx, &words)?;
    // What ran before what runs now: a task has one running attempt.
    update_attempts(tx, world)?;
    insert_attempts(tx, world)?;
    update_tasks(tx, world)?;
    empty_queues(tx, world)?;
    crate::assurance::store_claims(tx, world.claims.new_rows(), world.claims.changed_rows())?;
    crate::assurance::store_reputations(tx, &world.effects.reputations)?;
    crate::past::store_ended(tx, &closed(world)?)?;
    update_jobs(tx, world)?;
    update_stages(tx, world)?;
    insert_grants(tx, world)?;
    insert_notes(tx, world)?;
    let transactions = settle(tx, world, &released)?;
    update_leases(tx, world, &transactions)
}

/// What the leases that have ended say of their cars and jobs. One that was never taken says
/// nothing: the car was gone before.
fn closed(world: &World<'_>) -> Result<Vec<Ended>> {
    let mut closed = Vec::new();
    for id in &world.effects.closed {
        let row = world.leases.get(*id)?;
        let Some(reason) = row.end_reason.filter(|why| *why != EndReason::NotTaken) else {
            continue;
        };
        let program = world.jobs.find(row.job_id).map(|job| job.program.clone());
        closed.push(Ended {
            vehicle: row.vehicle_id,
            job: row.job_id,
            offered_at: row.offered_at,
            to: if reason == EndReason::Lost { row.seen_at } else { world.now },
            interrupted: matches!(reason, EndReason::Lost | EndReason::Vacated),
            program: program.filter(|_| row.started_at.is_some()),
            attempts: i64::from(row.paid) + i64::from(row.pending),
            busy_us: row.paid_us.saturating_add(row.pending_us),
        });
    }
    Ok(closed)
}

/// Ended jobs of which each lease is settled by now: their holds end.
fn plan_released(world: &World<'_>, unsettled: &BTreeMap<JobId, i64>) -> Result<Vec<JobId>> {
    let mut open = unsettled.clone();
    for id in &world.effects.settled {
        if let Some(leases) = open.get_mut(&world.leases.get(*id)?.job_id) {
            *leases -= 1;
        }
    }
    Ok(open.into_iter().filter(|(_, leases)| *leases == 0).map(|(job, _)| job).collect())
}

/// Settles leases out of their jobs' holds (customer → owner and fee, under the lease's id as the
/// key), then releases the holds of jobs that are done. One command of the book for all of them.
fn settle(
    tx: &mut Tx<'_>,
    world: &World<'_>,
    released: &[JobId],
) -> Result<HashMap<LeaseId, TransactionId>> {
    let mut commands = Vec::new();
    let mut paid = Vec::new();
    for id in &world.effects.settled {
        if let Some(settlement) = settlement(world, world.leases.get(*id)?)? {
            commands.push(Command::from(settlement));
            paid.push(*id);
        }
    }
    for job in released {
        commands.push(Command::release(world.jobs.get(*job)?.hold_id));
    }
    if commands.is_empty() {
        return Ok(HashMap::new());
    }
    let mut answers = ledger::execute(tx, &commands)?.into_iter();
    let mut transactions = HashMap::new();
    for id in paid {
        let answer = answers.next().ok_or_else(|| Error::corrupt("a settlement unanswered"))?;
        transactions.insert(id, answer?.posted()?.id);
    }
    for answer in answers {
        answer?;
    }
    Ok(transactions)
}

/// None for a lease that costs nothing.
fn settlement(world: &World<'_>, row: &LeaseRow) -> Result<Option<Settlement>> {
    let Some(amount) = row.amount.filter(|amount| amount.is_positive()) else { return Ok(None) };
    let job = world.jobs.get(row.job_id)?;
    let (owner, pay_in) = *world
        .payees
        .get(&row.vehicle_id)
        .ok_or_else(|| Error::corrupt(format!("nobody owns {}", row.vehicle_id)))?;
    let ppm = |ppm: i32| u32::try_from(ppm).map_err(|_| Error::corrupt("negative rate"));
    Ok(Some(Settlement {
        lease: row.id,
        hold: job.hold_id,
        customer: job.customer_id,
        owner,
        asset: world.asset.clone(),
        seconds: row.billed_s.unwrap_or(0).into(),
        price: row.price,
        amount,
        fee_ppm: ppm(row.fee_ppm)?,
        pay_in: match pay_in {
            PayIn::Cash => chart::PayIn::Cash,
            PayIn::Credits => chart::PayIn::Credits { bonus_ppm: ppm(row.bonus_ppm)? },
        },
        effective_at: row.ended_at.unwrap_or(world.now),
    }))
}

fn update_attempts(tx: &mut Tx<'_>, world: &World<'_>) -> Result<()> {
    let rows = || world.attempts.changed_rows();
    Set::default()
        .ids("id", rows().map(|row| row.id))
        .texts("state", rows().map(|row| row.state.as_str()))
        .texts("verdict", rows().map(|row| row.verdict.as_str()))
        .texts("reason", rows().map(|row| &*row.reason))
        .maybe_numbers("ended_at", rows().map(|row| Some(row.ended_at?.0)))
        .numbers("metered_us", rows().map(|row| row.metered_us))
        .numbers("billable_us", rows().map(|row| row.billable_us))
        .execute(
            tx.conn,
            "UPDATE attempt SET state = w.state, verdict = w.verdict, reason = w.reason,
                ended_at = w.ended_at, metered_us = w.metered_us, billable_us = w.billable_us
            FROM {set} WHERE attempt.id = w.id",
        )?;
    Ok(())
}

fn insert_attempts(tx: &mut Tx<'_>, world: &World<'_>) -> Result<()> {
    let rows = || world.attempts.new_rows();
    Set::default()
        .ids("id", rows().map(|row| row.id))
        .ids("lease_id", rows().map(|row| row.lease_id))
        .ids("task_id", rows().map(|row| row.task_id))
        .texts("state", rows().map(|row| row.state.as_str()))
        .texts("verdict", rows().map(|row| row.verdict.as_str()))
        .maybe_ids("resumed", rows().map(|row| row.resumed))
        .texts("reason", rows().map(|row| &*row.reason))
        .numbers("started_at", rows().map(|row| row.started_at.0))
        .maybe_numbers("ended_at", rows().map(|row| Some(row.ended_at?.0)))
        .numbers("metered_us", rows().map(|row| row.metered_us))
        .numbers("billable_us", rows().map(|row| row.billable_us))
        .insert(tx.conn, "attempt", "")?;
    Ok(())
}

fn update_tasks(tx: &mut Tx<'_>, world: &World<'_>) -> Result<()> {
    let rows = || world.tasks.changed_rows();
    Set::default()
        .ids("id", rows().map(|row| row.id))
        .texts("state", rows().map(|row| row.state.as_str()))
        .maybe_ids("resume_attempt", rows().map(|row| row.resume_attempt))
        .maybe_texts("checkpoint", rows().map(|row| row.checkpoint.as_deref()))
        .maybe_texts("output", rows().map(|row| row.output.as_deref()))
        .integers("car_failures", rows().map(|row| row.car_failures))
        .integers("program_failures", rows().map(|row| row.program_failures))
        .maybe_texts("last_error", rows().map(|row| row.last_error.as_deref()))
        .maybe_numbers("done", rows().map(|row| row.done.map(i64::from)))
        .integers("wanted", rows().map(|row| row.wanted))
        .integers("agreed", rows().map(|row| row.agreed))
        .maybe_texts("class_id", rows().map(|row| row.class_id.as_deref()))
        .maybe_numbers("verify_by", rows().map(|row| Some(row.verify_by?.0)))
        .execute(
            tx.conn,
            "UPDATE task SET state = w.state, resume_attempt = w.resume_attempt,
                checkpoint = w.checkpoint, output = w.output, car_failures = w.car_failures,
                program_failures = w.program_failures, last_error = w.last_error,
                done = CAST(w.done AS INTEGER), wanted = w.wanted,
                agreed = w.agreed, class_id = w.class_id, verify_by = w.verify_by
            FROM {set} WHERE task.id = w.id",
        )?;
    Ok(())
}

/// What is still queued of jobs that ended early has no checkpoint: nothing is to be decided of it.
fn empty_queues(tx: &mut Tx<'_>, world: &World<'_>) -> Result<()> {
    Set::default().ids("id", world.effects.emptied.iter().copied()).execute(
        tx.conn,
        "UPDATE task SET state = 'cancelled' FROM {set}
        WHERE task.job_id = w.id AND task.state = 'queued'",
    )?;
    Ok(())
}

fn update_jobs(tx: &mut Tx<'_>, world: &World<'_>) -> Result<()> {
    let rows = || world.jobs.changed_rows();
    Set::default()
        .ids("id", rows().map(|row| row.id))
        .texts("state", rows().map(|row| row.state.as_str()))
        .integers("completed", rows().map(|row| row.tasks_completed))
        .integers("failed", rows().map(|row| row.tasks_failed))
        .integers("program_failed", rows().map(|row| row.program_failed))
        .maybe_texts("reason", rows().map(|row| Some(row.reason?.as_str())))
        .maybe_numbers("ended_at", rows().map(|row| Some(row.ended_at?.0)))
        .execute(
            tx.conn,
            "UPDATE job SET state = w.state, tasks_completed = w.completed,
                tasks_failed = w.failed, program_failed = w.program_failed, reason = w.reason,
                ended_at = w.ended_at
            FROM {set} WHERE job.id = w.id",
        )?;
    Ok(())
}

fn update_stages(tx: &mut Tx<'_>, world: &World<'_>) -> Result<()> {
    let counted =
        |row: &&crate::job::StageRow| world.effects.stages.contains(&(row.job_id, row.number));
    let rows = || world.stages.values().flatten().filter(counted);
    Set::default()
        .ids("id", rows().map(|row| row.job_id))
        .integers("number", rows().map(|row| row.number))
        .integers("completed", rows().map(|row| row.completed))
        .integers("failed", rows().map(|row| row.failed))
        .integers("program_failed", rows().map(|row| row.program_failed))
        .execute(
            tx.conn,
            "UPDATE job_stage SET completed = w.completed, failed = w.failed,
                program_failed = w.program_failed
            FROM {set} WHERE job_stage.job_id = w.id AND job_stage.number = w.number",
        )?;
    Ok(())
}

fn insert_grants(tx: &mut Tx<'_>, world: &World<'_>) -> Result<()> {
    let rows = || world.effects.grants.iter();
    Set::default()
        .texts("digest", rows().map(|((digest, _), _)| &**digest))
        .ids("party_id", rows().map(|((_, party), _)| *party))
        .numbers("size", rows().map(|(_, size)| *size))
        .numbers("created_at", rows().map(|_| world.now.0))
        .insert(tx.conn, "blob", "ON CONFLICT (digest, party_id) DO NOTHING")?;
    Ok(())
}

fn insert_notes(tx: &mut Tx<'_>, world: &World<'_>) -> Result<()> {
    let rows = || world.effects.notes.iter();
    Set::default()
        .ids("attempt_id", rows().map(|row| row.attempt))
        .numbers("fuel", rows().map(|row| row.fuel))
        .numbers("cpu_us", rows().map(|row| row.cpu_us))
        .numbers("peak_memory_bytes", rows().map(|row| row.peak_memory_bytes))
        .texts("log", rows().map(|row| &*row.log))
        .texts("metrics", rows().map(|row| &*row.metrics))
        .insert(tx.conn, "attempt_report", "")?;
    Ok(())
}

fn update_leases(
    tx: &mut Tx<'_>,
    world: &World<'_>,
    transactions: &HashMap<LeaseId, TransactionId>,
) -> Result<()> {
    let rows = || world.leases.changed_rows();
    let transaction = |row: &LeaseRow| transactions.get(&row.id).copied().or(row.transaction_id);
    Set::default()
        .ids("id", rows().map(|row| row.id))
        .texts("state", rows().map(|row| row.state.as_str()))
        .numbers("earmark", rows().map(|row| row.earmark.0))
        .numbers("seen_at", rows().map(|row| row.seen_at.0))
        .maybe_numbers("started_at", rows().map(|row| Some(row.started_at?.0)))
        .maybe_numbers("ended_at", rows().map(|row| Some(row.ended_at?.0)))
        .maybe_texts("end_reason", rows().map(|row| Some(row.end_reason?.as_str())))
        .maybe_numbers("settled_at", rows().map(|row| Some(row.settled_at?.0)))
        .maybe_numbers("billed_s", rows().map(|row| row.billed_s.map(i64::from)))
        .maybe_numbers("amount", rows().map(|row| Some(row.amount?.0)))
        .maybe_ids("transaction_id", rows().map(transaction))
        .maybe_ids("attempt_id", rows().map(|row| row.attempt_id))
        .numbers("due_at", rows().map(|row| row.due_at.0))
        .integers("paid", rows().map(|row| row.paid))
        .numbers("paid_us", rows().map(|row| row.paid_us))
        .integers("pending", rows().map(|row| row.pending))
        .numbers("pending_us", rows().map(|row| row.pending_us))
        .execute(
            tx.conn,
            "UPDATE lease SET state = w.state, earmark = w.earmark, seen_at = w.seen_at,
                started_at = w.started_at, ended_at = w.ended_at, end_reason = w.end_reason,
                settled_at = w.settled_at, billed_s = CAST(w.billed_s AS INTEGER),
                amount = w.amount, transaction_id = w.transaction_id, attempt_id = w.attempt_id,
                due_at = w.due_at, paid = w.paid, paid_us = w.paid_us, pending = w.pending,
                pending_us = w.pending_us
            FROM {set} WHERE lease.id = w.id",
        )?;
    Ok(())
}
