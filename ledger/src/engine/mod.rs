//! Runs commands: one, or thousands in one transaction.
//!
//! # Phases
//! 1. The lines of templates become legs: their accounts are found, or get ids to be opened with.
//! 2. Lock the balances of all accounts of all commands, in order of id, then read the holds.
//! 3. Fold command after command in Rust ([`plan`]): new balances and rows, or a refusal.
//! 4. If any was refused, look its key up: the replay of what drained an account is a replay.
//! 5. Write: accounts, transactions, holds, entries, one update of each balance.
//!
//! Each phase is a query for each table, whatever the number of commands: about 5 round trips for
//! one posting and as many for four thousand. Keys are not looked up before phase 5 unless something
//! was refused: if the insert of phase 5 finds one taken, the batch is undone (a savepoint; one
//! command alone has written nothing by then) and run again with its keys looked up first.
//!
//! An account that is in every command is locked once and written once in a batch.

mod differ;
pub(crate) mod fold;
mod plan;
pub(crate) mod read;
pub(crate) mod write;

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeSet;

use diesel::Connection;
use diesel::connection::TransactionManager;
use store::{AccountId, AnyConnection, HoldId, TransactionId, Tx};

use crate::chart::{self, Assets, Line, Record};
use crate::command::{Body, Command, Draft, Lines, Outcome};
use crate::posting::{Leg, MAX_TEXT};
use crate::{Error, Result, reversal};
use plan::{Answer, Book, Planner, Ready};
use read::{Keys, Names};

/// How often a batch is run again because others took its keys or opened its accounts meanwhile.
const MAX_ROUNDS: usize = 8;

/// Runs commands, each by itself: one that is refused changes nothing, and the others go on.
/// Answers in their order.
///
/// # Errors
/// Faults of storage only; then none of them is done.
pub fn execute(tx: &mut Tx<'_>, commands: &[Command]) -> Result<Vec<Result<Outcome>>> {
    let groups: Vec<&[Command]> = commands.chunks(1).collect();
    execute_groups(tx, &groups)
}

/// Runs linked commands: all of them, or none.
///
/// # Errors
/// The first refusal.
pub fn execute_linked(tx: &mut Tx<'_>, commands: &[Command]) -> Result<Vec<Outcome>> {
    all_or_first_refusal(execute_groups(tx, &[commands])?)
}

/// What linked commands did, or why they did not: the refusal of the one that failed.
pub(crate) fn all_or_first_refusal(answers: Vec<Result<Outcome>>) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::with_capacity(answers.len());
    let mut failed = None;
    for answer in answers {
        match answer {
            Ok(outcome) => outcomes.push(outcome),
            Err(Error::LinkedFailed) => failed = Some(Error::LinkedFailed),
            Err(refusal) => return Err(refusal),
        }
    }
    failed.map_or(Ok(outcomes), Err)
}

/// Runs one command.
///
/// # Errors
/// Its refusal, and faults of storage.
pub fn run_one(tx: &mut Tx<'_>, command: &Command) -> Result<Outcome> {
    let mut answers = execute_groups(tx, &[std::slice::from_ref(command)])?;
    answers.pop().ok_or_else(|| Error::corrupt("a command without an answer"))?
}

/// Runs groups of commands, each linked in itself: all of a group, or none. Answers command by command,
/// in order; of a group that failed, one has its refusal and the others [`Error::LinkedFailed`].
///
/// # Errors
/// Faults of storage only; then none of them is done.
pub fn execute_groups(tx: &mut Tx<'_>, groups: &[&[Command]]) -> Result<Vec<Result<Outcome>>> {
    let commands: Vec<&Command> = groups.iter().copied().flatten().collect();
    let mut look_up = LookUp::Nothing;
    for _ in 0..MAX_ROUNDS {
        let assets = read::load_assets(tx.conn, &commands)?;
        let (ready, mut book) = prepare(tx, &commands, &assets)?;
        load(tx, &ready, &mut book)?;
        look_up.load(tx.conn, &commands, &mut book)?;
        let ids = tx.ids();
        let mut planner = Planner::new(book, tx.now, ids);
        let mut answers = Vec::with_capacity(commands.len());
        let mut rest = &ready[..];
        for group in groups {
            let (own, others) = rest.split_at(group.len());
            answers.extend(planner.group(own));
            rest = others;
        }
        if look_up.widen(tx.conn, &commands, &answers)? {
            continue;
        }
        if !store_or_undo(tx, &planner)? {
            look_up = LookUp::Everything;
            continue;
        }
        return ready.iter().zip(answers).map(|(r, answer)| tell(tx.conn, r, answer)).collect();
    }
    Err(Error::corrupt("keys that are taken and not there"))
}

/// Which keys are looked up before the commands are folded.
#[derive(PartialEq)]
enum LookUp {
    Nothing,
    /// Those of commands that would be refused otherwise.
    Refused(BTreeSet<usize>),
    Everything,
}

