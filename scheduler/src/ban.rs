//! Bans: programs and customers that no car works for. A live job that a ban concerns is marked, so
//! that whoever serves cars needs to look at the job alone.

use std::collections::BTreeSet;

use diesel::prelude::*;
use store::schema::{ban, job, job_stage};
use store::{JobId, PartyId, Timestamp, Tx};

use crate::{BanKind, Error, JobState, Result};

/// A ban to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBan {
    pub kind: BanKind,
    /// A digest, or a party's id.
    pub subject: String,
    /// 1 to 500 characters; the customer is told.
    pub reason: String,
    /// None: until it is lifted.
    pub until: Option<Timestamp>,
}

/// A row of `ban`.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct BanRow {
    pub kind: BanKind,
    pub subject: String,
    pub banned_at: Timestamp,
    /// The nil id: from the command line.
    pub banned_by: PartyId,
    pub reason: String,
    pub until: Option<Timestamp>,
    pub lifted_at: Option<Timestamp>,
    /// None: its time was over.
    pub lifted_by: Option<PartyId>,
}

/// Bans a program or a customer: nothing of it is accepted any more, no car is given its tasks, and
/// cars that run one are told to leave with their next poll. A ban that is in force already is
/// replaced.
///
/// # Errors
/// [`Error::Invalid`].
pub fn impose(tx: &mut Tx<'_>, by: PartyId, new: &NewBan) -> Result<BanRow> {
    check(tx, new)?;
    close(tx, new.kind, &new.subject, Some(by))?;
    let row = BanRow {
        kind: new.kind,
        subject: new.subject.clone(),
        banned_at: next_moment(tx, new)?,
        banned_by: by,
        reason: new.reason.trim().to_owned(),
        until: new.until,
        lifted_at: None,
        lifted_by: None,
    };
    diesel::insert_into(ban::table)
        .values((
            ban::kind.eq(row.kind),
            ban::subject.eq(&row.subject),
            ban::banned_at.eq(row.banned_at),
            ban::banned_by.eq(row.banned_by),
            ban::reason.eq(&row.reason),
            ban::until.eq(row.until),
        ))
        .execute(tx.conn)?;
    mark(tx)?;
    Ok(row)
}

/// Lifts a ban; jobs that still live go on.
///
/// # Errors
/// [`Error::NotFound`] if none is in force.
pub fn lift(tx: &mut Tx<'_>, by: PartyId, kind: BanKind, subject: &str) -> Result<()> {
    if close(tx, kind, subject, Some(by))? == 0 {
        return Err(Error::NotFound("ban"));
    }
    mark(tx)
}

/// The bans, the latest first: those in force, or all there ever were.
pub fn list(tx: &mut Tx<'_>, all: bool, limit: i64) -> Result<Vec<BanRow>> {
    let mut query = ban::table.into_boxed();
    if !all {
        query = query.filter(ban::lifted_at.is_null());
    }
    let order = (ban::banned_at.desc(), ban::kind, ban::subject);
    Ok(query.order(order).limit(limit).load(tx.conn)?)
}

/// A ban that is in force of one of these.
pub(crate) fn find(tx: &mut Tx<'_>, subjects: &[String]) -> Result<Option<BanRow>> {
    let found = ban::table
        .filter(ban::subject.eq_any(subjects))
        .filter(ban::lifted_at.is_null())
        .filter(ban::until.is_null().or(ban::until.gt(Some(tx.now))))
        .order((ban::kind, ban::subject))
        .first(tx.conn)
        .optional()?;
    Ok(found)
}

/// Digests of the programs that are banned.
pub fn programs(tx: &mut Tx<'_>) -> Result<Vec<String>> {
    let rows = ban::table
        .filter(ban::kind.eq(BanKind::Program))
        .filter(ban::lifted_at.is_null())
        .order(ban::subject)
        .select(ban::subject)
        .load(tx.conn)?;
    Ok(rows)
}

/// The programs that were banned last and still are, and when, the latest first.
pub fn latest_programs(tx: &mut Tx<'_>, limit: i64) -> Result<Vec<(String, Timestamp)>> {
    let rows = ban::table
        .filter(ban::kind.eq(BanKind::Program))
        .filter(ban::lifted_at.is_null())
        .order((ban::banned_at.desc(), ban::subject))
        .limit(limit)
        .select((ban::subject, ban::banned_at))
        .load(tx.conn)?;
    Ok(rows)
}

