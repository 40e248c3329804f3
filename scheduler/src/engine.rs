//! The loop that keeps the markets going: a tick, then a sweep, again and again.

use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use store::{NodeId, Store};

use crate::{Config, Desk, Error, lease, market};

/// A running loop. It never ends by an error: what fails is logged and tried again next tick.
pub struct Engine {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Signal {
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Engine {
    /// Starts a thread that leads every market it can as `node`.
    pub fn start(desk: Desk, node: NodeId) -> Self {
        let signal = Arc::new(Signal::default());
        let thread = {
            let signal = signal.clone();
            std::thread::spawn(move || run(&desk, node, &signal))
        };
        Self { signal, thread: Some(thread) }
    }

    /// Ends the loop after the tick in hand and steps down everywhere.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        *lock(&self.signal.stopped) = true;
        self.signal.changed.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the market loop panicked");
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.end();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn run(desk: &Desk, node: NodeId, signal: &Signal) {
    let (store, config) = (desk.store(), desk.config());
    let pause = Duration::from_millis(config.tick_ms.into());
    loop {
        expire_holds(store);
        each_market(store, |id| step(store, config, id, node));
        let stopped = lock(&signal.stopped);
        let wait = signal.changed.wait_timeout_while(stopped, pause, |stopped| !*stopped);
        if *wait.unwrap_or_else(|poisoned| poisoned.into_inner()).0 {
            break;
        }
    }
    each_market(store, |id| store.write(|tx| market::resign(tx, id, node)));
}

/// A bound on what one transaction keeps locked.
const EXPIRE_AT_ONCE: usize = 1_000;

/// Any number of nodes may do this side by side: a hold ends once.
fn expire_holds(store: &Store) {
    match store.write(|tx| ledger::expire_holds(tx, EXPIRE_AT_ONCE)) {
        Ok(expired) if expired.is_empty() => {}
        Ok(expired) => tracing::info!(holds = expired.len(), "expired"),
        Err(error) => tracing::error!(%error, "cannot expire holds"),
    }
}

fn each_market(store: &Store, act: impl Fn(&str) -> Result<(), Error>) {
    let markets = match store.read(market::list) {
        Ok(markets) => markets,
        Err(error) => return tracing::error!(%error, "cannot list the markets"),
    };
    for market in markets {
        match act(&market.id) {
            Ok(()) => {}
            Err(Error::NotLeader) => tracing::debug!(market = market.id, "another node leads"),
            Err(error) => tracing::error!(market = market.id, %error, "market step failed"),
        }
    }
}

/// Sweeps first, so that the tick sees what fell free.
fn step(store: &Store, config: &Config, id: &str, node: NodeId) -> Result<(), Error> {
    loop {
        let swept = store.write(|tx| lease::sweep(tx, config, id))?;
        if swept != lease::Swept::default() {
            tracing::info!(market = id, ?swept, "swept");
        }
        if !swept.more {
            break;
        }
    }
    let report = market::tick(store, config, id, node)?;
    if report.leases > 0 || report.exhausted > 0 || report.unplaced > 0 {
        tracing::info!(market = id, ?report, "tick");
    }
    Ok(())
}
