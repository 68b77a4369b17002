//! Longest match over the prefixes of one family: a trie of bytes, each node an array of 256
//! answers kept as its runs.
//!
//! All nodes lie in one array of words. One with few runs lists where they begin, one with many
//! has a bit for each of its 256 places and counts them; the answers of the runs follow. Nearly
//! all announced IPv4 prefixes end at 24 bits or before, so three nodes answer (decision 0024).

use std::ops::Range;

use crate::prefix::Prefix;

/// Set in a slot that names a node.
const NODE: u32 = 1 << 31;
/// Bits of a leaf for what it stands for.
const TARGET_BITS: u32 = 23;
/// Most different targets.
pub(super) const TARGETS_MAX: usize = 1 << TARGET_BITS;
/// No prefix covers it. A leaf has a length of at least 1.
const NONE: u32 = 0;

/// What was found: which target, and how long the prefix is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) length: u8,
    pub(super) target: u32,
}

/// Runs of a node that lists them; its lists take no more room than the bits would.
const FEW: usize = 16;
/// Words of a bit for each place.
const BITS: usize = 8;

/// The prefixes of one family.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// A node is a head, where its runs begin, and their answers. The head of a node with few runs
    /// is their number; that of one with many has 0 there, and above it, in a byte each, the runs
    /// that begin before the second, third and fourth quarter.
    words: Vec<u32>,
    root: Option<u32>,
}

impl Table {
    /// Of prefixes of one family in ascending order, none twice and none of length 0, each with
    /// its target, which is less than [`TARGETS_MAX`].
    pub(super) fn of(prefixes: &[(Prefix, u32)]) -> Self {
        let mut table = Self::default();
        if !prefixes.is_empty() {
            table.root = Some(table.add(0, prefixes, NONE));
            table.words.shrink_to_fit();
        }
        table
    }

    /// The longest prefix that `address` lies in.
    pub(super) fn find(&self, address: &[u8; 16]) -> Option<Leaf> {
        let mut slot = self.root?;
        for byte in address {
            slot = self.answer((slot & !NODE) as usize, *byte);
            if slot & NODE == 0 {
                return leaf(slot);
            }
        }
        None
    }

    /// What a node answers.
    fn answer(&self, node: usize, byte: u8) -> u32 {
        let head = self.words[node];
        let few = (head & 0xff) as usize;
        if few > 0 {
            let listed = few.div_ceil(4);
            let begins = &self.words[node + 1..node + 1 + listed];
            let starts = begins.iter().flat_map(|word| word.to_le_bytes()).take(few);
            // The first run begins at 0.
            let run = starts.map(|start| usize::from(start <= byte)).sum::<usize>() - 1;
            return self.words[node + 1 + listed + run];
        }
        let (quarter, bit) = (usize::from(byte / 64), u32::from(byte % 64));
        let at = node + 1 + 2 * quarter;
        let bits = u64::from(self.words[at]) | u64::from(self.words[at + 1]) << 32;
        let upto = (bits & (u64::MAX >> (63 - bit))).count_ones();
        let before = if quarter == 0 { 0 } else { head >> (8 * quarter) & 0xff };
        self.words[node + BITS + (before + upto) as usize]
    }

    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.words.capacity() * size_of::<u32>()
    }

    /// Adds the node at `depth` bytes for prefixes that share all bytes before it, and returns the
    /// slot that names it. Deep as the longest prefix has bytes, 16 at most.
    fn add(&mut self, depth: usize, prefixes: &[(Prefix, u32)], around: u32) -> u32 {
        let mut answers = [around; 256];
        // Ascending order puts what covers before what is covered.
        let (starts, ends) = (depth * 8, depth * 8 + 8);
        for (prefix, target) in prefixes {
            let length = usize::from(prefix.length());
            if length <= ends {
                let first = usize::from(prefix.bytes()[depth]);
                let wide = 1 << (ends - length.max(starts));
                answers[first..first + wide].fill(packed(prefix.length(), *target));
            }
        }
        for (byte, group) in deeper(depth, prefixes) {
            answers[byte] = self.add(depth + 1, &prefixes[group], answers[byte]);
        }
        self.keep(&answers)
    }

    fn keep(&mut self, answers: &[u32; 256]) -> u32 {
        let node = u32::try_from(self.words.len()).ok().filter(|node| node & NODE == 0);
        let node = NODE | node.expect("fewer than 2^31 words: prefixes are bounded");
        let begins = |byte: &u8| {
            let at = usize::from(*byte);
            at == 0 || answers[at] != answers[at - 1]
        };
        let starts: Vec<u8> = (0..=255).filter(begins).collect();
        if starts.len() <= FEW {
            self.words.push(starts.len() as u32);
            self.words.extend(starts.chunks(4).map(|four| {
                let mut bytes = [0; 4];
                bytes[..four.len()].copy_from_slice(four);
                u32::from_le_bytes(bytes)
            }));
        } else {
            let mut bits = [0_u32; BITS];
            for start in &starts {
                bits[usize::from(start / 32)] |= 1 << (start % 32);
            }
            let mut head = 0;
            for quarter in 1..4 {
                let before: u32 = bits[..2 * quarter].iter().map(|word| word.count_ones()).sum();
                head |= before << (8 * quarter);
            }
            self.words.push(head);
            self.words.extend(bits);
        }
        self.words.extend(starts.iter().map(|start| answers[usize::from(*start)]));
        node
    }
}

