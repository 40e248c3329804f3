//! The market's loop and the embedded cars, wired to a running server.

use std::sync::Arc;

use anyhow::Context;
use rand::RngCore;
use scheduler::desk::Watch;
use scheduler::embedded::{Blobs as FleetBlobs, Fleet};
use scheduler::engine::Engine;
use scheduler::fleet::{self, NewVehicle, Policy};
use scheduler::job::Maker;
use scheduler::{DataClass, Desk, PayIn, Purpose};
use sha2::{Digest as _, Sha256};
use store::{Amount, PartyId, Store, Tx, VehicleId};
use vehicle::protocol::{ChargeState, Digest, Doors, Gear, Telemetry};
use vehicle::{WorkerConfig, WorkerPool};

use crate::blobs::Blobs;

impl FleetBlobs for Blobs {
    fn get(&self, digest: &Digest) -> Result<Vec<u8>, String> {
        Blobs::get(self, digest).map_err(|error| error.to_string())
    }

    fn put(&self, bytes: &[u8]) -> Result<Digest, String> {
        Blobs::put(self, bytes).map_err(|error| error.to_string())
    }
}

/// Where the maker of tasks finds and keeps blobs.
impl scheduler::job::Files for Blobs {
    fn get(&self, digest: &str) -> Result<Vec<u8>, String> {
        Blobs::get(self, &Digest(digest.to_owned())).map_err(|error| error.to_string())
    }

    fn read_at(&self, digest: &str, from: u64, len: usize) -> Result<Vec<u8>, String> {
        let digest = Digest(digest.to_owned());
        self.get_range(&digest, from, len as u64).map_err(|error| error.to_string())
    }

    fn put(&self, bytes: &[u8]) -> Result<String, String> {
        Blobs::put(self, bytes).map(|digest| digest.0).map_err(|error| error.to_string())
    }
}

/// What works in this process beside HTTP. Dropped in this order: the cars leave the road, then
/// the market closes.
pub struct Works {
    pub fleet: Fleet,
    engine: Engine,
    watch: Watch,
    _maker: Maker,
}

impl Works {
    /// Starts both. `workers` tasks run at a time, each in a process of its own.
    pub fn start(desk: &Desk, blobs: &Blobs, workers: usize) -> anyhow::Result<Self> {
        let executable = std::env::current_exe().context("our own program")?;
        let pool = WorkerPool::new(WorkerConfig {
            executable,
            args: vec!["worker".to_owned()],
            size: workers.max(1),
        })?;
        let maker = Maker::start(desk.store().clone(), Arc::new(blobs.clone()));
        let blobs: Arc<dyn FleetBlobs> = Arc::new(blobs.clone());
        let node = desk.store().env().ids.id(desk.store().now());
        Ok(Self {
            fleet: Fleet::start(desk.clone(), blobs, Arc::new(pool)),
            engine: Engine::start(desk.clone(), node),
            watch: desk.watch(),
            _maker: maker,
        })
    }

    /// Takes the cars off the road and steps down as the market's leader.
    pub fn stop(self) {
        drop(self.fleet);
        self.engine.stop();
        drop(self.watch);
    }
}

/// Tasks that this machine can run side by side.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A car at home for the night: parked, locked, empty, charging.
pub fn at_home() -> Telemetry {
    Telemetry {
        gear: Some(Gear::P),
        vehicle_speed: Some(0.0),
        driver_seat_occupied: Some(false),
        locked: Some(true),
        service_mode: Some(false),
        valet_mode: Some(false),
        detailed_charge_state: Some(ChargeState::Charging),
        soc: Some(72.0),
        module_temp_max: Some(24.0),
        door_state: Some(Doors::default()),
        ..Telemetry::default()
    }
}

/// The same car with its driver back in the seat.
pub fn driver_back() -> Telemetry {
    Telemetry { driver_seat_occupied: Some(true), locked: Some(false), ..at_home() }
}

/// Sees to it that `owner` has `count` cars with every consent, and puts them all on the road.
pub fn embed_cars(
    store: &Store,
    fleet: &Fleet,
    owner: PartyId,
    count: usize,
) -> anyhow::Result<()> {
    let ids = store.write(|tx| enrol_up_to(tx, owner, count))?;
    for id in ids {
        fleet.add(id, at_home());
    }
    Ok(())
}

const CLASSES: [&str; 3] = ["hw3", "hw4", "ai5"];
const REGIONS: [&str; 2] = ["us-ca", "us-tx"];

fn enrol_up_to(
    tx: &mut Tx<'_>,
    owner: PartyId,
    count: usize,
) -> Result<Vec<VehicleId>, scheduler::Error> {
    let limit = i64::try_from(count).unwrap_or(i64::MAX);
    let known = fleet::list(tx, owner, None, limit)?;
    let mut ids: Vec<VehicleId> = known.into_iter().map(|car| car.row.id).collect();
    while ids.len() < count {
        let number = ids.len();
        let new = NewVehicle {
            region: REGIONS[number % REGIONS.len()].to_owned(),
            class: CLASSES[number % CLASSES.len()].to_owned(),
            reserve: Amount(90_000),
            policy: Policy::default(),
            pay_in: PayIn::Cash,
        };
        // Nobody signs in as an embedded car: its token is thrown away.
        let mut secret = [0; 32];
        rand::rng().fill_bytes(&mut secret);
        let id = fleet::enrol(tx, owner, &new, Sha256::digest(secret).into())?;
        for purpose in Purpose::ALL {
            for data_class in DataClass::ALL {
                fleet::give_consent(tx, owner, id, *purpose, *data_class)?;
            }
        }
        ids.push(id);
    }
    Ok(ids)
}
