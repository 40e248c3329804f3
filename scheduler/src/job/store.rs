//! Rows of jobs, bids and tasks.

use diesel::prelude::*;
use store::schema::{bid, job, task};
use store::sets::Set;
use store::{Amount, AttemptId, BidId, HoldId, JobId, PartyId, TaskId, Timestamp, Tx};

use super::stage::Extras;
use crate::assurance::Assurance;
use crate::{DataClass, Error, JobReason, JobState, Pause, Purpose, Result, Runtime, TaskState};

/// What a customer asks for.
#[derive(Clone, Debug)]
pub struct NewJob {
    pub name: String,
    pub market: String,
    pub runtime: Runtime,
    /// Digest of the program's blob, SHA-256 in hex.
    pub program: String,
    pub purpose: Purpose,
    pub data_class: DataClass,
    /// One task for each: digests of the inputs' blobs.
    pub inputs: Vec<String>,
    pub assurance: Assurance,
    pub bid: NewBid,
}

#[derive(Clone, Debug)]
pub struct NewBid {
    /// Most the customer pays, per hw4-equivalent hour.
    pub price: Amount,
    pub lanes: i32,
    /// All the job may cost, tax inside.
    pub budget: Amount,
    /// Asset of price and budget.
    pub currency: String,
    /// Empty: any of the market.
    pub regions: Vec<String>,
    /// Empty: any.
    pub classes: Vec<String>,
    /// What is not done by then is cancelled.
    pub deadline: Option<Timestamp>,
    /// Lanes that the job must have at once to take any, 1 to `lanes`.
    pub min_fill: i32,
    /// Whether cars will do that may leave before a full term.
    pub short_leases: bool,
    /// When the bid takes no more cars; none: until the job ends.
    pub expires_at: Option<Timestamp>,
}

/// A row of `job`.
#[derive(Clone, Debug, PartialEq, Queryable, QueryableByName)]
#[diesel(table_name = job)]
pub struct JobRow {
    pub id: JobId,
    pub customer_id: PartyId,
    pub market_id: String,
    pub name: String,
    pub runtime: Runtime,
    pub program: String,
    pub purpose: Purpose,
    pub data_class: DataClass,
    pub state: JobState,
    pub hold_id: HoldId,
    pub tasks: i32,
    pub tasks_completed: i32,
    pub tasks_failed: i32,
    pub created_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// Order among its customer's own jobs, 0 to 9, 9 first.
    pub priority: i32,
    /// How often its program may fail on a task before the task has failed, 0 to 5.
    pub program_retries: i32,
    /// So many tasks failed by the program and none completed: it stops. 0: never.
    pub early_stop: i32,
    /// Of the failed tasks, those that failed by the program.
    pub program_failed: i32,
    /// Its tasks are told by rows of `job_stage`.
    pub staged: bool,
    pub pause: Option<Pause>,
    /// Its customer or one of its programs is banned.
    pub banned: bool,
    /// Why it failed.
    pub reason: Option<JobReason>,
    pub assurance: Assurance,
}

impl JobRow {
    /// Whether cars may be given its tasks.
    pub fn goes(&self) -> bool {
        self.state == JobState::Active && self.pause.is_none() && !self.banned
    }

    /// Whether cars that run its tasks are to leave.
    pub fn called_off(&self) -> bool {
        self.state != JobState::Active || self.banned || self.pause == Some(Pause::Vacate)
    }
}

/// A row of `bid`.
#[derive(Clone, Debug, Queryable)]
pub struct BidRow {
    pub id: BidId,
    pub job_id: JobId,
    pub price: Amount,
    pub lanes: i32,
    pub budget: Amount,
    pub regions: String,
    pub classes: String,
    pub deadline: Option<Timestamp>,
    pub placed_at: Timestamp,
    pub min_fill: i32,
    pub short_leases: bool,
    pub expires_at: Option<Timestamp>,
}

/// A row of `task`.
#[derive(Clone, Debug, PartialEq, Queryable, QueryableByName)]
#[diesel(table_name = task)]
pub struct TaskRow {
    pub id: TaskId,
    pub job_id: JobId,
    pub number: i32,
    pub input: String,
    pub state: TaskState,
    pub resume_attempt: Option<AttemptId>,
    pub checkpoint: Option<String>,
    pub output: Option<String>,
    pub car_failures: i32,
    pub program_failures: i32,
    pub last_error: Option<String>,
    /// Its number among the job's completed tasks in order of completion, from 1.
    pub done: Option<i32>,
    /// Results that must name the same output; 0 until a car has named the first.
    pub wanted: i32,
    /// Results that named the output that was accepted; 0 if that was the only one.
    pub agreed: i32,
    /// Hardware class of the first result: the others are of the same.
    pub class_id: Option<String>,
    /// When the wait for a further result is over; none: it does not wait for one.
    pub verify_by: Option<Timestamp>,
}

