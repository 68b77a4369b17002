//! As much of RFC 7541 as an attacker writes, and the statuses that it reads.

/// An integer behind the bits of `first` (RFC 7541 §5.1).
fn integer(out: &mut Vec<u8>, first: u8, bits: u8, value: usize) {
    let most = (1_usize << bits) - 1;
    if value < most {
        out.push(first | value as u8);
        return;
    }
    out.push(first | most as u8);
    let mut rest = value - most;
    while rest >= 128 {
        out.push(rest as u8 & 127 | 128);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// A string literal, not compressed (RFC 7541 §5.2).
fn string(out: &mut Vec<u8>, text: &[u8]) {
    integer(out, 0, 7, text.len());
    out.extend_from_slice(text);
}

/// A field that no table keeps (RFC 7541 §6.2.2).
pub(crate) fn literal(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.push(0);
    string(out, name);
    string(out, value);
}

/// A field that the dynamic table keeps (RFC 7541 §6.2.1).
pub(crate) fn kept(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.push(0x40);
    string(out, name);
    string(out, value);
}

/// A field of a table (RFC 7541 §6.1).
pub(crate) fn indexed(out: &mut Vec<u8>, index: usize) {
    integer(out, 0x80, 7, index);
}

/// The pseudo-fields of a request over TLS (RFC 9113 §8.3.1).
pub(crate) fn request(method: &str, authority: &str, path: &str) -> Vec<u8> {
    let mut out = Vec::new();
    match method {
        "GET" => indexed(&mut out, 2),
        "POST" => indexed(&mut out, 3),
        _ => literal(&mut out, b":method", method.as_bytes()),
    }
    indexed(&mut out, 7);
    literal(&mut out, b":path", path.as_bytes());
    literal(&mut out, b":authority", authority.as_bytes());
    out
}

/// The status that a response's header section begins with, where it is no entry of the
/// dynamic table.
pub(crate) fn status(section: &[u8]) -> Option<u16> {
    // A change of the table's size may come first (RFC 7541 §6.3).
    let skipped = section.iter().take_while(|byte| **byte & 0xe0 == 0x20).count();
    let section = &section[skipped..];
    match *section.first()? {
        first @ 0x88..=0x8e => {
            [200, 204, 206, 304, 400, 404, 500].get(usize::from(first - 0x88)).copied()
        }
        // `:status` by its name alone, kept or not.
        0x48 | 0x08 | 0x18 => {
            let length = usize::from(section.get(1)? & 127);
            let value = section.get(2..2 + length)?;
            if section[1] & 128 == 0 {
                return std::str::from_utf8(value).ok()?.parse().ok();
            }
            digits(value)
        }
        _ => None,
    }
}

/// Three digits in Huffman's code (RFC 7541 appendix B): 0 to 2 have five bits, others six.
fn digits(coded: &[u8]) -> Option<u16> {
    let mut bits = coded.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1));
    let mut number = 0;
    for _ in 0..3 {
        let mut code = 0;
        for _ in 0..5 {
            code = code << 1 | u16::from(bits.next()?);
        }
        let digit = if code <= 2 { code } else { (code << 1 | u16::from(bits.next()?)) - 0x16 };
        number = number * 10 + digit;
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_the_specification() {
        // RFC 7541 appendix C.1.
        let check = |bits, value, expected: &[u8]| {
            let mut out = Vec::new();
            integer(&mut out, 0, bits, value);
            assert_eq!(out, expected);
        };
        check(5, 10, &[10]);
        check(5, 1337, &[31, 154, 10]);
        check(8, 42, &[42]);
    }

    #[test]
    fn statuses() {
        let check = |section: &[u8], expected| assert_eq!(status(section), expected);
        check(&[0x88, 1, 2], Some(200));
        // RFC 7541 appendices C.5.1, C.6.1 and C.6.2.
        check(b"\x48\x03302", Some(302));
        check(&[0x48, 0x82, 0x64, 0x02], Some(302));
        check(&[0x20, 0x48, 0x83, 0x64, 0x0e, 0xff], Some(307));
        check(&[0xbe], None);
        check(&[], None);
        let mut out = Vec::new();
        literal(&mut out, b"a", b"b");
        assert_eq!(out, b"\0\x01a\x01b");
    }
}
