//! Tokens whose signature was checked already.
//!
//! One for each core, so that nothing is shared. Sets of four places: the hash picks the set,
//! the whole token is compared, the least recently used place of the set goes. Only tokens with
//! a good signature get in, so nobody without a key can push others out.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    sync::Arc,
};

use crate::claims::Claims;

const WAYS: usize = 4;

/// A bounded memo. Worst-case memory: [`crate::MAX_TOKEN`] and the claims, together at most about
/// 4 KiB, for each place; with our own tokens about 700 bytes.
#[derive(Debug)]
pub struct Memo {
    sets: Box<[[Option<Entry>; WAYS]]>,
    /// Seeded, so that nobody can aim tokens at one set.
    hasher: RandomState,
    generation: u64,
    tick: u64,
}

#[derive(Debug)]
struct Entry {
    hash: u64,
    token: Box<str>,
    claims: Arc<Claims>,
    used: u64,
}

impl Memo {
    /// At least `places` tokens, rounded up to a power of two; at most 2^20.
    pub fn new(places: usize) -> Self {
        let sets = places.clamp(1, 1 << 20).div_ceil(WAYS).next_power_of_two();
        Self {
            sets: (0..sets).map(|_| Default::default()).collect(),
            hasher: RandomState::new(),
            generation: 0,
            tick: 0,
        }
    }

    /// How many tokens it holds.
    pub fn len(&self) -> usize {
        self.sets.iter().flatten().flatten().count()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many it can hold.
    pub fn capacity(&self) -> usize {
        self.sets.len() * WAYS
    }

    pub(crate) fn get(&mut self, generation: u64, token: &str) -> Option<&Arc<Claims>> {
        if generation != self.generation {
            return None;
        }
        self.tick += 1;
        let (hash, set) = self.place(token);
        let same = |entry: &&mut Entry| entry.hash == hash && *entry.token == *token;
        let entry = self.sets[set].iter_mut().flatten().find(same)?;
        entry.used = self.tick;
        Some(&entry.claims)
    }

    pub(crate) fn insert(&mut self, generation: u64, token: &str, claims: Arc<Claims>, now: u64) {
        if generation != self.generation {
            self.sets.iter_mut().for_each(|set| *set = Default::default());
            self.generation = generation;
        }
        let (hash, set) = self.place(token);
        // Empty and expired places first, then the one that was not used for longest.
        let rank = |place: &&mut Option<Entry>| match &**place {
            None => 0,
            Some(entry) if now >= entry.claims.exp => 0,
            Some(entry) => entry.used,
        };
        self.tick += 1;
        let entry = Entry { hash, token: token.into(), claims, used: self.tick };
        if let Some(place) = self.sets[set].iter_mut().min_by_key(rank) {
            *place = Some(entry);
        }
    }

    fn place(&self, token: &str) -> (u64, usize) {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(token.as_bytes());
        let hash = hasher.finish();
        let mask = self.sets.len() as u64 - 1;
        (hash, usize::try_from(hash & mask).unwrap_or(0))
    }
}
