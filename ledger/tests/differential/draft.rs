//! What each command of the chart comes to, in the model.

use std::collections::BTreeMap;

use ledger::chart::{PayIn, split};
use ledger::{Code, Kind, Late};
use store::Amount;

use crate::command::{ASSETS, Account, Legs, MICROS, Op, Post, Settle, What};
use crate::model::{Draft, Model, Refusal, check_key, check_metadata, check_reason, check_text};
use crate::state;

const US: u8 = 0;

fn at(code: Code, party: u8, asset: &'static str) -> Account {
    Account { code, party, asset }
}

fn positive(amount: i64) -> Result<(), Refusal> {
    if amount > 0 { Ok(()) } else { Err("NotPositive") }
}

fn known(asset: &str) -> Result<(), Refusal> {
    if ASSETS.contains(&asset) { Ok(()) } else { Err("UnknownAsset") }
}

/// n / d, and of two equally near the even one.
fn half_even(n: i128, d: i128) -> i128 {
    let (down, rest) = (n.div_euclid(d), n.rem_euclid(d));
    match (rest * 2).cmp(&d) {
        std::cmp::Ordering::Less => down,
        std::cmp::Ordering::Greater => down + 1,
        std::cmp::Ordering::Equal => down + down.rem_euclid(2),
    }
}

/// What `sold` is worth at a rate; `None` out of range.
fn exchange(sold: i64, rate_ppm: i64) -> Result<Option<i64>, Refusal> {
    if rate_ppm <= 0 {
        return Err("BadRate");
    }
    positive(sold)?;
    let bought = half_even(i128::from(sold) * i128::from(rate_ppm), MICROS.into());
    if bought == 0 { Err("NotPositive") } else { Ok(i64::try_from(bought).ok()) }
}

impl Model {
    pub(crate) fn draft(&self, op: &Op) -> Result<Draft, Refusal> {
        check_key(&op.book_key())?;
        match &op.what {
            What::Post(post) => self.draft_post(post, None),
            What::Capture { hold, post } => self.draft_post(post, Some(hold.clone())),
            What::Reverse { of, reason, effective_at } => {
                let draft = self.draft_reversal(of, reason)?;
                Ok(Draft { effective_at: *effective_at, ..draft })
            }
            What::Refund { of, account, amount, reason } => {
                self.draft_refund(of, *account, *amount, reason)
            }
            what => {
                let (kind, legs, record) = self.template(what)?;
                let (hold, effective_at) = match what {
                    What::PayOut { hold, .. } => (Some(hold.clone()), None),
                    What::Settle(settle) => (Some(settle.hold.clone()), Some(settle.effective_at)),
                    _ => (None, None),
                };
                Ok(Draft {
                    kind,
                    subject: op.book_key(),
                    effective_at,
                    late: Late::NextOpen,
                    hold,
                    legs,
                    opens: true,
                    relation: None,
                    metadata: BTreeMap::new(),
                    record,
                })
            }
        }
    }

    fn draft_post(&self, post: &Post, hold: Option<String>) -> Result<Draft, Refusal> {
        check_text(&post.subject)?;
        check_metadata(&post.metadata)?;
        if let Some(of) = &post.corrects
            && !self.transactions.contains_key(of)
        {
            return Err("UnknownTransaction");
        }
        Ok(Draft {
            kind: post.kind,
            subject: post.subject.clone(),
            effective_at: Some(post.effective_at),
            late: post.late,
            hold,
            legs: post.legs.clone(),
            opens: false,
            relation: post.corrects.clone().map(|of| ("corrects", of)),
            metadata: post.metadata.clone(),
            record: String::new(),
        })
    }

