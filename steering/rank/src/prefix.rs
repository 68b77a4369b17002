//! Blocks of addresses, of both families.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A block of addresses: no bit is set behind its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    network: IpAddr,
    length: u8,
}

/// Why a text is no prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// Not even an address.
    #[error("it is no address with a length, as in 200.48.0.0/16 or 2800:200::/32")]
    NoAddress,
    /// A length beyond the family's.
    #[error("the length {length} is more than the {most} bits of its address")]
    Length {
        /// What it says.
        length: u32,
        /// What it may say.
        most: u8,
    },
    /// Bits are set behind the length.
    #[error("bits are set behind its length: {} is meant, or a longer length", .meant)]
    Mask {
        /// The block that the address lies in.
        meant: Prefix,
    },
    /// One address in two spellings would be two routes.
    #[error("it is IPv4 written as IPv6: write {0}")]
    Mapped(Ipv4Addr),
}

impl Prefix {
    /// The block of `length` bits that `address` lies in; none where the length is too long.
    pub fn around(address: IpAddr, length: u8) -> Option<Self> {
        let network = match address {
            IpAddr::V4(four) if length <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(four.to_bits() & mask))
            }
            IpAddr::V6(six) if length <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & mask))
            }
            _ => return None,
        };
        Some(Self { network, length })
    }

    /// A prefix as people write it; strict.
    pub fn parse(text: &str) -> Result<Self, PrefixError> {
        let (address, length) = text.split_once('/').ok_or(PrefixError::NoAddress)?;
        let address: IpAddr = address.parse().map_err(|_| PrefixError::NoAddress)?;
        let digits = (1..=3).contains(&length.len())
            && length.bytes().all(|byte| byte.is_ascii_digit())
            && (length == "0" || !length.starts_with('0'));
        let length: u32 =
            digits.then(|| length.parse().ok()).flatten().ok_or(PrefixError::NoAddress)?;
        if let IpAddr::V6(six) = address
            && let Some(four) = six.to_ipv4_mapped()
        {
            return Err(PrefixError::Mapped(four));
        }
        let most = if address.is_ipv4() { 32 } else { 128 };
        let within = u8::try_from(length).ok().and_then(|length| Self::around(address, length));
        let prefix = within.ok_or(PrefixError::Length { length, most })?;
        if prefix.network == address {
            Ok(prefix)
        } else {
            Err(PrefixError::Mask { meant: prefix })
        }
    }

    /// The first address.
    pub fn network(self) -> IpAddr {
        self.network
    }

    /// Bits that all its addresses share.
    pub fn length(self) -> u8 {
        self.length
    }

    /// Whether it is of IPv4.
    pub fn is_ipv4(self) -> bool {
        self.network.is_ipv4()
    }

    /// Whether all of `other` lies in it.
    pub fn covers(self, other: Self) -> bool {
        self.length <= other.length && self.contains(other.network)
    }

    /// Whether `address` lies in it.
    pub fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.is_ipv4() && Self::around(address, self.length) == Some(self)
    }

    /// The bytes of its network, the rest zero.
    pub(crate) fn bytes(self) -> [u8; 16] {
        bytes(self.network)
    }
}

/// An address from its first byte on; the rest is zero for IPv4.
pub(crate) fn bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V6(six) => six.octets(),
        IpAddr::V4(four) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&four.octets());
            bytes
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let said = match Prefix::parse(text) {
            Ok(prefix) => prefix.to_string(),
            Err(why) => why.to_string(),
        };
        assert!(said.starts_with(expected), "{text}: {said}");
    }

    #[test]
    fn prefixes_are_read_strictly() {
        check("200.48.0.0/16", "200.48.0.0/16");
        check("2800:200::/32", "2800:200::/32");
        check("0.0.0.0/0", "0.0.0.0/0");
        check("1.2.3.4/32", "1.2.3.4/32");
        check("200.48.1.0/16", "bits are set behind its length: 200.48.0.0/16 is meant");
        check("2800:200::1/64", "bits are set behind its length: 2800:200::/64");
        check("1.2.3.4/33", "the length 33 is more than the 32 bits");
        check("::/129", "the length 129");
        check("::/999", "the length 999");
        check("::ffff:1.2.3.0/120", "it is IPv4 written as IPv6: write 1.2.3.0");
        for text in ["", "/", "1.2.3/8", "1.2.3.4", "1.2.3.4/", "1.2.3.4/+8", "1.2.3.4/08", "x/8"] {
            check(text, "it is no address");
        }
    }

    #[test]
    fn covering() {
        let prefix = |text| Prefix::parse(text).unwrap();
        assert!(prefix("10.0.0.0/8").covers(prefix("10.1.0.0/16")));
        assert!(!prefix("10.1.0.0/16").covers(prefix("10.0.0.0/8")));
        assert!(!prefix("::/0").covers(prefix("10.0.0.0/8")));
        assert!(prefix("0.0.0.0/0").contains("9.9.9.9".parse().unwrap()));
    }
}