impl LookUp {
    fn load(&self, conn: &mut AnyConnection, commands: &[&Command], book: &mut Book) -> Result<()> {
        let wanted = |n: usize| match self {
            Self::Nothing => false,
            Self::Refused(which) => which.contains(&n),
            Self::Everything => true,
        };
        let chosen = || commands.iter().enumerate().filter(|(n, _)| wanted(*n)).map(|(_, c)| *c);
        let (posts, holds) = known(conn, chosen)?;
        book.transactions = posts
            .into_iter()
            .map(|(key, id, print)| (key, (TransactionId::from_bytes(id), print)))
            .collect();
        book.hold_keys = holds
            .into_iter()
            .map(|(key, id, print)| (key, (HoldId::from_bytes(id), print)))
            .collect();
        Ok(())
    }

    /// True if a key of a command that was refused is there, and thus all is to be folded again.
    fn widen(
        &mut self,
        conn: &mut AnyConnection,
        commands: &[&Command],
        answers: &[Answer],
    ) -> Result<bool> {
        if *self == Self::Everything {
            return Ok(false);
        }
        let is_refused = |n: &usize| matches!(answers[*n], Answer::Refused(_));
        let refused: BTreeSet<usize> = (0..commands.len()).filter(is_refused).collect();
        let unseen = match self {
            Self::Refused(seen) => !refused.is_subset(seen),
            _ => !refused.is_empty(),
        };
        if !unseen {
            return Ok(false);
        }
        let chosen = || refused.iter().map(|n| commands[*n]);
        let (posts, holds) = known(conn, chosen)?;
        if posts.is_empty() && holds.is_empty() {
            return Ok(false);
        }
        let seen = match std::mem::replace(self, Self::Nothing) {
            Self::Refused(seen) => seen,
            _ => BTreeSet::new(),
        };
        *self = Self::Refused(&seen | &refused);
        Ok(true)
    }
}

/// The keys of commands that are there, of transactions and of holds.
fn known<'a, I: Iterator<Item = &'a Command>>(
    conn: &mut AnyConnection,
    commands: impl Fn() -> I,
) -> Result<(Keys, Keys)> {
    // A key that cannot be stored is not there.
    let sound = |key: &&str| key.len() <= MAX_TEXT && !key.contains('\0');
    let keys = |holds: bool| -> BTreeSet<&'a str> {
        let of_kind = move |c: &&Command| matches!(c.body, Body::Hold(_)) == holds;
        commands().filter(of_kind).filter_map(Command::key).filter(sound).collect()
    };
    let posts = read::find_keys(conn, "ledger_transaction", &keys(false))?;
    let holds = read::find_keys(conn, "hold", &keys(true))?;
    Ok((posts, holds))
}

/// Phase 1: legs for every command, and the accounts that are missing.
fn prepare<'a>(
    tx: &mut Tx<'_>,
    commands: &[&'a Command],
    assets: &Assets,
) -> Result<(Vec<Ready<'a>>, Book)> {
    let mut book = Book { originals: read::load_originals(tx.conn, commands)?, ..Book::default() };
    let lines: Vec<Source<'a>> = commands.iter().map(|c| Source::of(c, assets, &book)).collect();
    let named: Vec<&Line> = lines.iter().flat_map(Source::named).collect();
    let mut names = read::find_accounts(tx.conn, &named)?;
    let ready = commands.iter().zip(lines);
    let ready =
        ready.map(|(c, source)| source.ready(tx, c, assets, &mut names, &mut book)).collect();
    Ok((ready, book))
}

/// Where the legs of a command come from.
enum Source<'a> {
    Legs(Cow<'a, [Leg]>),
    Named(Vec<Line>, Option<Record>),
    Refused(Error),
}

impl<'a> Source<'a> {
    fn of(command: &'a Command, assets: &Assets, book: &Book) -> Self {
        let Body::Post(draft) = &command.body else { return Self::Legs(Cow::Borrowed(&[])) };
        let original = draft.relation.and_then(|(_, of)| book.originals.get(&of));
        match (&draft.lines, original) {
            (Lines::Refund { amount, .. }, _) if !amount.is_positive() => {
                Self::Refused(Error::NotPositive)
            }
            (Lines::Legs(_), None) if draft.relation.is_some() => {
                Self::Refused(unknown_original(draft))
            }
            (Lines::Legs(legs), _) => Self::Legs(Cow::Borrowed(legs)),
            (Lines::Template(template), _) => match chart::plan(template, assets) {
                Ok((lines, record)) => Self::Named(lines, record),
                Err(refusal) => Self::Refused(refusal),
            },
            (Lines::Reversal, Some(original)) => match reversal::plan_reversal(original) {
                Ok(legs) => Self::Legs(Cow::Owned(legs)),
                Err(refusal) => Self::Refused(refusal),
            },
            // What it takes from whom is known when its turn comes.
            (Lines::Refund { .. }, Some(original)) => Self::Legs(Cow::Owned(original.legs.clone())),
            (Lines::Reversal | Lines::Refund { .. }, None) => {
                Self::Refused(unknown_original(draft))
            }
        }
    }

