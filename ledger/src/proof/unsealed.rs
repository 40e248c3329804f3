//! What is committed and in no block.
//!
//! Ids are in order of time, but rows may commit late: an id alone never says that a record is
//! sealed. So records are counted by kind and moment, in the tables and in the blocks. Where the
//! counts differ, coarse moments first, then fine ones, the ids themselves are compared. It is exact
//! from any moment on, and needs memory for the records of one moment only.

use std::collections::{BTreeMap, HashSet};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Integer};
use store::schema::{block, block_span};
use store::{AnyConnection, Timestamp};

use super::block::{Kind, RECORD_BYTES, RecordId};
use super::rows;
use crate::Result;

/// Bytes of an id that make a fine moment, 2⁸ ms.
pub(super) const FINE: usize = 5;
/// Bytes of an id that make a coarse moment, 2²⁴ ms or 4.7 hours: at most 65,536 fine ones.
const COARSE: usize = 3;

/// The lowest id of a moment, cut to a fine one.
pub(super) fn floor(at: Timestamp) -> Vec<u8> {
    let ms = u64::try_from(at.0 / 1_000).unwrap_or(0);
    ms.to_be_bytes()[2..2 + FINE].to_vec()
}

/// Where a look goes on: everything before was seen.
pub(super) type Resume = (Kind, Vec<u8>);

/// What a look found.
pub(super) struct Found {
    /// In order of kind and id.
    pub records: Vec<(Kind, RecordId)>,
    /// If there is more: where to go on.
    pub more: Option<Resume>,
}

/// Up to `limit` records with an id from `from` on that are in no block.
pub(super) fn find(
    conn: &mut AnyConnection,
    from: &[u8],
    resume: Option<&Resume>,
    limit: usize,
) -> Result<Found> {
    let mut records = Vec::new();
    for kind in Kind::ALL {
        // Assets are named by a digest, which has no moment.
        let mut from = if kind == Kind::Asset { &[] } else { from };
        match resume {
            Some((seen, _)) if kind < *seen => continue,
            Some((at, moment)) if kind == *at => from = from.max(moment.as_slice()),
            _ => {}
        }
        for coarse in differing(conn, kind, COARSE, from, &after(&[]))? {
            let start = from.max(coarse.as_slice());
            for fine in differing(conn, kind, FINE, start, &after(&coarse))? {
                let ids = unsealed_at(conn, kind, &fine)?;
                records.extend(ids.into_iter().map(|id| (kind, id)));
                if records.len() > limit {
                    records.truncate(limit);
                    return Ok(Found { records, more: Some((kind, fine)) });
                }
            }
        }
    }
    Ok(Found { records, more: None })
}

/// The first bytes that no id with this prefix reaches.
fn after(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![u8::MAX; 17]
}

/// The moments in `from..to` of which the tables have more records than the blocks, in order.
fn differing(
    conn: &mut AnyConnection,
    kind: Kind,
    length: usize,
    from: &[u8],
    to: &[u8],
) -> Result<Vec<Vec<u8>>> {
    let sealed = count_sealed(conn, kind, length, from, to)?;
    let rows = count_rows(conn, kind, length, from, to)?;
    let more = |(moment, count): (Vec<u8>, i64)| {
        (sealed.get(&moment).copied().unwrap_or(0) < count).then_some(moment)
    };
    Ok(rows.into_iter().filter_map(more).collect())
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = Binary)]
    moment: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    records: i64,
}

fn collect(counts: Vec<Count>) -> BTreeMap<Vec<u8>, i64> {
    counts.into_iter().map(|count| (count.moment, count.records)).collect()
}

