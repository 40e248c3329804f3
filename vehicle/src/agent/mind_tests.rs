//! The rules of the state machine, each as a short script.

use super::mind::{Act, Event, Look, Mind, Seen};
use crate::frame::Account;
use crate::protocol::{
    AttemptReport, AttemptState, Digest, HeartbeatReply, Limits, Order, Runtime, VacateReason,
};

const POLL_MS: u32 = 2_000;

fn order(attempt: &str) -> Order {
    Order {
        lease_id: "lease_1".into(),
        attempt_id: attempt.into(),
        runtime: Runtime::Wasm,
        program: Digest("p".into()),
        input: Digest("i".into()),
        checkpoint: None,
        limits: Limits { grace_ms: 700, ..Limits::default() },
        term_ms: 900_000,
        wifi_only: false,
        program_key: None,
    }
}

fn nothing() -> HeartbeatReply {
    HeartbeatReply { next_poll_ms: POLL_MS, ..HeartbeatReply::default() }
}

fn run(attempt: &str) -> HeartbeatReply {
    HeartbeatReply { order: Some(order(attempt)), ..nothing() }
}

fn vacate(reason: VacateReason) -> HeartbeatReply {
    HeartbeatReply { vacate: Some(reason), ..nothing() }
}

fn running(metered_us: i64) -> Seen {
    Seen::Running { progress_ppm: 7, metered_us }
}

fn completed() -> AttemptState {
    AttemptState::Completed { output: Digest("o".into()), metered_us: 9 }
}

fn report(attempt: &str, state: AttemptState) -> AttemptReport {
    AttemptReport::new(attempt, state)
}

/// A mind and its clock.
#[derive(Default)]
struct Car {
    mind: Mind,
    now_us: i64,
}

impl Car {
    /// A parked car that has just been given the attempt `a`.
    fn with_attempt() -> Self {
        let mut car = Car::default();
        assert_eq!(car.look(true, Seen::Nothing), [Act::Heartbeat(None)]);
        assert_eq!(car.hear(None, run("a")), [Act::Start(order("a"))]);
        car
    }

    fn look(&mut self, parked: bool, seen: Seen) -> Vec<Act> {
        self.mind.step(Event::Looked { now_us: self.now_us, parked, seen })
    }

    fn hear(&mut self, carried: Option<AttemptReport>, reply: HeartbeatReply) -> Vec<Act> {
        self.mind.step(Event::Answered { now_us: self.now_us, carried, reply })
    }

    fn hear_nothing(&mut self) {
        assert_eq!(self.mind.step(Event::Unanswered { now_us: self.now_us }), []);
    }

    fn next(&self) -> i64 {
        self.mind.next_poll_us(self.now_us, Look::Never)
    }

    fn pass(&mut self, us: i64) {
        self.now_us += us;
    }
}

#[test]
fn an_idle_car_polls_when_it_was_told_to() {
    let mut car = Car::default();
    assert_eq!(car.look(true, Seen::Nothing), [Act::Heartbeat(None)]);
    assert_eq!(car.hear(None, nothing()), []);
    assert_eq!(car.next(), 2_000_000);
    car.pass(1_999_999);
    assert_eq!(car.look(true, Seen::Nothing), []);
    car.pass(1);
    assert_eq!(car.look(true, Seen::Nothing), [Act::Heartbeat(None)]);
}

#[test]
fn the_platforms_word_on_the_next_poll_is_bounded() {
    for (ms, us) in [(0, 5_000), (1, 5_000), (50, 50_000), (u32::MAX, 60_000_000)] {
        let mut car = Car::default();
        car.look(true, Seen::Nothing);
        car.hear(None, HeartbeatReply { next_poll_ms: ms, ..nothing() });
        assert_eq!(car.next(), us, "{ms}");
    }
}

#[test]
fn a_run_is_looked_at_more_often_than_the_heart_beats_unless_somebody_wakes_us() {
    let car = Car::with_attempt();
    for (look, expected) in [
        (Look::Running, 10_000),
        (Look::Queued, 100_000),
        (Look::Blocked, 250_000),
        (Look::Never, 2_000_000),
    ] {
        assert_eq!(car.mind.next_poll_us(0, look), expected);
    }
}

#[test]
fn a_completed_attempt_is_reported_at_once_and_until_it_is_acknowledged() {
    let mut car = Car::with_attempt();
    car.pass(10_000);
    assert_eq!(car.look(true, running(5)), []);
    car.pass(10_000);
    let said = report("a", completed());
    let beat = [Act::Heartbeat(Some(said.clone()))];
    assert_eq!(car.look(true, Seen::Ended(completed(), Account::default())), beat);
    // The answer is lost, three times.
    for _ in 0..3 {
        car.hear_nothing();
        assert_eq!(car.look(true, Seen::Nothing), []);
        car.pass(car.next());
        assert_eq!(car.look(true, Seen::Nothing), beat);
    }
    assert_eq!(car.hear(Some(said), nothing()), [Act::Wipe]);
    car.pass(2_000_000);
    assert_eq!(car.look(true, Seen::Nothing), [Act::Heartbeat(None)]);
}

