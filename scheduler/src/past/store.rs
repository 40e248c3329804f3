//! Rows of what the past says: counted when leases end, loaded for the cars that can be chosen.

use std::collections::{BTreeMap, HashMap};

use ::store::schema::{car_hour, car_program, region_hour};
use ::store::sets::Set;
use ::store::{JobId, Timestamp, Tx, VehicleId};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Nullable, Text};

use super::hours::{HOURS, Watched, hour_of, split};
use super::{JobPast, Past};
use crate::Result;
use crate::assurance::load_reputations;

const DAY_US: i64 = 24 * 3_600_000_000;

/// A lease that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub vehicle: VehicleId,
    pub job: JobId,
    pub offered_at: Timestamp,
    /// The last moment at which the car is known to have been there.
    pub to: Timestamp,
    /// The driver or a fault of the line took the car away.
    pub interrupted: bool,
    /// What the car has run, if it began.
    pub program: Option<String>,
    /// Attempts in it that are or may be paid, and their billable time.
    pub attempts: i64,
    pub busy_us: i64,
}

/// Counts leases that have ended, a statement for each table. The market's row is ours.
pub(crate) fn store_ended(tx: &mut Tx<'_>, ended: &[Ended]) -> Result<()> {
    let mut hours: BTreeMap<(VehicleId, usize), Watched> = BTreeMap::new();
    let mut programs: BTreeMap<VehicleId, &str> = BTreeMap::new();
    let mut paces: BTreeMap<JobId, (i64, i64)> = BTreeMap::new();
    for one in ended {
        for (hour, part) in split(one.offered_at, one.to, one.interrupted) {
            hours.entry((one.vehicle, hour)).or_default().add(part);
        }
        if let Some(program) = &one.program {
            programs.insert(one.vehicle, program);
        }
        if one.attempts > 0 {
            let pace = paces.entry(one.job).or_default();
            *pace = (pace.0.saturating_add(one.attempts), pace.1.saturating_add(one.busy_us));
        }
    }
    count_hours(tx, &hours)?;
    remember_programs(tx, &programs)?;
    count_paces(tx, &paces)
}

/// Each day on which something is counted takes 1 part in 16 off what is older, so that the last
/// two weeks or so matter. It does not matter in how many batches a day comes.
macro_rules! fade {
    ($table:literal, $key:literal) => {
        concat!(
            " ON CONFLICT (",
            $key,
            ", hour) DO UPDATE SET
                watched = excluded.watched + ",
            $table,
            ".watched
                    - CASE WHEN excluded.day > ",
            $table,
            ".day
                        THEN ",
            $table,
            ".watched / 16 ELSE 0 END,
                interrupted = excluded.interrupted + ",
            $table,
            ".interrupted
                    - CASE WHEN excluded.day > ",
            $table,
            ".day
                        THEN ",
            $table,
            ".interrupted / 16 ELSE 0 END,
                day = CASE WHEN excluded.day > ",
            $table,
            ".day
                    THEN excluded.day ELSE ",
            $table,
            ".day END"
        )
    };
}

fn count_hours(tx: &mut Tx<'_>, hours: &BTreeMap<(VehicleId, usize), Watched>) -> Result<()> {
    let day = tx.now.0.div_euclid(DAY_US);
    let set = || {
        Set::default()
            .ids("vehicle_id", hours.keys().map(|(vehicle, _)| *vehicle))
            .integers("hour", hours.keys().map(|(_, hour)| i32::try_from(*hour).unwrap_or(0)))
            .numbers("watched", hours.values().map(|part| part.watched))
            .numbers("interrupted", hours.values().map(|part| part.interrupted))
            .numbers("day", hours.keys().map(|_| day))
    };
    set().insert(tx.conn, "car_hour", fade!("car_hour", "vehicle_id"))?;
    set().execute(
        tx.conn,
        concat!(
            "INSERT INTO region_hour (region_id, hour, watched, interrupted, day)
            SELECT v.region_id, w.hour, CAST(SUM(w.watched) AS BIGINT),
                CAST(SUM(w.interrupted) AS BIGINT), w.day
            FROM {set} CROSS JOIN vehicle v WHERE v.id = w.vehicle_id
            GROUP BY v.region_id, w.hour, w.day ORDER BY v.region_id, w.hour",
            fade!("region_hour", "region_id")
        ),
    )?;
    Ok(())
}

/// A digest and its space are 65 characters; 4 of them are kept.
fn remember_programs(tx: &mut Tx<'_>, programs: &BTreeMap<VehicleId, &str>) -> Result<()> {
    let named: Vec<String> = programs.values().map(|program| format!("{program} ")).collect();
    Set::default()
        .ids("vehicle_id", programs.keys().copied())
        .texts("programs", named.iter().map(String::as_str))
        .insert(
            tx.conn,
            "car_program",
            "ON CONFLICT (vehicle_id) DO UPDATE SET programs = SUBSTR(
                excluded.programs || REPLACE(car_program.programs, excluded.programs, ''), 1, 260)",
        )?;
    Ok(())
}

