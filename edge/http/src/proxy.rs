//! The header that a proxy puts before a connection to say for whom it comes: version 2 of the
//! PROXY protocol (HAProxy's `proxy-protocol.txt`, 2020), and of it what a TCP listener needs.
//!
//! Pure and strict: what is not whole, of another version, or holds more than it says is refused.
//! The first version, a line of text, is refused as well: it has no length before its end. Public
//! for the sake of `edge/fuzz`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Bytes of the part whose length is always the same.
pub const FIXED: usize = 16;

/// Bytes behind it, addresses and whatever else a proxy tells. Those of today need some hundred.
pub const REST_MAX: usize = 2048;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Why a header is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// Something else, a request or a handshake most likely.
    #[error("the connection does not begin with a PROXY header")]
    None,
    /// `PROXY TCP4 …`
    #[error("the PROXY header is of version 1; tell the proxy to send version 2")]
    Version1,
    /// A version or a command that nobody has defined.
    #[error("the PROXY header is of an unknown version or command")]
    Unknown,
    /// Datagrams or Unix sockets, which this is not.
    #[error("the PROXY header is not for TCP over IP")]
    Family,
    /// Longer than we read.
    #[error("the PROXY header is longer than {REST_MAX} bytes")]
    TooLong,
    /// Too short for its addresses, or what follows them is cut.
    #[error("the PROXY header does not hold what it says")]
    Length,
}

/// What the fixed part says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The proxy comes for itself: it looks whether we are well.
    pub local: bool,
    family: u8,
    /// Bytes that follow, at most [`REST_MAX`].
    pub rest: usize,
}

/// Reads the fixed part.
///
/// # Errors
/// It is not the beginning of a header that we take.
pub fn start(bytes: &[u8; FIXED]) -> Result<Start, ProxyError> {
    if bytes[..12] != SIGNATURE {
        let v1 = bytes.starts_with(b"PROXY ");
        return Err(if v1 { ProxyError::Version1 } else { ProxyError::None });
    }
    let local = match bytes[12] {
        0x20 => true,
        0x21 => false,
        _ => return Err(ProxyError::Unknown),
    };
    let family = bytes[13];
    match family {
        // Unspecified, TCP over IPv4, TCP over IPv6.
        0x00 | 0x11 | 0x21 => {}
        // UDP, and streams and datagrams of Unix.
        0x12 | 0x22 | 0x31 | 0x32 => return Err(ProxyError::Family),
        _ => return Err(ProxyError::Unknown),
    }
    let rest = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if rest > REST_MAX { Err(ProxyError::TooLong) } else { Ok(Start { local, family, rest }) }
}

impl Start {
    /// Whose connection it is; none where it is the proxy's own, or it does not know.
    ///
    /// # Errors
    /// `rest`, the bytes that follow, are not what the header says.
    pub fn source(&self, rest: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
        if rest.len() != self.rest {
            return Err(ProxyError::Length);
        }
        let (source, more) = match self.family {
            0x11 => {
                let (addresses, more) = rest.split_first_chunk::<12>().ok_or(ProxyError::Length)?;
                let [a, b, c, d, ..] = *addresses;
                (Some((IpAddr::V4(Ipv4Addr::new(a, b, c, d)), [addresses[8], addresses[9]])), more)
            }
            0x21 => {
                let (addresses, more) = rest.split_first_chunk::<36>().ok_or(ProxyError::Length)?;
                let (source, behind) = addresses.split_first_chunk::<16>().expect("36 are more");
                let ports = &behind[16..];
                (Some((IpAddr::V6(Ipv6Addr::from(*source)), [ports[0], ports[1]])), more)
            }
            // Whatever it says of an address that it does not know is skipped.
            _ => return Ok(None),
        };
        additions(more)?;
        if self.local {
            return Ok(None);
        }
        let (address, port) = source.expect("both families have one");
        Ok(Some(SocketAddr::new(address.to_canonical(), u16::from_be_bytes(port))))
    }
}

/// What else a proxy tells is not looked at, but whole.
fn additions(mut bytes: &[u8]) -> Result<(), ProxyError> {
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_first_chunk::<3>().ok_or(ProxyError::Length)?;
        let length = usize::from(u16::from_be_bytes([head[1], head[2]]));
        (_, bytes) = rest.split_at_checked(length).ok_or(ProxyError::Length)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(version: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[version, family], &length, rest].concat()
    }

    fn read(bytes: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
        let (fixed, rest) = bytes.split_first_chunk::<FIXED>().unwrap();
        start(fixed)?.source(rest)
    }

    #[test]
    fn headers() {
        let check = |version, family, rest: &[u8], expected: Result<Option<&str>, ProxyError>| {
            let expected = expected.map(|text| text.map(|text| text.parse().unwrap()));
            assert_eq!(
                read(&header(version, family, rest)),
                expected,
                "{version:x} {family:x} {rest:?}"
            );
        };
        let v4 = [192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 0x01, 0xbb];
        let mut v6 = [0; 36];
        v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        v6[15] = 9;
        v6[32..].copy_from_slice(&[0x30, 0x39, 0x01, 0xbb]);
        check(0x21, 0x11, &v4, Ok(Some("192.0.2.7:12345")));
        check(0x21, 0x21, &v6, Ok(Some("[2001:db8::9]:12345")));
        // With what else it tells: the name asked for, and nothing at all.
        let told = |more: &[u8]| [&v4[..], more].concat();
        check(0x21, 0x11, &told(&[0x02, 0, 1, b'x', 0x04, 0, 0]), Ok(Some("192.0.2.7:12345")));
        for cut in [&[0x02][..], &[0x02, 0], &[0x02, 0, 2, b'x']] {
            check(0x21, 0x11, &told(cut), Err(ProxyError::Length));
        }
        check(0x21, 0x11, &v4[..11], Err(ProxyError::Length));
        check(0x21, 0x21, &v6[..35], Err(ProxyError::Length));
        check(0x21, 0x11, b"", Err(ProxyError::Length));
        // Of itself, and of it does not know whom.
        check(0x20, 0x11, &v4, Ok(None));
        check(0x20, 0x00, b"", Ok(None));
        check(0x21, 0x00, b"whatever", Ok(None));
        for family in [0x12, 0x22, 0x31, 0x32] {
            check(0x21, family, &v4, Err(ProxyError::Family));
        }
        for (version, family) in
            [(0x22, 0x11), (0x11, 0x11), (0x31, 0x11), (0x21, 0x13), (0x21, 0x41)]
        {
            check(version, family, &v4, Err(ProxyError::Unknown));
        }
        check(0x21, 0x00, &[0; REST_MAX + 1], Err(ProxyError::TooLong));
        // IPv4 that is written as IPv6 is IPv4.
        let mut mapped = [0; 36];
        mapped[10..16].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 7]);
        check(0x21, 0x21, &mapped, Ok(Some("192.0.2.7:0")));
    }

    #[test]
    fn what_is_none() {
        let check = |bytes: &[u8], expected| assert_eq!(read(bytes), Err(expected));
        check(b"PROXY TCP4 192.0.2.7 10.0.0.1 12345 443\r\n", ProxyError::Version1);
        check(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", ProxyError::None);
        check(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcdefgh", ProxyError::None);
    }
}
