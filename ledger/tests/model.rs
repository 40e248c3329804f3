//! Random commands against a model that is too simple to be wrong.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashMap;

use common::{assert_clean, read, write};
use ledger::{
    Balance, Code, Error, Kind, Leg, NewHold, NewTransaction, balance, capture_hold, expire_holds,
    hold, open_account, place_hold, post, release_hold,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use store::testing::TestDb;
use store::{AccountId, Amount, HoldId, Timestamp, Tx, on_both_databases};

const ACCOUNTS: [(Code, &str); 6] = [
    (Code::Bank, "USD"),
    (Code::CustomerWallet, "USD"),
    (Code::CustomerWallet, "USD"),
    (Code::OwnerCash, "USD"),
    (Code::FeeIncome, "USD"),
    (Code::OwnerCash, "EUR"),
];

/// Account and amount, debits positive.
type Legs = Vec<(usize, i64)>;

#[derive(Clone, Debug)]
enum Op {
    Post {
        key: u8,
        legs: Legs,
    },
    Hold {
        key: u8,
        account: usize,
        amount: i64,
        expires_s: Option<i64>,
    },
    Capture {
        key: u8,
        hold: usize,
        legs: Legs,
    },
    /// A capture of some quarters of what is left; becomes a `Capture` when its turn comes.
    Take {
        key: u8,
        hold: usize,
        quarters: i64,
    },
    Release {
        hold: usize,
    },
    Expire {
        limit: usize,
    },
    Wait,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let account = || 0..ACCOUNTS.len();
    // Few values, so that a hold is often captured to its last unit.
    let few = || prop_oneof![4 => (1_i64..4).prop_map(|n| n * 10), 1 => 1_i64..60];
    let amount = || prop_oneof![6 => few(), 1 => -30_i64..=0];
    let legs = || {
        let two = (account(), account(), amount()).prop_map(|(a, b, n)| vec![(a, n), (b, -n)]);
        let three = (account(), account(), account(), amount(), amount())
            .prop_map(|(a, b, c, n, m)| vec![(a, n + m), (b, -n), (c, -m)]);
        let fill = (1_usize..4, 20_i64..100).prop_map(|(to, n)| vec![(0, n), (to, -n)]);
        let take = (1_usize..4, few()).prop_map(|(from, n)| vec![(from, n), (4, -n)]);
        let loose = (account(), amount(), account(), amount())
            .prop_map(|(a, n, b, m)| vec![(a, n), (b, m)]);
        prop_oneof![4 => two, 2 => three, 4 => fill, 4 => take, 1 => loose]
    };
    let hold = || 0_usize..8;
    let op = prop_oneof![
        5 => (0_u8..24, legs()).prop_map(|(key, legs)| Op::Post { key, legs }),
        4 => (0_u8..12, account(), amount(), proptest::option::of(0_i64..4)).prop_map(
            |(key, account, amount, expires_s)| Op::Hold { key, account, amount, expires_s }
        ),
        5 => (0_u8..24, hold(), legs()).prop_map(|(key, hold, legs)| Op::Capture { key, hold, legs }),
        6 => (0_u8..24, hold(), 0_i64..6).prop_map(|(key, hold, quarters)| Op::Take { key, hold, quarters }),
        2 => hold().prop_map(|hold| Op::Release { hold }),
        1 => (0_usize..4).prop_map(|limit| Op::Expire { limit }),
        1 => Just(Op::Wait),
    ];
    // Some are sent twice.
    proptest::collection::vec((op, prop_oneof![4 => Just(1_usize), 1 => Just(2)]), 1..60)
        .prop_map(|ops| ops.into_iter().flat_map(|(op, times)| vec![op; times]).collect())
}

/// What a command answers. Transactions and holds are counted, not named.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Posted { number: usize, replayed: bool },
    Placed { number: usize, replayed: bool },
    Released(i64),
    Expired(Vec<usize>),
    Nothing,
    Refused(String),
}

#[derive(Clone, Debug)]
struct ModelHold {
    account: usize,
    amount: i64,
    captured: i64,
    released: i64,
    expires_at: Option<i64>,
}

impl ModelHold {
    fn left(&self) -> i64 {
        self.amount - self.captured - self.released
    }
}

