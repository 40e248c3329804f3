//! The platform's side of a car's poll: one in a process, shared by HTTP, the embedded fleet and
//! the market's loop. What a process remembers between polls lives here, and may be lost with it:
//! everything that must not be is in rows.
//!
//! Most polls are of idle cars with nothing new to say: those are answered from memory ([`idle`]).
//! The rest are gathered, so that many share a transaction: first all together, for a look at the rows
//! without a lock that answers most idle cars; then market by market, for those that change
//! something. A car that was leased when it polled last goes to its market at once. A poll alone
//! waits for nobody. What waits is bounded: beyond it polls are refused with [`Error::Busy`].

mod idle;
mod round;
mod watch;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::gather::{Bounds, Gather};
use store::{Store, VehicleId};
use vehicle::protocol::{Heartbeat, HeartbeatReply};

use crate::lease::engine::{Call, Glance, Served, glance, serve, waiting_reply};
use crate::{Config, Error, Result};
use idle::Idle;
pub use idle::OnOffer;
use round::Round;
pub use watch::Watch;

/// The most polls of one caller that go into a batch together.
const MAX_REQUEST: usize = 256;
/// How often a car may be sent on to the market that its lease turns out to be of.
const MAX_MOVES: usize = 4;

/// Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    config: Config,
    idle: Idle,
    looks: Counter<Glance>,
    markets: Mutex<HashMap<String, Arc<Counter<Served>>>>,
    /// The market of each car that had a lease when it polled last.
    leased: Mutex<HashMap<VehicleId, String>>,
}

/// A car and its word.
type Poll = (VehicleId, Heartbeat);

/// Where polls are gathered and each gets a `T`.
type Counter<T> = Gather<Vec<Poll>, Vec<Result<T>>>;

impl Desk {
    pub fn new(store: Store, config: Config) -> Self {
        let looks = counter(&config);
        let idle = Idle::new(&config, store.now());
        let (markets, leased) = (Mutex::default(), Mutex::default());
        Self { inner: Arc::new(Inner { store, config, idle, looks, markets, leased }) }
    }

    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Takes a car's word and answers with what it should do.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a vehicle that does not exist or is retired; [`Error::Busy`].
    pub fn heartbeat(&self, id: VehicleId, beat: &Heartbeat) -> Result<HeartbeatReply> {
        if let Some(reply) = self.at_once(id, beat) {
            return Ok(reply);
        }
        self.heartbeats(vec![(id, beat.clone())]).pop().unwrap_or(Err(Error::Busy))
    }

    /// The answer to an idle car that says what it said before, from memory: neither waits nor looks
    /// at the database. None if it takes more, and while nothing [watches](Self::watch).
    pub fn at_once(&self, id: VehicleId, beat: &Heartbeat) -> Option<HeartbeatReply> {
        let Inner { store, config, idle, .. } = &*self.inner;
        idle.knows(id, beat, store.now()).then(|| waiting_reply(config))
    }

    /// Starts to look several times a second which cars have a lease.
    pub fn watch(&self) -> Watch {
        Watch::start(self.clone())
    }

    /// An owner changed something of this car: its rows are looked at when it next polls.
    pub fn forget(&self, id: VehicleId) {
        self.inner.idle.forget(id);
    }

    /// The cars that this process answers and that could be let now, by cell and net reserve.
    pub fn on_offer(&self) -> Vec<OnOffer> {
        self.inner.idle.on_offer()
    }

    /// Takes the words of many cars and answers in their order: who speaks for many cars need not
    /// have a thread for each.
    pub fn heartbeats(&self, polls: Vec<(VehicleId, Heartbeat)>) -> Vec<Result<HeartbeatReply>> {
        let mut round = Round::new(polls, &unpoisoned(&self.inner.leased));
        round.at_once(|id, beat| self.at_once(id, beat));
        for places in round.unseen().chunks(MAX_REQUEST) {
            self.look(&mut round, places);
        }
        for _ in 0..=MAX_MOVES {
            for (market, places) in round.by_market() {
                for places in places.chunks(MAX_REQUEST) {
                    self.tell(&mut round, &market, places);
                }
            }
        }
        round.answers()
    }

