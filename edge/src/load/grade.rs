//! From what is measured to what is done no more. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// An event loop this late is too late: whoever waits for it waits as long on every step, and to a
/// first byte there are a handful. Players wait for two seconds; a node that streams to thousands at
/// all its core can do is some tens of milliseconds late.
const LAG_MOST: Duration = Duration::from_millis(250);
/// Below this share of its memory nothing is wrong with a process: caches are meant to be full.
const MEMORY_FREE: f64 = 0.8;
/// Fills that wait for a place, for each place, at which there is nothing to spare of them.
const WAITING_MOST: f64 = 2.0;
/// Where each grade begins, of all that is borne.
const BEGINS: [f64; 4] = [0.0, 0.5, 0.75, 1.0];
/// A grade is left when strain is below this share of where it begins, and stays there.
const LEAVES: f64 = 0.8;
/// For so long.
const CALM_FOR: Duration = Duration::from_millis(300);

/// What a node does no more; each with all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Grade {
    /// Nothing.
    #[default]
    Calm,
    /// Fetching ahead of demand; and no client has more than its share.
    Ahead,
    /// Fetching what is not here at all: cold objects, and with them what is old of a stream.
    Cold,
    /// New connections.
    New,
}

impl Grade {
    /// In order.
    pub const ALL: [Self; 4] = [Self::Calm, Self::Ahead, Self::Cold, Self::New];

    /// What is refused, for people.
    pub fn refuses(self) -> &'static str {
        match self {
            Self::Calm => "nothing is refused",
            Self::Ahead => "nothing is fetched ahead, and no client has more than its share",
            Self::Cold => {
                "what is not in the cache gets 503, and no client has more than its share"
            }
            Self::New => "new connections are refused, and what is not in the cache gets 503",
        }
    }
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pressure {
    /// How late the latest of the event loops is, on average.
    pub lag: Duration,
    /// Resident memory of what the process may have.
    pub memory: f64,
    /// Requests under way of what may be.
    pub requests: f64,
    /// Fills that wait for a place, for each place there is.
    pub waiting: f64,
}

/// What is scarce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    Lag,
    Memory,
    Requests,
    Fills,
}

impl Input {
    /// In the order of [`Pressure::strains`].
    pub const ALL: [Self; 4] = [Self::Lag, Self::Memory, Self::Requests, Self::Fills];

    /// As labels write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lag => "lag",
            Self::Memory => "memory",
            Self::Requests => "requests",
            Self::Fills => "fills",
        }
    }
}

impl Pressure {
    /// Of all that is borne of each: 1 is all of it.
    pub fn strains(&self) -> [(Input, f64); 4] {
        let lag = self.lag.as_secs_f64() / LAG_MOST.as_secs_f64();
        let memory = ((self.memory - MEMORY_FREE) / (1.0 - MEMORY_FREE)).max(0.0);
        // Who waits for a place gets it, or 503 at the deadline. A node that starts cold would
        // never be warm if it refused what is cold for that.
        let fills = (self.waiting / WAITING_MOST).min(BEGINS[2] - f64::EPSILON);
        let all = [lag, memory, self.requests, fills];
        std::array::from_fn(|at| (Input::ALL[at], all[at]))
    }

    /// The scarcest.
    pub fn strain(&self) -> (Input, f64) {
        let most = self.strains().into_iter().max_by(|(_, a), (_, b)| a.total_cmp(b));
        most.expect("there are four")
    }
}

/// Goes from grade to grade: up at once, down one at a time and only when it has been calm for a
/// while, since what is refused comes again.
#[derive(Debug, Default)]
pub struct Grader {
    grade: Grade,
    /// Since when it could be a grade less.
    calm: Option<Instant>,
}

impl Grader {
    /// The grade under this strain.
    pub fn look(&mut self, strain: f64, now: Instant) -> Grade {
        let wanted = Grade::ALL.into_iter().rev().find(|grade| strain >= BEGINS[*grade as usize]);
        let wanted = wanted.unwrap_or_default();
        if wanted > self.grade {
            (self.grade, self.calm) = (wanted, None);
        } else if self.grade > Grade::Calm && strain < BEGINS[self.grade as usize] * LEAVES {
            let since = *self.calm.get_or_insert(now);
            if now >= since + CALM_FOR {
                self.grade = Grade::ALL[self.grade as usize - 1];
                self.calm = Some(now);
            }
        } else {
            self.calm = None;
        }
        self.grade
    }
}
