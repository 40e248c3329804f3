//! Reads, again and again, which cars a lease waits for: whoever placed it, this process or another.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use diesel::prelude::*;
use store::schema::{lease, market};
use store::{Tx, VehicleId};

use super::Desk;
use crate::{LeaseState, Result};

/// Between two looks. With a car's poll it is what a lease waits for its car.
const PAUSE: Duration = Duration::from_millis(250);

/// A running watch; dropping it ends it, and with it the answers from memory.
pub struct Watch {
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(super) fn start(desk: Desk) -> Self {
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let thread = {
            let stop = stop.clone();
            std::thread::spawn(move || run(&desk, &stop))
        };
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the watch for leases panicked");
        }
    }
}

fn run(desk: &Desk, (stopped, changed): &(Mutex<bool>, Condvar)) {
    loop {
        if let Err(error) = desk.look_for_leases() {
            tracing::error!(%error, "cannot see which cars a lease waits for");
        }
        let guard = stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = changed.wait_timeout_while(guard, PAUSE, |stopped| !*stopped);
        if *wait.unwrap_or_else(PoisonError::into_inner).0 {
            return;
        }
    }
}

impl Desk {
    /// One look of the [watch](Self::watch).
    ///
    /// # Errors
    /// Faults of the database; then what is in memory soon counts as too old.
    pub fn look_for_leases(&self) -> Result<()> {
        let at = self.store().now();
        let cars = self.store().read(load_called)?;
        self.inner.idle.called(cars, at);
        Ok(())
    }
}

/// Cars whose lease is offered. The last condition is for SQLite, which takes the index only then.
fn load_called(tx: &mut Tx<'_>) -> Result<HashSet<VehicleId>> {
    let markets: Vec<String> = market::table.select(market::id).load(tx.conn)?;
    let rows: Vec<VehicleId> = lease::table
        .filter(lease::market_id.eq_any(markets))
        .filter(lease::state.eq(LeaseState::Offered))
        .filter(lease::state.ne(LeaseState::Settled))
        .select(lease::vehicle_id)
        .load(tx.conn)?;
    Ok(rows.into_iter().collect())
}
