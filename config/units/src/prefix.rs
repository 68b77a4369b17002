//! Networks as an operator writes them: `"10.0.0.0/8"`, `"2001:db8::/32"`, `"192.0.2.7"`.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use thiserror::Error;

/// Why a network could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PrefixError {
    /// No address stands before the slash.
    #[error("\"{text}\" is no IP address; write it like \"10.0.0.0/8\" or \"2001:db8::/32\"")]
    Address {
        /// The text as it stands.
        text: String,
    },
    /// What stands behind the slash is no length of a prefix.
    #[error("\"{text}\": the length after the slash is a number from 0 to {most}")]
    Length {
        /// The text as it stands.
        text: String,
        /// 32 or 128.
        most: u8,
    },
    /// Bits are set that the length does not cover.
    #[error("\"{text}\" names a host and a network; did you mean \"{network}\"?")]
    Host {
        /// The text as it stands.
        text: String,
        /// The network that the host is in.
        network: Prefix,
    },
}

/// The addresses that begin with the same bits. An IPv4 address that is written as an IPv6 one
/// is the IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    address: IpAddr,
    bits: u8,
}

impl Prefix {
    /// The network that an address is in: its first `v4` or `v6` bits; more than it has are all.
    #[must_use]
    pub fn of(address: IpAddr, v4: u8, v6: u8) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let bits = v4.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
                Self { address: Ipv4Addr::from_bits(address.to_bits() & mask).into(), bits }
            }
            IpAddr::V6(address) => {
                let bits = v6.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
                Self { address: Ipv6Addr::from_bits(address.to_bits() & mask).into(), bits }
            }
        }
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4()
            && Self::of(address, self.bits, self.bits) == *self
    }

    /// Its first address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits its addresses share.
    #[must_use]
    pub fn bits(&self) -> u8 {
        self.bits
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            return Err(PrefixError::Address { text: text.to_owned() });
        };
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match length {
            None => most,
            // Not "+8" and " 8", which are numbers as well.
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
                .parse()
                .ok()
                .filter(|bits| *bits <= most)
                .ok_or_else(|| PrefixError::Length { text: text.to_owned(), most })?,
            Some(_) => return Err(PrefixError::Length { text: text.to_owned(), most }),
        };
        // `::ffff:10.0.0.0/104` is 10.0.0.0/8; a shorter one is more than IPv4.
        let (address, bits) = match address.to_canonical() {
            IpAddr::V4(v4) if most == 128 && bits >= 96 => (IpAddr::V4(v4), bits - 96),
            IpAddr::V4(_) if most == 128 => (address, bits),
            canonical => (canonical, bits),
        };
        let network = match address {
            IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => Self { address, bits },
            address => Self::of(address, bits, bits),
        };
        if network.address != address {
            return Err(PrefixError::Host { text: text.to_owned(), network });
        }
        Ok(network)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.address, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read() {
        let check = |text: &str, expected: &str| {
            let said = text.parse::<Prefix>().map_or_else(|e| e.to_string(), |p| p.to_string());
            assert_eq!(said, expected, "{text}");
        };
        check("10.0.0.0/8", "10.0.0.0/8");
        check("192.0.2.7", "192.0.2.7/32");
        check("0.0.0.0/0", "0.0.0.0/0");
        check("2001:db8::/32", "2001:db8::/32");
        check("::1", "::1/128");
        check("::/0", "::/0");
        check("::ffff:10.0.0.0/104", "10.0.0.0/8");
        check("::ffff:10.0.0.1", "10.0.0.1/32");
        let host = "names a host and a network; did you mean";
        check("10.0.0.1/8", &format!("\"10.0.0.1/8\" {host} \"10.0.0.0/8\"?"));
        check("2001:db8::1/32", &format!("\"2001:db8::1/32\" {host} \"2001:db8::/32\"?"));
        let length = "the length after the slash is a number from 0 to";
        check("10.0.0.0/33", &format!("\"10.0.0.0/33\": {length} 32"));
        check("10.0.0.0/", &format!("\"10.0.0.0/\": {length} 32"));
        check("10.0.0.0/+8", &format!("\"10.0.0.0/+8\": {length} 32"));
        check("::/129", &format!("\"::/129\": {length} 128"));
        let like = "write it like \"10.0.0.0/8\" or \"2001:db8::/32\"";
        check("proxy.local", &format!("\"proxy.local\" is no IP address; {like}"));
        check("", &format!("\"\" is no IP address; {like}"));
    }

    #[test]
    fn holds_addresses() {
        let check = |prefix: &str, address: &str, expected: bool| {
            let (prefix, address) =
                (prefix.parse::<Prefix>().unwrap(), address.parse::<IpAddr>().unwrap());
            assert_eq!(prefix.contains(address), expected, "{prefix} {address}");
        };
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("10.0.0.0/8", "::ffff:10.1.2.3", true);
        check("0.0.0.0/0", "203.0.113.9", true);
        check("0.0.0.0/0", "::1", false);
        check("::/0", "203.0.113.9", false);
        check("2001:db8::/33", "2001:db8:7fff::", true);
        check("2001:db8::/33", "2001:db8:8000::", false);
    }

    #[test]
    fn the_network_of_an_address() {
        let check = |address: &str, expected: &str| {
            assert_eq!(Prefix::of(address.parse().unwrap(), 24, 56).to_string(), expected);
        };
        check("192.0.2.77", "192.0.2.0/24");
        check("::ffff:192.0.2.77", "192.0.2.0/24");
        check("2001:db8:1:2345::1", "2001:db8:1:2300::/56");
        assert_eq!(Prefix::of("192.0.2.77".parse().unwrap(), 0, 0).to_string(), "0.0.0.0/0");
    }
}
