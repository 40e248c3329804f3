//! What billing's tests share: an owner with two cars, a customer with a job, and finance.
#![allow(dead_code, clippy::unwrap_used)]

use billing::Error;
use diesel::prelude::*;
use ledger::chart::{self, PayIn, Settlement};
use ledger::{Code, NewHold};
use store::schema::{attempt, job, lease, party, party_profile, vehicle};
use store::testing::TestDb;
use store::{
    Amount, AttemptId, ClearingId, DepositId, HoldId, JobId, LeaseId, PartyId, Rounding, TaskId,
    Timestamp, TransactionId, Tx, VehicleId, mul_div,
};

pub const IBAN: &str = "GB33BUKB20201555555555";

pub struct World {
    pub db: TestDb,
    pub owner: PartyId,
    pub finance: PartyId,
    pub cash_car: VehicleId,
    pub credit_car: VehicleId,
    pub customer: PartyId,
    job: JobId,
    hold: HoldId,
}

impl World {
    pub fn new(db: TestDb, owner_name: &str) -> Self {
        let made = db.store.write(|tx| {
            let customer = add_party(tx, "customer", "Ada")?;
            let owner = add_party(tx, "owner", owner_name)?;
            let finance = add_party(tx, "finance", "Fin")?;
            let cash_car = add_vehicle(tx, owner, "cash")?;
            let credit_car = add_vehicle(tx, owner, "credits")?;
            let deposit: DepositId = tx.id();
            chart::deposit(tx, deposit, customer, "USD", Amount(9_000_000_000))?;
            let (job, hold) = add_job(tx, customer)?;
            Ok::<_, Error>((customer, owner, finance, cash_car, credit_car, job, hold))
        });
        let (customer, owner, finance, cash_car, credit_car, job, hold) = made.unwrap();
        Self { db, owner, finance, cash_car, credit_car, customer, job, hold }
    }

