//! Makes a log out of a seed: commands that mostly make sense to the book as it is then, repeats of
//! earlier ones, and wrong ones of every kind.

use std::collections::BTreeMap;

use ledger::chart::PayIn;
use ledger::{Code, Kind, Late};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use store::{Day, Month, Timestamp};

use crate::command::{
    Account, Act, DAY, Group, Legs, MICROS, NOBODY, NOWHERE, Op, Post, Settle, Step, StepAnswer,
    What,
};
use crate::model::{Model, own};
use crate::state::Lines;
use crate::wrong;

/// What is opened before the log begins; the rest is opened by commands.
pub const OPENED: [(Code, u8, &str); 16] = [
    (Code::Bank, 0, "USD"),
    (Code::Bank, 0, "EUR"),
    (Code::CustomerWallet, 1, "USD"),
    (Code::CustomerWallet, 2, "USD"),
    (Code::CustomerWallet, 3, "USD"),
    (Code::CustomerWallet, 1, "EUR"),
    (Code::OwnerCash, 4, "USD"),
    (Code::OwnerCash, 5, "USD"),
    (Code::OwnerCash, 4, "EUR"),
    (Code::OwnerCredits, 4, "CREDIT"),
    (Code::FeeIncome, 0, "USD"),
    (Code::TaxPayable, 0, "USD"),
    (Code::BonusExpense, 0, "USD"),
    (Code::TaxPayable, 0, "XTS"),
    (Code::FeeIncome, 0, "XTS"),
    (Code::Bank, 0, "XTS"),
];

/// Commands, what they answer, and the whole book after some of them.
pub struct Log {
    pub steps: Vec<(Step, StepAnswer)>,
    pub checkpoints: BTreeMap<usize, Lines>,
    pub credits: BTreeMap<&'static str, (&'static str, i64)>,
    pub commands: usize,
}

struct Maker {
    rng: StdRng,
    /// The book as it is at the end of the log so far.
    model: Model,
    /// What was sent, to be sent again.
    sent: Vec<Op>,
    next: u32,
}

/// A log of this many commands or a few more.
pub fn log(seed: u64, commands: usize, start: Timestamp) -> Log {
    let mut rng = StdRng::seed_from_u64(seed);
    let rate = *[1_000_000, 10_000, 1_500_000, 333_333, 3].choose(&mut rng).unwrap();
    let credits = BTreeMap::from([("USD", ("CREDIT", rate)), ("EUR", ("POINT", 1_500_000))]);
    let accounts = OPENED.map(|(code, party, asset)| (Account { code, party, asset }, (0, 0)));
    let mut model = Model::default();
    (model.now, model.credits, model.accounts) = (start.0, credits.clone(), accounts.into());
    let mut maker = Maker { rng, model, sent: Vec::new(), next: 0 };
    let mut log = Log { steps: Vec::new(), checkpoints: BTreeMap::new(), credits, commands: 0 };
    let mut checked = 0;
    while log.commands < commands {
        let step = maker.step(&log);
        // Some come from a process whose clock is behind.
        let is_batch = matches!(step, Step::Batch(_));
        let behind = maker.rng.random_range(1..30 * MICROS);
        let is_behind = is_batch && maker.rng.random_bool(0.08);
        if is_behind {
            maker.push(Step::Wait(-behind), &mut log);
        }
        maker.push(step, &mut log);
        if is_behind {
            maker.push(Step::Wait(behind + 1), &mut log);
        }
        if log.commands >= checked + commands / 8 {
            checked = log.commands;
            log.checkpoints.insert(log.steps.len() - 1, maker.model.lines());
        }
    }
    // Every hold ends.
    maker.push(Step::Wait(400 * DAY), &mut log);
    maker.push(Step::Expire(1_000_000), &mut log);
    log.checkpoints.insert(log.steps.len() - 1, maker.model.lines());
    log
}

impl Maker {
    fn push(&mut self, step: Step, log: &mut Log) {
        let answer = self.model.step(&step);
        if let Step::Batch(groups) = &step {
            let ops: Vec<_> = groups.iter().flat_map(|group| &group.ops).cloned().collect();
            log.commands += ops.len();
            self.sent.extend(ops);
        }
        log.steps.push((step, answer));
    }

