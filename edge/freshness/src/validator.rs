//! Entity tags and their comparison (RFC 9110 §8.8).

use http::{HeaderMap, HeaderName, header};

/// An entity tag; `opaque` is what stands between the quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityTag<'a> {
    /// Written with `W/`.
    pub weak: bool,
    /// The tag without its quotes.
    pub opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    /// Parses one tag and nothing else (RFC 9110 §8.8.3).
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let (tag, rest) = Self::take(value.trim_ascii())?;
        rest.is_empty().then_some(tag)
    }

    /// The tag of a response.
    pub fn of(headers: &'a HeaderMap) -> Option<Self> {
        Self::parse(headers.get(header::ETAG)?.as_bytes())
    }

    /// RFC 9110 §8.8.3.2.
    pub fn strong_eq(&self, other: &EntityTag<'_>) -> bool {
        !self.weak && !other.weak && self.opaque == other.opaque
    }

    /// RFC 9110 §8.8.3.2.
    pub fn weak_eq(&self, other: &EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }

    fn take(value: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (weak, rest) = match value.strip_prefix(b"W/") {
            Some(rest) => (true, rest),
            None => (false, value),
        };
        let rest = rest.strip_prefix(b"\"")?;
        let end = rest.iter().position(|byte| *byte == b'"')?;
        let (opaque, rest) = rest.split_at(end);
        let valid = opaque.iter().all(|byte| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..));
        valid.then_some((Self { weak, opaque }, &rest[1..]))
    }
}

/// Whether any tag of an `If-Match` or `If-None-Match` does what `compare` asks. `*` does,
/// as the representation exists. Members that are no tags match nothing.
pub(crate) fn any_matches(
    headers: &HeaderMap,
    name: &HeaderName,
    compare: impl Fn(&EntityTag<'_>) -> bool,
) -> bool {
    headers.get_all(name).iter().any(|line| {
        let mut rest = line.as_bytes().trim_ascii();
        if rest == b"*" {
            return true;
        }
        while !rest.is_empty() {
            match EntityTag::take(rest) {
                Some((tag, _)) if compare(&tag) => return true,
                Some((_, after)) => rest = after,
                // Not a tag: on to the next member.
                None => {}
            }
            let next = rest.iter().position(|byte| *byte == b',');
            rest = next.map_or(&[][..], |comma| rest[comma + 1..].trim_ascii_start());
        }
        false
    })
}