    fn template(&self, what: &What) -> Result<(Kind, Legs, String), Refusal> {
        let two = |debit: Account, credit: Account, amount| {
            positive(amount)?;
            known(debit.asset)?;
            Ok((vec![(debit, amount), (credit, -amount)], String::new()))
        };
        let clearing = |asset| at(Code::PayoutClearing, US, asset);
        let (kind, planned) = match what {
            What::Deposit { customer, asset, amount, .. } => (
                Kind::Deposit,
                two(at(Code::Bank, US, asset), at(Code::CustomerWallet, *customer, asset), *amount),
            ),
            What::PayOut { owner, asset, amount, .. } => {
                (Kind::Payout, two(at(Code::OwnerCash, *owner, asset), clearing(asset), *amount))
            }
            What::Confirm { asset, amount, .. } => {
                (Kind::PayoutConfirmed, two(clearing(asset), at(Code::Bank, US, asset), *amount))
            }
            What::Return { owner, asset, amount, .. } => (
                Kind::PayoutReturned,
                two(clearing(asset), at(Code::OwnerCash, *owner, asset), *amount),
            ),
            What::Settle(settle) => (Kind::Settlement, self.settlement(settle)),
            What::Convert { customer, sold_asset, sold, bought_asset, rate_ppm } => (
                Kind::Conversion,
                conversion(*customer, (sold_asset, *sold), bought_asset, *rate_ppm),
            ),
            What::Redeem { owner, asset, credits } => {
                (Kind::Redemption, self.redemption(*owner, asset, *credits))
            }
            _ => unreachable!("no template"),
        };
        let (legs, record) = planned?;
        Ok((kind, legs, record))
    }

    fn settlement(&self, settle: &Settle) -> Result<(Legs, String), Refusal> {
        let Settle { customer, owner, asset, seconds, price, amount, fee_ppm, pay_in, .. } =
            *settle;
        if i64::from(fee_ppm) > MICROS {
            return Err("BadRate");
        }
        positive(amount)?;
        if half_even(i128::from(price) * i128::from(seconds), 3_600) != amount.into() {
            return Err("WrongAmount");
        }
        known(asset)?;
        let (credit, bonus_ppm) = match pay_in {
            PayIn::Cash => (None, None),
            PayIn::Credits { bonus_ppm } => {
                let credit = self.credits.get(asset).ok_or("NotRedeemable")?;
                (Some(*credit), Some(i64::from(bonus_ppm)))
            }
        };
        let ppm = credit.map(|(_, ppm)| ppm);
        let parts = split(Amount(amount), fee_ppm, pay_in, ppm.unwrap_or_default());
        let parts = parts.map_err(|_| "Overflow")?;
        let mut legs = vec![
            (at(Code::CustomerWallet, customer, asset), amount),
            (at(Code::FeeIncome, US, asset), -parts.fee.0),
            (at(Code::OwnerCash, owner, asset), -parts.owner_cash.0),
        ];
        if let Some((credit, _)) = credit {
            legs.push((at(Code::BonusExpense, US, asset), parts.bonus.0));
            legs.push((at(Code::CreditClearing, US, asset), -parts.credit_value.0));
            legs.push((at(Code::CreditClearing, US, credit), parts.owner_credits.0));
            legs.push((at(Code::OwnerCredits, owner, credit), -parts.owner_credits.0));
        }
        legs.retain(|(_, amount)| *amount != 0);
        Ok((legs, state::settlement_text(seconds, price, fee_ppm.into(), bonus_ppm, ppm)))
    }

    fn redemption(
        &self,
        owner: u8,
        asset: &'static str,
        credits: i64,
    ) -> Result<(Legs, String), Refusal> {
        positive(credits)?;
        known(asset)?;
        let (credit, ppm) = *self.credits.get(asset).ok_or("NotRedeemable")?;
        let value = exchange(credits, ppm)?.ok_or("Overflow")?;
        let legs = vec![
            (at(Code::OwnerCredits, owner, credit), credits),
            (at(Code::CreditClearing, US, credit), -credits),
            (at(Code::CreditClearing, US, asset), value),
            (at(Code::OwnerCash, owner, asset), -value),
        ];
        Ok((legs, state::conversion_text((credit, credits), (asset, value), ppm)))
    }

    fn draft_reversal(&self, of: &str, reason: &str) -> Result<Draft, Refusal> {
        check_reason(reason)?;
        let original = self.transactions.get(of).ok_or("UnknownTransaction")?;
        if self.relates(of, "reverses") {
            return Err("AlreadyReversed");
        }
        if self.relates(of, "refunds") {
            return Err("AlreadyRefunded");
        }
        let back = |entry: &state::Entry| Some((entry.0, entry.1.checked_neg()?));
        let legs: Option<Legs> = original.entries.iter().map(back).collect();
        let legs = legs.ok_or("Overflow")?;
        Ok(undoing(Kind::Reversal, "reverses", of, legs, reason))
    }

