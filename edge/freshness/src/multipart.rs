//! Several ranges in one answer (RFC 9110 §14.6, §15.3.7.2).

use http::HeaderValue;

use crate::range::{ByteRange, ContentRange};

/// The frame around the parts of a `multipart/byteranges` body.
#[derive(Debug, Clone, Copy)]
pub struct Multipart<'a> {
    /// 1 to 70 letters and digits that do not occur in the body; random.
    pub boundary: &'a str,
    /// `Content-Type` of the whole, where it has one.
    pub content_type: Option<&'a HeaderValue>,
    /// Size of the whole.
    pub size: u64,
    /// The parts, in the order in which they are sent.
    pub ranges: &'a [ByteRange],
}

impl Multipart<'_> {
    /// `Content-Type` of the answer.
    pub fn content_type(&self) -> HeaderValue {
        HeaderValue::try_from(format!("multipart/byteranges; boundary={}", self.boundary))
            .expect("a boundary is letters and digits")
    }

    /// What goes before the bytes of one of the ranges.
    pub fn head(&self, range: ByteRange) -> Vec<u8> {
        let mut head = format!("\r\n--{}\r\n", self.boundary).into_bytes();
        if let Some(content_type) = self.content_type {
            head.extend_from_slice(b"Content-Type: ");
            head.extend_from_slice(content_type.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        let content_range = ContentRange::Bytes { range, size: Some(self.size) };
        head.extend_from_slice(format!("Content-Range: {content_range}\r\n\r\n").as_bytes());
        head
    }

    /// What goes after the last range.
    pub fn tail(&self) -> Vec<u8> {
        format!("\r\n--{}--\r\n", self.boundary).into_bytes()
    }

    /// `Content-Length` of the answer; the greatest number where it would be beyond that.
    pub fn length(&self) -> u64 {
        let frames = self.ranges.iter().map(|range| self.head(*range).len() as u64);
        let bytes = self.ranges.iter().map(ByteRange::len);
        let whole = frames.chain(bytes).fold(0_u64, u64::saturating_add);
        whole.saturating_add(self.tail().len() as u64)
    }
}
