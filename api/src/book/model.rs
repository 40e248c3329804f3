//! The book on the wire, and on the last line of the command line.

use std::collections::BTreeMap;

use ledger::explain;
use ledger::report::{self, AsOf, path};
use serde::Serialize;
use store::{AccountId, Amount, Day, HoldId, PartyId, Timestamp, TransactionId};
use utoipa::ToSchema;

/// The platform itself has no id.
fn party(id: PartyId) -> Option<PartyId> {
    (id != PartyId::NIL).then_some(id)
}

/// A place in the chart, in one asset. Assets and expenses grow by debits, all else by credits.
#[derive(Serialize, ToSchema)]
pub struct ChartNode {
    #[schema(example = "Liabilities:Customers:Wallets")]
    pub path: String,
    #[schema(example = "USD")]
    pub asset: String,
    /// What accounts at this very place have.
    #[schema(value_type = String, example = "12.340000")]
    pub own: Amount,
    /// What they and all accounts below have.
    #[schema(value_type = String, example = "12.340000")]
    pub total: Amount,
    pub accounts: u64,
}

impl From<report::Node> for ChartNode {
    fn from(node: report::Node) -> Self {
        let report::Node { path, asset, own, total, accounts } = node;
        Self { path, asset, own, total, accounts }
    }
}

/// An account, in its own direction.
#[derive(Serialize, ToSchema)]
pub struct Account {
    #[schema(value_type = String, example = "acct_01kayz3v8ne7m9xqk2y4t6w8b0")]
    pub account: AccountId,
    #[schema(example = "Liabilities:Customers:Wallets")]
    pub path: &'static str,
    #[schema(example = "customer_wallet")]
    pub code: &'static str,
    /// Whose it is; none is the platform's own.
    #[schema(value_type = Option<String>)]
    pub party: Option<PartyId>,
    #[schema(example = "USD")]
    pub asset: String,
    #[schema(value_type = String, example = "12.340000")]
    pub posted: Amount,
    /// What open holds keep back; known of now only.
    #[schema(value_type = Option<String>, example = "0.000000")]
    pub held: Option<Amount>,
    /// Posted less held.
    #[schema(value_type = Option<String>, example = "12.340000")]
    pub available: Option<Amount>,
}

impl Account {
    pub fn new(row: report::AccountBalance, as_of: AsOf) -> Self {
        let now = as_of == AsOf::Now;
        Self {
            account: row.account,
            path: path(row.code),
            code: row.code.text(),
            party: party(row.party),
            asset: row.asset,
            posted: row.balance.posted,
            held: now.then_some(row.balance.held),
            available: now.then(|| row.balance.available()),
        }
    }
}

/// A line of an account's history, in the account's own direction.
#[derive(Serialize, ToSchema)]
#[schema(as = LedgerEntry)]
pub struct Entry {
    #[schema(value_type = String, example = "tx_01kayz3v8ne7m9xqk2y4t6w8b0")]
    transaction: TransactionId,
    #[schema(example = "settlement")]
    kind: String,
    subject: String,
    #[schema(value_type = String, format = "date-time")]
    posted_at: Timestamp,
    #[schema(value_type = String, format = "date-time")]
    effective_at: Timestamp,
    /// The day of the books.
    #[schema(value_type = String, format = "date")]
    booked_on: Day,
    #[schema(value_type = String, example = "-0.012689")]
    amount: Amount,
    #[schema(value_type = String, example = "12.327311")]
    balance_after: Amount,
    /// Position in the account's history, from 1.
    pub number: i64,
}

impl From<report::EntryLine> for Entry {
    fn from(line: report::EntryLine) -> Self {
        Self {
            transaction: line.transaction,
            kind: line.kind,
            subject: line.subject,
            posted_at: line.posted_at,
            effective_at: line.effective_at,
            booked_on: line.booked_on,
            amount: line.amount,
            balance_after: line.balance_after,
            number: line.number,
        }
    }
}

/// A transaction without its entries.
#[derive(Serialize, ToSchema)]
#[schema(as = LedgerTransaction)]
pub struct Transaction {
    #[schema(value_type = String, example = "tx_01kayz3v8ne7m9xqk2y4t6w8b0")]
    transaction: TransactionId,
    #[schema(example = "settlement")]
    kind: String,
    subject: String,
    #[schema(value_type = String, format = "date-time")]
    posted_at: Timestamp,
    #[schema(value_type = String, format = "date-time")]
    effective_at: Timestamp,
    /// The day of the books.
    #[schema(value_type = String, format = "date")]
    booked_on: Day,
    /// `reverses`, `refunds` or `corrects`.
    relation: Option<String>,
    #[schema(value_type = Option<String>)]
    refers_to: Option<TransactionId>,
}

impl From<report::TransactionLine> for Transaction {
    fn from(line: report::TransactionLine) -> Self {
        Self {
            transaction: line.transaction,
            kind: line.kind,
            subject: line.subject,
            posted_at: line.posted_at,
            effective_at: line.effective_at,
            booked_on: line.booked_on,
            relation: line.relation,
            refers_to: line.refers_to,
        }
    }
}