    /// Every leg's part, so that all refunds so far together are what one of their sum would be.
    fn draft_refund(
        &self,
        of: &str,
        account: Account,
        amount: i64,
        reason: &str,
    ) -> Result<Draft, Refusal> {
        check_reason(reason)?;
        positive(amount)?;
        let original = self.transactions.get(of).ok_or("UnknownTransaction")?;
        let moved = original.entries.iter().find(|entry| entry.0 == account);
        let whole = i128::from(moved.ok_or("UnknownAccount")?.1).abs();
        if self.relates(of, "reverses") {
            return Err("AlreadyReversed");
        }
        let total = self.given_back(of, &account).abs() + i128::from(amount);
        if total > whole {
            return Err("OverRefund");
        }
        let mut parts: Vec<(Account, i128)> = original
            .entries
            .iter()
            .map(|entry| (entry.0, -half_even(i128::from(entry.1) * total, whole)))
            .collect();
        for asset in ASSETS {
            let of_asset = |part: &(Account, i128)| part.0.asset == asset;
            let sum: i128 = parts.iter().filter(|part| of_asset(part)).map(|part| part.1).sum();
            let others = |part: &(Account, i128)| of_asset(part) && part.0 != account;
            let is_fee = |part: &(Account, i128)| part.0.code == Code::FeeIncome;
            let fee = parts.iter().position(|part| others(part) && is_fee(part));
            if let Some(taker) = fee.or_else(|| parts.iter().rposition(others)) {
                parts[taker].1 -= sum;
            }
        }
        let mut legs = Legs::new();
        for (account, part) in parts {
            let now = part - self.given_back(of, &account);
            legs.push((account, i64::try_from(now).map_err(|_| "Overflow")?));
        }
        legs.retain(|(_, amount)| *amount != 0);
        Ok(undoing(Kind::Refund, "refunds", of, legs, reason))
    }

    fn relates(&self, of: &str, relation: &'static str) -> bool {
        self.related(of, relation).next().is_some()
    }

    fn related<'a>(
        &'a self,
        of: &'a str,
        relation: &'static str,
    ) -> impl Iterator<Item = &'a state::Entry> {
        let related = self.transactions.values().filter(move |transaction| {
            let named = transaction.relation.as_ref();
            named.is_some_and(|(name, other)| *name == relation && other == of)
        });
        related.flat_map(|transaction| &transaction.entries)
    }

    fn given_back(&self, of: &str, account: &Account) -> i128 {
        let own = self.related(of, "refunds").filter(|entry| entry.0 == *account);
        own.map(|entry| i128::from(entry.1)).sum()
    }

    /// What can still be given back to an account of a transaction.
    pub fn refundable(&self, of: &str, account: &Account, moved: i64) -> i64 {
        i64::try_from(i128::from(moved).abs() - self.given_back(of, account).abs()).unwrap_or(0)
    }
}

fn conversion(
    customer: u8,
    (sold_asset, sold): (&'static str, i64),
    bought_asset: &'static str,
    rate_ppm: i64,
) -> Result<(Legs, String), Refusal> {
    let bought = exchange(sold, rate_ppm)?;
    if sold_asset == bought_asset {
        return Err("SameAsset");
    }
    known(sold_asset)?;
    known(bought_asset)?;
    let bought = bought.ok_or("Overflow")?;
    let legs = vec![
        (at(Code::CustomerWallet, customer, sold_asset), sold),
        (at(Code::CurrencyClearing, US, sold_asset), -sold),
        (at(Code::CurrencyClearing, US, bought_asset), bought),
        (at(Code::CustomerWallet, customer, bought_asset), -bought),
    ];
    Ok((legs, state::conversion_text((sold_asset, sold), (bought_asset, bought), rate_ppm)))
}

fn undoing(kind: Kind, relation: &'static str, of: &str, legs: Legs, reason: &str) -> Draft {
    Draft {
        kind,
        subject: of.to_owned(),
        effective_at: None,
        late: Late::NextOpen,
        hold: None,
        legs,
        opens: false,
        relation: Some((relation, of.to_owned())),
        metadata: BTreeMap::from([("reason".to_owned(), reason.to_owned())]),
        record: String::new(),
    }
}
