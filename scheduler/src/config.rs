//! Settings of the scheduler.

/// Times and bounds. [`Config::default`] is for production; the demo shortens the times.
#[derive(Clone, Debug)]
pub struct Config {
    /// Time between ticks of a market, milliseconds.
    pub tick_ms: u32,
    /// Longest a price is locked, seconds. Shorter where the budget does not reach.
    pub term_s: i32,
    /// Shortest lease worth offering, seconds: a budget that does not reach for it is exhausted.
    pub min_term_s: i32,
    /// The lease that a car must surely stay for to be offered at all, seconds: those that stay
    /// for it but not for a full term are in cells of their own.
    pub short_term_s: i32,
    /// A lease is no longer than its car stays with at least this chance, parts per million.
    pub stay_ppm: u32,
    /// An hour in which a region loses more of its leases than this, parts per million, is an
    /// exodus: no lease there is meant to last into it.
    pub exodus_ppm: u32,
    /// What cars are told to wait between polls, idle and leased, milliseconds. At most 3000
    /// leased, so that a withdrawn consent stops work within 5 seconds.
    pub idle_poll_ms: u32,
    pub leased_poll_ms: u32,
    /// A car not heard of for so long is gone, seconds.
    pub heartbeat_timeout_s: i64,
    /// How long nothing must speak against a car's work before it is offered again, seconds.
    pub resume_hold_s: i64,
    /// How long past its term a lease may take to report the checkpoint, seconds.
    pub term_grace_s: i64,
    /// How long a leader reigns without a sign, seconds.
    pub leader_ttl_s: i64,
    /// How often a task may fail by its cars before it has failed; by its program, the job says.
    pub car_retries: i32,
    /// How long a task waits for a further car to confirm its result, seconds.
    pub verify_wait_s: i64,
    /// Where the price lies between the lowest and the highest that clear, parts per million.
    pub price_rule_ppm: u32,
    /// Most of a market's cars that one customer may have at a time, parts per million.
    pub share_cap_ppm: u32,
    /// A cell that sold with fewer lanes on offer is thin; one whose prices could have lain
    /// further apart than this, parts per million of the greatest, is wide. Both raise an alarm.
    pub thin_lanes: i64,
    pub wide_ppm: i64,
    /// The most polls that share a transaction, and the most callers that wait for one before
    /// others are refused.
    pub max_batch: usize,
    pub max_waiting: usize,
    pub limits: vehicle::protocol::Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tick_ms: 10_000,
            term_s: 900,
            min_term_s: 10,
            short_term_s: 300,
            stay_ppm: 800_000,
            exodus_ppm: 300_000,
            idle_poll_ms: 5_000,
            leased_poll_ms: 2_000,
            heartbeat_timeout_s: 30,
            resume_hold_s: 300,
            term_grace_s: 15,
            leader_ttl_s: 30,
            car_retries: 5,
            verify_wait_s: 3_600,
            price_rule_ppm: 0,
            share_cap_ppm: 1_000_000,
            thin_lanes: 5,
            wide_ppm: 250_000,
            max_batch: 1_024,
            max_waiting: 4_096,
            limits: vehicle::protocol::Limits::default(),
        }
    }
}