/// The prefixes that go on behind the byte at `depth`, by that byte.
fn deeper(depth: usize, prefixes: &[(Prefix, u32)]) -> Vec<(usize, Range<usize>)> {
    let mut groups: Vec<(usize, Range<usize>)> = Vec::new();
    let ends = depth * 8 + 8;
    for (at, (prefix, _)) in prefixes.iter().enumerate() {
        if usize::from(prefix.length()) <= ends {
            continue;
        }
        let byte = usize::from(prefix.bytes()[depth]);
        match groups.last_mut() {
            Some((last, group)) if *last == byte => group.end = at + 1,
            _ => groups.push((byte, at..at + 1)),
        }
    }
    groups
}

fn packed(length: u8, target: u32) -> u32 {
    u32::from(length) << TARGET_BITS | target
}

fn leaf(slot: u32) -> Option<Leaf> {
    let length = (slot >> TARGET_BITS) as u8;
    let target = slot & (TARGETS_MAX as u32 - 1);
    (slot != NONE).then_some(Leaf { length, target })
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;
    use crate::prefix::bytes;

    fn address(six: bool) -> BoxedStrategy<IpAddr> {
        // Few different bits, so that prefixes nest and meet.
        let dense = prop_oneof![Just(0_u8), Just(1), Just(127), Just(128), Just(255), any::<u8>()];
        proptest::collection::vec(dense, 16)
            .prop_map(move |bytes| {
                if six {
                    let bytes: [u8; 16] = bytes.try_into().unwrap();
                    IpAddr::V6(Ipv6Addr::from(bytes))
                } else {
                    IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]))
                }
            })
            .boxed()
    }

    proptest! {
        #[test]
        fn the_longest_prefix_wins(
            six in any::<bool>(),
            (prefixes, asked) in any::<bool>().prop_flat_map(|six| {
                let most = if six { 128_u8 } else { 32 };
                let prefix = (address(six), 1..=most)
                    .prop_map(|(address, length)| Prefix::around(address, length).unwrap());
                (
                    proptest::collection::btree_set(prefix, 0..60),
                    proptest::collection::vec(address(six), 20),
                )
            }),
        ) {
            let _ = six;
            let all: Vec<(Prefix, u32)> = prefixes.into_iter().zip(0..).collect();
            let table = Table::of(&all);
            let networks = all.iter().map(|(prefix, _)| prefix.network());
            for address in asked.iter().copied().chain(networks) {
                let best = all.iter().filter(|(prefix, _)| prefix.contains(address));
                let best = best.max_by_key(|(prefix, _)| prefix.length());
                let expected = best.map(|(prefix, target)| Leaf {
                    length: prefix.length(),
                    target: *target,
                });
                prop_assert_eq!(table.find(&bytes(address)), expected);
            }
        }
    }
}
