//! Jobs on the wire.

use garde::Validate;
use scheduler::job::{Extras, JobView, TaskView};
use scheduler::lease::LeaseView;
use scheduler::{DataClass, Pause, Purpose, Runtime};
use serde::{Deserialize, Serialize};
use store::{Amount, JobId, LeaseId, Timestamp};
use utoipa::ToSchema;

use super::assurance::{Assurance, Verification};
use super::stages::{Array, NewStage, Stage, digest, digests};
use crate::money::Money;
use crate::problem::{Code, Problem, Result};

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewJob {
    #[garde(length(chars, min = 1, max = 200))]
    #[schema(example = "digits", min_length = 1, max_length = 200)]
    pub name: String,
    /// Where to buy: see `/v1/markets`.
    #[garde(length(max = 64))]
    #[schema(example = "us")]
    pub market: String,
    /// May be left out if there are `stages`.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = Option<String>, example = "wasm", pattern = "^(wasm|onnx)$")]
    pub runtime: Option<Runtime>,
    /// SHA-256 of the program, stored with `PUT /v1/blobs/{digest}`. May be left out if there are
    /// `stages`.
    #[serde(default)]
    #[garde(skip)]
    pub program: Option<String>,
    /// `inference`, `simulation` or `video`: owners consent by purpose.
    #[garde(skip)]
    #[schema(value_type = String, example = "simulation")]
    pub purpose: Purpose,
    /// `synthetic` or `non_personal`. Personal data may not go to cars.
    #[garde(skip)]
    #[schema(value_type = String, example = "synthetic")]
    pub data_class: DataClass,
    /// SHA-256 of each task's input, at most 10,000 in all. A job has `inputs`, an `array` or
    /// `stages`.
    #[serde(default)]
    #[garde(inner(length(min = 1)))]
    pub inputs: Option<Vec<String>>,
    /// Up to a million tasks, told in a few words.
    #[serde(default)]
    #[garde(dive)]
    pub array: Option<Array>,
    /// Stages with programs of their own, of which one may wait for another: map, then reduce.
    #[serde(default)]
    #[garde(dive)]
    #[schema(max_items = 16)]
    pub stages: Vec<NewStage>,
    /// Which of your own jobs goes first where prices are equal, 9 before 0.
    #[serde(default)]
    #[garde(range(min = 0, max = 9))]
    #[schema(minimum = 0, maximum = 9, default = 0)]
    pub priority: i32,
    /// How often a task is tried again when its program failed. What cars fail is tried again at
    /// our cost.
    #[serde(default = "one")]
    #[garde(range(min = 0, max = 5))]
    #[schema(minimum = 0, maximum = 5, default = 1)]
    pub program_retries: i32,
    /// The job ends when so many tasks have failed by the program and none completed; 0: never.
    #[serde(default = "ten")]
    #[garde(range(min = 0, max = 1_000_000))]
    #[schema(minimum = 0, maximum = 1_000_000, default = 10)]
    pub early_stop: i32,
    /// How far results are compared before they are paid; `none` if not named.
    #[serde(default)]
    #[garde(skip)]
    pub assurance: Assurance,
    #[garde(dive)]
    pub bid: NewBid,
}

#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBid {
    /// Most you pay per hw4-equivalent hour of a car; you pay the clearing price.
    #[garde(dive)]
    pub max_price: Money,
    /// Cars at a time.
    #[garde(skip)]
    #[schema(minimum = 1, maximum = 100_000)]
    pub lanes: i32,
    /// All that the job may cost.
    #[garde(dive)]
    pub budget: Money,
    /// Where it may run; anywhere in the market if empty.
    #[serde(default)]
    #[garde(skip)]
    pub regions: Vec<String>,
    /// On what it may run; on any hardware class if empty.
    #[serde(default)]
    #[garde(skip)]
    pub classes: Vec<String>,
    /// What is not done by then is cancelled.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = Option<String>, format = "date-time")]
    pub deadline: Option<Timestamp>,
    /// Fewest cars at a time that are of use: below it you get and pay none. The same as `lanes`:
    /// all or none. While the job has so many, it takes any number more.
    #[serde(default = "one")]
    #[garde(skip)]
    #[schema(minimum = 1, default = 1)]
    pub min_fill: i32,
    /// Whether cars will do that may leave before a full term of 15 minutes. If not, only those
    /// that stay for it or, where the deadline is earlier, until then.
    #[serde(default = "yes")]
    #[garde(skip)]
    #[schema(default = true)]
    pub short_leases: bool,
    /// When the bid takes no more cars; running leases go on. In force until the job ends if not
    /// named.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = Option<String>, format = "date-time")]
    pub expires_at: Option<Timestamp>,
}

