//! `driveway serve`.

use tokio::signal::unix::{SignalKind, signal};

use super::{Answer, Failure, print_json};
use crate::config::Config;
use crate::server;

pub fn run(config: &Config, json: bool) -> Result<Answer, Failure> {
    let running = server::start(config)?;
    let url = running.url();
    eprintln!("Driveway serves {url} (documentation: {url}/docs/); Ctrl-C stops it");
    wait_for_signal()?;
    eprintln!("Stopping: requests that are in are answered");
    running.stop()?;
    if json {
        print_json(&serde_json::json!({ "url": url, "stopped": true }))?;
    }
    Ok(Answer::Done)
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
