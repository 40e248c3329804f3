//! Makes the tasks of arrays and of stages that waited, a thousand at a time and only as many as
//! the job's cars can soon take: a job of a million tasks is a handful of rows until then. What is
//! slow (files, templates) is done outside of any transaction; the short one takes the market's row
//! and makes nothing if somebody else has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use diesel::prelude::*;
use serde_json::Map;
use store::schema::{bid, job, job_stage, task};
use store::{JobId, Store, Tx};
use vehicle::protocol::Digest;

use super::archive::{self, MANIFEST_TAIL, OutputRow, load_outputs};
use super::rows::{Input, MAX_INLINE, fill, read_row};
use super::stage::{StageRow, load_stages};
use super::store::{JobRow, insert_tasks, load_job};
use crate::lease::engine::end_jobs;
use crate::market::lock_market;
use crate::{Error, Gather, JobReason, JobState, Result, Source, TaskState, ban, blob};

/// Most tasks that a transaction makes.
const AT_ONCE: i32 = 1_000;
/// Fewest tasks that are to wait for cars, if the stage has so many.
const LEAST_READY: i32 = 2_000;
/// Most bytes of an input that is made of outputs: as of any blob.
const MAX_INPUT: u64 = 64 << 20;
/// Bytes of made inputs after which a transaction takes no more.
const MAX_DRAFT: usize = 16 << 20;
/// Bytes of rows that are read at a time.
const PIECE: usize = 256 << 10;
/// Outputs that are looked up at a time.
const PAGE: i64 = 1_000;
/// How often the maker looks.
const PAUSE: Duration = Duration::from_millis(200);

/// Where blobs are, for what is made of them. Errors are words for the log.
pub trait Files: Send + Sync {
    fn get(&self, digest: &str) -> std::result::Result<Vec<u8>, String>;

    /// Up to `len` bytes from `from`; none at the end.
    fn read_at(&self, digest: &str, from: u64, len: usize) -> std::result::Result<Vec<u8>, String>;

    /// Keeps the bytes durably and answers their digest.
    fn put(&self, bytes: &[u8]) -> std::result::Result<String, String>;
}

/// What was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Made {
    pub tasks: usize,
    pub failed_jobs: usize,
}

/// A step of a job. Pure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Make { stage: i32, count: i32 },
    Fail(JobReason),
}

/// What is to be made next, if anything: so that twice the lanes wait, or a few thousand.
fn plan_step(stages: &[StageRow], queued: i64, lanes: i32) -> Option<Step> {
    let queued = i32::try_from(queued).unwrap_or(i32::MAX);
    let short = lanes.saturating_mul(2).max(LEAST_READY).saturating_sub(queued);
    stages.iter().filter(|stage| stage.made < stage.tasks).find_map(|stage| {
        let count = short.min(AT_ONCE).min(stage.tasks - stage.made);
        let from = match stage.from_stage {
            Some(from) => stages.iter().find(|other| other.number == from)?,
            None => return (count > 0).then_some(Step::Make { stage: stage.number, count }),
        };
        match (from.is_over(), from.failed > 0 && !from.allow_failed) {
            (false, _) => None,
            (true, true) => Some(Step::Fail(JobReason::StageFailed)),
            // An input of these can be large.
            (true, false) => Some(Step::Make { stage: stage.number, count: count.clamp(1, 8) }),
        }
    })
}

/// Makes the tasks that a market's jobs are short of.
///
/// # Errors
/// Faults; what was made before stays.
pub fn make(store: &Store, files: &dyn Files, market: &str) -> Result<Made> {
    let mut made = Made::default();
    let jobs: Vec<(JobRow, i32)> = store.read(|tx| load_unmade(tx, market))?;
    for (row, lanes) in jobs {
        while let Some(step) = store.read(|tx| next_step(tx, row.id, lanes))? {
            let done = match step {
                Step::Fail(reason) => {
                    fail(store, &row, reason)?;
                    Made { failed_jobs: 1, ..Made::default() }
                }
                Step::Make { stage, count } => make_some(store, files, &row, stage, count)?,
            };
            made.tasks += done.tasks;
            made.failed_jobs += done.failed_jobs;
            if done.tasks == 0 {
                break;
            }
        }
    }
    Ok(made)
}