#[derive(Default)]
struct Model {
    now: i64,
    /// In their own direction.
    posted: [i64; ACCOUNTS.len()],
    holds: Vec<ModelHold>,
    transactions: HashMap<u8, (usize, Option<usize>, Legs)>,
    hold_keys: HashMap<u8, (usize, usize, i64, Option<i64>)>,
}

type Refusable = Result<Answer, &'static str>;

impl Model {
    fn held(&self, account: usize) -> i64 {
        self.holds.iter().filter(|hold| hold.account == account).map(ModelHold::left).sum()
    }

    fn own(account: usize, amount: i64) -> i64 {
        if ACCOUNTS[account].0 == Code::Bank { amount } else { -amount }
    }

    fn may_overdraw(account: usize) -> bool {
        matches!(ACCOUNTS[account].0, Code::Bank | Code::FeeIncome)
    }

    fn resolve(&self, op: &Op) -> Op {
        let Op::Take { key, hold, quarters } = *op else { return op.clone() };
        let held = self.holds.get(hold);
        let (from, left) = held.map_or((1, 4), |hold| (hold.account, hold.left()));
        let amount = -Self::own(from, left * quarters / 4);
        let to = if from == 4 { 0 } else { 4 };
        Op::Capture { key, hold, legs: vec![(from, amount), (to, -amount)] }
    }

    fn apply(&mut self, op: &Op) -> Answer {
        let answer = match op {
            Op::Take { .. } => unreachable!("resolved"),
            Op::Post { key, legs } => self.transact(*key, None, legs),
            Op::Capture { key, hold, legs } => self.transact(*key, Some(*hold), legs),
            Op::Hold { key, account, amount, expires_s } => {
                self.place(*key, *account, *amount, *expires_s)
            }
            Op::Release { hold } => self.release(*hold),
            Op::Expire { limit } => Ok(self.expire(*limit)),
            Op::Wait => {
                self.now += 1;
                Ok(Answer::Nothing)
            }
        };
        answer.unwrap_or_else(|refusal| Answer::Refused(refusal.to_owned()))
    }

    fn transact(&mut self, key: u8, hold: Option<usize>, legs: &Legs) -> Refusable {
        let mut sorted = legs.clone();
        sorted.sort_unstable();
        if let Some((number, first_hold, first)) = self.transactions.get(&key) {
            let same = *first == sorted && *first_hold == hold;
            let replay = Answer::Posted { number: *number, replayed: true };
            return if same { Ok(replay) } else { Err("KeyReused") };
        }
        if legs.iter().any(|(_, amount)| *amount == 0) {
            return Err("ZeroLeg");
        }
        if sorted.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err("SameAccount");
        }
        for asset in ["USD", "EUR"] {
            let of_asset = legs.iter().filter(|(account, _)| ACCOUNTS[*account].1 == asset);
            if of_asset.map(|(_, amount)| amount).sum::<i64>() != 0 {
                return Err("Unbalanced");
            }
        }
        let captured = match hold {
            Some(number) => Some((number, self.capturable(number, legs)?)),
            None => None,
        };
        for &(account, amount) in legs {
            let own = Self::own(account, amount);
            let mine = captured.filter(|(number, _)| self.holds[*number].account == account);
            let from_hold = mine.map_or(0, |(_, taken)| taken);
            let available = self.posted[account] - self.held(account);
            if own < 0 && !Self::may_overdraw(account) && available + own + from_hold < 0 {
                return Err("InsufficientFunds");
            }
        }
        for &(account, amount) in legs {
            self.posted[account] += Self::own(account, amount);
        }
        if let Some((number, taken)) = captured {
            self.holds[number].captured += taken;
        }
        let number = self.transactions.len();
        self.transactions.insert(key, (number, hold, sorted));
        Ok(Answer::Posted { number, replayed: false })
    }

    fn capturable(&self, number: usize, legs: &Legs) -> Result<i64, &'static str> {
        let hold = self.holds.get(number).ok_or("UnknownHold")?;
        let leg = legs.iter().find(|(account, _)| *account == hold.account);
        let taken = leg.map_or(0, |(account, amount)| -Self::own(*account, *amount));
        match taken {
            _ if taken <= 0 => Err("NothingCaptured"),
            _ if hold.left() == 0 => Err("HoldEnded"),
            _ if taken > hold.left() => Err("OverCapture"),
            _ => Ok(taken),
        }
    }

    fn place(&mut self, key: u8, account: usize, amount: i64, expires_s: Option<i64>) -> Refusable {
        if let Some((number, first, first_amount, first_s)) = self.hold_keys.get(&key) {
            let same = (*first, *first_amount, *first_s) == (account, amount, expires_s);
            let replay = Answer::Placed { number: *number, replayed: true };
            return if same { Ok(replay) } else { Err("KeyReused") };
        }
        if amount <= 0 {
            return Err("NotPositive");
        }
        if !Self::may_overdraw(account) && self.posted[account] - self.held(account) < amount {
            return Err("InsufficientFunds");
        }
        let number = self.holds.len();
        self.hold_keys.insert(key, (number, account, amount, expires_s));
        let hold = ModelHold { account, amount, captured: 0, released: 0, expires_at: expires_s };
        self.holds.push(hold);
        Ok(Answer::Placed { number, replayed: false })
    }

    fn release(&mut self, number: usize) -> Refusable {
        let hold = self.holds.get_mut(number).ok_or("UnknownHold")?;
        let left = hold.left();
        hold.released += left;
        Ok(Answer::Released(left))
    }

    fn expire(&mut self, limit: usize) -> Answer {
        let now = self.now;
        let over =
            |hold: &ModelHold| hold.left() > 0 && hold.expires_at.is_some_and(|at| at <= now);
        let mut expired: Vec<_> = (0..self.holds.len()).filter(|n| over(&self.holds[*n])).collect();
        // Which of several that expire together come first is told by their ids: take all.
        expired.truncate(if limit == 0 { 0 } else { expired.len() });
        for number in &expired {
            let left = self.holds[*number].left();
            self.holds[*number].released += left;
        }
        Answer::Expired(expired)
    }
}

