//! Arrays and stages on the wire.

use garde::Validate;
use scheduler::job::{Inputs, StageRow};
use scheduler::{Gather, Runtime};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::model::TaskCounts;
use crate::blobs::parse_digest;
use crate::problem::{Code, Problem, Result};

/// Tasks whose inputs are made as they are needed: a template and a count, a template and rows, or
/// rows that are the inputs.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Array {
    /// The input of each task, a text in which `{index}` is the task's index from 0 and `{name}` the
    /// member `name` of its row.
    #[serde(default)]
    #[garde(length(max = 65_536))]
    #[schema(example = "{\"seed\": {index}}", max_length = 65_536)]
    pub template: Option<String>,
    /// How many tasks, of a template without rows.
    #[serde(default)]
    #[garde(range(min = 1, max = 1_000_000))]
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub count: Option<i32>,
    /// SHA-256 of a blob of JSON lines, one a task: objects for a template; else the digest of the
    /// task's input as a string, or any other JSON value, which is the input itself.
    #[serde(default)]
    #[garde(skip)]
    pub rows: Option<String>,
}

/// A stage: its program, and where its inputs come from: `inputs`, an `array`, or another stage.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewStage {
    #[garde(length(chars, min = 1, max = 64))]
    #[schema(example = "map", min_length = 1, max_length = 64)]
    pub name: String,
    #[garde(skip)]
    #[schema(value_type = String, example = "wasm", pattern = "^(wasm|onnx)$")]
    pub runtime: Runtime,
    /// SHA-256 of the program.
    #[garde(skip)]
    pub program: String,
    #[serde(default)]
    #[garde(inner(length(min = 1)))]
    pub inputs: Option<Vec<String>>,
    #[serde(default)]
    #[garde(dive)]
    pub array: Option<Array>,
    /// The name of the stage whose outputs are its input, once all its tasks have ended.
    #[serde(default)]
    #[garde(skip)]
    pub from: Option<String>,
    /// As what: `archive`, a tar of the outputs with a `manifest.json`, or `manifest` alone.
    #[serde(default)]
    #[garde(skip)]
    #[schema(value_type = Option<String>, example = "archive", pattern = "^(archive|manifest)$")]
    pub gather: Option<Gather>,
    /// How many tasks' outputs each of its tasks takes; one task takes all if not named.
    #[serde(default)]
    #[garde(range(min = 1))]
    #[schema(minimum = 1)]
    pub per_task: Option<i32>,
    /// Whether the job goes on, and does not fail, when tasks of this stage failed.
    #[serde(default)]
    #[garde(skip)]
    pub allow_failed: bool,
}

pub(super) fn digest(text: &str, pointer: impl Into<String>) -> Result<String> {
    match parse_digest(text) {
        Some(digest) => Ok(digest.0),
        None => Err(Problem::new(Code::InvalidBody)
            .at(pointer, "a SHA-256 in 64 lower-case hexadecimal digits")),
    }
}

pub(super) fn digests(list: &[String], pointer: &str) -> Result<Vec<String>> {
    list.iter().enumerate().map(|(n, text)| digest(text, format!("{pointer}/{n}"))).collect()
}

impl NewStage {
    pub(super) fn into_domain(self, at: &str) -> Result<scheduler::job::NewStage> {
        let inputs = match (self.inputs, self.array, self.from) {
            (Some(list), None, None) => Inputs::List(digests(&list, &format!("{at}/inputs"))?),
            (None, Some(array), None) => array.into_domain(&format!("{at}/array"))?,
            (None, None, Some(from)) => {
                let gather = self.gather.unwrap_or(Gather::Archive);
                Inputs::Outputs { from, gather, per_task: self.per_task }
            }
            _ => {
                let why = "one of inputs, array and from";
                return Err(Problem::new(Code::InvalidBody).at(at, why));
            }
        };
        Ok(scheduler::job::NewStage {
            program: digest(&self.program, format!("{at}/program"))?,
            name: self.name,
            runtime: self.runtime,
            inputs,
            allow_failed: self.allow_failed,
        })
    }
}

impl Array {
    pub(super) fn into_domain(self, at: &str) -> Result<Inputs> {
        let rows = self.rows.map(|rows| digest(&rows, format!("{at}/rows"))).transpose()?;
        match (self.template, self.count, rows) {
            (Some(text), Some(tasks), None) => Ok(Inputs::Template { text, rows: None, tasks }),
            (Some(text), None, Some(rows)) => {
                Ok(Inputs::Template { text, rows: Some(rows), tasks: 1 })
            }
            (None, None, Some(digest)) => Ok(Inputs::Rows { digest, tasks: 1 }),
            _ => Err(Problem::new(Code::InvalidBody)
                .at(at, "a template and a count, a template and rows, or rows")),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct Stage {
    name: String,
    program: String,
    /// `waiting` for another, `running`, `completed` or `failed`.
    state: &'static str,
    /// The number of its first task in the job.
    first_task: i32,
    tasks: TaskCounts,
}

impl Stage {
    pub(super) fn new(row: &StageRow, all: &[StageRow]) -> Self {
        Self {
            name: row.name.clone(),
            program: row.program.clone(),
            state: row.state(all),
            first_task: row.first,
            tasks: TaskCounts { total: row.tasks, completed: row.completed, failed: row.failed },
        }
    }
}
