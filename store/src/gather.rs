//! Group commit: what many callers ask is done in one go.
//!
//! There is no thread of its own. A caller that finds nobody at work leads: it runs all that waits
//! as one batch, its own request among it, answers, and gives the lead to the first who came
//! meanwhile. So while a batch commits the next one fills, the more callers there are the more of
//! them share a commit, and a caller alone waits for nobody.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Bounds of a gathering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most weight of a batch, but that a request is never split.
    pub max_batch: usize,
    /// The most requests that wait.
    pub max_waiting: usize,
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unasked {
    /// As many wait as may.
    Full,
    /// Whoever ran the batch panicked.
    Stopped,
}

/// Requests of type `Q` and their answers.
pub struct Gather<Q, A> {
    bounds: Bounds,
    desk: Mutex<Desk<Q, A>>,
    /// Told when the queue has become shorter.
    room: Condvar,
}

struct Desk<Q, A> {
    waiting: VecDeque<Request<Q, A>>,
    /// True while somebody runs a batch, or was told to.
    led: bool,
}

struct Request<Q, A> {
    /// None once it was taken out to be run.
    question: Option<Q>,
    weight: usize,
    turn: Arc<Turn<A>>,
}

/// What a caller waits for.
struct Turn<A> {
    state: Mutex<State<A>>,
    changed: Condvar,
}

enum State<A> {
    Waiting,
    /// It is this caller's to run the next batch.
    Lead,
    Answered(Result<A, Unasked>),
}

impl<Q, A> Gather<Q, A> {
    pub fn new(bounds: Bounds) -> Self {
        let desk = Mutex::new(Desk { waiting: VecDeque::new(), led: false });
        Self { bounds, desk, room: Condvar::new() }
    }

    /// Asks, once there is room. `run` answers each request of a batch in order, whoever asked.
    ///
    /// # Errors
    /// [`Unasked::Stopped`].
    pub fn ask(
        &self,
        question: Q,
        weight: usize,
        run: impl Fn(Vec<Q>) -> Vec<A>,
    ) -> Result<A, Unasked> {
        let mut desk = unpoisoned(&self.desk);
        while desk.waiting.len() >= self.bounds.max_waiting.max(1) {
            desk = self.room.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
        self.enter(desk, question, weight, run)
    }

    /// Asks, or says that there is no room.
    ///
    /// # Errors
    /// Both of [`Unasked`].
    pub fn try_ask(
        &self,
        question: Q,
        weight: usize,
        run: impl Fn(Vec<Q>) -> Vec<A>,
    ) -> Result<A, Unasked> {
        let desk = unpoisoned(&self.desk);
        if desk.waiting.len() >= self.bounds.max_waiting.max(1) {
            return Err(Unasked::Full);
        }
        self.enter(desk, question, weight, run)
    }

    fn enter(
        &self,
        mut desk: MutexGuard<'_, Desk<Q, A>>,
        question: Q,
        weight: usize,
        run: impl Fn(Vec<Q>) -> Vec<A>,
    ) -> Result<A, Unasked> {
        let turn = Arc::new(Turn { state: Mutex::new(State::Waiting), changed: Condvar::new() });
        desk.waiting.push_back(Request { question: Some(question), weight, turn: turn.clone() });
        let leads = !std::mem::replace(&mut desk.led, true);
        drop(desk);
        if leads {
            self.lead(&run);
        }
        loop {
            match turn.wait() {
                Some(answer) => return answer,
                None => self.lead(&run),
            }
        }
    }

    /// Runs a batch of what waits, from the first on, and passes the lead on. The leader's own
    /// request is in it: it is the first, since the lead goes to the first.
    fn lead(&self, run: impl Fn(Vec<Q>) -> Vec<A>) {
        let _passes_on = Leading(self);
        let mut batch = self.take();
        let questions = batch.iter_mut().filter_map(|request| request.question.take()).collect();
        let mut answers = run(questions).into_iter();
        for request in &batch {
            if let Some(answer) = answers.next() {
                request.turn.set(State::Answered(Ok(answer)));
            }
        }
    }

    fn take(&self) -> Vec<Request<Q, A>> {
        let mut desk = unpoisoned(&self.desk);
        let (mut batch, mut size) = (Vec::new(), 0);
        while let Some(next) = desk.waiting.front() {
            let more = next.weight;
            if !batch.is_empty() && size + more > self.bounds.max_batch {
                break;
            }
            size += more;
            batch.extend(desk.waiting.pop_front());
        }
        self.room.notify_all();
        batch
    }

    fn pass_on(&self) {
        let mut desk = unpoisoned(&self.desk);
        match desk.waiting.front() {
            Some(next) => next.turn.set(State::Lead),
            None => desk.led = false,
        }
    }
}

/// The lead, which goes on to the next whatever ends it.
struct Leading<'a, Q, A>(&'a Gather<Q, A>);

impl<Q, A> Drop for Leading<'_, Q, A> {
    fn drop(&mut self) {
        self.0.pass_on();
    }
}

impl<Q, A> Drop for Request<Q, A> {
    /// A request that goes without an answer (whoever ran it panicked) is not left waiting.
    fn drop(&mut self) {
        let mut state = unpoisoned(&self.turn.state);
        if matches!(*state, State::Waiting | State::Lead) {
            *state = State::Answered(Err(Unasked::Stopped));
            self.turn.changed.notify_all();
        }
    }
}

impl<A> Turn<A> {
    /// The answer; `None` if it is this caller's turn to lead.
    fn wait(&self) -> Option<Result<A, Unasked>> {
        let mut state = unpoisoned(&self.state);
        loop {
            match std::mem::replace(&mut *state, State::Waiting) {
                State::Waiting => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                State::Lead => return None,
                State::Answered(answer) => return Some(answer),
            }
        }
    }

    fn set(&self, next: State<A>) {
        *unpoisoned(&self.state) = next;
        self.changed.notify_all();
    }
}

fn unpoisoned<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
