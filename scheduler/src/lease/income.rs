//! What leases earned their owners, as the book has it, and what ran in them.

use std::collections::{BTreeMap, HashMap};

use diesel::prelude::*;
use ledger::Code;
use store::schema::{account, entry, hardware_class, job, lease, market, vehicle};
use store::{Amount, LeaseId, PartyId, Rounding, Timestamp, TransactionId, Tx, VehicleId, mul_div};

use crate::fleet::{AWAKE_W, wear_per_kwh};
use crate::{Chemistry, DataClass, EndReason, Error, LeaseState, Purpose, Result};

/// Leases of one query.
const PAGE: i64 = 500;

/// Which leases of an owner's.
#[derive(Clone, Copy, Debug, Default)]
pub struct IncomeFilter {
    /// None: of all cars.
    pub vehicle: Option<VehicleId>,
    /// Settled in here; none: also those that are not.
    pub settled: Option<(Timestamp, Timestamp)>,
}

/// A lease with what it was for and what it came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Income {
    pub lease: LeaseId,
    pub vehicle: VehicleId,
    pub purpose: Purpose,
    pub data_class: DataClass,
    pub state: LeaseState,
    pub end_reason: Option<EndReason>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub settled_at: Option<Timestamp>,
    /// Whole seconds billed; 0 until it is settled.
    pub billed_s: i32,
    pub money: Money,
    /// What computer and car drew while it was let, watt-hours, rounded up.
    pub energy_wh: i64,
    /// What wear that costs at most, that is if all of it came from the battery; nothing for a car
    /// that works on the charger only.
    pub wear_at_most: Amount,
}

/// What a lease's settlement booked, in the market's asset but for the credits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Money {
    pub asset: String,
    pub gross: Amount,
    pub fee: Amount,
    pub cash: Amount,
    /// Micro-units of the credit, and the platform's bonus in them, in the market's asset.
    pub credits: Amount,
    pub bonus: Amount,
}

#[derive(Queryable)]
struct Row {
    lease: LeaseId,
    vehicle: VehicleId,
    what: (Purpose, DataClass),
    state: LeaseState,
    end_reason: Option<EndReason>,
    times: (Option<Timestamp>, Option<Timestamp>, Option<Timestamp>),
    billed_s: Option<i32>,
    transaction: Option<TransactionId>,
    asset: String,
    watts: i32,
    battery: (Option<Chemistry>, bool),
}

/// The owner's leases after `after`, oldest first, at most `limit`.
///
/// # Errors
/// [`Error::NotFound`] for another's car.
pub fn income(
    tx: &mut Tx<'_>,
    owner: PartyId,
    filter: &IncomeFilter,
    after: Option<LeaseId>,
    limit: i64,
) -> Result<Vec<Income>> {
    let mut rows = lease::table
        .inner_join(vehicle::table.on(vehicle::id.eq(lease::vehicle_id)))
        .inner_join(hardware_class::table.on(hardware_class::id.eq(vehicle::class_id)))
        .inner_join(job::table.on(job::id.eq(lease::job_id)))
        .inner_join(market::table.on(market::id.eq(lease::market_id)))
        .filter(vehicle::owner_id.eq(owner))
        .filter(lease::id.gt(after.unwrap_or(LeaseId::NIL)))
        .order(lease::id)
        .limit(limit)
        .select((
            lease::id,
            lease::vehicle_id,
            (job::purpose, job::data_class),
            lease::state,
            lease::end_reason,
            (lease::started_at, lease::ended_at, lease::settled_at),
            lease::billed_s,
            lease::transaction_id,
            market::asset,
            hardware_class::watts,
            (vehicle::chemistry, vehicle::plugged_only),
        ))
        .into_boxed();
    if let Some(id) = filter.vehicle {
        crate::fleet::owned(tx, owner, id)?;
        rows = rows.filter(lease::vehicle_id.eq(id));
    }
    if let Some((from, to)) = filter.settled {
        rows = rows.filter(lease::settled_at.ge(Some(from))).filter(lease::settled_at.lt(Some(to)));
    }
    let rows: Vec<Row> = rows.load(tx.conn)?;
    let mut booked = HashMap::new();
    for chunk in rows.chunks(PAGE as usize) {
        booked.extend(load_booked(tx, chunk.iter().filter_map(|row| row.transaction))?);
    }
    rows.into_iter().map(|row| told(row, &mut booked)).collect()
}

