//! An explanation for people.

use store::{Amount, Day};

use super::{ExplainedLeg, Explanation, Step};
use crate::report::full_path;

pub(super) fn lines(of: &Explanation) -> Vec<String> {
    let mut lines = vec![format!("{} {} of {}", of.transaction, of.kind, of.subject)];
    lines.push(times(of));
    if let Some(reference) = &of.refers_to {
        lines.push(format!("It {} {}.", reference.relation, reference.transaction));
    }
    for reference in &of.referred_by {
        lines.push(format!("{} {} it.", reference.transaction, reference.relation));
    }
    lines.extend(of.metadata.iter().map(|(name, value)| format!("{name} = {value}")));
    lines.extend(of.legs.iter().map(leg));
    for captured in &of.captured {
        let (amount, hold, subject) = (captured.amount, captured.hold, &captured.subject);
        lines.push(format!("{amount} was captured from {hold}, held for {subject}."));
    }
    lines.extend(of.steps.iter().map(step));
    lines.extend(of.unknown.iter().cloned());
    lines.push(if of.holds() { "It holds." } else { "It does not hold." }.to_owned());
    lines
}

fn times(of: &Explanation) -> String {
    let effective = Day::of(of.effective_at);
    let late = if effective < of.booked_on { ", late: its month was closed" } else { "" };
    let (posted, counts, booked) = (of.posted_at, of.effective_at, of.booked_on);
    format!("Posted {posted}, counts from {counts}, booked on {booked}{late}.")
}

fn leg(leg: &ExplainedLeg) -> String {
    let side = if leg.amount.is_positive() { "debit" } else { "credit" };
    let magnitude = Amount(leg.amount.0.saturating_abs());
    let name = full_path(leg.code, leg.party);
    let (asset, balance, number) = (&leg.asset, leg.balance_after, leg.number);
    let wrong = if leg.holds { "" } else { ": the balance does not follow from the entry before" };
    format!("{side:<6} {magnitude:>16} {asset} {name}, entry {number}, balance {balance}{wrong}")
}

fn step(step: &Step) -> String {
    let Step { name, how, asset, booked, .. } = step;
    match step.derived {
        Some(derived) if step.holds() => format!("{name}: {how}: {derived} {asset}, as booked"),
        Some(derived) => format!("{name}: {how}: {derived} {asset}, but booked is {booked}"),
        None => format!("{name}: {how}: out of range, booked is {booked} {asset}"),
    }
}
