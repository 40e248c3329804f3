//! `driveway market`: opens the database itself.

use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use scheduler::market::{self, Replay, Replayer};
use serde::Serialize;
use store::{ClearingId, Store};

use super::{Answer, Failure, print_json};
use crate::config::DataConfig;

#[derive(Subcommand)]
pub enum Command {
    /// Make stored clearings again from their books; exit code 1 if a price or a fill differs.
    Replay(ReplayArgs),
}

#[derive(Args)]
pub struct ReplayArgs {
    #[command(flatten)]
    data: DataConfig,
    /// Which one: an id from the market's ticks.
    #[arg(required_unless_present = "all")]
    clearing: Option<ClearingId>,
    /// Every stored one.
    #[arg(long, conflicts_with = "clearing")]
    all: bool,
}

/// One clearing made again.
#[derive(Serialize)]
struct One {
    clearing: ClearingId,
    market: String,
    tick: i64,
    at: String,
    bids: usize,
    cells: usize,
    lanes: i64,
    bytes: Option<usize>,
    same: bool,
    difference: Option<String>,
}

impl From<Replay> for One {
    fn from(replay: Replay) -> Self {
        Self {
            same: replay.bytes.is_some() && replay.difference.is_none(),
            clearing: replay.clearing,
            market: replay.market,
            tick: replay.tick,
            at: replay.at.to_string(),
            bids: replay.bids,
            cells: replay.cells,
            lanes: replay.lanes,
            bytes: replay.bytes,
            difference: replay.difference,
        }
    }
}

/// All of them.
#[derive(Default, Serialize)]
struct All {
    clearings: usize,
    /// From before there were records; they cannot be made again.
    without_record: usize,
    lanes: i64,
    first_difference: Option<One>,
    same: bool,
}

impl Command {
    pub fn run(self, json: bool) -> Result<Answer, Failure> {
        let Self::Replay(args) = self;
        let store = args.data.open_existing()?;
        match args.clearing {
            Some(id) => replay_one(&store, id, json),
            None => replay_all(&store, json),
        }
    }
}

fn replay_one(store: &Store, id: ClearingId, json: bool) -> Result<Answer, Failure> {
    let replay = store.read(|tx| market::replay(tx, id)).map_err(|error| match error {
        scheduler::Error::NotFound(_) => Failure::Refused(format!("there is no {id}")),
        other => other.into(),
    })?;
    let one = One::from(replay);
    match json {
        true => print_json(&one)?,
        false => println!("{}", line(&one)),
    }
    Ok(if one.same { Answer::Done } else { Answer::No })
}

/// Clearings of one transaction: a long history is not one long snapshot.
const PAGE: i64 = 200;

fn replay_all(store: &Store, json: bool) -> Result<Answer, Failure> {
    let (mut all, mut after, mut replayer) = (All::default(), None, Replayer::default());
    let bar = ProgressBar::new_spinner();
    while all.first_difference.is_none() {
        let page = store.read(|tx| replayer.page(tx, after, PAGE))?;
        let Some(last) = page.last() else { break };
        after = Some(last.clearing);
        bar.set_message(format!("{} clearings", all.clearings));
        for replay in page {
            all.clearings += 1;
            all.without_record += usize::from(replay.bytes.is_none());
            all.lanes += replay.lanes;
            if replay.difference.is_some() && all.first_difference.is_none() {
                all.first_difference = Some(replay.into());
            }
        }
    }
    bar.finish_and_clear();
    all.same = all.first_difference.is_none();
    if json {
        print_json(&all)?;
    } else {
        println!("{} clearings, {} lanes sold", all.clearings, all.lanes);
        match &all.first_difference {
            None => println!("Every price and fill is as it was stored."),
            Some(one) => println!("{}", line(one)),
        }
    }
    Ok(if all.same { Answer::Done } else { Answer::No })
}

fn line(one: &One) -> String {
    let what = format!("{} (market {}, tick {})", one.clearing, one.market, one.tick);
    match (&one.difference, one.bytes) {
        (Some(difference), _) => format!("{what} differs: {difference}"),
        (None, None) => format!("{what} is from before there were records"),
        (None, Some(bytes)) => format!(
            "{what}: {} bids, {} cells, {} lanes sold, {bytes} bytes: as it was stored",
            one.bids, one.cells, one.lanes
        ),
    }
}
