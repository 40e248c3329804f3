//! The book as it should be, written from its documentation and too simple to be wrong: nothing is
//! read twice, nothing is locked, refusals are looked for in the order in which they are documented.

use std::collections::BTreeMap;

use ledger::{Code, Kind, Late, MAX_LEGS, MAX_METADATA, MAX_TEXT};
use store::{Day, Month, Timestamp};

use crate::command::{ASSETS, Account, Act, Answer, Group, Legs, Op, Step, StepAnswer, What};
use crate::state::{self, Head, HoldLine, Lines};

pub type Refusal = &'static str;

#[derive(Clone, Debug)]
pub struct Transaction {
    what: What,
    kind: Kind,
    subject: String,
    posted_at: i64,
    effective_at: i64,
    booked_on: Day,
    pub relation: Option<(&'static str, String)>,
    pub entries: Vec<state::Entry>,
    metadata: BTreeMap<String, String>,
    record: String,
}

#[derive(Clone, Debug)]
pub struct Hold {
    what: What,
    pub account: Account,
    amount: i64,
    captured: i64,
    released: i64,
    subject: String,
    created_at: i64,
    expires_at: Option<i64>,
    ended_at: Option<i64>,
    /// What happened, how much, to which transaction, when.
    events: Vec<(&'static str, i64, Option<String>, i64)>,
}

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub now: i64,
    /// What is redeemable in an asset, and micro-units of that for one unit of it.
    pub credits: BTreeMap<&'static str, (&'static str, i64)>,
    /// Debits less credits, and how many.
    pub accounts: BTreeMap<Account, (i64, i64)>,
    /// The moment of each account's last entry.
    last: BTreeMap<Account, i64>,
    pub transactions: BTreeMap<String, Transaction>,
    pub holds: BTreeMap<String, Hold>,
    months: BTreeMap<Month, &'static str>,
    month_events: Vec<(Month, &'static str, u8, String, i64)>,
}

/// A transaction on its way into the book.
pub(crate) struct Draft {
    pub kind: Kind,
    pub subject: String,
    pub effective_at: Option<i64>,
    pub late: Late,
    pub hold: Option<String>,
    pub legs: Legs,
    /// Accounts that are not there are opened.
    pub opens: bool,
    pub relation: Option<(&'static str, String)>,
    pub metadata: BTreeMap<String, String>,
    pub record: String,
}

pub fn own(account: &Account, amount: i128) -> i128 {
    match account.code {
        Code::Bank | Code::BonusExpense => amount,
        _ => -amount,
    }
}

fn may_overdraw(account: &Account) -> bool {
    !matches!(account.code, Code::CustomerWallet | Code::OwnerCash | Code::OwnerCredits)
}

fn fits(number: i128) -> Result<i64, Refusal> {
    i64::try_from(number).map_err(|_| "Overflow")
}

impl Hold {
    pub fn left(&self) -> i64 {
        self.amount - self.captured - self.released
    }

    fn happens(&mut self, event: &'static str, amount: i64, transaction: Option<&str>, at: i64) {
        self.events.push((event, amount, transaction.map(str::to_owned), at));
        if self.left() == 0 {
            self.ended_at = Some(at);
        }
    }
}

impl Model {
    pub fn step(&mut self, step: &Step) -> StepAnswer {
        match step {
            Step::Batch(groups) => {
                StepAnswer::Batch(groups.iter().map(|group| self.group(group)).collect())
            }
            Step::Expire(limit) => StepAnswer::Expired(self.expire(*limit)),
            Step::Months { act, month, by, reason } => {
                StepAnswer::Months(self.months(*act, *month, *by, reason))
            }
            Step::Wait(us) => {
                self.now += us;
                StepAnswer::Nothing
            }
        }
    }

    fn group(&mut self, group: &Group) -> Vec<Answer> {
        if !group.linked {
            return group.ops.iter().map(|op| self.apply(op)).collect();
        }
        let before = self.clone();
        let mut answers = Vec::new();
        for op in &group.ops {
            answers.push(self.apply(op));
            if matches!(answers.last(), Some(Answer::Refused(_))) {
                *self = before;
                let at = answers.len() - 1;
                answers[..at].fill(Answer::Refused("LinkedFailed"));
                answers.resize(group.ops.len(), Answer::Refused("LinkedFailed"));
                break;
            }
        }
        answers
    }

