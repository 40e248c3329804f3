//! How a command differs from the first one with its key.

use diesel::prelude::*;
use store::schema::{hold, hold_event, ledger_transaction};
use store::{AccountId, Amount, AnyConnection, HoldId, Timestamp, TransactionId};

use crate::command::{Body, Command, Draft, Lines};
use crate::error::Difference;
use crate::posting::Leg;
use crate::{Error, Result, reversal};

/// The refusal of a command whose key is the transaction's.
pub(super) fn transaction(
    conn: &mut AnyConnection,
    command: &Command,
    legs: &[Leg],
    id: TransactionId,
) -> Result<Error> {
    let Body::Post(draft) = &command.body else { return Err(Error::corrupt("no such key")) };
    let (kind, subject, effective_at): (String, String, Timestamp) = ledger_transaction::table
        .find(id)
        .select((
            ledger_transaction::kind,
            ledger_transaction::subject,
            ledger_transaction::effective_at,
        ))
        .first(conn)?;
    let captured: Option<HoldId> = hold_event::table
        .filter(hold_event::transaction_id.eq(id))
        .select(hold_event::hold_id)
        .first(conn)
        .optional()?;
    let moment = draft.effective_at.unwrap_or(effective_at);
    let mut differs = Vec::new();
    note(&mut differs, "kind", kind, draft.kind.text().to_owned());
    note(&mut differs, "subject", subject, draft.subject().to_owned());
    note(&mut differs, "effective_at", effective_at.to_string(), moment.to_string());
    note(&mut differs, "legs", text_of_legs(&reversal::load_legs(conn, id)?), legs_of(draft, legs));
    note(&mut differs, "hold", text_of_hold(captured), text_of_hold(draft.hold));
    Ok(reused(&draft.key, differs))
}

/// The refusal of a command whose key is the hold's.
pub(super) fn hold(conn: &mut AnyConnection, command: &Command, id: HoldId) -> Result<Error> {
    let Body::Hold(new) = &command.body else { return Err(Error::corrupt("no such key")) };
    let (account, amount, subject, expires_at): (AccountId, Amount, String, Option<Timestamp>) =
        hold::table
            .find(id)
            .select((hold::account_id, hold::amount, hold::subject, hold::expires_at))
            .first(conn)?;
    let moment = |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), |at| at.to_string());
    let mut differs = Vec::new();
    note(&mut differs, "account", account.to_string(), new.account.to_string());
    note(&mut differs, "amount", amount.to_string(), new.amount.to_string());
    note(&mut differs, "subject", subject, new.subject.clone());
    note(&mut differs, "expires_at", moment(expires_at), moment(new.expires_at));
    Ok(reused(&new.key, differs))
}

fn note(differs: &mut Vec<Difference>, field: &'static str, first: String, now: String) {
    if first != now {
        differs.push(Difference { field, first, now });
    }
}

pub(super) fn reused(key: &str, mut differs: Vec<Difference>) -> Error {
    if differs.is_empty() {
        // What it moves is the same, and why is not: another template, rate or reference.
        let (first, now) = ("another".to_owned(), "this".to_owned());
        differs.push(Difference { field: "command", first, now });
    }
    Error::KeyReused { key: key.to_owned(), differs }
}

fn legs_of(draft: &Draft, legs: &[Leg]) -> String {
    match &draft.lines {
        Lines::Refund { account, amount } => format!("{amount} back to {account}"),
        Lines::Legs(_) | Lines::Template(_) | Lines::Reversal => text_of_legs(legs),
    }
}

fn text_of_legs(legs: &[Leg]) -> String {
    let mut legs: Vec<String> =
        legs.iter().map(|leg| format!("{} {}", leg.account, leg.amount)).collect();
    legs.sort_unstable();
    legs.join(", ")
}

fn text_of_hold(hold: Option<HoldId>) -> String {
    hold.map_or_else(|| "none".to_owned(), |hold| hold.to_string())
}
