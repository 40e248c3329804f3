//! Decides what a batch of commands does to the book. Pure: what was read goes in, what to answer
//! and what to write comes out.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use store::{
    AccountId, Amount, Day, HoldEventId, HoldId, IdSource, Month, PartyId, Timestamp, TransactionId,
};

use super::differ;
use super::fold::{self, States};
use crate::chart::Record;
use crate::command::{Body, Command, Draft, Lines, Outcome};
use crate::fingerprint::Fingerprint;
use crate::hold::{Event, HoldState, NewHold};
use crate::posting::{Late, Leg, MAX_METADATA, MAX_TEXT, Relation};
use crate::reversal::{self, Original};
use crate::{Code, Error, Placed, Posted, Result};

/// What was read for a batch, its balances under lock.
#[derive(Default)]
pub(super) struct Book {
    pub states: States,
    /// Accounts that are not there yet, with the ids that they get.
    pub missing: BTreeMap<AccountId, MissingAccount>,
    pub holds: HashMap<HoldId, HoldState>,
    /// Keys that are known to be there, with their fingerprints.
    pub transactions: HashMap<String, (TransactionId, Vec<u8>)>,
    pub hold_keys: HashMap<String, (HoldId, Vec<u8>)>,
    pub originals: HashMap<TransactionId, Original>,
    /// Months that are closed, if any command is late.
    pub closed: BTreeSet<Month>,
    /// Those of them that are closed softly.
    pub soft: BTreeSet<Month>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MissingAccount {
    pub code: Code,
    pub party: PartyId,
    pub asset: String,
    pub least: i64,
}

impl MissingAccount {
    /// As it is when it is opened.
    pub(super) fn state(&self) -> fold::State {
        fold::State {
            code: self.code,
            asset: self.asset.as_str().into(),
            least: self.least,
            posted: Amount::ZERO,
            held: Amount::ZERO,
            entries: 0,
            last_posted_at: Timestamp(0),
            changed: false,
        }
    }
}

/// A command with its legs found out.
pub(super) struct Ready<'a> {
    pub command: &'a Command,
    pub legs: Cow<'a, [Leg]>,
    pub record: Option<Record>,
    /// What is wrong with it already.
    pub refused: Cell<Option<Error>>,
}

/// What a command comes to.
pub(super) enum Answer {
    Done(Outcome),
    Refused(Error),
    /// Its key is another transaction's.
    ReusedTransaction(TransactionId),
    /// Its key is another hold's.
    ReusedHold(HoldId),
}

/// Rows to write, in order.
#[derive(Default)]
pub(super) struct Writes<'a> {
    pub transactions: Vec<TransactionRow<'a>>,
    pub entries: Vec<(TransactionId, i32, fold::Folded)>,
    pub holds: Vec<(HoldId, &'a NewHold, &'a Fingerprint)>,
    pub changed_holds: BTreeSet<HoldId>,
    pub events: Vec<EventRow>,
    pub records: Vec<(TransactionId, Record)>,
}

pub(super) struct TransactionRow<'a> {
    pub id: TransactionId,
    pub draft: &'a Draft,
    pub fingerprint: &'a Fingerprint,
    pub posted_at: Timestamp,
    pub effective_at: Timestamp,
    pub booked_on: Day,
}

pub(super) struct EventRow {
    pub id: HoldEventId,
    pub hold: HoldId,
    pub number: i32,
    pub event: Event,
    pub amount: Amount,
}

/// Folds commands one after another.
pub(super) struct Planner<'a> {
    pub book: Book,
    pub writes: Writes<'a>,
    now: Timestamp,
    ids: &'a IdSource,
    /// Keys taken in this batch.
    posted: HashMap<&'a str, (TransactionId, &'a Fingerprint)>,
    held: HashMap<&'a str, (HoldId, &'a Fingerprint)>,
}

impl<'a> Planner<'a> {
    pub(super) fn new(book: Book, now: Timestamp, ids: &'a IdSource) -> Self {
        let (posted, held) = (HashMap::new(), HashMap::new());
        Self { book, writes: Writes::default(), now, ids, posted, held }
    }

