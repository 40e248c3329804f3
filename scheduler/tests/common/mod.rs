//! A small world: a market, a customer with money, owners with cars, and the cars' words.
#![allow(dead_code, clippy::unwrap_used)]

pub mod rows;

use std::collections::BTreeMap;

use diesel::prelude::*;
use ledger::Code;
use scheduler::assurance::Assurance;
use scheduler::fleet::{self, NewVehicle, Policy};
use scheduler::job::{self, JobView, NewBid, NewJob};
use scheduler::market::TickReport;
use scheduler::{Config, DataClass, PayIn, Purpose, Runtime, blob, lease, market};
use store::schema::{blob as blob_table, lease as lease_table, party};
use store::testing::TestDb;
use store::{Amount, DepositId, JobId, NodeId, PartyId, Tx, VehicleId};
use vehicle::protocol::{
    AttemptReport, AttemptState, ChargeState, Digest, Doors, Gear, Heartbeat, HeartbeatReply,
    Order, Telemetry,
};

pub type AnyResult<T> = Result<T, scheduler::Error>;

pub struct World {
    pub db: TestDb,
    pub config: Config,
    pub node: NodeId,
}

pub fn config() -> Config {
    Config {
        heartbeat_timeout_s: 10,
        // Most tests are not about what a car waits for.
        resume_hold_s: 0,
        term_grace_s: 5,
        leader_ttl_s: 20,
        ..Config::default()
    }
}

