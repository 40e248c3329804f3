//! The sealer: finds what is in no block, plans one from a single snapshot, and appends it if nobody
//! else was quicker.
//!
//! A plan is made in a read transaction, so that nothing waits for it, however much there is to
//! seal. Appending it is a short write, which takes the row of `block_head`: if the head is no longer
//! the one that the plan is based on, the plan is thrown away. What the plan says was true in its
//! snapshot and, since sealed rows never change, still is.

use std::collections::BTreeMap;

use diesel::prelude::*;
use serde::Serialize;
use store::schema::{block, block_head};
use store::{AnyConnection, Store, Timestamp, Tx, lock_row};

use super::block::{Header, Kind, RECORD_BYTES};
use super::days::{self, DayRow, Touched};
use super::hash::Hash;
use super::liability::{self, Snapshot};
use super::rows::{self, Content};
use super::sign::Signer;
use super::unsealed::{self, FINE, Found, Resume};
use crate::Result;
use store::sets::Set;

/// Records of a block, at most.
pub const MAX_RECORDS: usize = 50_000;

/// A record whose id is this much older than the last look may have committed since, seconds; what
/// committed later still is found by [`Extent::All`].
const LATE_S: i64 = 300;

/// Rows that are loaded at once.
const CHUNK: usize = 1_000;

/// How often a plan is made again because somebody else sealed meanwhile.
const MAX_LOST: usize = 20;

/// How far a sealer looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What was made lately: quick, for every few seconds.
    Recent,
    /// Everything, however late it was committed; and the block that leaves nothing says what is
    /// owed. It counts the whole book.
    All,
}

/// What a call of [`seal`] sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize)]
pub struct Sealed {
    pub blocks: u64,
    pub records: u64,
}

/// The end of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Head {
    /// 0 before the first block.
    pub number: i64,
    pub hash: Hash,
}

/// Seals what waits, in as many blocks as it needs. Any number of processes may call it at once:
/// their blocks make one chain.
///
/// # Errors
/// [`crate::Error::Store`], also for a balance that cannot be owed.
pub fn seal(store: &Store, signer: &Signer, extent: Extent) -> Result<Sealed> {
    seal_in_blocks_of(store, signer, extent, MAX_RECORDS)
}

/// [`seal`] with blocks of at most `limit` records.
///
/// # Errors
/// Those of [`seal`].
pub fn seal_in_blocks_of(
    store: &Store,
    signer: &Signer,
    extent: Extent,
    limit: usize,
) -> Result<Sealed> {
    let (mut sealed, mut lost, mut resume) = (Sealed::default(), 0, None::<Resume>);
    while lost < MAX_LOST {
        let Some(plan) = store.read(|tx| plan(tx, extent, resume.as_ref(), limit))? else {
            match resume.take() {
                // Nothing more where it went on: look once more at all of it.
                Some(_) => continue,
                None => break,
            }
        };
        if !store.write(|tx| append(tx, &plan, signer))? {
            lost += 1;
            continue;
        }
        sealed.blocks += 1;
        sealed.records += (plan.records.len() / RECORD_BYTES) as u64;
        if plan.watermark.is_some() {
            break;
        }
        resume = plan.more;
    }
    Ok(sealed)
}

/// The end of the chain.
///
/// # Errors
/// Faults of storage only.
pub fn head(tx: &mut Tx<'_>) -> Result<Head> {
    Ok(load_head(tx.conn)?.head)
}

struct StoredHead {
    head: Head,
    watermark: Timestamp,
    /// The head says what is owed.
    has_liabilities: bool,
    sealed_at: Timestamp,
}

fn load_head(conn: &mut AnyConnection) -> Result<StoredHead> {
    let (number, watermark): (i64, Timestamp) = block_head::table
        .find("head")
        .select((block_head::number, block_head::watermark))
        .first(conn)?;
    if number == 0 {
        let head = Head { number, hash: Hash::default() };
        return Ok(StoredHead { head, watermark, has_liabilities: false, sealed_at: Timestamp(0) });
    }
    let (hash, liabilities, sealed_at): (Vec<u8>, Option<Vec<u8>>, Timestamp) = block::table
        .find(number)
        .select((block::hash, block::liabilities, block::sealed_at))
        .first(conn)?;
    let hash = Hash::from_slice(&hash)
        .ok_or_else(|| crate::Error::corrupt("a block's hash has 32 bytes"))?;
    let (head, has_liabilities) = (Head { number, hash }, liabilities.is_some());
    Ok(StoredHead { head, watermark, has_liabilities, sealed_at })
}

/// A block that may be appended.
struct Plan {
    /// What it follows.
    head: Head,
    not_before: Timestamp,
    /// As stored.
    records: Vec<u8>,
    spans: BTreeMap<(Kind, [u8; FINE]), i64>,
    days: Vec<DayRow>,
    liabilities: Option<Snapshot>,
    /// Where to go on, if this block leaves something.
    more: Option<Resume>,
    /// Where the next look begins; `None` if this block may leave something of its snapshot.
    watermark: Option<Timestamp>,
}

