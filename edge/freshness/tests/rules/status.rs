//! RFC 9211: the field as it is written, read again by a parser that is not ours.

use http::{HeaderMap, StatusCode};
use sfv::{List, Parser};
use weir_edge_freshness::{CacheStatus, Forward};

#[track_caller]
fn check(cache: &str, status: &CacheStatus<'_>, expected: &str) {
    let value = status.value(cache);
    assert_eq!(value, expected);
    let list = Parser::new(value.as_bytes()).parse::<List>().expect("RFC 9651 list");
    assert_eq!(list.len(), 1);
}

#[test]
fn rfc9211_2_members() {
    let none = CacheStatus::default();
    check("edge-1", &none, "edge-1; hit");
    check("edge-1", &CacheStatus { ttl: Some(376), ..none }, "edge-1; hit; ttl=376");
    check("edge-1", &CacheStatus { ttl: Some(-412), ..none }, "edge-1; hit; ttl=-412");
    check(
        "edge-1",
        &CacheStatus { ttl: Some(i64::MIN), ..none },
        "edge-1; hit; ttl=-999999999999999",
    );
    let miss = CacheStatus { fwd: Some(Forward::UriMiss), stored: true, ..none };
    check("edge-1", &miss, "edge-1; fwd=uri-miss; stored");
    let stale = CacheStatus {
        fwd: Some(Forward::Stale),
        fwd_status: Some(StatusCode::NOT_MODIFIED),
        ttl: Some(5),
        collapsed: Some(true),
        ..none
    };
    check("edge-1", &stale, "edge-1; fwd=stale; fwd-status=304; ttl=5; collapsed");
    let alone = CacheStatus { fwd: Some(Forward::Miss), collapsed: Some(false), ..none };
    check("edge-1", &alone, "edge-1; fwd=miss; collapsed=?0");
    for (detail, written) in [
        ("no-store", "no-store"),
        ("a b", "\"a b\""),
        ("say \"x\" \\", "\"say \\\"x\\\" \\\\\""),
        ("caf\u{e9}\n", "\"caf\""),
    ] {
        let status = CacheStatus { detail: Some(detail), ..none };
        check("edge-1", &status, &format!("edge-1; hit; detail={written}"));
    }
}

#[test]
fn rfc9211_2_names() {
    for (name, written) in [
        ("edge.example.net:8443/a", "edge.example.net:8443/a"),
        ("*x", "*x"),
        ("1st", "\"1st\""),
        ("", "\"\""),
        ("my \"edge\"", "\"my \\\"edge\\\"\""),
    ] {
        check(name, &CacheStatus::default(), &format!("{written}; hit"));
    }
}

// RFC 9211 §2: the cache nearest to the client comes last.
#[test]
fn rfc9211_2_order() {
    let mut headers = HeaderMap::new();
    CacheStatus { fwd: Some(Forward::Miss), ..CacheStatus::default() }
        .append("shield", &mut headers);
    CacheStatus::default().append("edge", &mut headers);
    let lines: Vec<_> = headers.get_all("cache-status").iter().collect();
    assert_eq!(lines, ["shield; fwd=miss", "edge; hit"]);
}

#[test]
fn every_forward_is_a_token() {
    for forward in [
        Forward::Bypass,
        Forward::Method,
        Forward::UriMiss,
        Forward::VaryMiss,
        Forward::Miss,
        Forward::Request,
        Forward::Stale,
        Forward::Partial,
    ] {
        let status = CacheStatus { fwd: Some(forward), ..CacheStatus::default() };
        check("e", &status, &format!("e; fwd={}", forward.as_str()));
    }
}