fn one() -> i32 {
    1
}

fn ten() -> i32 {
    10
}

fn yes() -> bool {
    true
}

/// A job as the scheduler takes it.
pub struct Submission {
    pub job: scheduler::job::NewJob,
    pub extras: Extras,
}

impl NewJob {
    /// The rows of arrays are not counted yet: each array of rows has 1 task.
    pub fn into_domain(self) -> Result<Submission> {
        let refuse = |at: &str, why: &str| Problem::new(Code::InvalidBody).at(at, why);
        let ways = [self.inputs.is_some(), self.array.is_some(), !self.stages.is_empty()];
        if ways.iter().filter(|way| **way).count() != 1 {
            return Err(refuse(
                "/inputs",
                "one of inputs, array and stages, with one task at least",
            ));
        }
        let mut stages = Vec::new();
        for (n, stage) in self.stages.into_iter().enumerate() {
            stages.push(stage.into_domain(&format!("/stages/{n}"))?);
        }
        let first = stages.first();
        let runtime = self.runtime.or(first.map(|stage| stage.runtime));
        let runtime = runtime.ok_or_else(|| refuse("/runtime", "wasm or onnx"))?;
        let program = match (self.program, first) {
            (Some(program), None) => digest(&program, "/program")?,
            (None, Some(first)) => first.program.clone(),
            (None, None) => return Err(refuse("/program", "a SHA-256 of a stored blob")),
            (Some(_), Some(_)) => return Err(refuse("/program", "each stage names its own")),
        };
        if let Some(array) = self.array {
            stages.push(scheduler::job::NewStage {
                name: "tasks".to_owned(),
                runtime,
                program: program.clone(),
                inputs: array.into_domain("/array")?,
                allow_failed: false,
            });
        }
        let job = scheduler::job::NewJob {
            program,
            inputs: digests(&self.inputs.unwrap_or_default(), "/inputs")?,
            name: self.name,
            market: self.market,
            runtime,
            purpose: self.purpose,
            data_class: self.data_class,
            assurance: self.assurance.into(),
            bid: self.bid.into_domain()?,
        };
        let extras = Extras {
            priority: self.priority,
            program_retries: self.program_retries,
            early_stop: self.early_stop,
            stages,
        };
        Ok(Submission { job, extras })
    }
}

impl NewBid {
    pub fn into_domain(self) -> Result<scheduler::job::NewBid> {
        if self.max_price.currency != self.budget.currency {
            return Err(Problem::new(Code::InvalidBody)
                .at("/bid/max_price/currency", "the budget has another currency"));
        }
        Ok(scheduler::job::NewBid {
            price: self.max_price.amount,
            lanes: self.lanes,
            budget: self.budget.amount,
            currency: self.budget.currency,
            regions: self.regions,
            classes: self.classes,
            deadline: self.deadline,
            min_fill: self.min_fill,
            short_leases: self.short_leases,
            expires_at: self.expires_at,
        })
    }
}

