//! Times of day and of the week, as owners name them.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};
use store::Timestamp;

const MINUTE_US: i64 = 60_000_000;
const DAY_MIN: i64 = 24 * 60;

/// A time of day to the minute, `HH:MM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(u16);

impl TimeOfDay {
    pub fn new(hour: u16, minute: u16) -> Option<Self> {
        (hour < 24 && minute < 60).then_some(Self(hour * 60 + minute))
    }

    /// Minutes since midnight, 0 to 1439.
    pub fn minutes(self) -> i64 {
        self.0.into()
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl FromStr for TimeOfDay {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "a time of day as HH:MM";
        let digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        let (hour, minute) = text.split_once(':').ok_or(WRONG)?;
        if !digits(hour) || !digits(minute) {
            return Err(WRONG);
        }
        let (hour, minute) = (hour.parse().map_err(|_| WRONG)?, minute.parse().map_err(|_| WRONG)?);
        Self::new(hour, minute).ok_or(WRONG)
    }
}

impl Serialize for TimeOfDay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// From one time of day until before another; over midnight if that is earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    pub from: TimeOfDay,
    pub to: TimeOfDay,
}

impl Span {
    fn over_midnight(self) -> bool {
        self.from > self.to
    }

    /// Whether it covers this minute of the day it begins on.
    fn first_day(self, minute: i64) -> bool {
        minute >= self.from.minutes() && (self.over_midnight() || minute < self.to.minutes())
    }

    /// Whether it covers this minute of the day after.
    fn second_day(self, minute: i64) -> bool {
        self.over_midnight() && minute < self.to.minutes()
    }

    /// Whether it covers this minute of the day if it is the same every day.
    pub fn covers(self, minute: i64) -> bool {
        self.first_day(minute) || self.second_day(minute)
    }
}

/// Something for each day of the week, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Week<T> {
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub monday: Option<T>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub tuesday: Option<T>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub wednesday: Option<T>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub thursday: Option<T>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub friday: Option<T>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub saturday: Option<T>,
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub sunday: Option<T>,
}

fn none<T>() -> Option<T> {
    None
}

impl<T: Copy> Week<T> {
    /// The same on every day.
    pub fn every(value: T) -> Self {
        let it = Some(value);
        Self {
            monday: it,
            tuesday: it,
            wednesday: it,
            thursday: it,
            friday: it,
            saturday: it,
            sunday: it,
        }
    }

    /// From Monday on.
    pub fn days(self) -> [Option<T>; 7] {
        [
            self.monday,
            self.tuesday,
            self.wednesday,
            self.thursday,
            self.friday,
            self.saturday,
            self.sunday,
        ]
    }

    /// Of a day counted from some Monday, whichever way.
    fn on(self, day: i64) -> Option<T> {
        usize::try_from(day.rem_euclid(7)).ok().and_then(|day| self.days()[day])
    }
}

impl Week<Span> {
    /// Whether one of the spans covers this minute, counted from Monday's midnight.
    pub fn covers(self, minute: i64) -> bool {
        let (day, minute) = (minute.div_euclid(DAY_MIN), minute.rem_euclid(DAY_MIN));
        self.on(day).is_some_and(|span| span.first_day(minute))
            || self.on(day - 1).is_some_and(|span| span.second_day(minute))
    }
}

/// A moment where its region's clocks show it.
#[derive(Clone, Copy, Debug)]
pub struct LocalTime {
    pub now: Timestamp,
    /// Local standard time less UTC, minutes.
    pub utc_offset_min: i32,
}

impl LocalTime {
    /// Microseconds since some Monday's midnight by local clocks.
    fn us(self) -> i64 {
        // 1970 began on a Thursday.
        self.now.0 + (i64::from(self.utc_offset_min) + 3 * DAY_MIN) * MINUTE_US
    }

    /// The minute that runs, since that Monday.
    pub fn minute(self) -> i64 {
        self.us().div_euclid(MINUTE_US)
    }

    /// When this minute of that count begins.
    pub fn at_minute(self, minute: i64) -> Timestamp {
        self.now.plus_us(minute * MINUTE_US - self.us())
    }

    /// When the day began.
    pub fn midnight(self) -> Timestamp {
        self.at_minute(self.minute().div_euclid(DAY_MIN) * DAY_MIN)
    }

    /// When the next day begins.
    pub fn next_midnight(self) -> Timestamp {
        self.at_minute((self.minute().div_euclid(DAY_MIN) + 1) * DAY_MIN)
    }

    /// The first of the times that `time` names on each day of `week` that is yet to come.
    pub fn next<T: Copy>(
        self,
        week: Week<T>,
        time: impl Fn(T) -> TimeOfDay,
    ) -> Option<(Timestamp, T)> {
        let today = self.minute().div_euclid(DAY_MIN);
        (today..=today + 7).find_map(|day| {
            let value = week.on(day)?;
            let at = self.at_minute(day * DAY_MIN + time(value).minutes());
            (at > self.now).then_some((at, value))
        })
    }
}
