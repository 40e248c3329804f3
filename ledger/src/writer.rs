//! Group commit: the commands of many callers run in one transaction (`store::gather`).
//!
//! A caller alone waits for nobody; whoever is answered is on the disk. Several processes may each
//! have a writer on one PostgreSQL database.

use std::sync::Arc;

use store::Store;
use store::gather::{Bounds, Gather};

use crate::{Command, Error, Outcome, Result, engine};

/// Bounds of a writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterConfig {
    /// The most commands in a batch, but that a caller's own are never split.
    pub max_batch: usize,
    /// The most requests that wait; then callers wait to be let in.
    pub max_waiting: usize,
}

impl Default for WriterConfig {
    /// 4,096 commands a batch: enough that a commit is a small part of it, little enough that it
    /// takes well under a tenth of a second. As many requests may wait.
    fn default() -> Self {
        Self { max_batch: 4_096, max_waiting: 4_096 }
    }
}

/// The writer of a process. Callers share it by reference or in an `Arc`.
pub struct Writer {
    store: Store,
    gather: Gather<Request, Answers>,
}

struct Request {
    commands: Vec<Command>,
    linked: bool,
}

type Answers = Result<Vec<Result<Outcome>>>;

impl Writer {
    pub fn new(store: Store, config: WriterConfig) -> Self {
        let WriterConfig { max_batch, max_waiting } = config;
        Self { store, gather: Gather::new(Bounds { max_batch, max_waiting }) }
    }

    /// Runs one command.
    ///
    /// # Errors
    /// Its refusal; [`Error::Batch`].
    pub fn execute(&self, command: Command) -> Result<Outcome> {
        let mut answers = self.request(vec![command], false)?;
        answers.pop().ok_or(Error::Stopped)?
    }

    /// Runs commands in their order, each by itself, and answers in their order.
    ///
    /// # Errors
    /// [`Error::Batch`].
    pub fn execute_all(&self, commands: Vec<Command>) -> Result<Vec<Result<Outcome>>> {
        self.request(commands, false)
    }

    /// Runs linked commands: all of them, or none.
    ///
    /// # Errors
    /// The first refusal; [`Error::Batch`].
    pub fn execute_linked(&self, commands: Vec<Command>) -> Result<Vec<Outcome>> {
        engine::all_or_first_refusal(self.request(commands, true)?)
    }

    fn request(&self, commands: Vec<Command>, linked: bool) -> Answers {
        let weight = commands.len();
        let request = Request { commands, linked };
        let run = |batch: Vec<Request>| commit(&self.store, &batch);
        self.gather.ask(request, weight, run).unwrap_or(Err(Error::Stopped))
    }
}

/// Runs a batch and answers its callers. If it cannot be written, each request is tried alone: one
/// that the database chokes on does not take the others with it.
fn commit(store: &Store, batch: &[Request]) -> Vec<Answers> {
    match write(store, batch) {
        Ok(mut answers) => {
            let answers = batch.iter().map(|request| {
                let rest = answers.split_off(request.commands.len().min(answers.len()));
                Ok(std::mem::replace(&mut answers, rest))
            });
            answers.collect()
        }
        Err(fault) if batch.len() == 1 => vec![Err(Error::Batch(Arc::new(fault)))],
        Err(_) => batch.chunks(1).flat_map(|alone| commit(store, alone)).collect(),
    }
}

fn write(store: &Store, batch: &[Request]) -> Answers {
    let groups: Vec<&[Command]> = batch
        .iter()
        .flat_map(|request| match request.linked {
            true => request.commands.chunks(request.commands.len().max(1)),
            false => request.commands.chunks(1),
        })
        .collect();
    store.write(|tx| engine::execute_groups(tx, &groups))
}
