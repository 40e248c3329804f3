//! Who may take a task that another owner's car has run: its result waits to be confirmed. Pure.

use std::collections::{BTreeSet, HashMap};

use store::{BidId, PartyId};

use super::snapshot::{Demand, Snapshot};
use super::supply::IdleCar;
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
        assert!(Waits { fresh: 1, ..waits }.fit(owner(1), "hw3"));
        assert!(Waits::default().fit(owner(1), "hw3"), "nothing is known of its tasks");
    }
}
