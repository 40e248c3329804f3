//! Rows of jobs, bids and tasks.

use diesel::prelude::*;
use store::schema::{bid, job, task};
use store::{
    Amount, AnyConnection, AttemptId, BidId, HoldId, JobId, PartyId, TaskId, Timestamp, Tx,
};

use crate::{DataClass, Error, JobState, Purpose, Result, Runtime, TaskState};

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
#[derive(Clone, Debug, PartialEq, Queryable, QueryableByName, Insertable)]
#[diesel(table_name = task)]
#[diesel(treat_none_as_default_value = false)]
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
            job::tasks.eq(i32::try_from(new.inputs.len()).unwrap_or(i32::MAX)),
            job::tasks_completed.eq(0),
            job::tasks_failed.eq(0),
            job::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    insert_bid(tx, id, &new.bid)?;
    insert_tasks(tx, id, &new.inputs)
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

/// Rows a statement: well under both databases' limits of bound values.
const CHUNK: usize = 500;

fn insert_tasks(tx: &mut Tx<'_>, job_id: JobId, inputs: &[String]) -> Result<()> {
    let rows: Vec<TaskRow> = inputs
        .iter()
        .zip(0..)
        .map(|(input, number)| TaskRow {
            id: tx.id(),
            job_id,
            number,
            input: input.clone(),
            state: TaskState::Queued,
            resume_attempt: None,
            checkpoint: None,
            output: None,
            car_failures: 0,
            program_failures: 0,
            last_error: None,
        })
        .collect();
    for chunk in rows.chunks(CHUNK) {
        // A batch is rendered per backend.
        match tx.conn {
            AnyConnection::Postgres(conn) => {
                diesel::insert_into(task::table).values(chunk).execute(conn)?
            }
            AnyConnection::Sqlite(conn) => {
                diesel::insert_into(task::table).values(chunk).execute(conn)?
            }
        };
    }
    Ok(())
}

pub(crate) fn load_job(tx: &mut Tx<'_>, id: JobId) -> Result<Option<JobRow>> {
    Ok(job::table.find(id).first(tx.conn).optional()?)
}

pub(crate) fn load_bid(tx: &mut Tx<'_>, job_id: JobId) -> Result<BidRow> {
    Ok(bid::table.filter(bid::job_id.eq(job_id)).first(tx.conn)?)
}
