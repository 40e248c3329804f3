//! What work costs a car.

use store::Amount;

use crate::Chemistry;

/// Wear of a battery for each kilowatt-hour that comes out of it, micro-units of the market's money:
/// the price of a pack over the energy of its cycles. Where the owner does not say what it is made
/// of, the dearer is reckoned.
pub fn wear_per_kwh(chemistry: Option<Chemistry>) -> Amount {
    match chemistry {
        Some(Chemistry::Lfp) => Amount(27_000),
        Some(Chemistry::Nmc) | None => Amount(85_000),
    }
}