    pub fn apply(&mut self, op: &Op) -> Answer {
        let answer = match &op.what {
            What::Hold { account, amount, subject, expires_at } => {
                self.place(op, *account, *amount, subject, *expires_at)
            }
            What::Release => self.release(&op.key),
            _ => self.post(op),
        };
        answer.unwrap_or_else(Answer::Refused)
    }

    /// What the account has in its own direction, and what is held of it.
    fn balance(&self, account: &Account) -> (i128, i128) {
        let posted = self.accounts.get(account).map_or(0, |(posted, _)| *posted);
        let holds = self.holds.values().filter(|hold| hold.account == *account);
        (own(account, posted.into()), holds.map(|hold| i128::from(hold.left())).sum())
    }

    pub fn available(&self, account: &Account) -> i64 {
        let (posted, held) = self.balance(account);
        i64::try_from(posted - held).unwrap()
    }

    fn post(&mut self, op: &Op) -> Result<Answer, Refusal> {
        let key = op.book_key();
        if let Some(known) = self.transactions.get(&key) {
            let same = known.what == op.body();
            return if same { Ok(Answer::Posted { replayed: true }) } else { Err("KeyReused") };
        }
        let draft = self.draft(op)?;
        self.check_legs(&draft)?;
        // Another process's clock may have been ahead: an account's entries are in order of time.
        let last = draft.legs.iter().filter_map(|(account, _)| self.last.get(account));
        let posted_at = last.fold(self.now, |latest, at| latest.max(*at));
        let effective_at = draft.effective_at.unwrap_or(posted_at);
        let booked_on = self.book(effective_at, draft.late)?;
        let captured = match &draft.hold {
            Some(hold) => Some((hold.clone(), self.capturable(hold, &draft.legs)?)),
            None => None,
        };
        self.check_funds(&draft.legs, captured.as_ref())?;
        if let Some((hold, amount)) = &captured {
            let hold = self.holds.get_mut(hold).unwrap();
            hold.captured += amount;
            hold.happens("captured", *amount, Some(&key), self.now);
        }
        let mut entries = Vec::new();
        for (account, amount) in draft.legs {
            let (posted, count) = self.accounts.entry(account).or_default();
            *posted += amount;
            *count += 1;
            entries.push((account, amount, *count, *posted));
            self.last.insert(account, posted_at);
        }
        let Draft { kind, subject, relation, metadata, record, .. } = draft;
        let posted = Transaction {
            what: op.body(),
            kind,
            subject,
            posted_at,
            effective_at,
            booked_on,
            relation,
            entries,
            metadata,
            record,
        };
        self.transactions.insert(key, posted);
        Ok(Answer::Posted { replayed: false })
    }

    fn check_legs(&self, draft: &Draft) -> Result<(), Refusal> {
        let Draft { legs, opens, .. } = draft;
        if legs.is_empty() {
            return Err("NoLegs");
        }
        if legs.len() > MAX_LEGS {
            return Err("TooManyLegs");
        }
        if legs.iter().any(|(_, amount)| *amount == 0) {
            return Err("ZeroLeg");
        }
        for (account, _) in legs {
            if legs.iter().filter(|(other, _)| other == account).count() > 1 {
                return Err("SameAccount");
            }
        }
        if !opens && legs.iter().any(|(account, _)| !self.accounts.contains_key(account)) {
            return Err("UnknownAccount");
        }
        for asset in ASSETS {
            let of_asset = legs.iter().filter(|(account, _)| account.asset == asset);
            if of_asset.map(|(_, amount)| i128::from(*amount)).sum::<i128>() != 0 {
                return Err("Unbalanced");
            }
        }
        Ok(())
    }

