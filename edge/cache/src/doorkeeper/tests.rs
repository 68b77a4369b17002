//! What the doorkeeper remembers, and what second hits are worth on a trace.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use xxhash_rust::xxh3::xxh3_64;

use super::*;
use crate::{
    chunk::{Chunk, ChunkKey, ObjectId},
    disks::point,
    ram::Ram,
};

fn hash(number: u64) -> u64 {
    xxh3_64(&number.to_le_bytes())
}

#[test]
fn keys_are_remembered_for_one_to_two_times_the_bound() {
    let known = Doorkeeper::new(0);
    let keys = KEYS_MIN as u64;
    let count = |range: std::ops::Range<u64>| range.filter(|key| known.seen(hash(*key))).count();
    assert!(count(0..keys) < KEYS_MIN / 50);
    assert_eq!(count(0..keys), KEYS_MIN);
    // Asking again kept them; two bounds of others forget them.
    count(keys..3 * keys);
    let still = count(0..1000);
    assert!(still < 50, "{still}");
}

/// A disk as stores evict: first in, first out.
#[derive(Default)]
struct Disk {
    chunks: HashSet<ChunkKey>,
    order: VecDeque<ChunkKey>,
    written: u64,
}

impl Disk {
    fn write(&mut self, key: ChunkKey, room: usize) {
        if self.chunks.insert(key) {
            self.order.push_back(key);
            self.written += 1;
        }
        if self.order.len() > room
            && let Some(oldest) = self.order.pop_front()
        {
            self.chunks.remove(&oldest);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Always,
    /// By fills alone.
    SecondFill,
    /// As the cache does it: by fills, and by hits in RAM.
    SecondHit,
}

/// Hit ratio over RAM and disk, and chunks written to disk for each request.
fn play(rule: Rule, alpha: f64) -> (f64, f64) {
    const OBJECTS: usize = 250_000;
    const REQUESTS: usize = 1_000_000;
    /// A tenth of all, and a tenth of that.
    const DISK: usize = 25_000;
    const RAM: u64 = 2500 * (64 + 320);
    // The trace: popularity by Zipf, and every tenth request for what nobody asks for twice.
    let mut sums = Vec::with_capacity(OBJECTS);
    let mut sum = 0.0;
    for rank in 1..=OBJECTS {
        sum += 1.0 / (rank as f64).powf(alpha);
        sums.push(sum);
    }
    let mut rng = SmallRng::seed_from_u64(7);
    let (ram, known) = (Ram::new(RAM), Doorkeeper::new(0));
    let mut disk = Disk::default();
    let chunk = Chunk::seal(Bytes::from(vec![0; 64]));
    let mut hits = 0;
    for request in 0..REQUESTS {
        let object = if rng.random_bool(0.1) {
            OBJECTS + request
        } else {
            sums.partition_point(|at| *at < rng.random_range(0.0..sum))
        };
        let key = ChunkKey { object: ObjectId(object as u128), generation: 1, index: 0 };
        if let Some((_, first)) = ram.get_again(&key) {
            hits += 1;
            if first && rule == Rule::SecondHit {
                disk.write(key, DISK);
            }
            continue;
        }
        if disk.chunks.contains(&key) {
            hits += 1;
            ram.insert(key, chunk.clone(), true);
            continue;
        }
        let admitted = rule == Rule::Always || known.seen(point(&key));
        ram.insert(key, chunk.clone(), admitted);
        if admitted {
            disk.write(key, DISK);
        }
    }
    (f64::from(hits) / REQUESTS as f64, disk.written as f64 / REQUESTS as f64)
}

/// The default, and why. Disk a tenth of the objects, RAM a tenth of that, every tenth request
/// for something new: hits and writes for each request were 0.394 and 0.606 with everything
/// written and 0.442 and 0.275 with second hits at a skew of 0.7; 0.785 and 0.215, and 0.848
/// and 0.024, at 1.0.
#[test]
fn second_hits_write_less_and_find_more() {
    for alpha in [0.7, 1.0] {
        let [always, fills, hits] =
            [Rule::Always, Rule::SecondFill, Rule::SecondHit].map(|rule| play(rule, alpha));
        println!(
            "zipf {alpha}: hits {:.3}, writes {:.3} (always); {:.3}, {:.3} (second fill); \
             {:.3}, {:.3} (second hit)",
            always.0, always.1, fills.0, fills.1, hits.0, hits.1
        );
        assert!(hits.0 > always.0 && hits.0 >= fills.0 - 0.005, "{alpha}");
        assert!(hits.1 < 0.5 * always.1, "{alpha}");
    }
}
