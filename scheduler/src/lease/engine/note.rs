//! What a car says of an attempt beside how it ended: claims for people, bounded here whatever the
//! car keeps to, and no part of any decision.

use store::AttemptId;
use vehicle::protocol::{AttemptReport, AttemptUsage, MAX_LOG, MAX_METRICS, is_metric_name};

use crate::{Error, Result};

/// A row of `attempt_report`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub attempt: AttemptId,
    pub fuel: i64,
    pub cpu_us: i64,
    pub peak_memory_bytes: i64,
    pub log: String,
    /// JSON.
    pub metrics: String,
}

/// None if it says nothing.
pub(super) fn note(attempt: AttemptId, report: &AttemptReport) -> Result<Option<Note>> {
    let AttemptReport { usage, log, metrics, .. } = report;
    if *usage == AttemptUsage::default() && log.is_empty() && metrics.is_empty() {
        return Ok(None);
    }
    let bounded = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let named = metrics.iter().filter(|(name, _)| is_metric_name(name)).take(MAX_METRICS);
    let named: std::collections::BTreeMap<&String, &i64> = named.collect();
    let metrics =
        serde_json::to_string(&named).map_err(|error| Error::corrupt(error.to_string()))?;
    Ok(Some(Note {
        attempt,
        fuel: bounded(usage.fuel),
        cpu_us: usage.cpu_us.max(0),
        peak_memory_bytes: bounded(usage.peak_memory_bytes),
        log: tail(log),
        metrics,
    }))
}

/// The last of a text that fits, without what PostgreSQL cannot keep or a terminal would obey.
fn tail(log: &str) -> String {
    let mut from = log.len().saturating_sub(MAX_LOG);
    while !log.is_char_boundary(from) {
        from += 1;
    }
    let plain = |c: &char| !c.is_control() || matches!(c, '\n' | '\t');
    log[from..].chars().filter(plain).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use vehicle::protocol::AttemptState;

    use super::*;

    fn report() -> AttemptReport {
        AttemptReport::new("attempt", AttemptState::Vacated { metered_us: 1 })
    }

    #[test]
    fn a_car_that_says_nothing_leaves_no_row() {
        assert_eq!(note(AttemptId::NIL, &report()).unwrap(), None);
    }

    #[test]
    fn claims_are_bounded() {
        let mut said = report();
        said.usage = AttemptUsage { fuel: u64::MAX, cpu_us: -1, peak_memory_bytes: 7 };
        said.log = format!("{}é\0\u{1b}[2J\n", "é".repeat(MAX_LOG));
        said.metrics = (0..200).map(|n| (format!("m{n}"), n)).collect();
        said.metrics.insert("no name".to_owned(), 1);
        let row = note(AttemptId::NIL, &said).unwrap().unwrap();
        assert_eq!((row.fuel, row.cpu_us, row.peak_memory_bytes), (i64::MAX, 0, 7));
        assert!(row.log.len() <= MAX_LOG && row.log.ends_with("éé[2J\n"));
        let metrics: std::collections::BTreeMap<String, i64> =
            serde_json::from_str(&row.metrics).unwrap();
        assert_eq!(metrics.len(), MAX_METRICS);
        assert!(!row.metrics.contains("no name"));
    }
}
