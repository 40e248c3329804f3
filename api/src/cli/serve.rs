//! `driveway serve`.

use std::time::Duration;

use rand::RngCore;
use store::{PartyId, Store};
use tokio::signal::unix::{SignalKind, signal};

use super::{Answer, Failure, print_json};
use crate::config::Config;
use crate::fleet::{self, Works};
use crate::identity::model::Role;
use crate::proof::Sealer;
use crate::{identity, server};

pub fn run(config: &Config, json: bool) -> Result<Answer, Failure> {
    let config = Config { scheduler: settings(config), ..config.clone() };
    let running = server::start(&config)?;
    let works = Works::start(&running.desk, &running.blobs, fleet::processors())?;
    if config.vehicles > 0 {
        let owner = house_owner(&running.store)?;
        fleet::embed_cars(&running.store, &works.fleet, owner, config.vehicles)?;
    }
    let interval = Duration::from_millis(config.seal_ms.into());
    let statement = Duration::from_secs(config.statement_s.into());
    let sealer = Sealer::start(running.store.clone(), interval, statement)?;
    let url = running.url();
    eprintln!("Driveway serves {url} (documentation: {url}/docs/); Ctrl-C stops it");
    wait_for_signal()?;
    eprintln!("Stopping: requests that are in are answered, cars leave the road");
    running.stop()?;
    works.stop();
    // Last: what the others still committed is sealed too.
    sealer.stop();
    if json {
        print_json(&serde_json::json!({ "url": url, "stopped": true }))?;
    }
    Ok(Answer::Done)
}

/// A quick market has quick cars: they are polled as often as it ticks, within the bounds that
/// consent sets. A standby takes over after three missed ticks, but not before two seconds.
fn settings(config: &Config) -> scheduler::Config {
    let tick_ms = config.tick_ms;
    let usual = scheduler::Config::default();
    scheduler::Config {
        tick_ms,
        idle_poll_ms: usual.idle_poll_ms.min(tick_ms),
        leased_poll_ms: usual.leased_poll_ms.min(tick_ms),
        leader_ttl_s: i64::from(tick_ms.saturating_mul(3) / 1_000).max(2),
        share_cap_ppm: config.share_cap.saturating_mul(10_000),
        ..usual
    }
}

/// Who owns the embedded cars. Nobody knows its password, so nobody logs in as it.
fn house_owner(store: &Store) -> Result<PartyId, Failure> {
    const EMAIL: &str = "embedded-fleet@driveway.invalid";
    if let Some(party) = identity::find(store, EMAIL)? {
        return Ok(party);
    }
    let mut secret = [0; 32];
    rand::rng().fill_bytes(&mut secret);
    let made =
        identity::add_user(store, EMAIL, "Embedded fleet", Role::Owner, &hex::encode(secret))?;
    Ok(made.id)
}

fn wait_for_signal() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    })
}