#[test]
fn repeated_orders_change_nothing() {
    let mut car = Car::with_attempt();
    // While it runs.
    assert_eq!(car.hear(None, run("a")), []);
    // While its end is not acknowledged.
    car.look(true, Seen::Ended(completed(), Account::default()));
    assert_eq!(car.hear(None, run("a")), []);
    // In the very answer that acknowledges it, and later.
    assert_eq!(car.hear(Some(report("a", completed())), run("a")), []);
    assert_eq!(car.hear(None, run("a")), []);
    // The next one is taken.
    assert_eq!(car.hear(None, run("b")), [Act::Start(order("b"))]);
}

#[test]
fn the_next_order_may_come_with_the_acknowledgement() {
    let mut car = Car::with_attempt();
    car.look(true, Seen::Ended(completed(), Account::default()));
    let acts = car.hear(Some(report("a", completed())), run("b"));
    assert_eq!(acts, [Act::Start(order("b"))]);
    assert_eq!(car.mind.pending(), None);
}

#[test]
fn another_order_replaces_what_runs() {
    let mut car = Car::with_attempt();
    assert_eq!(car.hear(None, run("b")), [Act::Kill, Act::Start(order("b"))]);
    car.pass(2_000_000);
    let state = AttemptState::Running { progress_ppm: 7, metered_us: 5 };
    assert_eq!(car.look(true, running(5)), [Act::Heartbeat(Some(report("b", state)))]);
}

#[test]
fn the_driver_wins_at_once() {
    let mut car = Car::with_attempt();
    car.pass(10_000);
    // Without a word of the platform, and telling it without waiting for the poll.
    let state = AttemptState::Running { progress_ppm: 7, metered_us: 5 };
    assert_eq!(
        car.look(false, running(5)),
        [Act::Vacate { grace_ms: 700 }, Act::Heartbeat(Some(report("a", state)))]
    );
    car.hear_nothing();
    // Told once only, also when the platform says the same.
    assert_eq!(car.look(false, running(6)), []);
    assert_eq!(car.hear(None, vacate(VacateReason::NotEligible)), []);
    let checkpointed = AttemptState::Checkpointed { checkpoint: Digest("c".into()), metered_us: 6 };
    assert_eq!(
        car.look(false, Seen::Ended(checkpointed.clone(), Account::default())),
        [Act::Heartbeat(Some(report("a", checkpointed)))]
    );
}

#[test]
fn an_order_that_finds_the_driver_in_the_car_is_handed_back() {
    let mut car = Car::default();
    assert_eq!(car.look(false, Seen::Nothing), [Act::Heartbeat(None)]);
    assert_eq!(car.hear(None, run("a")), []);
    assert_eq!(car.next(), 0);
    let vacated = AttemptState::Vacated { metered_us: 0 };
    let said = report("a", vacated);
    assert_eq!(car.look(false, Seen::Nothing), [Act::Heartbeat(Some(said.clone()))]);
    assert_eq!(car.hear(Some(said), nothing()), [Act::Wipe]);
    // Parked again: it is not taken up by itself.
    car.pass(2_000_000);
    assert_eq!(car.look(true, Seen::Nothing), [Act::Heartbeat(None)]);
}

#[test]
fn a_car_that_parks_while_it_leaves_still_leaves() {
    let mut car = Car::with_attempt();
    car.look(false, running(5));
    assert!(car.mind.current().is_some_and(|(_, leaving)| leaving));
    car.look(true, running(6));
    assert!(car.mind.current().is_some_and(|(_, leaving)| leaving));
}

#[test]
fn vacate_orders_let_it_checkpoint_except_when_it_is_not_ours() {
    use VacateReason::*;
    for reason in [TermOver, Cancelled, ConsentWithdrawn, NotEligible] {
        let mut car = Car::with_attempt();
        assert_eq!(car.hear(None, vacate(reason)), [Act::Vacate { grace_ms: 700 }], "{reason:?}");
        assert!(car.mind.current().is_some());
    }
    let mut car = Car::with_attempt();
    assert_eq!(car.hear(None, vacate(NotYours)), [Act::Kill, Act::Wipe]);
    assert_eq!((car.mind.current().is_none(), car.mind.pending()), (true, None));
    // Nothing runs: nothing to do.
    assert_eq!(car.hear(None, vacate(NotYours)), []);
    assert_eq!(car.hear(None, vacate(TermOver)), []);
}