    pub fn write<T>(&self, work: impl FnOnce(&mut Tx<'_>) -> Result<T, Error>) -> T {
        self.db.store.write(work).unwrap()
    }

    pub fn read<T>(&self, query: impl FnOnce(&mut Tx<'_>) -> Result<T, Error>) -> T {
        self.db.store.read(query).unwrap()
    }

    pub fn now(&self) -> Timestamp {
        self.db.store.now()
    }

    /// Another owner with a car that earns cash.
    pub fn another_owner(&self, name: &str) -> (PartyId, VehicleId) {
        self.write(|tx| {
            let owner = add_party(tx, "owner", name)?;
            Ok((owner, add_vehicle(tx, owner, "cash")?))
        })
    }

    /// A lease that ran until now and is settled now.
    pub fn settle(&self, car: VehicleId, price: i64, seconds: i32) -> LeaseId {
        self.write(|tx| self.settle_in(tx, car, price, seconds))
    }

    /// A settled lease that earned an owner this much in cash, to the micro-unit.
    pub fn earn(&self, car: VehicleId, net: i64) {
        let gross = mul_div(net, 100, 85, Rounding::Down).unwrap();
        let gross = (gross - 1..=gross + 1)
            .find(|gross| mul_div(*gross, 85, 100, Rounding::Up) == Some(net))
            .unwrap();
        self.settle(car, gross, 3_600);
    }

    fn settle_in(
        &self,
        tx: &mut Tx<'_>,
        car: VehicleId,
        price: i64,
        seconds: i32,
    ) -> Result<LeaseId, Error> {
        let id: LeaseId = tx.id();
        let amount = mul_div(price, seconds.into(), 3_600, Rounding::HalfEven).unwrap();
        let (owner, pay_in): (PartyId, String) =
            vehicle::table.find(car).select((vehicle::owner_id, vehicle::pay_in)).first(tx.conn)?;
        let settlement = Settlement {
            lease: id,
            hold: self.hold,
            customer: self.customer,
            owner,
            asset: "USD".to_owned(),
            seconds: seconds.into(),
            price: Amount(price),
            amount: Amount(amount),
            fee_ppm: 150_000,
            pay_in: match pay_in.as_str() {
                "cash" => PayIn::Cash,
                _ => PayIn::Credits { bonus_ppm: 100_000 },
            },
            effective_at: tx.now,
        };
        let transaction = match amount {
            0 => None,
            _ => Some(chart::settle(tx, &settlement)?.id),
        };
        self.add_lease(tx, id, car, price, seconds, ("term", transaction))?;
        Ok(id)
    }

    /// A lease that earned nothing, with its attempts' ends and reasons.
    pub fn earn_nothing(&self, car: VehicleId, end: &str, attempts: &[(&str, &str)]) -> LeaseId {
        self.write(|tx| {
            let id: LeaseId = tx.id();
            self.add_lease(tx, id, car, 360_000, 0, (end, None))?;
            for (number, (state, reason)) in (0..).zip(attempts) {
                let row = (
                    attempt::id.eq(tx.id::<store::kind::Attempt>() as AttemptId),
                    attempt::lease_id.eq(id),
                    attempt::task_id.eq(tx.id::<store::kind::Task>() as TaskId),
                    attempt::state.eq(*state),
                    attempt::verdict.eq("unpaid"),
                    attempt::reason.eq(*reason),
                    attempt::started_at.eq(tx.now.plus_us(number)),
                    attempt::metered_us.eq(0_i64),
                    attempt::billable_us.eq(0_i64),
                );
                diesel::insert_into(attempt::table).values(row).execute(tx.conn)?;
            }
            Ok(id)
        })
    }

    fn add_lease(
        &self,
        tx: &mut Tx<'_>,
        id: LeaseId,
        car: VehicleId,
        price: i64,
        seconds: i32,
        (end, transaction): (&str, Option<TransactionId>),
    ) -> Result<(), Error> {
        let amount = mul_div(price, seconds.into(), 3_600, Rounding::HalfEven).map(Amount);
        let started = tx.now.plus_s(-i64::from(seconds) - 1);
        let row = (
            (
                lease::id.eq(id),
                lease::market_id.eq("us"),
                lease::clearing_id.eq(tx.id::<store::kind::Clearing>() as ClearingId),
                lease::job_id.eq(self.job),
                lease::vehicle_id.eq(car),
                lease::price.eq(Amount(price)),
                lease::fee_ppm.eq(150_000),
                lease::bonus_ppm.eq(100_000),
                lease::term_s.eq(seconds.max(900)),
                lease::earmark.eq(0_i64),
            ),
            (
                lease::state.eq("settled"),
                lease::seen_at.eq(tx.now),
                lease::offered_at.eq(started),
                lease::started_at.eq((end != "not_taken").then_some(started)),
                lease::ended_at.eq(Some(tx.now)),
                lease::end_reason.eq(Some(end)),
                lease::settled_at.eq(Some(tx.now)),
                lease::billed_s.eq(Some(seconds)),
                lease::amount.eq(amount),
                lease::transaction_id.eq(transaction),
            ),
        );
        diesel::insert_into(lease::table).values(row).execute(tx.conn)?;
        Ok(())
    }

    pub fn balance(&self, code: Code, asset: &str) -> ledger::Balance {
        self.read(|tx| Ok(ledger::party_balance(tx, code, self.owner, asset)?))
    }

    /// The book proves itself, and every asset sums to zero.
    pub fn assert_clean(&self) {
        let report = self.read(|tx| Ok(ledger::check::check(tx)?));
        assert!(report.is_clean(), "{:#?}", report.differences);
    }
}

fn add_party(tx: &mut Tx<'_>, role: &str, name: &str) -> Result<PartyId, Error> {
    let id: PartyId = tx.id();
    diesel::insert_into(party::table)
        .values((party::id.eq(id), party::role.eq(role), party::created_at.eq(tx.now)))
        .execute(tx.conn)?;
    diesel::insert_into(party_profile::table)
        .values((
            party_profile::party_id.eq(id),
            party_profile::email.eq(format!("{id}@example.org")),
            party_profile::name.eq(name),
            party_profile::password_hash.eq("none"),
        ))
        .execute(tx.conn)?;
    Ok(id)
}

fn add_vehicle(tx: &mut Tx<'_>, owner: PartyId, pay_in: &str) -> Result<VehicleId, Error> {
    let id: VehicleId = tx.id();
    diesel::insert_into(vehicle::table)
        .values((
            vehicle::id.eq(id),
            vehicle::owner_id.eq(owner),
            vehicle::region_id.eq("us-ca"),
            vehicle::class_id.eq("hw4"),
            vehicle::reserve.eq(0_i64),
            vehicle::soc_floor.eq(20),
            vehicle::plugged_only.eq(false),
            vehicle::pay_in.eq(pay_in),
            vehicle::token_hash.eq(id.as_bytes().to_vec()),
            vehicle::active.eq(true),
            vehicle::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(id)
}

fn add_job(tx: &mut Tx<'_>, customer: PartyId) -> Result<(JobId, HoldId), Error> {
    let id: JobId = tx.id();
    let account = ledger::open_account(tx, Code::CustomerWallet, customer, "USD")?;
    let hold = NewHold {
        key: id.to_string(),
        account,
        amount: Amount(8_000_000_000),
        subject: id.to_string(),
        expires_at: None,
    };
    let hold = ledger::place_hold(tx, &hold)?.id;
    diesel::insert_into(job::table)
        .values((
            job::id.eq(id),
            job::customer_id.eq(customer),
            job::market_id.eq("us"),
            job::name.eq("digits"),
            job::runtime.eq("onnx"),
            job::program.eq("program"),
            job::purpose.eq("inference"),
            job::data_class.eq("synthetic"),
            job::state.eq("active"),
            job::hold_id.eq(hold),
            job::tasks.eq(1),
            job::tasks_completed.eq(0),
            job::tasks_failed.eq(0),
            job::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok((id, hold))
}
