//! What a batch decides on: rows in memory, with marks of what has changed. Nothing here reads or
//! writes a database.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use store::{AttemptId, Id, IdSource, JobId, Kind, LeaseId, PartyId, TaskId, Timestamp, VehicleId};

use super::note::Note;
use crate::assurance::{ClaimRow, Reputation};
use crate::fleet::{Place, Presence, VehicleRow, Word};
use crate::job::{JobRow, StageRow, TaskRow};
use crate::lease::store::{AttemptRow, LeaseRow};
use crate::{Config, Error, PayIn, Permits, Result};

/// Rows of a table by their ids, and which of them are new or changed.
pub(crate) struct Rows<K: Kind, R> {
    rows: BTreeMap<Id<K>, R>,
    new: BTreeSet<Id<K>>,
    changed: BTreeSet<Id<K>>,
}

impl<K: Kind, R> Default for Rows<K, R> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), new: BTreeSet::new(), changed: BTreeSet::new() }
    }
}

impl<K: Kind, R> Rows<K, R> {
    /// Takes in a row as the database has it, unless it is there.
    pub fn load(&mut self, id: Id<K>, row: R) {
        self.rows.entry(id).or_insert(row);
    }

    pub fn add(&mut self, id: Id<K>, row: R) {
        self.rows.insert(id, row);
        self.new.insert(id);
    }

    pub fn find(&self, id: Id<K>) -> Option<&R> {
        self.rows.get(&id)
    }

    /// # Errors
    /// Corrupt, if it was not loaded: rows refer to rows that there are.
    pub fn get(&self, id: Id<K>) -> Result<&R> {
        self.rows.get(&id).ok_or_else(|| missing(id))
    }

    /// The row, marked as changed.
    ///
    /// # Errors
    /// As [`Rows::get`].
    pub fn edit(&mut self, id: Id<K>) -> Result<&mut R> {
        let row = self.rows.get_mut(&id).ok_or_else(|| missing(id))?;
        if !self.new.contains(&id) {
            self.changed.insert(id);
        }
        Ok(row)
    }

    pub fn iter(&self) -> impl Iterator<Item = &R> {
        self.rows.values()
    }

    /// New rows, by id.
    pub fn new_rows(&self) -> impl Iterator<Item = &R> + Clone {
        self.new.iter().filter_map(|id| self.rows.get(id))
    }

    /// Rows that are not new and not as they were, by id.
    pub fn changed_rows(&self) -> impl Iterator<Item = &R> + Clone {
        self.changed.iter().filter_map(|id| self.rows.get(id))
    }
}

fn missing<K: Kind>(id: Id<K>) -> Error {
    Error::corrupt(format!("{id} is referred to and not there"))
}

/// A car whose word is in the batch.
pub(crate) struct Car {
    pub row: VehicleRow,
    pub place: Place,
    /// Its leases since midnight, microseconds; 0 if its owner sets no bound for a day.
    pub used_us: i64,
    pub permits: Permits,
    /// Its last word before this batch, or in it.
    pub word: Option<Word>,
}

/// The rows of one market that a batch is about.
pub(crate) struct World<'a> {
    pub now: Timestamp,
    pub config: &'a Config,
    ids: &'a IdSource,
    pub market: String,
    /// What the market settles in.
    pub asset: String,
    pub cars: BTreeMap<VehicleId, Car>,
    /// The live lease of each car that has one.
    pub live: HashMap<VehicleId, LeaseId>,
    pub leases: Rows<store::kind::Lease, LeaseRow>,
    pub attempts: Rows<store::kind::Attempt, AttemptRow>,
    pub tasks: Rows<store::kind::Task, TaskRow>,
    pub jobs: Rows<store::kind::Job, JobRow>,
    /// Of the jobs that have them.
    pub stages: HashMap<JobId, Vec<StageRow>>,
    /// Tasks that wait for a car, by job and number: the first of each job, as many as the batch
    /// can take.
    pub queues: HashMap<JobId, BTreeMap<i32, TaskId>>,
    /// Results that cars named of tasks that are not decided yet, and by task.
    pub claims: Rows<store::kind::Attempt, ClaimRow>,
    pub claims_of: HashMap<TaskId, Vec<AttemptId>>,
    /// What is known of the cars whose leases are here.
    pub reputations: HashMap<VehicleId, Reputation>,
    /// Whose an attempt is or was that a car reports of.
    pub reported: HashMap<AttemptId, VehicleId>,
    /// Who is paid for a car's work, and how.
    pub payees: HashMap<VehicleId, (PartyId, PayIn)>,
    /// Sizes of the blobs that cars stored, of those that reports name.
    pub blobs: HashMap<String, i64>,
    pub effects: Effects,
}

