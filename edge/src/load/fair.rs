//! What each client has under way, so that one that asks for much does not have it all while
//! there is not enough. While there is, nobody is held to anything.

use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use weir_config_units::Prefix;

use super::Load;

/// Locks: workers that serve different clients seldom meet.
const SHARDS: usize = 64;
/// What a client may have in any case: a browser opens six connections, a player asks for
/// picture, sound and what comes next.
const ALWAYS: usize = 16;
/// Of the others' mean.
const TIMES: usize = 2;

/// Requests under way, by client. As large as what is under way.
#[derive(Debug)]
pub struct Fair {
    shards: [Mutex<HashMap<Prefix, usize>>; SHARDS],
    requests: AtomicUsize,
    clients: AtomicUsize,
}

impl Default for Fair {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            requests: AtomicUsize::new(0),
            clients: AtomicUsize::new(0),
        }
    }
}

/// A request's place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    load: Arc<Load>,
    client: Prefix,
    /// What its client had under way with it.
    held: usize,
}

impl Fair {
    pub(super) fn enter(load: &Arc<Load>, client: Prefix) -> Place {
        let fair = &load.fair;
        let held = {
            let mut shard = fair.shard(&client).lock();
            let held = shard.entry(client).or_insert(0);
            *held += 1;
            *held
        };
        fair.requests.fetch_add(1, Relaxed);
        if held == 1 {
            fair.clients.fetch_add(1, Relaxed);
        }
        Place { load: Arc::clone(load), client, held }
    }

    fn shard(&self, client: &Prefix) -> &Mutex<HashMap<Prefix, usize>> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(client);
        &self.shards[hash as usize % SHARDS]
    }

    pub(super) fn clients(&self) -> usize {
        self.clients.load(Relaxed)
    }
}

impl Place {
    /// Whether its client had more under way than its share when it came.
    pub(super) fn is_beyond_share(&self) -> bool {
        let fair = &self.load.fair;
        self.held > share(fair.requests.load(Relaxed), fair.clients.load(Relaxed))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let fair = &self.load.fair;
        let mut shard = fair.shard(&self.client).lock();
        let Some(held) = shard.get_mut(&self.client) else { return };
        *held -= 1;
        if *held == 0 {
            shard.remove(&self.client);
            // Tables do not shrink by themselves, and a crowd comes once.
            if shard.capacity() > 64 && shard.len() * 8 < shard.capacity() {
                shard.shrink_to_fit();
            }
            fair.clients.fetch_sub(1, Relaxed);
        }
        fair.requests.fetch_sub(1, Relaxed);
    }
}

/// What one of `clients` may have under way where there are so many requests.
pub fn share(requests: usize, clients: usize) -> usize {
    (TIMES * requests / clients.max(1)).max(ALWAYS)
}
