//! Finding transactions, in the order in which they were posted.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use store::schema::{ledger_transaction as posting, transaction_metadata as metadata};
use store::{Day, MultiBackend, Timestamp, TransactionId, Tx};

use super::as_of::{SKEW_US, first_id};
use crate::{Kind, Result};

/// What to look for: all that is named must fit.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Search {
    /// What it is about, or its key.
    pub subject: Option<String>,
    /// A name and its value.
    pub metadata: Option<(String, String)>,
    pub kind: Option<Kind>,
    /// Posted at this moment or later.
    pub from: Option<Timestamp>,
    /// Posted before this moment.
    pub to: Option<Timestamp>,
}

/// A transaction without its entries.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct TransactionLine {
    pub transaction: TransactionId,
    /// Text of its [`Kind`].
    pub kind: String,
    pub subject: String,
    pub posted_at: Timestamp,
    pub effective_at: Timestamp,
    pub booked_on: Day,
    /// `reverses`, `refunds` or `corrects`, and what.
    pub relation: Option<String>,
    pub refers_to: Option<TransactionId>,
}

/// A page of what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub lines: Vec<TransactionLine>,
    /// Where to go on; `None` at the end. There can be more although this page is short or empty.
    pub next: Option<TransactionId>,
}

/// The most transactions that one page looks at when neither subject nor metadata are named, which
/// have indexes: a page takes bounded time however rare the kind.
const WINDOW: i64 = 20_000;

/// At most `limit` transactions after `after`, by id: in the order in which a process posted them.
///
/// # Errors
/// Faults of storage only.
pub fn transactions(
    tx: &mut Tx<'_>,
    search: &Search,
    after: Option<TransactionId>,
    limit: usize,
) -> Result<Found> {
    let window = match (&search.subject, &search.metadata) {
        (None, None) => window_end(tx, search, after)?,
        _ => None,
    };
    let mut query = posting::table.into_boxed::<MultiBackend>();
    if let Some(subject) = &search.subject {
        // Each side has its index; that of subjects leaves out those that are the key.
        query = query.filter(
            posting::key.eq(subject).or(posting::subject
                .eq(subject)
                .and(sql::<Bool>("ledger_transaction.subject <> ledger_transaction.key"))),
        );
    }
    if let Some((name, value)) = &search.metadata {
        let with = metadata::table
            .filter(metadata::name.eq(name))
            .filter(metadata::value.eq(value))
            .select(metadata::transaction_id);
        query = query.filter(posting::id.eq_any(with));
    }
    if let Some(kind) = search.kind {
        query = query.filter(posting::kind.eq(kind.text()));
    }
    if let Some(from) = search.from {
        query = query.filter(posting::posted_at.ge(from)).filter(posting::id.ge(lowest(from)));
    }
    if let Some(to) = search.to {
        query = query.filter(posting::posted_at.lt(to)).filter(posting::id.lt(highest(to)));
    }
    if let Some(after) = after {
        query = query.filter(posting::id.gt(after));
    }
    if let Some(end) = window {
        query = query.filter(posting::id.le(end));
    }
    let mut lines: Vec<TransactionLine> = query
        .order(posting::id)
        .limit(i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1))
        .select((
            posting::id,
            posting::kind,
            posting::subject,
            posting::posted_at,
            posting::effective_at,
            posting::booked_on,
            posting::relation,
            posting::refers_to,
        ))
        .load(tx.conn)?;
    let more = lines.len() > limit;
    lines.truncate(limit);
    let next = if more { lines.last().map(|line| line.transaction).or(after) } else { window };
    Ok(Found { lines, next })
}

/// The last id that this page looks at, if there are any beyond.
fn window_end(
    tx: &mut Tx<'_>,
    search: &Search,
    after: Option<TransactionId>,
) -> Result<Option<TransactionId>> {
    let first =
        search.from.map_or(TransactionId::NIL, lowest).max(after.unwrap_or(TransactionId::NIL));
    let end = search.to.map_or(TransactionId::from_bytes([255; 16]), highest);
    Ok(posting::table
        .filter(posting::id.gt(first))
        .filter(posting::id.lt(end))
        .order(posting::id)
        .offset(WINDOW - 1)
        .select(posting::id)
        .first(tx.conn)
        .optional()?)
}

fn lowest(from: Timestamp) -> TransactionId {
    first_id(from.plus_us(-SKEW_US))
}

fn highest(to: Timestamp) -> TransactionId {
    first_id(to.plus_us(SKEW_US))
}