    fn step(&mut self, log: &Log) -> Step {
        match self.rng.random_range(0..100) {
            0..4 => Step::Wait(self.rng.random_range(1..5) * MICROS),
            4..6 => Step::Wait(self.rng.random_range(1..20) * DAY),
            6..12 => Step::Expire(*[0, 1, 2, 1_000].choose(&mut self.rng).unwrap()),
            12..30 => self.months(),
            // Everybody asks again what was asked a while ago.
            30..36 => {
                let mut batches = log.steps.iter().rev().filter_map(|(step, _)| match step {
                    Step::Batch(groups) => Some(groups),
                    _ => None,
                });
                let which = self.rng.random_range(0..4);
                batches.nth(which).map_or(Step::Wait(1), |groups| Step::Batch(groups.clone()))
            }
            _ => {
                // Some are so large that the engine sends whole columns as streams.
                let large = self.rng.random_bool(0.03);
                let size = self.rng.random_range(if large { 100..250 } else { 1..60 });
                let mut groups: Vec<Group> = (0..size).map(|_| self.group()).collect();
                // Some are sent again within the batch, or their keys are.
                for _ in 0..self.rng.random_range(0..4) {
                    let mut again = groups.choose(&mut self.rng).unwrap().clone();
                    if self.rng.random_bool(0.4) {
                        again.ops =
                            again.ops.iter().map(|op| wrong::twisted(&mut self.rng, op)).collect();
                    }
                    let at = self.rng.random_range(0..=groups.len());
                    groups.insert(at, again);
                }
                Step::Batch(groups)
            }
        }
    }

    fn months(&mut self) -> Step {
        let now = Day::of(Timestamp(self.model.now)).month();
        let act =
            *[Act::Close, Act::Close, Act::AskToReopen, Act::Reopen].choose(&mut self.rng).unwrap();
        let closed: Vec<Month> = self.model.closed_months().collect();
        let month = match closed.choose(&mut self.rng) {
            Some(month) if act != Act::Close && self.rng.random_bool(0.9) => *month,
            _ => Month(now.0 - self.rng.random_range(0..4)),
        };
        let reason = match self.rng.random_range(0..12) {
            0 => " ".to_owned(),
            1 => "r".repeat(201),
            _ => "the books are done".to_owned(),
        };
        Step::Months { act, month, by: self.rng.random_range(1..3), reason }
    }

    fn group(&mut self) -> Group {
        let linked = self.rng.random_bool(0.15);
        let size = if linked { self.rng.random_range(2..5) } else { 1 };
        let mut ops: Vec<Op> = Vec::new();
        for _ in 0..size {
            let op = match ops.last() {
                // The same key again, and what came with it changed, within the group.
                Some(last) if self.rng.random_bool(0.06) => {
                    wrong::twisted(&mut self.rng, &last.clone())
                }
                Some(last) if self.rng.random_bool(0.04) => last.clone(),
                _ => self.op(),
            };
            ops.push(op);
        }
        Group { ops, linked }
    }

    fn op(&mut self) -> Op {
        let lately = self.sent.len().saturating_sub(200);
        let earlier = self.sent[lately..].choose(&mut self.rng).cloned();
        match (self.rng.random_range(0..100), earlier) {
            (0..8, Some(earlier)) => earlier,
            (8..13, Some(earlier)) => wrong::twisted(&mut self.rng, &earlier),
            _ => {
                let op = self.new_op();
                if self.rng.random_bool(0.06) { wrong::spoilt(&mut self.rng, op) } else { op }
            }
        }
    }

    fn new_op(&mut self) -> Op {
        self.next += 1;
        let (n, id) = (self.rng.random_range(0..100), self.next);
        let what = match n {
            0..14 => self.post(),
            14..22 => self.capture(),
            22..36 => self.hold(),
            36..40 => {
                let key = self.some_hold(|_| true).unwrap_or(NOWHERE.to_owned());
                return Op { key, what: What::Release };
            }
            40..50 => What::Deposit {
                id,
                customer: self.rng.random_range(1..4),
                asset: self.money(),
                amount: self.rng.random_range(50..5_000),
            },
            50..65 => self.settle(id),
            65..70 => self.pay_out(id),
            70..73 => What::Confirm { id, asset: self.money(), amount: self.amount() },
            73..76 => What::Return {
                id,
                owner: self.rng.random_range(4..7),
                asset: self.money(),
                amount: self.amount(),
            },
            76..81 => self.convert(),
            81..86 => What::Redeem {
                owner: self.rng.random_range(4..7),
                asset: self.money(),
                credits: self.rng.random_range(1..200),
            },
            86..92 => self.reverse(),
            _ => self.refund(),
        };
        Op { key: format!("command {}", self.next), what }
    }

