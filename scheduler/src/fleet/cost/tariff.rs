//! What a kilowatt-hour costs an owner, and when.

use serde::{Deserialize, Serialize};
use store::{Amount, Timestamp};

use crate::fleet::{LocalTime, Span, Week};
use crate::{Error, Result};

/// Most bands, and most prices of a feed.
const MAX_BANDS: usize = 24;
const MAX_PRICES: usize = 1_000;
/// The dearest kilowatt-hour that is believed: 100 units.
const MAX_KWH: Amount = Amount(100_000_000);

/// An owner's electricity tariff. Prices are per kilowatt-hour, in the market's money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Tariff {
    Flat {
        per_kwh: Amount,
    },
    /// The first band that covers a time holds, and `per_kwh` where none does.
    TimeOfUse {
        per_kwh: Amount,
        bands: Vec<Band>,
    },
    /// Each price holds until the next; `per_kwh` before the first, and a day after the last.
    Feed {
        per_kwh: Amount,
        prices: Vec<Price>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Band {
    pub hours: Week<Span>,
    pub per_kwh: Amount,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    pub from: Timestamp,
    pub per_kwh: Amount,
}

/// How long the last price of a feed holds, seconds.
const LAST_S: i64 = 24 * 3_600;

impl Tariff {
    /// # Errors
    /// [`Error::Invalid`] under `/tariff` for prices out of range, too many of them, bands that
    /// cover nothing, or a feed that is not in order.
    pub fn check(&self) -> Result<()> {
        let fine = |price: Amount| (Amount::ZERO..=MAX_KWH).contains(&price);
        let (usual, named): (Amount, Vec<Amount>) = match self {
            Self::Flat { per_kwh } => (*per_kwh, vec![]),
            Self::TimeOfUse { per_kwh, bands } => {
                check_bands(bands)?;
                (*per_kwh, bands.iter().map(|band| band.per_kwh).collect())
            }
            Self::Feed { per_kwh, prices } => {
                check_feed(prices)?;
                (*per_kwh, prices.iter().map(|price| price.per_kwh).collect())
            }
        };
        match fine(usual) && named.into_iter().all(fine) {
            true => Ok(()),
            false => {
                Err(Error::invalid("/tariff", format!("a kilowatt-hour costs 0 to {MAX_KWH}")))
            }
        }
    }

    /// What a kilowatt-hour costs at a moment.
    pub fn at(&self, local: LocalTime) -> Amount {
        match self {
            Self::Flat { per_kwh } => *per_kwh,
            Self::TimeOfUse { per_kwh, bands } => {
                let minute = local.minute();
                let band = bands.iter().find(|band| band.hours.covers(minute));
                band.map_or(*per_kwh, |band| band.per_kwh)
            }
            Self::Feed { per_kwh, prices } => {
                let next = prices.partition_point(|price| price.from <= local.now);
                let last = next.checked_sub(1).and_then(|place| prices.get(place));
                let holds = last
                    .filter(|price| next < prices.len() || local.now < price.from.plus_s(LAST_S));
                holds.map_or(*per_kwh, |price| price.per_kwh)
            }
        }
    }
}

fn check_bands(bands: &[Band]) -> Result<()> {
    if bands.len() > MAX_BANDS {
        return Err(Error::invalid("/tariff/bands", format!("at most {MAX_BANDS}")));
    }
    let empty = |band: &Band| {
        let mut spans = band.hours.days().into_iter().flatten().peekable();
        spans.peek().is_none() || spans.any(|span| span.from == span.to)
    };
    match bands.iter().any(empty) {
        true => Err(Error::invalid("/tariff/bands", "a band covers no time")),
        false => Ok(()),
    }
}

fn check_feed(prices: &[Price]) -> Result<()> {
    if prices.is_empty() || prices.len() > MAX_PRICES {
        return Err(Error::invalid("/tariff/prices", format!("1 to {MAX_PRICES}")));
    }
    match prices.windows(2).all(|pair| pair[0].from < pair[1].from) {
        true => Ok(()),
        false => Err(Error::invalid("/tariff/prices", "each is later than the one before")),
    }
}
