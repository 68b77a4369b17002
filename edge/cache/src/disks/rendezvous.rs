//! Which disk a chunk belongs to: weighted rendezvous hashing, a pure function of the chunk,
//! the disks' identities and their sizes.
//!
//! Every disk draws a number for the chunk; the best draw wins. A disk that comes or goes
//! changes nobody else's draw, so only its own share moves, and the order in which disks are
//! configured does not matter. (Weighted draws as exponential clocks: `-ln(u) / weight`, the
//! smallest wins with a probability in proportion to its weight; Schindelhauer and
//! Schomaker, "Weighted Distributed Hash Tables", 2005.)

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

use crate::chunk::ChunkKey;

/// Who a disk is, wherever it is mounted: drawn by chance when it was first used and kept in
/// its own marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DiskId(pub u64);

impl fmt::Display for DiskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl DiskId {
    /// As [`DiskId`] is shown.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| u64::from_str_radix(text, 16).ok()).flatten().map(Self)
    }
}

/// Where a chunk stands in the hash space. The generation is left out: what is filled again
/// goes where it was.
pub(crate) fn point(key: &ChunkKey) -> u64 {
    let mut bytes = [0; 20];
    bytes[..16].copy_from_slice(&key.object.0.to_le_bytes());
    bytes[16..].copy_from_slice(&key.index.to_le_bytes());
    xxh3_64(&bytes)
}

/// What a disk draws for a point; the smallest wins. Infinite for a disk of no weight.
pub(super) fn draw(point: u64, disk: DiskId, weight: u64) -> f64 {
    // In (0, 1): 53 bits are what a double holds, and the half keeps both ends away.
    let even = ((mixed(point ^ mixed(disk.0)) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -even.ln() / weight as f64
}

/// The disks in the order in which they are asked for a point, best first.
pub(super) fn order<T>(
    point: u64,
    disks: impl IntoIterator<Item = T>,
    of: impl Fn(&T) -> (DiskId, u64),
) -> Vec<T> {
    let drawn = |disk: T| {
        let (id, weight) = of(&disk);
        (draw(point, id, weight), id, disk)
    };
    let mut drawn: Vec<_> = disks.into_iter().map(drawn).collect();
    drawn.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    drawn.into_iter().map(|(_, _, disk)| disk).collect()
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): every bit depends on every bit.
fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chunk::ObjectId;

    const CHUNKS: u32 = 20_000;

    fn key(number: u32) -> ChunkKey {
        let object = ObjectId::of(&format!("/vod/{}", number / 8));
        ChunkKey { object, generation: u64::from(number), index: number % 8 }
    }

    fn home(number: u32, disks: &[(u64, u64)]) -> u64 {
        let of = |disk: &(u64, u64)| (DiskId(disk.0), disk.1);
        order(point(&key(number)), disks.iter().copied(), of)[0].0
    }

    #[test]
    fn ids_read_as_they_are_shown() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(DiskId::parse(text), expected.map(DiskId), "{text}");
        };
        check("00000000000000ff", Some(255));
        check(&DiskId(u64::MAX).to_string(), Some(u64::MAX));
        check("ff", None);
        check("+0000000000000ff", None);
        check("00000000000000fg", None);
    }

    /// Written down once: another answer would make every kept chunk of every node a miss.
    #[test]
    fn points_and_draws_never_change() {
        let key = ChunkKey { object: ObjectId(1), generation: 7, index: 2 };
        assert_eq!(point(&key), point(&ChunkKey { generation: 8, ..key }));
        assert_ne!(point(&key), point(&ChunkKey { index: 3, ..key }));
        let check = |point: u64, disk: u64, weight: u64, expected: f64| {
            let drawn = draw(point, DiskId(disk), weight);
            assert!((drawn - expected).abs() < expected * 1e-9, "{drawn:e}");
        };
        assert_eq!(point(&key), POINT);
        check(POINT, 1, 1, DRAWN[0]);
        check(POINT, 2, 1, DRAWN[1]);
        check(POINT, 1, 4, DRAWN[0] / 4.0);
        assert_eq!(draw(POINT, DiskId(1), 0), f64::INFINITY);
    }
    const POINT: u64 = 7_791_907_501_431_118_975;
    const DRAWN: [f64; 2] = [1.250_396_821_981_863_3, 0.430_174_690_888_593_3];

    #[test]
    fn the_order_of_the_configuration_does_not_matter() {
        let (one, other) = ([(1, 5), (2, 5), (3, 9)], [(3, 9), (1, 5), (2, 5)]);
        for number in 0..1000 {
            assert_eq!(home(number, &one), home(number, &other));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        /// Each disk gets its share by weight, and one that goes moves its own chunks only.
        #[test]
        fn shares_follow_weights_and_only_a_share_moves(
            disks in prop::collection::btree_map(any::<u64>(), 1_u64..=8, 2..=8),
            gone in any::<prop::sample::Index>(),
        ) {
            let all: Vec<_> = disks.into_iter().collect();
            let gone = all[gone.index(all.len())].0;
            let left: Vec<_> = all.iter().copied().filter(|disk| disk.0 != gone).collect();
            let mut counts = std::collections::BTreeMap::<u64, u32>::new();
            for number in 0..CHUNKS {
                let before = home(number, &all);
                *counts.entry(before).or_default() += 1;
                let after = home(number, &left);
                // Read backwards it is a disk that was added: it takes its share and no more.
                prop_assert_eq!(after == before, before != gone);
            }
            let sum: u64 = all.iter().map(|disk| disk.1).sum();
            for (id, weight) in &all {
                let share = *weight as f64 / sum as f64;
                let expected = share * f64::from(CHUNKS);
                // Six standard deviations: by chance in less than one of 10^8.
                let slack = 6.0 * (expected * (1.0 - share)).sqrt() + 1.0;
                let count = f64::from(counts.get(id).copied().unwrap_or(0));
                prop_assert!((count - expected).abs() < slack, "{} of {}", count, expected);
            }
        }
    }
}