/// A list in a text column.
pub(crate) fn split_list(text: &str) -> Vec<&str> {
    text.split(',').filter(|word| !word.is_empty()).collect()
}

/// Holds the budget on the customer's wallet.
pub(super) fn hold_budget(
    tx: &mut Tx<'_>,
    customer: PartyId,
    id: JobId,
    asset: &str,
    budget: Amount,
) -> Result<HoldId> {
    let wallet = ledger::open_account(tx, ledger::Code::CustomerWallet, customer, asset)?;
    let new = ledger::NewHold {
        key: format!("hold:{id}"),
        account: wallet,
        amount: budget,
        subject: id.to_string(),
        expires_at: None,
    };
    match ledger::place_hold(tx, &new) {
        Ok(placed) => Ok(placed.id),
        Err(ledger::Error::InsufficientFunds { available, .. }) => {
            Err(Error::BudgetAboveWallet { available, needed: budget })
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) fn insert(
    tx: &mut Tx<'_>,
    customer: PartyId,
    id: JobId,
    hold: HoldId,
    new: &NewJob,
    extras: &Extras,
    tasks: i32,
) -> Result<()> {
    diesel::insert_into(job::table)
        .values((
            job::id.eq(id),
            job::customer_id.eq(customer),
            job::market_id.eq(&new.market),
            job::name.eq(new.name.trim()),
            job::runtime.eq(new.runtime),
            job::program.eq(&new.program),
            job::purpose.eq(new.purpose),
            job::data_class.eq(new.data_class),
            job::state.eq(JobState::Active),
            job::hold_id.eq(hold),
            job::tasks.eq(tasks),
            job::tasks_completed.eq(0),
            job::tasks_failed.eq(0),
            job::created_at.eq(tx.now),
            job::priority.eq(extras.priority),
            job::program_retries.eq(extras.program_retries),
            job::early_stop.eq(extras.early_stop),
            job::staged.eq(!extras.stages.is_empty()),
            job::assurance.eq(new.assurance.to_string()),
        ))
        .execute(tx.conn)?;
    insert_bid(tx, id, &new.bid)?;
    insert_tasks(tx, id, 0, &new.inputs)
}

fn insert_bid(tx: &mut Tx<'_>, job_id: JobId, new: &NewBid) -> Result<()> {
    let id: BidId = tx.id();
    diesel::insert_into(bid::table)
        .values((
            bid::id.eq(id),
            bid::job_id.eq(job_id),
            bid::price.eq(new.price),
            bid::lanes.eq(new.lanes),
            bid::budget.eq(new.budget),
            bid::regions.eq(new.regions.join(",")),
            bid::classes.eq(new.classes.join(",")),
            bid::deadline.eq(new.deadline),
            bid::placed_at.eq(tx.now),
            bid::min_fill.eq(new.min_fill),
            bid::short_leases.eq(new.short_leases),
            bid::expires_at.eq(new.expires_at),
        ))
        .execute(tx.conn)?;
    Ok(())
}

pub(super) fn update_bid(
    tx: &mut Tx<'_>,
    id: BidId,
    price: Amount,
    expires_at: Option<Timestamp>,
    placed_at: Timestamp,
) -> Result<()> {
    diesel::update(bid::table.find(id))
        .set((bid::price.eq(price), bid::expires_at.eq(expires_at), bid::placed_at.eq(placed_at)))
        .execute(tx.conn)?;
    Ok(())
}

/// Puts tasks with these inputs into the queue, numbered from `first`.
pub(super) fn insert_tasks(
    tx: &mut Tx<'_>,
    job_id: JobId,
    first: i32,
    inputs: &[String],
) -> Result<()> {
    let ids: Vec<TaskId> = inputs.iter().map(|_| tx.id()).collect();
    let zeros = || inputs.iter().map(|_| 0);
    Set::default()
        .ids("id", ids)
        .ids("job_id", inputs.iter().map(|_| job_id))
        .integers("number", inputs.iter().zip(first..).map(|(_, number)| number))
        .texts("input", inputs.iter().map(String::as_str))
        .texts("state", inputs.iter().map(|_| TaskState::Queued.as_str()))
        .integers("car_failures", zeros())
        .integers("program_failures", zeros())
        .insert(tx.conn, "task", "")?;
    Ok(())
}

pub(crate) fn load_job(tx: &mut Tx<'_>, id: JobId) -> Result<Option<JobRow>> {
    Ok(job::table.find(id).first(tx.conn).optional()?)
}

pub(crate) fn load_bid(tx: &mut Tx<'_>, job_id: JobId) -> Result<BidRow> {
    Ok(bid::table.filter(bid::job_id.eq(job_id)).first(tx.conn)?)
}
