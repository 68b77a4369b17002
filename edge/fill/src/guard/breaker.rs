//! A circuit breaker as a state machine: pure, the time comes from outside.
//!
//! *Closed*: everything passes, and how calls end is counted. Too many bad ones in the window
//! open it. *Open*: nothing passes for a while, twice as long each time in a row. *Half-open*:
//! one call at a time is let through as a trial; a bad one opens it again. *Recovering*: a rate is let
//! through that grows to little more than what the upstream had when it was well, because all
//! who missed it meanwhile come at once.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// When it opens, and how it closes.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// For how long calls count.
    pub window: Duration,
    /// Fewer calls than this in a window say nothing.
    pub least: u32,
    /// Part of the calls that were bad, from which on it opens.
    pub ratio: f64,
    /// An answer whose head took longer is bad.
    pub slow: Duration,
    /// For how long one trial keeps others out.
    pub trial: Duration,
    /// How long it stays open at first, and at most.
    pub rest: (Duration, Duration),
    /// Good calls, one after the other, after which it recovers.
    pub trials: u32,
    /// How long it recovers.
    pub ramp: Duration,
}

impl Rules {
    /// The usual ones, for an upstream whose answers must have begun by `deadline`.
    pub fn of(deadline: Duration) -> Self {
        Self {
            window: Duration::from_secs(10),
            least: 20,
            ratio: 0.5,
            slow: deadline / 4 * 3,
            trial: deadline,
            rest: (Duration::from_secs(1), Duration::from_secs(30)),
            trials: 3,
            ramp: Duration::from_secs(10),
        }
    }
}

/// Whether a call may go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    /// Not for so long, or longer.
    Refuse {
        after: Duration,
    },
}

/// What a call depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// On the upstream alone.
    Plain,
    /// Its client sends a body, and decides how long that takes: nobody waits for its end.
    Upload,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// An answer, whose head took so long.
    Answered { took: Duration },
    /// None, or one that says that the server cannot.
    Bad,
    /// Nothing that tells of the upstream.
    Nothing,
}

/// How a circuit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Circuit {
    Closed,
    Open,
    HalfOpen,
    Recovering,
}

impl Circuit {
    /// As labels and reports write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
            Self::Recovering => "recovering",
        }
    }
}

/// Parts of a window that are forgotten together.
const PARTS: u32 = 10;
/// The rate at which recovery starts and ends, as parts of the steady one. The end leaves room
/// below 1.5 for calls that were under way.
const RAMP: (f64, f64) = (0.25, 1.25);
/// The least rate while it recovers, calls a second.
const RATE_LEAST: f64 = 2.0;
/// When to come again where nothing better is known.
const SOON: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
enum State {
    Closed,
    Open {
        until: Instant,
    },
    HalfOpen {
        since: Instant,
        /// When the trial under way began.
        trial: Option<Instant>,
        /// When the last upload passed.
        upload: Option<Instant>,
        good: u32,
    },
    Recovering {
        since: Instant,
        at: Instant,
        tokens: f64,
    },
}

#[derive(Debug, Clone, Copy)]
struct Part {
    began: Instant,
    asked: u32,
    ended: u32,
    bad: u32,
}

/// The state machine of one upstream.
#[derive(Debug, Clone)]
pub struct Breaker {
    rules: Rules,
    state: State,
    parts: VecDeque<Part>,
    /// Calls a second while it was well.
    steady: f64,
    /// How long it rests the next time.
    rest: Duration,
}

impl Breaker {
    pub fn new(rules: Rules) -> Self {
        let rest = rules.rest.0;
        Self { rules, state: State::Closed, parts: VecDeque::new(), steady: 0.0, rest }
    }

    /// What it goes by.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// As it stands, by other rules from now on.
    #[must_use]
    pub fn under(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }

