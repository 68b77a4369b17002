//! RFC 9110 §14: ranges against a size, and against a naive model.

use proptest::prelude::*;
use weir_edge_freshness::{ByteRange, ContentRange, Selection, select};

use crate::headers;

fn range(first: u64, last: u64) -> ByteRange {
    ByteRange { first, last }
}

fn ranges(all: &[(u64, u64)]) -> Selection {
    Selection::Ranges(all.iter().map(|(first, last)| range(*first, *last)).collect())
}

#[track_caller]
fn check(value: &str, size: u64, expected: &Selection) {
    assert_eq!(select(&headers(&[("range", value)]), size), *expected, "{value:?} of {size}");
}

// RFC 9110 §14.1.2
#[test]
fn rfc9110_14_1_2_single_ranges() {
    check("bytes=0-499", 10_000, &ranges(&[(0, 499)]));
    check("bytes=500-999", 10_000, &ranges(&[(500, 999)]));
    check("bytes=-500", 10_000, &ranges(&[(9500, 9999)]));
    check("bytes=9500-", 10_000, &ranges(&[(9500, 9999)]));
    check("bytes=0-", 1, &ranges(&[(0, 0)]));
    check("BYTES=0-0", 10, &ranges(&[(0, 0)]));
    check("bytes=5-99999", 10, &ranges(&[(5, 9)]));
    check("bytes=-99999", 10, &ranges(&[(0, 9)]));
    check("bytes=10-", 10, &Selection::Unsatisfiable);
    check("bytes=-0", 10, &Selection::Unsatisfiable);
    check("bytes=0-", 0, &Selection::Unsatisfiable);
    // Satisfiable, but a Content-Range cannot say so.
    check("bytes=-5", 0, &Selection::Whole);
}

#[test]
fn numbers_beyond_64_bits_are_beyond_every_size() {
    let huge = "99999999999999999999999999";
    check(&format!("bytes=0-{huge}"), 10, &ranges(&[(0, 9)]));
    check(&format!("bytes=-{huge}"), 10, &ranges(&[(0, 9)]));
    check(&format!("bytes={huge}-"), 10, &Selection::Unsatisfiable);
    check(&format!("bytes={huge}-{huge}"), 10, &Selection::Unsatisfiable);
    check("bytes=0-18446744073709551615", u64::MAX, &ranges(&[(0, u64::MAX - 1)]));
    check("bytes=-1", u64::MAX, &ranges(&[(u64::MAX - 1, u64::MAX - 1)]));
}

// RFC 9110 §14.2: what is not understood or not valid is ignored.
#[test]
fn rfc9110_14_2_ignored() {
    for value in [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=5-4",
        "bytes=a-b",
        "bytes=1",
        "bytes=0 - 1",
        "bytes=0 -1",
        "bytes=0- 1",
        "bytes=- 1",
        "bytes =0-1",
        "bytes=1-2-3",
        "bytes=0-1;x",
        "bytes=+1-2",
        "bytes=0x1-2",
        "items=0-1",
        "bytes 0-1",
        "bytes=0-1, 5-4",
        "bytes=0-1, x",
        "0-1",
        "=0-1",
    ] {
        check(value, 10, &Selection::Whole);
    }
    let twice = headers(&[("range", "bytes=0-1"), ("range", "bytes=3-4")]);
    assert_eq!(select(&twice, 10), Selection::Whole);
    assert_eq!(select(&headers(&[]), 10), Selection::Whole);
}

#[test]
fn rfc9110_14_2_several_ranges() {
    check("bytes=0-1, 4-5", 10, &ranges(&[(0, 1), (4, 5)]));
    check("bytes=4-5,,0-1", 10, &ranges(&[(4, 5), (0, 1)]));
    check("bytes=0-1, 2-3", 10, &ranges(&[(0, 1), (2, 3)]));
    // What is beyond the end is left out.
    check("bytes=0-1, 50-60", 10, &ranges(&[(0, 1)]));
    check("bytes=50-60, 70-", 10, &Selection::Unsatisfiable);
    // Overlaps and too many are not honoured.
    check("bytes=0-5, 5-9", 10, &Selection::Whole);
    check("bytes=0-, -1", 10, &Selection::Whole);
    check(
        "bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7",
        10,
        &ranges(&[(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 7)]),
    );
    check("bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8", 10, &Selection::Whole);
    check("bytes=50-,51-,52-,53-,54-,55-,56-,57-,58-", 10, &Selection::Whole);
}

