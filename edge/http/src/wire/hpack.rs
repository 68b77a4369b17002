//! Field blocks of HTTP/2 as far as one must read them to know what h2 and hyper do not tell
//! (RFC 7541): the dynamic table with the sizes of its entries, not their text. What fields mean
//! is h2's business.

use std::collections::VecDeque;

use crate::message::huffman;

/// A block that cannot be read: COMPRESSION_ERROR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unreadable;

/// RFC 9113 §6.5.2: what a table holds where nobody says otherwise, and we do not.
const TABLE: usize = 4096;

/// RFC 7541 §4.1: what an entry counts beyond its text.
const OVERHEAD: usize = 32;

/// Numbers beyond this are for nobody's fields; far below where sums overflow.
const NUMBER_MAX: usize = 1 << 30;

/// Bytes of the names in the static table (RFC 7541, Appendix A).
const STATIC: [u8; 61] = [
    10, 7, 7, 5, 5, 7, 7, 7, 7, 7, 7, 7, 7, 7, 14, 15, 15, 13, 6, 27, 3, 5, 13, 13, 19, 16, 16, 14,
    16, 13, 12, 6, 4, 4, 6, 7, 4, 4, 8, 17, 13, 8, 19, 13, 4, 8, 12, 18, 19, 5, 7, 7, 11, 6, 10,
    25, 17, 10, 4, 3, 16,
];

/// The first entries of the static table are the pseudo-header fields.
const PSEUDO: usize = 14;

/// Entries of the static table whose name is one of those below.
const CONTENT_LENGTH: usize = 28;
const EXPECT: usize = 35;
const PATH: [usize; 2] = [4, 5];

/// What a name is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Path,
    /// Any other of the pseudo-header fields.
    Pseudo,
    ContentLength,
    Expect,
    Other,
}

impl Name {
    fn of(name: &[u8]) -> Self {
        match name {
            b":path" => Self::Path,
            [b':', ..] => Self::Pseudo,
            b"content-length" => Self::ContentLength,
            b"expect" => Self::Expect,
            _ => Self::Other,
        }
    }

    /// By the number of an entry of the static table.
    fn known(number: usize) -> Self {
        match number {
            CONTENT_LENGTH => Self::ContentLength,
            EXPECT => Self::Expect,
            number if PATH.contains(&number) => Self::Path,
            ..=PSEUDO => Self::Pseudo,
            _ => Self::Other,
        }
    }
}

/// What a block has that somebody asks for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// A pseudo-header field.
    pub(super) pseudo: bool,
    pub(super) content_length: bool,
    /// `Expect: 100-continue`.
    pub(super) expects: bool,
    /// A `:path` with a fragment.
    pub(super) fragment: bool,
}

impl Seen {
    fn add(&mut self, entry: Entry) {
        self.pseudo |= matches!(entry.name, Name::Path | Name::Pseudo);
        self.content_length |= entry.name == Name::ContentLength;
        self.expects |= entry.name == Name::Expect && entry.telling;
        self.fragment |= entry.name == Name::Path && entry.telling;
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    name: Name,
    /// Bytes of the name, and of the whole.
    length: usize,
    size: usize,
    /// The value is what is asked of this name: see [`Seen`].
    telling: bool,
}

/// One connection's table. At most 128 entries.
#[derive(Debug)]
pub(super) struct Table {
    /// The newest first.
    entries: VecDeque<Entry>,
    size: usize,
    most: usize,
    room: Vec<u8>,
}

impl Default for Table {
    fn default() -> Self {
        Self { entries: VecDeque::new(), size: 0, most: TABLE, room: Vec::new() }
    }
}

impl Table {
    /// Reads a block.
    pub(super) fn read(&mut self, block: &[u8]) -> Result<Seen, Unreadable> {
        let (mut rest, mut seen, mut fields) = (block, Seen::default(), false);
        while let Some(first) = rest.first().copied() {
            match first {
                // RFC 7541 §6.1.
                0x80.. => {
                    let index = number(&mut rest, 7)?;
                    seen.add(self.entry(index)?);
                }
                // §6.2.1: this one goes into the table.
                0x40..=0x7f => {
                    let entry = self.literal(&mut rest, 6, true)?;
                    seen.add(entry);
                    self.insert(entry);
                }
                // §6.3, which stands before all fields (§4.2).
                0x20..=0x3f => {
                    let most = number(&mut rest, 5)?;
                    if most > TABLE || fields {
                        return Err(Unreadable);
                    }
                    self.most = most;
                    self.evict();
                    continue;
                }
                // §6.2.2, §6.2.3.
                _ => seen.add(self.literal(&mut rest, 4, false)?),
            }
            fields = true;
        }
        Ok(seen)
    }

    fn entry(&self, index: usize) -> Result<Entry, Unreadable> {
        let number = index;
        let index = index.checked_sub(1).ok_or(Unreadable)?;
        if let Some(length) = STATIC.get(index) {
            // None of their values tells anything.
            let (name, length) = (Name::known(number), usize::from(*length));
            return Ok(Entry { name, length, size: 0, telling: false });
        }
        self.entries.get(index - STATIC.len()).copied().ok_or(Unreadable)
    }