fn count_paces(tx: &mut Tx<'_>, paces: &BTreeMap<JobId, (i64, i64)>) -> Result<()> {
    Set::default()
        .ids("job_id", paces.keys().copied())
        .numbers("attempts", paces.values().map(|(attempts, _)| *attempts))
        .numbers("busy_us", paces.values().map(|(_, busy_us)| *busy_us))
        .insert(
            tx.conn,
            "job_pace",
            "ON CONFLICT (job_id) DO UPDATE SET
                attempts = job_pace.attempts + excluded.attempts,
                busy_us = job_pace.busy_us + excluded.busy_us",
        )?;
    Ok(())
}

/// What is known of these cars, in the hours that a lease of `longest_s` seconds from now touches,
/// of all regions, and of these jobs.
pub(crate) fn load_past(
    tx: &mut Tx<'_>,
    cars: &[VehicleId],
    jobs: &[JobId],
    longest_s: i32,
) -> Result<Past> {
    let mut past = Past { jobs: load_jobs(tx, jobs)?, ..Past::default() };
    if cars.is_empty() {
        return Ok(past);
    }
    past.regions = load_regions(tx)?;
    for row in load_hours(tx, cars, longest_s)? {
        let seen = Watched { watched: row.watched, interrupted: row.interrupted };
        let hour = usize::try_from(row.hour).unwrap_or(0);
        past.cars.entry(row.vehicle_id).or_default().hours.push((hour, seen));
    }
    let rows: Vec<ProgramRow> = Set::default().ids("id", cars.iter().copied()).load(
        tx.conn,
        "SELECT p.* FROM {set} CROSS JOIN car_program p WHERE p.vehicle_id = w.id",
    )?;
    for row in rows {
        let programs = row.programs.split_whitespace().map(str::to_owned).collect();
        past.cars.entry(row.vehicle_id).or_default().programs = programs;
    }
    for (car, reputation) in load_reputations(tx, cars.iter().copied())? {
        let chance = reputation.reliability_ppm().unsigned_abs();
        past.cars.entry(car).or_default().reliability_ppm = Some(chance);
    }
    Ok(past)
}

#[derive(QueryableByName)]
#[diesel(table_name = car_hour)]
struct HourRow {
    vehicle_id: VehicleId,
    hour: i32,
    watched: i64,
    interrupted: i64,
}

#[derive(QueryableByName)]
#[diesel(table_name = car_program)]
struct ProgramRow {
    vehicle_id: VehicleId,
    programs: String,
}

fn load_hours(tx: &mut Tx<'_>, cars: &[VehicleId], longest_s: i32) -> Result<Vec<HourRow>> {
    let first = hour_of(tx.now);
    let touched = usize::try_from(longest_s.max(0) / 3_600).unwrap_or(0) + 2;
    let hours: Vec<i32> = (first..first + touched.min(HOURS))
        .filter_map(|hour| i32::try_from(hour % HOURS).ok())
        .collect();
    let pairs = || cars.iter().flat_map(|car| hours.iter().map(move |hour| (*car, *hour)));
    let rows = Set::default()
        .ids("id", pairs().map(|(car, _)| car))
        .integers("hour", pairs().map(|(_, hour)| hour))
        .load(
            tx.conn,
            "SELECT h.* FROM {set} CROSS JOIN car_hour h
            WHERE h.vehicle_id = w.id AND h.hour = w.hour",
        )?;
    Ok(rows)
}

fn load_regions(tx: &mut Tx<'_>) -> Result<HashMap<String, [u32; HOURS]>> {
    let rows: Vec<(String, i32, i64, i64)> = region_hour::table
        .select((
            region_hour::region_id,
            region_hour::hour,
            region_hour::watched,
            region_hour::interrupted,
        ))
        .load(tx.conn)?;
    let unknown = [Watched::default().of_region_ppm(); HOURS];
    let mut regions: HashMap<String, [u32; HOURS]> = HashMap::new();
    for (region, hour, watched, interrupted) in rows {
        let risks = regions.entry(region).or_insert(unknown);
        if let Some(risk) = usize::try_from(hour).ok().and_then(|hour| risks.get_mut(hour)) {
            *risk = Watched { watched, interrupted }.of_region_ppm();
        }
    }
    Ok(regions)
}

fn load_jobs(tx: &mut Tx<'_>, jobs: &[JobId]) -> Result<HashMap<JobId, JobPast>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Binary)]
        id: JobId,
        #[diesel(sql_type = Text)]
        program: String,
        #[diesel(sql_type = Nullable<BigInt>)]
        attempts: Option<i64>,
        #[diesel(sql_type = Nullable<BigInt>)]
        busy_us: Option<i64>,
    }
    let rows: Vec<Row> = Set::default().ids("id", jobs.iter().copied()).load(
        tx.conn,
        "SELECT j.id, j.program, p.attempts, p.busy_us
        FROM {set} CROSS JOIN job j LEFT JOIN job_pace p ON p.job_id = j.id WHERE j.id = w.id",
    )?;
    let typical = |row: &Row| {
        let mean_us = row.busy_us?.checked_div(row.attempts?)?;
        i32::try_from(mean_us.saturating_add(999_999) / 1_000_000).ok()
    };
    let job = |row: Row| (row.id, JobPast { typical_s: typical(&row), program: row.program });
    Ok(rows.into_iter().map(job).collect())
}
