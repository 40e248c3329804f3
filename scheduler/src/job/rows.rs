//! Inputs out of rows: JSON lines and templates. Pure.

use serde_json::{Map, Value};

/// What is wrong with a line of rows, and which, from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BadRow {
    pub line: usize,
    pub why: String,
}

/// Counts the lines of a blob of rows and checks each: JSON, an object if a template takes it. Text
/// comes in pieces that may end anywhere.
#[derive(Default)]
pub struct RowCounter {
    rest: Vec<u8>,
    lines: usize,
    objects: bool,
}

impl RowCounter {
    pub fn new(objects: bool) -> Self {
        Self { objects, ..Self::default() }
    }

    /// # Errors
    /// The first line that is not a row.
    pub fn take(&mut self, piece: &[u8]) -> Result<(), BadRow> {
        let mut left = piece;
        while let Some(end) = left.iter().position(|byte| *byte == b'\n') {
            let (line, after) = left.split_at(end);
            self.rest.extend_from_slice(line);
            self.line()?;
            left = &after[1..];
        }
        self.rest.extend_from_slice(left);
        Ok(())
    }

    fn line(&mut self) -> Result<(), BadRow> {
        self.lines += 1;
        let refuse = |why: String| BadRow { line: self.lines, why };
        let checked = match self.objects {
            true => serde_json::from_slice::<Map<String, Value>>(&self.rest).map(drop),
            false => serde_json::from_slice::<serde::de::IgnoredAny>(&self.rest).map(drop),
        };
        checked.map_err(|error| refuse(error.to_string()))?;
        self.rest.clear();
        Ok(())
    }

    /// The number of rows.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn finish(mut self) -> Result<usize, BadRow> {
        if !self.rest.is_empty() {
            self.line()?;
        }
        Ok(self.lines)
    }
}

/// Most bytes of an input that is a line, or a template filled.
pub(crate) const MAX_INLINE: usize = 1 << 20;

/// The input that a line tells: the digest of a blob, or the input itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Digest(String),
    Inline(Vec<u8>),
}

pub(crate) fn read_row(line: &[u8]) -> Input {
    match serde_json::from_slice::<String>(line) {
        Ok(text) => Input::Digest(text),
        Err(_) => Input::Inline(line.to_vec()),
    }
}

/// Fills a template: `{index}` is the index, `{name}` the member of the row, a text as it is and
/// anything else as JSON. What names nothing stays as it stands, braces and all, for JSON has many.
/// None if it comes to more than [`MAX_INLINE`].
pub(crate) fn fill(template: &str, index: i32, row: &Map<String, Value>) -> Option<String> {
    let mut out = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        if out.len() > MAX_INLINE {
            return None;
        }
        out.push_str(&rest[..open]);
        let after = &rest[open + 1..];
        let value = after.find('}').and_then(|end| {
            let value = match (&after[..end], row.get(&after[..end])) {
                (_, Some(Value::String(text))) => text.clone(),
                (_, Some(value)) => value.to_string(),
                ("index", None) => index.to_string(),
                _ => return None,
            };
            Some((value, end))
        });
        match value {
            Some((value, end)) => {
                out.push_str(&value);
                rest = &after[end + 1..];
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    (out.len() <= MAX_INLINE).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled() {
        let row = serde_json::json!({ "seed": 7, "name": "a\"b", "list": [1] });
        let row = row.as_object().unwrap();
        for (template, filled) in [
            ("{index}", "3"),
            (r#"{"seed": {seed}, "n": {index}}"#, r#"{"seed": 7, "n": 3}"#),
            ("{list}{name}", "[1]a\"b"),
            ("{missing} {", "{missing} {"),
            ("", ""),
            ("{{index}}", "{3}"),
        ] {
            assert_eq!(fill(template, 3, row).as_deref(), Some(filled), "{template}");
        }
    }

    #[test]
    fn a_template_does_not_grow_without_bound() {
        let row = serde_json::json!({ "x": "x".repeat(MAX_INLINE / 4) });
        let row = row.as_object().unwrap();
        assert_eq!(fill(&"{x}".repeat(4), 0, row).map(|text| text.len()), Some(MAX_INLINE));
        assert_eq!(fill(&"{x}".repeat(20_000), 0, row), None);
    }

    #[test]
    fn rows_are_counted_wherever_pieces_end() {
        let text = b"\"a\"\n{\"x\":1}\n[1,2]";
        for size in 1..text.len() {
            let mut counter = RowCounter::new(false);
            for piece in text.chunks(size) {
                counter.take(piece).unwrap();
            }
            assert_eq!(counter.finish(), Ok(3));
        }
        for (objects, text, line) in
            [(false, "1\n\n2", 2), (true, "{}\n1\n", 2), (false, "{", 1), (false, "1\nx", 2)]
        {
            let mut counter = RowCounter::new(objects);
            let bad = counter.take(text.as_bytes()).and_then(|()| counter.finish().map(drop));
            assert_eq!(bad.unwrap_err().line, line, "{text}");
        }
    }

    #[test]
    fn a_line_is_a_digest_or_the_input() {
        assert_eq!(read_row(b"\"abc\""), Input::Digest("abc".to_owned()));
        assert_eq!(read_row(b"{\"a\": 1}"), Input::Inline(b"{\"a\": 1}".to_vec()));
    }
}
