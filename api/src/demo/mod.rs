//! `driveway demo`: a night in a small market, from bids to owners' money, through the public API.
//!
//! Prices are about a hundred times the real ones, so that half a minute of work earns whole cents.

mod client;
mod report;
mod work;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use store::VehicleId;

use crate::config::{Config, DataConfig};
use crate::fleet::{self, Works};
use crate::identity::model::Role;
use crate::server::{self, Running};
use crate::{cli, identity};
use client::Client;
pub use report::Report;
use work::{WORK, Work};

#[derive(Args, Clone, Debug)]
pub struct DemoConfig {
    /// Keep database, journal, bank file and statements here; it must be new or empty. Without it
    /// they are gone at the end.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// sqlite://FILE or postgres://...; a file in DIR if not named.
    #[arg(long, value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
}

const OWNERS: usize = 12;
const DEPOSIT: &str = "100";
const BUDGET: &str = "60";
/// After so long something is wrong.
const PATIENCE: Duration = Duration::from_secs(240);

/// Runs the demo; false if anything does not add up.
pub fn run(config: &DemoConfig, json: bool) -> Result<bool, cli::Failure> {
    let temporary = tempfile::tempdir()?;
    let data = config.data.clone().unwrap_or_else(|| temporary.path().to_owned());
    if std::fs::read_dir(&data).is_ok_and(|mut files| files.next().is_some()) {
        return Err(cli::Failure::Usage(format!("{} is not empty", data.display())));
    }
    let report = night(&data, config.database_url.clone())?;
    match json {
        true => println!("{}", serde_json::to_string(&report.json())?),
        false => print!("{}", report.page()),
    }
    if let (Some(kept), false) = (&config.data, json) {
        println!("Kept in {}: journal.hledger, payouts.xml, statement.html", kept.display());
    }
    Ok(report.adds_up())
}

fn night(data: &Path, database_url: Option<String>) -> anyhow::Result<Report> {
    let began = Instant::now();
    let server_config = Config {
        allow_test_deposits: true,
        token_lifetime: 3_600,
        scheduler: timing(),
        ..Config::local(DataConfig { database_url, ..DataConfig::in_folder(data) })
    };
    let running = server::start(&server_config)?;
    let works = Works::start(&running.desk, &running.blobs, fleet::processors())?;
    let anybody = Client::new(&running.url())?;

    let owners =
        (0..OWNERS).map(|n| Owner::join(&anybody, n)).collect::<anyhow::Result<Vec<_>>>()?;
    for car in owners.iter().flat_map(|owner| &owner.cars) {
        works.fleet.add(*car, fleet::at_home());
    }
    let customers = WORK
        .iter()
        .map(|work| Customer::join(&anybody, work))
        .collect::<anyhow::Result<Vec<_>>>()?;
    watch(&customers, &works)?;

    let finance = finance(&running, &anybody)?;
    let mut report = Report::collect(&customers, &owners, &finance, data, began)?;
    let store = running.store.clone();
    running.stop()?;
    works.stop();
    report.prove(&store)?;
    Ok(report)
}

/// A quick market: it ticks twice a second, and a silent car is missed after three.
fn timing() -> scheduler::Config {
    scheduler::Config {
        tick_ms: 500,
        term_s: 300,
        idle_poll_ms: 400,
        leased_poll_ms: 250,
        heartbeat_timeout_s: 3,
        resume_hold_s: 1,
        ..scheduler::Config::default()
    }
}

struct Owner {
    client: Client,
    cars: Vec<VehicleId>,
}

impl Owner {
    /// Signs up with three cars, one of each class, and consents to everything on offer.
    fn join(anybody: &Client, number: usize) -> anyhow::Result<Self> {
        let email = format!("owner{number}@owner.example");
        let client = anybody.sign_up(&email, &format!("Example Owner {number}"), "owner")?;
        let mut cars = Vec::new();
        for (class, hundredths) in [("hw3", 300), ("hw4", 600), ("ai5", 2_400)] {
            // Reserves spread over a third above the lowest: no two owners think alike.
            let hundredths = hundredths * (30 + number) / 30;
            let car = client.post(
                "/v1/vehicles",
                &json!({
                    "region": if number.is_multiple_of(2) { "us-ca" } else { "us-tx" },
                    "class": class,
                    "reserve": format!("{}.{:02}", hundredths / 100, hundredths % 100),
                    "pay_in": if number.is_multiple_of(3) { "credits" } else { "cash" },
                }),
            )?;
            let id = car["id"].as_str().context("a car has an id")?;
            for consent in ["inference/non_personal", "simulation/synthetic", "video/synthetic"] {
                client.put(&format!("/v1/vehicles/{id}/consents/{consent}"), &Value::Null)?;
            }
            cars.push(id.parse()?);
        }
        Ok(Self { client, cars })
    }
}