    /// The day of the books.
    fn book(&self, effective_at: i64, late: Late) -> Result<Day, Refusal> {
        let day = Day::of(Timestamp(effective_at));
        let is_closed = |month| self.months.get(&month).is_some_and(|state| *state != "open");
        let mut month = day.month();
        if !is_closed(month) {
            return Ok(day);
        }
        if late == Late::Refuse {
            return Err("MonthClosed");
        }
        while is_closed(month) {
            month = Month(month.0 + 1);
        }
        Ok(month.first_day())
    }

    fn capturable(&self, hold: &str, legs: &Legs) -> Result<i64, Refusal> {
        let hold = self.holds.get(hold).ok_or("UnknownHold")?;
        let leg = legs.iter().find(|(account, _)| *account == hold.account);
        let taken = leg.map_or(0, |(account, amount)| -own(account, (*amount).into()));
        if taken <= 0 {
            return Err("NothingCaptured");
        }
        if hold.left() == 0 {
            return Err("HoldEnded");
        }
        if taken > hold.left().into() {
            return Err("OverCapture");
        }
        fits(taken)
    }

    fn check_funds(&self, legs: &Legs, captured: Option<&(String, i64)>) -> Result<(), Refusal> {
        let from_hold = |account| match captured {
            Some((hold, amount)) if self.holds[hold].account == account => i128::from(*amount),
            _ => 0,
        };
        for (account, amount) in legs {
            let (posted, held) = self.balance(account);
            let after = posted + own(account, (*amount).into());
            let stored = self.accounts.get(account).map_or(0, |(posted, _)| *posted);
            fits(i128::from(stored) + i128::from(*amount))?;
            fits(after)?;
            fits(after - held + from_hold(*account))?;
        }
        for (account, amount) in legs {
            let (posted, held) = self.balance(account);
            let taken = -own(account, (*amount).into()) - from_hold(*account);
            if taken > 0 && taken > posted - held && !may_overdraw(account) {
                return Err("InsufficientFunds");
            }
        }
        Ok(())
    }

    fn place(
        &mut self,
        op: &Op,
        account: Account,
        amount: i64,
        subject: &str,
        expires_at: Option<i64>,
    ) -> Result<Answer, Refusal> {
        if let Some(known) = self.holds.get(&op.key) {
            let same = known.what == op.what;
            return if same { Ok(Answer::Held { replayed: true }) } else { Err("KeyReused") };
        }
        check_key(&op.key)?;
        check_text(subject)?;
        if amount <= 0 {
            return Err("NotPositive");
        }
        if !self.accounts.contains_key(&account) {
            return Err("UnknownAccount");
        }
        let (posted, held) = self.balance(&account);
        fits(held + i128::from(amount))?;
        fits(posted - held - i128::from(amount))?;
        if posted - held < amount.into() && !may_overdraw(&account) {
            return Err("InsufficientFunds");
        }
        let placed = Hold {
            what: op.what.clone(),
            account,
            amount,
            captured: 0,
            released: 0,
            subject: subject.to_owned(),
            created_at: self.now,
            expires_at,
            ended_at: None,
            events: vec![("placed", amount, None, self.now)],
        };
        self.holds.insert(op.key.clone(), placed);
        Ok(Answer::Held { replayed: false })
    }

    fn release(&mut self, key: &str) -> Result<Answer, Refusal> {
        let now = self.now;
        let hold = self.holds.get_mut(key).ok_or("UnknownHold")?;
        let left = hold.left();
        if left > 0 {
            hold.released += left;
            hold.happens("released", left, None, now);
        }
        Ok(Answer::Released(left))
    }

    fn expire(&mut self, limit: usize) -> Vec<String> {
        let now = self.now;
        let over =
            |hold: &&mut Hold| hold.left() > 0 && hold.expires_at.is_some_and(|at| at <= now);
        let expired = self.holds.iter_mut().filter(|(_, hold)| over(hold));
        let mut expired: Vec<_> = expired.collect();
        expired.sort_by_key(|(_, hold)| hold.expires_at);
        expired.truncate(limit);
        for (_, hold) in &mut expired {
            let left = hold.left();
            hold.released += left;
            hold.happens("expired", left, None, now);
        }
        expired.into_iter().map(|(key, _)| key.clone()).collect()
    }

