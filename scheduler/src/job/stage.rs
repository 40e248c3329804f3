//! The stages of a job: where their inputs come from, which waits for which, and how far their
//! tasks are made. A stage's tasks have numbers of their own in the job, one after the other; rows
//! of `task` are made as they are needed (see [`super::make`]).

use std::collections::HashMap;

use diesel::prelude::*;
use store::schema::job_stage;
use store::{JobId, Tx};

use crate::{Error, Gather, JobReason, JobState, Result, Runtime, Source};

/// Most tasks of one job.
pub const MAX_ARRAY: i32 = 1_000_000;
/// Most stages of one job.
pub const MAX_STAGES: usize = 16;
/// Most bytes of a template.
pub const MAX_TEMPLATE: usize = 64 << 10;

/// What a job may say beside program, inputs and bid.
#[derive(Clone, Debug)]
pub struct Extras {
    /// Order among its customer's own jobs, 0 to 9, 9 first.
    pub priority: i32,
    /// How often its program may fail on a task before the task has failed, 0 to 5.
    pub program_retries: i32,
    /// So many tasks failed by the program and none completed: it stops. 0: never.
    pub early_stop: i32,
    /// None: a task for each of the job's `inputs`. If any, `inputs` is empty.
    pub stages: Vec<NewStage>,
}

impl Default for Extras {
    fn default() -> Self {
        Self { priority: 0, program_retries: 1, early_stop: 10, stages: vec![] }
    }
}

/// A stage as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewStage {
    pub name: String,
    pub runtime: Runtime,
    /// Digest of the program's blob, SHA-256 in hex.
    pub program: String,
    pub inputs: Inputs,
    /// Whether it counts as done, and stages that wait for it go on, when some of its tasks failed.
    pub allow_failed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inputs {
    /// Digests of blobs, a task for each.
    List(Vec<String>),
    /// A text whose `{index}` is the task's index in its stage, from 0, and `{name}` the member
    /// `name` of its row.
    Template { text: String, rows: Option<String>, tasks: i32 },
    /// The lines of a blob: a digest as a JSON string, or any other JSON value, which is the input.
    Rows { digest: String, tasks: i32 },
    /// What the tasks of another stage put out, `per_task` of them each.
    Outputs { from: String, gather: Gather, per_task: Option<i32> },
}

/// A row of `job_stage`.
#[derive(Clone, Debug, PartialEq, Queryable, QueryableByName, Insertable)]
#[diesel(table_name = job_stage)]
#[diesel(treat_none_as_default_value = false)]
pub struct StageRow {
    pub job_id: JobId,
    pub number: i32,
    pub name: String,
    pub runtime: Runtime,
    pub program: String,
    pub source: Source,
    pub template: Option<String>,
    pub rows_digest: Option<String>,
    pub from_stage: Option<i32>,
    pub gather: Option<Gather>,
    pub per_task: Option<i32>,
    pub allow_failed: bool,
    pub first: i32,
    pub tasks: i32,
    pub made: i32,
    pub made_bytes: i64,
    pub completed: i32,
    pub failed: i32,
    pub program_failed: i32,
}

impl StageRow {
    /// Whether a task of this number is one of its tasks.
    pub fn has(&self, number: i32) -> bool {
        (self.first..self.first + self.tasks).contains(&number)
    }

    /// Whether every task has completed or failed.
    pub fn is_over(&self) -> bool {
        self.completed + self.failed == self.tasks
    }

    /// `waiting` for another stage, `running` or `completed`; `failed` when it is over and a task
    /// failed that had to complete.
    pub fn state(&self, all: &[Self]) -> &'static str {
        let from = self.from_stage.and_then(|from| all.iter().find(|other| other.number == from));
        match () {
            () if self.is_over() && self.failed > 0 && !self.allow_failed => "failed",
            () if self.is_over() => "completed",
            () if from.is_some_and(|from| !from.is_over()) => "waiting",
            () => "running",
        }
    }
}

