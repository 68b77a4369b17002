//! What is remembered of finished requests, for operators who ask later or watch: the last
//! ones, those that failed or were slow, and who follows along. All of it is bounded and in
//! RAM; nothing here is written down, that is the access log's.
//!
//! A request of a worker touches that worker's part only. Operators look into all of them.

mod exchange;
mod finished;
mod follow;
mod hot;
mod phases;

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use parking_lot::{Mutex, RwLock};
use weir_config::edge::ClientAddress;
use weir_config_admin::LOG_LAST_MAX;
use weir_config_telemetry::{RequestId, access::filter::Filter};

pub use exchange::{Ends, Exchange, Exchanges};
pub(crate) use finished::cut;
pub use finished::{Finished, Said, millis};
pub use follow::{Follower, Subscription, TooMany, line};
pub use hot::Asked;
pub use phases::{Marks, Phase, phases};

use hot::Hot;

/// Of all workers together; with the longest texts some 1.5 KiB each.
const RECENT: usize = LOG_LAST_MAX;
/// Failed and slow ones, which the others do not push out.
const KEPT: usize = 512;
/// A head that took as long is slow, in seconds.
const SLOW: f64 = 0.5;
/// Each of the texts of a request that is remembered is cut to that.
const TEXT_MAX: usize = 512;

/// As they are numbered; what is told least by itself first.
const ADDRESSES: [ClientAddress; 3] =
    [ClientAddress::Truncated, ClientAddress::Full, ClientAddress::None];

/// One for a node.
#[derive(Debug)]
pub struct Journal {
    shards: Box<[Shard]>,
    /// Bounds of a shard's rings.
    recent: usize,
    kept: usize,
    /// How much of clients' addresses is told.
    address: AtomicU8,
    /// What upstreams were asked.
    pub exchanges: Arc<Exchanges>,
    /// Mixed into ids, so that two processes do not give the same.
    salt: u64,
    followers: RwLock<Vec<Arc<Follower>>>,
    /// So many; a request that nobody watches looks at this alone.
    watched: AtomicUsize,
}

/// On a cache line of its own: neighbours belong to other workers.
#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    next: AtomicU64,
    rings: Mutex<Rings>,
}

#[derive(Debug)]
struct Rings {
    recent: VecDeque<Finished>,
    kept: VecDeque<Finished>,
    hot: Hot,
}

impl Journal {
    /// For so many workers.
    pub fn new(workers: usize) -> Self {
        let workers = workers.max(1);
        let (recent, kept) = (RECENT.div_ceil(workers), KEPT.div_ceil(workers));
        let shard = |_| Shard {
            next: AtomicU64::new(0),
            rings: Mutex::new(Rings {
                recent: VecDeque::with_capacity(recent),
                kept: VecDeque::with_capacity(kept),
                hot: Hot::default(),
            }),
        };
        Self {
            recent,
            kept,
            exchanges: Arc::default(),
            address: AtomicU8::default(),
            shards: (0..workers).map(shard).collect(),
            salt: RandomState::new().hash_one(workers),
            followers: RwLock::default(),
            watched: AtomicUsize::new(0),
        }
    }

    /// The same, telling so much of clients' addresses.
    pub fn telling(self, address: ClientAddress) -> Self {
        self.tell_addresses(address);
        self
    }

    /// From now on so much of clients' addresses is told.
    pub fn tell_addresses(&self, address: ClientAddress) {
        let number = ADDRESSES.iter().position(|known| *known == address).unwrap_or_default();
        self.address.store(u8::try_from(number).unwrap_or_default(), Relaxed);
    }

    /// How much of clients' addresses is told.
    pub fn address(&self) -> ClientAddress {
        ADDRESSES.get(usize::from(self.address.load(Relaxed))).copied().unwrap_or_default()
    }

    /// The id of a request that begins on `worker`.
    pub fn id(&self, worker: usize) -> RequestId {
        let worker = worker % self.shards.len();
        let count = self.shards[worker].next.fetch_add(1, Relaxed);
        RequestId(mixed(self.salt.wrapping_add(count << 8 | worker as u64)))
    }

