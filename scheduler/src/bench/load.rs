//! A market to measure with.

use diesel::prelude::*;
use store::schema::{blob as blob_table, party};
use store::{Amount, DepositId, NodeId, PartyId, Store, Tx, VehicleId};
use vehicle::protocol::{ChargeState, Digest, Doors, Gear, Heartbeat, Telemetry};

use super::Fault;
use crate::assurance::Assurance;
use crate::fleet::{self, NewVehicle, Policy};
use crate::job::{self, NewBid, NewJob};
use crate::{Config, DataClass, Desk, PayIn, Purpose, Result, Runtime, blob};

/// Jobs of a round; each has an equal share of the cars.
const JOBS: usize = 20;
/// Cars of an owner.
const CARS_OF_ONE: usize = 20;

pub(super) struct Load {
    pub store: Store,
    pub config: Config,
    pub node: NodeId,
    pub cars: Vec<VehicleId>,
    pub telemetry: Telemetry,
    /// What every task puts out.
    pub output: Digest,
    customer: PartyId,
}

fn at_home() -> Telemetry {
    Telemetry {
        gear: Some(Gear::P),
        vehicle_speed: Some(0.0),
        driver_seat_occupied: Some(false),
        locked: Some(true),
        service_mode: Some(false),
        valet_mode: Some(false),
        detailed_charge_state: Some(ChargeState::Charging),
        soc: Some(70.0),
        module_temp_max: Some(25.0),
        door_state: Some(Doors::default()),
        ..Telemetry::default()
    }
}

impl Load {
    /// A customer with money and blobs, owners, and cars that are idle.
    pub(super) fn prepare(store: &Store, cars: usize) -> std::result::Result<Self, Fault> {
        let output = Digest::of(b"output");
        let customer = store.write(|tx| customer(tx, &output))?;
        let mut load = Self {
            store: store.clone(),
            // Nobody falls silent while others are measured.
            config: Config { heartbeat_timeout_s: 3_600, ..Config::default() },
            node: store.env().ids.id(store.now()),
            cars: Vec::with_capacity(cars),
            telemetry: at_home(),
            output,
            customer,
        };
        while load.cars.len() < cars {
            let some = (cars - load.cars.len()).min(CARS_OF_ONE);
            load.cars.extend(store.write(|tx| owner(tx, some))?);
        }
        load.arrive()?;
        Ok(load)
    }

    /// Every car says that it is at home.
    fn arrive(&self) -> std::result::Result<(), Fault> {
        let desk = Desk::new(self.store.clone(), self.config.clone());
        let beat = Heartbeat { telemetry: self.telemetry.clone(), attempt: None };
        let polls = self.cars.iter().map(|car| (*car, beat.clone())).collect();
        for answer in desk.heartbeats(polls) {
            answer?;
        }
        Ok(())
    }

    /// As many tasks as there are cars, in jobs of as many lanes as tasks.
    pub(super) fn post_jobs(&self) -> Result<()> {
        let share = self.cars.len().div_ceil(JOBS);
        for cars in self.cars.chunks(share) {
            self.store.write(|tx| job::submit(tx, self.customer, &new_job(cars.len())))?;
        }
        Ok(())
    }

    /// The books check, and nothing is left open.
    pub(super) fn check(&self) -> std::result::Result<(), Fault> {
        use store::schema::lease;
        let (report, open) = self.store.read(|tx| {
            let open: i64 = lease::table
                .filter(lease::state.ne(crate::LeaseState::Settled))
                .count()
                .get_result(tx.conn)?;
            Ok::<_, crate::Error>((ledger::check::check(tx)?, open))
        })?;
        match report.is_clean() && open == 0 {
            true => Ok(()),
            false => Err(format!("{open} leases are open; {report:?}").into()),
        }
    }
}

fn new_party(tx: &mut Tx<'_>, role: &str) -> Result<PartyId> {
    let id: PartyId = tx.id();
    diesel::insert_into(party::table)
        .values((party::id.eq(id), party::role.eq(role), party::created_at.eq(tx.now)))
        .execute(tx.conn)?;
    Ok(id)
}

fn customer(tx: &mut Tx<'_>, output: &Digest) -> Result<PartyId> {
    let id = new_party(tx, "customer")?;
    let deposit: DepositId = tx.id();
    ledger::chart::deposit(tx, deposit, id, "USD", Amount(1_000_000_000_000_000))?;
    for name in ["program", "input"] {
        diesel::insert_into(blob_table::table)
            .values((
                blob_table::digest.eq(Digest::of(name.as_bytes()).0),
                blob_table::party_id.eq(id),
                blob_table::size.eq(1_i64),
                blob_table::created_at.eq(tx.now),
            ))
            .execute(tx.conn)?;
    }
    blob::record(tx, &output.0, 1)?;
    Ok(id)
}

/// An owner with cars.
fn owner(tx: &mut Tx<'_>, cars: usize) -> Result<Vec<VehicleId>> {
    let owner = new_party(tx, "owner")?;
    let new = NewVehicle {
        region: "us-ca".to_owned(),
        class: "hw4".to_owned(),
        reserve: Amount(102_000),
        policy: Policy { plugged_only: false, ..Policy::default() },
        pay_in: PayIn::Cash,
    };
    let mut ids = Vec::with_capacity(cars);
    for _ in 0..cars {
        let seed: VehicleId = tx.id();
        let mut hash = [0; 32];
        hash[..16].copy_from_slice(seed.as_bytes());
        let id = fleet::enrol(tx, owner, &new, hash)?;
        fleet::give_consent(tx, owner, id, Purpose::Simulation, DataClass::Synthetic)?;
        ids.push(id);
    }
    Ok(ids)
}

fn new_job(tasks: usize) -> NewJob {
    NewJob {
        name: "bench".to_owned(),
        market: "us".to_owned(),
        runtime: Runtime::Wasm,
        program: Digest::of(b"program").0,
        purpose: Purpose::Simulation,
        data_class: DataClass::Synthetic,
        inputs: vec![Digest::of(b"input").0; tasks],
        assurance: Assurance::None,
        bid: NewBid {
            price: Amount(360_000),
            lanes: i32::try_from(tasks).unwrap_or(i32::MAX),
            budget: Amount(1_000_000_000),
            currency: "USD".to_owned(),
            regions: vec![],
            classes: vec![],
            deadline: None,
            min_fill: 1,
            short_leases: true,
            expires_at: None,
        },
    }
}