/// Another transaction, and how one stands to the other.
#[derive(Serialize, ToSchema)]
pub struct Reference {
    #[schema(example = "reverses")]
    relation: String,
    #[schema(value_type = String)]
    transaction: TransactionId,
}

impl From<explain::Reference> for Reference {
    fn from(reference: explain::Reference) -> Self {
        Self { relation: reference.relation, transaction: reference.transaction }
    }
}

/// An entry; debits are positive. Of another party's account you see the amount only.
#[derive(Serialize, ToSchema)]
pub struct ExplainedLeg {
    #[schema(example = "Liabilities:Owners:Cash")]
    path: &'static str,
    #[schema(value_type = Option<String>)]
    account: Option<AccountId>,
    #[schema(value_type = Option<String>)]
    party: Option<PartyId>,
    #[schema(example = "USD")]
    asset: String,
    #[schema(value_type = String, example = "-0.010786")]
    amount: Amount,
    /// Debits less credits.
    #[schema(value_type = Option<String>)]
    balance_after: Option<Amount>,
    /// Position in the account's history.
    number: Option<i64>,
    /// The balance is that of the entry before and the amount.
    holds: bool,
}

/// A part taken out of a hold.
#[derive(Serialize, ToSchema)]
pub struct Captured {
    #[schema(value_type = String)]
    hold: HoldId,
    subject: String,
    #[schema(value_type = String, example = "0.012689")]
    amount: Amount,
}

/// An amount computed again.
#[derive(Serialize, ToSchema)]
pub struct Step {
    #[schema(example = "amount")]
    name: &'static str,
    /// The formula with its numbers: exact before rounding, and how it was rounded.
    how: String,
    asset: String,
    /// None: it cannot be computed.
    #[schema(value_type = Option<String>, example = "0.012689")]
    derived: Option<Amount>,
    /// What the entries say.
    #[schema(value_type = String, example = "0.012689")]
    booked: Amount,
    holds: bool,
}

impl From<explain::Step> for Step {
    fn from(step: explain::Step) -> Self {
        let holds = step.holds();
        let explain::Step { name, how, asset, derived, booked } = step;
        Self { name, how, asset, derived, booked, holds }
    }
}

/// Why a transaction moved what it moved.
#[derive(Serialize, ToSchema)]
pub struct Explanation {
    #[schema(value_type = String, example = "tx_01kayz3v8ne7m9xqk2y4t6w8b0")]
    transaction: TransactionId,
    #[schema(example = "settlement")]
    kind: String,
    subject: String,
    #[schema(value_type = String, format = "date-time")]
    posted_at: Timestamp,
    #[schema(value_type = String, format = "date-time")]
    effective_at: Timestamp,
    /// The day of the books: later than it counts if that month was closed.
    #[schema(value_type = String, format = "date")]
    booked_on: Day,
    refers_to: Option<Reference>,
    referred_by: Vec<Reference>,
    /// For finance and operators only.
    metadata: BTreeMap<String, String>,
    legs: Vec<ExplainedLeg>,
    captured: Vec<Captured>,
    steps: Vec<Step>,
    /// What cannot be said.
    unknown: Vec<String>,
    /// Every amount is what it should be.
    holds: bool,
}

impl Explanation {
    /// As `viewer` may see it; `None` sees all.
    pub fn new(of: explain::Explanation, viewer: Option<PartyId>) -> Self {
        let holds = of.holds();
        let sees = |owner: PartyId| viewer.is_none_or(|viewer| viewer == owner);
        let mine: Vec<AccountId> =
            of.legs.iter().filter(|leg| sees(leg.party)).map(|leg| leg.account).collect();
        let captured = of.captured.into_iter().filter(|part| mine.contains(&part.account));
        let metadata = if viewer.is_none() { of.metadata } else { Vec::new() };
        Self {
            transaction: of.transaction,
            kind: of.kind,
            subject: of.subject,
            posted_at: of.posted_at,
            effective_at: of.effective_at,
            booked_on: of.booked_on,
            refers_to: of.refers_to.map(Reference::from),
            referred_by: of.referred_by.into_iter().map(Reference::from).collect(),
            metadata: metadata.into_iter().collect(),
            captured: captured
                .map(|part| Captured {
                    hold: part.hold,
                    subject: part.subject,
                    amount: part.amount,
                })
                .collect(),
            legs: of.legs.into_iter().map(|leg| leg_for(sees(leg.party), leg)).collect(),
            steps: of.steps.into_iter().map(Step::from).collect(),
            unknown: of.unknown,
            holds,
        }
    }
}

fn leg_for(seen: bool, leg: explain::ExplainedLeg) -> ExplainedLeg {
    ExplainedLeg {
        path: path(leg.code),
        account: seen.then_some(leg.account),
        party: party(leg.party).filter(|_| seen),
        asset: leg.asset,
        amount: leg.amount,
        balance_after: seen.then_some(leg.balance_after),
        number: seen.then_some(leg.number),
        holds: leg.holds,
    }
}
