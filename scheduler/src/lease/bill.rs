//! What a lease costs: from attempts to seconds to money.

use store::{Amount, AttemptId, Rounding, mul_div};

use super::store::AttemptRow;
use crate::Verdict;

/// A lease's bill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bill {
    /// Whole seconds, at most the term; at least 1 if any attempt is paid.
    pub seconds: i32,
    /// `price × seconds / 3600`, rounded half-even to micro-units once.
    pub amount: Amount,
    /// The amount by attempt: the parts add up to it exactly.
    pub lines: Vec<BillLine>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillLine {
    pub attempt: AttemptId,
    pub billable_us: i64,
    pub amount: Amount,
}

/// Bills a lease's paid attempts. Seconds are rounded up once for the lease, not for each attempt,
/// so that many short tasks cost what one long one does. `None` on overflow, which bounded prices
/// and terms exclude.
pub fn bill(price: Amount, term_s: i32, attempts: &[AttemptRow]) -> Option<Bill> {
    let paid = || attempts.iter().filter(|attempt| attempt.verdict == Verdict::Paid);
    let total_us: i64 = paid().map(|attempt| attempt.billable_us).sum();
    let count = i32::try_from(paid().count()).ok()?;
    let (seconds, amount) = total(price, term_s, count, total_us)?;
    let mut lines = Vec::new();
    let (mut us, mut spent) = (0, 0);
    let last = paid().count();
    for (number, attempt) in paid().enumerate() {
        us += attempt.billable_us;
        let upto = match () {
            () if number + 1 == last => amount.0,
            () if total_us == 0 => 0,
            () => mul_div(amount.0, us, total_us, Rounding::Down)?,
        };
        lines.push(BillLine {
            attempt: attempt.id,
            billable_us: attempt.billable_us,
            amount: Amount(upto - spent),
        });
        spent = upto;
    }
    Some(Bill { seconds, amount, lines })
}

/// Seconds and amount of a lease with so many paid attempts, that took so long together. `None` on
/// overflow.
pub(super) fn total(price: Amount, term_s: i32, paid: i32, paid_us: i64) -> Option<(i32, Amount)> {
    let seconds = if paid == 0 { 0 } else { seconds_of(paid_us).clamp(1, term_s.max(1)) };
    let amount = mul_div(price.0, seconds.into(), 3_600, Rounding::HalfEven)?;
    Some((seconds, Amount(amount)))
}

/// Whole seconds, rounded up.
pub(super) fn seconds_of(us: i64) -> i32 {
    i32::try_from(us.max(0).saturating_add(999_999) / 1_000_000).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use store::{IdSource, Timestamp};

    use super::*;
    use crate::AttemptOutcome;

    fn attempt(number: i64, verdict: Verdict, billable_us: i64) -> AttemptRow {
        let ids = IdSource::seeded(1);
        AttemptRow {
            id: ids.id(Timestamp(number)),
            lease_id: ids.id(Timestamp(0)),
            task_id: ids.id(Timestamp(0)),
            state: AttemptOutcome::Completed,
            verdict,
            resumed: None,
            reason: String::new(),
            started_at: Timestamp(0),
            ended_at: None,
            metered_us: billable_us,
            billable_us,
        }
    }

    fn verdicts() -> impl Strategy<Value = Vec<(Verdict, i64)>> {
        let verdict = prop_oneof![Just(Verdict::Paid), Just(Verdict::Unpaid)];
        prop::collection::vec((verdict, 0..900_000_000_i64), 0..20)
    }

    #[test]
    fn worked_examples() {
        // $0.36 an hour is 100 micro-dollars a second.
        let price = Amount(360_000);
        type Case<'a> = (&'a [(Verdict, i64)], i32, i64);
        let cases: &[Case<'_>] = &[
            (&[], 0, 0),
            (&[(Verdict::Unpaid, 5_000_000)], 0, 0),
            (&[(Verdict::Paid, 0)], 1, 100),
            (&[(Verdict::Paid, 1)], 1, 100),
            (&[(Verdict::Paid, 1_000_000)], 1, 100),
            (&[(Verdict::Paid, 1_000_001)], 2, 200),
            // Ten short tasks are one second, not ten.
            (&[(Verdict::Paid, 100_000); 10], 1, 100),
            (&[(Verdict::Paid, 2_500_000), (Verdict::Unpaid, 9_000_000)], 3, 300),
            // Never past the term.
            (&[(Verdict::Paid, 2_000_000_000)], 900, 90_000),
        ];
        for (attempts, seconds, amount) in cases {
            let rows: Vec<_> =
                attempts.iter().zip(0..).map(|((v, us), n)| attempt(n, *v, *us)).collect();
            let bill = bill(price, 900, &rows).unwrap();
            assert_eq!((bill.seconds, bill.amount.0), (*seconds, *amount), "{attempts:?}");
        }
    }

    proptest! {
        #[test]
        fn lines_add_up_and_nothing_passes_the_earmark(
            attempts in verdicts(), price in 0..1_000_000_000_000_i64, term in 1..3_600_i32,
        ) {
            let rows: Vec<_> =
                attempts.iter().zip(0..).map(|((v, us), n)| attempt(n, *v, *us)).collect();
            let bill = bill(Amount(price), term, &rows).unwrap();
            let lines: Amount = bill.lines.iter().map(|line| line.amount).sum();
            prop_assert_eq!(lines, bill.amount);
            prop_assert!(bill.lines.iter().all(|line| line.amount >= Amount::ZERO));
            prop_assert!(bill.seconds <= term);
            prop_assert!(bill.amount <= super::super::earmark(Amount(price), term.into()).unwrap());
            let paid = attempts.iter().filter(|(v, _)| *v == Verdict::Paid).count();
            prop_assert_eq!(bill.lines.len(), paid);
            prop_assert_eq!(bill.seconds > 0, paid > 0);
        }
    }
}
