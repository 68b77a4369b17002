//! Parsing of `Cache-Control` and its targeted forms.

use weir_edge_freshness::{
    CacheControl, RequestControl, Targeted, control::SECONDS_MAX, response_control,
};

use crate::headers;

#[track_caller]
fn check(lines: &[&str], expected: CacheControl) {
    let fields: Vec<_> = lines.iter().map(|line| ("cache-control", *line)).collect();
    assert_eq!(response_control(&headers(&fields)).0, expected, "{lines:?}");
}

fn none() -> CacheControl {
    CacheControl::default()
}

// Names in any case, both forms of arguments.
// RFC 9111 §5.2.2 [response.obey]
// RFC 9111 §5.2.3 [directives.unknown]
#[test]
fn rfc9111_5_2_directives() {
    let max_age = |seconds| CacheControl { max_age: Some(seconds), ..none() };
    check(&[], none());
    check(&[""], none());
    check(&["max-age=60"], max_age(60));
    check(&["Max-AGE=60"], max_age(60));
    check(&["max-age=\"60\""], max_age(60));
    check(&[" , ,max-age=60 ,"], max_age(60));
    check(&["max-age = 60"], max_age(60));
    check(&["community=\"UCI\", max-age=60, x=y"], max_age(60));
    // A comma inside quotes separates nothing.
    check(&["x=\"a, no-store, \\\"\", max-age=60"], max_age(60));
    // A quote that never closes swallows the rest.
    check(&["max-age=60, x=\"a, no-store"], max_age(60));
    check(&["no store, max-age=60"], max_age(60));
    check(&["no-store=1"], CacheControl { no_store: true, ..none() });
    check(&["max-age=60", "no-cache"], CacheControl { no_cache: true, ..max_age(60) });
    check(
        &["public, must-revalidate, proxy-revalidate, no-transform, immutable, must-understand"],
        CacheControl {
            public: true,
            must_revalidate: true,
            proxy_revalidate: true,
            no_transform: true,
            immutable: true,
            must_understand: true,
            ..none()
        },
    );
    check(
        &["s-maxage=5, stale-while-revalidate=6, stale-if-error=7"],
        CacheControl {
            s_maxage: Some(5),
            stale_while_revalidate: Some(6),
            stale_if_error: Some(7),
            ..none()
        },
    );
}

// With field names they count as a whole.
// RFC 9111 §5.2.2.4 [no-cache.qualified]
// RFC 9111 §5.2.2.7 [private.qualified]
#[test]
fn rfc9111_5_2_2_qualified_forms() {
    check(&["private=\"set-cookie\""], CacheControl { private: true, ..none() });
    check(&["no-cache=\"a, b\", public"], CacheControl { no_cache: true, public: true, ..none() });
}

// RFC 9111 §1.2.2 [delta.overflow]
// RFC 9111 §4.2.1 [lifetime.conflict, lifetime.invalid]
#[test]
fn rfc9111_4_2_1_bad_and_repeated_numbers() {
    let max_age = |seconds| CacheControl { max_age: Some(seconds), ..none() };
    for (text, seconds) in [
        ("max-age=0", 0),
        ("max-age=-1", 0),
        ("max-age=1.5", 0),
        ("max-age=x", 0),
        ("max-age", 0),
        ("max-age=", 0),
        ("max-age=\"", 0),
        ("max-age=60s", 0),
        ("max-age=007", 7),
        ("max-age=2147483648", SECONDS_MAX),
        ("max-age=99999999999999999999999999", SECONDS_MAX),
        // The first occurrence counts.
        ("max-age=10, max-age=20", 10),
    ] {
        check(&[text], max_age(seconds));
    }
    check(&["max-age=20", "max-age=10"], max_age(20));
}

#[track_caller]
fn check_targeted(fields: &[(&str, &str)], targeted: Targeted, max_age: Option<u64>) {
    let (control, from) = response_control(&headers(fields));
    assert_eq!((from, control.max_age), (targeted, max_age), "{fields:?}");
}

