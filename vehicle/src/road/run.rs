//! The loop of one car.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::net::Road;
use crate::Agent;
use crate::protocol::Telemetry;

/// How often the telemetry is read: the driver is not kept waiting longer.
const LOOK: Duration = Duration::from_millis(100);

/// Drives a car until `stop`; then what runs is killed and nothing is said: the platform requeues
/// it. `telemetry` tells how the car is, at each look.
pub fn run(road: &Road, mut agent: Agent, telemetry: impl Fn() -> Telemetry, stop: &AtomicBool) {
    let start = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let now_us = i64::try_from(start.elapsed().as_micros()).unwrap_or(i64::MAX);
        let wait_us = agent.poll(road, &telemetry(), now_us).max(1_000);
        if let Some(why) = agent.take_word() {
            eprintln!("the platform ended the work: {why:?}");
        }
        std::thread::sleep(Duration::from_micros(wait_us.unsigned_abs()).min(LOOK));
    }
    agent.shutdown();
}

/// What the file that the vehicle's bus bridge keeps says now. What cannot be read is unknown, and
/// a car of which nothing is known does not work.
pub fn read_telemetry(path: &Path) -> Telemetry {
    let read = std::fs::read(path).ok();
    read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}
