//! Who gets what of a payment: exact for every amount, fee, bonus and rate.
#![allow(clippy::unwrap_used)]

use ledger::Error;
use ledger::chart::{PayIn, Split, split};
use proptest::prelude::*;
use store::Amount;

fn amounts() -> impl Strategy<Value = i64> {
    prop_oneof![1_i64..1_000, 1_i64..10_000_000, 1_i64..=Amount::MAX_INPUT.0, Just(i64::MAX)]
}

fn rates() -> impl Strategy<Value = i64> {
    prop_oneof![Just(1_000_000_i64), Just(10_000), Just(1_500_000), 1_i64..3_000_000]
}

/// The owner's share is not less than `amount` less the fee, by less than a micro-unit more.
fn assert_share(amount: i64, fee_ppm: u32, share: i64, fee: i64) {
    assert_eq!(share + fee, amount);
    let net = i128::from(amount) * (1_000_000 - i128::from(fee_ppm));
    let over = i128::from(share) * 1_000_000 - net;
    assert!((0..1_000_000).contains(&over), "{over}");
    assert!(fee >= 0);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..Default::default() })]

    #[test]
    fn cash_is_share_and_fee(amount in amounts(), fee_ppm in 0_u32..=1_000_000) {
        let cash = split(Amount(amount), fee_ppm, PayIn::Cash, 0).unwrap();
        assert_share(amount, fee_ppm, cash.owner_cash.0, cash.fee.0);
        prop_assert_eq!(cash, Split { owner_cash: cash.owner_cash, fee: cash.fee, ..Split::default() });
    }

    #[test]
    fn credits_are_worth_share_and_bonus(
        amount in amounts(),
        fee_ppm in 0_u32..=1_000_000,
        bonus_ppm in 0_u32..=2_000_000,
        rate in rates(),
    ) {
        let pay_in = PayIn::Credits { bonus_ppm };
        let paid = match split(Amount(amount), fee_ppm, pay_in, rate) {
            Err(Error::Overflow) => {
                prop_assert!(amount > 1_000_000_000_000, "what is paid in practice fits");
                return Ok(());
            }
            paid => paid.unwrap(),
        };
        let share = paid.credit_value.0 - paid.bonus.0;
        assert_share(amount, fee_ppm, share, paid.fee.0);
        prop_assert_eq!(paid.owner_cash, Amount::ZERO);
        // Worth exactly what the book says, and no step more than need be.
        let worth = i128::from(paid.owner_credits.0) * i128::from(rate);
        prop_assert_eq!(worth, i128::from(paid.credit_value.0) * 1_000_000);
        let bonus = (i128::from(share) * i128::from(bonus_ppm) + 999_999) / 1_000_000;
        let extra = i128::from(paid.bonus.0) - bonus;
        prop_assert!((0..i128::from(rate)).contains(&extra), "{}", extra);
        if 1_000_000 % rate == 0 {
            prop_assert_eq!(extra, 0);
        }
    }
}

#[test]
fn refusals() {
    let refused = |amount, fee_ppm, pay_in, rate| {
        let error = split(Amount(amount), fee_ppm, pay_in, rate).unwrap_err();
        format!("{error:?}")
    };
    let credits = PayIn::Credits { bonus_ppm: u32::MAX };
    assert_eq!(refused(0, 1_000_001, PayIn::Cash, 0), "BadRate");
    assert_eq!(refused(0, 0, PayIn::Cash, 0), "NotPositive");
    assert_eq!(refused(i64::MIN, 0, credits, 0), "NotPositive");
    assert_eq!(refused(5, 0, credits, 0), "BadRate");
    assert_eq!(refused(5, 0, credits, -1), "BadRate");
    assert_eq!(refused(i64::MAX, 0, credits, 1_000_000), "Overflow");
    assert_eq!(refused(i64::MAX, 0, PayIn::Credits { bonus_ppm: 0 }, 1), "Overflow");
}
