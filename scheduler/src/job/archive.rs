//! One archive of a job's outputs: a tar whose first entry is `manifest.json`, the others by number
//! of their task. Its bytes depend on the outputs alone. Pure, but for [`load_outputs`]: whoever
//! writes it goes through the outputs twice, page by page, and keeps none of them.

use std::ops::Range;

use diesel::prelude::*;
use store::schema::{blob, task};
use store::{JobId, PartyId, Tx};

use crate::Result;

/// Entries and their padding are whole blocks.
pub const BLOCK: u64 = 512;

/// A completed task's output.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct OutputRow {
    /// The task's number.
    pub number: i32,
    /// Its number in order of completion, from 1.
    pub done: Option<i32>,
    pub digest: Option<String>,
    /// Bytes.
    pub size: i64,
}

/// Outputs of the tasks in `span` that were among the job's first `upto` to complete, by number,
/// after the task `after`.
pub fn load_outputs(
    tx: &mut Tx<'_>,
    customer: PartyId,
    id: JobId,
    span: Range<i32>,
    upto: i32,
    limit: i64,
) -> Result<Vec<OutputRow>> {
    let mine = blob::digest.nullable().eq(task::output).and(blob::party_id.eq(customer));
    let rows = task::table
        .inner_join(blob::table.on(mine))
        .filter(task::job_id.eq(id))
        .filter(task::number.ge(span.start).and(task::number.lt(span.end)))
        .filter(task::done.le(Some(upto)))
        .order(task::number)
        .limit(limit)
        .select((task::number, task::done, task::output, blob::size))
        .load(tx.conn)?;
    Ok(rows)
}

/// The name of a task's output in the archive.
pub fn path(number: i32) -> String {
    format!("outputs/{number:07}")
}

/// The header of an entry of `size` bytes (ustar, at most 8 GiB).
pub fn header(path: &str, size: u64) -> [u8; BLOCK as usize] {
    let mut block = [0; BLOCK as usize];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, &path.as_bytes()[..path.len().min(100)]);
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", size & 0o77_777_777_777).as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// Bytes of zero after an entry's bytes.
pub fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK) - size
}

/// Bytes of an entry with its header and padding.
pub fn entry_len(size: u64) -> u64 {
    BLOCK + size + padding(size)
}

/// Two blocks of zero end a tar.
pub const END: u64 = 2 * BLOCK;

/// The manifest is its head, its lines, and its tail.
pub fn manifest_head(id: JobId) -> String {
    format!("{{\"job\":\"{id}\",\"outputs\":[")
}

pub const MANIFEST_TAIL: &str = "\n]}\n";

pub fn manifest_line(row: &OutputRow, first: bool) -> String {
    let comma = if first { "" } else { "," };
    let digest = row.digest.as_deref().unwrap_or_default();
    let (number, size, path) = (row.number, row.size, path(row.number));
    format!(
        "{comma}\n{{\"task\":{number},\"path\":\"{path}\",\"digest\":\"{digest}\",\"size\":{size}}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_what_tar_expects() {
        let header = header("outputs/0000007", 1_000);
        assert_eq!(&header[..16], b"outputs/0000007\0");
        assert_eq!(&header[124..136], b"00000001750\0");
        assert_eq!(&header[257..265], b"ustar\x0000");
        let text = std::str::from_utf8(&header[148..154]).unwrap();
        let mut blank = header;
        blank[148..156].copy_from_slice(b"        ");
        let sum: u32 = blank.iter().map(|byte| u32::from(*byte)).sum();
        assert_eq!(u32::from_str_radix(text, 8).unwrap(), sum);
    }

    #[test]
    fn entries_fill_whole_blocks() {
        for (size, len) in [(0, 512), (1, 1_024), (512, 1_024), (513, 1_536)] {
            assert_eq!(entry_len(size), len);
            assert_eq!(padding(size), len - 512 - size);
        }
    }

    #[test]
    fn the_manifest_is_json() {
        let row = |number| OutputRow { number, done: Some(1), digest: Some("d".into()), size: 3 };
        let lines = [manifest_line(&row(0), true), manifest_line(&row(1), false)].concat();
        let text = format!("{}{lines}{MANIFEST_TAIL}", manifest_head(JobId::NIL));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["outputs"][1]["path"], "outputs/0000001");
    }
}
