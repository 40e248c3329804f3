//! Reads, again and again, which cars have a lease: whoever placed it, this process or another.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use diesel::prelude::*;
use store::schema::lease;
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
            tracing::error!(%error, "cannot see which cars have a lease");
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

/// Cars with a live lease: one that began through another process is not to be missed either.
fn load_called(tx: &mut Tx<'_>) -> Result<HashSet<VehicleId>> {
    let rows: Vec<VehicleId> = lease::table
        .filter(lease::state.eq(LeaseState::Offered).or(lease::state.eq(LeaseState::Running)))
        .select(lease::vehicle_id)
        .load(tx.conn)?;
    Ok(rows.into_iter().collect())
}
