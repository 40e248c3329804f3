//! Group commit: one thread of a process runs the commands of many callers in one transaction.
//!
//! While a batch commits the next one fills, so that the more callers there are, the more of them
//! share a commit, and a caller alone waits for nobody. Whoever is answered is on the disk. Several
//! processes may each have a writer on one PostgreSQL database.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

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

/// The writer of a process. Callers share it by reference or in an `Arc`; when it is dropped, what
/// is in the queue is done first.
pub struct Writer {
    queue: Option<SyncSender<Request>>,
    thread: Option<JoinHandle<()>>,
}

struct Request {
    commands: Vec<Command>,
    linked: bool,
    answer: SyncSender<Answers>,
}

type Answers = Result<Vec<Result<Outcome>>>;

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(store: Store, config: WriterConfig) -> std::io::Result<Self> {
        let (queue, requests) = sync_channel(config.max_waiting.max(1));
        let work = move || run(&store, &requests, config.max_batch);
        let thread = std::thread::Builder::new().name("ledger-writer".to_owned()).spawn(work)?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Runs one command.
    ///
    /// # Errors
    /// Its refusal; [`Error::Stopped`], [`Error::Batch`].
    pub fn execute(&self, command: Command) -> Result<Outcome> {
        let mut answers = self.request(vec![command], false)?;
        answers.pop().ok_or(Error::Stopped)?
    }

    /// Runs commands in their order, each by itself, and answers in their order.
    ///
    /// # Errors
    /// [`Error::Stopped`], [`Error::Batch`].
    pub fn execute_all(&self, commands: Vec<Command>) -> Result<Vec<Result<Outcome>>> {
        self.request(commands, false)
    }

    /// Runs linked commands: all of them, or none.
    ///
    /// # Errors
    /// The first refusal; [`Error::Stopped`], [`Error::Batch`].
    pub fn execute_linked(&self, commands: Vec<Command>) -> Result<Vec<Outcome>> {
        engine::all_or_first_refusal(self.request(commands, true)?)
    }

    fn request(&self, commands: Vec<Command>, linked: bool) -> Answers {
        let (answer, answered) = sync_channel(1);
        let queue = self.queue.as_ref().ok_or(Error::Stopped)?;
        let request = Request { commands, linked, answer };
        match queue.try_send(request) {
            Ok(()) => {}
            Err(TrySendError::Full(request)) => {
                queue.send(request).map_err(|_| Error::Stopped)?;
            }
            Err(TrySendError::Disconnected(_)) => return Err(Error::Stopped),
        }
        answered.recv().map_err(|_| Error::Stopped)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // It panics only if the store does, and then there is nothing left to do.
            let _ = thread.join();
        }
    }
}

/// Takes batches until the last sender is gone.
fn run(store: &Store, requests: &Receiver<Request>, max_batch: usize) {
    let mut carried = VecDeque::new();
    loop {
        let first = match carried.pop_front() {
            Some(request) => request,
            None => match requests.recv() {
                Ok(request) => request,
                Err(_) => return,
            },
        };
        let mut size = first.commands.len();
        let mut batch = vec![first];
        while size < max_batch {
            let Ok(next) = requests.try_recv() else { break };
            if size + next.commands.len() > max_batch {
                carried.push_back(next);
                break;
            }
            size += next.commands.len();
            batch.push(next);
        }
        commit(store, batch);
    }
}

/// Runs a batch and answers its callers. If it cannot be written, each request is tried alone: one
/// that the database chokes on does not take the others with it.
fn commit(store: &Store, batch: Vec<Request>) {
    match write(store, &batch) {
        Ok(mut answers) => {
            for request in batch {
                let rest = answers.split_off(request.commands.len().min(answers.len()));
                reply(request, Ok(std::mem::replace(&mut answers, rest)));
            }
        }
        Err(fault) if batch.len() == 1 => {
            let fault = Arc::new(fault);
            for request in batch {
                reply(request, Err(Error::Batch(fault.clone())));
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

fn reply(request: Request, answers: Answers) {
    // A caller that has gone away is not told.
    let _ = request.answer.send(answers);
}