/// A car at home, parked and charging.
pub fn at_home() -> Telemetry {
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

/// The same with its driver back in the seat.
pub fn driver_back() -> Telemetry {
    Telemetry { driver_seat_occupied: Some(true), ..at_home() }
}

pub fn digest(name: &str) -> String {
    Digest::of(name.as_bytes()).0
}

impl World {
    pub fn new(db: TestDb) -> Self {
        let node = db.store.env().ids.id(db.store.now());
        Self { db, config: config(), node }
    }

    pub fn write<T>(&self, work: impl FnOnce(&mut Tx<'_>) -> AnyResult<T>) -> T {
        self.db.store.write(work).unwrap()
    }

    pub fn party(&self, role: &str) -> PartyId {
        self.write(|tx| {
            let id: PartyId = tx.id();
            diesel::insert_into(party::table)
                .values((party::id.eq(id), party::role.eq(role), party::created_at.eq(tx.now)))
                .execute(tx.conn)?;
            Ok(id)
        })
    }

    /// A customer with `units` dollars and the blobs that [`new_job`] names.
    pub fn customer(&self, units: i64) -> PartyId {
        let id = self.party("customer");
        self.write(|tx| {
            let deposit: DepositId = tx.id();
            ledger::chart::deposit(tx, deposit, id, "USD", Amount(units * 1_000_000))?;
            for name in ["program", "input"] {
                diesel::insert_into(blob_table::table)
                    .values((
                        blob_table::digest.eq(digest(name)),
                        blob_table::party_id.eq(id),
                        blob_table::size.eq(1_i64),
                        blob_table::created_at.eq(tx.now),
                    ))
                    .execute(tx.conn)?;
            }
            Ok(())
        });
        id
    }

    /// A car with every consent, at home.
    pub fn car(&self, owner: PartyId, reserve: i64, pay_in: PayIn) -> VehicleId {
        self.car_of("hw4", owner, reserve, pay_in)
    }

    /// One of this hardware class.
    pub fn car_of(&self, class: &str, owner: PartyId, reserve: i64, pay_in: PayIn) -> VehicleId {
        let new = NewVehicle {
            region: "us-ca".to_owned(),
            class: class.to_owned(),
            reserve: Amount(reserve),
            policy: Policy { plugged_only: false, ..Policy::default() },
            pay_in,
        };
        let id = self.write(|tx| {
            let seed: VehicleId = tx.id();
            let mut hash = [0; 32];
            hash[..16].copy_from_slice(seed.as_bytes());
            let id = fleet::enrol(tx, owner, &new, hash)?;
            for purpose in Purpose::ALL {
                fleet::give_consent(tx, owner, id, *purpose, DataClass::Synthetic)?;
            }
            Ok(id)
        });
        self.beat(id, &at_home(), None);
        id
    }

    pub fn submit(&self, customer: PartyId, new: &NewJob) -> JobId {
        self.write(|tx| job::submit(tx, customer, new))
    }

    pub fn tick(&self) -> TickReport {
        market::tick(&self.db.store, &self.config, "us", self.node).unwrap()
    }

    pub fn sweep(&self) -> lease::Swept {
        self.write(|tx| lease::sweep(tx, &self.config, "us"))
    }

    pub fn beat(
        &self,
        car: VehicleId,
        telemetry: &Telemetry,
        attempt: Option<AttemptReport>,
    ) -> HeartbeatReply {
        let beat = Heartbeat { telemetry: telemetry.clone(), attempt };
        lease::heartbeat(&self.db.store, &self.config, car, &beat).unwrap()
    }

    /// The car at home says how its order ended, or goes.
    pub fn report(&self, car: VehicleId, order: &Order, state: AttemptState) -> HeartbeatReply {
        let attempt_id = order.attempt_id.clone();
        self.beat(car, &at_home(), Some(AttemptReport::new(attempt_id, state)))
    }

    /// A blob that a car stored.
    pub fn stored(&self, name: &str) -> Digest {
        let digest = Digest::of(name.as_bytes());
        self.write(|tx| blob::record(tx, &digest.0, 1));
        digest
    }

    /// Works `seconds`, then completes; what the car is told then.
    pub fn complete(&self, car: VehicleId, order: &Order, seconds: i64) -> HeartbeatReply {
        self.db.clock.advance_s(seconds);
        let output = self.stored(&order.attempt_id);
        self.report(car, order, AttemptState::Completed { output, metered_us: seconds * 1_000_000 })
    }

    pub fn job(&self, customer: PartyId, id: JobId) -> JobView {
        self.write(|tx| job::load(tx, customer, id))
    }

    /// (state, end reason, amount, earmark) of every lease, oldest first.
    pub fn leases(&self) -> Vec<(String, String, i64, i64)> {
        self.write(|tx| {
            let rows: Vec<(String, Option<String>, Option<i64>, i64)> = lease_table::table
                .order(lease_table::id)
                .select((
                    lease_table::state,
                    lease_table::end_reason,
                    lease_table::amount,
                    lease_table::earmark,
                ))
                .load(tx.conn)?;
            let row = |(state, reason, amount, earmark): (String, Option<String>, _, _)| {
                (state, reason.unwrap_or_default(), Option::unwrap_or(amount, -1), earmark)
            };
            Ok(rows.into_iter().map(row).collect())
        })
    }

    pub fn balance(&self, code: Code, party: PartyId, asset: &str) -> ledger::Balance {
        self.write(|tx| Ok(ledger::party_balance(tx, code, party, asset)?))
    }

    /// The books check, and each customer's money is where it should be.
    pub fn check(&self) {
        let report = self.write(|tx| Ok(ledger::check::check(tx)?));
        assert!(report.is_clean(), "{report:?}");
        let zero: BTreeMap<_, _> =
            report.trial_balance.iter().filter(|(_, sum)| **sum != Amount::ZERO).collect();
        assert!(zero.is_empty(), "{zero:?}");
    }
}

/// A job of `tasks` tasks at $0.36 an hour, that is 100 micro-dollars a second, of $1.
pub fn new_job(tasks: usize, lanes: i32) -> NewJob {
    NewJob {
        name: "sweep".to_owned(),
        market: "us".to_owned(),
        runtime: Runtime::Wasm,
        program: digest("program"),
        purpose: Purpose::Simulation,
        data_class: DataClass::Synthetic,
        inputs: vec![digest("input"); tasks],
        assurance: Assurance::None,
        bid: NewBid {
            price: Amount(360_000),
            lanes,
            budget: Amount(1_000_000),
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
