//! Proof that the checker can fail: a sound body is clean however it is cut, and every class
//! of deviation is found and named, at any place and in any pieces.

use std::ops::Range;

use proptest::prelude::*;
use weir_benches_content::{CELL, Checker, Class, Content, Expected, Verdict};

const SIZE: u64 = 40 * CELL as u64 + 11;

/// Feeds `body` in pieces of the given lengths, repeated.
fn check(expected: Expected, body: &[u8], pieces: &[usize]) -> Verdict {
    let mut checker = Checker::new(expected);
    let mut rest = body;
    for &piece in pieces.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (now, later) = rest.split_at(piece.min(rest.len()));
        checker.push(now);
        rest = later;
    }
    assert_eq!(checker.received(), body.len() as u64);
    checker.finish()
}

fn content(version: u64) -> Content {
    Content::new(0xfeed, version, SIZE)
}

fn range() -> impl Strategy<Value = Range<u64>> {
    (0..SIZE, 1..=SIZE).prop_map(|(start, len)| start..(start + len).min(SIZE))
}

fn pieces() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(1usize..200, 1..5)
}

proptest! {
    #[test]
    fn a_sound_body_is_clean(range in range(), pieces in pieces()) {
        let body = content(3).bytes(range.clone());
        let expected = Expected::range(&content(3), range);
        prop_assert!(check(expected.clone(), &body, &pieces).is_clean());
        prop_assert!(check(expected.versions(2, 5), &body, &pieces).is_clean());
    }

    #[test]
    fn one_flipped_bit_is_found(
        range in range(), pieces in pieces(), place in any::<prop::sample::Index>(), bit in 0..8u32,
    ) {
        let mut body = content(3).bytes(range.clone()).to_vec();
        let place = place.index(body.len());
        body[place] ^= 1 << bit;
        let cell = (range.start + place as u64) / CELL as u64 * CELL as u64;
        let whole = range.start <= cell && cell + CELL as u64 <= range.end;
        let verdict = check(Expected::range(&content(3), range), &body, &pieces);
        prop_assert!(verdict.delivered() > 0, "{verdict}");
        prop_assert_eq!(verdict.count(Class::Short), 0);
        // In a part of a cell, a flip may make the version look like another one.
        if whole {
            prop_assert_eq!(verdict.total(), verdict.count(Class::Flipped), "{}", verdict);
        }
    }

    #[test]
    fn missing_and_surplus_bytes_are_counted(
        range in range(), pieces in pieces(), cut in any::<prop::sample::Index>(), more in 1usize..100,
    ) {
        let body = content(3).bytes(range.clone());
        let cut = cut.index(body.len());
        let expected = Expected::range(&content(3), range);
        let verdict = check(expected.clone(), &body[..cut], &pieces);
        prop_assert_eq!(verdict.count(Class::Short), (body.len() - cut) as u64);
        prop_assert_eq!(verdict.delivered(), 0);
        let long = [&body[..], &vec![0xaa; more]].concat();
        let verdict = check(expected, &long, &pieces);
        prop_assert_eq!(verdict.count(Class::Long), more as u64);
        prop_assert_eq!(verdict.total(), more as u64);
    }

    #[test]
    fn an_old_version_is_stale(range in range(), pieces in pieces()) {
        let body = content(2).bytes(range.clone());
        let verdict = check(Expected::range(&content(3), range.clone()), &body, &pieces);
        // A part of a cell that is equal in both versions cannot tell; a whole one can.
        if range.start.next_multiple_of(CELL as u64) + CELL as u64 <= range.end {
            prop_assert!(verdict.count(Class::Stale) >= CELL as u64, "{verdict}");
        }
        prop_assert_eq!(verdict.total(), verdict.count(Class::Stale));
    }

    #[test]
    fn two_versions_in_one_body_are_torn(pieces in pieces(), cut in CELL as u64..SIZE - 64) {
        let old = content(4).bytes(0..cut);
        let new = content(5).bytes(cut..SIZE);
        let body = [old, new].concat();
        let verdict = check(Expected::all(&content(5)).versions(1, 5), &body, &pieces);
        prop_assert!(verdict.count(Class::Torn) > 0, "{verdict}");
        prop_assert_eq!(verdict.count(Class::WrongRange) + verdict.count(Class::WrongObject), 0);
    }

    #[test]
    fn another_place_is_a_wrong_range(pieces in pieces(), shift in 1u64..500) {
        let body = content(3).bytes(shift..SIZE);
        let verdict = check(Expected::range(&content(3), 0..SIZE - shift), &body, &pieces);
        prop_assert!(verdict.count(Class::WrongRange) >= CELL as u64, "{verdict}");
        prop_assert_eq!(verdict.first.map(|(_, at)| at), Some(0));
    }

    #[test]
    fn another_object_is_named(pieces in pieces(), range in range(), shift in 0u64..40) {
        prop_assume!(range.end - range.start >= 4 * CELL as u64 && range.start >= shift);
        let other = Content::new(0xbad, 3, SIZE);
        let body = other.bytes(range.start - shift..range.end - shift);
        let verdict = check(Expected::range(&content(3), range), &body, &pieces);
        prop_assert!(verdict.count(Class::WrongObject) >= CELL as u64, "{verdict}");
        prop_assert_eq!(verdict.count(Class::WrongRange), 0);
    }
}

