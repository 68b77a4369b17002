//! Bytes and words of HTTP/1.1: what may stand where, and the front of what is compared.

use crate::wire::Fault;

/// All that a version may be, but for its last byte.
const HTTP: &[u8] = b"HTTP/1.";

/// Bytes of a version.
pub(super) const VERSION: usize = HTTP.len() + 1;

/// Whether a version may have `byte` behind `before` others.
pub(super) fn version(before: usize, byte: u8) -> bool {
    match HTTP.get(before) {
        Some(wanted) => byte == *wanted,
        None => before == HTTP.len() && matches!(byte, b'0' | b'1'),
    }
}

/// RFC 9112 §2.2: a CR is followed by LF, or the message means two things.
pub(super) fn line_end<T>(byte: u8, next: T) -> Result<T, Fault> {
    if byte == b'\n' { Ok(next) } else { Err(Fault::LineEnd) }
}

/// How many bytes from the front may stand in a value.
pub(super) fn plain(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| !is_plain(*byte)).unwrap_or(bytes.len())
}

/// RFC 9110 §5.5, with what is obsolete and harmless in it.
pub(super) fn is_plain(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// RFC 9110 §5.6.2.
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Digits and nothing else.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    crate::message::length(digits)
}

/// The front of a name or a value, as far as anybody asks.
#[derive(Debug)]
pub(super) struct Small<const N: usize> {
    bytes: [u8; N],
    /// One more than fits where there was more.
    length: usize,
}

impl<const N: usize> Default for Small<N> {
    fn default() -> Self {
        Self { bytes: [0; N], length: 0 }
    }
}

impl<const N: usize> Small<N> {
    pub(super) fn clear(&mut self) {
        self.length = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(super) fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
        }
        self.length = (self.length + 1).min(N + 1);
    }

    /// None where it was longer.
    pub(super) fn get(&self) -> Option<&[u8]> {
        self.bytes.get(..self.length)
    }
}
