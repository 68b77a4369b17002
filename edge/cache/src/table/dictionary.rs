//! Words that many records share, kept once and counted. A record names a word by number.

use std::{
    hash::Hasher,
    sync::atomic::{AtomicU32, AtomicUsize, Ordering},
};

use hashbrown::HashTable;
use parking_lot::RwLock;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// So that those who pack on different cores seldom meet.
const SHARDS: usize = 16;
/// What the allocator takes for itself with each word, and its place in the table.
const WORD_OVERHEAD: usize = 32;

/// Words with something to each, at most as many and as large together as given. A word that
/// does not fit is not taken; its record spells it out.
#[derive(Debug)]
pub(super) struct Dictionary<T> {
    shards: [RwLock<Words<T>>; SHARDS],
    words_max: usize,
    bytes_max: usize,
    words: AtomicUsize,
    bytes: AtomicUsize,
}

#[derive(Debug)]
struct Words<T> {
    numbers: HashTable<u32>,
    words: Vec<Option<Word<T>>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Word<T> {
    bytes: Box<[u8]>,
    extra: T,
    users: AtomicU32,
}

impl<T> Dictionary<T> {
    pub(super) fn new(words_max: usize, bytes_max: usize) -> Self {
        let words = |_| {
            RwLock::new(Words { numbers: HashTable::new(), words: Vec::new(), free: Vec::new() })
        };
        Self {
            shards: std::array::from_fn(words),
            // A number has 28 bits within its shard.
            words_max: words_max.min(1 << 27),
            bytes_max,
            words: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        }
    }

    /// The number of a word that is there, with one more user.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<u32> {
        let hash = xxh3_64(bytes);
        let shard = hash as usize % SHARDS;
        let words = self.shards[shard].read();
        let place = words.place(hash, bytes)?;
        words.word(place).users.fetch_add(1, Ordering::Relaxed);
        Some(number(shard, place))
    }

    /// As [`Dictionary::find`], and takes the word in where it is new and there is room.
    pub(super) fn find_or_add(&self, bytes: &[u8], extra: impl FnOnce() -> T) -> Option<u32> {
        if let Some(found) = self.find(bytes) {
            return Some(found);
        }
        let cost = cost::<T>(bytes);
        let room = self.words.load(Ordering::Relaxed) < self.words_max
            && self.bytes.load(Ordering::Relaxed) + cost <= self.bytes_max;
        room.then_some(())?;
        let hash = xxh3_64(bytes);
        let shard = hash as usize % SHARDS;
        let mut words = self.shards[shard].write();
        if let Some(place) = words.place(hash, bytes) {
            words.word(place).users.fetch_add(1, Ordering::Relaxed);
            return Some(number(shard, place));
        }
        self.words.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(cost, Ordering::Relaxed);
        let word = Word { bytes: bytes.into(), extra: extra(), users: AtomicU32::new(1) };
        Some(number(shard, words.add(hash, word)))
    }

    /// One user less; the last one takes the word along.
    pub(super) fn release(&self, number: u32) {
        let (shard, place) = split(number);
        let words = self.shards[shard].read();
        let last = words.word(place).users.fetch_sub(1, Ordering::Release) == 1;
        drop(words);
        if !last {
            return;
        }
        let mut words = self.shards[shard].write();
        // Somebody may have found it meanwhile, or another last user have been here before.
        let unused = |word: &Word<T>| word.users.load(Ordering::Acquire) == 0;
        if words.words[place as usize].as_ref().is_some_and(unused) {
            let word = words.remove(place);
            self.words.fetch_sub(1, Ordering::Relaxed);
            self.bytes.fetch_sub(cost::<T>(&word.bytes), Ordering::Relaxed);
        }
    }

    /// Reads a word that has users.
    pub(super) fn with<R>(&self, number: u32, read: impl FnOnce(&[u8], &T) -> R) -> R {
        let (shard, place) = split(number);
        let words = self.shards[shard].read();
        let word = words.word(place);
        read(&word.bytes, &word.extra)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.words.load(Ordering::Relaxed)
    }

    /// What all of it takes, nearly.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl<T> Words<T> {
    fn place(&self, hash: u64, bytes: &[u8]) -> Option<u32> {
        self.numbers.find(hash, |place| *self.word(*place).bytes == *bytes).copied()
    }

    fn word(&self, place: u32) -> &Word<T> {
        self.words[place as usize].as_ref().expect("a word with users stays")
    }