#[test]
fn without_answers_it_backs_off_but_not_far_while_something_runs() {
    let mut idle = Car::default();
    idle.look(true, Seen::Nothing);
    let mut busy = Car::with_attempt();
    let mut waits = Vec::new();
    for _ in 0..9 {
        idle.hear_nothing();
        busy.hear_nothing();
        waits.push((idle.next() / 1_000, busy.next() / 1_000));
    }
    assert_eq!(
        waits,
        [
            (250, 250),
            (500, 500),
            (1_000, 1_000),
            (2_000, 2_000),
            (4_000, 3_000),
            (8_000, 3_000),
            (16_000, 3_000),
            (30_000, 3_000),
            (30_000, 3_000)
        ]
    );
    busy.hear(None, nothing());
    busy.hear_nothing();
    assert_eq!(busy.next(), 250_000);
}

#[test]
fn an_attempt_that_could_not_begin_is_reported() {
    let mut car = Car::with_attempt();
    car.mind.step(Event::Ended { now_us: 0, state: AttemptState::Vacated { metered_us: 0 } });
    assert_eq!(car.next(), 0);
    assert!(car.mind.current().is_none());
    assert!(car.mind.pending().is_some());
}

#[test]
fn what_a_lease_left_is_wiped_when_it_is_over() {
    // Nothing more is given.
    let mut car = Car::with_attempt();
    car.look(true, Seen::Ended(completed(), Account::default()));
    assert_eq!(car.hear(Some(report("a", completed())), nothing()), [Act::Wipe]);
    assert_eq!(car.hear(None, nothing()), [], "once");
    // Not between the tasks of a lease, but between two leases.
    let mut car = Car::with_attempt();
    car.look(true, Seen::Ended(completed(), Account::default()));
    let acts = car.hear(Some(report("a", completed())), run("b"));
    assert_eq!(acts, [Act::Start(order("b"))]);
    let other = Order { lease_id: "lease_2".into(), ..order("c") };
    let reply = HeartbeatReply { order: Some(other.clone()), ..nothing() };
    assert_eq!(car.hear(None, reply), [Act::Kill, Act::Wipe, Act::Start(other)]);
    // It is not ours.
    assert_eq!(car.hear(None, vacate(VacateReason::NotYours)), [Act::Kill, Act::Wipe]);
}

#[test]
fn out_of_the_network_it_ends_with_its_term_and_is_told_so() {
    let mut car = Car::with_attempt();
    car.pass(899_999_999);
    // It runs on, in the network or not, while there is a term.
    car.hear_nothing();
    assert!(!car.look(true, running(5)).contains(&Act::Kill));
    car.pass(1);
    let vacated = report("a", AttemptState::Vacated { metered_us: 6 });
    let beat = Act::Heartbeat(Some(vacated.clone()));
    assert_eq!(car.look(true, running(6)), [Act::Kill, Act::Wipe, beat]);
    assert_eq!(car.hear(Some(vacated), vacate(VacateReason::NotYours)), []);
    assert_eq!(car.mind.take_word(), Some(VacateReason::NotYours));
    assert_eq!(car.mind.take_word(), None);
    assert!(car.mind.pending().is_none());
}

#[test]
fn in_the_network_the_platform_says_when_the_term_is_over() {
    let mut car = Car::with_attempt();
    car.pass(900_000_000);
    assert!(!car.look(true, running(5)).contains(&Act::Kill));
    let acts = car.hear(None, vacate(VacateReason::TermOver));
    assert_eq!(acts, [Act::Vacate { grace_ms: 700 }]);
    assert_eq!(car.mind.take_word(), Some(VacateReason::TermOver));
    // The order again says how much is left by now.
    let mut car = Car::with_attempt();
    let again = Order { term_ms: 1_000, ..order("a") };
    assert_eq!(car.hear(None, HeartbeatReply { order: Some(again), ..nothing() }), []);
    car.hear_nothing();
    car.pass(1_000_000);
    assert!(car.look(true, running(5)).contains(&Act::Kill));
}

#[test]
fn a_result_that_nobody_heard_of_is_told_after_the_term_too() {
    let mut car = Car::with_attempt();
    let told = Act::Heartbeat(Some(report("a", completed())));
    let ended = Seen::Ended(completed(), Account::default());
    assert_eq!(car.look(true, ended), std::slice::from_ref(&told));
    car.hear_nothing();
    car.pass(900_000_000);
    assert_eq!(car.look(true, Seen::Nothing), [Act::Wipe, told]);
}
