//! The chain: blocks, records, spans, and what was owed.

use std::collections::{BTreeMap, HashMap};

use diesel::prelude::*;
use store::AnyConnection;
use store::schema::block_span;

use super::super::block::{Kind, Record, RecordId, liabilities_digest, read_records};
use super::super::chain::{self, Parts, StoredBlock};
use super::super::hash::Hash;
use super::super::liability::{self, SNAPSHOTS_KEPT};
use super::super::rows::{self, Content, Row};
use super::super::seal::{Head, prefer_keys};
use super::super::sign::PublicKey;
use super::super::unsealed::FINE;
use super::{Walk, unreadable};
use crate::Result;

/// Rows that are loaded at once.
const CHUNK: usize = 1_000;

pub(super) fn walk(conn: &mut AnyConnection, walk: &mut Walk, keys: &[PublicKey]) -> Result<()> {
    let kept = liability::newest(conn, SNAPSHOTS_KEPT)?;
    let assets: HashMap<RecordId, String> = rows::asset_ids(conn)?.into_iter().collect();
    prefer_keys(conn)?;
    let mut previous = Some(Hash::default());
    let mut number = 1;
    while let Some(block) = chain::next(conn, number)? {
        if block.number != number {
            walk.report.list(Some(number), "block", number, "it is gone");
            previous = None;
        }
        number = block.number + 1;
        walk.report.blocks += 1;
        let Some(parts) = block.read() else {
            walk.report.list(Some(block.number), "block", block.number, "it is no block");
            previous = None;
            continue;
        };
        check_block(walk, &parts, previous, keys);
        previous = Some(parts.hash);
        walk.report.head = Some(Head { number: block.number, hash: parts.hash });
        check_records(conn, walk, &block, &assets)?;
        check_owed(conn, walk, &parts, &kept)?;
    }
    Ok(())
}

/// Hash, link and signature. Pure.
fn check_block(walk: &mut Walk, parts: &Parts, previous: Option<Hash>, keys: &[PublicKey]) {
    let (header, report) = (&parts.header, &mut walk.report);
    let number = header.number;
    let mut list = |why: &str| report.list(Some(number), "block", number, why);
    if previous.is_some_and(|previous| previous != header.previous) {
        list("it does not follow the block before");
    }
    if header.hash() != parts.hash {
        list("its hash is not that of what it says");
    }
    match keys.iter().find(|key| key.id() == header.key_id) {
        None => list(&format!("it is signed with the unknown key {}", header.key_id)),
        Some(key) if !key.signed(&parts.hash, &parts.signature) => {
            list("its signature does not hold");
        }
        Some(_) => {}
    }
}

fn check_records(
    conn: &mut AnyConnection,
    walk: &mut Walk,
    block: &StoredBlock,
    assets: &HashMap<RecordId, String>,
) -> Result<()> {
    let number = block.number;
    let Some(records) = read_records(&block.records) else {
        walk.report.list(Some(number), "block.records", number, "they are no records");
        return Ok(());
    };
    walk.report.records += records.len() as u64;
    for of_kind in records.chunk_by(|a, b| a.kind == b.kind) {
        for chunk in of_kind.chunks(CHUNK) {
            let Some(first) = chunk.first() else { continue };
            let ids: Vec<_> = chunk.iter().map(|record| record.id).collect();
            let rows = load_rows(conn, walk, number, first.kind, &ids)?;
            compare_records(walk, number, chunk, rows, assets);
        }
    }
    check_spans(conn, walk, number, &records)
}

/// The rows that can be read; the others are listed.
fn load_rows(
    conn: &mut AnyConnection,
    walk: &mut Walk,
    block: i64,
    kind: Kind,
    ids: &[RecordId],
) -> Result<Vec<Row>> {
    match rows::load(conn, kind, ids) {
        Ok(rows) => Ok(rows),
        Err(fault) => {
            let Some(why) = unreadable::<()>(Err(fault))? else { return Ok(Vec::new()) };
            if let [id] = ids {
                walk.report.list(Some(block), kind.table(), kind.name(*id), why);
                return Ok(Vec::new());
            }
            let (left, right) = ids.split_at(ids.len() / 2);
            let mut rows = load_rows(conn, walk, block, kind, left)?;
            rows.extend(load_rows(conn, walk, block, kind, right)?);
            Ok(rows)
        }
    }
}

