//! What is done for owners in the background, from rows, by whichever process comes first: cars that
//! leave once their last lease has ended, reserves by tariff, copies of personal data, erasures.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use scheduler::fleet;
use store::Store;
use store::seal::Seal;

use crate::personal;
use crate::problem::Result;

const POLL: Duration = Duration::from_millis(500);
/// Cars of one look.
const BATCH: i64 = 100;

/// A thread that works.
pub struct Keeper {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Keeper {
    pub fn start(work: Work) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new().name("keeper".to_owned()).spawn(move || {
            while stopped.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
                if let Err(problem) = work.step() {
                    tracing::warn!(%problem, "what owners asked for waits");
                }
            }
        })?;
        Ok(Self { stop, thread })
    }

    /// Waits for what is being done.
    pub fn stop(self) {
        let _gone = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the keeper's thread panicked");
        }
    }
}

/// What it works with.
pub struct Work {
    pub store: Store,
    pub seal: Seal,
}

impl Work {
    /// Does what is due.
    pub fn step(&self) -> Result<()> {
        self.see_off()?;
        self.reprice()?;
        personal::step(&self.store, &self.seal)
    }

    fn reprice(&self) -> Result<()> {
        let due = self.store.read(|tx| fleet::due_to_reprice(tx, BATCH))?;
        if !due.is_empty() {
            self.store.write(|tx| due.iter().try_for_each(|id| fleet::reprice(tx, *id)))?;
        }
        Ok(())
    }

    fn see_off(&self) -> Result<()> {
        for id in self.store.read(|tx| fleet::ready_to_leave(tx, BATCH))? {
            self.store.write(|tx| fleet::finish_leaving(tx, id))?;
        }
        Ok(())
    }
}
