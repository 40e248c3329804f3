//! Posts a template: lines that name accounts by code and party, which are opened on the way.

use std::collections::BTreeMap;

use diesel::Connection;
use diesel::connection::TransactionManager;
use diesel::prelude::*;
use store::schema::{account, asset, entry};
use store::{AccountId, Amount, AnyConnection, HoldId, PartyId, Timestamp, TransactionId, Tx};

use crate::account::store::{corrupt, parse_code};
use crate::posting::fingerprint::Fingerprint;
use crate::posting::{self, Command};
use crate::{Code, Error, Kind, Leg, NewTransaction, Posted, Result, open_account};

/// A command of the chart without its lines.
pub(super) struct Template {
    /// The key and the subject.
    pub key: String,
    pub kind: Kind,
    /// `None` is the moment of posting, and then no part of the body.
    pub effective_at: Option<Timestamp>,
    pub hold: Option<HoldId>,
    pub fingerprint: Fingerprint,
}

/// A leg whose account may not be there yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub code: Code,
    pub party: PartyId,
    pub asset: String,
    /// Positive for a debit.
    pub amount: Amount,
}

impl Line {
    pub(super) fn debit(code: Code, party: PartyId, asset: &str, amount: Amount) -> Self {
        Self { code, party, asset: asset.to_owned(), amount }
    }

    pub(super) fn credit(code: Code, party: PartyId, asset: &str, amount: Amount) -> Self {
        Self::debit(code, party, asset, -amount)
    }
}

/// Plans the lines, opens their accounts and posts them. A refusal opens no account.
pub(super) fn post(
    tx: &mut Tx<'_>,
    template: &Template,
    plan: impl FnOnce(&mut Tx<'_>) -> Result<Vec<Line>>,
) -> Result<Posted> {
    let known = posting::store::find(tx.conn, &template.key)?.is_some();
    let lines = match plan(tx) {
        // Whatever is wrong with it, the key comes first.
        Err(refusal) if known && refusal.is_refusal() => Vec::new(),
        planned => planned?,
    };
    let found = find_accounts(tx.conn, &lines)?;
    if known || found.len() == lines.len() {
        let legs = found.into_iter().map(|(line, account)| Leg { account, amount: line.amount });
        return execute(tx, template, legs.collect());
    }
    let savepoint = Savepoint::begin(tx)?;
    let posted = open_and_execute(savepoint.tx, template, &lines)?;
    savepoint.keep()?;
    Ok(posted)
}

fn open_and_execute(tx: &mut Tx<'_>, template: &Template, lines: &[Line]) -> Result<Posted> {
    let mut legs = Vec::with_capacity(lines.len());
    for line in lines {
        let account = open_account(tx, line.code, line.party, &line.asset)?;
        legs.push(Leg { account, amount: line.amount });
    }
    execute(tx, template, legs)
}

fn execute(tx: &mut Tx<'_>, template: &Template, legs: Vec<Leg>) -> Result<Posted> {
    let new = NewTransaction {
        key: template.key.clone(),
        kind: template.kind,
        subject: template.key.clone(),
        effective_at: template.effective_at.unwrap_or(tx.now),
        legs,
    };
    let command = Command {
        new: &new,
        hold: template.hold,
        fingerprint: template.fingerprint,
        names_moment: template.effective_at.is_some(),
    };
    posting::execute(tx, &command)
}

/// The lines whose accounts are there, in their order.
fn find_accounts<'a>(
    conn: &mut AnyConnection,
    lines: &'a [Line],
) -> Result<Vec<(&'a Line, AccountId)>> {
    // More than the lines name, and few: codes, parties and assets of one command, crossed.
    let rows: Vec<(AccountId, String, PartyId, String)> = account::table
        .filter(account::code.eq_any(lines.iter().map(|line| line.code.text())))
        .filter(account::party_id.eq_any(lines.iter().map(|line| line.party)))
        .filter(account::asset.eq_any(lines.iter().map(|line| &line.asset)))
        .select((account::id, account::code, account::party_id, account::asset))
        .load(conn)?;
    let id = |line: &Line| {
        let row = rows.iter().find(|(_, code, party, asset)| {
            *code == line.code.text() && *party == line.party && *asset == line.asset
        });
        row.map(|(id, ..)| *id)
    };
    Ok(lines.iter().filter_map(|line| Some((line, id(line)?))).collect())
}

/// A credit and what one unit of it is worth.
pub(super) struct Credit {
    pub code: String,
    /// Micro-units of the asset it is redeemable in.
    pub redemption_ppm: i64,
}

/// The credit that is redeemable in `asset`; the first by code if there are several.
pub(super) fn find_credit(conn: &mut AnyConnection, asset: &str) -> Result<Credit> {
    let row: Option<(String, Option<i64>)> = asset::table
        .filter(asset::redemption_asset.eq(asset))
        .order(asset::code)
        .select((asset::code, asset::redemption_ppm))
        .first(conn)
        .optional()?;
    let (code, ppm) = row.ok_or_else(|| Error::NotRedeemable(asset.to_owned()))?;
    let redemption_ppm = ppm.ok_or_else(|| corrupt("a credit without its value"))?;
    Ok(Credit { code, redemption_ppm })
}

/// What a settlement debited less what it credited, by code. Without CreditClearing, the one code
/// that it has twice.
pub(super) fn load_booked(
    conn: &mut AnyConnection,
    id: TransactionId,
) -> Result<BTreeMap<Code, Amount>> {
    let rows: Vec<(String, Amount)> = entry::table
        .inner_join(account::table.on(account::id.eq(entry::account_id)))
        .filter(entry::transaction_id.eq(id))
        .filter(account::code.ne(Code::CreditClearing.text()))
        .select((account::code, entry::amount))
        .load(conn)?;
    rows.into_iter().map(|(code, amount)| Ok((parse_code(&code)?, amount))).collect()
}

type Manager = <AnyConnection as Connection>::TransactionManager;

/// A part of the transaction that is undone unless it is kept, whatever leaves the scope.
struct Savepoint<'a, 'b> {
    tx: &'a mut Tx<'b>,
    open: bool,
}

impl<'a, 'b> Savepoint<'a, 'b> {
    fn begin(tx: &'a mut Tx<'b>) -> Result<Self> {
        Manager::begin_transaction(tx.conn)?;
        Ok(Self { tx, open: true })
    }

    fn keep(mut self) -> Result<()> {
        self.open = false;
        Ok(Manager::commit_transaction(self.tx.conn)?)
    }
}

impl Drop for Savepoint<'_, '_> {
    fn drop(&mut self) {
        if self.open {
            // If this fails the transaction is beyond use, and so says its own end.
            let _ = Manager::rollback_transaction(self.tx.conn);
        }
    }
}
