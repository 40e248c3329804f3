//! A thousand cars in one process: each an agent with a key of its own, on the road as any car. The
//! chaos test starts it, kills it, and starts it again with the same cars.
//!
//! usage: chaos-fleet SERVER KEYS SEED MISSING WORKER
//!
//! KEYS is a folder with the key of each car; of a million cars MISSING are not driven. WORKER is the program that runs tasks as `WORKER worker`.
//! Standard input says what befalls: `exodus PPM` brings so many
//! drivers back at once, `calm` lets all come home and stay. Its end is the fleet's.
#![allow(clippy::unwrap_used)]

mod driver;

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use driver::Driver;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use vehicle::protocol::Telemetry;
use vehicle::road::{Key, Net, Road as Wire};
use vehicle::{Agent, WorkerConfig, WorkerPool};

/// Threads that talk to the platform: each waits for one answer at a time.
const CALLERS: usize = 16;
/// Tasks that run side by side, of the whole fleet.
const WORKERS: usize = 4;
/// An idle car calls no more often than this, whatever the platform says, microseconds.
const IDLE_US: i64 = 5_000_000;

struct Fleet {
    road: Mutex<Road>,
    changed: Condvar,
    wires: Vec<Wire>,
    began: Instant,
}

struct Road {
    cars: Vec<Car>,
    /// Cars by the moment they are due.
    due: BTreeSet<(i64, usize)>,
    calm: bool,
}

struct Car {
    driver: Driver,
    /// Taken out while it is polled.
    agent: Option<Agent>,
    due_us: i64,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [server, keys, seed, missing, worker] = args.as_slice() else {
        eprintln!("usage: chaos-fleet SERVER KEYS SEED MISSING WORKER");
        std::process::exit(2);
    };
    let net = Net::new(server, None).unwrap();
    let keys = std::fs::read_dir(keys).unwrap();
    let mut keys: Vec<_> = keys.map(|file| file.unwrap().path()).collect();
    keys.sort();
    let (seed, missing): (u64, u32) = (seed.parse().unwrap(), missing.parse().unwrap());
    let mut chance = StdRng::seed_from_u64(seed);
    keys.retain(|_| chance.random_range(0..1_000_000) >= missing);
    let wires = keys.iter().map(|key| Wire::new(net.clone(), Key::load(key).unwrap())).collect();
    let workers =
        WorkerConfig { executable: worker.into(), args: vec!["worker".to_owned()], size: WORKERS };
    let pool = Arc::new(WorkerPool::new(workers).unwrap());
    let fleet = Fleet::start(wires, seed, &pool);
    for _ in 0..CALLERS {
        let fleet = Arc::clone(&fleet);
        std::thread::spawn(move || fleet.drive());
    }
    for line in std::io::stdin().lines() {
        fleet.obey(&line.unwrap());
    }
    std::process::exit(0);
}

impl Fleet {
    /// Cars call for the first time one after the other, spread over an idle car's wait.
    fn start(wires: Vec<Wire>, seed: u64, pool: &Arc<WorkerPool>) -> Arc<Self> {
        let count = wires.len();
        Arc::new_cyclic(|fleet: &std::sync::Weak<Self>| {
            let car = |number: usize| {
                let fleet = fleet.clone();
                let wake = move || {
                    if let Some(fleet) = fleet.upgrade() {
                        fleet.lock().move_to(number, 0);
                        fleet.changed.notify_one();
                    }
                };
                let agent = Agent::new(Arc::clone(pool)).with_waker(Arc::new(wake));
                let due_us = IDLE_US * number as i64 / count as i64;
                Car { driver: Driver::new(seed, number), agent: Some(agent), due_us }
            };
            let cars: Vec<Car> = (0..count).map(car).collect();
            let due = cars.iter().enumerate().map(|(number, car)| (car.due_us, number)).collect();
            let road = Mutex::new(Road { cars, due, calm: false });
            Self { road, changed: Condvar::new(), wires, began: Instant::now() }
        })
    }

    fn lock(&self) -> MutexGuard<'_, Road> {
        self.road.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_us(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_micros()).unwrap()
    }

    fn obey(&self, line: &str) {
        let mut road = self.lock();
        let now_us = self.now_us();
        match line.split_once(' ') {
            Some(("exodus", ppm)) => {
                let ppm = ppm.parse().unwrap();
                for number in 0..road.cars.len() {
                    if road.cars[number].driver.maybe_leave(now_us, ppm) {
                        road.move_to(number, now_us);
                    }
                }
            }
            _ => road.calm = line == "calm",
        }
        self.changed.notify_all();
    }

    /// Polls the cars that are due, one after the other.
    fn drive(&self) {
        loop {
            let (number, mut agent, telemetry) = self.next();
            let wait_us = agent.poll(&self.wires[number], &telemetry, self.now_us());
            let idle = agent.attempt().is_none();
            let wait_us = if idle { wait_us.max(IDLE_US) } else { wait_us };
            self.lock().put_back(number, agent, self.now_us() + wait_us.max(0));
            self.changed.notify_one();
        }
    }

    fn next(&self) -> (usize, Agent, Telemetry) {
        let mut road = self.lock();
        loop {
            let now_us = self.now_us();
            let wait_us = match road.due.first() {
                Some((due_us, _)) if *due_us <= now_us => return road.take_first(now_us),
                Some((due_us, _)) => due_us - now_us,
                None => 100_000,
            };
            let wait = Duration::from_micros(wait_us.clamp(100, 100_000).unsigned_abs());
            road = match self.changed.wait_timeout(road, wait) {
                Ok((road, _)) => road,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}

impl Road {
    /// The car that is due first, whose agent is here.
    fn take_first(&mut self, now_us: i64) -> (usize, Agent, Telemetry) {
        let (_, number) = self.due.pop_first().unwrap();
        let car = &mut self.cars[number];
        car.driver.live_until(now_us, self.calm);
        // Woken while it is polled, it is due again at once.
        car.due_us = i64::MAX;
        (number, car.agent.take().unwrap(), car.driver.telemetry())
    }

    fn put_back(&mut self, number: usize, agent: Agent, due_us: i64) {
        let car = &mut self.cars[number];
        car.agent = Some(agent);
        car.due_us = car.due_us.min(due_us).min(car.driver.changes_us());
        self.due.insert((car.due_us, number));
    }

    /// Has a car polled at this moment, if it is not to be earlier.
    fn move_to(&mut self, number: usize, due_us: i64) {
        let car = &mut self.cars[number];
        let was_us = car.due_us;
        car.due_us = was_us.min(due_us);
        if self.due.remove(&(was_us, number)) {
            self.due.insert((self.cars[number].due_us, number));
        }
    }
}
