//! The end of a lease, and its settlement: once, when every attempt's verdict is known.

use store::{Amount, LeaseId, Timestamp};

use super::world::World;
use crate::lease::bill::{seconds_of, total};
use crate::lease::store::{LeaseRow, earmark};
use crate::{EndReason, Error, JobState, LeaseState, Result, Verdict};

/// The sweep never looks at a lease that has ended: those it waits for say so.
pub(crate) const NEVER: Timestamp = Timestamp(i64::MAX);

impl LeaseRow {
    /// Counts an attempt that has ended.
    pub(super) fn count(&mut self, verdict: Verdict, billable_us: i64) {
        match verdict {
            Verdict::Pending => {
                self.pending += 1;
                self.pending_us += billable_us;
            }
            Verdict::Paid => {
                self.paid += 1;
                self.paid_us += billable_us;
            }
            Verdict::Unpaid => {}
        }
    }

    /// The verdict of one that was pending is known.
    pub(super) fn decide(&mut self, verdict: Verdict, billable_us: i64) {
        self.pending -= 1;
        self.pending_us -= billable_us;
        self.count(verdict, billable_us);
    }
}

impl World<'_> {
    /// Ends a live lease and settles it if nothing is pending. Until then it keeps back no more of
    /// the budget than it can still cost.
    pub fn end_lease(&mut self, id: LeaseId, reason: EndReason) -> Result<()> {
        let now = self.now;
        let row = self.leases.edit(id)?;
        let worst_s = match row.paid + row.pending {
            0 => 0,
            _ => seconds_of(row.paid_us + row.pending_us).clamp(1, row.term_s),
        };
        row.state = LeaseState::Ended;
        row.ended_at = Some(now);
        row.end_reason = Some(reason);
        row.due_at = NEVER;
        row.earmark = earmark(row.price, worst_s.into())?;
        let car = row.vehicle_id;
        self.live.remove(&car);
        self.effects.closed.push(id);
        self.settle_if_ready(id)
    }

    /// Settles an ended lease whose attempts are all decided; then the job's hold may end too.
    pub fn settle_if_ready(&mut self, id: LeaseId) -> Result<()> {
        let row = self.leases.get(id)?;
        let open = row.state != LeaseState::Ended || row.attempt_id.is_some() || row.pending > 0;
        if open {
            return Ok(());
        }
        let (seconds, amount) = total(row.price, row.term_s, row.paid, row.paid_us)
            .ok_or_else(|| Error::corrupt(format!("the bill of {id} overflows")))?;
        let job = row.job_id;
        let now = self.now;
        let row = self.leases.edit(id)?;
        row.state = LeaseState::Settled;
        row.settled_at = Some(now);
        row.billed_s = Some(seconds);
        row.amount = Some(amount);
        row.earmark = Amount::ZERO;
        self.effects.settled.push(id);
        if self.jobs.get(job)?.state != JobState::Active {
            self.effects.ended.insert(job);
        }
        Ok(())
    }
}