    /// Whether a call may go out now.
    pub fn ask(&mut self, now: Instant, sort: Sort) -> Verdict {
        let trial_for = self.rules.trial;
        self.turn(now);
        let verdict = match &mut self.state {
            State::Closed => Verdict::Pass,
            State::Open { until } => Verdict::Refuse { after: until.duration_since(now) },
            State::HalfOpen { trial, upload, .. } => {
                // An upload keeps nobody out, and few pass: where nothing else is asked for, they
                // are how it closes.
                let (place, alone_for) = match sort {
                    Sort::Plain => (trial, trial_for),
                    Sort::Upload => (upload, SOON),
                };
                if place.is_some_and(|began| now < began + alone_for) {
                    Verdict::Refuse { after: SOON }
                } else {
                    *place = Some(now);
                    Verdict::Pass
                }
            }
            State::Recovering { since, at, tokens } => {
                let done = (now - *since).as_secs_f64() / self.rules.ramp.as_secs_f64();
                let part = RAMP.0 + (RAMP.1 - RAMP.0) * done;
                let rate = (self.steady * part).max(RATE_LEAST);
                let earned = (now - *at).as_secs_f64() * rate;
                // What was not used for a moment is not used at once.
                *tokens = (*tokens + earned).min((rate / 10.0).max(1.0));
                *at = now;
                if *tokens >= 1.0 {
                    *tokens -= 1.0;
                    Verdict::Pass
                } else {
                    Verdict::Refuse { after: SOON }
                }
            }
        };
        if verdict == Verdict::Pass {
            self.part(now).asked += 1;
        }
        verdict
    }

    /// How a call ended that went out at `began`.
    pub fn told(&mut self, began: Instant, now: Instant, call: Call) {
        self.turn(now);
        let bad = match call {
            Call::Answered { took } => took > self.rules.slow,
            Call::Bad => true,
            Call::Nothing => {
                if let State::HalfOpen { trial, .. } = &mut self.state {
                    trial.take_if(|trial| *trial == began);
                }
                return;
            }
        };
        let part = self.part(now);
        part.ended += 1;
        part.bad += u32::from(bad);
        match &mut self.state {
            State::Closed | State::Recovering { .. } => {
                let (ended, spoilt) = self.sum();
                let enough = ended >= self.rules.least;
                if enough && f64::from(spoilt) >= f64::from(ended) * self.rules.ratio {
                    self.open(now);
                }
            }
            // Calls of before it opened tell nothing new.
            State::Open { .. } => {}
            State::HalfOpen { since, .. } if began < *since => {}
            State::HalfOpen { .. } if bad => self.open(now),
            State::HalfOpen { trial, good, .. } => {
                trial.take_if(|trial| *trial == began);
                *good += 1;
                if *good >= self.rules.trials {
                    self.parts.clear();
                    self.state = State::Recovering { since: now, at: now, tokens: 1.0 };
                }
            }
        }
    }

    /// How it stands.
    pub fn circuit(&mut self, now: Instant) -> Circuit {
        self.turn(now);
        match self.state {
            State::Closed => Circuit::Closed,
            State::Open { .. } => Circuit::Open,
            State::HalfOpen { .. } => Circuit::HalfOpen,
            State::Recovering { .. } => Circuit::Recovering,
        }
    }

    /// What time alone changes.
    fn turn(&mut self, now: Instant) {
        match self.state {
            State::Open { until } if until <= now => {
                self.state = State::HalfOpen { since: until, trial: None, upload: None, good: 0 };
            }
            State::Recovering { since, .. } if since + self.rules.ramp <= now => {
                self.state = State::Closed;
                self.rest = self.rules.rest.0;
            }
            _ => {}
        }
        while let Some(part) = self.parts.front().filter(|p| p.began + self.rules.window <= now) {
            let part = *part;
            self.learn(part);
            self.parts.pop_front();
        }
    }

    /// Only what was well tells of a steady load. Of each part a tenth counts, so that a moment
    /// changes little.
    fn learn(&mut self, part: Part) {
        let well = f64::from(part.bad) < f64::from(part.ended) * self.rules.ratio;
        if well && matches!(self.state, State::Closed) {
            let rate = f64::from(part.asked) / (self.rules.window / PARTS).as_secs_f64();
            self.steady += (rate - self.steady) * if self.steady == 0.0 { 1.0 } else { 0.1 };
        }
    }

    fn open(&mut self, now: Instant) {
        for part in self.parts.clone() {
            self.learn(part);
        }
        self.state = State::Open { until: now + self.rest };
        self.rest = (self.rest * 2).min(self.rules.rest.1);
        self.parts.clear();
    }

    fn part(&mut self, now: Instant) -> &mut Part {
        let length = self.rules.window / PARTS;
        let fresh = self.parts.back().is_some_and(|part| now < part.began + length);
        if !fresh {
            self.parts.push_back(Part { began: now, asked: 0, ended: 0, bad: 0 });
        }
        self.parts.back_mut().expect("there is one by now")
    }

    fn sum(&self) -> (u32, u32) {
        self.parts.iter().fold((0, 0), |(ended, bad), part| (ended + part.ended, bad + part.bad))
    }
}
