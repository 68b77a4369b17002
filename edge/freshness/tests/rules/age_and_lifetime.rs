//! RFC 9111 §4.2: lifetimes, ages, and what requests accept.

use http::StatusCode;
use weir_edge_freshness::{
    Flags, Freshness, Lifetime, RequestControl, Rules, age_value, date, freshness_lifetime,
    initial_age,
};

use crate::{NOW, at, headers};

// RFC 9111 §4.2.1
// RFC 9111 §5.3 [expires.max-age, expires.s-maxage]
#[test]
fn rfc9111_4_2_1_lifetime() {
    let (hour, ago) = (at(3600), at(-60));
    let check = |fields: &[(&str, &str)], expected: Option<u64>| {
        let lifetime = freshness_lifetime(&headers(fields), NOW * 1000 + 500);
        assert_eq!(lifetime, expected.map(|seconds| seconds * 1000), "{fields:?}");
    };
    check(&[], None);
    check(&[("cache-control", "public")], None);
    check(&[("cache-control", "max-age=60")], Some(60));
    check(&[("cache-control", "max-age=60, s-maxage=5")], Some(5));
    check(&[("cache-control", "s-maxage=5, max-age=60")], Some(5));
    check(&[("cache-control", "max-age=60"), ("expires", &hour)], Some(60));
    check(&[("cache-control", "s-maxage=60"), ("expires", &hour)], Some(60));
    check(&[("cache-control", "max-age=0"), ("expires", &hour)], Some(0));
    check(&[("expires", &hour), ("date", &ago)], Some(3660));
    // Without Date from when it came.
    check(&[("expires", &hour)], Some(3600));
    check(&[("expires", &ago)], Some(0));
    // RFC 9111 §5.3 [expires.invalid]
    check(&[("expires", "0")], Some(0));
    check(&[("expires", "tomorrow"), ("date", &ago)], Some(0));
    check(&[("expires", &ago), ("expires", &hour)], Some(0));
    // RFC 9213 §2.2: neither Cache-Control nor Expires count.
    check(&[("cdn-cache-control", "public"), ("expires", &hour)], None);
    check(&[("cdn-cache-control", "max-age=7"), ("cache-control", "s-maxage=1")], Some(7));
}

#[test]
fn the_default_is_for_good_responses_that_say_nothing() {
    let rules = Rules { default_ttl_millis: Some(9000), ..Rules::default() };
    let check = |status: u16, fields: &[(&str, &str)], expected: u64| {
        let status = StatusCode::from_u16(status).unwrap();
        let lifetime = Lifetime::of(status, &headers(fields), NOW * 1000, NOW * 1000, &rules);
        assert_eq!(lifetime.lifetime_millis, expected, "{status} {fields:?}");
    };
    check(200, &[], 9000);
    // Before a guess.
    check(200, &[("last-modified", &at(-3600))], 9000);
    check(200, &[("cache-control", "max-age=0")], 0);
    check(200, &[("expires", "0")], 0);
    check(301, &[], 9000);
    for status in [204, 302, 404, 410, 500, 503] {
        check(status, &[], 0);
    }
    // Of what is not there, in milliseconds.
    let rules = Rules { negative_ttl_millis: Some(250), ..rules };
    let lifetime = |status: u16, fields: &[(&str, &str)]| {
        let status = StatusCode::from_u16(status).unwrap();
        Lifetime::of(status, &headers(fields), 0, 0, &rules).lifetime_millis
    };
    assert_eq!((lifetime(404, &[]), lifetime(410, &[]), lifetime(405, &[])), (250, 250, 0));
    assert_eq!(lifetime(404, &[("cache-control", "max-age=2")]), 2000);
}