fn told(row: Row, booked: &mut HashMap<TransactionId, Money>) -> Result<Income> {
    let money = row.transaction.and_then(|id| booked.remove(&id)).unwrap_or_default();
    let (started_at, ended_at, settled_at) = row.times;
    let ran_us = started_at.zip(ended_at).map_or(0, |(from, to)| to.since(from).max(0));
    let watts = i64::from(row.watts) + i64::from(AWAKE_W);
    let overflow = || Error::corrupt(format!("the energy of {} overflows", row.lease));
    let energy_wh = mul_div(ran_us, watts, 3_600_000_000, Rounding::Up).ok_or_else(overflow)?;
    let (chemistry, plugged_only) = row.battery;
    let wear = mul_div(energy_wh, wear_per_kwh(chemistry).0, 1_000, Rounding::Up);
    Ok(Income {
        lease: row.lease,
        vehicle: row.vehicle,
        purpose: row.what.0,
        data_class: row.what.1,
        state: row.state,
        end_reason: row.end_reason,
        started_at,
        ended_at,
        settled_at,
        billed_s: row.billed_s.unwrap_or_default(),
        money: Money { asset: row.asset, ..money },
        energy_wh,
        wear_at_most: if plugged_only { Amount::ZERO } else { Amount(wear.ok_or_else(overflow)?) },
    })
}

fn load_booked(
    tx: &mut Tx<'_>,
    ids: impl Iterator<Item = TransactionId>,
) -> Result<HashMap<TransactionId, Money>> {
    let legs: Vec<(TransactionId, String, Amount)> = entry::table
        .inner_join(account::table.on(account::id.eq(entry::account_id)))
        .filter(entry::transaction_id.eq_any(ids))
        .select((entry::transaction_id, account::code, entry::amount))
        .load(tx.conn)?;
    let mut booked: HashMap<TransactionId, Money> = HashMap::new();
    for (id, code, amount) in legs {
        let money = booked.entry(id).or_default();
        let credited = Amount(amount.0.saturating_neg());
        match Code::parse(&code) {
            Some(Code::CustomerWallet) => money.gross = amount,
            Some(Code::FeeIncome) => money.fee = credited,
            Some(Code::OwnerCash) => money.cash = credited,
            Some(Code::OwnerCredits) => money.credits = credited,
            Some(Code::BonusExpense) => money.bonus = amount,
            _ => {}
        }
    }
    Ok(booked)
}

/// What a car earned on a day (UTC, by settlement).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DayIncome {
    pub leases: i64,
    pub billed_s: i64,
    pub money: Money,
    pub energy_wh: i64,
    pub wear_at_most: Amount,
}

/// By day, as `2026-11-24`, car, and asset.
pub type Days = BTreeMap<(String, VehicleId, String), DayIncome>;

/// The owner's income of a time by day and car.
///
/// # Errors
/// [`Error::NotFound`] for another's car.
pub fn income_days(
    tx: &mut Tx<'_>,
    owner: PartyId,
    vehicle: Option<VehicleId>,
    settled: (Timestamp, Timestamp),
) -> Result<Days> {
    let filter = IncomeFilter { vehicle, settled: Some(settled) };
    let (mut days, mut after) = (Days::new(), None);
    loop {
        let page = income(tx, owner, &filter, after, PAGE)?;
        let Some(last) = page.last() else { return Ok(days) };
        after = Some(last.lease);
        page.iter().try_for_each(|one| fold_income(&mut days, one))?;
    }
}

/// Adds a settled lease to its day.
fn fold_income(days: &mut Days, one: &Income) -> Result<()> {
    let Some(settled_at) = one.settled_at else { return Ok(()) };
    let day = days.entry((settled_at.date(), one.vehicle, one.money.asset.clone())).or_insert_with(
        || DayIncome {
            money: Money { asset: one.money.asset.clone(), ..Money::default() },
            ..DayIncome::default()
        },
    );
    let overflow = || Error::corrupt("a day's income overflows");
    let add = |sum: &mut Amount, part: Amount| {
        *sum = sum.checked_add(part).ok_or_else(overflow)?;
        Ok::<_, Error>(())
    };
    day.leases += 1;
    day.billed_s += i64::from(one.billed_s);
    day.energy_wh = day.energy_wh.checked_add(one.energy_wh).ok_or_else(overflow)?;
    add(&mut day.wear_at_most, one.wear_at_most)?;
    add(&mut day.money.gross, one.money.gross)?;
    add(&mut day.money.fee, one.money.fee)?;
    add(&mut day.money.cash, one.money.cash)?;
    add(&mut day.money.credits, one.money.credits)?;
    add(&mut day.money.bonus, one.money.bonus)
}
