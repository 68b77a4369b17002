//! `Range`, `Content-Range` and the frame of several parts (RFC 9110 §14).

use http::{HeaderMap, HeaderValue, header};
use weir_edge_freshness::{ByteRange, ContentRange, Multipart, RANGES_MAX, Selection, select};

use crate::fields::prefix;

pub(crate) fn run(input: &[u8]) {
    let (size, text) = prefix::<8>(input);
    // Small sizes are where the boundaries are.
    let size = u64::from_le_bytes(size);
    for size in [size, size % 1000] {
        selected(text, size);
    }
    if let Some(range) = ContentRange::parse(text) {
        let again = ContentRange::parse(range.value().as_bytes());
        assert_eq!(again, Some(range), "it reads what it wrote");
    }
}

fn selected(text: &[u8], size: u64) {
    let Ok(value) = HeaderValue::from_bytes(text) else { return };
    let request = HeaderMap::from_iter([(header::RANGE, value)]);
    let Selection::Ranges(ranges) = select(&request, size) else { return };
    assert!((1..=RANGES_MAX).contains(&ranges.len()), "{ranges:?}");
    for (at, range) in ranges.iter().enumerate() {
        assert!(range.first <= range.last && range.last < size, "{range:?} of {size}");
        let apart = |other: &ByteRange| other.last < range.first || range.last < other.first;
        assert!(ranges[..at].iter().all(apart), "{ranges:?} overlap");
        let alone = format!("bytes={}-{}", range.first, range.last).parse().expect("digits");
        let alone = HeaderMap::from_iter([(header::RANGE, alone)]);
        assert_eq!(select(&alone, size), Selection::Ranges(vec![*range]));
    }
    let parts = Multipart { boundary: "b", content_type: None, size, ranges: &ranges };
    let bytes: u64 = ranges.iter().map(ByteRange::len).sum();
    assert!(bytes <= size, "nothing is sent twice");
    assert!(parts.length() > bytes || bytes == u64::MAX, "frames have a length");
}
