//! How the node does, second by second: a sample a second, a quarter of an hour of them, and the
//! eight figures from any two. `cachectl status`, the page and the metrics read from here.

pub mod figures;
pub mod ring;
mod sample;

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, watch},
    time::MissedTickBehavior,
};
use weir_config_admin::Overview;
use weir_config_lifecycle::Usage;

use crate::{admin::page, node::Node};

pub use ring::Ring;
pub use sample::{BUCKETS, Sample};

/// Between two samples, and two events of the page.
const EVERY: Duration = Duration::from_secs(1);
/// What `cachectl status` looks back: long enough for a ratio to mean something.
pub const MINUTE: Duration = Duration::from_secs(60);
/// What the page looks back for a figure that is shown large: long enough to be read.
pub const MOMENT: Duration = Duration::from_secs(10);
/// Pages that are open at once. Each takes a connection and some kilobytes a second.
pub const FOLLOWERS: usize = 32;

/// How long a process that has drained waits for its pages.
const GOODBYE: Duration = Duration::from_millis(300);

/// What figures are a part of. Zero is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// `cache.memory`
    pub memory_bytes: u64,
    /// `fill.concurrency`
    pub fills: u64,
    /// Processors that the process may use.
    pub processors: u32,
}

/// What is remembered of the last quarter of an hour, and who follows.
#[derive(Debug)]
pub struct Live {
    bounds: Bounds,
    ring: Mutex<Ring>,
    /// The newest event, as it goes to every page. Nobody is waited for: who is slow misses one.
    pub(crate) events: watch::Sender<Bytes>,
    pub(crate) seats: Arc<Semaphore>,
}

impl Live {
    /// Nothing is known yet.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            ring: Mutex::new(Ring::default()),
            events: watch::Sender::default(),
            seats: Arc::new(Semaphore::new(FOLLOWERS)),
        }
    }

    /// What figures are a part of.
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// The eight figures over the last while.
    pub fn overview(&self, over: Duration) -> Option<Overview> {
        self.ring.lock().over(over, &self.bounds)
    }

    /// How far each resource is used, lately.
    pub fn resources(&self) -> Vec<(&'static str, f64)> {
        let ring = self.ring.lock();
        let Some((from, to)) = ring.pair(MOMENT) else { return Vec::new() };
        let found = figures::resources(from, to, &self.bounds);
        found.into_iter().filter_map(|(name, used)| Some((name, used?))).collect()
    }

    /// Resident memory, as the last sample has it.
    pub fn resident_bytes(&self) -> u64 {
        self.ring.lock().last().map_or(0, |sample| sample.usage.resident_bytes)
    }

    /// Pages that are open.
    pub fn followers(&self) -> usize {
        FOLLOWERS.saturating_sub(self.seats.available_permits())
    }

    /// Until every page has been told that it is over, or a moment has passed.
    pub async fn ended(&self) {
        let all = u32::try_from(FOLLOWERS).expect("some dozens");
        drop(tokio::time::timeout(GOODBYE, self.seats.acquire_many(all)).await);
    }

    /// Looks at the ring.
    pub(crate) fn ring<T>(&self, look: impl FnOnce(&Ring, &Bounds) -> T) -> T {
        look(&self.ring.lock(), &self.bounds)
    }

    /// One second later.
    pub fn note(&self, sample: Sample) {
        self.ring.lock().push(sample);
    }
}

/// Takes a sample each second as long as the node is there, and tells the pages.
pub async fn watch(node: Weak<Node>) {
    let mut seconds = tokio::time::interval(EVERY);
    // After a pause the next one is a second later: samples are not made up.
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        seconds.tick().await;
        let Some(node) = node.upgrade() else { return };
        // The folder of open files may be long. An error is a runtime that ends.
        let Ok(usage) = tokio::task::spawn_blocking(Usage::of_process).await else { return };
        node.live.note(Sample::of(&node, usage));
        if node.live.events.receiver_count() > 0 {
            node.live.events.send_replace(page::tick(&node));
        }
    }
}