    /// A field that is written out. `measured`: how large it is decoded is asked for.
    fn literal(
        &mut self,
        rest: &mut &[u8],
        bits: u32,
        measured: bool,
    ) -> Result<Entry, Unreadable> {
        let index = number(rest, bits)?;
        let (name, length) = if index == 0 {
            let (huffman, text) = text(rest)?;
            let text = self.plain(huffman, text)?;
            (Name::of(text), text.len())
        } else {
            let named = self.entry(index)?;
            (named.name, named.length)
        };
        let (huffman, value) = text(rest)?;
        let telling = match name {
            Name::Path if huffman && !may_have_fragment(value) => false,
            Name::Path => self.plain(huffman, value)?.contains(&b'#'),
            // RFC 9110 §10.1.1: whatever the case.
            Name::Expect => self.plain(huffman, value)?.eq_ignore_ascii_case(b"100-continue"),
            _ => false,
        };
        let value = if measured { self.plain(huffman, value)?.len() } else { 0 };
        Ok(Entry { name, length, size: length + value + OVERHEAD, telling })
    }

    /// A string as it was meant.
    fn plain<'a>(&'a mut self, huffman: bool, text: &'a [u8]) -> Result<&'a [u8], Unreadable> {
        if !huffman {
            return Ok(text);
        }
        self.room.clear();
        huffman::decode(text, &mut self.room).ok_or(Unreadable)?;
        Ok(&self.room)
    }

    /// RFC 7541 §4.4: what is larger than the table empties it and stays outside.
    fn insert(&mut self, entry: Entry) {
        if entry.size > self.most {
            self.entries.clear();
            self.size = 0;
            return;
        }
        self.size += entry.size;
        self.entries.push_front(entry);
        self.evict();
    }

