//! Boxes and the fields in them.

use std::fmt;

use super::Mp4Error;

/// Four letters that name a box.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fourcc(pub [u8; 4]);

impl fmt::Display for Fourcc {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for Fourcc {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// Start of a box: ISO/IEC 14496-12 §4.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoxHeader {
    /// Which box.
    pub kind: Fourcc,
    /// Bytes of the header itself: 8 or 16.
    pub header: usize,
    /// Bytes of the whole box; none where it reaches to the end of the file.
    pub size: Option<u64>,
}

impl BoxHeader {
    /// Most bytes that a header takes.
    pub const LONGEST: usize = 16;

    /// Reads a header; `Ok(None)` where more bytes are needed.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, Mp4Error> {
        let (Some(size), Some(kind)) = (array::<4>(bytes, 0), array::<4>(bytes, 4)) else {
            return Ok(None);
        };
        let kind = Fourcc(kind);
        let (header, size) = match u32::from_be_bytes(size) {
            0 => (8, None),
            1 => match array::<8>(bytes, 8) {
                Some(size) => (16, Some(u64::from_be_bytes(size))),
                None => return Ok(None),
            },
            size => (8, Some(u64::from(size))),
        };
        if size.is_some_and(|size| size < header as u64) {
            return Err(Mp4Error::Invalid(kind, "is smaller than its own header"));
        }
        Ok(Some(Self { kind, header, size }))
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// A box and what is in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    pub(super) kind: Fourcc,
    pub(super) body: &'a [u8],
    /// Where its body starts in what was walked.
    pub(super) body_at: usize,
}

/// The boxes that follow one another in `bytes`.
pub(super) fn walk(bytes: &[u8]) -> impl Iterator<Item = Result<Item<'_>, Mp4Error>> {
    let mut at = 0;
    let mut broken = false;
    std::iter::from_fn(move || {
        if broken || at >= bytes.len() {
            return None;
        }
        let item = next(bytes, at);
        match &item {
            Ok(item) => at = item.body_at + item.body.len(),
            Err(_) => broken = true,
        }
        Some(item)
    })
}

fn next(bytes: &[u8], at: usize) -> Result<Item<'_>, Mp4Error> {
    let rest = &bytes[at..];
    let header = BoxHeader::parse(rest)?.ok_or(Mp4Error::Short(Fourcc(*b"box ")))?;
    let size = match header.size {
        None => rest.len(),
        Some(size) => usize::try_from(size).map_err(|_| Mp4Error::Short(header.kind))?,
    };
    let body = rest.get(header.header..size).ok_or(Mp4Error::Short(header.kind))?;
    Ok(Item { kind: header.kind, body, body_at: at + header.header })
}

/// The first box of that name in `bytes`.
pub(super) fn find<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Result<Item<'a>, Mp4Error> {
    for item in walk(bytes) {
        let item = item?;
        if item.kind.0 == *kind {
            return Ok(item);
        }
    }
    Err(Mp4Error::Missing(Fourcc(*kind)))
}

/// The box at the end of a path of names.
pub(super) fn descend<'a>(bytes: &'a [u8], path: &[&[u8; 4]]) -> Result<&'a [u8], Mp4Error> {
    path.iter().try_fold(bytes, |inside, kind| Ok(find(inside, kind)?.body))
}

/// Big-endian fields, one after the other.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    kind: Fourcc,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(kind: &[u8; 4], rest: &'a [u8]) -> Self {
        Self { kind: Fourcc(*kind), rest }
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Mp4Error> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Mp4Error::Short(self.kind))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Mp4Error> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| Mp4Error::Short(self.kind))
    }

    pub(super) fn u8(&mut self) -> Result<u8, Mp4Error> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, Mp4Error> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Mp4Error> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Mp4Error> {
        self.array().map(u64::from_be_bytes)
    }

    /// A field that is 64 bits wide in version 1 of its box, else 32.
    pub(super) fn wide(&mut self, version: u8) -> Result<u64, Mp4Error> {
        if version == 1 { self.u64() } else { self.u32().map(u64::from) }
    }

    /// Version and flags of a full box.
    pub(super) fn full(&mut self) -> Result<(u8, u32), Mp4Error> {
        let word = self.u32()?;
        let [version, ..] = word.to_be_bytes();
        Ok((version, word & 0x00ff_ffff))
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}
