//! Seals in the background.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ledger::proof::{Extent, Sealed, Signer};
use store::Store;

use crate::problem::Result;

/// Seals what waits, with the database's key.
pub fn seal(store: &Store, extent: Extent) -> Result<Sealed> {
    Ok(ledger::proof::seal(store, &super::signer(store)?, extent)?)
}

/// A thread that seals.
pub struct Sealer {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Sealer {
    /// Looks every `interval` for what was committed lately, and every `statement`, at its start and
    /// at its stop for everything, and states what is owed.
    pub fn start(store: Store, interval: Duration, statement: Duration) -> anyhow::Result<Self> {
        let signer = super::signer(&store)?;
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new().name("seal".to_owned()).spawn(move || {
            let mut stated = None::<Instant>;
            loop {
                let due = stated.is_none_or(|at| at.elapsed() >= statement);
                let extent = if due { Extent::All } else { Extent::Recent };
                if seal_once(&store, &signer, extent) && due {
                    stated = Some(Instant::now());
                }
                if stopped.recv_timeout(interval) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
            seal_once(&store, &signer, Extent::All);
        })?;
        Ok(Self { stop, thread })
    }

    /// Seals everything and ends.
    pub fn stop(self) {
        let _gone = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the sealer panicked");
        }
    }
}

/// True if it went well; what did not is tried again with the next look.
fn seal_once(store: &Store, signer: &Signer, extent: Extent) -> bool {
    match ledger::proof::seal(store, signer, extent) {
        Ok(sealed) => {
            tracing::debug!(sealed.blocks, sealed.records, "sealed");
            true
        }
        Err(error) => {
            tracing::error!(%error, "the book cannot be sealed");
            false
        }
    }
}
