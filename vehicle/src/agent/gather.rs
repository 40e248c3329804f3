//! Fetching what an order needs: from memory, from the car's disk, or from the platform.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Programs;
use super::moving::Trouble;
use super::shelf::Shelf;
use crate::pool::{Input, Job, WorkerPool};
use crate::protocol::{Digest, Order};
use crate::transport::{Transport, TransportError};

/// All that it takes to fetch what an order needs, on any thread.
pub(super) struct Needs {
    pub pool: Arc<WorkerPool>,
    pub programs: Option<Arc<Programs>>,
    pub shelf: Arc<Shelf>,
    pub order: Order,
}

impl Needs {
    /// Program, input and checkpoint, each as its digest says.
    pub fn gather(self, by: &dyn Transport, stop: &Arc<AtomicBool>) -> Result<Job, Trouble> {
        let Order { program, input, checkpoint, .. } = &self.order;
        let wanted: Vec<&Digest> = [program, input].into_iter().chain(checkpoint).collect();
        self.shelf.keep(&wanted);
        let fetch = |digest: &Digest, what: &'static str| {
            let fetched = self.shelf.fetch(&self.pool, by, stop, digest);
            fetched.map_err(|error| Trouble { what, error })
        };
        let whole = |digest: &Digest, what: &'static str| {
            let read = fetch(digest, what)?.read();
            read.map_err(|error| Trouble { what, error: TransportError::on_the_car(error) })
        };
        let program = match self.known_program() {
            Some(program) => program,
            None => {
                let bytes = Arc::new(whole(program, "program")?);
                self.shelf.drop_blob(program);
                self.keep_program(&bytes, stop);
                bytes
            }
        };
        let input = fetch(input, "input")?;
        let checkpoint =
            checkpoint.as_ref().map(|digest| whole(digest, "checkpoint")).transpose()?;
        Ok(Job {
            runtime: self.order.runtime,
            program,
            digest: self.order.program.clone(),
            input: Input::Kept(input),
            seed: seed(&self.order),
            checkpoint,
            limits: self.order.limits.clone(),
        })
    }

    /// From memory, or from the disk.
    fn known_program(&self) -> Option<Arc<Vec<u8>>> {
        let digest = &self.order.program;
        self.pool.cached_program(digest).or_else(|| {
            let (programs, key) = self.programs.as_ref().zip(self.order.program_key.as_ref())?;
            let program = Arc::new(programs.get(digest, key)?);
            self.pool.keep_program(digest, &program);
            Some(program)
        })
    }

    /// Not if the order was called off: it may be banned.
    fn keep_program(&self, program: &Arc<Vec<u8>>, stop: &AtomicBool) {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let digest = &self.order.program;
        self.pool.keep_program(digest, program);
        if let Some((programs, key)) = self.programs.as_ref().zip(self.order.program_key.as_ref()) {
            // Without room on the disk it is fetched again the next time.
            let _ = programs.keep(digest, key, program);
        }
    }
}

/// Random numbers are the task's, whichever attempt it is: program and input name it.
fn seed(order: &Order) -> Digest {
    Digest::of(format!("{} {}", order.program.0, order.input.0).as_bytes())
}
