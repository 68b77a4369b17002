//! Addresses that nobody announces to the world: those that mean something else in every network,
//! and those that are reserved (RFC 6890 and what follows it).

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

use crate::prefix::Prefix;

/// Shortest prefixes that anybody holds.
const WIDEST_V4: u8 = 8;
const WIDEST_V6: u8 = 16;

/// What kind of block a prefix lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// Announced to the world.
    Public,
    /// Used by many networks at once: it means something at one site only.
    Private,
    /// Nobody's.
    Reserved,
    /// More than anybody holds; the default route is a default order.
    TooWide,
}

const PRIVATE_V4: [([u8; 4], u8); 4] =
    [([10, 0, 0, 0], 8), ([100, 64, 0, 0], 10), ([172, 16, 0, 0], 12), ([192, 168, 0, 0], 16)];

const RESERVED_V4: [([u8; 4], u8); 10] = [
    ([0, 0, 0, 0], 8),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

const PRIVATE_V6: (u16, u8) = (0xfc00, 7);
/// All global unicast addresses.
const GLOBAL_V6: (u16, u8) = (0x2000, 3);

/// Of the global ones: Teredo, documentation twice, 6to4.
const RESERVED_V6: [([u16; 2], u8); 4] =
    [([0x2001, 0], 32), ([0x2001, 0xdb8], 32), ([0x2002, 0], 16), ([0x3fff, 0], 20)];

static PRIVATE: LazyLock<Vec<Prefix>> = LazyLock::new(|| {
    let four = PRIVATE_V4.map(|(net, length)| v4(net, length));
    four.into_iter().chain([v6([PRIVATE_V6.0, 0], PRIVATE_V6.1)]).collect()
});

static RESERVED: LazyLock<Vec<Prefix>> = LazyLock::new(|| {
    let four = RESERVED_V4.map(|(net, length)| v4(net, length));
    four.into_iter().chain(RESERVED_V6.map(|(net, length)| v6(net, length))).collect()
});

fn v4(net: [u8; 4], length: u8) -> Prefix {
    Prefix::around(IpAddr::V4(Ipv4Addr::from(net)), length).expect("no longer than 32")
}

fn v6([first, second]: [u16; 2], length: u8) -> Prefix {
    let net = Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0);
    Prefix::around(IpAddr::V6(net), length).expect("no longer than 128")
}

impl Block {
    /// Where `prefix` lies.
    pub fn of(prefix: Prefix) -> Self {
        let widest = if prefix.is_ipv4() { WIDEST_V4 } else { WIDEST_V6 };
        let within = |blocks: &[Prefix]| blocks.iter().any(|block| block.covers(prefix));
        let global = v6([GLOBAL_V6.0, 0], GLOBAL_V6.1);
        if within(&PRIVATE) {
            Self::Private
        } else if prefix.length() < widest {
            Self::TooWide
        } else if within(&RESERVED) || (!prefix.is_ipv4() && !global.covers(prefix)) {
            Self::Reserved
        } else {
            Self::Public
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks() {
        for (text, block) in [
            ("200.48.0.0/16", Block::Public),
            ("10.0.0.0/8", Block::Private),
            ("100.127.0.0/16", Block::Private),
            ("100.128.0.0/16", Block::Public),
            ("fd00:1::/32", Block::Private),
            ("127.0.0.0/8", Block::Reserved),
            ("203.0.113.0/25", Block::Reserved),
            ("255.255.255.255/32", Block::Reserved),
            ("2001:db8::/48", Block::Reserved),
            ("fe80::/64", Block::Reserved),
            ("::/16", Block::Reserved),
            ("64:ff9b::/96", Block::Reserved),
            ("2800:200::/32", Block::Public),
            ("0.0.0.0/0", Block::TooWide),
            ("64.0.0.0/7", Block::TooWide),
            ("2000::/3", Block::TooWide),
        ] {
            assert_eq!(Block::of(Prefix::parse(text).unwrap()), block, "{text}");
        }
    }
}
