//! A book under test: takes a log step by step, in transactions of any size, with crashes between.

use std::cell::RefCell;
use std::collections::HashMap;

use ledger::chart::{Conversion, Redemption, Settlement};
use ledger::{
    Command, Error, Leg, NewHold, NewTransaction, Outcome, Refund, Reversal, Writer, WriterConfig,
    execute, execute_groups, execute_linked, expire_holds, find_account, open_account, period,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use store::testing::TestDb;
use store::{
    AccountId, Amount, DepositId, HoldId, LeaseId, PartyId, PayoutId, Timestamp, TransactionId, Tx,
};

use crate::command::{
    Account, Act, Answer, Group, Op, Post, Step, StepAnswer, What, bytes, party_bytes,
};
use crate::common::{self, REFUSALS, write};
use crate::invariants;
use crate::random::{Log, OPENED};

/// How commands are put into transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    OneByOne,
    /// 1 to 40 at a time or all that there are, by every way into the engine, some of them undone
    /// and sent again.
    Batches,
}

pub struct Subject<'a> {
    pub db: &'a TestDb,
    mode: Mode,
    rng: StdRng,
    writer: Writer,
    accounts: HashMap<Account, AccountId>,
    transactions: HashMap<String, TransactionId>,
    holds: HashMap<String, HoldId>,
    /// How many transactions were undone.
    pub crashes: usize,
}

/// By group; of a linked one that failed maybe its refusal only.
type Told = Vec<Vec<Result<Outcome, Error>>>;

pub fn party(number: u8) -> PartyId {
    PartyId::from_bytes(party_bytes(number))
}

fn refused(error: &Error) -> &'static str {
    assert!(error.is_refusal(), "{error:?}");
    let name = common::name(error);
    REFUSALS.into_iter().find(|known| *known == name).unwrap()
}

impl<'a> Subject<'a> {
    pub fn new(db: &'a TestDb, log: &Log, mode: Mode, seed: u64) -> Self {
        let accounts = write(&db.store, |tx| {
            let mut sql =
                "INSERT INTO asset (code, scale) VALUES ('POINT', 6), ('XTS', 6);".to_owned();
            for (asset, (credit, ppm)) in &log.credits {
                sql += &format!(
                    "UPDATE asset SET redemption_asset = '{asset}', redemption_ppm = {ppm}
                    WHERE code = '{credit}';"
                );
            }
            diesel::connection::SimpleConnection::batch_execute(tx.conn, &sql)?;
            let open = |(code, number, asset)| {
                let account = Account { code, party: number, asset };
                Ok((account, open_account(tx, code, party(number), asset)?))
            };
            OPENED.into_iter().map(open).collect()
        });
        let config = WriterConfig { max_batch: 400, max_waiting: 8 };
        let writer = Writer::new(db.store.clone(), config);
        let (transactions, holds) = (HashMap::new(), HashMap::new());
        let rng = StdRng::seed_from_u64(seed);
        Self { db, mode, rng, writer, accounts, transactions, holds, crashes: 0 }
    }

    /// Takes a step and answers what it did. Of a linked group that failed `None` stands for
    /// answers that were not told.
    pub fn step(&mut self, step: &Step, expected: &StepAnswer) -> StepAnswer {
        match (step, expected) {
            (Step::Batch(groups), StepAnswer::Batch(expected)) => {
                StepAnswer::Batch(self.batches(groups, expected))
            }
            (Step::Expire(limit), _) => {
                let ids = write(&self.db.store, |tx| expire_holds(tx, *limit));
                let key =
                    |id| self.holds.iter().find(|(_, known)| **known == id).unwrap().0.clone();
                StepAnswer::Expired(ids.into_iter().map(key).collect())
            }
            (Step::Months { act, month, by, reason }, _) => {
                let act = match act {
                    Act::Close => period::close,
                    Act::AskToReopen => period::ask_to_reopen,
                    Act::Reopen => period::reopen,
                };
                let done = self.db.store.write(|tx| act(tx, *month, party(*by), reason));
                StepAnswer::Months(done.map_err(|error| refused(&error)))
            }
            (Step::Wait(us), _) => {
                self.db.clock.advance_us(*us);
                StepAnswer::Nothing
            }
            (Step::Batch(_), _) => unreachable!("a batch answers as one"),
        }
    }

