//! Hop-by-hop fields, and what a 304 changes.

use weir_edge_freshness::{strip_hop_by_hop, update, updates};

use crate::headers;

// RFC 9110 §7.6.1
// RFC 9111 §3.1 [fields.connection, fields.hop, fields.proxy]
#[test]
fn rfc9110_7_6_1_stripped() {
    let check = |fields: &[(&str, &str)], expected: &[&str]| {
        let mut map = headers(fields);
        strip_hop_by_hop(&mut map);
        let mut left: Vec<_> = map.keys().map(|name| name.as_str()).collect();
        left.sort_unstable();
        assert_eq!(left, expected, "{fields:?}");
    };
    check(
        &[
            ("connection", "close, X-Mine"),
            ("connection", "x-other"),
            ("x-mine", "1"),
            ("x-other", "1"),
            ("x-kept", "1"),
            ("keep-alive", "1"),
            ("proxy-connection", "1"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "x"),
            ("proxy-authentication-info", "x"),
            ("proxy-authenticate", "x"),
            ("content-length", "1"),
        ],
        &["content-length", "x-kept"],
    );
    // Nobody drops what is meant for all.
    check(
        &[("connection", "host, authorization, range, b\u{e9}d, ,"), ("host", "a"), ("range", "x")],
        &["host", "range"],
    );
}

// RFC 9111 §3.2 [update.all, update.length, update.integrity]
#[test]
fn rfc9111_3_2_update() {
    let mut stored = headers(&[
        ("content-length", "1000"),
        ("content-type", "video/mp4"),
        ("content-encoding", "gzip"),
        ("content-md5", "Q2hlY2sgSW50ZWdyaXR5IQ=="),
        ("etag", "\"a\""),
        ("cache-control", "max-age=1"),
        ("cache-control", "public"),
        ("age", "50"),
        ("x-old", "1"),
    ]);
    update(
        &mut stored,
        &headers(&[
            ("content-length", "0"),
            ("content-type", "video/mp4; codecs=avc1"),
            ("content-encoding", "br"),
            ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="),
            ("content-digest", "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"),
            ("content-range", "bytes 0-1/2"),
            ("transfer-encoding", "chunked"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("cache-control", "max-age=9"),
            ("etag", "\"a\""),
            ("link", "<a>"),
            ("link", "<b>"),
        ]),
        784_111_777_999,
    );
    let expected = headers(&[
        ("content-length", "1000"),
        ("content-type", "video/mp4; codecs=avc1"),
        ("content-encoding", "gzip"),
        ("content-md5", "Q2hlY2sgSW50ZWdyaXR5IQ=="),
        ("etag", "\"a\""),
        ("cache-control", "max-age=9"),
        ("x-old", "1"),
        ("link", "<a>"),
        ("link", "<b>"),
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ]);
    assert_eq!(stored, expected);
}

// RFC 9110 §6.6.1: without a date it is of the time it was received.
#[test]
fn rfc9110_6_6_1_the_date_of_an_update() {
    let old = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    let check = |told: &[(&str, &str)], expected| {
        let mut stored = headers(&[old]);
        update(&mut stored, &headers(told), 784_111_790_500);
        assert_eq!(stored, headers(&[("date", expected)]), "{told:?}");
    };
    check(&[], "Sun, 06 Nov 1994 08:49:50 GMT");
    check(&[("date", "Sun, 06 Nov 1994 08:49:48 GMT")], "Sun, 06 Nov 1994 08:49:48 GMT");
}

// RFC 9111 §4.3.4 [freshen.strong]
#[test]
fn rfc9111_4_3_4_which_response_it_is_about() {
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let other = "Sun, 06 Nov 1994 08:49:38 GMT";
    for (stored, named, expected) in [
        (&[("etag", "\"a\"")][..], &[("etag", "\"a\"")][..], true),
        (&[("etag", "\"a\"")], &[("etag", "\"b\"")], false),
        (&[("etag", "W/\"a\"")], &[("etag", "\"a\"")], false),
        (&[("etag", "\"a\"")], &[("etag", "W/\"a\"")], true),
        (&[], &[("etag", "\"a\"")], false),
        (&[("etag", "\"a\"")], &[], true),
        (&[("last-modified", date)], &[("last-modified", date)], true),
        (&[("last-modified", date)], &[("last-modified", other)], false),
        (
            &[("etag", "\"a\""), ("last-modified", date)],
            &[("etag", "\"a\""), ("last-modified", other)],
            true,
        ),
    ] {
        assert_eq!(updates(&headers(stored), &headers(named)), expected, "{stored:?} {named:?}");
    }
}