/// Jobs that go on and have tasks to make, and their lanes.
fn load_unmade(tx: &mut Tx<'_>, market: &str) -> Result<Vec<(JobRow, i32)>> {
    let unmade = job_stage::table
        .filter(job_stage::job_id.eq(job::id))
        .filter(job_stage::made.lt(job_stage::tasks));
    let rows = job::table
        .inner_join(bid::table.on(bid::job_id.eq(job::id)))
        .filter(job::market_id.eq(market).and(job::state.eq(JobState::Active)))
        .filter(job::staged.eq(true).and(job::pause.is_null()).and(job::banned.eq(false)))
        .filter(diesel::dsl::exists(unmade))
        .order(job::id)
        .select((job::all_columns, bid::lanes))
        .load(tx.conn)?;
    Ok(rows)
}

fn next_step(tx: &mut Tx<'_>, id: JobId, lanes: i32) -> Result<Option<Step>> {
    let stages = load_stages(tx, id)?;
    let queued = task::table
        .filter(task::job_id.eq(id).and(task::state.eq(TaskState::Queued)))
        .count()
        .get_result(tx.conn)?;
    Ok(plan_step(&stages, queued, lanes))
}

fn fail(store: &Store, row: &JobRow, reason: JobReason) -> Result<()> {
    store.write(|tx| end_jobs(tx, &row.market_id, &[row.id], JobState::Failed, Some(reason)))
}

/// Inputs of the next tasks of a stage, and up to where its rows are read then.
struct Draft {
    inputs: Vec<Input>,
    read: i64,
}

fn make_some(
    store: &Store,
    files: &dyn Files,
    row: &JobRow,
    stage: i32,
    count: i32,
) -> Result<Made> {
    let stages = store.read(|tx| load_stages(tx, row.id))?;
    let find = |number: i32| stages.iter().find(|stage| stage.number == number);
    let stage = find(stage).ok_or_else(|| Error::corrupt("a stage went away"))?;
    let draft = match (stage.source, stage.from_stage.and_then(find)) {
        (Source::Outputs, Some(from)) => draft_outputs(store, files, row, stage, from, count)?,
        _ => draft_rows(files, stage, count)?,
    };
    let Some(draft) = draft else {
        fail(store, row, JobReason::InputTooLarge)?;
        return Ok(Made { failed_jobs: 1, ..Made::default() });
    };
    store.write(|tx| keep(tx, row, stage, &draft))
}

/// None if an input is too large. Fewer than asked for if together they are much.
fn draft_rows(files: &dyn Files, stage: &StageRow, count: i32) -> Result<Option<Draft>> {
    let indices = stage.made..stage.made + count;
    let rows = stage.rows_digest.as_deref();
    let (lines, read) = match rows {
        Some(digest) => read_lines(files, digest, stage.made_bytes, indices.len())?,
        None => (vec![b"{}".to_vec(); indices.len()], 0),
    };
    let (mut inputs, mut bytes) = (Vec::with_capacity(lines.len()), 0);
    for (index, line) in indices.zip(&lines) {
        let input = match stage.template.as_deref() {
            None => read_row(line),
            Some(text) => {
                let row: Map<_, _> = serde_json::from_slice(line).unwrap_or_default();
                let Some(text) = fill(text, index, &row) else { return Ok(None) };
                Input::Inline(text.into_bytes())
            }
        };
        bytes += match &input {
            Input::Inline(bytes) if bytes.len() > MAX_INLINE => return Ok(None),
            Input::Inline(bytes) => bytes.len(),
            Input::Digest(digest) => digest.len(),
        };
        inputs.push(input);
        if bytes > MAX_DRAFT {
            break;
        }
    }
    let read = match rows {
        Some(digest) if inputs.len() < lines.len() => {
            read_lines(files, digest, stage.made_bytes, inputs.len())?.1
        }
        _ => read,
    };
    Ok(Some(Draft { inputs, read }))
}

/// The next lines of a blob, and where the one after them begins.
fn read_lines(
    files: &dyn Files,
    digest: &str,
    from: i64,
    count: usize,
) -> Result<(Vec<Vec<u8>>, i64)> {
    let mut at = from.unsigned_abs();
    let (mut lines, mut rest) = (Vec::new(), Vec::new());
    while lines.len() < count {
        let piece = files.read_at(digest, at, PIECE).map_err(Error::corrupt)?;
        if piece.is_empty() {
            // The last line may lack its end.
            if !rest.is_empty() {
                lines.push(std::mem::take(&mut rest));
            }
            break;
        }
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            if lines.len() == count {
                break;
            }
            at += part.len() as u64;
            rest.extend_from_slice(part);
            if rest.last() == Some(&b'\n') {
                rest.pop();
                lines.push(std::mem::take(&mut rest));
            }
        }
    }
    if lines.len() < count {
        return Err(Error::corrupt(format!("{digest} has fewer rows than it had")));
    }
    Ok((lines, i64::try_from(at).unwrap_or(i64::MAX)))
}

