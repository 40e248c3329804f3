//! A year's business, driven by the test clock.

use diesel::prelude::*;
use ledger::chart::{PayIn, Redemption, Settlement};
use ledger::proof::{Extent, Signer, seal};
use ledger::{Code, Command, Error, NewHold, Outcome, Refund, Reversal, execute, period};
use store::schema::{asset, job, lease, party, vehicle};
use store::testing::TestDb;
use store::{
    Amount, AnyConnection, ClearingId, DepositId, HoldId, JobId, LeaseId, Month, PartyId, PayoutId,
    Rounding, TransactionId, Tx, VehicleId, mul_div,
};

pub const MONTHS: usize = 12;
const CUSTOMERS: usize = 200;
const OWNERS: usize = 500;
const DAY_S: i64 = 86_400;
/// Days of a month on which cars are let.
const DAYS: usize = 28;

/// January 2027 and the eleven months after.
pub fn month(number: usize) -> Month {
    Month(2027 * 12 + i32::try_from(number).unwrap())
}

struct Customer {
    id: PartyId,
    job: JobId,
    hold: HoldId,
}

struct Owner {
    id: PartyId,
    car: VehicleId,
}

pub struct Year<'a> {
    db: &'a TestDb,
    customers: Vec<Customer>,
    owners: Vec<Owner>,
    finance: PartyId,
    /// Settlements that something can be given back of.
    paid: Vec<(TransactionId, PartyId)>,
    leases: usize,
}

type Result<T> = std::result::Result<T, Error>;

impl<'a> Year<'a> {
    pub fn open(db: &'a TestDb) -> Self {
        let wait = month(0).first_day().start().since(db.store.now());
        db.clock.advance_us(wait);
        let (customers, owners, finance) = write(db, |tx| {
            let customers = (0..CUSTOMERS).map(|_| {
                let (id, job, hold) = (add_party(tx, "customer")?, tx.id(), HoldId::NIL);
                Ok(Customer { id, job, hold })
            });
            let customers = customers.collect::<Result<Vec<_>>>()?;
            let owners = (0..OWNERS).map(|number| {
                let id = add_party(tx, "owner")?;
                Ok(Owner { id, car: add_car(tx, id, number)? })
            });
            let owners = owners.collect::<Result<Vec<_>>>()?;
            for customer in &customers {
                add_job(tx, customer)?;
            }
            Ok((customers, owners, tx.id()))
        });
        Self { db, customers, owners, finance, paid: Vec::new(), leases: 0 }
    }

    /// A month: customers pay in, cars are let, some of it is given back, owners are paid; and the
    /// month before is closed on the third day, with a lease of it that is settled too late.
    pub fn business(&mut self, number: usize, leases: usize) {
        let start = month(number).first_day().start();
        self.db.clock.advance_us(start.since(self.db.store.now()));
        self.pay_in(number);
        for day in 0..DAYS {
            self.db.clock.advance_s(DAY_S);
            let some = leases * (day + 1) / DAYS - leases * day / DAYS;
            self.let_cars(some, 0);
            if day == 3 && number > 0 {
                self.close(number - 1);
                self.let_cars(1, 5);
            }
        }
        self.give_back();
        self.pay_owners(number);
        self.release();
        if number % 6 == 5 {
            let signer = Signer::from_seed(&[7; 32]).unwrap();
            seal(&self.db.store, &signer, Extent::All).unwrap();
        }
    }

    /// Closes the last month.
    pub fn end(&mut self) {
        self.db.clock.advance_s(10 * DAY_S);
        self.close(MONTHS - 1);
    }

    fn close(&self, number: usize) {
        write(self.db, |tx| period::close(tx, month(number), self.finance, "month's end"));
    }

    fn pay_in(&mut self, number: usize) {
        let customers = &self.customers;
        let holds = write(self.db, |tx| {
            let deposits: Vec<Command> = (0..)
                .zip(customers)
                .map(|(n, customer)| {
                    let id: DepositId = tx.id();
                    Command::deposit(id, customer.id, "USD", Amount(900_000_000 + n * 10_000))
                })
                .collect();
            run(tx, &deposits)?;
            let holds = customers.iter().map(|customer| {
                let account = ledger::open_account(tx, Code::CustomerWallet, customer.id, "USD")?;
                Ok(Command::hold(NewHold {
                    key: format!("{}:{number}", customer.job),
                    account,
                    amount: Amount(800_000_000),
                    subject: customer.job.to_string(),
                    expires_at: None,
                }))
            });
            let holds = holds.collect::<Result<Vec<_>>>()?;
            run(tx, &holds)
        });
        for (customer, outcome) in self.customers.iter_mut().zip(holds) {
            let Outcome::Held(placed) = outcome else { panic!("{outcome:?}") };
            customer.hold = placed.id;
        }
    }

