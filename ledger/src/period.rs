//! Months of the books: open, until somebody closes them, softly or for good.
//!
//! A month can be closed once it has been over for [`GRACE`]: whatever counts in the present month
//! is booked without a look at this table, so the clocks of all processes must agree to within that.
//! Whoever posts into an earlier month shares a lock that closing takes alone: what is on its way
//! into a month is there before the month is closed.

use diesel::prelude::*;
use store::schema::{period, period_event};
use store::{AnyConnection, Month, PartyId, PeriodEventId, Timestamp, Tx};

use crate::posting::MAX_TEXT;
use crate::{Error, Result};
use store::sets::Set;

/// How long a month must have been over to be closed: an hour, in microseconds.
pub const GRACE: i64 = 3_600_000_000;

/// How a month stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    Open,
    /// Closed for business, but not yet for what finance puts right ([`crate::Late::Adjust`]).
    Soft,
    Closed,
    /// Closed, and one person has asked for it to be opened again.
    Reopening,
}

/// What was done to a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub month: Month,
    /// `soft_closed`, `closed`, `reopen_asked` or `reopened`.
    pub kind: String,
    pub by: PartyId,
    pub reason: String,
    pub at: Timestamp,
}

impl State {
    /// As stored.
    pub fn text(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Soft => "soft",
            Self::Closed => "closed",
            Self::Reopening => "reopening",
        }
    }
}

/// Closes a month for business: from now on only what finance puts right is booked in it.
///
/// # Errors
/// Those of [`close`]; [`Error::MonthClosed`] if it is not open.
pub fn soft_close(tx: &mut Tx<'_>, month: Month, by: PartyId, reason: &str) -> Result<()> {
    check_over(tx, month, reason)?;
    if state(tx, month)? != State::Open {
        return Err(Error::MonthClosed(month));
    }
    change(tx, month, State::Soft, "soft_closed", by, reason)
}

/// Closes a month: from now on nothing is booked in it.
///
/// # Errors
/// [`Error::BadText`] for a reason that is empty or too long, [`Error::MonthNotOver`],
/// [`Error::MonthClosed`].
pub fn close(tx: &mut Tx<'_>, month: Month, by: PartyId, reason: &str) -> Result<()> {
    check_over(tx, month, reason)?;
    if !matches!(state(tx, month)?, State::Open | State::Soft) {
        return Err(Error::MonthClosed(month));
    }
    change(tx, month, State::Closed, "closed", by, reason)
}

/// Takes the lock of the months if this one can be closed by now.
fn check_over(tx: &mut Tx<'_>, month: Month, reason: &str) -> Result<()> {
    check_reason(reason)?;
    let from = month.end().plus_us(GRACE);
    if tx.now < from {
        return Err(Error::MonthNotOver { month, from });
    }
    lock(tx.conn)
}

/// Asks for a closed month to be opened again; another person does it.
///
/// # Errors
/// [`Error::BadText`], [`Error::MonthNotClosed`].
pub fn ask_to_reopen(tx: &mut Tx<'_>, month: Month, by: PartyId, reason: &str) -> Result<()> {
    check_reason(reason)?;
    lock(tx.conn)?;
    if !matches!(state(tx, month)?, State::Soft | State::Closed) {
        return Err(Error::MonthNotClosed(month));
    }
    change(tx, month, State::Reopening, "reopen_asked", by, reason)
}

/// Opens a closed month again, for which another person has asked.
///
/// # Errors
/// [`Error::BadText`], [`Error::MonthNotClosed`] if nobody has asked, [`Error::SamePerson`].
pub fn reopen(tx: &mut Tx<'_>, month: Month, by: PartyId, reason: &str) -> Result<()> {
    check_reason(reason)?;
    lock(tx.conn)?;
    if state(tx, month)? != State::Reopening {
        return Err(Error::MonthNotClosed(month));
    }
    let asked_by = events(tx, month)?.into_iter().rev().find(|event| event.kind == "reopen_asked");
    if asked_by.is_none_or(|event| event.by == by) {
        return Err(Error::SamePerson);
    }
    change(tx, month, State::Open, "reopened", by, reason)
}

/// How a month stands.
///
/// # Errors
/// Faults of storage only.
pub fn state(tx: &mut Tx<'_>, month: Month) -> Result<State> {
    let text: Option<String> =
        period::table.find(month).select(period::state).first(tx.conn).optional()?;
    match text.as_deref() {
        None | Some("open") => Ok(State::Open),
        Some("soft") => Ok(State::Soft),
        Some("closed") => Ok(State::Closed),
        Some("reopening") => Ok(State::Reopening),
        Some(other) => Err(Error::corrupt(&format!("{other} is no state of a month"))),
    }
}

/// What was done to a month, in order.
///
/// # Errors
/// Faults of storage only.
pub fn events(tx: &mut Tx<'_>, month: Month) -> Result<Vec<Event>> {
    type Row = (Month, String, PartyId, String, Timestamp);
    let rows: Vec<Row> = period_event::table
        .filter(period_event::month.eq(month))
        .order(period_event::id)
        .select((
            period_event::month,
            period_event::kind,
            period_event::by_id,
            period_event::reason,
            period_event::at,
        ))
        .load(tx.conn)?;
    let event = |(month, kind, by, reason, at)| Event { month, kind, by, reason, at };
    Ok(rows.into_iter().map(event).collect())
}

fn check_reason(reason: &str) -> Result<()> {
    let sound = !reason.trim().is_empty() && reason.len() <= MAX_TEXT && !reason.contains('\0');
    if sound { Ok(()) } else { Err(Error::BadText) }
}

fn change(
    tx: &mut Tx<'_>,
    month: Month,
    state: State,
    kind: &'static str,
    by: PartyId,
    reason: &str,
) -> Result<()> {
    let of_month = Set::default().integers("month", [month.0].into_iter());
    of_month.texts("state", [state.text()]).insert(
        tx.conn,
        "period",
        "ON CONFLICT (month) DO UPDATE SET state = excluded.state",
    )?;
    // After the month's last event, whatever another node's clock says.
    let last = events(tx, month)?.last().map(|event| event.at.plus_us(1));
    let at = last.map_or(tx.now, |last| last.max(tx.now));
    let id: PeriodEventId = tx.ids().id(at);
    diesel::insert_into(period_event::table)
        .values((
            period_event::id.eq(id),
            period_event::month.eq(month),
            period_event::kind.eq(kind),
            period_event::by_id.eq(by),
            period_event::reason.eq(reason),
            period_event::at.eq(at),
        ))
        .execute(tx.conn)?;
    Ok(())
}

/// The key of PostgreSQL's advisory lock of the months. On SQLite there is one writer anyway.
const LOCK: &str = "4729302";

/// Held by who posts into an earlier month, until the transaction ends.
pub(crate) fn share(conn: &mut AnyConnection) -> Result<()> {
    advisory(conn, "pg_advisory_xact_lock_shared")
}

fn lock(conn: &mut AnyConnection) -> Result<()> {
    advisory(conn, "pg_advisory_xact_lock")
}

fn advisory(conn: &mut AnyConnection, function: &str) -> Result<()> {
    if let AnyConnection::Postgres(conn) = conn {
        diesel::sql_query(format!("SELECT {function}({LOCK})")).execute(conn)?;
    }
    Ok(())
}
