//! The polls of one call on their way: seen, sent to a market, answered.

use std::collections::{BTreeMap, HashMap, HashSet};

use store::VehicleId;
use vehicle::protocol::{Heartbeat, HeartbeatReply, Telemetry};

use super::Poll;
use crate::lease::engine::{Glance, Served};
use crate::{Error, Result};

pub(super) struct Round {
    polls: Vec<Poll>,
    stages: Vec<Stage>,
    /// The market that an earlier poll of the car goes to: later ones follow it.
    sent: HashMap<VehicleId, String>,
}

#[expect(clippy::large_enum_variant, reason = "an answer is handed on once, and most are replies")]
enum Stage {
    Unseen,
    /// This market is to take it.
    To(String),
    Answered(Result<HeartbeatReply>),
}

impl Round {
    /// Cars that had a lease go to its market unseen.
    pub fn new(polls: Vec<Poll>, leased: &HashMap<VehicleId, String>) -> Self {
        let stage = |(id, _): &Poll| leased.get(id).cloned().map_or(Stage::Unseen, Stage::To);
        let stages = polls.iter().map(stage).collect();
        Self { polls, stages, sent: HashMap::new() }
    }

    pub fn car(&self, place: usize) -> VehicleId {
        self.polls[place].0
    }

    pub fn telemetry(&self, place: usize) -> &Telemetry {
        &self.polls[place].1.telemetry
    }

    /// Answers what can be without a look, but for cars with more than one poll in here: those are
    /// taken in their order.
    pub fn at_once(&mut self, answer: impl Fn(VehicleId, &Heartbeat) -> Option<HeartbeatReply>) {
        let mut seen = HashSet::new();
        let again: HashSet<VehicleId> =
            self.polls.iter().map(|(id, _)| *id).filter(|id| !seen.insert(*id)).collect();
        for ((id, beat), stage) in self.polls.iter().zip(&mut self.stages) {
            if matches!(stage, Stage::Unseen)
                && !again.contains(id)
                && let Some(reply) = answer(*id, beat)
            {
                *stage = Stage::Answered(Ok(reply));
            }
        }
    }

    pub fn polls(&self, places: &[usize]) -> Vec<Poll> {
        places.iter().map(|place| self.polls[*place].clone()).collect()
    }

    pub fn unseen(&self) -> Vec<usize> {
        let unseen = |place: &usize| matches!(self.stages[*place], Stage::Unseen);
        (0..self.stages.len()).filter(unseen).collect()
    }

    pub fn seen(&mut self, place: usize, answer: Result<Glance>) {
        let car = self.car(place);
        self.stages[place] = match answer {
            Ok(Glance::Reply { reply, .. }) => match self.sent.get(&car) {
                Some(market) => Stage::To(market.clone()),
                None => Stage::Answered(Ok(reply)),
            },
            Ok(Glance::Market(market)) => {
                self.sent.insert(car, market.clone());
                Stage::To(market)
            }
            Ok(Glance::Unknown) => Stage::Answered(Err(Error::NotFound("vehicle"))),
            Err(error) => Stage::Answered(Err(error)),
        };
    }

    /// What is to be taken to each market.
    pub fn by_market(&self) -> BTreeMap<String, Vec<usize>> {
        let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (place, stage) in self.stages.iter().enumerate() {
            if let Stage::To(market) = stage {
                places.entry(market.clone()).or_default().push(place);
            }
        }
        places
    }

    pub fn served(&mut self, place: usize, answer: Result<Served>) {
        self.stages[place] = match answer {
            Ok(Served::Reply { reply, .. }) => Stage::Answered(Ok(reply)),
            Ok(Served::Elsewhere(market)) => Stage::To(market),
            Ok(Served::Unknown) => Stage::Answered(Err(Error::NotFound("vehicle"))),
            Err(error) => Stage::Answered(Err(error)),
        };
    }

    pub fn answers(self) -> Vec<Result<HeartbeatReply>> {
        let answer = |stage| match stage {
            Stage::Answered(answer) => answer,
            Stage::Unseen | Stage::To(_) => Err(Error::Busy),
        };
        self.stages.into_iter().map(answer).collect()
    }
}