    /// Leases that ended so many days ago and are settled now.
    fn let_cars(&mut self, count: usize, days_ago: i64) {
        let numbers = self.leases..self.leases + count;
        self.leases += count;
        let paid = write(self.db, |tx| {
            let ended = tx.now.plus_s(-days_ago * DAY_S);
            let settlements: Vec<(Settlement, VehicleId, JobId)> =
                numbers.map(|number| self.settlement(tx, number, ended)).collect();
            let commands: Vec<Command> =
                settlements.iter().map(|row| Command::from(row.0.clone())).collect();
            let outcomes = run(tx, &commands)?;
            let mut paid = Vec::new();
            for (row, outcome) in settlements.iter().zip(outcomes) {
                let transaction = outcome.posted()?.id;
                add_lease(tx, row, transaction)?;
                paid.push((transaction, row.0.customer));
            }
            Ok(paid)
        });
        self.paid.extend(paid.into_iter().take(2));
    }

    fn settlement(
        &self,
        tx: &mut Tx<'_>,
        number: usize,
        effective_at: store::Timestamp,
    ) -> (Settlement, VehicleId, JobId) {
        let customer = &self.customers[number * 7 % CUSTOMERS];
        let which = number * 11 % OWNERS;
        let owner = &self.owners[which];
        let number = i64::try_from(number).unwrap();
        let (seconds, price) = (1 + number * 37 % 900, Amount(150_000 + number * 7_919 % 200_000));
        let amount = mul_div(price.0, seconds, 3_600, Rounding::HalfEven).map(Amount).unwrap();
        let settlement = Settlement {
            lease: tx.id(),
            hold: customer.hold,
            customer: customer.id,
            owner: owner.id,
            asset: "USD".to_owned(),
            seconds,
            price,
            amount,
            fee_ppm: 150_000,
            pay_in: if in_credits(which) {
                PayIn::Credits { bonus_ppm: 100_000 }
            } else {
                PayIn::Cash
            },
            effective_at,
        };
        (settlement, owner.car, customer.job)
    }

    /// Of each day's first two leases a part of one, and all of a few.
    fn give_back(&mut self) {
        let paid = std::mem::take(&mut self.paid);
        write(self.db, |tx| {
            for (number, (of, customer)) in paid.into_iter().enumerate() {
                let key = tx.id::<store::kind::Transaction>().to_string();
                let reason = "the output was late".to_owned();
                let command = match number % 20 {
                    0 => Command::from(Reversal { key, of, reason, effective_at: None }),
                    n if n % 2 == 0 => {
                        let account =
                            ledger::open_account(tx, Code::CustomerWallet, customer, "USD")?;
                        Command::from(Refund { key, of, account, amount: Amount(3), reason })
                    }
                    _ => continue,
                };
                match ledger::run(tx, &command) {
                    // The owner has redeemed, or the lease cost less than that.
                    Err(Error::InsufficientFunds { .. } | Error::OverRefund { .. }) => {}
                    other => drop(other?),
                }
            }
            Ok(())
        });
    }

    /// A third of the owners at each month's end: credits are redeemed, whole cents paid out, and
    /// the bank has confirmed all but the last run.
    fn pay_owners(&self, number: usize) {
        write(self.db, |tx| {
            let rate: i64 = asset::table
                .find("CREDIT")
                .select(asset::redemption_ppm.assume_not_null())
                .first(tx.conn)?;
            assert_eq!(rate, 1_000_000);
            for (which, owner) in
                self.owners.iter().enumerate().filter(|(n, _)| n % 3 == number % 3)
            {
                if in_credits(which) {
                    let credits = balance(tx, Code::OwnerCredits, owner.id, "CREDIT")?;
                    if credits.is_positive() {
                        let (key, asset) = (format!("{}:{number}", owner.id), "USD".to_owned());
                        let redemption = Redemption { key, owner: owner.id, asset, credits };
                        ledger::chart::redeem(tx, &redemption)?;
                    }
                }
                let amount = balance(tx, Code::OwnerCash, owner.id, "USD")?.whole_cents();
                if amount.is_positive() {
                    pay_out(tx, owner.id, amount, number + 1 < MONTHS)?;
                }
            }
            Ok(())
        });
    }

    fn release(&self) {
        write(self.db, |tx| {
            let holds = self.customers.iter().map(|customer| Command::release(customer.hold));
            let holds: Vec<Command> = holds.collect();
            run(tx, &holds).map(drop)
        });
    }
}

fn in_credits(owner: usize) -> bool {
    owner.is_multiple_of(5)
}