/// Lays stages out: which tasks are whose. Pure.
///
/// # Errors
/// [`Error::Invalid`]: no names of their own, an unknown stage, a circle, too many tasks.
pub(crate) fn plan_stages(job_id: JobId, new: &[NewStage]) -> Result<Vec<StageRow>> {
    let refuse = |why: String| Error::invalid("/stages", why);
    if new.len() > MAX_STAGES {
        return Err(refuse(format!("at most {MAX_STAGES} stages")));
    }
    let mut by_name = HashMap::new();
    for (number, stage) in new.iter().enumerate() {
        if stage.name.is_empty() || stage.name.chars().count() > 64 {
            return Err(refuse("a name has 1 to 64 characters".to_owned()));
        }
        if by_name.insert(stage.name.as_str(), number).is_some() {
            return Err(refuse(format!("two stages are called {}", stage.name)));
        }
    }
    let mut rows: Vec<StageRow> = Vec::with_capacity(new.len());
    let mut first = 0_i32;
    for (number, stage) in (0..).zip(new) {
        let tasks = count_tasks(new, &by_name, stage, 0)?;
        rows.push(to_row(job_id, number, first, tasks, &by_name, stage));
        first = first.saturating_add(tasks);
    }
    match first {
        1..=MAX_ARRAY => Ok(rows),
        _ => Err(refuse(format!("1 to {MAX_ARRAY} tasks in all stages together"))),
    }
}

/// Tasks of a stage, through the stages that it waits for.
fn count_tasks(
    all: &[NewStage],
    by_name: &HashMap<&str, usize>,
    stage: &NewStage,
    depth: usize,
) -> Result<i32> {
    let refuse = |why: String| Err(Error::invalid("/stages", why));
    let tasks = match &stage.inputs {
        Inputs::List(list) => i32::try_from(list.len()).unwrap_or(i32::MAX),
        Inputs::Template { tasks, .. } | Inputs::Rows { tasks, .. } => *tasks,
        Inputs::Outputs { from, per_task, .. } => {
            let Some(from) = by_name.get(from.as_str()).and_then(|from| all.get(*from)) else {
                return refuse(format!("{} waits for {from}, which is no stage", stage.name));
            };
            // Deeper than there are stages only a circle goes.
            if depth >= all.len() {
                return refuse(format!("{} waits for itself", stage.name));
            }
            let of = count_tasks(all, by_name, from, depth + 1)?;
            match per_task {
                None => 1,
                Some(per @ 1..) => of / per + i32::from(of % per > 0),
                Some(_) => return refuse("per_task is at least 1".to_owned()),
            }
        }
    };
    match tasks {
        1..=MAX_ARRAY => Ok(tasks),
        _ => refuse(format!("{} has 1 to {MAX_ARRAY} tasks", stage.name)),
    }
}

fn to_row(
    job_id: JobId,
    number: i32,
    first: i32,
    tasks: i32,
    by_name: &HashMap<&str, usize>,
    stage: &NewStage,
) -> StageRow {
    let mut row = StageRow {
        job_id,
        number,
        name: stage.name.clone(),
        runtime: stage.runtime,
        program: stage.program.clone(),
        source: Source::List,
        template: None,
        rows_digest: None,
        from_stage: None,
        gather: None,
        per_task: None,
        allow_failed: stage.allow_failed,
        first,
        tasks,
        made: 0,
        made_bytes: 0,
        completed: 0,
        failed: 0,
        program_failed: 0,
    };
    match &stage.inputs {
        Inputs::List(_) => row.made = tasks,
        Inputs::Template { text, rows, .. } => {
            row.source = Source::Template;
            row.template = Some(text.clone());
            row.rows_digest.clone_from(rows);
        }
        Inputs::Rows { digest, .. } => {
            row.source = Source::Rows;
            row.rows_digest = Some(digest.clone());
        }
        Inputs::Outputs { from, gather, per_task } => {
            row.source = Source::Outputs;
            row.from_stage = by_name.get(from.as_str()).and_then(|n| i32::try_from(*n).ok());
            row.gather = Some(*gather);
            row.per_task = *per_task;
        }
    }
    row
}

/// How far tasks have come: of a job, or of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    pub tasks: i32,
    pub completed: i32,
    pub failed: i32,
    pub program_failed: i32,
}

/// Whether the program fails everywhere: so many tasks failed by it and none completed. Pure.
pub(crate) fn fails_everywhere(tally: Tally, early_stop: i32) -> bool {
    early_stop > 0 && tally.completed == 0 && tally.program_failed >= early_stop.min(tally.tasks)
}