    /// Answers what needs no change, and finds the markets of the rest.
    fn look(&self, round: &mut Round, places: &[usize]) {
        let Inner { store, config, idle, looks, .. } = &*self.inner;
        let now = store.now();
        let work = |calls: &[Call<'_>]| store.read(|tx| glance(tx, config, calls));
        let answers = ask(looks, round.polls(places), work);
        for (place, answer) in places.iter().zip(answers) {
            if let Ok(Glance::Reply { idle: car, .. }) = &answer {
                idle.waits(car, round.telemetry(*place), now);
            }
            round.seen(*place, answer);
        }
    }

    /// Has the market take the polls at these places.
    fn tell(&self, round: &mut Round, market: &str, places: &[usize]) {
        let Inner { store, config, idle, .. } = &*self.inner;
        let now = store.now();
        let work = |calls: &[Call<'_>]| store.write(|tx| serve(tx, config, market, calls));
        let answers = ask(&self.counter(market), round.polls(places), work);
        let mut leased = unpoisoned(&self.inner.leased);
        for (place, answer) in places.iter().zip(answers) {
            let id = round.car(*place);
            if let Ok(Served::Reply { idle: None, .. }) = &answer {
                leased.entry(id).or_insert_with(|| market.to_owned());
                idle.forget(id);
            } else {
                leased.remove(&id);
            }
            if let Ok(Served::Reply { idle: Some(car), .. }) = &answer {
                idle.waits(car, round.telemetry(*place), now);
            }
            round.served(*place, answer);
        }
    }

    fn counter(&self, market: &str) -> Arc<Counter<Served>> {
        let mut markets = unpoisoned(&self.inner.markets);
        let new = || Arc::new(counter(&self.inner.config));
        markets.entry(market.to_owned()).or_insert_with(new).clone()
    }
}

fn counter<T>(config: &Config) -> Counter<T> {
    Gather::new(Bounds { max_batch: config.max_batch, max_waiting: config.max_waiting })
}

/// Gathers polls at a counter, whose batches are `work`ed off.
fn ask<T>(
    counter: &Counter<T>,
    polls: Vec<Poll>,
    work: impl Fn(&[Call<'_>]) -> Result<Vec<T>>,
) -> Vec<Result<T>> {
    let count = polls.len();
    let answers = counter.try_ask(polls, count, |batch| run(&batch, &work));
    answers.unwrap_or_else(|_| (0..count).map(|_| Err(Error::Busy)).collect())
}

/// Runs a batch in one transaction. If that fails each poll is tried alone: one that cannot be
/// served does not take the others with it. Without a connection nobody is.
fn run<T>(
    batch: &[Vec<Poll>],
    work: &impl Fn(&[Call<'_>]) -> Result<Vec<T>>,
) -> Vec<Vec<Result<T>>> {
    let calls: Vec<Call<'_>> =
        batch.iter().flatten().map(|(vehicle, beat)| Call { vehicle: *vehicle, beat }).collect();
    let alone = |call: &Call<'_>| {
        let answer = work(std::slice::from_ref(call))?.pop();
        answer.ok_or_else(|| Error::corrupt("a poll without an answer"))
    };
    let mut answers: Vec<Result<T>> = match work(&calls) {
        Ok(answers) => answers.into_iter().map(Ok).collect(),
        Err(fault) if calls.len() == 1 => vec![Err(fault)],
        Err(fault @ Error::Store(store::Error::Pool(_))) => {
            tracing::warn!(%fault, polls = calls.len(), "polls are refused");
            calls.iter().map(|_| Err(Error::Busy)).collect()
        }
        Err(fault) => {
            tracing::warn!(%fault, polls = calls.len(), "a batch failed; each is tried alone");
            calls.iter().map(alone).collect()
        }
    };
    let mut split = Vec::with_capacity(batch.len());
    for polls in batch {
        let rest = answers.split_off(polls.len().min(answers.len()));
        split.push(std::mem::replace(&mut answers, rest));
    }
    split
}

fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