/// What time changes: bans that are over are lifted, and jobs that were accepted while a ban was
/// made are marked. Costs two small reads when there is nothing to do.
pub(crate) fn keep_up(tx: &mut Tx<'_>) -> Result<()> {
    let now = tx.now;
    diesel::update(ban::table)
        .filter(ban::lifted_at.is_null().and(ban::until.le(Some(now))))
        .set(ban::lifted_at.eq(Some(now)))
        .execute(tx.conn)?;
    mark(tx)
}

fn check(tx: &Tx<'_>, new: &NewBan) -> Result<()> {
    let known = match new.kind {
        BanKind::Program => {
            new.subject.len() == 64 && new.subject.bytes().all(|b| b.is_ascii_hexdigit())
        }
        BanKind::Customer => new.subject.parse::<PartyId>().is_ok(),
    };
    if !known {
        return Err(Error::invalid("/subject", "a program's digest or a customer's id"));
    }
    if new.reason.trim().is_empty() || new.reason.chars().count() > 500 {
        return Err(Error::invalid("/reason", "1 to 500 characters"));
    }
    match new.until.is_some_and(|until| until <= tx.now) {
        true => Err(Error::invalid("/until", "in the future")),
        false => Ok(()),
    }
}

/// Two bans of one subject are never of one moment.
fn next_moment(tx: &mut Tx<'_>, new: &NewBan) -> Result<Timestamp> {
    let last: Option<Timestamp> = ban::table
        .filter(ban::kind.eq(new.kind).and(ban::subject.eq(&new.subject)))
        .order(ban::banned_at.desc())
        .select(ban::banned_at)
        .first(tx.conn)
        .optional()?;
    Ok(last.map_or(tx.now, |last| tx.now.max(Timestamp(last.0 + 1))))
}

fn close(tx: &mut Tx<'_>, kind: BanKind, subject: &str, by: Option<PartyId>) -> Result<usize> {
    let closed = diesel::update(ban::table)
        .filter(ban::kind.eq(kind).and(ban::subject.eq(subject)))
        .filter(ban::lifted_at.is_null())
        .set((ban::lifted_at.eq(Some(tx.now)), ban::lifted_by.eq(by)))
        .execute(tx.conn)?;
    Ok(closed)
}

/// Marks the live jobs that a ban in force concerns, and unmarks those of lifted ones.
fn mark(tx: &mut Tx<'_>) -> Result<()> {
    let live: Vec<(BanKind, String)> = ban::table
        .filter(ban::lifted_at.is_null())
        .select((ban::kind, ban::subject))
        .load(tx.conn)?;
    let of = |kind: BanKind| {
        live.iter().filter(move |(k, _)| *k == kind).map(|(_, subject)| subject.clone())
    };
    let programs: Vec<String> = of(BanKind::Program).collect();
    let customers: Vec<PartyId> =
        of(BanKind::Customer).filter_map(|subject| subject.parse().ok()).collect();
    let marked: Vec<JobId> = job::table
        .filter(job::state.eq(JobState::Active).and(job::banned.eq(true)))
        .select(job::id)
        .load(tx.conn)?;
    if live.is_empty() && marked.is_empty() {
        return Ok(());
    }
    let concerned = concerned(tx, &programs, &customers)?;
    let marked: BTreeSet<JobId> = marked.into_iter().collect();
    for (ids, banned) in [(&concerned - &marked, true), (&marked - &concerned, false)] {
        let ids: Vec<JobId> = ids.into_iter().collect();
        for chunk in ids.chunks(500) {
            diesel::update(job::table)
                .filter(job::id.eq_any(chunk))
                .set(job::banned.eq(banned))
                .execute(tx.conn)?;
        }
    }
    Ok(())
}

fn concerned(
    tx: &mut Tx<'_>,
    programs: &[String],
    customers: &[PartyId],
) -> Result<BTreeSet<JobId>> {
    let mut ids = BTreeSet::new();
    for chunk in programs.chunks(500) {
        let jobs: Vec<JobId> = job::table
            .filter(job::state.eq(JobState::Active).and(job::program.eq_any(chunk)))
            .select(job::id)
            .load(tx.conn)?;
        let staged: Vec<JobId> = job_stage::table
            .inner_join(job::table.on(job::id.eq(job_stage::job_id)))
            .filter(job::state.eq(JobState::Active).and(job_stage::program.eq_any(chunk)))
            .select(job::id)
            .load(tx.conn)?;
        ids.extend(jobs.into_iter().chain(staged));
    }
    for chunk in customers.chunks(500) {
        let jobs: Vec<JobId> = job::table
            .filter(job::state.eq(JobState::Active).and(job::customer_id.eq_any(chunk)))
            .select(job::id)
            .load(tx.conn)?;
        ids.extend(jobs);
    }
    Ok(ids)
}
