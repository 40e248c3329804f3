//! Proposals in the database.

use ::store::schema::{approval, finance_limit};
use ::store::{Amount, AnyConnection, ApprovalId, PartyId, Timestamp, Tx};
use diesel::connection::TransactionManager;
use diesel::prelude::*;
use serde_json::{Value, json};

use super::act::{self, Deed};
use super::model::{Approval, Proposal};
use crate::audit::{self, Actor};
use crate::auth::Principal;
use crate::problem::{Code, Problem, Result};

#[derive(Queryable, Selectable)]
#[diesel(table_name = approval)]
struct Row {
    id: ApprovalId,
    body: String,
    reason: String,
    state: String,
    proposed_by: PartyId,
    proposed_at: Timestamp,
    decided_by: Option<PartyId>,
    decided_at: Option<Timestamp>,
    rejection: Option<String>,
    result: Option<String>,
}

impl TryFrom<Row> for Approval {
    type Error = Problem;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.id,
            proposal: serde_json::from_str(&row.body).map_err(Problem::internal)?,
            reason: row.reason,
            state: row.state,
            proposed_by: row.proposed_by,
            proposed_at: row.proposed_at,
            decided_by: row.decided_by,
            decided_at: row.decided_at,
            rejection: row.rejection,
            result: row.result,
        })
    }
}

/// Keeps a proposal that can be carried out as things stand. That its proposer may propose it is for
/// the caller to know.
///
/// # Errors
/// What would be refused if it were carried out now.
pub fn propose(
    tx: &mut Tx<'_>,
    who: Principal,
    proposal: &Proposal,
    reason: &str,
) -> Result<Approval> {
    let by = who.party;
    let id: ApprovalId = tx.id();
    try_out(tx, &Deed { id, by, approved_by: by, reason }, proposal)?;
    let body = serde_json::to_string(proposal).map_err(Problem::internal)?;
    diesel::insert_into(approval::table)
        .values((
            approval::id.eq(id),
            approval::kind.eq(proposal.kind()),
            approval::body.eq(body),
            approval::reason.eq(reason),
            approval::state.eq("proposed"),
            approval::proposed_by.eq(by),
            approval::proposed_at.eq(tx.now),
        ))
        .execute(tx.conn)?;
    keep(tx, id, who.actor(), "approval.proposed", Value::Null)
}

/// Does it and undoes it.
fn try_out(tx: &mut Tx<'_>, deed: &Deed<'_>, proposal: &Proposal) -> Result<()> {
    type Manager = <AnyConnection as Connection>::TransactionManager;
    Manager::begin_transaction(tx.conn)?;
    let tried = act::execute(tx, deed, proposal);
    Manager::rollback_transaction(tx.conn)?;
    tried.map(drop)
}

/// Carries it out, for another person than its proposer.
///
/// # Errors
/// `not_found`, `wrong_role`, `wrong_state`, and what cannot be done any more.
pub fn approve(tx: &mut Tx<'_>, id: ApprovalId, who: Principal) -> Result<Approval> {
    let found = load(tx, id)?;
    found.proposal.check_role(who.role)?;
    if found.proposed_by == who.party {
        let detail = "Another person than the one who proposed it approves it.";
        return Err(Problem::new(Code::WrongState).detail(detail));
    }
    // The row is locked before anything is done: of two at once one finds it decided.
    decide(tx, id, "rejected", who.party, None)?;
    let by = found.proposed_by;
    let deed = Deed { id, by, approved_by: who.party, reason: &found.reason };
    let result = act::execute(tx, &deed, &found.proposal)?;
    diesel::update(approval::table.find(id))
        .set((approval::state.eq("executed"), approval::result.eq(Some(result))))
        .execute(tx.conn)?;
    keep(tx, id, who.actor(), "approval.executed", json!({ "state": found.state }))
}

/// Turns it down.
///
/// # Errors
/// `not_found`, `wrong_role`, `wrong_state`.
pub fn reject(tx: &mut Tx<'_>, id: ApprovalId, who: Principal, reason: &str) -> Result<Approval> {
    let found = load(tx, id)?;
    found.proposal.check_role(who.role)?;
    decide(tx, id, "rejected", who.party, Some(reason))?;
    keep(tx, id, who.actor(), "approval.rejected", json!({ "state": found.state }))
}

/// Keeps the act in the log. Reasons are a person's words and stay in the proposal.
fn keep(
    tx: &mut Tx<'_>,
    id: ApprovalId,
    by: Actor,
    act: &'static str,
    before: Value,
) -> Result<Approval> {
    let now = load(tx, id)?;
    let after = json!({
        "kind": now.proposal.kind(), "state": now.state, "proposed_by": now.proposed_by,
        "result": now.result,
    });
    audit::record(tx, by, act, id, before, after)?;
    Ok(now)
}

fn decide(
    tx: &mut Tx<'_>,
    id: ApprovalId,
    state: &str,
    by: PartyId,
    reason: Option<&str>,
) -> Result<()> {
    let open = approval::table.filter(approval::id.eq(id)).filter(approval::state.eq("proposed"));
    let changed = diesel::update(open)
        .set((
            approval::state.eq(state),
            approval::decided_by.eq(Some(by)),
            approval::decided_at.eq(Some(tx.now)),
            approval::rejection.eq(reason),
        ))
        .execute(tx.conn)?;
    match changed {
        0 => Err(Problem::new(Code::WrongState).detail("It was decided before.")),
        _ => Ok(()),
    }
}

/// A proposal and what became of it.
///
/// # Errors
/// `not_found`.
pub fn load(tx: &mut Tx<'_>, id: ApprovalId) -> Result<Approval> {
    let row = approval::table.find(id).select(Row::as_select()).first(tx.conn).optional()?;
    row.ok_or_else(|| Problem::new(Code::NotFound))?.try_into()
}

/// A page of proposals, oldest first.
pub fn list(tx: &mut Tx<'_>, after: Option<ApprovalId>, rows: i64) -> Result<Vec<Approval>> {
    let page: Vec<Row> = approval::table
        .filter(approval::id.gt(after.unwrap_or(ApprovalId::NIL)))
        .order(approval::id)
        .limit(rows)
        .select(Row::as_select())
        .load(tx.conn)?;
    page.into_iter().map(Approval::try_from).collect()
}

/// Up to which amount one person may refund alone now; nothing in a currency without a limit.
pub fn refund_limit(tx: &mut Tx<'_>, asset: &str) -> Result<Amount> {
    let limit: Option<Amount> = finance_limit::table
        .filter(finance_limit::name.eq("refund"))
        .filter(finance_limit::asset.eq(asset))
        .filter(finance_limit::from_at.le(tx.now))
        .order(finance_limit::from_at.desc())
        .select(finance_limit::amount)
        .first(tx.conn)
        .optional()?;
    Ok(limit.unwrap_or_default())
}
