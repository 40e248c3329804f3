//! The fold by itself.

use proptest::prelude::*;
use store::{AccountId, Amount, Timestamp};

use super::*;
use crate::Code;

fn account(number: u8) -> AccountId {
    AccountId::from_bytes([number; 16])
}

fn state(code: Code, posted: i64, held: i64) -> State {
    State {
        code,
        asset: "USD".into(),
        least: 1,
        posted: Amount(posted),
        held: Amount(held),
        entries: 0,
        last_posted_at: Timestamp(0),
        changed: false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Whatever the amounts: either nothing changes, or the sums move by the legs and no account
    /// that may not be overdrawn has less than it holds.
    #[test]
    fn it_applies_all_or_nothing(
        start in proptest::collection::vec((0..4_usize, any::<i32>(), 0..1_000_i64), 4),
        amounts in proptest::collection::vec(prop_oneof![-2_000..2_000_i64, any::<i64>()], 4),
        from_hold in proptest::option::of(0..1_000_i64),
    ) {
        let codes = [Code::Bank, Code::FeeIncome, Code::CustomerWallet, Code::OwnerCash];
        let mut states: States = (0_u8..).zip(&start).map(|(n, (code, posted, held))| {
            let wanted = state(codes[*code], i64::from(*posted), *held);
            let sound = codes[*code].may_overdraw() || wanted.balance().unwrap().available().0 >= 0;
            (account(n), if sound { wanted } else { state(codes[*code], 0, 0) })
        }).collect();
        let before = states.clone();
        let legs: Vec<_> =
            (0_u8..).zip(&amounts).map(|(n, a)| Leg { account: account(n), amount: Amount(*a) }).collect();
        let captured = from_hold.map(|amount| {
            Captured { account: account(0), amount: Amount(amount.min(before[&account(0)].held.0)) }
        });
        match fold_transaction(&mut states, &legs, captured, Timestamp(9)) {
            Err(_) => prop_assert_eq!(states, before),
            Ok(entries) => for (entry, leg) in entries.iter().zip(&legs) {
                let (old, new) = (&before[&leg.account], &states[&leg.account]);
                prop_assert_eq!(old.posted.0 + leg.amount.0, new.posted.0);
                prop_assert_eq!((entry.balance_after, entry.number), (new.posted, 1));
                let (was, is) = (old.balance().unwrap(), new.balance().unwrap());
                prop_assert!(
                    new.code.may_overdraw() || is.available().0 >= 0 || is.available() >= was.available()
                );
            },
        }
    }

    /// A hold and its release leave an account as it was.
    #[test]
    fn a_release_undoes_a_hold(posted in -5_000..5_000_i64, amount in 1..5_000_i64) {
        let mut states = States::from([(account(1), state(Code::CustomerWallet, -posted, 0))]);
        let before = states.clone();
        let hold = HoldState {
            account: account(1),
            amount: Amount(amount),
            captured: Amount::ZERO,
            released: Amount::ZERO,
            open: true,
            subject: String::new(),
            events: 1,
        };
        if fold_hold(&mut states, account(1), Amount(amount)).is_ok() {
            prop_assert!(amount <= posted);
            prop_assert_eq!(states[&account(1)].held, Amount(amount));
            let (left, after) = fold_release(&mut states, &hold).unwrap();
            prop_assert_eq!((left, after.open), (Amount(amount), false));
            prop_assert_eq!(states[&account(1)].balance().unwrap(), before[&account(1)].balance().unwrap());
        } else {
            prop_assert_eq!(states, before);
        }
    }
}

#[test]
fn refusals_of_a_batch_leave_the_accounts_to_the_next_command() {
    let (wallet, cash) = (account(1), account(2));
    let mut states = States::from([
        (wallet, state(Code::CustomerWallet, -10, 0)),
        (cash, state(Code::OwnerCash, 0, 0)),
    ]);
    let pay = |amount: i64| {
        [(wallet, amount), (cash, -amount)]
            .map(|(account, amount)| Leg { account, amount: Amount(amount) })
    };
    for (amount, fits) in [(7, true), (4, false), (3, true), (1, false)] {
        assert_eq!(
            fold_transaction(&mut states, &pay(amount), None, Timestamp(9)).is_ok(),
            fits,
            "{amount}"
        );
    }
    assert_eq!((states[&wallet].posted, states[&wallet].entries), (Amount::ZERO, 2));
    assert_eq!(states[&cash].posted, Amount(-10));
}