/// How a job of which every task has ended, ended. `forgiven`: failed tasks of stages that allow
/// it. Pure.
pub(crate) fn end_of(tally: Tally, forgiven: i32) -> (JobState, Option<JobReason>) {
    match tally.failed - forgiven {
        0 => (JobState::Completed, None),
        _ => (JobState::Failed, Some(JobReason::TasksFailed)),
    }
}

pub(super) fn insert_stages(tx: &mut Tx<'_>, rows: &[StageRow]) -> Result<()> {
    for row in rows {
        match tx.conn {
            store::AnyConnection::Postgres(conn) => {
                diesel::insert_into(job_stage::table).values(row).execute(conn)?
            }
            store::AnyConnection::Sqlite(conn) => {
                diesel::insert_into(job_stage::table).values(row).execute(conn)?
            }
        };
    }
    Ok(())
}

/// A job's stages by number; none of a job that is told by its inputs.
pub fn load_stages(tx: &mut Tx<'_>, id: JobId) -> Result<Vec<StageRow>> {
    Ok(job_stage::table.filter(job_stage::job_id.eq(id)).order(job_stage::number).load(tx.conn)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str, inputs: Inputs) -> NewStage {
        NewStage {
            name: name.to_owned(),
            runtime: Runtime::Wasm,
            program: "p".to_owned(),
            inputs,
            allow_failed: false,
        }
    }

    fn array(name: &str, tasks: i32) -> NewStage {
        stage(name, Inputs::Template { text: "{index}".to_owned(), rows: None, tasks })
    }

    fn after(name: &str, from: &str, per_task: Option<i32>) -> NewStage {
        let gather = Gather::Archive;
        stage(name, Inputs::Outputs { from: from.to_owned(), gather, per_task })
    }

    #[test]
    fn stages_are_laid_out_one_after_the_other() {
        let new =
            [after("sum", "reduce", None), array("map", 1_000), after("reduce", "map", Some(300))];
        let rows = plan_stages(JobId::NIL, &new).unwrap();
        let spans: Vec<_> = rows.iter().map(|row| (row.first, row.tasks, row.from_stage)).collect();
        assert_eq!(spans, [(0, 1, Some(2)), (1, 1_000, None), (1_001, 4, Some(1))]);
        assert!(rows[2].has(1_004) && !rows[2].has(1_005) && !rows[2].has(1_000));
    }

    #[test]
    fn what_cannot_be_laid_out_is_refused() {
        let cases: [(&str, Vec<NewStage>); 7] = [
            ("waits for itself", vec![after("a", "a", None)]),
            ("waits for itself", vec![after("a", "b", None), after("b", "a", None)]),
            ("which is no stage", vec![after("a", "b", None)]),
            ("two stages", vec![array("a", 1), array("a", 1)]),
            ("at least 1", vec![array("a", 1), after("b", "a", Some(0))]),
            ("1 to 1000000", vec![array("a", 1_000_000), array("b", 1)]),
            ("1 to 1000000", vec![array("a", 0)]),
        ];
        for (why, new) in cases {
            let refusal = plan_stages(JobId::NIL, &new).unwrap_err().to_string();
            assert!(refusal.contains(why), "{refusal}");
        }
    }

    #[test]
    fn a_program_that_fails_everywhere_is_told_from_one_that_fails_at_times() {
        // (tasks, completed, failed by the program, early stop) and whether it stops.
        let cases = [
            ((100, 0, 10, 10), true),
            ((100, 0, 9, 10), false),
            ((100, 1, 50, 10), false),
            ((3, 0, 3, 10), true),
            ((3, 0, 2, 10), false),
            ((100, 0, 100, 0), false),
            ((100, 0, 1, 1), true),
            ((100, 0, 0, 1), false),
        ];
        for ((tasks, completed, program_failed, early_stop), stops) in cases {
            let tally = Tally { tasks, completed, failed: program_failed, program_failed };
            assert_eq!(fails_everywhere(tally, early_stop), stops, "{tally:?} {early_stop}");
        }
    }

    #[test]
    fn failed_tasks_fail_the_job_unless_they_are_forgiven() {
        let tally = Tally { tasks: 5, completed: 3, failed: 2, program_failed: 0 };
        assert_eq!(end_of(tally, 0), (JobState::Failed, Some(JobReason::TasksFailed)));
        assert_eq!(end_of(tally, 1).0, JobState::Failed);
        assert_eq!(end_of(tally, 2), (JobState::Completed, None));
    }
}