    fn named(&self) -> &[Line] {
        match self {
            Self::Named(lines, _) => lines,
            Self::Legs(_) | Self::Refused(_) => &[],
        }
    }

    fn ready(
        self,
        tx: &Tx<'_>,
        command: &'a Command,
        assets: &Assets,
        names: &mut Names,
        book: &mut Book,
    ) -> Ready<'a> {
        let (legs, record, refused) = match self {
            Self::Legs(legs) => (legs, None, None),
            Self::Refused(refusal) => (Cow::Borrowed(&[][..]), None, Some(refusal)),
            Self::Named(lines, record) => match name_legs(tx, &lines, assets, names, book) {
                Ok(legs) => (Cow::Owned(legs), record, None),
                Err(refusal) => (Cow::Borrowed(&[][..]), None, Some(refusal)),
            },
        };
        Ready { command, legs, record, refused: Cell::new(refused) }
    }
}

fn unknown_original(draft: &Draft) -> Error {
    match draft.relation {
        Some((_, of)) => Error::UnknownTransaction(of),
        None => Error::corrupt("a refund of nothing"),
    }
}

/// The accounts that lines name, those that are missing with new ids.
fn name_legs(
    tx: &Tx<'_>,
    lines: &[Line],
    assets: &Assets,
    names: &mut Names,
    book: &mut Book,
) -> Result<Vec<Leg>> {
    for line in lines {
        assets.least(&line.asset)?;
    }
    let leg = |line: &Line| {
        let least = assets.least(&line.asset)?;
        let name = (line.code.text(), line.party, line.asset.clone());
        let account = *names.entry(name).or_insert_with(|| {
            let (id, missing) = read::miss(tx, line, least);
            book.missing.insert(id, missing);
            id
        });
        Ok(Leg { account, amount: line.amount })
    };
    lines.iter().map(leg).collect()
}

/// Phase 2: locks the balances, then reads what they guard.
fn load(tx: &mut Tx<'_>, ready: &[Ready<'_>], book: &mut Book) -> Result<()> {
    let commands: Vec<&Command> = ready.iter().map(|ready| ready.command).collect();
    (book.closed, book.soft) = read::closed_months(tx, &commands)?;
    let mut accounts: BTreeSet<AccountId> =
        ready.iter().flat_map(|ready| read::accounts_of(ready, book)).collect();
    let released = commands.iter().filter(|c| matches!(c.body, Body::Release { .. }));
    let released = released.filter_map(|c| read::hold_of(c)).collect();
    accounts.extend(read::hold_accounts(tx.conn, &released)?);
    book.states = read::lock_balances(tx.conn, &accounts)?;
    for (id, missing) in &book.missing {
        book.states.insert(*id, missing.state());
    }
    let holds = commands.iter().filter_map(|c| read::hold_of(c)).collect();
    book.holds = read::load_holds(tx.conn, &holds)?;
    for (of, original) in &mut book.originals {
        reversal::load_relations(tx.conn, *of, original)?;
    }
    Ok(())
}

/// Phase 5. False if others took a key or opened an account meanwhile; then nothing is written.
fn store_or_undo(tx: &mut Tx<'_>, plan: &Planner<'_>) -> Result<bool> {
    if plan.writes_one_row() {
        return write::store(tx.conn, plan, tx.now);
    }
    type Manager = <AnyConnection as Connection>::TransactionManager;
    Manager::begin_transaction(tx.conn)?;
    match write::store(tx.conn, plan, tx.now) {
        Ok(true) => Manager::commit_transaction(tx.conn)?,
        Ok(false) => {
            Manager::rollback_transaction(tx.conn)?;
            return Ok(false);
        }
        Err(fault) => {
            // If this fails too the transaction is beyond use, and so says its own end.
            let _ = Manager::rollback_transaction(tx.conn);
            return Err(fault);
        }
    }
    Ok(true)
}

/// The answer to the caller; how it differs from the first command with its key, if that is it.
fn tell(conn: &mut AnyConnection, ready: &Ready<'_>, answer: Answer) -> Result<Result<Outcome>> {
    Ok(match answer {
        Answer::Done(outcome) => Ok(outcome),
        Answer::Refused(refusal) => Err(refusal),
        Answer::ReusedTransaction(id) => {
            Err(differ::transaction(conn, ready.command, &ready.legs, id)?)
        }
        Answer::ReusedHold(id) => Err(differ::hold(conn, ready.command, id)?),
    })
}
