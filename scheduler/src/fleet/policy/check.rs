//! Rules that contradict themselves.

use super::{Range, Rules, Span};
use crate::{Error, Result};

/// Degrees Celsius that an owner may name.
const TEMPERATURES: std::ops::RangeInclusive<i32> = -60..=80;

/// # Errors
/// [`Error::Invalid`] with a pointer under `/rules` for numbers out of their ranges, and for rules
/// under which the car could never work.
pub fn check_rules(rules: &Rules) -> Result<()> {
    let drives = rules.ready_by.into_iter().flat_map(|week| week.days()).flatten();
    if drives.map(|drive| drive.soc).any(|soc| !(0..=100).contains(&soc)) {
        return Err(Error::invalid("/rules/ready_by", "a charge from 0 to 100 percent"));
    }
    check_times(rules)?;
    check_range(rules.module_temp, "/rules/module_temp")?;
    check_range(rules.outside_temp, "/rules/outside_temp")?;
    if rules.max_hours_per_day.is_some_and(|hours| !(1..=24).contains(&hours)) {
        return Err(Error::invalid("/rules/max_hours_per_day", "from 1 to 24"));
    }
    if rules.max_kwh_per_day.is_some_and(|kwh| !(1..=100).contains(&kwh)) {
        return Err(Error::invalid("/rules/max_kwh_per_day", "from 1 to 100"));
    }
    Ok(())
}

fn check_times(rules: &Rules) -> Result<()> {
    let empty = |span: Span| span.from == span.to;
    if rules.quiet.is_some_and(empty) {
        return Err(Error::invalid("/rules/quiet", "ends when it begins"));
    }
    let Some(hours) = rules.hours else { return Ok(()) };
    let mut spans = hours.days().into_iter().flatten().peekable();
    if spans.peek().is_none() {
        return Err(Error::invalid("/rules/hours", "names no day: leave it out for all of them"));
    }
    if spans.any(empty) {
        return Err(Error::invalid("/rules/hours", "a span ends when it begins"));
    }
    let mut week = 0..7 * 24 * 60;
    if !week.any(|minute| rules.open(minute)) {
        return Err(Error::invalid("/rules/quiet", "leaves nothing of the hours"));
    }
    Ok(())
}

fn check_range(range: Option<Range>, pointer: &'static str) -> Result<()> {
    let Some(Range { min, max }) = range else { return Ok(()) };
    if !TEMPERATURES.contains(&min) || !TEMPERATURES.contains(&max) {
        return Err(Error::invalid(pointer, "from -60 to 80 degrees"));
    }
    if min > max {
        return Err(Error::invalid(pointer, "the least is above the most"));
    }
    Ok(())
}

impl Rules {
    /// Whether the clock lets it work in this minute, counted from Monday's midnight.
    pub fn open(&self, minute: i64) -> bool {
        let quiet = self.quiet.is_some_and(|quiet| quiet.covers(minute.rem_euclid(24 * 60)));
        !quiet && self.hours.is_none_or(|hours| hours.covers(minute))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{Preset, ReadyBy, TimeOfDay, Week};

    fn span(from: &str, to: &str) -> Span {
        Span { from: from.parse().unwrap(), to: to.parse().unwrap() }
    }

    #[test]
    fn presets_and_no_rules_are_consistent() {
        for preset in [Preset::NightsAtHome, Preset::OnCharger, Preset::WhenParked] {
            check_rules(&preset.policy().rules).unwrap();
        }
    }

    #[test]
    fn contradictions_are_refused_with_a_pointer() {
        let at = TimeOfDay::new(7, 0).unwrap();
        let night = Some(Week::every(span("22:00", "06:00")));
        let nothing = Week { monday: None, ..Week::every(span("01:00", "02:00")) };
        let nothing = Week { tuesday: None, wednesday: None, thursday: None, ..nothing };
        let nothing = Week { friday: None, saturday: None, sunday: None, ..nothing };
        let no = Rules::default();
        let cases = [
            (Rules { ready_by: Some(Week::every(ReadyBy { at, soc: 101 })), ..no }, "ready_by"),
            (Rules { quiet: Some(span("05:00", "05:00")), ..no }, "quiet"),
            (Rules { hours: Some(Week::every(span("05:00", "05:00"))), ..no }, "hours"),
            (Rules { hours: Some(nothing), ..no }, "hours"),
            (Rules { hours: night, quiet: Some(span("21:00", "06:00")), ..no }, "quiet"),
            (Rules { module_temp: Some(Range { min: 30, max: 20 }), ..no }, "module_temp"),
            (Rules { outside_temp: Some(Range { min: -61, max: 20 }), ..no }, "outside_temp"),
            (Rules { max_hours_per_day: Some(0), ..no }, "max_hours_per_day"),
            (Rules { max_hours_per_day: Some(25), ..no }, "max_hours_per_day"),
            (Rules { max_kwh_per_day: Some(0), ..no }, "max_kwh_per_day"),
        ];
        for (rules, field) in cases {
            match check_rules(&rules) {
                Err(Error::Invalid { pointer, .. }) => {
                    assert_eq!(pointer, format!("/rules/{field}"), "{rules:?}");
                }
                other => panic!("{rules:?}: {other:?}"),
            }
        }
        check_rules(&Rules { hours: night, quiet: Some(span("23:00", "05:59")), ..no }).unwrap();
    }

    #[test]
    fn a_span_over_midnight_is_of_the_day_it_begins_on() {
        let monday = Week {
            monday: Some(span("22:00", "06:00")),
            tuesday: None,
            wednesday: None,
            thursday: None,
            friday: None,
            saturday: None,
            sunday: None,
        };
        let rules = Rules { hours: Some(monday), ..Rules::default() };
        for (day, hour, open) in [
            (0, 5, false),
            (0, 21, false),
            (0, 22, true),
            (1, 5, true),
            (1, 6, false),
            (1, 22, false),
            (6, 23, false),
            (7, 22, true),
        ] {
            assert_eq!(rules.open((day * 24 + hour) * 60), open, "day {day} at {hour}");
        }
    }
}
