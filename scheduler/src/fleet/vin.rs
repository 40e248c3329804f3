//! Vehicle identification numbers (ISO 3779): read, checked, and kept where only a key opens them.

use diesel::prelude::*;
use store::schema::{vehicle, vehicle_vin};
use store::{Tx, VehicleId};

use super::consent::law_in;
use crate::{Error, Result};

/// A number of 17 characters, as it is written on the car.
#[derive(Clone, PartialEq, Eq)]
pub struct Vin(String);

/// A number that cannot be read by those who see the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedVin {
    /// A keyed digest: the same for the same number.
    pub digest: [u8; 32],
    pub sealed: Vec<u8>,
    /// With its last four characters only.
    pub masked: String,
    /// Its check digit is right.
    pub checks: bool,
}

impl Vin {
    /// Upper case and without spaces; none for what is no such number: 17 letters and digits, of
    /// which none is I, O or Q.
    pub fn parse(text: &str) -> Option<Self> {
        let vin = text.trim().to_ascii_uppercase();
        (vin.len() == 17 && vin.bytes().all(|byte| weigh(byte).is_some())).then_some(Self(vin))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn masked(&self) -> String {
        format!("{}{}", "*".repeat(13), self.0.get(13..).unwrap_or_default())
    }

    /// Whether the ninth character is the check digit of the others (49 CFR 565.15).
    pub fn checks(&self) -> bool {
        const WEIGHTS: [u32; 17] = [8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2];
        let values = self.0.bytes().map(|byte| weigh(byte).unwrap_or_default());
        let sum: u32 = values.zip(WEIGHTS).map(|(value, weight)| value * weight).sum();
        let digit = match sum % 11 {
            10 => 'X',
            rest => char::from_digit(rest, 10).unwrap_or('0'),
        };
        self.0.chars().nth(8) == Some(digit)
    }
}

/// What a character counts; none for one that no number has.
fn weigh(byte: u8) -> Option<u32> {
    match byte {
        b'0'..=b'9' => Some(u32::from(byte - b'0')),
        b'A'..=b'H' => Some(u32::from(byte - b'A') + 1),
        b'J'..=b'N' => Some(u32::from(byte - b'J') + 1),
        b'P' => Some(7),
        b'R' => Some(9),
        b'S'..=b'Z' => Some(u32::from(byte - b'S') + 2),
        _ => None,
    }
}

/// Whether the law of a region takes the number, and no other car has it.
///
/// # Errors
/// [`Error::Invalid`] at `/vin`.
pub(super) fn check(tx: &mut Tx<'_>, region: &str, vin: &SealedVin) -> Result<()> {
    if law_in(tx, region)?.vin_check_digit && !vin.checks {
        return Err(Error::invalid("/vin", "its check digit, the ninth character, is wrong"));
    }
    let taken: i64 = vehicle_vin::table
        .filter(vehicle_vin::digest.eq(vin.digest.as_slice()))
        .count()
        .get_result(tx.conn)?;
    match taken {
        0 => Ok(()),
        _ => Err(Error::invalid(
            "/vin",
            "another car here has it: it must be handed over or retired",
        )),
    }
}

pub(super) fn insert(tx: &mut Tx<'_>, car: VehicleId, vin: &SealedVin) -> Result<()> {
    diesel::insert_into(vehicle_vin::table)
        .values((
            vehicle_vin::vehicle_id.eq(car),
            vehicle_vin::digest.eq(vin.digest.as_slice()),
            vehicle_vin::sealed.eq(&vin.sealed),
            vehicle_vin::masked.eq(&vin.masked),
        ))
        .execute(tx.conn)?;
    Ok(())
}

pub(super) fn masked(tx: &mut Tx<'_>, car: VehicleId) -> Result<Option<String>> {
    let row = vehicle_vin::table.find(car).select(vehicle_vin::masked);
    Ok(row.first(tx.conn).optional()?)
}

/// The sealed numbers of an owner's cars.
pub fn sealed_vins(tx: &mut Tx<'_>, owner: store::PartyId) -> Result<Vec<(VehicleId, Vec<u8>)>> {
    Ok(vehicle_vin::table
        .inner_join(vehicle::table.on(vehicle::id.eq(vehicle_vin::vehicle_id)))
        .filter(vehicle::owner_id.eq(owner))
        .order(vehicle_vin::vehicle_id)
        .select((vehicle_vin::vehicle_id, vehicle_vin::sealed))
        .load(tx.conn)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_standard_check_and_one_wrong_character_does_not() {
        // The worked examples of the regulation and of common textbooks.
        for vin in ["1M8GDM9AXKP042788", "11111111111111111", "5GZCZ43D13S812715"] {
            let parsed = Vin::parse(vin).unwrap();
            assert!(parsed.checks(), "{vin}");
            for at in (0..17).filter(|at| *at != 8) {
                // Another value than the one there: each weight but 0 and 11 tells it.
                let mut other = vin.as_bytes().to_vec();
                let value = weigh(other[at]).unwrap();
                other[at] = b'0' + u8::try_from((value + 1) % 10).unwrap();
                let other = Vin::parse(std::str::from_utf8(&other).unwrap()).unwrap();
                assert!(!other.checks(), "{vin} changed at {at}");
            }
        }
    }

    #[test]
    fn what_is_no_number_is_none_and_a_number_is_shown_masked() {
        for text in [
            "",
            "1M8GDM9AXKP04278",
            "1M8GDM9AXKP0427889",
            "IM8GDM9AXKP042788",
            "1M8GDM9AXKPO42788",
            "1M8GDM9AXKQ042788",
            "1M8GDM9AXKP04278\u{e9}",
        ] {
            assert!(Vin::parse(text).is_none(), "{text}");
        }
        let vin = Vin::parse(" 1m8gdm9axkp042788 ").unwrap();
        assert_eq!((vin.as_str(), vin.masked()), ("1M8GDM9AXKP042788", "*************2788".into()));
    }
}