// RFC 9111 §4.2.2 [heuristic.explicit, heuristic.statuses]
#[test]
fn rfc9111_4_2_2_heuristics() {
    let check_with = |rules: &Rules, status: u16, fields: &[(&str, &str)], expected: u64| {
        let status = StatusCode::from_u16(status).unwrap();
        let lifetime = Lifetime::of(status, &headers(fields), NOW * 1000, NOW * 1000, rules);
        assert_eq!(lifetime.lifetime_millis, expected, "{status} {fields:?}");
        assert_eq!(lifetime.flags.has(Flags::HEURISTIC), expected > 0, "{status} {fields:?}");
    };
    let (hour, made, now) = (at(-3600), at(-60), at(0));
    let check = |status, fields: &[(&str, &str)], expected| {
        check_with(&Rules::default(), status, fields, expected);
    };
    for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
        check(status, &[("last-modified", &hour)], 360_000);
    }
    // [heuristic.statuses]: others only where the response is called public.
    for status in [201, 202, 302, 403, 500, 502, 503, 504, 599] {
        check(status, &[("last-modified", &hour)], 0);
        check(status, &[("last-modified", &hour), ("cache-control", "public")], 360_000);
    }
    // Counted to its Date, and for a day at most.
    check(200, &[("last-modified", &hour), ("date", &made)], 354_000);
    check(200, &[("last-modified", &at(-86_400 * 365))], 86_400_000);
    check(200, &[("last-modified", &now)], 0);
    check(200, &[("last-modified", &at(50))], 0);
    check(200, &[("last-modified", "yesterday")], 0);
    // [heuristic.explicit]: never beside a time that is told, whatever that says.
    for (name, value) in
        [("cache-control", "max-age=0"), ("cache-control", "s-maxage=0"), ("expires", "0")]
    {
        check(200, &[("last-modified", &hour), (name, value)], 0);
    }
    let none = Rules { heuristic_max_millis: None, ..Rules::default() };
    check_with(&none, 200, &[("last-modified", &hour)], 0);
}

// RFC 9111 §4.2.3 [age.request]
#[test]
fn rfc9111_4_2_3_age() {
    let ago = at(-10);
    let check = |fields: &[(&str, &str)], delay: u64, expected: u64| {
        let came = NOW * 1000;
        assert_eq!(initial_age(&headers(fields), came - delay, came), expected, "{fields:?}");
    };
    check(&[], 0, 0);
    check(&[], 250, 250);
    check(&[("age", "5")], 250, 5250);
    check(&[("date", &ago)], 250, 10_000);
    check(&[("date", &ago), ("age", "20")], 250, 20_250);
    // A clock of the origin's that is ahead makes nothing younger than 0.
    check(&[("date", &at(50))], 0, 0);
    // RFC 9111 §5.1 [age.list]
    check(&[("age", "5, 9")], 0, 5000);
    check(&[("age", "5"), ("age", "9")], 0, 5000);
    check(&[("age", "0"), ("age", "7200")], 0, 0);
    // RFC 9111 §5.1 [age.invalid]
    for invalid in ["-5", "x", "7200.0", "7200;foo=bar", "", "x, 7200"] {
        check(&[("age", invalid)], 0, 0);
    }
    // RFC 9111 §1.2.2 [delta.overflow]
    check(&[("age", "99999999999999999999")], 0, (1 << 31) * 1000);
    assert_eq!(age_value(61_999), "61");
    assert_eq!(age_value(u64::MAX), "2147483648");
}

fn lifetime(lifetime_millis: u64, flags: Flags) -> Lifetime {
    Lifetime { lifetime_millis, initial_age_millis: 1000, response_millis: 50_000, flags }
}

// RFC 9111 §4.2: fresh while the lifetime exceeds the age.
// RFC 9111 §4 [reuse.no-cache, reuse.fresh]
// RFC 9111 §5.2.2.2 [must-revalidate.stale]
// RFC 9111 §5.2.2.4 [no-cache.unqualified]
#[test]
fn rfc9111_4_2_freshness() {
    let none = Flags::default();
    let check = |flags: Flags, now: u64, expected: Freshness| {
        assert_eq!(lifetime(10_000, flags).freshness(now), expected, "{flags:?} at {now}");
    };
    check(none, 50_000, Freshness::Fresh { remaining_millis: 9000 });
    check(none, 58_999, Freshness::Fresh { remaining_millis: 1 });
    check(none, 59_000, Freshness::Stale { by_millis: 0 });
    check(none, 60_500, Freshness::Stale { by_millis: 1500 });
    // A clock set back.
    check(none, 0, Freshness::Fresh { remaining_millis: 9000 });
    check(none, u64::MAX, Freshness::Stale { by_millis: u64::MAX - 50_000 + 1000 - 10_000 });
    check(Flags::MUST_REVALIDATE, 58_999, Freshness::Fresh { remaining_millis: 1 });
    check(Flags::MUST_REVALIDATE, 59_000, Freshness::MustRevalidate);
    check(Flags::NO_CACHE, 50_000, Freshness::MustRevalidate);
}

