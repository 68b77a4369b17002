//! The search tree of a database, walked by ourselves: the reader's own iterator goes round for
//! ever in one whose nodes lead back to each other, and takes all memory.
//!
//! Every node is looked at once, so that a walk ends after as many steps as there are nodes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes between the tree and the data.
const SEPARATOR: usize = 16;

/// Where data is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// The first address.
    pub(crate) address: IpAddr,
    /// Which data: equal for networks that share a record.
    pub(crate) data: usize,
}

/// A tree in a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tree<'a> {
    bytes: &'a [u8],
    nodes: usize,
    record_bits: usize,
    address_bits: u8,
}

impl<'a> Tree<'a> {
    /// None where the file is too short for it, or where it is of no known form.
    pub(crate) fn of(file: &'a [u8], nodes: u32, record_bits: u16, version: u16) -> Option<Self> {
        let address_bits = match version {
            4 => 32,
            6 => 128,
            _ => return None,
        };
        let record_bits = usize::from(record_bits);
        if nodes == 0 || ![24, 28, 32].contains(&record_bits) {
            return None;
        }
        let nodes = nodes as usize;
        let length = nodes.checked_mul(record_bits / 4)?;
        file.get(..length.checked_add(SEPARATOR)?)?;
        Some(Self { bytes: &file[..length], nodes, record_bits, address_bits })
    }

    /// Hands every network that has data to `found`, until that has enough.
    pub(crate) fn walk<E>(self, mut found: impl FnMut(Leaf) -> Result<(), E>) -> Result<(), E> {
        let mut seen = vec![false; self.nodes];
        let mut stack = vec![(0_usize, 0_u128, 0_u8)];
        while let Some((record, address, depth)) = stack.pop() {
            if record > self.nodes {
                found(Leaf { address: self.address(address), data: record - self.nodes })?;
                continue;
            }
            // An equal one says that nothing is known there.
            let done = record == self.nodes || depth >= self.address_bits;
            if done || std::mem::replace(&mut seen[record], true) {
                continue;
            }
            let right = address | (1 << (127 - depth));
            stack.push((self.record(record, true), right, depth + 1));
            stack.push((self.record(record, false), address, depth + 1));
        }
        Ok(())
    }

    fn address(self, bits: u128) -> IpAddr {
        if self.address_bits == 32 {
            let bits = u32::try_from(bits >> 96).expect("the upper 32 bits");
            IpAddr::V4(Ipv4Addr::from_bits(bits))
        } else {
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
    }

    /// One of a node's two records.
    fn record(self, node: usize, right: bool) -> usize {
        let wide = self.record_bits / 4;
        let bytes = &self.bytes[node * wide..][..wide];
        let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        match (self.record_bits, right) {
            // The middle byte holds four more bits of each.
            (28, false) => usize::from(bytes[3] >> 4) << 24 | number(&bytes[..3]),
            (28, true) => usize::from(bytes[3] & 15) << 24 | number(&bytes[4..]),
            (_, false) => number(&bytes[..wide / 2]),
            (_, true) => number(&bytes[wide / 2..]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_that_leads_back_to_itself_ends() {
        // Node 0 leads to node 1 and to data; node 1 back to both.
        let file = [[0, 0, 1, 0, 0, 20], [0, 0, 0, 0, 0, 1]].concat();
        let file = [file, vec![0; SEPARATOR]].concat();
        let tree = Tree::of(&file, 2, 24, 4).unwrap();
        let mut found = Vec::new();
        let walked: Result<(), ()> = tree.walk(|leaf| {
            found.push(leaf);
            Ok(())
        });
        walked.unwrap();
        assert_eq!(found, [Leaf { address: "128.0.0.0".parse().unwrap(), data: 18 }]);
        assert!(Tree::of(&file, 3, 24, 4).is_none());
        assert!(Tree::of(&file, u32::MAX, 32, 6).is_none());
        assert!(Tree::of(&file, 2, 25, 4).is_none());
        assert!(Tree::of(&file, 2, 24, 5).is_none());
    }

    #[test]
    fn records_of_28_bits() {
        let file = [vec![1, 2, 3, 0x45, 6, 7, 8], vec![0; SEPARATOR]].concat();
        let tree = Tree::of(&file, 1, 28, 6).unwrap();
        assert_eq!(tree.record(0, false), 0x401_0203);
        assert_eq!(tree.record(0, true), 0x506_0708);
    }
}
