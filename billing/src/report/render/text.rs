//! Cells as text.

use std::io::Write;

use ::store::{Amount, Timestamp};

use crate::report::Cell;

/// Writes a cell as it stands in files of text: decimals with six places, days, RFC 3339 in UTC.
pub(super) fn put(cell: &Cell<'_>, into: &mut Vec<u8>) {
    match cell {
        Cell::Empty => {}
        Cell::Text(text) => into.extend_from_slice(text.as_bytes()),
        Cell::Amount(amount) => put_amount(*amount, into),
        Cell::Integer(number) => put_number(*number, into),
        // Writing to memory does not fail.
        Cell::Day(day) => drop(write!(into, "{day}")),
        Cell::Time(at) => put_time(*at, into),
    }
}

fn put_number(number: i64, into: &mut Vec<u8>) {
    if number < 0 {
        into.push(b'-');
    }
    put_digits(number.unsigned_abs(), 1, into);
}

/// As [`Amount`] shows itself, several times as fast: a general ledger has three in a row.
fn put_amount(amount: Amount, into: &mut Vec<u8>) {
    if amount.0 < 0 {
        into.push(b'-');
    }
    let micros = amount.0.unsigned_abs();
    put_digits(micros / 1_000_000, 1, into);
    into.push(b'.');
    put_digits(micros % 1_000_000, 6, into);
}

/// At least so many digits.
fn put_digits(mut number: u64, at_least: usize, into: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut first = digits.len();
    while number > 0 || digits.len() - first < at_least {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    into.extend_from_slice(&digits[first..]);
}

/// As [`Timestamp`] shows itself: a row has two, and most rows are of the second of the row before.
fn put_time(at: Timestamp, into: &mut Vec<u8>) {
    const SECOND: i64 = 1_000_000;
    thread_local! {
        static LAST: std::cell::RefCell<(i64, String)> = const {
            std::cell::RefCell::new((i64::MIN, String::new()))
        };
    }
    let (second, rest) = (at.0.div_euclid(SECOND), at.0.rem_euclid(SECOND));
    LAST.with_borrow_mut(|(known, text)| {
        if *known != second {
            *text = Timestamp(second.saturating_mul(SECOND)).to_string();
            *known = second;
        }
        let whole = text.strip_suffix('Z').unwrap_or(text);
        into.extend_from_slice(whole.as_bytes());
    });
    if rest > 0 {
        into.push(b'.');
        let from = into.len();
        put_digits(rest.unsigned_abs(), 6, into);
        while into.len() > from && into.last() == Some(&b'0') {
            into.pop();
        }
    }
    into.push(b'Z');
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::store::Day;

    #[test]
    fn cells_are_written_as_their_values_show_themselves() {
        let amounts = [0, 1, -1, 999_999, -1_000_000, 12_340_000, i64::MAX, i64::MIN];
        let times = [0, 1, 999_999, 1_795_478_400_000_000, 1_795_478_400_120_000, -1_500_000];
        let text = |cell: Cell<'_>| {
            let mut bytes = Vec::new();
            put(&cell, &mut bytes);
            String::from_utf8(bytes).unwrap()
        };
        for amount in amounts.map(Amount) {
            assert_eq!(text(Cell::Amount(amount)), amount.to_string());
            assert_eq!(text(Cell::Integer(amount.0)), amount.0.to_string());
        }
        for at in times.map(Timestamp) {
            assert_eq!(text(Cell::Time(at)), at.to_string());
        }
        assert_eq!(text(Cell::Day(Day(0))), "1970-01-01");
        assert_eq!(text(Cell::Empty), "");
    }
}
