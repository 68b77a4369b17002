//! How many connections are open, by who has them. An entry lives as long as one of them.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, RandomState},
};

use parking_lot::Mutex;
use weir_config_units::Prefix;

/// Workers meet in one of these seldom.
const SHARDS: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Open {
    shards: [Mutex<HashMap<Prefix, usize>>; SHARDS],
    hasher: RandomState,
}

impl Open {
    fn shard(&self, who: Prefix) -> &Mutex<HashMap<Prefix, usize>> {
        &self.shards[self.hasher.hash_one(who) as usize % SHARDS]
    }

    /// One more, unless there are as many as may be.
    pub(super) fn enter(&self, who: Prefix, most: usize) -> bool {
        match self.shard(who).lock().entry(who) {
            Entry::Occupied(mut open) if *open.get() < most => *open.get_mut() += 1,
            Entry::Vacant(none) if most > 0 => *none.insert(0) += 1,
            _ => return false,
        }
        true
    }

    /// One less.
    pub(super) fn leave(&self, who: Prefix) {
        let mut shard = self.shard(who).lock();
        if let Entry::Occupied(mut open) = shard.entry(who) {
            *open.get_mut() -= 1;
            if *open.get() == 0 {
                open.remove();
                // What an attack has grown is given back.
                let used = shard.len();
                if used * 4 < shard.capacity() {
                    shard.shrink_to(used * 2);
                }
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}
