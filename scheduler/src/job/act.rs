//! What a customer does with a job that is there: pause it, let it go on, ask for it again.

use diesel::prelude::*;
use store::schema::{job, task};
use store::{Amount, JobId, PartyId, Tx};

use super::stage::load_stages;
use super::store::{load_bid, load_job, split_list};
use super::{Extras, Inputs, JobRow, NewBid, NewJob, NewStage, StageRow, owned};
use crate::market::lock_market;
use crate::{Error, Gather, JobState, Pause, Result, Source};

/// No car is given a task of the job any more; what runs finishes or is told to leave. The hold and
/// the deadline stay. Pausing again only changes what becomes of running tasks.
///
/// # Errors
/// [`Error::NotFound`], [`Error::JobEnded`].
pub fn pause(tx: &mut Tx<'_>, customer: PartyId, id: JobId, running: Pause) -> Result<()> {
    set_pause(tx, customer, id, Some(running))
}

/// The job goes on where it stood; one that is not paused stays as it is.
///
/// # Errors
/// As [`pause`].
pub fn resume(tx: &mut Tx<'_>, customer: PartyId, id: JobId) -> Result<()> {
    set_pause(tx, customer, id, None)
}

fn set_pause(tx: &mut Tx<'_>, customer: PartyId, id: JobId, pause: Option<Pause>) -> Result<()> {
    let market = owned(load_job(tx, id)?, customer)?.market_id;
    lock_market(tx, &market)?;
    if owned(load_job(tx, id)?, customer)?.state != JobState::Active {
        return Err(Error::JobEnded);
    }
    diesel::update(job::table.find(id)).set(job::pause.eq(pause)).execute(tx.conn)?;
    Ok(())
}

/// What is to be other than in the job that is asked for again; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct CloneChange {
    pub name: Option<String>,
    pub budget: Option<Amount>,
    /// Instead of all that the job's inputs were: a task for each, with the job's program. Only of
    /// a job without stages.
    pub inputs: Option<Vec<String>>,
}

/// The job as it was asked for, to be submitted again. Deadline and time in force are left out:
/// they were moments.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Invalid`] for new inputs of a job with stages.
pub fn clone_of(
    tx: &mut Tx<'_>,
    customer: PartyId,
    id: JobId,
    change: &CloneChange,
) -> Result<(NewJob, Extras)> {
    let row = owned(load_job(tx, id)?, customer)?;
    let stages = load_stages(tx, id)?;
    if change.inputs.is_some() && !stages.is_empty() {
        return Err(Error::invalid("/inputs", "the job has stages: submit it anew"));
    }
    let inputs = match (&change.inputs, stages.is_empty()) {
        (Some(inputs), _) => inputs.clone(),
        (None, true) => load_inputs(tx, id, 0, row.tasks)?,
        (None, false) => vec![],
    };
    let stages =
        stages.iter().map(|stage| again(tx, stage, &stages)).collect::<Result<Vec<NewStage>>>()?;
    let extras = Extras {
        priority: row.priority,
        program_retries: row.program_retries,
        early_stop: row.early_stop,
        stages,
    };
    Ok((new_job(tx, row, inputs, change)?, extras))
}

fn new_job(
    tx: &mut Tx<'_>,
    row: JobRow,
    inputs: Vec<String>,
    change: &CloneChange,
) -> Result<NewJob> {
    let bid = load_bid(tx, row.id)?;
    let list = |text: &str| split_list(text).into_iter().map(str::to_owned).collect();
    Ok(NewJob {
        name: change.name.clone().unwrap_or(row.name),
        runtime: row.runtime,
        program: row.program,
        purpose: row.purpose,
        data_class: row.data_class,
        assurance: row.assurance,
        inputs,
        bid: NewBid {
            price: bid.price,
            lanes: bid.lanes,
            budget: change.budget.unwrap_or(bid.budget),
            currency: crate::market::asset(tx, &row.market_id)?,
            regions: list(&bid.regions),
            classes: list(&bid.classes),
            deadline: None,
            min_fill: bid.min_fill,
            short_leases: bid.short_leases,
            expires_at: None,
        },
        market: row.market_id,
    })
}

fn again(tx: &mut Tx<'_>, row: &StageRow, all: &[StageRow]) -> Result<NewStage> {
    let corrupt = || Error::corrupt("a stage lacks its source");
    let inputs = match row.source {
        Source::List => Inputs::List(load_inputs(tx, row.job_id, row.first, row.tasks)?),
        Source::Template => Inputs::Template {
            text: row.template.clone().ok_or_else(corrupt)?,
            rows: row.rows_digest.clone(),
            tasks: row.tasks,
        },
        Source::Rows => {
            let digest = row.rows_digest.clone().ok_or_else(corrupt)?;
            Inputs::Rows { digest, tasks: row.tasks }
        }
        Source::Outputs => {
            let from = all.iter().find(|other| Some(other.number) == row.from_stage);
            Inputs::Outputs {
                from: from.ok_or_else(corrupt)?.name.clone(),
                gather: row.gather.unwrap_or(Gather::Archive),
                per_task: row.per_task,
            }
        }
    };
    Ok(NewStage {
        name: row.name.clone(),
        runtime: row.runtime,
        program: row.program.clone(),
        inputs,
        allow_failed: row.allow_failed,
    })
}

fn load_inputs(tx: &mut Tx<'_>, id: JobId, first: i32, tasks: i32) -> Result<Vec<String>> {
    let inputs = task::table
        .filter(task::job_id.eq(id))
        .filter(task::number.ge(first).and(task::number.lt(first.saturating_add(tasks))))
        .order(task::number)
        .select(task::input)
        .load(tx.conn)?;
    Ok(inputs)
}