fn count_rows(
    conn: &mut AnyConnection,
    kind: Kind,
    length: usize,
    from: &[u8],
    to: &[u8],
) -> Result<BTreeMap<Vec<u8>, i64>> {
    if kind == Kind::Asset {
        let mut counts = BTreeMap::new();
        for (id, _) in rows::asset_ids(conn)? {
            if id.as_slice() >= from && id.as_slice() < to {
                *counts.entry(id[..length].to_vec()).or_default() += 1;
            }
        }
        return Ok(counts);
    }
    let table = kind.table();
    let sql = format!(
        "SELECT substr(id, 1, {length}) AS moment, COUNT(*) AS records FROM {table} \
         WHERE id >= $1 AND id < $2 GROUP BY 1"
    );
    let query = diesel::sql_query(sql).bind::<Binary, _>(from).bind::<Binary, _>(to);
    Ok(collect(query.load(conn)?))
}

fn count_sealed(
    conn: &mut AnyConnection,
    kind: Kind,
    length: usize,
    from: &[u8],
    to: &[u8],
) -> Result<BTreeMap<Vec<u8>, i64>> {
    let sql = format!(
        "SELECT substr(moment, 1, {length}) AS moment, CAST(SUM(records) AS BIGINT) AS records \
         FROM block_span WHERE kind = $1 AND moment >= $2 AND moment < $3 GROUP BY 1"
    );
    let query = diesel::sql_query(sql)
        .bind::<Integer, _>(kind as i32)
        .bind::<Binary, _>(from)
        .bind::<Binary, _>(to);
    Ok(collect(query.load(conn)?))
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = Binary)]
    id: Vec<u8>,
}

/// The records of one fine moment that are in no block, in order of id.
fn unsealed_at(conn: &mut AnyConnection, kind: Kind, moment: &[u8]) -> Result<Vec<RecordId>> {
    let sealed = sealed_at(conn, kind, moment)?;
    let mut ids: Vec<RecordId> = match kind {
        Kind::Asset => {
            let ids = rows::asset_ids(conn)?.into_iter().map(|(id, _)| id);
            ids.filter(|id| id.starts_with(moment)).collect()
        }
        _ => {
            let table = kind.table();
            let sql = format!("SELECT id FROM {table} WHERE id >= $1 AND id < $2 ORDER BY id");
            let query =
                diesel::sql_query(sql).bind::<Binary, _>(moment).bind::<Binary, _>(after(moment));
            let rows: Vec<IdRow> = query.load(conn)?;
            rows.into_iter().filter_map(|row| row.id.try_into().ok()).collect()
        }
    };
    ids.retain(|id| !sealed.contains(id));
    Ok(ids)
}

fn sealed_at(conn: &mut AnyConnection, kind: Kind, moment: &[u8]) -> Result<HashSet<RecordId>> {
    let blocks: Vec<i64> = block_span::table
        .filter(block_span::kind.eq(kind as i32))
        .filter(block_span::moment.eq(moment))
        .select(block_span::block)
        .load(conn)?;
    let mut sealed = HashSet::new();
    for number in blocks {
        let records: Option<Vec<u8>> =
            block::table.find(number).select(block::records).first(conn).optional()?;
        let records = records.unwrap_or_default();
        let ids = records.chunks_exact(RECORD_BYTES).filter_map(|record| {
            let (number, rest) = record.split_first()?;
            (*number == kind as u8).then(|| rest[..16].try_into().ok()).flatten()
        });
        sealed.extend(ids.filter(|id: &RecordId| id.starts_with(moment)));
    }
    Ok(sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next() {
        assert_eq!(after(&[1, 2]), [1, 3]);
        assert_eq!(after(&[1, 255]), [2]);
        assert_eq!(after(&[255, 255]), [255; 17]);
        assert_eq!(after(&[]), [255; 17]);
    }

    #[test]
    fn ids_are_at_or_over_the_floor_of_their_moment() {
        let source = store::IdSource::seeded(3);
        for at in [0, 1_795_478_400_000_123, 1_795_478_400_255_999].map(Timestamp) {
            let id: store::AccountId = source.id(at);
            assert!(id.as_bytes().starts_with(&floor(at)), "{at}");
        }
    }
}