    fn evict(&mut self) {
        while self.size > self.most {
            let Some(oldest) = self.entries.pop_back() else { break };
            self.size -= oldest.size;
        }
    }
}

/// Whether a `#` may be in what is written in Huffman's code, where it begins with nine ones
/// (RFC 7541, Appendix B). Few paths have so many, and the others need not be decoded.
fn may_have_fragment(coded: &[u8]) -> bool {
    let mut ones = 0;
    for byte in coded {
        if ones + byte.leading_ones() >= 9 {
            return true;
        }
        ones = if *byte == 0xff { 8 } else { byte.trailing_ones() };
    }
    false
}

/// RFC 7541 §5.1.
fn number(rest: &mut &[u8], bits: u32) -> Result<usize, Unreadable> {
    let most = (1_usize << bits) - 1;
    let mut number = usize::from(next(rest)?) & most;
    if number < most {
        return Ok(number);
    }
    let mut shift = 0;
    loop {
        let byte = next(rest)?;
        number += usize::from(byte & 0x7f) << shift;
        shift += 7;
        if number > NUMBER_MAX || (shift > 28 && byte & 0x80 != 0) {
            return Err(Unreadable);
        }
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
}

/// RFC 7541 §5.2.
fn text<'a>(rest: &mut &'a [u8]) -> Result<(bool, &'a [u8]), Unreadable> {
    let huffman = rest.first().ok_or(Unreadable)? & 0x80 != 0;
    let length = number(rest, 7)?;
    let (text, behind) = rest.split_at_checked(length).ok_or(Unreadable)?;
    *rest = behind;
    Ok((huffman, text))
}

fn next(rest: &mut &[u8]) -> Result<u8, Unreadable> {
    let (first, behind) = rest.split_first().ok_or(Unreadable)?;
    *rest = behind;
    Ok(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks one after the other in one table, and what is left in it.
    fn check(blocks: &[&[u8]], expected: Result<bool, Unreadable>, size: usize) {
        let mut table = Table::default();
        let seen = blocks.iter().map(|block| table.read(block)).last().unwrap();
        let seen = seen.map(|seen| seen.pseudo);
        assert_eq!((seen, table.size), (expected, size), "{blocks:02x?}");
    }

    #[test]
    fn tables_of_the_specification() {
        // RFC 7541, Appendix C.3 and C.4: the same requests, plain and in Huffman's code.
        let plain: [&[u8]; 3] = [
            b"\x82\x86\x84\x41\x0fwww.example.com",
            b"\x82\x86\x84\xbe\x58\x08no-cache",
            b"\x82\x87\x85\xbf\x40\x0acustom-key\x0ccustom-value",
        ];
        let huffman: [&[u8]; 3] = [
            b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff",
            b"\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf",
            b"\x82\x87\x85\xbf\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf",
        ];
        for blocks in [plain, huffman] {
            check(&blocks[..1], Ok(true), 57);
            check(&blocks[..2], Ok(true), 110);
            check(&blocks, Ok(true), 164);
        }
    }

    #[test]
    fn pseudo_header_fields_are_seen_however_they_are_written() {
        // Static, static name, plain, in Huffman's code, and from the table.
        check(&[b"\x84"], Ok(true), 0);
        check(&[b"\x04\x01/"], Ok(true), 0);
        check(&[b"\x00\x05:path\x01/"], Ok(true), 0);
        check(&[b"\x00\x84\xb9\x58\xd3\x3f\x01/"], Ok(true), 0);
        check(&[b"\x00\x82\xb8\x84\x01/"], Err(Unreadable), 0);
        check(&[b"\x41\x01a", b"\xbe"], Ok(true), 43);
        check(&[b"\x41\x01a", b"\x0f\x2f\x01b"], Ok(true), 43);
        check(&[b"\x40\x01a\x01b", b"\xbe"], Ok(false), 34);
        check(&[b"\x0f\x00\x01a", b"\x90"], Ok(false), 0);
        check(&[b""], Ok(false), 0);
    }

    #[test]
    fn what_somebody_asks_for_is_seen() {
        let check = |blocks: &[&[u8]], expected: &str| {
            let mut table = Table::default();
            let seen = blocks.iter().map(|block| table.read(block).unwrap()).last().unwrap();
            let told = [
                (seen.content_length, "length"),
                (seen.expects, "expects"),
                (seen.fragment, "fragment"),
            ];
            let told: Vec<&str> = told.iter().filter(|told| told.0).map(|told| told.1).collect();
            assert_eq!(told.join(" "), expected, "{blocks:02x?}");
        };
        // Content-Length by its number, by its name, and from the table.
        check(&[b"\x0f\x0d\x013"], "length");
        check(&[b"\x00\x0econtent-length\x013"], "length");
        check(&[b"\x5c\x013", b"\xbe"], "length");
        check(&[b"\x00\x0dcontent-lengt\x013"], "");
        // Expect, plain and in Huffman's code.
        check(&[b"\x0f\x14\x0c100-continue"], "expects");
        check(&[b"\x00\x06expect\x0c100-Continue"], "expects");
        check(&[b"\x40\x06expect\x0c100-continue", b"\xbe"], "expects");
        check(&[b"\x0f\x14\x88\x08\x00\xb1\x0f\x52\x4d\x55\xa5"], "expects");
        check(&[b"\x00\x85\x2f\x9a\xca\x44\xff\x0c100-continue"], "expects");
        check(&[b"\x0f\x14\x03100"], "");
        // A fragment, plain, in Huffman's code, and a path that has none.
        check(&[b"\x04\x04/a#b"], "fragment");
        check(&[b"\x44\x02/#", b"\xbe"], "fragment");
        check(&[b"\x44\x02/a", b"\xbe"], "");
        check(&[b"\x00\x05:path\x02/#"], "fragment");
        check(&[b"\x04\x83\x63\xfe\xbf"], "fragment");
        check(&[b"\x04\x84\x60\x7f\xf5\x1f"], "fragment");
        check(&[b"\x04\x83\x60\x71\x93"], "");
        check(&[b"\x40\x01a\x02/#"], "");
    }

    #[test]
    fn tables_shrink_and_overflow() {
        // To nothing and back, and an entry that is larger than the table.
        check(&[b"\x40\x01a\x01b", b"\x20"], Ok(false), 0);
        check(&[b"\x40\x01a\x01b", b"\x20\x3f\xe1\x1f", b"\x40\x01c\x01d"], Ok(false), 34);
        check(&[b"\x40\x01a\x01b", b"\x3f\x03\x40\x01c\x01d"], Ok(false), 34);
        let mut large = b"\x40\x01a\x7f\xa1\x1f".to_vec();
        large.extend(vec![b'x'; 0x7f + 0x21 + 0xf80]);
        check(&[b"\x40\x01a\x01b", &large], Ok(false), 0);
    }

    #[test]
    fn what_cannot_be_read() {
        for block in [
            b"\x80".as_slice(),
            b"\xbe",
            b"\x40",
            b"\x40\x01",
            b"\x40\x01a\x02b",
            b"\x40\x81\xff\x01b",
            // A table larger than ours, and a size behind a field.
            b"\x3f\xe2\x1f",
            b"\x82\x20",
            b"\xff\xff\xff\xff\xff\xff\x01",
            b"\xff\x80\x80\x80\x80\x80\x00",
        ] {
            check(&[block], Err(Unreadable), 0);
        }
    }

    #[test]
    fn the_table_is_the_specifications() {
        // RFC 7541, Appendix A, a few names by number.
        for (index, name) in [
            (1, ":authority"),
            (14, ":status"),
            (15, "accept-charset"),
            (20, "access-control-allow-origin"),
            (28, "content-length"),
            (31, "content-type"),
            (43, "if-unmodified-since"),
            (49, "proxy-authorization"),
            (56, "strict-transport-security"),
            (61, "www-authenticate"),
        ] {
            assert_eq!(usize::from(STATIC[index - 1]), name.len(), "{index} {name}");
        }
    }
}
