//! How much the node has to do, and what it does no more while that is too much: from the cheapest
//! to refuse, by grades. What is refused is refused at once and early, so that the rest is served
//! as if nothing were wrong: nothing waits in a queue that a client has left by the time it is
//! its turn.

pub mod fair;
pub mod grade;
mod measure;
mod passing;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use weir_config::edge::EdgeConfig;
use weir_config_units::Prefix;

pub use fair::{Fair, Place};
pub use grade::{Grade, Input, Pressure};
pub use measure::watch;
pub use passing::{PASSING_MOST, Passage};

use measure::Lag;
use passing::Passing;

/// Between two looks of what waits until the node is calm.
const LOOK: Duration = Duration::from_millis(250);

/// Why a request is refused although nothing is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shed {
    /// Its client has more than its share under way.
    Share,
    /// It would have to be fetched.
    Cold,
}

impl Shed {
    /// In the order of their discriminants.
    pub const ALL: [Self; 2] = [Self::Share, Self::Cold];

    /// As labels write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Share => "share",
            Self::Cold => "cold",
        }
    }

    /// When it may be asked again: by then a node has recovered, or others have the same trouble.
    pub fn after(self) -> Duration {
        match self {
            Self::Share => Duration::from_secs(1),
            Self::Cold => Duration::from_secs(2),
        }
    }
}

/// What the node bears, and what it has to.
#[derive(Debug)]
pub struct Load {
    grade: AtomicU8,
    pressure: Mutex<Pressure>,
    memory_budget: AtomicU64,
    requests_budget: AtomicU64,
    lags: Vec<Lag>,
    fair: Fair,
    passing: Passing,
    shed: [AtomicU64; Shed::ALL.len()],
    /// How often it came to more than nothing.
    overloads: AtomicU64,
}

impl Load {
    /// Of a node with so many workers, which bears everything until it is told what.
    pub fn new(workers: usize) -> Arc<Self> {
        let now = Instant::now();
        Arc::new(Self {
            grade: AtomicU8::new(0),
            pressure: Mutex::new(Pressure::default()),
            memory_budget: AtomicU64::new(u64::MAX),
            requests_budget: AtomicU64::new(u64::MAX),
            lags: (0..workers).map(|_| Lag::new(now)).collect(),
            fair: Fair::default(),
            passing: Passing::default(),
            shed: Default::default(),
            overloads: AtomicU64::new(0),
        })
    }

    /// What it bears from now on.
    pub fn set(&self, config: &EdgeConfig) {
        let memory = config.overload.budget(&config.cache).as_u64();
        self.memory_budget.store(memory, Relaxed);
        self.requests_budget.store(u64::from(config.overload.requests.get()), Relaxed);
    }

    /// What it does no more.
    pub fn grade(&self) -> Grade {
        Grade::ALL[usize::from(self.grade.load(Relaxed)).min(Grade::ALL.len() - 1)]
    }

    /// What was measured last.
    pub fn pressure(&self) -> Pressure {
        *self.pressure.lock()
    }

    /// Resident memory that it bears.
    pub fn memory_budget(&self) -> u64 {
        self.memory_budget.load(Relaxed)
    }

    /// How much is to spare of what is scarcest, from 1 to 0.
    pub fn health(&self) -> f64 {
        (1.0 - self.pressure().strain().1).clamp(0.0, 1.0)
    }

    /// A request begins: its place among those of its client, until that is dropped.
    ///
    /// # Errors
    /// Its client has more than its share under way, and others come too short.
    pub fn enter(self: &Arc<Self>, client: Prefix) -> Result<Place, Shed> {
        let place = Fair::enter(self, client);
        if self.grade() >= Grade::Ahead && place.is_beyond_share() {
            self.count(Shed::Share);
            return Err(Shed::Share);
        }
        Ok(place)
    }

    /// Whether what is not here may be fetched.
    ///
    /// # Errors
    /// Not now.
    pub fn fetch(&self) -> Result<(), Shed> {
        if self.grade() >= Grade::Cold {
            self.count(Shed::Cold);
            return Err(Shed::Cold);
        }
        Ok(())
    }

    fn count(&self, why: Shed) {
        self.shed[why as usize].fetch_add(1, Relaxed);
    }

    /// Requests that were refused for this reason.
    pub fn refused(&self, why: Shed) -> u64 {
        self.shed[why as usize].load(Relaxed)
    }

    /// How often it came to more than nothing since the start.
    pub fn overloads(&self) -> u64 {
        self.overloads.load(Relaxed)
    }

    /// Clients with something under way.
    pub fn clients(&self) -> usize {
        self.fair.clients()
    }

    /// Waits until there is room for what nobody waits for.
    pub async fn calm(&self) {
        while self.grade() > Grade::Calm {
            sleep(LOOK).await;
        }
    }

    /// Feels how late a worker is, as long as it runs.
    pub async fn feel(&self, worker: usize) {
        match self.lags.get(worker) {
            Some(lag) => lag.feel().await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests;