#[test]
fn bytes_dropped_in_the_middle_are_a_wrong_range() {
    let all = content(3).all();
    let body = [&all[..320], &all[325..]].concat();
    let verdict = Checker::check(Expected::all(&content(3)), &body);
    assert!(verdict.count(Class::WrongRange) > 800, "{verdict}");
    assert_eq!(verdict.count(Class::Short), 5);
    assert_eq!(verdict.first, Some((Class::WrongRange, 320)));
}

#[test]
fn padding_is_flipped_and_a_version_nobody_made_is_too() {
    let all = content(3).all();
    let body = [&all[..320], &vec![0; all.len() - 320][..]].concat();
    let verdict = Checker::check(Expected::all(&content(3)), &body);
    assert_eq!(verdict.count(Class::Flipped), SIZE - 320);
    let verdict = Checker::check(Expected::all(&content(3)), &content(9).all());
    assert_eq!(verdict.total(), verdict.count(Class::Flipped));
    assert!(verdict.total() >= 40 * CELL as u64, "{verdict}");
}

#[test]
fn a_torn_and_stale_body_is_both() {
    let body = [content(2).bytes(0..640), content(3).bytes(640..SIZE)].concat();
    let verdict = Checker::check(Expected::all(&content(3)), &body);
    assert_eq!(verdict.count(Class::Stale), 640);
    assert_eq!(verdict.count(Class::Torn), SIZE - 640);
}

#[test]
fn a_clean_verdict_says_so() {
    let verdict = Checker::check(Expected::all(&content(3)), &content(3).all());
    assert_eq!(verdict.to_string(), "clean");
    assert_eq!(verdict.version, Some(3));
    let mut sum = Verdict::default();
    sum.merge(&Checker::check(Expected::all(&content(3)), b""));
    assert_eq!(sum.to_string(), format!("first short at byte 0; short={SIZE}"));
}

/// Not a benchmark: a bound far below what the machine does, so that a slow checker is seen.
#[test]
fn checking_is_not_the_bottleneck() {
    let content = Content::new(1, 1, 16 << 20);
    let body = content.all();
    let begun = std::time::Instant::now();
    for _ in 0..8 {
        assert!(Checker::check(Expected::all(&content), &body).is_clean());
    }
    let rate = 8.0 * body.len() as f64 / begun.elapsed().as_secs_f64() / 1e9;
    println!("checked {rate:.1} GB/s");
    assert!(rate > 0.2, "{rate:.2} GB/s");
}
