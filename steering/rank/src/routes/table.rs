//! Longest match over the prefixes of one family: a trie of bytes, each node an array of 256
//! answers kept as its runs.
//!
//! A node says in 256 bits where a run of equal answers begins, and counts bits to find the
//! answer: 40 bytes and 4 for each run. Nearly all announced IPv4 prefixes end at 24 bits or
//! before, so three nodes answer (decision 0021).

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

#[derive(Debug, Clone, Copy)]
struct Node {
    /// Where a run begins.
    begins: [u64; 4],
    /// The slot of the first run.
    first: u32,
    /// Runs that begin in the words before the second, third and fourth.
    before: [u8; 3],
}

/// The prefixes of one family.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// The root is the last one.
    nodes: Vec<Node>,
    slots: Vec<u32>,
}

impl Table {
    /// Of prefixes of one family in ascending order, none twice and none of length 0, each with
    /// its target, which is less than [`TARGETS_MAX`].
    pub(super) fn of(prefixes: &[(Prefix, u32)]) -> Self {
        let mut table = Self::default();
        if !prefixes.is_empty() {
            table.add(0, prefixes, NONE);
            table.nodes.shrink_to_fit();
            table.slots.shrink_to_fit();
        }
        table
    }

    /// The longest prefix that `address` lies in.
    pub(super) fn find(&self, address: &[u8; 16]) -> Option<Leaf> {
        let mut node = self.nodes.last()?;
        for byte in address {
            let slot = self.slots[node.slot(*byte)];
            if slot & NODE == 0 {
                return leaf(slot);
            }
            node = &self.nodes[(slot & !NODE) as usize];
        }
        None
    }

    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>() + self.slots.capacity() * size_of::<u32>()
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
        let first = u32::try_from(self.slots.len()).expect("fewer than 2^31 prefixes");
        let mut begins = [0_u64; 4];
        for (byte, answer) in answers.iter().enumerate() {
            if byte == 0 || *answer != answers[byte - 1] {
                begins[byte / 64] |= 1 << (byte % 64);
                self.slots.push(*answer);
            }
        }
        let ones = |word: usize| begins[word].count_ones() as u8;
        let before = [ones(0), ones(0) + ones(1), ones(0) + ones(1) + ones(2)];
        self.nodes.push(Node { begins, first, before });
        NODE | u32::try_from(self.nodes.len() - 1).expect("fewer than 2^31 prefixes")
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

impl Node {
    fn slot(&self, byte: u8) -> usize {
        let (word, bit) = (usize::from(byte / 64), u32::from(byte % 64));
        let upto = self.begins[word] & (u64::MAX >> (63 - bit));
        let before = if word == 0 { 0 } else { self.before[word - 1] };
        // A run begins at byte 0, so there is always one to take away.
        (self.first + u32::from(before) + upto.count_ones() - 1) as usize
    }
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