#[derive(Serialize, ToSchema)]
pub struct Job {
    #[schema(value_type = String, example = "job_01kayz3v8ne7m9xqk2y4t6w8b0")]
    pub id: JobId,
    name: String,
    market: String,
    #[schema(value_type = String)]
    runtime: Runtime,
    /// `active`, `completed`, `failed` or `cancelled`.
    state: &'static str,
    /// While it is paused: `finish` or `vacate`, what becomes of running tasks.
    #[schema(value_type = Option<String>)]
    paused: Option<Pause>,
    /// Your account or one of its programs is banned: it stands still.
    banned: bool,
    /// Why it failed: `tasks_failed`, `program_fails_everywhere`, `deadline`, `budget`,
    /// `stage_failed`, `input_missing` or `input_too_large`.
    reason: Option<&'static str>,
    priority: i32,
    program_retries: i32,
    early_stop: i32,
    /// None of a job of `inputs`; an `array` is one.
    stages: Vec<Stage>,
    #[schema(value_type = String)]
    purpose: Purpose,
    #[schema(value_type = String)]
    data_class: DataClass,
    assurance: Assurance,
    tasks: TaskCounts,
    pub(super) bid: Bid,
    /// What was paid of the budget.
    spent: Money,
    /// What of the budget is still held on your wallet.
    held: Money,
    #[schema(value_type = String, format = "date-time")]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = "date-time")]
    ended_at: Option<Timestamp>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct TaskCounts {
    pub total: i32,
    pub completed: i32,
    pub failed: i32,
}

#[derive(Serialize, ToSchema)]
pub struct Bid {
    max_price: Money,
    lanes: i32,
    budget: Money,
    regions: Vec<String>,
    classes: Vec<String>,
    #[schema(value_type = Option<String>, format = "date-time")]
    deadline: Option<Timestamp>,
    min_fill: i32,
    short_leases: bool,
    #[schema(value_type = Option<String>, format = "date-time")]
    expires_at: Option<Timestamp>,
}

impl From<JobView> for Job {
    fn from(view: JobView) -> Self {
        let JobView { row, bid, asset, spent, held, stages } = view;
        let money = |amount: Amount| Money::new(amount, &asset);
        let list = |text: &str| {
            text.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        Self {
            id: row.id,
            name: row.name,
            market: row.market_id,
            runtime: row.runtime,
            state: row.state.as_str(),
            paused: row.pause,
            banned: row.banned,
            reason: row.reason.map(|reason| reason.as_str()),
            priority: row.priority,
            program_retries: row.program_retries,
            early_stop: row.early_stop,
            stages: stages.iter().map(|stage| Stage::new(stage, &stages)).collect(),
            purpose: row.purpose,
            data_class: row.data_class,
            assurance: row.assurance.into(),
            tasks: TaskCounts {
                total: row.tasks,
                completed: row.tasks_completed,
                failed: row.tasks_failed,
            },
            bid: Bid {
                max_price: money(bid.price),
                lanes: bid.lanes,
                budget: money(bid.budget),
                regions: list(&bid.regions),
                classes: list(&bid.classes),
                deadline: bid.deadline,
                min_fill: bid.min_fill,
                short_leases: bid.short_leases,
                expires_at: bid.expires_at,
            },
            spent: money(spent),
            held: money(held),
            created_at: row.created_at,
            ended_at: row.ended_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct Task {
    pub number: i32,
    /// `queued`, `leased`, `completed`, `failed` or `cancelled`.
    state: &'static str,
    input: String,
    output: Option<String>,
    last_error: Option<String>,
    verification: Verification,
}

impl From<TaskView> for Task {
    fn from(task: TaskView) -> Self {
        Self {
            verification: Verification::from(&task),
            number: task.number,
            state: task.state.as_str(),
            input: task.input,
            output: task.output,
            last_error: task.last_error,
        }
    }
}

/// A car let to a job at one price.
#[derive(Serialize, ToSchema)]
pub struct Lease {
    #[schema(value_type = String, example = "lease_01kayz3v8ne7m9xqk2y4t6w8b0")]
    pub id: LeaseId,
    vehicle: String,
    job: String,
    /// Per lane-hour.
    price: Money,
    /// `offered`, `running`, `ended` or `settled`.
    state: &'static str,
    /// `no_work`, `term`, `vacated`, `evicted`, `cancelled`, `lost`, `not_taken` or `failed`.
    end_reason: Option<&'static str>,
    /// Whole seconds, once settled.
    billed_s: Option<i32>,
    /// What the customer paid, once settled.
    amount: Option<Money>,
    #[schema(value_type = Option<String>, format = "date-time")]
    started_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = "date-time")]
    ended_at: Option<Timestamp>,
    attempts: Vec<Attempt>,
}

#[derive(Serialize, ToSchema)]
struct Attempt {
    id: String,
    /// `running`, `completed`, `checkpointed`, `vacated`, `failed_program`, `failed_car`,
    /// `cancelled` or `lost`.
    state: &'static str,
    /// `pending`, `paid` or `unpaid`.
    verdict: &'static str,
    /// Why it is not paid, empty if it is.
    reason: String,
    billable_us: i64,
    /// Its part of the lease's amount.
    amount: Option<Money>,
}

impl From<LeaseView> for Lease {
    fn from(view: LeaseView) -> Self {
        let LeaseView { row, asset, attempts, lines } = view;
        let money = |amount: Amount| Money::new(amount, &asset);
        let attempts = attempts.into_iter().map(|attempt| Attempt {
            amount: lines.iter().find(|l| l.attempt == attempt.id).map(|l| money(l.amount)),
            id: attempt.id.to_string(),
            state: attempt.state.as_str(),
            verdict: attempt.verdict.as_str(),
            reason: attempt.reason,
            billable_us: attempt.billable_us,
        });
        Self {
            attempts: attempts.collect(),
            id: row.id,
            vehicle: row.vehicle_id.to_string(),
            job: row.job_id.to_string(),
            price: money(row.price),
            state: row.state.as_str(),
            end_reason: row.end_reason.map(|reason| reason.as_str()),
            billed_s: row.billed_s,
            amount: row.amount.map(money),
            started_at: row.started_at,
            ended_at: row.ended_at,
        }
    }
}