    fn money(&mut self) -> &'static str {
        if self.rng.random_bool(0.75) { "USD" } else { "EUR" }
    }

    fn amount(&mut self) -> i64 {
        // Few values, so that what there is is often taken to the last unit.
        match self.rng.random_range(0..20) {
            0 => self.rng.random_range(-30..=0),
            1..5 => self.rng.random_range(1..300),
            _ => self.rng.random_range(1..5) * 10,
        }
    }

    fn account(&mut self) -> Account {
        let accounts: Vec<Account> = self.model.accounts.keys().copied().collect();
        *accounts.choose(&mut self.rng).unwrap()
    }

    fn moment(&mut self) -> i64 {
        let now = self.model.now;
        match self.rng.random_range(0..40) {
            0..10 => now - self.rng.random_range(0..100) * DAY,
            10 => now + self.rng.random_range(0..60) * DAY,
            11 => *[i64::MIN, i64::MAX, 0, -1].choose(&mut self.rng).unwrap(),
            _ => now,
        }
    }

    fn new_post(&mut self, legs: Legs) -> Post {
        let corrects = self.rng.random_bool(0.05).then(|| self.some_transaction().0);
        let named = self.rng.random_bool(0.2);
        let metadata =
            named.then(|| ("order".to_owned(), format!("№ {}", self.rng.random_range(0..9))));
        Post {
            kind: *Kind::ALL.choose(&mut self.rng).unwrap(),
            subject: format!("subject {}", self.rng.random_range(0..50)),
            effective_at: self.moment(),
            legs,
            corrects,
            metadata: metadata.into_iter().collect(),
            late: if self.rng.random_bool(0.3) { Late::Refuse } else { Late::NextOpen },
        }
    }

    fn post(&mut self) -> What {
        let mut amount = self.amount();
        let first = self.account();
        if first.asset == "XTS" && self.rng.random_bool(0.5) {
            amount = *[i64::MAX, i64::MAX - 7, -i64::MAX, i64::MIN].choose(&mut self.rng).unwrap();
        }
        let others: Vec<Account> = self.model.accounts.keys().copied().collect();
        let mut others: Vec<Account> = others
            .into_iter()
            .filter(|other| other.asset == first.asset && *other != first)
            .collect();
        let wanted = self.rng.random_range(1..4);
        while others.len() > wanted {
            others.remove(self.rng.random_range(0..others.len()));
        }
        let mut legs = vec![(first, amount)];
        let mut left = amount.saturating_neg();
        for (n, other) in others.iter().enumerate() {
            let last = n + 1 == others.len();
            let part = if last { left } else { left / 2 };
            legs.push((*other, part));
            left -= part;
        }
        match self.rng.random_range(0..40) {
            0 => legs.push((self.account(), 7)),
            1 => legs[0].0 = NOBODY,
            2 => legs = vec![legs[0], (self.account(), legs[0].1.saturating_neg())],
            _ => {}
        }
        What::Post(self.new_post(legs))
    }

    fn some_hold(&mut self, wanted: impl Fn(&Account) -> bool) -> Option<String> {
        let holds = self.model.holds.iter().filter(|(_, hold)| wanted(&hold.account));
        let (open, ended): (Vec<_>, Vec<_>) = holds.partition(|(_, hold)| hold.left() > 0);
        let from = if self.rng.random_bool(0.93) { open } else { ended };
        from.choose(&mut self.rng).map(|(key, _)| (*key).clone())
    }

    fn some_transaction(&mut self) -> (String, Vec<(Account, i64)>) {
        let keys: Vec<&String> = self.model.transactions.keys().collect();
        let Some(key) = keys.choose(&mut self.rng) else { return (NOWHERE.to_owned(), Vec::new()) };
        let entries = &self.model.transactions[*key].entries;
        ((*key).clone(), entries.iter().map(|entry| (entry.0, entry.1)).collect())
    }

    fn capture(&mut self) -> What {
        let Some(key) = self.some_hold(|_| true) else { return self.post() };
        let hold = &self.model.holds[&key];
        let (account, left) = (hold.account, hold.left());
        let part =
            left / 4 * self.rng.random_range(0..4) + self.rng.random_range(0..2) * (left % 4);
        let taken = if self.rng.random_bool(0.3) { left } else { part };
        let taken = -own(&account, i128::from(taken) + i128::from(self.rng.random_bool(0.05)));
        let taken =
            i64::try_from(taken).unwrap_or(1) * if self.rng.random_bool(0.02) { -1 } else { 1 };
        let others: Vec<Account> = self.model.accounts.keys().copied().collect();
        let others = others.into_iter().filter(|other| other.asset == account.asset);
        let others: Vec<_> = others.filter(|other| *other != account).collect();
        let to = others.choose(&mut self.rng).copied().unwrap_or(NOBODY);
        let legs = vec![(account, taken), (to, -taken)];
        What::Capture { hold: key, post: self.new_post(legs) }
    }

    fn hold(&mut self) -> What {
        let account = self.account();
        let available = self.model.available(&account);
        let amount = match self.rng.random_range(0..4) {
            0 if available > 0 => available,
            1..3 if available > 3 => available / 4,
            _ => self.amount(),
        };
        let expires = self.rng.random_bool(0.7);
        let after = self.rng.random_range(0..4);
        // No two at one moment: which of them comes first is not said.
        let unique = i64::from(self.next);
        let expires_at = expires.then(|| self.model.now + after * MICROS + unique);
        What::Hold { account, amount, subject: "job".to_owned(), expires_at }
    }

    fn settle(&mut self, lease: u32) -> What {
        let hold = self.some_hold(|account| account.code == Code::CustomerWallet);
        let hold = hold.unwrap_or(NOWHERE.to_owned());
        let known = self.model.holds.get(&hold);
        let (account, left) = known.map_or((NOBODY, 7), |hold| (hold.account, hold.left()));
        // By the hour at a price that is the amount, or by the second.
        let by_hour = self.rng.random_bool(0.7);
        let amount = (left / 3 * self.rng.random_range(1..5)).max(1);
        let (seconds, price) = if by_hour { (3_600, amount) } else { (900, amount * 4) };
        let pay_in = match self.rng.random_range(0..3) {
            0 => PayIn::Credits { bonus_ppm: self.rng.random_range(0..300_000) },
            _ => PayIn::Cash,
        };
        What::Settle(Settle {
            lease,
            hold,
            customer: account.party,
            owner: self.rng.random_range(4..7),
            asset: account.asset,
            seconds,
            price,
            amount,
            fee_ppm: *[150_000, 0, 1_000_000, 333_333].choose(&mut self.rng).unwrap(),
            pay_in,
            effective_at: self.moment(),
        })
    }

    fn pay_out(&mut self, id: u32) -> What {
        let hold = self.some_hold(|account| account.code == Code::OwnerCash);
        let hold = hold.unwrap_or(NOWHERE.to_owned());
        let known = self.model.holds.get(&hold);
        let (account, left) = known.map_or((NOBODY, 7), |hold| (hold.account, hold.left()));
        let amount = if self.rng.random_bool(0.8) { left } else { self.amount() };
        What::PayOut { id, hold, owner: account.party, asset: account.asset, amount }
    }

    fn convert(&mut self) -> What {
        let (from, to) = if self.rng.random() { ("USD", "EUR") } else { ("EUR", "USD") };
        What::Convert {
            customer: self.rng.random_range(1..4),
            sold_asset: from,
            sold: self.rng.random_range(1..100),
            bought_asset: to,
            rate_ppm: *[920_000, 1_086_957, 1, 500_000].choose(&mut self.rng).unwrap(),
        }
    }

    fn reverse(&mut self) -> What {
        let (of, _) = self.some_transaction();
        let effective_at = self.rng.random_bool(0.4).then(|| self.moment());
        What::Reverse { of, reason: "a mistake".to_owned(), effective_at }
    }

    fn refund(&mut self) -> What {
        let (of, legs) = self.some_transaction();
        let (account, moved) = legs.choose(&mut self.rng).copied().unwrap_or((NOBODY, 5));
        let left = self.model.refundable(&of, &account, moved);
        let amount = match self.rng.random_range(0..10) {
            0 => 0,
            1 => left.saturating_add(1),
            2..5 => left,
            _ => (left / 3).max(1),
        };
        What::Refund { of, account, amount, reason: "not as ordered".to_owned() }
    }
}
