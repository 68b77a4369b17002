//! Who is let onto the disks: what was asked for twice.
//!
//! Most of what is asked for once is never asked for again. Written to disk it wears the
//! device and pushes out what is. So a filled chunk stays in RAM only, until it is hit there
//! or filled again while it is still remembered. What is remembered are two Bloom filters of
//! which the older one is forgotten when the newer one is full: between one and two times
//! [`Doorkeeper::new`]'s keys, with a false "seen before" in about one of a hundred.

use parking_lot::Mutex;

/// With [`HASHES`], 1.2 % of false positives in a filter that is full.
const BITS_PER_KEY: usize = 10;
const HASHES: u64 = 4;
/// Below this a burst would be forgotten before it is over. 160 KiB of RAM.
const KEYS_MIN: usize = 64 << 10;
/// 20 MiB of RAM.
const KEYS_MAX: usize = 8 << 20;

#[derive(Debug)]
struct Filters {
    newer: Box<[u64]>,
    older: Box<[u64]>,
    /// Keys in the newer one.
    keys: usize,
}

/// Remembers keys that came by lately, by their hashes.
#[derive(Debug)]
pub(crate) struct Doorkeeper {
    filters: Mutex<Filters>,
    keys_max: usize,
}

impl Doorkeeper {
    /// Remembers at least the last `keys` different keys, within 65,536 and 8,388,608: as
    /// many chunks as the disks hold are enough, since what comes again later than the disks
    /// turn over would not have been found there either. 2.5 bytes each.
    pub(crate) fn new(keys: u64) -> Self {
        let keys_max = usize::try_from(keys).unwrap_or(KEYS_MAX).clamp(KEYS_MIN, KEYS_MAX);
        let filter = || vec![0; (keys_max * BITS_PER_KEY).div_ceil(64)].into_boxed_slice();
        let filters = Filters { newer: filter(), older: filter(), keys: 0 };
        Self { filters: Mutex::new(filters), keys_max }
    }

    /// Notes a key. Whether it came by before.
    pub(crate) fn seen(&self, hash: u64) -> bool {
        let mut filters = self.filters.lock();
        let bits = filters.newer.len() as u64 * 64;
        // Kirsch and Mitzenmacher 2006: two hashes make any number of them.
        let step = hash.rotate_left(32) | 1;
        let places = (0..HASHES).map(|at| {
            let bit = hash.wrapping_add(at.wrapping_mul(step)) % bits;
            ((bit / 64) as usize, 1_u64 << (bit % 64))
        });
        let all = |filter: &[u64]| places.clone().all(|(word, bit)| filter[word] & bit != 0);
        if all(&filters.newer) {
            return true;
        }
        let before = all(&filters.older);
        for (word, bit) in places {
            filters.newer[word] |= bit;
        }
        filters.keys += 1;
        if filters.keys >= self.keys_max {
            let Filters { newer, older, keys } = &mut *filters;
            std::mem::swap(newer, older);
            newer.fill(0);
            *keys = 0;
        }
        before
    }
}

#[cfg(test)]
mod tests;