    /// True if all that can be taken meanwhile is the key of one command.
    pub(super) fn writes_one_row(&self) -> bool {
        let opens = |id| self.book.states.get(id).is_some_and(|state| state.changed);
        self.writes.transactions.len() + self.writes.holds.len() <= 1
            && !self.book.missing.keys().any(opens)
    }

    /// What a group of commands comes to: of one alone, what it does; of several, what all do, or
    /// nothing if one is refused.
    pub(super) fn group(&mut self, group: &[Ready<'a>]) -> Vec<Answer> {
        let [alone] = group else { return self.linked(group) };
        vec![self.command(alone)]
    }

    fn linked(&mut self, group: &[Ready<'a>]) -> Vec<Answer> {
        let before = self.mark(group);
        let mut answers = Vec::with_capacity(group.len());
        for ready in group {
            let answer = self.command(ready);
            if matches!(answer, Answer::Done(_)) {
                answers.push(answer);
                continue;
            }
            self.undo(before);
            answers.fill_with(|| Answer::Refused(Error::LinkedFailed));
            answers.push(self.after_undo(ready, answer));
            answers.resize_with(group.len(), || Answer::Refused(Error::LinkedFailed));
            break;
        }
        answers
    }

    /// The key that was used already may be that of a command of the same group: then the other is
    /// not in the book, and cannot be looked up there.
    fn after_undo(&self, ready: &Ready<'a>, failed: Answer) -> Answer {
        let Some(key) = ready.command.key() else { return failed };
        let Self { book, posted, held, .. } = self;
        let gone = match failed {
            Answer::ReusedTransaction(_) => {
                !book.transactions.contains_key(key) && !posted.contains_key(key)
            }
            Answer::ReusedHold(_) => !book.hold_keys.contains_key(key) && !held.contains_key(key),
            Answer::Done(_) | Answer::Refused(_) => false,
        };
        if gone { Answer::Refused(differ::reused(key, Vec::new())) } else { failed }
    }

    fn command(&mut self, ready: &Ready<'a>) -> Answer {
        match &ready.command.body {
            Body::Post(draft) => self.post(ready, draft),
            Body::Hold(new) => self.hold(ready.command, new),
            Body::Release { hold, expired } => done(self.release(*hold, *expired)),
        }
    }

    fn post(&mut self, ready: &Ready<'a>, draft: &'a Draft) -> Answer {
        let known = self.book.transactions.get(&draft.key).map(|(id, print)| (*id, &print[..]));
        let taken = || self.posted.get(&*draft.key).map(|(id, print)| (*id, print.as_bytes()));
        match known.or_else(taken) {
            Some((id, print)) if print == ready.command.fingerprint.as_bytes() => {
                Answer::Done(Outcome::Posted(Posted { id, replayed: true }))
            }
            Some((id, _)) => Answer::ReusedTransaction(id),
            None => done(self.post_new(ready, draft)),
        }
    }

    fn post_new(&mut self, ready: &Ready<'a>, draft: &'a Draft) -> Result<Outcome> {
        check_texts(draft)?;
        if let Some(refused) = ready.refused.take() {
            return Err(refused);
        }
        let legs = self.legs(ready, draft)?;
        fold::check_legs(&legs)?;
        fold::check_sums(&self.book.states, &legs)?;
        let last =
            legs.iter().filter_map(|leg| Some(self.book.states.get(&leg.account)?.last_posted_at));
        let posted_at = last.fold(self.now, Timestamp::max);
        let effective_at = draft.effective_at.unwrap_or(posted_at);
        let booked_on = book_on(effective_at, self.now, &self.book, draft.late)?;
        self.check_relation(draft)?;
        let capture = match draft.hold {
            Some(id) => {
                let hold = self.book.holds.get(&id).ok_or(Error::UnknownHold(id))?;
                Some((id, fold::fold_capture(&self.book.states, &legs, id, hold)?))
            }
            None => None,
        };
        let captured = capture.as_ref().map(|(_, (captured, _))| *captured);
        let entries = fold::fold_transaction(&mut self.book.states, &legs, captured, posted_at)?;
        let id = self.ids.id(posted_at);
        let fingerprint = &ready.command.fingerprint;
        let row = TransactionRow { id, draft, fingerprint, posted_at, effective_at, booked_on };
        self.writes.transactions.push(row);
        self.writes.entries.extend((1..).zip(entries).map(|(line, entry)| (id, line, entry)));
        if let Some(record) = ready.record.clone() {
            self.writes.records.push((id, record));
        }
        if let Some((hold, (captured, after))) = capture {
            self.change_hold(hold, after, Event::Captured(id), captured.amount);
        }
        self.relate(draft, &legs);
        self.posted.insert(&draft.key, (id, fingerprint));
        Ok(Outcome::Posted(Posted { id, replayed: false }))
    }

    /// The legs of a transaction; of a refund, once it is known what was given back before.
    fn legs<'b>(&self, ready: &'b Ready<'a>, draft: &Draft) -> Result<Cow<'b, [Leg]>> {
        let (Some((_, of)), Lines::Refund { account, amount }) = (draft.relation, &draft.lines)
        else {
            return Ok(Cow::Borrowed(&ready.legs));
        };
        let original = self.book.originals.get(&of).ok_or(Error::UnknownTransaction(of))?;
        reversal::plan_refund(of, original, *account, *amount, &self.book.states).map(Cow::Owned)
    }

    fn check_relation(&self, draft: &Draft) -> Result<()> {
        let Some((relation, of)) = draft.relation else { return Ok(()) };
        let original = self.book.originals.get(&of).ok_or(Error::UnknownTransaction(of))?;
        match relation {
            Relation::Corrects => Ok(()),
            _ if original.reversed => Err(Error::AlreadyReversed(of)),
            Relation::Reverses if original.is_refunded() => Err(Error::AlreadyRefunded(of)),
            Relation::Reverses | Relation::Refunds => Ok(()),
        }
    }

    /// Lets the next command of the batch see what this one did to the transaction it refers to.
    fn relate(&mut self, draft: &Draft, legs: &[Leg]) {
        let Some((relation, of)) = draft.relation else { return };
        if let Some(original) = self.book.originals.get_mut(&of) {
            original.relate(relation, legs);
        }
    }

    fn hold(&mut self, command: &'a Command, new: &'a NewHold) -> Answer {
        let known = self.book.hold_keys.get(&new.key).map(|(id, print)| (*id, &print[..]));
        let taken = || self.held.get(&*new.key).map(|(id, print)| (*id, print.as_bytes()));
        match known.or_else(taken) {
            Some((id, print)) if print == command.fingerprint.as_bytes() => {
                Answer::Done(Outcome::Held(Placed { id, replayed: true }))
            }
            Some((id, _)) => Answer::ReusedHold(id),
            None => done(self.hold_new(command, new)),
        }
    }

    fn hold_new(&mut self, command: &'a Command, new: &'a NewHold) -> Result<Outcome> {
        check_key(&new.key)?;
        check_text(&new.subject)?;
        if !new.amount.is_positive() {
            return Err(Error::NotPositive);
        }
        fold::fold_hold(&mut self.book.states, new.account, new.amount)?;
        let id = self.ids.id(self.now);
        self.writes.holds.push((id, new, &command.fingerprint));
        let placed = HoldState {
            account: new.account,
            amount: new.amount,
            captured: Amount::ZERO,
            released: Amount::ZERO,
            open: true,
            subject: new.subject.clone(),
            events: 0,
        };
        self.change_hold(id, placed, Event::Placed, new.amount);
        self.held.insert(&new.key, (id, &command.fingerprint));
        Ok(Outcome::Held(Placed { id, replayed: false }))
    }

    fn release(&mut self, id: HoldId, expired: bool) -> Result<Outcome> {
        let hold = self.book.holds.get(&id).ok_or(Error::UnknownHold(id))?;
        if !hold.open {
            return Ok(Outcome::Released(Amount::ZERO));
        }
        let (amount, after) = fold::fold_release(&mut self.book.states, hold)?;
        let event = if expired { Event::Expired } else { Event::Released };
        self.change_hold(id, after, event, amount);
        Ok(Outcome::Released(amount))
    }

    fn change_hold(&mut self, id: HoldId, mut after: HoldState, event: Event, amount: Amount) {
        after.events += 1;
        let number = after.events;
        self.writes.events.push(EventRow {
            id: self.ids.id(self.now),
            hold: id,
            number,
            event,
            amount,
        });
        if event != Event::Placed {
            self.writes.changed_holds.insert(id);
        }
        self.book.holds.insert(id, after);
    }
}

/// The state of a planner before a group of linked commands.
struct Mark {
    states: Vec<(AccountId, fold::State)>,
    holds: Vec<(HoldId, Option<HoldState>)>,
    originals: Vec<(TransactionId, Original)>,
    lengths: [usize; 5],
    changed_holds: BTreeSet<HoldId>,
}

impl<'a> Planner<'a> {
    fn mark(&self, group: &[Ready<'a>]) -> Mark {
        let mut mark = Mark {
            states: Vec::new(),
            holds: Vec::new(),
            originals: self.book.originals.clone().into_iter().collect(),
            lengths: self.lengths(),
            changed_holds: self.writes.changed_holds.clone(),
        };
        let accounts = group.iter().flat_map(|ready| super::read::accounts_of(ready, &self.book));
        for id in accounts.collect::<BTreeSet<_>>() {
            mark.states.extend(self.book.states.get(&id).map(|state| (id, state.clone())));
        }
        for id in group.iter().filter_map(|ready| super::read::hold_of(ready.command)) {
            mark.holds.push((id, self.book.holds.get(&id).cloned()));
        }
        mark
    }

    fn lengths(&self) -> [usize; 5] {
        let Writes { transactions, entries, holds, events, records, .. } = &self.writes;
        [transactions.len(), entries.len(), holds.len(), events.len(), records.len()]
    }

    fn undo(&mut self, mark: Mark) {
        self.book.states.extend(mark.states);
        self.book.originals = mark.originals.into_iter().collect();
        for (id, hold) in mark.holds {
            match hold {
                Some(hold) => self.book.holds.insert(id, hold),
                None => self.book.holds.remove(&id),
            };
        }
        let writes = &mut self.writes;
        let [transactions, entries, holds, events, records] = mark.lengths;
        for row in writes.transactions.drain(transactions..) {
            self.posted.remove(&*row.draft.key);
        }
        for (_, new, _) in writes.holds.drain(holds..) {
            self.held.remove(&*new.key);
        }
        writes.entries.truncate(entries);
        writes.events.truncate(events);
        writes.records.truncate(records);
        writes.changed_holds = mark.changed_holds;
    }
}

fn done(result: Result<Outcome>) -> Answer {
    match result {
        Ok(outcome) => Answer::Done(outcome),
        Err(error) => Answer::Refused(error),
    }
}

/// The day of the books for what counts at a moment. Months end by being closed, and only those
/// that are over can be: what counts this month or later is in time.
fn book_on(effective_at: Timestamp, now: Timestamp, book: &Book, late: Late) -> Result<Day> {
    let Book { closed, soft, .. } = book;
    let day = Day::of(effective_at);
    let mut month = day.month();
    if !closed.contains(&month) || month >= Day::of(now).month() {
        return Ok(day);
    }
    match late {
        Late::NextOpen => {}
        Late::Adjust if soft.contains(&month) => return Ok(day),
        Late::Refuse | Late::Adjust => return Err(Error::MonthClosed(month)),
    }
    while closed.contains(&month) {
        month = month.next();
    }
    Ok(month.first_day())
}

fn check_texts(draft: &Draft) -> Result<()> {
    check_key(&draft.key)?;
    check_text(draft.subject())?;
    if draft.metadata.len() > MAX_METADATA {
        return Err(Error::BadText);
    }
    for (n, (name, value)) in draft.metadata.iter().enumerate() {
        check_text(name)?;
        check_text(value)?;
        if name.is_empty() || draft.metadata[..n].iter().any(|(other, _)| other == name) {
            return Err(Error::BadText);
        }
    }
    let undoes = matches!(draft.lines, Lines::Reversal | Lines::Refund { .. });
    if undoes && draft.metadata.iter().any(|(_, reason)| reason.trim().is_empty()) {
        return Err(Error::BadText);
    }
    Ok(())
}

fn check_key(key: &str) -> Result<()> {
    if key.is_empty() || key.len() > MAX_TEXT || key.contains('\0') {
        Err(Error::BadKey)
    } else {
        Ok(())
    }
}

/// PostgreSQL's texts have no NUL.
fn check_text(text: &str) -> Result<()> {
    if text.len() > MAX_TEXT || text.contains('\0') { Err(Error::BadText) } else { Ok(()) }
}