/// A member as it is written: first and last, or a suffix.
#[derive(Debug, Clone, Copy)]
enum Member {
    Span(u64, Option<u64>),
    Suffix(u64),
}

impl Member {
    fn text(self) -> String {
        match self {
            Self::Span(first, Some(last)) => format!("{first}-{last}"),
            Self::Span(first, None) => format!("{first}-"),
            Self::Suffix(length) => format!("-{length}"),
        }
    }

    /// Byte by byte.
    fn bytes(self, size: u64) -> Vec<u64> {
        (0..size)
            .filter(|place| match self {
                Self::Span(first, last) => *place >= first && last.is_none_or(|l| *place <= l),
                Self::Suffix(length) => *place + length >= size,
            })
            .collect()
    }
}

fn member() -> impl Strategy<Value = Member> {
    prop_oneof![
        (0..40_u64, prop::option::of(0..40_u64)).prop_map(|(a, b)| Member::Span(a, b)),
        (0..40_u64).prop_map(Member::Suffix),
    ]
}

proptest! {
    #[test]
    fn agrees_with_a_naive_model(
        size in 1..32_u64,
        members in prop::collection::vec(member(), 1..11),
    ) {
        let text: Vec<_> = members.iter().map(|member| member.text()).collect();
        let found = select(&headers(&[("range", &format!("bytes={}", text.join(",")))]), size);
        let invalid = members.iter().any(|m| matches!(m, Member::Span(a, Some(b)) if b < a));
        let wanted: Vec<_> = members.iter().map(|member| member.bytes(size)).collect();
        let all: Vec<u64> = wanted.iter().flatten().copied().collect();
        let overlapping = {
            let mut sorted = all.clone();
            sorted.sort_unstable();
            sorted.dedup();
            sorted.len() != all.len()
        };
        match found {
            Selection::Whole => prop_assert!(invalid || members.len() > 8 || overlapping),
            Selection::Unsatisfiable => prop_assert!(!invalid && all.is_empty()),
            Selection::Ranges(ranges) => {
                prop_assert!(!invalid && !overlapping && members.len() <= 8);
                let given: Vec<u64> =
                    ranges.iter().flat_map(|range| range.first..range.end()).collect();
                prop_assert_eq!(given, all);
                prop_assert!(ranges.iter().all(|range| range.len() > 0 && range.last < size));
            }
        }
    }

    #[test]
    fn content_range_comes_back(first in any::<u64>(), length in 1..1_000_000_u64, more in prop::option::of(1..1000_u64)) {
        let first = first.min(u64::MAX - 2_000_000);
        let range = ByteRange { first, last: first + length - 1 };
        let sent = ContentRange::Bytes { range, size: more.map(|more| range.last + more) };
        prop_assert_eq!(ContentRange::parse(sent.value().as_bytes()), Some(sent));
    }
}

// RFC 9110 §14.4
#[test]
fn rfc9110_14_4_content_range() {
    let check = |value: &str, expected: Option<ContentRange>| {
        assert_eq!(ContentRange::parse(value.as_bytes()), expected, "{value:?}");
    };
    let bytes = |first, last, size| Some(ContentRange::Bytes { range: range(first, last), size });
    check("bytes 0-9/10", bytes(0, 9, Some(10)));
    check("bytes 42-1233/1234", bytes(42, 1233, Some(1234)));
    check("bytes 0-9/*", bytes(0, 9, None));
    check("Bytes 0-9/10", bytes(0, 9, Some(10)));
    check("bytes */1234", Some(ContentRange::Unsatisfied { size: 1234 }));
    for broken in [
        "",
        "bytes",
        "bytes ",
        "bytes 0-9",
        "bytes 0-9/",
        "bytes 9-0/10",
        "bytes 0-10/10",
        "bytes -/10",
        "bytes 0-/10",
        "bytes */*",
        "bytes 0-9/x",
        "items 0-9/10",
        "bytes=0-9/10",
        "bytes 0-9/10/10",
        "bytes 0-18446744073709551616/*",
        "bytes 0-18446744073709551615/*",
        "bytes 0-9/-1",
        "bytes  0-9/10",
    ] {
        check(broken, None);
    }
    assert_eq!(ContentRange::Unsatisfied { size: 3 }.value(), "bytes */3");
    let twice = headers(&[("content-range", "bytes 0-1/2"), ("content-range", "bytes 0-1/2")]);
    assert_eq!(ContentRange::of(&twice), None);
}