// What a shared cache takes for must-revalidate.
// RFC 9111 §5.2.2.2 [must-revalidate.always]
// RFC 9111 §5.2.2.8 [proxy-revalidate]
// RFC 9111 §5.2.2.10 [s-maxage.stale]
#[test]
fn rfc9111_5_2_2_flags() {
    for (text, expected) in [
        ("max-age=1", Flags::default()),
        ("no-cache", Flags::NO_CACHE),
        ("must-revalidate", Flags::MUST_REVALIDATE),
        ("proxy-revalidate", Flags::MUST_REVALIDATE),
        ("s-maxage=1", Flags::MUST_REVALIDATE),
        ("immutable", Flags::IMMUTABLE),
        ("no-transform", Flags::NO_TRANSFORM),
    ] {
        let headers = headers(&[("cache-control", text)]);
        let lifetime = Lifetime::of(StatusCode::OK, &headers, 0, 0, &Rules::default());
        assert_eq!(lifetime.flags, expected, "{text}");
    }
}

// RFC 9111 §5.2.1
#[test]
fn rfc9111_5_2_1_what_requests_accept() {
    let none = Flags::default();
    // Ten seconds of lifetime, age 1 s at 50,000.
    let check = |text: &str, flags: Flags, now: u64, expected: bool| {
        let request = RequestControl::parse(&headers(&[("cache-control", text)]));
        let satisfied = lifetime(10_000, flags).satisfies(&request, now);
        assert_eq!(satisfied, expected, "{text:?} {flags:?} at {now}");
    };
    check("", none, 50_000, true);
    check("", none, 59_000, false);
    check("no-cache", none, 50_000, false);
    check("max-age=0", none, 50_000, false);
    check("max-age=5", none, 54_000, true);
    check("max-age=5", none, 54_001, false);
    check("min-fresh=9", none, 50_000, true);
    check("min-fresh=9", none, 50_001, false);
    check("max-stale", none, 5_000_000, true);
    check("max-stale=2", none, 61_000, true);
    check("max-stale=2", none, 61_001, false);
    check("max-stale=2, max-age=11", none, 61_000, false);
    check("max-stale", Flags::MUST_REVALIDATE, 61_000, false);
    check("max-stale", Flags::NO_CACHE, 50_000, false);
}

// RFC 9110 §5.6.7
// RFC 9111 §4.2 [date.resolution, date.zone]
#[test]
fn rfc9110_5_6_7_dates() {
    for (text, expected) in [
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
        ("Sun Nov  6 08:49:37 1994", Some(784_111_777)),
        // RFC 9111 §4.2 [date.case]
        ("sun, 06 NOV 1994 08:49:37 gmT", Some(784_111_777)),
        ("SUNDAY, 06-nov-94 08:49:37 GMT", Some(784_111_777)),
        ("sun nov  6 08:49:37 1994", Some(784_111_777)),
        // The day of the week says nothing of its own.
        ("Mon, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
        ("Friday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
        ("Thu Aug  8 02:01:18 2050", Some(2_543_536_878)),
        ("Son, 06 Nov 1994 08:49:37 GMT", None),
        ("Sonnabend, 06-Nov-94 08:49:37 GMT", None),
        // RFC 9111 §4.2 [date.gmt]
        ("Sun, 06 Nov 1994 08:49:37 UTC", None),
        ("Sun, 06 Nov 1994 08:49:37 AEST", None),
        ("Sun, 06 Nov 1994 08:49:37 +0000", None),
        ("Sunday, 06-Nov-1994 08:49:37 GMT and more", None),
        ("", None),
        ("0", None),
        ("-1", None),
        ("Sun, 06 Nov 1994 08:49:37", None),
        ("Sun, 06 Nov 1894 08:49:37 GMT", None),
        ("Sun, 31 Feb 2021 08:49:37 GMT", None),
    ] {
        assert_eq!(date::parse(text.as_bytes()), expected, "{text}");
    }
    assert_eq!(date::format(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(date::format(u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
}
