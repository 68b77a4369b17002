//! `Range` and `Content-Range` in bytes (RFC 9110 §14).

use std::fmt;

use http::{HeaderMap, HeaderValue, header};

use crate::control::is_token;

/// Ranges one request may name; more are not honoured.
pub const RANGES_MAX: usize = 8;

/// Bytes `first` to `last`, both included, of a representation that has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByteRange {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte, at least `first`.
    pub last: u64,
}

impl ByteRange {
    /// Number of bytes, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub fn len(&self) -> u64 {
        self.last - self.first + 1
    }

    /// Offset behind the last byte.
    pub fn end(&self) -> u64 {
        self.last + 1
    }
}

/// What of a representation a request wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All of it: no `Range`, or one that is to be ignored.
    Whole,
    /// These, in the client's order, at most [`RANGES_MAX`], none overlapping another.
    Ranges(Vec<ByteRange>),
    /// Answer 416 with `Content-Range: bytes */size`.
    Unsatisfiable,
}

/// Resolves `Range` against a size (RFC 9110 §14.2). Ignored are: other units, what does not
/// parse, several lines, more than [`RANGES_MAX`] ranges and overlapping ones (§14.2 lets a
/// server refuse what asks for the same bytes again). Of several ranges those beyond the end
/// are left out.
pub fn select(request: &HeaderMap, size: u64) -> Selection {
    let mut lines = request.get_all(header::RANGE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return Selection::Whole };
    resolve(line.as_bytes(), size).unwrap_or(Selection::Whole)
}

/// `None` for what is to be ignored.
fn resolve(line: &[u8], size: u64) -> Option<Selection> {
    let equals = line.iter().position(|byte| *byte == b'=')?;
    let (unit, set) = (&line[..equals], &line[equals + 1..]);
    // §14.1: unit names are case-insensitive.
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let mut ranges = Vec::new();
    let mut named = 0;
    for member in set.split(|byte| *byte == b',') {
        let member = member.trim_ascii();
        // §5.6.1.2: empty members of a list are ignored.
        if member.is_empty() {
            continue;
        }
        named += 1;
        if named > RANGES_MAX {
            return None;
        }
        match resolve_member(member, size)? {
            Member::Bytes(range) => ranges.push(range),
            Member::Beyond => {}
            Member::Whole => return None,
        }
    }
    if named == 0 || overlap(&ranges) {
        return None;
    }
    Some(if ranges.is_empty() { Selection::Unsatisfiable } else { Selection::Ranges(ranges) })
}

enum Member {
    Bytes(ByteRange),
    Beyond,
    Whole,
}

/// RFC 9110 §14.1.2. `None` for what is not valid.
fn resolve_member(member: &[u8], size: u64) -> Option<Member> {
    let dash = member.iter().position(|byte| *byte == b'-')?;
    // No blanks within: lists alone have them, around their members (§5.6.1).
    let (first, last) = (&member[..dash], &member[dash + 1..]);
    if first.is_empty() {
        let suffix = number(last)?;
        return Some(match (suffix, size) {
            (0, _) => Member::Beyond,
            // Satisfiable, but no Content-Range can say it.
            (_, 0) => Member::Whole,
            _ => Member::Bytes(ByteRange { first: size.saturating_sub(suffix), last: size - 1 }),
        });
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return None;
    }
    if first >= size {
        return Some(Member::Beyond);
    }
    Some(Member::Bytes(ByteRange { first, last: last.min(size - 1) }))
}

/// Digits; what is too long is the greatest number, beyond every size.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        digits.iter().fold(0_u64, |sum, digit| {
            sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
        }),
    )
}

fn overlap(ranges: &[ByteRange]) -> bool {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable_by_key(|range| range.first);
    sorted.windows(2).any(|pair| pair[1].first <= pair[0].last)
}

/// A `Content-Range` field (RFC 9110 §14.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentRange {
    /// Which bytes a 206 carries, and of how many; `None` where the sender does not know.
    Bytes {
        /// The bytes.
        range: ByteRange,
        /// Size of the whole, greater than the last byte's offset.
        size: Option<u64>,
    },
    /// With a 416: the size.
    Unsatisfied {
        /// Size of the whole.
        size: u64,
    },
}

impl ContentRange {
    /// `None` for other units, what does not parse and what contradicts itself.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let line = line.trim_ascii();
        let space = line.iter().position(|byte| !is_token(*byte))?;
        if !line[..space].eq_ignore_ascii_case(b"bytes") || line[space] != b' ' {
            return None;
        }
        let rest = &line[space + 1..];
        let slash = rest.iter().position(|byte| *byte == b'/')?;
        let (bytes, size) = (&rest[..slash], &rest[slash + 1..]);
        if bytes == b"*" {
            return Some(Self::Unsatisfied { size: exact(size)? });
        }
        let size = if size == b"*" { None } else { Some(exact(size)?) };
        let dash = bytes.iter().position(|byte| *byte == b'-')?;
        let (first, last) = (exact(&bytes[..dash])?, exact(&bytes[dash + 1..])?);
        // u64::MAX cannot be an offset: its end would not be a number.
        let valid = first <= last && last < size.unwrap_or(u64::MAX);
        valid.then_some(Self::Bytes { range: ByteRange { first, last }, size })
    }

    /// Of a response; `None` also for several lines.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(header::CONTENT_RANGE).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else { return None };
        Self::parse(line.as_bytes())
    }

    /// As the field's value.
    pub fn value(&self) -> HeaderValue {
        value(format_args!("{self}"))
    }
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes { range, size: Some(size) } => {
                write!(f, "bytes {}-{}/{size}", range.first, range.last)
            }
            Self::Bytes { range, size: None } => {
                write!(f, "bytes {}-{}/*", range.first, range.last)
            }
            Self::Unsatisfied { size } => write!(f, "bytes */{size}"),
        }
    }
}

/// A number that fits; here too long a one is no number.
fn exact(digits: &[u8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn value(text: fmt::Arguments<'_>) -> HeaderValue {
    HeaderValue::from_str(&text.to_string()).expect("words and numbers are visible ASCII")
}
