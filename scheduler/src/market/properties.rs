//! From any supply and demand to leases: whatever is let may lawfully be, and nobody pays or has
//! more than it said.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use proptest::prelude::*;
use store::{Amount, BidId, JobId, PartyId, Timestamp, VehicleId};

use super::book::open_book;
use super::confirm::{Now, plan_confirmed};
use super::fee::FeeRate;
use super::leader::{MarketRow, Reign};
use super::place::{Placement, choose_cars};
use super::record::{Record, decode, encode};
use super::snapshot::{Demand, Snapshot};
use super::supply::{IdleCar, ask, cell_of, lease_s};
use super::tick::clear;
use crate::past::{CarPast, JobPast, Past, Watched};
use crate::{Config, DataClass, NoCar, Permits, Purpose};

/// Ten minutes before a full hour: leases touch two hours of the day.
const NOW: Timestamp = Timestamp(277_777 * 3_600_000_000 + 3_000_000_000);

fn id(number: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn reign() -> Reign {
    let (market_id, asset) = ("us".to_owned(), "USD".to_owned());
    let at = Timestamp(0);
    Reign {
        row: MarketRow {
            id: market_id.clone(),
            asset,
            grid: 1_000,
            leader: None,
            leader_until: at,
            fence: 1,
            tick: 7,
        },
        rate: FeeRate {
            market_id,
            from_at: at,
            fee_ppm: 150_000,
            bonus_ppm: 0,
            set_by: None,
            set_at: at,
        },
    }
}

const CLASSES: [(&str, u32); 3] = [("hw3", 500_000), ("hw4", 1_000_000), ("ai5", 4_000_000)];

fn car() -> impl Strategy<Value = IdleCar> {
    let until = proptest::option::of(0..2_000_i64);
    (0..2_usize, 0..3_usize, 1..64_i32, 0..400_000_i64, until).prop_map(
        |(region, class, permits, reserve, until)| IdleCar {
            owner: store::PartyId::NIL,
            id: VehicleId::NIL,
            region: ["us-ca", "us-tx"][region].to_owned(),
            class: CLASSES[class].0.to_owned(),
            permits: Permits(permits),
            reserve: Amount(reserve),
            until: until.map(|left_s| NOW.plus_s(left_s)),
        },
    )
}

fn demand() -> impl Strategy<Value = Demand> {
    let lists = (proptest::bool::ANY, proptest::bool::ANY, proptest::bool::ANY);
    let money = (1..800_000_i64, 1..400_000_i64, 1..6_i64, 0..6_i64, 0..4_u64);
    let times = (proptest::option::of(1..2_000_i64), proptest::option::of(-5..2_000_i64));
    let kind = (0..3_usize, 0..2_usize);
    (lists, money, times, kind).prop_map(|(lists, money, times, kind)| {
        let (price, free, lanes, min_fill, customer) = money;
        let list = |named: bool, word: &str| if named { vec![word.to_owned()] } else { vec![] };
        Demand {
            job: JobId::NIL,
            customer: PartyId::from_bytes(id(customer)),
            bid: BidId::NIL,
            placed_at: NOW,
            price: Amount(price),
            purpose: Purpose::ALL[kind.0],
            data_class: DataClass::ALL[kind.1],
            regions: list(lists.0, "us-ca"),
            classes: list(lists.1, "hw4"),
            deadline: times.0.map(|left_s| NOW.plus_s(left_s)),
            expires_at: times.1.map(|left_s| NOW.plus_s(left_s)),
            short_leases: lists.2,
            lanes,
            min_fill: min_fill.clamp(1, lanes),
            free: Amount(free),
            live: 0,
            waits: super::fit::Waits::default(),
        }
    })
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    let halted = proptest::bool::weighted(0.2);
    let cars = proptest::collection::vec(car(), 0..20);
    let demand = proptest::collection::vec(demand(), 0..12);
    (cars, demand, halted, pasts()).prop_map(|(mut cars, mut demand, halted, pasts)| {
        for (car, number) in cars.iter_mut().zip(1..) {
            car.id = VehicleId::from_bytes(id(number));
        }
        for (demand, number) in demand.iter_mut().zip(1..) {
            demand.job = JobId::from_bytes(id(number));
            demand.bid = BidId::from_bytes(id(number));
        }
        let past = past(&cars, &demand, pasts);
        let halted = if halted { BTreeSet::from(["us-tx".to_owned()]) } else { BTreeSet::new() };
        let speeds = CLASSES.map(|(class, speed)| (class.to_owned(), speed)).into();
        Snapshot { now: NOW, cars, demand, speeds, halted, past, ..Snapshot::default() }
    })
}

/// Of each car or job in turn: hours watched and interrupted, and what an attempt takes.
type Pasts = Vec<(i64, i64, bool, Option<i32>)>;

fn pasts() -> impl Strategy<Value = Pasts> {
    let typical = proptest::option::of(1..2_000_i32);
    let past = (0..20_000_000_i64, 0..20_000_000_i64, proptest::bool::ANY, typical);
    proptest::collection::vec(past, 1..20)
}

fn past(cars: &[IdleCar], demand: &[Demand], pasts: Pasts) -> Past {
    let mut past = Past::default();
    for (car, (watched, interrupted, holds, _)) in cars.iter().zip(pasts.iter().cycle()) {
        let seen = Watched { watched: *watched, interrupted: *interrupted };
        let hours = (0..24).map(|hour| (hour, seen)).collect();
        let programs = if *holds { vec!["program".to_owned()] } else { vec![] };
        past.cars.insert(car.id, CarPast { hours, programs, reliability_ppm: None });
    }
    for (demand, (.., typical_s)) in demand.iter().zip(pasts.iter().cycle()) {
        let job = JobPast { program: "program".to_owned(), typical_s: *typical_s };
        past.jobs.insert(demand.job, job);
    }
    let risk = |(watched, ..): &(i64, i64, bool, Option<i32>)| (*watched / 20) as u32;
    let mut risks = [50_000; 24];
    risks.iter_mut().zip(pasts.iter()).for_each(|(slot, past)| *slot = risk(past));
    past.regions.insert("us-ca".to_owned(), risks);
    past
}

/// Nobody is let for longer than it probably stays, unless a task takes that long.
fn assert_fitted(config: &Config, snapshot: &Snapshot, placed: &Placement) {
    let past = &snapshot.past;
    let car = snapshot.cars.iter().find(|car| car.id == placed.vehicle).unwrap();
    let typical_s = past.jobs[&placed.job].typical_s.unwrap_or(0);
    if placed.term_s > typical_s.max(config.min_term_s) {
        let stays = past.stays_ppm(car.id, &car.region, NOW, placed.term_s);
        assert!(stays >= config.stay_ppm, "{stays}");
        let exodus = past.exodus_in_s(&car.region, NOW, config.exodus_ppm, placed.term_s);
        assert_eq!(exodus, None, "into an exodus");
    }
}

/// A placement that may not be is a panic.
fn assert_lawful(config: &Config, snapshot: &Snapshot, placed: &Placement) {
    let car = snapshot.cars.iter().find(|car| car.id == placed.vehicle).unwrap();
    let demand = snapshot.demand.iter().find(|demand| demand.bid == placed.bid).unwrap();
    let has = |list: &[String], word: &String| list.is_empty() || list.contains(word);
    assert!(car.permits.allows(demand.purpose, demand.data_class));
    assert!(has(&demand.regions, &car.region) && has(&demand.classes, &car.class));
    assert!(!snapshot.halted.contains(&car.region));
    assert!(demand.expires_at.is_none_or(|at| at > NOW));
    assert!(ask(&reign(), car.reserve).unwrap() <= placed.price.0, "below its reserve");
    let worth = pricing::lane_value(demand.price.0, snapshot.speeds[&car.class]);
    assert!(placed.price.0 <= worth, "above its bid");
    assert!((1..=config.term_s).contains(&placed.term_s));
    let stays = car.until.is_none_or(|until| until >= NOW.plus_s(placed.term_s.into()));
    assert!(stays, "longer than its owner lets it");
    let steady = demand.deadline.map_or(config.term_s.into(), |at| at.since(NOW) / 1_000_000);
    let key = cell_of(car, NOW, config).unwrap();
    let longest = i64::from(lease_s(key.stay, config));
    assert!(demand.short_leases || longest >= steady.min(config.term_s.into()));
}

fn by_bid(placements: &[Placement]) -> HashMap<BidId, Vec<&Placement>> {
    let mut all: HashMap<BidId, Vec<&Placement>> = HashMap::new();
    placements.iter().for_each(|placed| all.entry(placed.bid).or_default().push(placed));
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_let_may_be_let(snapshot in snapshot(), share in 1..=10_u32) {
        let config = Config { share_cap_ppm: share * 100_000, ..Config::default() };
        let reign = reign();
        let open = open_book(&reign, &snapshot, &config).unwrap();
        let result = clear(&open).unwrap();
        let placements = choose_cars(&reign, &open, &result, &snapshot, &config).unwrap();
        let sold: u32 = result.fills.iter().map(|fill| fill.lanes).sum();
        prop_assert_eq!(placements.len(), sold as usize, "every fill finds its car");
        let cars: HashSet<VehicleId> = placements.iter().map(|placed| placed.vehicle).collect();
        prop_assert_eq!(cars.len(), placements.len(), "a car is let once");
        placements.iter().for_each(|placed| assert_lawful(&config, &snapshot, placed));
        placements.iter().for_each(|placed| assert_fitted(&config, &snapshot, placed));

        let mut lanes: BTreeMap<PartyId, i64> = BTreeMap::new();
        for (bid, placed) in by_bid(&placements) {
            let demand = snapshot.demand.iter().find(|demand| demand.bid == bid).unwrap();
            let count = placed.len() as i64;
            prop_assert!((demand.min_fill..=demand.lanes).contains(&count));
            let cost: i64 = placed
                .iter()
                .map(|placed| crate::lease::earmark(placed.price, placed.term_s.into()).unwrap().0)
                .sum();
            prop_assert!(cost <= demand.free.0, "{} of {}", cost, demand.free);
            *lanes.entry(demand.customer).or_default() += count;
        }
        let most = (snapshot.lanes() * i64::from(share) / 10).max(1);
        prop_assert!(lanes.values().all(|lanes| *lanes <= most), "a share is a share");

        let left_out = open.left_out.clone();
        let record = Record { cells: open.cells, book: open.book, result, left_out };
        prop_assert_eq!(decode(&encode(record.clone()).unwrap().1).unwrap(), record);
    }

    #[test]
    fn what_changed_meanwhile_is_told_and_not_let(
        snapshot in snapshot(),
        gone in proptest::collection::hash_set(1..21_u64, 0..6),
    ) {
        let (config, reign) = (Config::default(), reign());
        let open = open_book(&reign, &snapshot, &config).unwrap();
        let result = clear(&open).unwrap();
        let placements = choose_cars(&reign, &open, &result, &snapshot, &config).unwrap();
        let gone: HashSet<VehicleId> =
            gone.into_iter().map(|number| VehicleId::from_bytes(id(number))).collect();
        let cars = snapshot.cars.iter().filter(|car| !gone.contains(&car.id));
        let now = Now {
            at: NOW,
            cars: cars.map(|car| (car.id, car.clone())).collect(),
            bids: snapshot.demand.iter().map(|demand| (demand.job, row(demand))).collect(),
            halted: snapshot.halted.clone(),
        };
        let all = placements.len();
        let (standing, fallen) =
            plan_confirmed(&reign, &open, &snapshot, &config, placements, &now).unwrap();
        prop_assert_eq!(standing.len() + fallen.len(), all, "each lane is let or told of");
        prop_assert!(standing.iter().all(|placed| !gone.contains(&placed.vehicle)));
        prop_assert!(gone.is_empty() <= fallen.is_empty(), "nothing falls for nothing");
        for (bid, placed) in by_bid(&standing) {
            let demand = snapshot.demand.iter().find(|demand| demand.bid == bid).unwrap();
            prop_assert!(placed.len() as i64 >= demand.min_fill);
        }
        let reasons = [NoCar::CarGone, NoCar::BelowMinFill];
        prop_assert!(fallen.iter().all(|lost| reasons.contains(&lost.reason)));
    }
}

fn row(demand: &Demand) -> crate::job::BidRow {
    crate::job::BidRow {
        id: demand.bid,
        job_id: demand.job,
        price: demand.price,
        lanes: i32::try_from(demand.lanes).unwrap(),
        budget: demand.free,
        regions: String::new(),
        classes: String::new(),
        deadline: demand.deadline,
        placed_at: demand.placed_at,
        min_fill: i32::try_from(demand.min_fill).unwrap(),
        short_leases: demand.short_leases,
        expires_at: demand.expires_at,
    }
}