    /// Takes what is over.
    pub fn take(&self, mut finished: Finished) {
        if self.watched.load(Relaxed) > 0 {
            self.tell(&finished);
        }
        finished.shorten(TEXT_MAX);
        let shard = &self.shards[finished.connection.worker % self.shards.len()];
        let mut rings = shard.rings.lock();
        if finished.service.is_some() {
            let (host, path) = (&finished.host, &finished.path);
            rings.hot.count(finished.ended_millis(), host, path, finished.bytes);
        }
        if finished.is_notable() {
            pushed(&mut rings.kept, finished.clone(), self.kept);
        }
        pushed(&mut rings.recent, finished, self.recent);
    }

    /// The last of those that are over and that the filter takes, oldest first.
    pub fn last(&self, count: usize, filter: &Filter) -> Vec<Finished> {
        let mut found: Vec<Finished> = Vec::new();
        for shard in &self.shards {
            let rings = shard.rings.lock();
            let taken = rings.recent.iter().rev().filter(|one| filter.takes(&one.entry()));
            found.extend(taken.take(count).cloned());
        }
        found.sort_by_key(Finished::ended);
        found.split_off(found.len().saturating_sub(count))
    }

    /// One that is remembered: among the last, or because it failed or was slow.
    pub fn find(&self, is: impl Fn(&Finished) -> bool) -> Option<Finished> {
        self.shards.iter().find_map(|shard| {
            let rings = shard.rings.lock();
            rings.recent.iter().rev().chain(rings.kept.iter().rev()).find(|one| is(one)).cloned()
        })
    }

    /// What is asked for most, and over how many milliseconds it was counted.
    pub fn hottest(&self, now_millis: u64, most: usize) -> (Vec<Asked>, u64) {
        let mut all = Vec::new();
        self.shards.iter().for_each(|one| one.rings.lock().hot.told(now_millis, &mut all));
        (hot::merged(all, most), hot::over_millis(now_millis))
    }

    /// Those that took longest to their head, of what is remembered and ended since then.
    pub fn slowest(&self, since_millis: u64, most: usize) -> Vec<Finished> {
        let mut found: Vec<Finished> = Vec::new();
        for shard in &self.shards {
            let rings = shard.rings.lock();
            let all = rings.recent.iter().chain(&rings.kept);
            let mut all: Vec<_> = all.filter(|one| one.ended_millis() >= since_millis).collect();
            all.sort_by(|a, b| b.ttfb.total_cmp(&a.ttfb).then(a.id.0.cmp(&b.id.0)));
            all.dedup_by_key(|one| one.id);
            found.extend(all.into_iter().take(most).cloned());
        }
        found.sort_by(|a, b| b.ttfb.total_cmp(&a.ttfb));
        found.truncate(most);
        found
    }

    /// Follows along from now on, until the subscription is dropped.
    pub fn follow(self: &Arc<Self>, filter: Filter) -> Result<Subscription, TooMany> {
        let mut followers = self.followers.write();
        if followers.len() >= follow::FOLLOWERS_MAX {
            return Err(TooMany);
        }
        let follower = Arc::new(Follower::new(filter));
        followers.push(Arc::clone(&follower));
        self.watched.store(followers.len(), Relaxed);
        Ok(Subscription::new(Arc::clone(self), follower))
    }

    fn leave(&self, follower: &Arc<Follower>) {
        let mut followers = self.followers.write();
        followers.retain(|one| !Arc::ptr_eq(one, follower));
        self.watched.store(followers.len(), Relaxed);
    }

    #[cold]
    fn tell(&self, finished: &Finished) {
        let entry = finished.entry();
        let mut shown = None;
        for follower in self.followers.read().iter().filter(|one| one.filter.takes(&entry)) {
            follower.push(shown.get_or_insert_with(|| line(&entry)));
        }
    }
}

/// The oldest goes where there are `most`.
fn pushed(ring: &mut VecDeque<Finished>, finished: Finished, most: usize) {
    if ring.len() >= most {
        ring.pop_front();
    }
    ring.push_back(finished);
}

/// SplitMix64's last step: a permutation, so that different numbers stay different.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests;
