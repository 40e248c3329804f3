//! SQLite's one writer, which many callers share: those that wait for it share a commit.
//!
//! A caller runs its own command, on its own thread, when the connection is its. If others wait
//! then, it leaves the transaction open for them and waits until the last of them has committed for
//! all; alone, it commits at once. Each command has a savepoint, so that a refusal undoes itself
//! only, and nobody is answered before the commit is on the disk.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::database::{begin_transaction, end_transaction};
use crate::{AnyConnection, Error, Result};

/// The most commands that share a commit: the first of them waits for all.
const MAX_SHARED: usize = 32;

pub(crate) struct Writer {
    desk: Mutex<Desk>,
    /// Callers that want the connection and do not have it.
    waiting: AtomicUsize,
}

struct Desk {
    conn: AnyConnection,
    open: Option<Shared>,
}

/// A transaction in which commands have run that are not committed.
struct Shared {
    commands: usize,
    fate: Arc<Fate>,
}

/// What became of a shared transaction.
#[derive(Default)]
struct Fate {
    outcome: Mutex<Option<std::result::Result<(), String>>>,
    known: Condvar,
}

impl Writer {
    pub(crate) fn new(conn: AnyConnection) -> Self {
        Self { desk: Mutex::new(Desk { conn, open: None }), waiting: AtomicUsize::new(0) }
    }

    /// Runs a command in a transaction, and returns its answer once that is committed. `Err` and
    /// panics leave no trace.
    pub(crate) fn write<T, E: From<Error>>(
        &self,
        command: impl FnOnce(&mut AnyConnection) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut desk = unpoisoned(&self.desk);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        let answer = desk.run(command);
        let left = self.leave(desk, matches!(answer, Ok(Ok(_))));
        match answer {
            Ok(Ok(answer)) => left.map(|()| answer).map_err(E::from),
            Ok(Err(refusal)) => Err(refusal),
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Commits, or leaves that to those who wait; waits for the commit if there is anything in it
    /// of this caller.
    fn leave(&self, mut desk: MutexGuard<'_, Desk>, own: bool) -> Result<()> {
        let Some(shared) = &desk.open else { return Ok(()) };
        let fate = shared.fate.clone();
        if self.waiting.load(Ordering::SeqCst) == 0 || shared.commands >= MAX_SHARED {
            desk.commit();
        }
        drop(desk);
        if own { fate.wait() } else { Ok(()) }
    }
}

impl Desk {
    /// Runs a command in a savepoint of the open transaction, which it begins if there is none.
    fn run<T, E: From<Error>>(
        &mut self,
        command: impl FnOnce(&mut AnyConnection) -> std::result::Result<T, E>,
    ) -> std::thread::Result<std::result::Result<T, E>> {
        if self.open.is_none() {
            if let Err(fault) = begin_transaction(&mut self.conn, "BEGIN IMMEDIATE") {
                return Ok(Err(E::from(fault)));
            }
            self.open = Some(Shared { commands: 0, fate: Arc::default() });
        }
        if let Err(fault) = savepoint(&mut self.conn) {
            self.give_up(&fault);
            return Ok(Err(E::from(fault)));
        }
        let answer = catch_unwind(AssertUnwindSafe(|| command(&mut self.conn)));
        let done = matches!(answer, Ok(Ok(_)));
        match (end_transaction(&mut self.conn, done), &mut self.open) {
            (Ok(()), Some(shared)) => shared.commands += usize::from(done),
            (Ok(()), None) => {}
            (Err(fault), _) => {
                self.give_up(&fault);
                if done {
                    return Ok(Err(E::from(fault)));
                }
            }
        }
        if self.open.as_ref().is_some_and(|shared| shared.commands == 0) {
            // Nothing to keep, and nobody to tell.
            let _ = end_transaction(&mut self.conn, false);
            self.open = None;
        }
        answer
    }

    fn commit(&mut self) {
        let Some(shared) = self.open.take() else { return };
        let outcome = end_transaction(&mut self.conn, true);
        if outcome.is_err() {
            let _ = end_transaction(&mut self.conn, false);
        }
        shared.fate.tell(outcome.map_err(|fault| fault.to_string()));
    }

    /// The transaction is beyond use: nothing in it is kept.
    fn give_up(&mut self, fault: &Error) {
        let Some(shared) = self.open.take() else { return };
        tracing::warn!(%fault, "a shared transaction is undone");
        while let Ok(()) = end_transaction(&mut self.conn, false) {}
        shared.fate.tell(Err(fault.to_string()));
    }
}

impl Fate {
    fn tell(&self, outcome: std::result::Result<(), String>) {
        *unpoisoned(&self.outcome) = Some(outcome);
        self.known.notify_all();
    }

    fn wait(&self) -> Result<()> {
        let mut outcome = unpoisoned(&self.outcome);
        loop {
            match &*outcome {
                Some(Ok(())) => return Ok(()),
                Some(Err(fault)) => return Err(Error::Shared(fault.clone())),
                None => {
                    outcome = self.known.wait(outcome).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

fn savepoint(conn: &mut AnyConnection) -> Result<()> {
    use diesel::Connection;
    use diesel::connection::TransactionManager;
    <AnyConnection as Connection>::TransactionManager::begin_transaction(conn)?;
    Ok(())
}

fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