/// Gathers what the stage's tasks take of another's; none if it is too much for a blob.
fn draft_outputs(
    store: &Store,
    files: &dyn Files,
    row: &JobRow,
    stage: &StageRow,
    from: &StageRow,
    count: i32,
) -> Result<Option<Draft>> {
    let per_task = stage.per_task.unwrap_or(from.tasks);
    let mut inputs = Vec::new();
    for index in stage.made..stage.made + count {
        let first = from.first + index.saturating_mul(per_task);
        let last = first.saturating_add(per_task).min(from.first + from.tasks);
        let outputs = load_all(store, row, first..last)?;
        let Some(bytes) = gather(files, row.id, stage.gather, &outputs)? else { return Ok(None) };
        inputs.push(Input::Digest(files.put(&bytes).map_err(Error::corrupt)?));
    }
    Ok(Some(Draft { inputs, read: 0 }))
}

fn load_all(store: &Store, row: &JobRow, span: std::ops::Range<i32>) -> Result<Vec<OutputRow>> {
    let (mut all, mut next) = (Vec::new(), span.start);
    loop {
        let page = store
            .read(|tx| load_outputs(tx, row.customer_id, row.id, next..span.end, i32::MAX, PAGE))?;
        let Some(last) = page.last() else { return Ok(all) };
        next = last.number + 1;
        all.extend(page);
    }
}

fn gather(
    files: &dyn Files,
    id: JobId,
    how: Option<Gather>,
    outputs: &[OutputRow],
) -> Result<Option<Vec<u8>>> {
    let mut manifest = archive::manifest_head(id);
    for (n, row) in outputs.iter().enumerate() {
        manifest.push_str(&archive::manifest_line(row, n == 0));
    }
    manifest.push_str(MANIFEST_TAIL);
    let whole = outputs.iter().map(|row| archive::entry_len(row.size.unsigned_abs())).sum::<u64>()
        + archive::entry_len(manifest.len() as u64)
        + archive::END;
    if how == Some(Gather::Manifest) {
        let fits = manifest.len() as u64 <= MAX_INPUT;
        return Ok(fits.then(|| manifest.into_bytes()));
    }
    if whole > MAX_INPUT {
        return Ok(None);
    }
    let mut tar = Vec::new();
    let mut add = |path: &str, bytes: &[u8]| {
        tar.extend_from_slice(&archive::header(path, bytes.len() as u64));
        tar.extend_from_slice(bytes);
        tar.resize(tar.len().next_multiple_of(archive::BLOCK as usize), 0);
    };
    add("manifest.json", manifest.as_bytes());
    for row in outputs {
        let digest = row.digest.as_deref().unwrap_or_default();
        add(&archive::path(row.number), &files.get(digest).map_err(Error::corrupt)?);
    }
    tar.resize(tar.len() + archive::END as usize, 0);
    Ok(Some(tar))
}

/// Puts the tasks into the queue, unless somebody made them or the job ended. A row that names a
/// blob which is not the customer's ends the job: it could be another's.
fn keep(tx: &mut Tx<'_>, row: &JobRow, stage: &StageRow, draft: &Draft) -> Result<Made> {
    lock_market(tx, &row.market_id)?;
    let now: (i32, i64) = job_stage::table
        .find((row.id, stage.number))
        .select((job_stage::made, job_stage::made_bytes))
        .first(tx.conn)?;
    let active = load_job(tx, row.id)?.is_some_and(|job| job.state == JobState::Active);
    if now != (stage.made, stage.made_bytes) || !active {
        return Ok(Made::default());
    }
    let mut small = BTreeMap::new();
    let digests: Vec<String> = draft
        .inputs
        .iter()
        .map(|input| match input {
            Input::Digest(digest) => digest.clone(),
            Input::Inline(bytes) => {
                let digest = Digest::of(bytes).0;
                small.entry(digest.clone()).or_insert_with(|| bytes.clone());
                digest
            }
        })
        .collect();
    if stage.source == Source::Rows {
        let named: BTreeSet<&str> = digests
            .iter()
            .map(String::as_str)
            .filter(|digest| !small.contains_key(*digest))
            .collect();
        if blob::known(tx, row.customer_id, &named)?.len() < named.len() {
            let why = Some(JobReason::InputMissing);
            end_jobs(tx, &row.market_id, &[row.id], JobState::Failed, why)?;
            return Ok(Made { failed_jobs: 1, ..Made::default() });
        }
    }
    blob::keep_small(tx, row.customer_id, &small)?;
    insert_tasks(tx, row.id, stage.first + stage.made, &digests)?;
    let made = stage.made + i32::try_from(digests.len()).unwrap_or(i32::MAX);
    diesel::update(job_stage::table.find((row.id, stage.number)))
        .set((job_stage::made.eq(made), job_stage::made_bytes.eq(draft.read)))
        .execute(tx.conn)?;
    Ok(Made { tasks: digests.len(), failed_jobs: 0 })
}