/// `None` if nothing waits.
fn plan(
    tx: &mut Tx<'_>,
    extent: Extent,
    resume: Option<&Resume>,
    limit: usize,
) -> Result<Option<Plan>> {
    let StoredHead { head, watermark, has_liabilities, sealed_at } = load_head(tx.conn)?;
    let from = match extent {
        Extent::Recent => unsealed::floor(watermark),
        Extent::All => Vec::new(),
    };
    let Found { records: found, more } = unsealed::find(tx.conn, &from, resume, limit)?;
    let complete = resume.is_none() && more.is_none();
    let takes_liabilities = extent == Extent::All && complete;
    if found.is_empty() && (!takes_liabilities || has_liabilities) {
        return Ok(None);
    }
    let mut plan = Plan {
        head,
        not_before: sealed_at,
        records: Vec::with_capacity(found.len() * RECORD_BYTES),
        spans: BTreeMap::new(),
        days: Vec::new(),
        liabilities: None,
        more,
        watermark: complete.then(|| tx.now.plus_s(-LATE_S).max(watermark)),
    };
    prefer_keys(tx.conn)?;
    let mut touched = Touched::default();
    for of_kind in found.chunk_by(|(a, _), (b, _)| a == b) {
        for chunk in of_kind.chunks(CHUNK) {
            add_records(tx.conn, &mut plan, &mut touched, chunk)?;
        }
    }
    plan.days = days::plan(tx.conn, touched)?;
    if takes_liabilities {
        plan.liabilities = Some(liability::take(tx.conn)?);
    }
    Ok(Some(plan))
}

/// From here on rows are looked up by key, many at once. PostgreSQL would read a whole table for that
/// when it planned while the table was small, and keep to the plan.
pub(super) fn prefer_keys(conn: &mut AnyConnection) -> Result<()> {
    if let AnyConnection::Postgres(conn) = conn {
        diesel::sql_query("SET LOCAL enable_seqscan = off").execute(conn)?;
    }
    Ok(())
}

/// Records of one kind.
fn add_records(
    conn: &mut AnyConnection,
    plan: &mut Plan,
    touched: &mut Touched,
    found: &[(Kind, [u8; 16])],
) -> Result<()> {
    let Some((kind, _)) = found.first() else { return Ok(()) };
    let ids: Vec<_> = found.iter().map(|(_, id)| *id).collect();
    let rows = rows::load(conn, *kind, &ids)?;
    if rows.len() != ids.len() {
        return Err(crate::Error::corrupt("a row went while it was sealed"));
    }
    for row in rows {
        row.record.put(&mut plan.records);
        let mut moment = [0; FINE];
        moment.copy_from_slice(&row.record.id[..FINE]);
        *plan.spans.entry((*kind, moment)).or_default() += 1;
        if let Content::Transaction { day, entries } = &row.content {
            touched.add(*day, entries);
        }
    }
    Ok(())
}

/// False if somebody else has sealed since the plan was made; nothing is written then.
fn append(tx: &mut Tx<'_>, plan: &Plan, signer: &Signer) -> Result<bool> {
    lock_row(tx.conn, "block_head", "head")?;
    let known: (i64, Timestamp) = block_head::table
        .find("head")
        .select((block_head::number, block_head::watermark))
        .first(tx.conn)?;
    if known.0 != plan.head.number {
        return Ok(false);
    }
    let header = Header {
        number: plan.head.number + 1,
        previous: plan.head.hash,
        records: Hash::of(&plan.records),
        liabilities: plan.liabilities.as_ref().map(Snapshot::digest),
        sealed_at: tx.now.max(plan.not_before),
        key_id: signer.public().id(),
    };
    store_block(tx.conn, &header, &plan.records, signer)?;
    store_spans(tx.conn, header.number, &plan.spans)?;
    days::store(tx.conn, &plan.days)?;
    if let Some(snapshot) = &plan.liabilities {
        liability::store(tx.conn, header.number, snapshot)?;
    }
    let set = (
        block_head::number.eq(header.number),
        block_head::watermark.eq(plan.watermark.unwrap_or(known.1)),
    );
    diesel::update(block_head::table.find("head")).set(set).execute(tx.conn)?;
    Ok(true)
}

fn store_block(
    conn: &mut AnyConnection,
    header: &Header,
    records: &[u8],
    signer: &Signer,
) -> Result<()> {
    let hash = header.hash();
    let row = (
        block::number.eq(header.number),
        block::previous.eq(header.previous.as_bytes().as_slice()),
        block::records.eq(records),
        block::liabilities.eq(header.liabilities.as_ref().map(|hash| hash.as_bytes().as_slice())),
        block::sealed_at.eq(header.sealed_at),
        block::hash.eq(hash.as_bytes().as_slice()),
        block::key_id.eq(&header.key_id),
        block::signature.eq(signer.sign(&hash).0.to_vec()),
    );
    diesel::insert_into(block::table).values(row).execute(conn)?;
    Ok(())
}

fn store_spans(
    conn: &mut AnyConnection,
    number: i64,
    spans: &BTreeMap<(Kind, [u8; FINE]), i64>,
) -> Result<()> {
    Set::default()
        .integers("kind", spans.keys().map(|(kind, _)| *kind as i32))
        .bytes("moment", spans.keys().map(|(_, moment)| &moment[..]))
        .numbers("block", spans.iter().map(|_| number))
        .numbers("records", spans.values().copied())
        .insert(conn, "block_span", "")?;
    Ok(())
}