/// What follows beside the rows.
#[derive(Default)]
pub(crate) struct Effects {
    /// Words of cars that are worth a write.
    pub words: BTreeMap<VehicleId, Presence>,
    /// Leases that have ended, in this order.
    pub closed: Vec<LeaseId>,
    /// Leases that were settled, in this order.
    pub settled: Vec<LeaseId>,
    /// Jobs that have ended and of which something changed: their holds may end.
    pub ended: BTreeSet<JobId>,
    /// Jobs that ended before their tasks: what is still queued is cancelled.
    pub emptied: BTreeSet<JobId>,
    /// Jobs whose program fails everywhere: they end in a world of their own, after this one.
    pub hopeless: BTreeSet<JobId>,
    /// Stages of which a task was counted.
    pub stages: BTreeSet<(JobId, i32)>,
    /// What cars say of attempts that ended.
    pub notes: Vec<Note>,
    /// Who may read which blob from now on, and its size.
    pub grants: BTreeMap<(String, PartyId), i64>,
    /// Of cars of which something new is known.
    pub reputations: BTreeMap<VehicleId, Reputation>,
}

impl<'a> World<'a> {
    pub fn new(
        now: Timestamp,
        ids: &'a IdSource,
        config: &'a Config,
        market: &str,
        asset: String,
    ) -> Self {
        Self {
            now,
            config,
            ids,
            market: market.to_owned(),
            asset,
            cars: BTreeMap::new(),
            live: HashMap::new(),
            leases: Rows::default(),
            attempts: Rows::default(),
            tasks: Rows::default(),
            jobs: Rows::default(),
            stages: HashMap::new(),
            queues: HashMap::new(),
            claims: Rows::default(),
            claims_of: HashMap::new(),
            reputations: HashMap::new(),
            reported: HashMap::new(),
            payees: HashMap::new(),
            blobs: HashMap::new(),
            effects: Effects::default(),
        }
    }

    pub fn id<K: Kind>(&self) -> Id<K> {
        self.ids.id(self.now)
    }

    /// Takes a car and its word in.
    pub fn put_car(&mut self, car: Car) {
        self.payees.insert(car.row.id, (car.row.owner_id, car.row.pay_in));
        self.cars.insert(car.row.id, car);
    }

    /// Takes a lease in as the database has it.
    pub fn put_lease(&mut self, row: LeaseRow) {
        if row.is_live() {
            self.live.insert(row.vehicle_id, row.id);
        }
        self.leases.load(row.id, row);
    }

    /// Takes a task in, and puts it in its queue if it waits.
    pub fn put_task(&mut self, row: TaskRow) {
        if row.state == crate::TaskState::Queued {
            self.queues.entry(row.job_id).or_default().insert(row.number, row.id);
        }
        self.tasks.load(row.id, row);
    }

    /// The task's place in its job's queue.
    pub fn enqueue(&mut self, job: JobId, number: i32, id: TaskId) {
        self.queues.entry(job).or_default().insert(number, id);
    }

    /// Takes the job's first task out of its queue.
    pub fn dequeue(&mut self, job: JobId) -> Option<TaskId> {
        self.queues.get_mut(&job)?.pop_first().map(|(_, id)| id)
    }
}