    fn add(&mut self, hash: u64, word: Word<T>) -> u32 {
        let place = self.free.pop().unwrap_or_else(|| {
            if self.words.len() == self.words.capacity() {
                self.words.reserve_exact(self.words.len() / 8 + 16);
            }
            self.words.push(None);
            u32::try_from(self.words.len() - 1).expect("fewer words than numbers")
        });
        self.words[place as usize] = Some(word);
        let words = &self.words;
        self.numbers.insert_unique(hash, place, |place| {
            xxh3_64(&words[*place as usize].as_ref().expect("numbers name words").bytes)
        });
        place
    }

    fn remove(&mut self, place: u32) -> Word<T> {
        let word = self.words[place as usize].take().expect("the caller saw it");
        let entry = self.numbers.find_entry(xxh3_64(&word.bytes), |other| *other == place);
        entry.expect("every word has its number").remove();
        self.free.push(place);
        word
    }
}

fn cost<T>(bytes: &[u8]) -> usize {
    bytes.len() + size_of::<Option<Word<T>>>() + WORD_OVERHEAD
}

fn number(shard: usize, place: u32) -> u32 {
    // The dictionary's bound leaves room for the shard.
    place * SHARDS as u32 + shard as u32
}

fn split(number: u32) -> (usize, u32) {
    (number as usize % SHARDS, number / SHARDS as u32)
}

/// Which words came before, approximately and in bounded memory: a word that comes once only
/// is not worth an entry.
#[derive(Debug)]
pub(super) struct Before(Box<[AtomicU32]>);

impl Before {
    pub(super) fn new(places: usize) -> Self {
        Self((0..places.next_power_of_two()).map(|_| AtomicU32::new(0)).collect())
    }

    /// Whether the parts came before, and remembers them.
    pub(super) fn came(&self, parts: &[&[u8]]) -> bool {
        let mut hasher = Xxh3::new();
        for part in parts {
            hasher.write(part);
            hasher.write_u8(0xff);
        }
        let hash = hasher.finish();
        // 0 is a place where nothing came.
        let print = (hash >> 32) as u32 | 1;
        let place = &self.0[hash as usize & (self.0.len() - 1)];
        place.load(Ordering::Relaxed) == print || place.swap(print, Ordering::Relaxed) == print
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_there_while_it_has_users() {
        let dictionary = Dictionary::new(10, 10_000);
        let first = dictionary.find_or_add(b"a", || 7).unwrap();
        assert_eq!(dictionary.find_or_add(b"a", || 8), Some(first));
        assert_eq!(dictionary.find(b"a"), Some(first));
        assert_eq!(dictionary.with(first, |word, extra| (word.to_vec(), *extra)), (vec![b'a'], 7));
        assert_eq!(dictionary.find(b"b"), None);
        dictionary.release(first);
        dictionary.release(first);
        assert_eq!(dictionary.len(), 1);
        dictionary.release(first);
        assert_eq!((dictionary.len(), dictionary.bytes()), (0, 0));
        assert_eq!(dictionary.find(b"a"), None);
    }

    #[test]
    fn bounds_hold() {
        let dictionary = Dictionary::new(10, 1 << 20);
        let taken = |n: &u32| dictionary.find_or_add(&n.to_le_bytes(), || ()).is_some();
        assert_eq!((0..100).filter(taken).count(), 10);
        let dictionary = Dictionary::new(1000, 1000);
        let taken = |n: &u32| dictionary.find_or_add(&n.to_le_bytes(), || ()).is_some();
        assert!((0..100).filter(taken).count() < 1000 / WORD_OVERHEAD);
        assert!(dictionary.bytes() <= 1000);
    }

    #[test]
    fn users_on_many_threads_leave_nothing() {
        let dictionary = Dictionary::new(100, 1 << 20);
        std::thread::scope(|scope| {
            for thread in 0..4_u32 {
                let dictionary = &dictionary;
                scope.spawn(move || {
                    for round in 0..20_000_u32 {
                        let word = ((round * 7 + thread) % 5).to_le_bytes();
                        let number = dictionary.find_or_add(&word, || ()).unwrap();
                        dictionary.with(number, |found, ()| assert_eq!(found, word));
                        dictionary.release(number);
                    }
                });
            }
        });
        assert_eq!((dictionary.len(), dictionary.bytes()), (0, 0));
    }

    #[test]
    fn the_second_time_it_came_before() {
        let before = Before::new(1000);
        assert!(!before.came(&[b"a", b"b"]));
        assert!(before.came(&[b"a", b"b"]));
        assert!(!before.came(&[b"ab"]));
        assert_eq!(before.bytes(), 4096);
    }
}