    fn batches(&mut self, groups: &[Group], expected: &[Vec<Answer>]) -> Vec<Vec<Answer>> {
        let commands: Vec<Vec<Command>> = groups
            .iter()
            .map(|group| group.ops.iter().map(|op| self.command(op)).collect())
            .collect();
        let (mut at, mut answers) = (0, Vec::new());
        while at < groups.len() {
            let size = match self.mode {
                Mode::OneByOne => 1,
                Mode::Batches if self.rng.random_bool(0.1) => usize::MAX,
                Mode::Batches => self.rng.random_range(1..=40),
            };
            let mut end = at + 1;
            let mut commands_in = groups[at].ops.len();
            while end < groups.len() && commands_in + groups[end].ops.len() <= size {
                commands_in += groups[end].ops.len();
                end += 1;
            }
            let told = self.send(&groups[at..end], &commands[at..end]);
            for ((group, told), expected) in groups[at..end].iter().zip(told).zip(&expected[at..]) {
                answers.push(self.hear(group, told, expected));
            }
            self.db.store.read(invariants::after_commit).unwrap();
            at = end;
        }
        answers
    }

    fn send(&mut self, groups: &[Group], commands: &[Vec<Command>]) -> Told {
        if self.mode == Mode::Batches && self.rng.random_bool(0.25) {
            let upto = self.rng.random_range(1..=groups.len());
            let together = self.rng.random();
            let crashed = self.db.store.write(|tx| {
                run(tx, &groups[..upto], &commands[..upto], together)?;
                Err::<(), _>(Error::Stopped)
            });
            assert!(matches!(crashed, Err(Error::Stopped)), "{crashed:?}");
            self.crashes += 1;
        }
        match self.rng.random_range(0..3) {
            0 => self.through_writer(groups, commands),
            n => write(&self.db.store, |tx| run(tx, groups, commands, n == 1)),
        }
    }

    fn through_writer(&self, groups: &[Group], commands: &[Vec<Command>]) -> Told {
        let linked = |commands: &[Command]| self.writer.execute_linked(commands.to_vec());
        let each = |commands: &[Command]| match commands {
            [alone] => Ok(vec![self.writer.execute(alone.clone())]),
            _ => self.writer.execute_all(commands.to_vec()),
        };
        by_stretches(groups, commands, linked, each).unwrap()
    }

    /// Learns the ids, and makes the answers comparable.
    fn hear(
        &mut self,
        group: &Group,
        told: Vec<Result<Outcome, Error>>,
        expected: &[Answer],
    ) -> Vec<Answer> {
        let only_refusal = told.len() < group.ops.len();
        let answers: Vec<_> =
            group.ops.iter().zip(told).map(|(op, told)| self.answer(op, told)).collect();
        let why =
            |answer: &&Answer| matches!(answer, Answer::Refused(name) if *name != "LinkedFailed");
        // Nothing more was told than what the group failed of.
        if only_refusal && expected.iter().find(why) == answers.first() {
            return expected.to_vec();
        }
        answers
    }

    fn answer(&mut self, op: &Op, told: Result<Outcome, Error>) -> Answer {
        match told {
            Ok(Outcome::Posted(posted)) => {
                let known = self.transactions.insert(op.book_key(), posted.id);
                assert_eq!(known, posted.replayed.then_some(posted.id), "{op:?}");
                Answer::Posted { replayed: posted.replayed }
            }
            Ok(Outcome::Held(placed)) => {
                let known = self.holds.insert(op.key.clone(), placed.id);
                assert_eq!(known, placed.replayed.then_some(placed.id), "{op:?}");
                Answer::Held { replayed: placed.replayed }
            }
            Ok(Outcome::Released(amount)) => Answer::Released(amount.0),
            Err(error) => Answer::Refused(refused(&error)),
        }
    }

    fn account(&mut self, account: Account) -> AccountId {
        if let Some(id) = self.accounts.get(&account) {
            return *id;
        }
        let Account { code, party: number, asset } = account;
        let found = self.db.store.read(|tx| find_account(tx, code, party(number), asset)).unwrap();
        if let Some(id) = found {
            self.accounts.insert(account, id);
        }
        found.unwrap_or(AccountId::from_bytes([9; 16]))
    }

    fn hold(&self, key: &str) -> HoldId {
        self.holds.get(key).copied().unwrap_or(HoldId::from_bytes([9; 16]))
    }

    fn transaction(&self, key: &str) -> TransactionId {
        self.transactions.get(key).copied().unwrap_or(TransactionId::from_bytes([9; 16]))
    }

    fn new_transaction(&mut self, key: &str, post: &Post) -> NewTransaction {
        let legs = post.legs.iter().map(|(account, amount)| Leg {
            account: self.account(*account),
            amount: Amount(*amount),
        });
        let legs = legs.collect();
        NewTransaction {
            corrects: post.corrects.as_ref().map(|of| self.transaction(of)),
            metadata: post.metadata.clone(),
            late: post.late,
            ..NewTransaction::new(key, post.kind, &post.subject, Timestamp(post.effective_at), legs)
        }
    }

