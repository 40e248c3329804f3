//! The copy of a person's data: a tar of JSON and CSV, with a page that says what is what.

use ::store::seal::Seal;
use ::store::{PartyId, Tx};
use scheduler::fleet::sealed_vins;
use scheduler::job::archive as tar;
use scheduler::lease::{IncomeFilter, income};
use serde_json::{Value, json};

use super::held::{HELD, Then};
use crate::problem::{Problem, Result};
use crate::vehicle::{Activity, VIN, activity_csv};

const ABOUT: &str = "What Driveway holds of you.\n\n\
    activity.csv: everything that ran on your cars, in plain words, with what it earned.\n\
    vehicles.json: the identification numbers of your cars, which we keep encrypted.\n\
    data/: the rows of each table, as they are kept. Amounts are in millionths of a unit, times in \
    microseconds since 1970, ids in hexadecimal. Passwords and other secrets are left out.\n\
    kept.json: what an erasure would not delete, and why.\n";

/// The whole archive.
pub fn archive(tx: &mut Tx<'_>, seal: &Seal, party: PartyId) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    add(&mut out, "README.txt", ABOUT.as_bytes());
    add_json(&mut out, "vehicles.json", &vehicles(tx, seal, party)?)?;
    add(&mut out, "activity.csv", activity(tx, party)?.as_bytes());
    for held in HELD {
        let rows = held.rows(tx, party)?;
        if !rows.is_empty() {
            add_json(&mut out, &format!("data/{}.json", held.table), &rows)?;
        }
    }
    let kept = HELD.iter().filter_map(|held| match held.then {
        Then::Stays(why) => Some(json!({ "table": held.table, "why": why })),
        Then::Gone | Then::Cleared(_) => None,
    });
    add_json(&mut out, "kept.json", &kept.collect::<Vec<Value>>())?;
    out.resize(out.len() + 2 * 512, 0);
    Ok(out)
}

fn add(out: &mut Vec<u8>, path: &str, bytes: &[u8]) {
    let size = bytes.len() as u64;
    out.extend_from_slice(&tar::header(path, size));
    out.extend_from_slice(bytes);
    out.resize(out.len() + usize::try_from(tar::padding(size)).unwrap_or_default(), 0);
}

fn add_json(out: &mut Vec<u8>, path: &str, rows: &[Value]) -> Result<()> {
    let text = serde_json::to_string_pretty(rows).map_err(Problem::internal)?;
    add(out, path, text.as_bytes());
    Ok(())
}

fn vehicles(tx: &mut Tx<'_>, seal: &Seal, party: PartyId) -> Result<Vec<Value>> {
    let vins = sealed_vins(tx, party)?;
    let open = |(id, sealed): (store::VehicleId, Vec<u8>)| {
        let vin = String::from_utf8(seal.open(VIN, &sealed)?).map_err(Problem::internal)?;
        Ok(json!({ "vehicle": id, "vin": vin }))
    };
    vins.into_iter().map(open).collect()
}

fn activity(tx: &mut Tx<'_>, party: PartyId) -> Result<String> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let page = income(tx, party, &IncomeFilter::default(), after, 1_000)?;
        let Some(last) = page.last() else { return activity_csv(&rows) };
        after = Some(last.lease);
        rows.extend(page.into_iter().map(Activity::from));
    }
}
