//! Keeps an upstream in trouble from dragging others along, and lets it recover: how many fills
//! it may have at once, when it is asked at all, and how often again.
//! What it leaves to others: counting and logging, and which upstream is asked instead.

mod breaker;
mod budget;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::StatusCode;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

pub use breaker::{Breaker, Call, Circuit, Rules, Sort, Verdict};
pub use budget::Budget;

use crate::upstream::{UpstreamError, UpstreamResponse};

/// One upstream's guard. Every request to it asks first.
#[derive(Debug)]
pub struct Guard {
    upstream: String,
    breaker: Mutex<Breaker>,
    budget: Mutex<Budget>,
    fills: usize,
    slots: Arc<Semaphore>,
}

/// A request that may go out. Dropped without a word of how it ended, it counts as failed: nobody
/// waited any longer.
#[derive(Debug)]
pub struct Leave {
    guard: Arc<Guard>,
    sort: Sort,
    began: Instant,
    told: bool,
}

impl Guard {
    /// `fills` is how many fills may have their bytes from this upstream at once.
    pub fn new(upstream: impl Into<String>, fills: usize, rules: Rules) -> Arc<Self> {
        let upstream = upstream.into();
        let (breaker, budget) = (Breaker::new(rules), Budget::default());
        let slots = Arc::new(Semaphore::new(fills));
        let (breaker, budget) = (Mutex::new(breaker), Mutex::new(budget));
        Arc::new(Self { upstream, breaker, budget, fills, slots })
    }

    /// The same with what it learned, for as many fills and under other rules. Whatever goes on
    /// at the one that was, this one does not hear of it.
    pub fn under(self: &Arc<Self>, fills: usize, rules: &Rules) -> Arc<Self> {
        let breaker = self.breaker.lock();
        if (fills, rules) == (self.fills, breaker.rules()) {
            return Arc::clone(self);
        }
        Arc::new(Self {
            upstream: self.upstream.clone(),
            breaker: Mutex::new(breaker.clone().under(rules.clone())),
            budget: Mutex::new(self.budget.lock().clone()),
            fills,
            slots: Arc::new(Semaphore::new(fills)),
        })
    }

    /// One permit for each fill that may be under way.
    pub fn slots(&self) -> &Arc<Semaphore> {
        &self.slots
    }

    /// How it stands.
    pub fn circuit(&self, now: Instant) -> Circuit {
        self.breaker.lock().circuit(now)
    }

    /// Whether a request may go out. `again`: the same was asked before and failed.
    ///
    /// # Errors
    /// [`UpstreamError::Withheld`], which says why.
    pub fn ask(
        self: &Arc<Self>,
        now: Instant,
        sort: Sort,
        again: bool,
    ) -> Result<Leave, UpstreamError> {
        let withheld = |reason: String, after: Duration| {
            Err(UpstreamError::Withheld { upstream: self.upstream.clone(), reason, after })
        };
        let mut budget = self.budget.lock();
        if again && !budget.suffices(now) {
            let reason = "its budget of repeated requests is used up".into();
            return withheld(reason, Budget::EVERY);
        }
        match self.breaker.lock().ask(now, sort) {
            Verdict::Pass => {}
            Verdict::Refuse { after } => {
                let seconds = after.as_secs_f64().ceil();
                let reason = format!("its circuit is open, for {seconds} s or more");
                return withheld(reason, after);
            }
        }
        if again {
            budget.spend(now);
        } else {
            budget.earn();
        }
        drop(budget);
        Ok(Leave { guard: Arc::clone(self), sort, began: now, told: false })
    }
}

impl Leave {
    /// How it ended: at the head of the answer, or without one.
    pub fn told(mut self, now: Instant, result: &Result<UpstreamResponse, UpstreamError>) {
        let took = now.saturating_duration_since(self.began);
        let call = match result {
            Ok(response) if in_trouble(response.status) => Call::Bad,
            Ok(_) => Call::Answered {
                took: if self.sort == Sort::Plain { took } else { Duration::ZERO },
            },
            // A client's own fault says nothing of the upstream.
            Err(UpstreamError::ClientBody { .. }) => Call::Nothing,
            Err(UpstreamError::Connect { .. }) => Call::Bad,
            // What ends an upload may well be its client.
            Err(_) if self.sort == Sort::Upload => Call::Nothing,
            Err(_) => Call::Bad,
        };
        self.end(now, call);
    }

    fn end(&mut self, now: Instant, call: Call) {
        self.told = true;
        self.guard.breaker.lock().told(self.began, now, call);
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        if !self.told {
            // It began in the past and ends by now: how long it took says nothing more.
            let call = if self.sort == Sort::Plain { Call::Bad } else { Call::Nothing };
            self.end(self.began, call);
        }
    }
}

/// Answers of one in front of a server that cannot reach it, or of one that has too much to do.
/// Not 500, 501 and the like: they say that this request found a fault, and clients choose what
/// they request. One bad path must not cost an upstream all others.
fn in_trouble(status: StatusCode) -> bool {
    matches!(status.as_u16(), 502..=504)
}