struct Customer {
    work: &'static Work,
    client: Client,
    job: String,
}

impl Customer {
    fn join(anybody: &Client, work: &'static Work) -> anyhow::Result<Self> {
        let client = anybody.sign_up(work.email, work.customer, "customer")?;
        client.post(
            "/v1/deposits",
            &json!({ "amount": { "amount": DEPOSIT, "currency": "USD" }, "source": "test" }),
        )?;
        let job = work.submit(&client, BUDGET)?;
        Ok(Self { work, client, job })
    }

    fn load(&self) -> anyhow::Result<Value> {
        self.client.get(&format!("/v1/jobs/{}", self.job))
    }
}

/// Finance people are made by whoever runs the server, not by the API.
fn finance(running: &Running, anybody: &Client) -> anyhow::Result<Client> {
    let (email, password) = ("finance@platform.example", "an example password");
    identity::add_user(&running.store, email, "Example Finance", Role::Finance, password)?;
    anybody.log_in(email, password)
}

/// Follows the jobs to their end. On the way drivers come back to a few cars that are at work, and
/// one car falls silent.
fn watch(customers: &[Customer], works: &Works) -> anyhow::Result<()> {
    let began = Instant::now();
    let bar = progress_bar();
    let mut drivers = Drivers::default();
    loop {
        let jobs = customers.iter().map(Customer::load).collect::<anyhow::Result<Vec<_>>>()?;
        let count = |what: &str| jobs.iter().filter_map(|job| job["tasks"][what].as_u64()).sum();
        let (done, total): (u64, u64) = (count("completed"), count("total"));
        bar.set_length(total);
        bar.set_position(done);
        drivers.play(works, done * 100 / total.max(1));
        let over = jobs.iter().all(|job| job["state"] != "active" && is_zero(&job["held"]));
        if over {
            bar.finish_and_clear();
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            bail!("the jobs did not end in {} s: {jobs:?}", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn is_zero(money: &Value) -> bool {
    money["amount"] == "0.000000"
}

fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{elapsed:>4} [{bar:40}] {pos}/{len} tasks");
    let bar = ProgressBar::new(1);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// Who comes back when, and when they leave again.
#[derive(Default)]
struct Drivers {
    scene: usize,
    away: Vec<(VehicleId, Instant)>,
}

/// Percent of the tasks done at which a scene plays; in the last one a car falls silent.
const SCENES: [u64; 3] = [10, 40, 60];
const VISIT: Duration = Duration::from_secs(3);

impl Drivers {
    fn play(&mut self, works: &Works, percent: u64) {
        let (over, still): (Vec<_>, Vec<_>) =
            self.away.drain(..).partition(|(_, since)| since.elapsed() > VISIT);
        self.away = still;
        for (car, _) in over {
            works.fleet.set_telemetry(car, fleet::at_home());
        }
        if SCENES.get(self.scene).is_none_or(|at| percent < *at) {
            return;
        }
        let visited: HashSet<_> = self.away.iter().map(|(car, _)| *car).collect();
        let busy = works.fleet.at_work();
        let mut busy = busy.into_iter().filter(|car| !visited.contains(car));
        if self.scene + 1 == SCENES.len() {
            if let Some(car) = busy.next() {
                works.fleet.remove(car);

                self.scene += 1;
            }
            return;
        }
        let cars: Vec<_> = busy.take(3).collect();
        self.scene += usize::from(!cars.is_empty());
        for car in cars {
            works.fleet.set_telemetry(car, fleet::driver_back());
            self.away.push((car, Instant::now()));
        }
    }
}
