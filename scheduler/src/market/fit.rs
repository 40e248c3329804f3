//! Who may take a task that another owner's car has run: its result waits to be confirmed. Pure.

use std::collections::{BTreeSet, HashMap};

use store::{BidId, PartyId};

use super::snapshot::{Demand, Snapshot};
use super::supply::{IdleCar, cell_of};
use super::{CellKey, CellRef};
use crate::Config;
use crate::assurance::Wait;

/// The queued tasks of a job by who may take them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Waits {
    /// Tasks that any car may take.
    pub fresh: i64,
    /// Tasks that wait for another owner's car.
    pub tasks: Vec<Wait>,
}

impl Waits {
    /// Whether some cars find no task at all.
    fn bind(&self) -> bool {
        self.fresh <= 0 && !self.tasks.is_empty()
    }

    /// Whether a cell has a car that there is a task for. A bid on any other could win lanes there,
    /// tick after tick, that cannot be let, and never one that can.
    pub fn fit_cell(&self, cell: &CellKey, owners: &Owners<'_>) -> bool {
        let owners = owners.get(&cell.borrowed());
        let fits = |owners: &BTreeSet<PartyId>| owners.iter().any(|o| self.fit(*o, &cell.class));
        !self.bind() || owners.is_some_and(fits)
    }

    /// Whether there is a task for a car of this owner and class.
    pub fn fit(&self, owner: PartyId, class: &str) -> bool {
        let fits = |wait: &Wait| wait.class == class && !wait.owners.contains(&owner);
        self.tasks.is_empty() || self.fresh > 0 || self.tasks.iter().any(fits)
    }
}

/// Asks for no more lanes than there are tasks which some idle car may take: what is sold and
/// cannot be let would be lost to others.
pub(super) fn limit_lanes(demand: &mut Vec<Demand>, cars: &[IdleCar]) {
    let mut owners: HashMap<&str, BTreeSet<PartyId>> = HashMap::new();
    for car in cars {
        owners.entry(&car.class).or_default().insert(car.owner);
    }
    let other = |wait: &&Wait| {
        let idle = owners.get(&*wait.class);
        idle.is_some_and(|idle| idle.iter().any(|owner| !wait.owners.contains(owner)))
    };
    for row in demand.iter_mut().filter(|row| !row.waits.tasks.is_empty()) {
        let fit = i64::try_from(row.waits.tasks.iter().filter(other).count()).unwrap_or(i64::MAX);
        row.lanes = row.lanes.min(row.waits.fresh.saturating_add(fit));
        row.min_fill = row.min_fill.min(row.lanes.max(1));
    }
    demand.retain(|row| row.lanes > 0);
}

/// Whose idle cars are in a cell.
pub(super) type Owners<'a> = HashMap<CellRef<'a>, BTreeSet<PartyId>>;

/// Counted only if some bid asks for it: most ticks have none.
pub(super) fn owners<'a>(snapshot: &'a Snapshot, config: &Config) -> Owners<'a> {
    let mut owners = Owners::new();
    if snapshot.demand.iter().any(|row| row.waits.bind()) {
        for car in &snapshot.cars {
            if let Some(cell) = cell_of(car, snapshot.now, config) {
                owners.entry(cell).or_default().insert(car.owner);
            }
        }
    }
    owners
}

/// Of the bids that not every car can serve, what their jobs wait for.
pub(super) fn choosy(snapshot: &Snapshot) -> HashMap<BidId, &Waits> {
    let choosy = snapshot.demand.iter().filter(|row| !row.waits.tasks.is_empty());
    choosy.map(|row| (row.bid, &row.waits)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(n: u8) -> PartyId {
        PartyId::from_bytes([n; 16])
    }

    #[test]
    fn a_result_is_confirmed_by_another_owner_with_the_same_class() {
        let wait = Wait { class: "hw4".to_owned(), owners: [owner(1), owner(2)].into() };
        let waits = Waits { fresh: 0, tasks: vec![wait] };
        for (n, class, fits) in
            [(1, "hw4", false), (2, "hw4", false), (3, "hw4", true), (3, "hw3", false)]
        {
            assert_eq!(waits.fit(owner(n), class), fits, "{n} {class}");
        }
        let cell = |class: &str| CellKey {
            region: "us-ca".to_owned(),
            class: class.to_owned(),
            permits: crate::Permits(1),
            stay: crate::Stay::Term,
        };
        let (hw3, hw4) = (cell("hw3"), cell("hw4"));
        for (n, fits) in [(1, false), (3, true)] {
            let owners: Owners<'_> =
                [&hw3, &hw4].map(|cell| (cell.borrowed(), [owner(n)].into())).into();
            assert!(!waits.fit_cell(&hw3, &owners));
            assert_eq!(waits.fit_cell(&hw4, &owners), fits, "{n}");
            assert!(Waits::default().fit_cell(&hw3, &owners));
        }
        assert!(!waits.fit_cell(&hw4, &Owners::new()), "no car is there");
        assert!(Waits { fresh: 1, ..waits }.fit(owner(1), "hw3"));
        assert!(Waits::default().fit(owner(1), "hw3"), "nothing is known of its tasks");
    }
}