/// Pure. Both are in order of id.
fn compare_records(
    walk: &mut Walk,
    block: i64,
    records: &[Record],
    rows: Vec<Row>,
    assets: &HashMap<RecordId, String>,
) {
    let mut rows = rows.into_iter().peekable();
    for record in records {
        let (kind, id) = (record.kind, record.id);
        let name = || assets.get(&id).cloned().unwrap_or_else(|| kind.name(id));
        let Some(row) = rows.next_if(|row| row.record.id == id) else {
            walk.report.list(Some(block), kind.table(), name(), "it is gone");
            continue;
        };
        *walk.found.entry(kind).or_default() += 1;
        if row.record.digest != record.digest {
            walk.report.list(Some(block), kind.table(), name(), changed(kind));
        }
        match row.content {
            Content::Account { code, party, asset } => {
                walk.add_account(store::AccountId::from_bytes(id), &code, party, asset);
            }
            Content::Transaction { entries, .. } => {
                if !entries.iter().all(|entry| walk.add_entry(entry)) {
                    let why = "an entry takes a balance out of range";
                    walk.report.list(Some(block), "entry.amount", name(), why);
                }
            }
            Content::Other => {}
        }
    }
}

fn changed(kind: Kind) -> &'static str {
    match kind {
        Kind::Transaction => {
            "the transaction, its entries, its metadata or its records are not as they were sealed"
        }
        Kind::HoldEvent => "the event or its hold is not as it was sealed",
        Kind::Asset | Kind::Account | Kind::PeriodEvent => "it is not as it was sealed",
    }
}

fn check_spans(
    conn: &mut AnyConnection,
    walk: &mut Walk,
    number: i64,
    records: &[Record],
) -> Result<()> {
    for of_kind in records.chunk_by(|a, b| a.kind == b.kind) {
        let Some(kind) = of_kind.first().map(|record| record.kind) else { continue };
        let mut spans = BTreeMap::<Vec<u8>, i64>::new();
        for record in of_kind {
            *spans.entry(record.id[..FINE].to_vec()).or_default() += 1;
        }
        walk.expected.spans += spans.len() as i64;
        let spans: Vec<_> = spans.into_iter().collect();
        for chunk in spans.chunks(CHUNK) {
            let stored: Vec<(Vec<u8>, i64)> = block_span::table
                .filter(block_span::kind.eq(kind as i32))
                .filter(block_span::moment.eq_any(chunk.iter().map(|(moment, _)| moment)))
                .filter(block_span::block.eq(number))
                .order(block_span::moment)
                .select((block_span::moment, block_span::records))
                .load(conn)?;
            if stored != chunk {
                let why = "they are not those of the block's records";
                walk.report.list(Some(number), "block_span", number, why);
            }
        }
    }
    Ok(())
}

/// What the block says was owed, its roots and, while they are kept, its pages.
fn check_owed(
    conn: &mut AnyConnection,
    walk: &mut Walk,
    parts: &Parts,
    kept: &[i64],
) -> Result<()> {
    let number = parts.header.number;
    let Some(digest) = parts.header.liabilities else { return Ok(()) };
    walk.report.statements += 1;
    let Some(owed) = liability::owed(&mut walk.book) else {
        let why = "what is owed by the entries is negative or out of range";
        walk.report.list(Some(number), "block.liabilities", number, why);
        return Ok(());
    };
    if liabilities_digest(&owed) != digest {
        let why = "they are not what was owed by the entries";
        walk.report.list(Some(number), "block.liabilities", number, why);
    }
    let stored = liability::load_owed(conn, number)?;
    walk.expected.roots += owed.len() as i64;
    if stored != owed {
        let differs = stored.iter().find(|row| !owed.contains(row));
        let asset = differs.or(owed.iter().find(|row| !stored.contains(row)));
        let asset = asset.map_or("", |owed| owed.asset.as_str());
        let why = "it is not what was owed by the entries";
        walk.report.list(Some(number), "liability_root", asset, why);
    }
    if !kept.contains(&number) {
        return Ok(());
    }
    for derived in liability::pages(&mut walk.book) {
        walk.expected.pages += 1;
        let stored = liability::load_page(conn, number, &derived.asset, derived.page)?;
        if stored.as_ref() != Some(&derived) {
            let id = format!("{} {}", derived.asset, derived.page);
            let why = "it is not what was owed by the entries, or it is gone";
            walk.report.list(Some(number), "liability_page", id, why);
        }
    }
    Ok(())
}
