//! Makes right commands wrong.

use ledger::chart::PayIn;
use ledger::{Kind, MAX_LEGS, MAX_METADATA};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::command::{NO_ASSET, NOBODY, NOWHERE, Op, What};

/// Another command with the same key, or one of the same key and kind.
pub fn twisted(rng: &mut StdRng, op: &Op) -> Op {
    let mut op = op.clone();
    match &mut op.what {
        What::Post(post) | What::Capture { post, .. } => match rng.random_range(0..5) {
            0 => post.kind = Kind::Refund,
            1 => post.subject.push('x'),
            2 => post.effective_at = post.effective_at.saturating_add(1),
            3 => post.legs = post.legs.iter().map(|(a, n)| (*a, n.saturating_mul(2))).collect(),
            _ => post.legs.reverse(),
        },
        What::Hold { amount, expires_at, .. } => {
            if rng.random() {
                *amount += 1;
            } else {
                *expires_at = None;
            }
        }
        What::Deposit { amount, .. }
        | What::PayOut { amount, .. }
        | What::Confirm { amount, .. }
        | What::Return { amount, .. }
        | What::Refund { amount, .. } => *amount = amount.saturating_add(1),
        What::Settle(settle) => settle.fee_ppm += 1,
        What::Convert { sold, .. } => *sold = sold.saturating_sub(1),
        What::Redeem { credits, .. } => *credits = credits.saturating_sub(1),
        What::Reverse { reason, .. } => reason.push('x'),
        What::Release => {}
    }
    op
}

/// Wrong in a way that has nothing to do with the book.
pub fn spoilt(rng: &mut StdRng, mut op: Op) -> Op {
    match (&mut op.what, rng.random_range(0..3)) {
        (What::Post(post) | What::Capture { post, .. }, n) => match (n, rng.random_range(0..4)) {
            (0, 0) => post.subject = "s".repeat(201),
            (0, 1) => post.subject = "nul\0".to_owned(),
            (0, _) => {
                let names = 0..=MAX_METADATA;
                post.metadata = names.map(|n| (n.to_string(), String::new())).collect();
            }
            (1, 0) => post.legs.clear(),
            (1, 1) => post.legs = vec![(NOBODY, 0); MAX_LEGS + 1],
            (1, 2) => post.legs.push((NOBODY, 5)),
            (1, _) => post.legs[0].1 = 0,
            (_, 0) => post.corrects = Some(NOWHERE.to_owned()),
            (_, 1) => op.key.clear(),
            (_, _) => op.key = "k".repeat(201),
        },
        (What::Hold { subject, .. }, 0) => *subject = "s".repeat(201),
        (What::Hold { account, .. }, 1) => *account = NOBODY,
        (What::Hold { .. }, _) => op.key = "\0".to_owned(),
        (What::Release, _) => op.key = NOWHERE.to_owned(),
        (What::Deposit { amount, .. } | What::Confirm { amount, .. }, 0) => *amount = -1,
        (What::Deposit { asset, .. } | What::Confirm { asset, .. }, _) => *asset = NO_ASSET,
        (What::PayOut { amount, .. } | What::Return { amount, .. }, 0) => *amount = 0,
        (What::PayOut { asset, .. } | What::Return { asset, .. }, _) => *asset = NO_ASSET,
        (What::Settle(settle), 0) if settle.owner == 4 => settle.customer += 1,
        (What::Settle(settle), 0) => settle.amount += 1,
        (What::Settle(settle), 1) => {
            settle.asset = NO_ASSET;
            settle.pay_in = PayIn::Credits { bonus_ppm: 1 };
        }
        (What::Settle(settle), _) => {
            settle.fee_ppm = 1_000_001;
            settle.amount = 0;
        }
        (What::Convert { bought_asset, .. }, 0) => *bought_asset = NO_ASSET,
        (What::Convert { sold_asset, bought_asset, .. }, 1) => *bought_asset = sold_asset,
        (What::Convert { sold, rate_ppm, .. }, _) => {
            *rate_ppm = *[0, -1, i64::MAX, 1].choose(rng).unwrap();
            *sold = *[0, 1, i64::MAX].choose(rng).unwrap();
        }
        (What::Redeem { asset, .. }, 0) => *asset = NO_ASSET,
        (What::Redeem { asset, .. }, 1) => *asset = "XTS",
        (What::Redeem { credits, .. }, _) => {
            *credits = *[0, -1, i64::MAX].choose(rng).unwrap();
        }
        (What::Reverse { of, .. } | What::Refund { of, .. }, 0) => *of = NOWHERE.to_owned(),
        (What::Reverse { reason, .. } | What::Refund { reason, .. }, 1) => reason.clear(),
        (What::Reverse { reason, .. }, _) => *reason = "r".repeat(201),
        (What::Refund { account, amount, .. }, _) => {
            *account = NOBODY;
            *amount = rng.random_range(0..2);
        }
    }
    op
}
