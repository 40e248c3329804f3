//! The roster beside a model that keeps cars in a map and counts them all each time.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const TIMES: Times = Times { timeout_s: 30, term_s: 900, short_s: 300 };
const START: i64 = 1_800_000_000;

#[derive(Clone, Debug)]
enum Act {
    Set { car: u8, group: u8, reserve: i64, until_s: Option<i64>, eligible: bool, let_out: bool },
    Seen { car: u8 },
    Remove { car: u8 },
    Wait { s: i64 },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..20_u8, 0..3_u8, 0..4_i64, proptest::option::of(0..2_000_i64), any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(car, group, reserve, until_s, eligible, let_out)| {
                Act::Set { car, group, reserve, until_s, eligible, let_out }
            }),
        3 => (0..20_u8).prop_map(|car| Act::Seen { car }),
        1 => (0..20_u8).prop_map(|car| Act::Remove { car }),
        3 => prop_oneof![0..3_i64, 0..40_i64, 0..1_500_i64].prop_map(|s| Act::Wait { s }),
    ]
}

fn id(car: u8) -> VehicleId {
    VehicleId::from_bytes([car; 16])
}

fn group(number: u8) -> Group {
    Group { region: format!("r{number}"), class: "hw4".to_owned(), permits: Permits(1) }
}

/// By the words of the market's rule, not by ours.
fn stay(entry: &Entry, now: Timestamp) -> Option<Stay> {
    if !entry.eligible || entry.let_out || now.since(entry.seen_at) > 30_000_000 {
        return None;
    }
    let Some(until) = entry.until else { return Some(Stay::Term) };
    match until.since(now) / 1_000_000 {
        930.. => Some(Stay::Term),
        330.. => Some(Stay::Short),
        _ => None,
    }
}

type Counts = BTreeMap<(GroupId, Stay, i64), Vec<VehicleId>>;

fn counted(model: &BTreeMap<VehicleId, Entry>, now: Timestamp) -> Counts {
    let mut counts = Counts::new();
    for (id, entry) in model {
        if let Some(stay) = stay(entry, now) {
            counts.entry((entry.group, stay, entry.reserve.0)).or_default().push(*id);
        }
    }
    counts
}

fn shown(roster: &Roster) -> Counts {
    let mut counts = Counts::new();
    for (group, stay, levels) in roster.supply() {
        for level in levels {
            let mut cars: Vec<VehicleId> =
                roster.offered(group, stay, level.reserve).map(|(id, _)| id).collect();
            assert_eq!(cars.len(), level.cars as usize);
            cars.sort();
            counts.insert((group, stay, level.reserve.0), cars);
        }
    }
    counts
}

proptest! {
    #[test]
    fn the_roster_shows_what_counting_all_cars_shows(acts in prop::collection::vec(act(), 0..120)) {
        let mut now = Timestamp(START * 1_000_000);
        let mut roster = Roster::new(TIMES, now);
        let groups: Vec<GroupId> = (0..3).map(|n| roster.group(&group(n)).unwrap()).collect();
        let mut model: BTreeMap<VehicleId, Entry> = BTreeMap::new();
        for act in acts {
            match act {
                Act::Set { car, group, reserve, until_s, eligible, let_out } => {
                    let entry = Entry {
                        group: groups[usize::from(group)],
                        reserve: Amount(reserve),
                        until: until_s.map(|s| now.plus_s(s)),
                        seen_at: now,
                        eligible,
                        let_out,
                        note: u32::from(car),
                        mark: now.plus_s(i64::from(car)),
                    };
                    roster.set(id(car), &entry);
                    model.insert(id(car), entry);
                }
                Act::Seen { car } => {
                    let known = model.get_mut(&id(car));
                    prop_assert_eq!(roster.seen(id(car), now), known.is_some());
                    if let Some(entry) = known {
                        entry.seen_at = now;
                    }
                }
                Act::Remove { car } => {
                    roster.remove(id(car));
                    model.remove(&id(car));
                }
                Act::Wait { s } => {
                    now = now.plus_s(s);
                    roster.advance(now);
                }
            }
            prop_assert_eq!(shown(&roster), counted(&model, now));
            prop_assert_eq!(roster.len(), model.len());
            for (id, entry) in &model {
                prop_assert_eq!(roster.get(*id), Some(*entry));
            }
        }
    }
}

#[test]
fn a_group_keeps_its_number() {
    let mut roster = Roster::new(TIMES, Timestamp(0));
    let first = roster.group(&group(0)).unwrap();
    assert_ne!(roster.group(&group(1)).unwrap(), first);
    assert_eq!(roster.group(&group(0)).unwrap(), first);
    assert_eq!(roster.name(first), Some(&group(0)));
}
