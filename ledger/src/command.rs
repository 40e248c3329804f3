//! Commands: what the book can be told to do, and what it answers.
//!
//! A [`Command`] is made where the caller is (its fingerprint is computed there), and run by the
//! engine: alone, with others, or linked to others.

use store::{AccountId, Amount, HoldId, Timestamp, TransactionId};

use crate::chart::Template;
use crate::fingerprint::{Encoder, Fingerprint};
use crate::hold::NewHold;
use crate::posting::{Kind, Late, Leg, NewTransaction, Posted, Relation};
use crate::{Error, Placed, Result};

/// One thing to do to the book, with the key under which it is done once.
#[derive(Clone, Debug)]
pub struct Command {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) body: Body,
}

/// What a command did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A transaction is in the book.
    Posted(Posted),
    /// A hold is.
    Held(Placed),
    /// A hold has ended, and gave this much back.
    Released(Amount),
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    Post(Draft),
    Hold(NewHold),
    Release { hold: HoldId, expired: bool },
}

/// A transaction as a command wants it.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub key: String,
    pub kind: Kind,
    /// `None`: the key itself.
    pub subject: Option<String>,
    /// `None`: the moment of posting, which then is no part of the body.
    pub effective_at: Option<Timestamp>,
    /// The hold that pays what is taken from its account.
    pub hold: Option<HoldId>,
    pub lines: Lines,
    pub relation: Option<(Relation, TransactionId)>,
    pub metadata: Vec<(String, String)>,
    pub late: Late,
}

/// Where a transaction's legs come from.
#[derive(Clone, Debug)]
pub(crate) enum Lines {
    Legs(Vec<Leg>),
    /// From the chart's template, whose accounts are opened on the way.
    Template(Box<Template>),
    /// The legs of the transaction that is referred to, the other way.
    Reversal,
    /// The part of them that gives this amount back to this account.
    Refund {
        account: AccountId,
        amount: Amount,
    },
}

impl Command {
    /// [`crate::post`].
    pub fn post(new: NewTransaction) -> Self {
        let fingerprint = encode(Encoder::new("post"), &new).end();
        Self { fingerprint, body: Body::Post(Draft::from(new)) }
    }

    /// [`crate::capture_hold`].
    pub fn capture(hold: HoldId, new: NewTransaction) -> Self {
        let fingerprint = encode(Encoder::new("capture").id(hold), &new).end();
        Self { fingerprint, body: Body::Post(Draft { hold: Some(hold), ..Draft::from(new) }) }
    }

    /// [`crate::place_hold`].
    pub fn hold(new: NewHold) -> Self {
        let fingerprint = Encoder::new("hold")
            .id(new.account)
            .amount(new.amount)
            .text(&new.subject)
            .moment(new.expires_at)
            .end();
        Self { fingerprint, body: Body::Hold(new) }
    }

    /// [`crate::release_hold`].
    pub fn release(hold: HoldId) -> Self {
        Self::end_hold(hold, false)
    }

    pub(crate) fn expire(hold: HoldId) -> Self {
        Self::end_hold(hold, true)
    }

    fn end_hold(hold: HoldId, expired: bool) -> Self {
        let fingerprint = Encoder::new("release").id(hold).end();
        Self { fingerprint, body: Body::Release { hold, expired } }
    }

    /// The same transaction with a name and a value to find it by: a part of its body.
    #[must_use]
    pub fn tagged(mut self, name: &str, value: &str) -> Self {
        if let Body::Post(draft) = &mut self.body {
            let print = Encoder::new("tagged").bytes(self.fingerprint.as_bytes());
            self.fingerprint = print.text(name).text(value).end();
            draft.metadata.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// The key under which it is done once; `None` for what is done once by nature.
    pub(crate) fn key(&self) -> Option<&str> {
        match &self.body {
            Body::Post(draft) => Some(&draft.key),
            Body::Hold(new) => Some(&new.key),
            Body::Release { .. } => None,
        }
    }
}

impl Draft {
    pub(crate) fn subject(&self) -> &str {
        self.subject.as_deref().unwrap_or(&self.key)
    }
}

impl From<NewTransaction> for Draft {
    fn from(new: NewTransaction) -> Self {
        Self {
            key: new.key,
            kind: new.kind,
            subject: Some(new.subject),
            effective_at: Some(new.effective_at),
            hold: None,
            lines: Lines::Legs(new.legs),
            relation: new.corrects.map(|of| (Relation::Corrects, of)),
            metadata: new.metadata.into_iter().collect(),
            late: new.late,
        }
    }
}

impl Outcome {
    /// The transaction that was posted.
    ///
    /// # Errors
    /// A fault: the command was another.
    pub fn posted(self) -> Result<Posted> {
        match self {
            Self::Posted(posted) => Ok(posted),
            _ => Err(Error::corrupt("the outcome of another command")),
        }
    }

    pub(crate) fn held(self) -> Result<Placed> {
        match self {
            Self::Held(placed) => Ok(placed),
            _ => Err(Error::corrupt("the outcome of another command")),
        }
    }

    pub(crate) fn released(self) -> Result<Amount> {
        match self {
            Self::Released(amount) => Ok(amount),
            _ => Err(Error::corrupt("the outcome of another command")),
        }
    }
}

/// The body of a transaction after the rest of its command. What is as usual says nothing, so that
/// keys from before there was more to say are still known.
fn encode(command: Encoder, new: &NewTransaction) -> Encoder {
    let mut body = command
        .text(new.kind.text())
        .text(&new.subject)
        .moment(Some(new.effective_at))
        .legs(&new.legs);
    if let Some(of) = new.corrects {
        body = body.text("corrects").id(of);
    }
    match new.late {
        Late::NextOpen => {}
        Late::Refuse => body = body.text("on time"),
        Late::Adjust => body = body.text("adjusting"),
    }
    for (name, value) in &new.metadata {
        body = body.text(name).text(value);
    }
    body
}
