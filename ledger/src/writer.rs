//! Group commit: the commands of many callers run in one transaction.
//!
//! There is no thread of its own. A caller that finds nobody at work leads: it runs all that waits
//! as one batch, its own commands among them, answers, and gives the lead to the first who came
//! meanwhile. So while a batch commits the next one fills, the more callers there are the more of
//! them share a commit, and a caller alone waits for nobody. Whoever is answered is on the disk.
//! Several processes may each have a writer on one PostgreSQL database.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use store::Store;

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
    config: WriterConfig,
    desk: Mutex<Desk>,
    /// Told when the queue has become shorter.
    room: Condvar,
}

#[derive(Default)]
struct Desk {
    waiting: VecDeque<Request>,
    /// True while somebody runs a batch, or was told to.
    led: bool,
}

struct Request {
    commands: Vec<Command>,
    linked: bool,
    turn: Arc<Turn>,
}

/// What a caller waits for.
#[derive(Default)]
struct Turn {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
enum State {
    #[default]
    Waiting,
    /// It is this caller's to run the next batch.
    Lead,
    Answered(Answers),
}

type Answers = Result<Vec<Result<Outcome>>>;

impl Writer {
    pub fn new(store: Store, config: WriterConfig) -> Self {
        Self { store, config, desk: Mutex::default(), room: Condvar::new() }
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
        let turn = Arc::new(Turn::default());
        let mut desk = unpoisoned(&self.desk);
        while desk.waiting.len() >= self.config.max_waiting.max(1) {
            desk = self.room.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
        desk.waiting.push_back(Request { commands, linked, turn: turn.clone() });
        let leads = !std::mem::replace(&mut desk.led, true);
        drop(desk);
        if leads {
            self.lead();
        }
        loop {
            match turn.wait() {
                Some(answers) => return answers,
                None => self.lead(),
            }
        }
    }

    /// Runs a batch of what waits, from the first on, and passes the lead on. The leader's own
    /// request is in it: it is the first, since the lead goes to the first.
    fn lead(&self) {
        let mut leading = Leading { writer: self, batch: self.take() };
        commit(&self.store, std::mem::take(&mut leading.batch));
    }

    fn take(&self) -> Vec<Request> {
        let mut desk = unpoisoned(&self.desk);
        let (mut batch, mut size) = (Vec::new(), 0);
        while let Some(next) = desk.waiting.front() {
            let more = next.commands.len();
            if !batch.is_empty() && size + more > self.config.max_batch {
                break;
            }
            size += more;
            batch.extend(desk.waiting.pop_front());
        }
        self.room.notify_all();
        batch
    }

    fn pass_on(&self) {
        let mut desk = unpoisoned(&self.desk);
        match desk.waiting.front() {
            Some(next) => next.turn.set(State::Lead),
            None => desk.led = false,
        }
    }
}

/// The lead, which goes on to the next whatever ends it.
struct Leading<'a> {
    writer: &'a Writer,
    /// What was taken and not run.
    batch: Vec<Request>,
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        self.writer.pass_on();
    }
}

impl Drop for Request {
    /// A request that goes without an answer (whoever ran it panicked) is not left waiting.
    fn drop(&mut self) {
        let mut state = unpoisoned(&self.turn.state);
        if !matches!(*state, State::Answered(_)) {
            *state = State::Answered(Err(Error::Stopped));
            self.turn.changed.notify_all();
        }
    }
}

impl Turn {
    /// The answers; `None` if it is this caller's turn to lead.
    fn wait(&self) -> Option<Answers> {
        let mut state = unpoisoned(&self.state);
        loop {
            match std::mem::take(&mut *state) {
                State::Waiting => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                State::Lead => return None,
                State::Answered(answers) => return Some(answers),
            }
        }
    }

    fn set(&self, next: State) {
        *unpoisoned(&self.state) = next;
        self.changed.notify_all();
    }
}

/// Runs a batch and answers its callers. If it cannot be written, each request is tried alone: one
/// that the database chokes on does not take the others with it.
fn commit(store: &Store, batch: Vec<Request>) {
    match write(store, &batch) {
        Ok(mut answers) => {
            for request in batch {
                let rest = answers.split_off(request.commands.len().min(answers.len()));
                let own = std::mem::replace(&mut answers, rest);
                request.turn.set(State::Answered(Ok(own)));
            }
        }
        Err(fault) if batch.len() == 1 => {
            let fault = Arc::new(fault);
            for request in batch {
                request.turn.set(State::Answered(Err(Error::Batch(fault.clone()))));
            }
        }
        Err(_) => batch.into_iter().for_each(|request| commit(store, vec![request])),
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

fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