    fn months(&mut self, act: Act, month: Month, by: u8, reason: &str) -> Result<(), Refusal> {
        check_reason(reason)?;
        let state = self.months.get(&month).copied().unwrap_or("open");
        let hour = 3_600_000_000;
        let asks =
            |event: &&(Month, &str, u8, String, i64)| event.0 == month && event.1 == "reopen_asked";
        let asked_by = self.month_events.iter().rfind(asks).map(|event| event.2);
        let (after, kind) = match act {
            Act::Close if self.now < month.end().0 + hour => return Err("MonthNotOver"),
            Act::Close if state != "open" => return Err("MonthClosed"),
            Act::Close => ("closed", "closed"),
            Act::AskToReopen if state != "closed" => return Err("MonthNotClosed"),
            Act::AskToReopen => ("reopening", "reopen_asked"),
            Act::Reopen if state != "reopening" => return Err("MonthNotClosed"),
            Act::Reopen if asked_by == Some(by) => return Err("SamePerson"),
            Act::Reopen => ("open", "reopened"),
        };
        self.months.insert(month, after);
        let last = self.month_events.iter().rfind(|event| event.0 == month);
        let at = last.map_or(self.now, |event| self.now.max(event.4 + 1));
        self.month_events.push((month, kind, by, reason.to_owned(), at));
        Ok(())
    }

    pub fn closed_months(&self) -> impl Iterator<Item = Month> {
        self.months.iter().filter(|(_, state)| **state != "open").map(|(month, _)| *month)
    }

    /// All of the book.
    pub fn lines(&self) -> Lines {
        let mut lines = Lines::new();
        for (account, (posted, entries)) in &self.accounts {
            let held = i64::try_from(self.balance(account).1).unwrap();
            lines.insert(state::account_line(account, *posted, held, *entries));
        }
        for (key, transaction) in &self.transactions {
            let relation = transaction.relation.as_ref();
            let head = Head {
                key,
                kind: transaction.kind.text(),
                subject: &transaction.subject,
                posted_at: transaction.posted_at,
                effective_at: transaction.effective_at,
                booked_on: transaction.booked_on,
                relation: relation.map(|(relation, of)| (*relation, &**of)),
            };
            let Transaction { entries, metadata, record, .. } = transaction;
            lines.insert(state::transaction_line(&head, entries, metadata, record));
        }
        for (key, hold) in &self.holds {
            lines.insert(state::hold_line(&HoldLine {
                key,
                account: hold.account,
                subject: &hold.subject,
                amounts: [hold.amount, hold.captured, hold.released],
                open: hold.left() > 0,
                created_at: hold.created_at,
                expires_at: hold.expires_at,
                ended_at: hold.ended_at,
            }));
            for (n, (kind, amount, of, at)) in hold.events.iter().enumerate() {
                lines.insert(state::event_line(key, n + 1, kind, *amount, of.as_deref(), *at));
            }
        }
        lines.extend(self.months.iter().map(|(month, state)| state::month_line(*month, state)));
        let mut events = self.month_events.clone();
        events.sort_by_key(|event| event.0);
        let events = events.iter().enumerate();
        lines.extend(events.map(|(n, (month, kind, by, reason, at))| {
            state::month_event_line(n, *month, kind, *by, reason, *at)
        }));
        lines
    }
}

pub fn check_key(key: &str) -> Result<(), Refusal> {
    let sound = !key.is_empty() && key.len() <= MAX_TEXT && !key.contains('\0');
    if sound { Ok(()) } else { Err("BadKey") }
}

pub fn check_text(text: &str) -> Result<(), Refusal> {
    if text.len() <= MAX_TEXT && !text.contains('\0') { Ok(()) } else { Err("BadText") }
}

pub fn check_reason(reason: &str) -> Result<(), Refusal> {
    if reason.trim().is_empty() { Err("BadText") } else { check_text(reason) }
}

pub fn check_metadata(metadata: &BTreeMap<String, String>) -> Result<(), Refusal> {
    if metadata.len() > MAX_METADATA {
        return Err("BadText");
    }
    metadata.iter().try_for_each(|(name, value)| check_text(name).and(check_text(value)))
}
