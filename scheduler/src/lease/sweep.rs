//! What time alone changes: cars that fell silent, offers nobody took, leases past their term.
//! After a restart this is also the recovery: everything it needs is in rows.

use diesel::prelude::*;
use store::schema::lease;
use store::{LeaseId, Tx};

use super::attempt::close_attempt;
use super::close::{end_lease, settle_if_ready};
use super::plan::lost;
use super::store::{LeaseRow, load_running_attempt};
use crate::market::lock_market;
use crate::{Config, EndReason, LeaseState, Result};

/// What a sweep found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    pub lost: usize,
    pub not_taken: usize,
    pub expired_jobs: usize,
}

/// Ends what is over in one market and settles what follows.
pub fn sweep(tx: &mut Tx<'_>, config: &Config, market: &str) -> Result<Swept> {
    lock_market(tx, market)?;
    let mut swept = Swept { expired_jobs: crate::job::expire(tx, market)?, ..Swept::default() };
    for row in load_unsettled(tx, market)? {
        match row.state {
            LeaseState::Offered if is_silent(tx, config, &row) => {
                end_lease(tx, row.id, EndReason::NotTaken)?;
                swept.not_taken += 1;
            }
            LeaseState::Running if is_silent(tx, config, &row) || is_overdue(tx, config, &row) => {
                lose(tx, config, row.id)?;
                swept.lost += 1;
            }
            LeaseState::Ended => settle_if_ready(tx, row.id)?,
            _ => {}
        }
    }
    Ok(swept)
}

fn is_silent(tx: &Tx<'_>, config: &Config, row: &LeaseRow) -> bool {
    tx.now.since(row.seen_at) > config.heartbeat_timeout_s * 1_000_000
}

/// The car was told to leave at the end of the term and still has not.
fn is_overdue(tx: &Tx<'_>, config: &Config, row: &LeaseRow) -> bool {
    row.ends_at().is_some_and(|ends_at| tx.now > ends_at.plus_s(config.term_grace_s))
}

fn lose(tx: &mut Tx<'_>, config: &Config, id: LeaseId) -> Result<()> {
    if let Some(row) = load_running_attempt(tx, id)? {
        close_attempt(tx, config, &row, &lost())?;
    }
    end_lease(tx, id, EndReason::Lost)
}

fn load_unsettled(tx: &mut Tx<'_>, market: &str) -> Result<Vec<LeaseRow>> {
    let rows = lease::table
        .filter(lease::market_id.eq(market))
        .filter(lease::state.ne(LeaseState::Settled))
        .order(lease::id)
        .load(tx.conn)?;
    Ok(rows)
}