fn balance(tx: &mut Tx<'_>, code: Code, party: PartyId, asset: &str) -> Result<Amount> {
    Ok(ledger::party_balance(tx, code, party, asset)?.posted)
}

fn pay_out(tx: &mut Tx<'_>, owner: PartyId, amount: Amount, confirmed: bool) -> Result<()> {
    let id: PayoutId = tx.id();
    let hold = NewHold {
        key: format!("payout:{id}"),
        account: ledger::open_account(tx, Code::OwnerCash, owner, "USD")?,
        amount,
        subject: id.to_string(),
        expires_at: None,
    };
    let hold = ledger::place_hold(tx, &hold)?.id;
    ledger::chart::pay_out(tx, id, hold, owner, "USD", amount)?;
    if confirmed {
        ledger::run(tx, &Command::confirm_payout(id, "USD", amount))?.posted()?;
    }
    Ok(())
}

/// All of them.
fn run(tx: &mut Tx<'_>, commands: &[Command]) -> Result<Vec<Outcome>> {
    execute(tx, commands)?.into_iter().collect()
}

fn write<T>(db: &TestDb, work: impl FnOnce(&mut Tx<'_>) -> Result<T>) -> T {
    db.store.write(work).unwrap()
}

fn add_party(tx: &mut Tx<'_>, role: &str) -> Result<PartyId> {
    let id: PartyId = tx.id();
    diesel::insert_into(party::table)
        .values((party::id.eq(id), party::role.eq(role), party::created_at.eq(tx.now)))
        .execute(tx.conn)?;
    Ok(id)
}

fn add_car(tx: &mut Tx<'_>, owner: PartyId, number: usize) -> Result<VehicleId> {
    let id: VehicleId = tx.id();
    diesel::insert_into(vehicle::table)
        .values((
            vehicle::id.eq(id),
            vehicle::owner_id.eq(owner),
            vehicle::region_id.eq(["us-ca", "us-tx"][number % 2]),
            vehicle::class_id.eq(["hw3", "hw4", "ai5"][number % 3]),
            vehicle::reserve.eq(0_i64),
            vehicle::soc_floor.eq(20),
            vehicle::plugged_only.eq(false),
            vehicle::pay_in.eq(if in_credits(number) { "credits" } else { "cash" }),
            vehicle::token_hash.eq(id.as_bytes().to_vec()),
            vehicle::active.eq(true),
            vehicle::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(id)
}

fn add_job(tx: &mut Tx<'_>, of: &Customer) -> Result<()> {
    diesel::insert_into(job::table)
        .values((
            job::id.eq(of.job),
            job::customer_id.eq(of.id),
            job::market_id.eq("us"),
            job::name.eq("digits"),
            job::runtime.eq("onnx"),
            job::program.eq("program"),
            job::purpose.eq("inference"),
            job::data_class.eq("synthetic"),
            job::state.eq("active"),
            job::hold_id.eq(of.hold),
            job::tasks.eq(1),
            job::tasks_completed.eq(0),
            job::tasks_failed.eq(0),
            job::created_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    Ok(())
}

fn add_lease(
    tx: &mut Tx<'_>,
    (of, car, job): &(Settlement, VehicleId, JobId),
    transaction: TransactionId,
) -> Result<()> {
    let clearing: ClearingId = tx.id();
    let id: LeaseId = of.lease;
    let started = of.effective_at.plus_s(-of.seconds);
    let row = (
        (
            lease::id.eq(id),
            lease::market_id.eq("us"),
            lease::clearing_id.eq(clearing),
            lease::job_id.eq(*job),
            lease::vehicle_id.eq(*car),
            lease::price.eq(of.price),
            lease::fee_ppm.eq(150_000),
            lease::bonus_ppm.eq(100_000),
            lease::term_s.eq(900),
            lease::earmark.eq(0_i64),
        ),
        (
            lease::state.eq("settled"),
            lease::seen_at.eq(of.effective_at),
            lease::offered_at.eq(started),
            lease::started_at.eq(Some(started)),
            lease::ended_at.eq(Some(of.effective_at)),
            lease::end_reason.eq(Some("term")),
            lease::settled_at.eq(Some(tx.now)),
            lease::billed_s.eq(Some(i32::try_from(of.seconds).unwrap())),
            lease::amount.eq(Some(of.amount)),
            lease::transaction_id.eq(Some(transaction)),
        ),
    );
    let insert = diesel::insert_into(lease::table).values(row);
    match tx.conn {
        AnyConnection::Postgres(conn) => insert.execute(conn)?,
        AnyConnection::Sqlite(conn) => insert.execute(conn)?,
    };
    Ok(())
}
