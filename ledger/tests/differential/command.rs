//! A log of commands as every side is told it: accounts by name, holds and transactions by key.

use std::collections::BTreeMap;

use ledger::chart::PayIn;
use ledger::{Code, Kind, Late};
use store::{DepositId, LeaseId, Month, PayoutId};

/// What no side has: a hold or a transaction with this key.
pub const NOWHERE: &str = "nowhere";
/// An account that no side has.
pub const NOBODY: Account = Account { code: Code::Bank, party: 99, asset: "USD" };
/// Assets that are there, as rows of data; XTS is for amounts at the edge of the range.
pub const ASSETS: [&str; 5] = ["USD", "EUR", "CREDIT", "POINT", "XTS"];
/// An asset that is not there.
pub const NO_ASSET: &str = "XAU";
pub const MICROS: i64 = 1_000_000;
pub const DAY: i64 = 86_400 * MICROS;

/// An account by what it is. Party 0 is the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account {
    pub code: Code,
    pub party: u8,
    pub asset: &'static str,
}

/// Debits positive.
pub type Legs = Vec<(Account, i64)>;

#[derive(Clone, Debug, PartialEq)]
pub struct Post {
    pub kind: Kind,
    pub subject: String,
    pub effective_at: i64,
    pub legs: Legs,
    pub corrects: Option<String>,
    pub metadata: BTreeMap<String, String>,
    pub late: Late,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Settle {
    pub lease: u32,
    pub hold: String,
    pub customer: u8,
    pub owner: u8,
    pub asset: &'static str,
    pub seconds: i64,
    pub price: i64,
    pub amount: i64,
    pub fee_ppm: u32,
    pub pay_in: PayIn,
    pub effective_at: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Post(Post),
    Capture {
        hold: String,
        post: Post,
    },
    Hold {
        account: Account,
        amount: i64,
        subject: String,
        expires_at: Option<i64>,
    },
    /// Of the hold with the command's key.
    Release,
    Deposit {
        id: u32,
        customer: u8,
        asset: &'static str,
        amount: i64,
    },
    PayOut {
        id: u32,
        hold: String,
        owner: u8,
        asset: &'static str,
        amount: i64,
    },
    Confirm {
        id: u32,
        asset: &'static str,
        amount: i64,
    },
    Return {
        id: u32,
        owner: u8,
        asset: &'static str,
        amount: i64,
    },
    Settle(Settle),
    Convert {
        customer: u8,
        sold_asset: &'static str,
        sold: i64,
        bought_asset: &'static str,
        rate_ppm: i64,
    },
    Redeem {
        owner: u8,
        asset: &'static str,
        credits: i64,
    },
    Reverse {
        of: String,
        reason: String,
        effective_at: Option<i64>,
    },
    Refund {
        of: String,
        account: Account,
        amount: i64,
        reason: String,
    },
}

/// A command. Its key says nothing where the chart makes the key from an id.
#[derive(Clone, Debug, PartialEq)]
pub struct Op {
    pub key: String,
    pub what: What,
}

impl Op {
    /// The key under which it is in the book.
    pub fn book_key(&self) -> String {
        match &self.what {
            What::Deposit { id, .. } => DepositId::from_bytes(bytes(*id)).to_string(),
            What::PayOut { id, .. } => PayoutId::from_bytes(bytes(*id)).to_string(),
            What::Confirm { id, .. } => format!("{}:confirmed", PayoutId::from_bytes(bytes(*id))),
            What::Return { id, .. } => format!("{}:returned", PayoutId::from_bytes(bytes(*id))),
            What::Settle(settle) => LeaseId::from_bytes(bytes(settle.lease)).to_string(),
            _ => self.key.clone(),
        }
    }

    /// What it says; the order of legs says nothing.
    pub fn body(&self) -> What {
        let mut what = self.what.clone();
        if let What::Post(post) | What::Capture { post, .. } = &mut what {
            post.legs.sort_unstable();
        }
        what
    }
}

/// The bytes of the id with this number.
pub fn bytes(number: u32) -> [u8; 16] {
    let mut bytes = [1; 16];
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// The bytes of a party's id: the platform's are zero.
pub fn party_bytes(party: u8) -> [u8; 16] {
    [party; 16]
}

#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    pub ops: Vec<Op>,
    pub linked: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Close,
    AskToReopen,
    Reopen,
}

/// A part of the log. References in a batch are to what was there before it, so that it can be cut
/// into transactions at will.
#[derive(Clone, Debug)]
pub enum Step {
    Batch(Vec<Group>),
    Expire(usize),
    Months { act: Act, month: Month, by: u8, reason: String },
    Wait(i64),
}

/// What a command answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Posted { replayed: bool },
    Held { replayed: bool },
    Released(i64),
    Refused(&'static str),
}

#[derive(Clone, Debug, PartialEq)]
pub enum StepAnswer {
    /// By group.
    Batch(Vec<Vec<Answer>>),
    /// The keys of holds that expired, in order.
    Expired(Vec<String>),
    Months(Result<(), &'static str>),
    Nothing,
}