// RFC 9213 §2.1 and §2.2.
#[test]
fn rfc9213_targeted_fields() {
    let plain = ("cache-control", "max-age=1");
    check_targeted(&[plain], Targeted::None, Some(1));
    check_targeted(&[plain, ("cdn-cache-control", "max-age=600")], Targeted::Cdn, Some(600));
    check_targeted(
        &[plain, ("cdn-cache-control", "no-store"), ("cdn-cache-control", "max-age=2")],
        Targeted::Cdn,
        Some(2),
    );
    // Not a dictionary, or an empty one: as if it were not there.
    for broken in ["max-age=600,,", "\"", "max-age==1", "", "Max-Age=6", "max-age=600, \u{e9}"] {
        check_targeted(&[plain, ("cdn-cache-control", broken)], Targeted::None, Some(1));
    }
    // Members of the wrong type do not count, the others do.
    for (text, max_age) in [
        ("max-age=\"600\"", None),
        ("max-age", None),
        ("max-age=1.5", None),
        ("max-age=-5", Some(0)),
    ] {
        check_targeted(&[plain, ("cdn-cache-control", text)], Targeted::Cdn, max_age);
    }
    let (control, _) =
        response_control(&headers(&[("cdn-cache-control", "private=\"a\", no-store=?0")]));
    assert!(control.private && !control.no_store);
}

#[test]
fn surrogate_control_counts_where_it_says_how_long() {
    let plain = ("cache-control", "private");
    check_targeted(&[plain, ("surrogate-control", "max-age=60+30")], Targeted::Surrogate, Some(60));
    check_targeted(&[plain, ("surrogate-control", "x, Max-Age=6")], Targeted::Surrogate, Some(6));
    check_targeted(&[plain, ("surrogate-control", "no-store")], Targeted::Surrogate, None);
    check_targeted(&[plain, ("surrogate-control", "no-store-remote")], Targeted::Surrogate, None);
    check_targeted(&[plain, ("surrogate-control", "content=\"ESI/1.0\"")], Targeted::None, None);
    check_targeted(&[plain, ("surrogate-control", "private, max-age")], Targeted::None, None);
    // What is for somebody else is not for us.
    check_targeted(&[plain, ("surrogate-control", "max-age=60;abc")], Targeted::None, None);
    check_targeted(
        &[plain, ("surrogate-control", "max-age=60;abc, max-age=7, content=\"ESI/1.0\";abc")],
        Targeted::Surrogate,
        Some(7),
    );
    check_targeted(
        &[("cdn-cache-control", "max-age=5"), ("surrogate-control", "max-age=60")],
        Targeted::Cdn,
        Some(5),
    );
    let control = response_control(&headers(&[("surrogate-control", "max-age=60+30")])).0;
    assert_eq!((control.stale_while_revalidate, control.stale_if_error), (Some(30), Some(30)));
    // Not so in the other fields.
    check(&["max-age=60+30"], CacheControl { max_age: Some(0), ..none() });
}

// RFC 9111 §5.2.1 and §5.4.
#[test]
fn rfc9111_5_2_1_request_directives() {
    let check = |fields: &[(&str, &str)], expected: RequestControl| {
        assert_eq!(RequestControl::parse(&headers(fields)), expected, "{fields:?}");
    };
    let none = RequestControl::default();
    check(&[], none);
    check(&[("cache-control", "no-cache")], RequestControl { no_cache: true, ..none });
    check(&[("pragma", "no-cache")], RequestControl { no_cache: true, ..none });
    check(&[("pragma", "x, No-Cache")], RequestControl { no_cache: true, ..none });
    // Pragma says nothing beside Cache-Control.
    check(
        &[("pragma", "no-cache"), ("cache-control", "max-age=5")],
        RequestControl { max_age: Some(5), ..none },
    );
    check(
        &[("cache-control", "no-store, only-if-cached, max-stale, min-fresh=3")],
        RequestControl {
            no_store: true,
            only_if_cached: true,
            max_stale: Some(SECONDS_MAX),
            min_fresh: Some(3),
            ..none
        },
    );
    check(&[("cache-control", "max-stale=9")], RequestControl { max_stale: Some(9), ..none });
    check(&[("cache-control", "max-stale=x")], RequestControl { max_stale: Some(0), ..none });
    // RFC 5861 §4.
    check(
        &[("cache-control", "stale-if-error=8")],
        RequestControl { stale_if_error: Some(8), ..none },
    );
}
