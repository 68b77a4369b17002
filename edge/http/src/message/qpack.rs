//! Field sections as QPACK writes them without a dynamic table (RFC 9204 §4.5).
//!
//! We offer a dynamic table of no bytes, so whatever refers to one cannot be read. Names are
//! decoded, values only where somebody asks.

use super::huffman;

/// What cannot be read at all: QPACK_DECOMPRESSION_FAILED.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable;

/// Numbers beyond this are for nobody's headers; far below where sums overflow.
const NUMBER_MAX: usize = 1 << 30;

/// A string that may be in Huffman's code.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    bytes: &'a [u8],
    huffman: bool,
}

impl<'a> Text<'a> {
    const fn plain(bytes: &'a [u8]) -> Self {
        Self { bytes, huffman: false }
    }

    /// As it was meant; `room` holds it where it must be decoded.
    pub(super) fn read<'b>(self, room: &'b mut Vec<u8>) -> Result<&'b [u8], Unreadable>
    where
        'a: 'b,
    {
        if !self.huffman {
            return Ok(self.bytes);
        }
        room.clear();
        huffman::decode(self.bytes, room).ok_or(Unreadable)?;
        Ok(room)
    }
}

/// One line: its name, and its value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) name: Text<'a>,
    pub(super) value: Text<'a>,
}

/// The lines of a section, in order.
#[derive(Debug)]
pub(super) struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Lines<'a> {
    pub(super) fn of(section: &'a [u8]) -> Result<Self, Unreadable> {
        let mut lines = Self { rest: section };
        // RFC 9204 §4.5.1: the entries that must have been inserted, and the base.
        let (_, inserts) = lines.number(8)?;
        // §4.5.1.2: a sign would take the base below zero, whatever the rest says.
        let (sign, _) = lines.number(7)?;
        if inserts != 0 || sign & 0x80 != 0 {
            return Err(Unreadable);
        }
        Ok(lines)
    }

    /// None after the last.
    pub(super) fn next(&mut self) -> Result<Option<Line<'a>>, Unreadable> {
        let Some(first) = self.rest.first() else { return Ok(None) };
        Ok(Some(match first {
            // §4.5.2: indexed, and static where the second bit is set.
            0xc0.. => {
                let (_, index) = self.number(6)?;
                known(index)?
            }
            // §4.5.4: a literal value with the name of a static entry.
            0x50..=0x5f | 0x70..=0x7f => {
                let (_, index) = self.number(4)?;
                let name = known(index)?.name;
                Line { name, value: self.text(7)? }
            }
            // §4.5.6: name and value.
            0x20..=0x3f => Line { name: self.text(3)?, value: self.text(7)? },
            // §4.5.2 to §4.5.5: all else refers to the dynamic table.
            _ => return Err(Unreadable),
        }))
    }

    /// An integer in the last `bits` of a byte and what follows (RFC 7541 §5.1), with that byte.
    fn number(&mut self, bits: u32) -> Result<(u8, usize), Unreadable> {
        let (first, rest) = self.rest.split_first().ok_or(Unreadable)?;
        self.rest = rest;
        let most = (1 << bits) - 1;
        let mut number = usize::from(*first) & most;
        if number < most {
            return Ok((*first, number));
        }
        let mut shift = 0;
        loop {
            let (byte, rest) = self.rest.split_first().ok_or(Unreadable)?;
            self.rest = rest;
            number += usize::from(byte & 0x7f) << shift;
            shift += 7;
            if number > NUMBER_MAX {
                return Err(Unreadable);
            }
            if byte & 0x80 == 0 {
                return Ok((*first, number));
            }
            if shift > 28 {
                return Err(Unreadable);
            }
        }
    }

    /// A string whose length is in the last `bits` of a byte, below the flag of Huffman.
    fn text(&mut self, bits: u32) -> Result<Text<'a>, Unreadable> {
        let (first, length) = self.number(bits)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Unreadable)?;
        self.rest = rest;
        Ok(Text { bytes, huffman: first >> bits & 1 == 1 })
    }
}

/// What matters of the static table (RFC 9204, Appendix A): pseudo-header fields and
/// Content-Length. No other entry is a name that somebody here asks for, and all are well-formed.
fn known(index: usize) -> Result<Line<'static>, Unreadable> {
    let (name, value): (&[u8], &[u8]) = match index {
        0 => (b":authority", b""),
        1 => (b":path", b"/"),
        4 => (b"content-length", b"0"),
        15 => (b":method", b"CONNECT"),
        16 => (b":method", b"DELETE"),
        17 => (b":method", b"GET"),
        18 => (b":method", b"HEAD"),
        19 => (b":method", b"OPTIONS"),
        20 => (b":method", b"POST"),
        21 => (b":method", b"PUT"),
        22 => (b":scheme", b"http"),
        23 => (b":scheme", b"https"),
        24..=28 | 63..=71 => (b":status", b"200"),
        99.. => return Err(Unreadable),
        _ => (b"accept", b"*/*"),
    };
    Ok(Line { name: Text::plain(name), value: Text::plain(value) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(section: &[u8], expected: Option<&str>) {
        let seen = read(section).ok();
        assert_eq!(seen.as_deref(), expected, "{section:02x?}");
    }

    fn read(section: &[u8]) -> Result<String, Unreadable> {
        let (mut room, mut seen) = (Vec::new(), String::new());
        let mut lines = Lines::of(section)?;
        while let Some(line) = lines.next()? {
            seen += &String::from_utf8_lossy(line.name.read(&mut room)?);
            seen += "=";
            seen += &String::from_utf8_lossy(line.value.read(&mut room)?);
            seen += " ";
        }
        Ok(seen)
    }

    #[test]
    fn lines_are_read() {
        check(&[0, 0], Some(""));
        check(&[0, 0, 0xc1, 0xd1, 0xd7], Some(":path=/ :method=GET :scheme=https "));
        check(&[0, 0, 0xff, 0], Some(":status=200 "));
        // RFC 9204, Appendix B.1.
        check(b"\x00\x00\x51\x0b/index.html", Some(":path=/index.html "));
        check(b"\x00\x00\x71\x01/", Some(":path=/ "));
        check(b"\x00\x00\x23foo\x03bar", Some("foo=bar "));
        check(b"\x00\x00\x2a\x64\x02\x82\x64\x02", Some("302=302 "));
        // A base that nobody refers to.
        check(&[0, 0x05, 0xc1], Some(":path=/ "));
        // A length in two bytes.
        check(b"\x00\x00\x27\x01abcdefgh\x00", Some("abcdefgh= "));
    }

    #[test]
    fn what_cannot_be_read() {
        check(&[], None);
        check(&[0], None);
        // Inserts, and a base below zero.
        check(&[1, 0], None);
        check(&[0, 0x80], None);
        // Dynamic: indexed, behind the base, by name, by name behind the base.
        check(&[0, 0, 0x80], None);
        check(&[0, 0, 0x10], None);
        check(b"\x00\x00\x40\x01a", None);
        check(b"\x00\x00\x00\x01a", None);
        // Entry 99 of 99.
        check(&[0, 0, 0xff, 35], Some("accept=*/* "));
        check(&[0, 0, 0xff, 36], None);
        // Cut off, and numbers without end.
        check(b"\x00\x00\x23fo", None);
        check(b"\x00\x00\x23foo", None);
        check(b"\x00\x00\x23foo\x03ba", None);
        check(&[0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], None);
        check(&[0, 0, 0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 0], None);
        // Huffman that is none.
        check(b"\x00\x00\x29\xff\x00", None);
    }
}
