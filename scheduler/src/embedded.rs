//! Cars that live in this process: the same agents as on the road, with function calls instead of
//! HTTPS, and one bounded pool of workers between them.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use store::{Store, VehicleId};
use vehicle::protocol::{Digest, Heartbeat, HeartbeatReply, Telemetry};
use vehicle::{Agent, Phase, Transport, TransportError, WorkerPool};

use crate::{Desk, Error, blob};

/// Where blobs are.
pub trait Blobs: Send + Sync {
    /// # Errors
    /// What went wrong, in words for the log.
    fn get(&self, digest: &Digest) -> Result<Vec<u8>, String>;

    /// Keeps the bytes durably under their SHA-256.
    ///
    /// # Errors
    /// What went wrong, in words for the log.
    fn put(&self, bytes: &[u8]) -> Result<Digest, String>;
}

/// The embedded fleet. Dropping it takes every car off the road.
pub struct Fleet {
    shared: Arc<Shared>,
    pool: Arc<WorkerPool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    road: Mutex<Road>,
    changed: Condvar,
}

#[derive(Default)]
struct Road {
    cars: HashMap<VehicleId, Car>,
    stopped: bool,
}

struct Car {
    telemetry: Telemetry,
    /// Taken out while it is polled.
    agent: Option<Agent>,
    /// When it wants to be polled, microseconds of the store's clock.
    due_us: i64,
}

impl Fleet {
    pub fn start(desk: Desk, blobs: Arc<dyn Blobs>, pool: Arc<WorkerPool>) -> Self {
        let shared = Arc::new(Shared::default());
        let thread = {
            let shared = shared.clone();
            std::thread::spawn(move || run(&shared, &desk, blobs.as_ref()))
        };
        Self { shared, pool, thread: Some(thread) }
    }

    /// Puts an enrolled car on the road; a car already there only gets the telemetry.
    pub fn add(&self, id: VehicleId, telemetry: Telemetry) {
        let waker = {
            let shared = Arc::downgrade(&self.shared);
            Arc::new(move || {
                if let Some(shared) = shared.upgrade() {
                    shared.wake(id);
                }
            })
        };
        let agent = Agent::new(self.pool.clone()).with_waker(waker);
        let mut road = self.shared.lock();
        match road.cars.get_mut(&id) {
            Some(car) => car.telemetry = telemetry,
            None => {
                road.cars.insert(id, Car { telemetry, agent: Some(agent), due_us: 0 });
            }
        }
        drop(road);
        self.shared.wake(id);
    }

    /// What the car's sensors say from now on: acted on at once.
    pub fn set_telemetry(&self, id: VehicleId, telemetry: Telemetry) {
        if let Some(car) = self.shared.lock().cars.get_mut(&id) {
            car.telemetry = telemetry;
        }
        self.shared.wake(id);
    }

    /// Cars in whose sandbox a program runs now.
    pub fn at_work(&self) -> Vec<VehicleId> {
        let runs = |agent: &Agent| agent.attempt().is_some_and(|view| view.phase == Phase::Running);
        let road = self.shared.lock();
        let busy = road.cars.iter().filter(|(_, car)| car.agent.as_ref().is_some_and(runs));
        busy.map(|(id, _)| *id).collect()
    }

    /// Takes a car off the road without a word, as a dead network does.
    pub fn remove(&self, id: VehicleId) {
        let car = self.shared.lock().cars.remove(&id);
        if let Some(mut agent) = car.and_then(|car| car.agent) {
            agent.shutdown();
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the embedded fleet panicked");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Road> {
        self.road.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn wake(&self, id: VehicleId) {
        if let Some(car) = self.lock().cars.get_mut(&id) {
            car.due_us = 0;
        }
        self.changed.notify_all();
    }

    /// Waits for the car that is due next and takes its agent out; `None` when the fleet stops.
    fn next(&self, store: &Store) -> Option<(VehicleId, Agent, Telemetry)> {
        let mut road = self.lock();
        loop {
            if road.stopped {
                return None;
            }
            let idle = road.cars.iter_mut().filter(|(_, car)| car.agent.is_some());
            let first = idle.min_by_key(|(_, car)| car.due_us);
            let wait_us = match first {
                Some((id, car)) => {
                    let wait_us = car.due_us - store.now().0;
                    if wait_us <= 0 {
                        // Woken while it is polled, it is due again at once.
                        car.due_us = i64::MAX;
                        let agent = car.agent.take()?;
                        return Some((*id, agent, car.telemetry.clone()));
                    }
                    wait_us.min(100_000)
                }
                None => 100_000,
            };
            let wait = Duration::from_micros(wait_us.unsigned_abs());
            road = match self.changed.wait_timeout(road, wait) {
                Ok((road, _)) => road,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    fn put_back(&self, id: VehicleId, mut agent: Agent, due_us: i64) {
        match self.lock().cars.get_mut(&id) {
            Some(car) => {
                car.agent = Some(agent);
                car.due_us = car.due_us.min(due_us);
            }
            // It was removed while it was polled.
            None => agent.shutdown(),
        }
    }
}

fn run(shared: &Shared, desk: &Desk, blobs: &dyn Blobs) {
    let store = desk.store();
    while let Some((id, mut agent, telemetry)) = shared.next(store) {
        let transport = InProcess { desk, blobs, id };
        let now_us = store.now().0;
        let wait_us = agent.poll(&transport, &telemetry, now_us);
        shared.put_back(id, agent, now_us.saturating_add(wait_us.max(0)));
    }
    for car in shared.lock().cars.values_mut() {
        if let Some(agent) = &mut car.agent {
            agent.shutdown();
        }
    }
}

struct InProcess<'a> {
    desk: &'a Desk,
    blobs: &'a dyn Blobs,
    id: VehicleId,
}

impl Transport for InProcess<'_> {
    fn heartbeat(&self, beat: &Heartbeat) -> Result<HeartbeatReply, TransportError> {
        self.desk.heartbeat(self.id, beat).map_err(|error| {
            tracing::warn!(vehicle = %self.id, %error, "heartbeat failed");
            match error {
                Error::NotFound(_) => TransportError::Refused(error.to_string()),
                error => TransportError::Unreachable(error.to_string()),
            }
        })
    }

    fn fetch_blob(&self, digest: &Digest) -> Result<Vec<u8>, TransportError> {
        self.blobs.get(digest).map_err(TransportError::Unreachable)
    }

    fn store_blob(&self, bytes: &[u8]) -> Result<Digest, TransportError> {
        let digest = self.blobs.put(bytes).map_err(TransportError::Unreachable)?;
        let size = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        self.desk
            .store()
            .write(|tx| blob::record(tx, &digest.0, size))
            .map_err(|error| TransportError::Unreachable(error.to_string()))?;
        Ok(digest)
    }
}
