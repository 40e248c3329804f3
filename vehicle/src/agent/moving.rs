//! Work that waits for the network, beside the agent: heartbeats go on meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::Waker;
use crate::pool::lock;
use crate::transport::{Transport, TransportError};

/// What moves blobs, until it has them. Dropped before, it stops with the next piece.
pub(super) struct Moving<T> {
    result: Arc<Mutex<Option<Result<T, Trouble>>>>,
    stop: Arc<AtomicBool>,
}

/// What could not be moved, and why.
#[derive(Debug)]
pub(super) struct Trouble {
    pub what: &'static str,
    pub error: TransportError,
}

impl<T: Send + 'static> Moving<T> {
    /// Moves on a thread, if the transport has a way for one, or at once.
    pub fn start(
        transport: &dyn Transport,
        waker: Option<&Waker>,
        work: impl FnOnce(&dyn Transport, &Arc<AtomicBool>) -> Result<T, Trouble> + Send + 'static,
    ) -> Self {
        let (result, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let moving = Self { result: Arc::clone(&result), stop: Arc::clone(&stop) };
        let Some(aside) = transport.aside() else {
            let done = work(transport, &stop);
            *lock(&result) = Some(done);
            return moving;
        };
        let waker = waker.cloned();
        let body = move || {
            let done = work(aside.as_ref(), &stop);
            *lock(&result) = Some(done);
            if let Some(wake) = waker.filter(|_| !stop.load(Ordering::Relaxed)) {
                wake();
            }
        };
        if let Err(error) = thread::Builder::new().name("transfer".into()).spawn(body) {
            let error = TransportError::on_the_car(error);
            *lock(&moving.result) = Some(Err(Trouble { what: "transfer", error }));
        }
        moving
    }

    /// What came of it, once, when it has ended.
    pub fn take(&self) -> Option<Result<T, Trouble>> {
        lock(&self.result).take()
    }
}

impl<T> Drop for Moving<T> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