    fn command(&mut self, op: &Op) -> Command {
        let key = op.key.clone();
        match &op.what {
            What::Post(post) => Command::post(self.new_transaction(&key, post)),
            What::Capture { hold, post } => {
                Command::capture(self.hold(hold), self.new_transaction(&key, post))
            }
            What::Hold { account, amount, subject, expires_at } => Command::hold(NewHold {
                key,
                account: self.account(*account),
                amount: Amount(*amount),
                subject: subject.clone(),
                expires_at: expires_at.map(Timestamp),
            }),
            What::Release => Command::release(self.hold(&key)),
            What::Reverse { of, reason, effective_at } => Command::from(Reversal {
                key,
                of: self.transaction(of),
                reason: reason.clone(),
                effective_at: effective_at.map(Timestamp),
            }),
            What::Refund { of, account, amount, reason } => Command::from(Refund {
                key,
                of: self.transaction(of),
                account: self.account(*account),
                amount: Amount(*amount),
                reason: reason.clone(),
            }),
            what => self.chart_command(key, what),
        }
    }

    fn chart_command(&self, key: String, what: &What) -> Command {
        match what {
            What::Deposit { id, customer, asset, amount } => {
                let id = DepositId::from_bytes(bytes(*id));
                Command::deposit(id, party(*customer), asset, Amount(*amount))
            }
            What::PayOut { id, hold, owner, asset, amount } => {
                let (id, hold) = (PayoutId::from_bytes(bytes(*id)), self.hold(hold));
                Command::pay_out(id, hold, party(*owner), asset, Amount(*amount))
            }
            What::Confirm { id, asset, amount } => {
                Command::confirm_payout(PayoutId::from_bytes(bytes(*id)), asset, Amount(*amount))
            }
            What::Return { id, owner, asset, amount } => {
                let id = PayoutId::from_bytes(bytes(*id));
                Command::return_payout(id, party(*owner), asset, Amount(*amount))
            }
            What::Settle(settle) => Command::from(Settlement {
                lease: LeaseId::from_bytes(bytes(settle.lease)),
                hold: self.hold(&settle.hold),
                customer: party(settle.customer),
                owner: party(settle.owner),
                asset: settle.asset.to_owned(),
                seconds: settle.seconds,
                price: Amount(settle.price),
                amount: Amount(settle.amount),
                fee_ppm: settle.fee_ppm,
                pay_in: settle.pay_in,
                effective_at: Timestamp(settle.effective_at),
            }),
            What::Convert { customer, sold_asset, sold, bought_asset, rate_ppm } => {
                Command::from(Conversion {
                    key,
                    customer: party(*customer),
                    sold_asset: (*sold_asset).to_owned(),
                    sold: Amount(*sold),
                    bought_asset: (*bought_asset).to_owned(),
                    rate_ppm: *rate_ppm,
                })
            }
            What::Redeem { owner, asset, credits } => Command::from(Redemption {
                key,
                owner: party(*owner),
                asset: (*asset).to_owned(),
                credits: Amount(*credits),
            }),
            _ => unreachable!("not of the chart"),
        }
    }
}

/// All groups in one go, or each stretch of commands by itself and each linked group by itself.
fn run(
    tx: &mut Tx<'_>,
    groups: &[Group],
    commands: &[Vec<Command>],
    together: bool,
) -> Result<Told, Error> {
    if together {
        let linked: Vec<&[Command]> = commands.iter().map(Vec::as_slice).collect();
        return Ok(cut(execute_groups(tx, &linked)?, commands.iter().map(Vec::len)));
    }
    let tx = RefCell::new(tx);
    let linked = |commands: &[Command]| execute_linked(&mut tx.borrow_mut(), commands);
    let each = |commands: &[Command]| execute(&mut tx.borrow_mut(), commands);
    by_stretches(groups, commands, linked, each)
}

fn by_stretches(
    groups: &[Group],
    commands: &[Vec<Command>],
    linked: impl Fn(&[Command]) -> Result<Vec<Outcome>, Error>,
    each: impl Fn(&[Command]) -> Result<Vec<Result<Outcome, Error>>, Error>,
) -> Result<Told, Error> {
    let mut told = Told::new();
    while told.len() < groups.len() {
        let at = told.len();
        if groups[at].linked {
            told.push(match linked(&commands[at]) {
                Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
                Err(refusal) => vec![Err(refusal)],
            });
            continue;
        }
        let stretch = groups[at..].iter().take_while(|group| !group.linked).count();
        let stretch = &commands[at..at + stretch];
        told.extend(cut(each(&stretch.concat())?, stretch.iter().map(Vec::len)));
    }
    Ok(told)
}

fn cut(answers: Vec<Result<Outcome, Error>>, lengths: impl Iterator<Item = usize>) -> Told {
    let mut answers = answers.into_iter();
    lengths.map(|length| answers.by_ref().take(length).collect()).collect()
}
