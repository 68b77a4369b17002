//! Longest match by sorted ranges and binary search: what the table is measured against, and
//! another way to the same answers.

use std::net::IpAddr;

use weir_steering_rank::Prefix;

/// Where an answer begins, and which prefix it is.
#[derive(Debug)]
pub(crate) struct Ranges {
    four: Vec<(u32, u32)>,
    /// The upper half of the address is enough for what is announced.
    six: Vec<(u64, u32)>,
    prefixes: Vec<Prefix>,
}

const NONE: u32 = u32::MAX;

impl Ranges {
    /// Of prefixes in ascending order; of IPv6 none longer than 64 bits.
    pub(crate) fn of(prefixes: &[Prefix]) -> Self {
        let split = prefixes.partition_point(|prefix| prefix.is_ipv4());
        let four = sweep(&prefixes[..split], 0, 32);
        let six = sweep(&prefixes[split..], split, 64);
        let narrow = |start: u64| u32::try_from(start).expect("32 bits of IPv4");
        Self {
            four: four.into_iter().map(|(start, at)| (narrow(start), at)).collect(),
            six,
            prefixes: prefixes.to_vec(),
        }
    }

    pub(crate) fn find(&self, address: IpAddr) -> Option<Prefix> {
        let at = match address.to_canonical() {
            IpAddr::V4(four) => before(&self.four, four.to_bits()),
            IpAddr::V6(six) => before(&self.six, (six.to_bits() >> 64) as u64),
        };
        at.filter(|at| *at != NONE).map(|at| self.prefixes[at as usize])
    }

    /// Without the prefixes, which the answers would be without.
    pub(crate) fn bytes(&self) -> usize {
        self.four.len() * size_of::<(u32, u32)>() + self.six.len() * size_of::<(u64, u32)>()
    }
}

fn before<T: Copy + Ord>(ranges: &[(T, u32)], address: T) -> Option<u32> {
    let at = ranges.partition_point(|(start, _)| *start <= address);
    at.checked_sub(1).map(|at| ranges[at].1)
}

/// Ranges in which one prefix is the longest.
fn sweep(prefixes: &[Prefix], from: usize, bits: u32) -> Vec<(u64, u32)> {
    let start = |prefix: &Prefix| match prefix.network() {
        IpAddr::V4(four) => u64::from(four.to_bits()),
        IpAddr::V6(six) => (six.to_bits() >> 64) as u64,
    };
    let mut ranges: Vec<(u64, u32)> = Vec::new();
    let mut open: Vec<(u128, u32)> = Vec::new();
    let begin = |ranges: &mut Vec<(u64, u32)>, at: u64, which: u32| {
        if ranges.last().is_some_and(|(last, _)| *last == at) {
            ranges.pop();
        }
        if ranges.last().is_none_or(|(_, last)| *last != which) {
            ranges.push((at, which));
        }
    };
    for (prefix, at) in prefixes.iter().zip(from..) {
        let first = start(prefix);
        while open.last().is_some_and(|(end, _)| *end <= u128::from(first)) {
            close(&mut ranges, &mut open, bits, begin);
        }
        let end = u128::from(first) + (1_u128 << (bits - u32::from(prefix.length())));
        let which = u32::try_from(at).expect("fewer than 2^32 prefixes");
        begin(&mut ranges, first, which);
        open.push((end, which));
    }
    while !open.is_empty() {
        close(&mut ranges, &mut open, bits, begin);
    }
    ranges
}

fn close(
    ranges: &mut Vec<(u64, u32)>,
    open: &mut Vec<(u128, u32)>,
    bits: u32,
    begin: impl Fn(&mut Vec<(u64, u32)>, u64, u32),
) {
    let Some((end, _)) = open.pop() else { return };
    if end < 1_u128 << bits {
        let around = open.last().map_or(NONE, |(_, which)| *which);
        begin(ranges, u64::try_from(end).expect("less than 2^64"), around);
    }
}