/// The book under test, with the same numbers as the model's.
struct Subject {
    prefix: String,
    start: Timestamp,
    accounts: Vec<AccountId>,
    holds: Vec<HoldId>,
    transactions: Vec<store::TransactionId>,
}

impl Subject {
    fn new(db: &TestDb, case: usize) -> Self {
        let accounts = write(&db.store, |tx| {
            let open = |(code, asset)| {
                let party = tx.id();
                open_account(tx, code, party, asset)
            };
            ACCOUNTS.into_iter().map(open).collect()
        });
        let (prefix, start) = (format!("case{case}"), db.store.now());
        Self { prefix, start, accounts, holds: Vec::new(), transactions: Vec::new() }
    }

    fn apply(&mut self, tx: &mut Tx<'_>, op: &Op) -> Answer {
        let answer = match op {
            Op::Take { .. } => unreachable!("resolved"),
            Op::Post { key, legs } => {
                let posted = post(tx, &self.transaction(*key, legs));
                posted.map(|posted| self.posted(posted))
            }
            Op::Capture { key, hold, legs } => {
                let id = self.hold_id(*hold);
                let posted = capture_hold(tx, id, &self.transaction(*key, legs));
                posted.map(|posted| self.posted(posted))
            }
            Op::Hold { key, account, amount, expires_s } => {
                let new = NewHold {
                    key: format!("{} {key}", self.prefix),
                    account: self.accounts[*account],
                    amount: Amount(*amount),
                    subject: "model".to_owned(),
                    expires_at: expires_s.map(|s| self.start.plus_s(s)),
                };
                place_hold(tx, &new).map(|placed| {
                    let number = number(&mut self.holds, placed.id, placed.replayed);
                    Answer::Placed { number, replayed: placed.replayed }
                })
            }
            Op::Release { hold } => {
                release_hold(tx, self.hold_id(*hold)).map(|amount| Answer::Released(amount.0))
            }
            Op::Expire { limit } => {
                let limit = if *limit == 0 { 0 } else { 1_000 };
                expire_holds(tx, limit).map(|ids| {
                    let known = |id| self.holds.iter().position(|known| *known == id);
                    let mut numbers: Vec<_> = ids.into_iter().filter_map(known).collect();
                    numbers.sort_unstable();
                    Answer::Expired(numbers)
                })
            }
            Op::Wait => Ok(Answer::Nothing),
        };
        answer.unwrap_or_else(|error: Error| {
            assert!(error.is_refusal(), "{error}");
            let text = format!("{error:?}");
            Answer::Refused(text.split([' ', '(']).next().unwrap().to_owned())
        })
    }

