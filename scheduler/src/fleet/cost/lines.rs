//! What an hour of work costs, line by line. Pure.

use store::{Amount, Rounding, mul_div};

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

/// How much more a battery wears than usual, parts per million, by its charge in percent and its
/// temperature in degrees Celsius. Assumed, and in steps: near full and near empty, in the cold and in
/// the heat. What is not known is taken for usual.
pub fn stress_ppm(chemistry: Option<Chemistry>, soc: Option<i32>, degrees: Option<i32>) -> i64 {
    let iron = chemistry == Some(Chemistry::Lfp);
    let by_charge = match soc {
        Some(..20) => 1_300_000,
        // Iron phosphate minds a full charge less.
        Some(81..) if !iron => 1_300_000,
        Some(81..) => 1_100_000,
        Some(20..=80) | None => 1_000_000,
    };
    let by_heat = match degrees {
        Some(..10) if iron => 1_500_000,
        Some(..10) => 1_200_000,
        Some(36..) => 1_500_000,
        Some(10..=35) | None => 1_000_000,
    };
    by_charge * by_heat / 1_000_000
}

/// What the reckoning is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Basis {
    pub per_kwh: Amount,
    /// Of the computer, and of the car that it keeps awake.
    pub computer_w: i32,
    pub awake_w: i32,
    /// The energy comes out of the battery.
    pub on_battery: bool,
    pub chemistry: Option<Chemistry>,
    pub soc: Option<i32>,
    pub degrees: Option<i32>,
    pub margin: Amount,
}

/// Micro-units per lane-hour. All but the last are net of the fee.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    pub computer: Amount,
    pub awake: Amount,
    /// Of energy out of the battery only.
    pub wear: Amount,
    pub margin: Amount,
    /// What the car must earn.
    pub net: Amount,
}

impl Lines {
    /// Each line is rounded up. None if it does not fit.
    pub fn new(basis: &Basis) -> Option<Self> {
        let energy =
            |watts: i32| mul_div(basis.per_kwh.0, watts.into(), 1_000, Rounding::Up).map(Amount);
        let (computer, awake) = (energy(basis.computer_w)?, energy(basis.awake_w)?);
        let wear = match basis.on_battery {
            true => {
                let Basis { chemistry, soc, degrees, .. } = *basis;
                let ppm = stress_ppm(chemistry, soc, degrees);
                let per_kwh = mul_div(wear_per_kwh(chemistry).0, ppm, 1_000_000, Rounding::Up)?;
                let watts = i64::from(basis.computer_w) + i64::from(basis.awake_w);
                Amount(mul_div(per_kwh, watts, 1_000, Rounding::Up)?)
            }
            false => Amount::ZERO,
        };
        let parts = [computer, awake, wear, basis.margin];
        let net = parts.into_iter().try_fold(Amount::ZERO, Amount::checked_add)?;
        Some(Self { computer, awake, wear, margin: basis.margin, net })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hw4() -> Basis {
        Basis {
            per_kwh: Amount(160_000),
            computer_w: 100,
            awake_w: 250,
            on_battery: false,
            chemistry: Some(Chemistry::Nmc),
            soc: Some(60),
            degrees: Some(20),
            margin: Amount::ZERO,
        }
    }

    #[test]
    fn worked_examples() {
        // At $0.16 a kilowatt-hour 350 W cost $0.056 an hour; wear of 0.35 kWh of NMC is $0.02975.
        let plugged = Lines::new(&hw4()).unwrap();
        assert_eq!((plugged.computer, plugged.awake), (Amount(16_000), Amount(40_000)));
        assert_eq!((plugged.wear, plugged.net), (Amount::ZERO, Amount(56_000)));
        let battery = Lines::new(&Basis { on_battery: true, margin: Amount(10_000), ..hw4() });
        let battery = battery.unwrap();
        assert_eq!((battery.wear, battery.net), (Amount(29_750), Amount(95_750)));
        let iron = Basis { chemistry: Some(Chemistry::Lfp), on_battery: true, ..hw4() };
        assert_eq!(Lines::new(&iron).unwrap().wear, Amount(9_450));
        // Full and hot: 1.3 times 1.5.
        let hot = Basis { on_battery: true, soc: Some(95), degrees: Some(40), ..hw4() };
        assert_eq!(Lines::new(&hot).unwrap().wear, Amount(58_013));
        let huge = Basis { per_kwh: Amount(i64::MAX), computer_w: 2_000, ..hw4() };
        assert_eq!(Lines::new(&huge), None);
    }

    proptest! {
        #[test]
        fn a_charger_never_wears_and_stress_only_adds(
            per_kwh in 0..100_000_000_i64, watts in 1..2_000_i32, soc in 0..=100_i32,
            degrees in -30..60_i32, iron: bool,
        ) {
            let chemistry = Some(if iron { Chemistry::Lfp } else { Chemistry::Nmc });
            let basis = Basis { per_kwh: Amount(per_kwh), computer_w: watts, soc: Some(soc),
                degrees: Some(degrees), chemistry, ..hw4() };
            let plugged = Lines::new(&basis).unwrap();
            let battery = Lines::new(&Basis { on_battery: true, ..basis }).unwrap();
            let usual = Basis { on_battery: true, soc: None, degrees: None, ..basis };
            let usual = Lines::new(&usual).unwrap();
            prop_assert_eq!(plugged.wear, Amount::ZERO);
            prop_assert!(battery.wear >= usual.wear && usual.wear > Amount::ZERO);
            prop_assert_eq!(battery.net.0 - plugged.net.0, battery.wear.0);
        }
    }
}