/// A thread that makes tasks and keeps bans up with time. Any number of processes may have one.
pub struct Maker {
    signal: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Maker {
    pub fn start(store: Store, files: Arc<dyn Files>) -> Self {
        let signal = Arc::new((Mutex::new(false), Condvar::new()));
        let thread = {
            let signal = signal.clone();
            std::thread::spawn(move || run(&store, files.as_ref(), &signal))
        };
        Self { signal, thread: Some(thread) }
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        *self.signal.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.signal.1.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the maker of tasks panicked");
        }
    }
}

fn run(store: &Store, files: &dyn Files, (stopped, changed): &(Mutex<bool>, Condvar)) {
    loop {
        if let Err(error) = store.write(ban::keep_up) {
            tracing::error!(%error, "cannot keep bans up");
        }
        let markets = store.read(crate::market::list).unwrap_or_default();
        for market in markets {
            match make(store, files, &market.id) {
                Ok(made) if made == Made::default() => {}
                Ok(made) => tracing::info!(market = market.id, ?made, "tasks made"),
                Err(error) => tracing::error!(market = market.id, %error, "cannot make tasks"),
            }
        }
        let guard = stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = changed.wait_timeout_while(guard, PAUSE, |stopped| !*stopped);
        if *wait.unwrap_or_else(PoisonError::into_inner).0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Runtime;

    fn stage(number: i32, from: Option<i32>, tasks: i32, made: i32) -> StageRow {
        StageRow {
            job_id: JobId::NIL,
            number,
            name: String::new(),
            runtime: Runtime::Wasm,
            program: String::new(),
            source: if from.is_some() { Source::Outputs } else { Source::Template },
            template: None,
            rows_digest: None,
            from_stage: from,
            gather: None,
            per_task: None,
            allow_failed: false,
            first: 0,
            tasks,
            made,
            made_bytes: 0,
            completed: 0,
            failed: 0,
            program_failed: 0,
        }
    }

    #[test]
    fn no_more_is_made_than_cars_can_soon_take() {
        let all = [stage(0, None, 1_000_000, 0)];
        let make = |count| Some(Step::Make { stage: 0, count });
        assert_eq!(plan_step(&all, 0, 1), make(1_000));
        assert_eq!(plan_step(&all, 1_900, 1), make(100));
        assert_eq!(plan_step(&all, 2_000, 1), None);
        assert_eq!(plan_step(&all, 2_000, 1_500), make(1_000));
        assert_eq!(plan_step(&[stage(0, None, 10, 7)], 0, 1), make(3));
        assert_eq!(plan_step(&[stage(0, None, 10, 10)], 0, 1), None);
    }

    #[test]
    fn a_stage_waits_for_the_one_before_it() {
        let before = |completed, failed, allow_failed| StageRow {
            completed,
            failed,
            allow_failed,
            ..stage(0, None, 4, 4)
        };
        let step = |before| plan_step(&[before, stage(1, Some(0), 1, 0)], 0, 1);
        assert_eq!(step(before(3, 0, false)), None);
        assert_eq!(step(before(4, 0, false)), Some(Step::Make { stage: 1, count: 1 }));
        assert_eq!(step(before(3, 1, false)), Some(Step::Fail(JobReason::StageFailed)));
        assert_eq!(step(before(3, 1, true)), Some(Step::Make { stage: 1, count: 1 }));
    }
}