    fn hold_id(&self, number: usize) -> HoldId {
        self.holds.get(number).copied().unwrap_or(HoldId::from_bytes([9; 16]))
    }

    fn posted(&mut self, posted: ledger::Posted) -> Answer {
        let number = number(&mut self.transactions, posted.id, posted.replayed);
        Answer::Posted { number, replayed: posted.replayed }
    }

    fn transaction(&self, key: u8, legs: &Legs) -> NewTransaction {
        let leg = |&(account, amount): &(usize, i64)| Leg {
            account: self.accounts[account],
            amount: Amount(amount),
        };
        let key = format!("{} {key}", self.prefix);
        let legs = legs.iter().map(leg).collect();
        NewTransaction::new(&key, Kind::Adjustment, "model", self.start, legs)
    }

    fn assert_equals(&self, tx: &mut Tx<'_>, model: &Model) -> Result<(), Error> {
        for (number, id) in self.accounts.iter().enumerate() {
            let (posted, held) = (Amount(model.posted[number]), Amount(model.held(number)));
            assert_eq!(balance(tx, *id)?, Balance { posted, held }, "account {number}");
        }
        for (id, expected) in self.holds.iter().zip(&model.holds) {
            let state = hold(tx, *id)?;
            assert_eq!(
                (state.amount.0, state.captured.0, state.released.0, state.open),
                (expected.amount, expected.captured, expected.released, expected.left() > 0),
            );
        }
        Ok(())
    }
}

fn number<T: Copy + PartialEq>(known: &mut Vec<T>, id: T, replayed: bool) -> usize {
    match known.iter().position(|known| *known == id) {
        Some(number) => number,
        None => {
            assert!(!replayed, "a replay names what was there");
            known.push(id);
            known.len() - 1
        }
    }
}

/// One case: each command in a transaction of its own, or all in one that survives refusals.
fn run_case(db: &TestDb, case: usize, ops: &[Op], together: bool) {
    let mut subject = Subject::new(db, case);
    let mut model = Model::default();
    let ops: Vec<_> = ops.iter().filter(|op| !(together && matches!(op, Op::Wait))).collect();
    if together {
        write(&db.store, |tx| {
            for op in &ops {
                let op = &model.resolve(op);
                assert_eq!(subject.apply(tx, op), model.apply(op), "{op:?}");
            }
            Ok(())
        });
    } else {
        for op in &ops {
            if matches!(op, Op::Wait) {
                db.clock.advance_s(1);
            }
            let op = &model.resolve(op);
            let answer = write(&db.store, |tx| Ok(subject.apply(tx, op)));
            assert_eq!(answer, model.apply(op), "{op:?}");
        }
    }
    read(&db.store, |tx| subject.assert_equals(tx, &model));
    // Nothing of this case is left for the next one's expiry.
    write(&db.store, |tx| subject.holds.iter().try_for_each(|id| release_hold(tx, *id).map(drop)));
}

on_both_databases! {
    fn random_commands_answer_as_the_model_does(db) {
        let long = std::env::var_os("DRIVEWAY_TEST_LONG").is_some();
        let cases = match (db.store.database(), long) {
            ("sqlite", false) => 60,
            (_, false) => 15,
            ("sqlite", true) => 2_000,
            (_, true) => 500,
        };
        let config = Config { cases, failure_persistence: None, ..Config::default() };
        let case = std::cell::Cell::new(0);
        let run = |(ops, together): (Vec<Op>, bool)| {
            case.set(case.get() + 1);
            run_case(&db, case.get(), &ops, together);
            if !long || usize::is_multiple_of(case.get(), 50) {
                assert_clean(&db.store);
            }
            Ok(())
        };
        TestRunner::new(config).run(&(ops(), any::<bool>()), run).unwrap();
        let report = assert_clean(&db.store);
        assert!(report.transactions > u64::from(cases) && report.holds > u64::from(cases));
    }
}
