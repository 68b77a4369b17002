//! RFC 9110 §13: conditions against a stored response.

use http::{Method, StatusCode};
use weir_edge_freshness::{EntityTag, Precondition, evaluate, if_range_holds};

use crate::headers;

const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

use Precondition::{NotModified, Pass, PreconditionFailed as Failed};

/// Against a stored response with the strong tag "a" and a date.
#[track_caller]
fn check(method: &Method, request: &[(&str, &str)], expected: Precondition) {
    let stored = headers(&[("etag", "\"a\""), ("last-modified", MODIFIED)]);
    let found = evaluate(method, &headers(request), StatusCode::OK, &stored);
    assert_eq!(found, expected, "{method} {request:?}");
}

// RFC 9110 §8.8.3.2, its own table.
#[test]
fn rfc9110_8_8_3_2_comparison() {
    for (one, two, strong, weak) in [
        ("W/\"1\"", "W/\"1\"", false, true),
        ("W/\"1\"", "W/\"2\"", false, false),
        ("W/\"1\"", "\"1\"", false, true),
        ("\"1\"", "\"1\"", true, true),
    ] {
        let (a, b) = (EntityTag::parse(one.as_bytes()), EntityTag::parse(two.as_bytes()));
        let (a, b) = (a.unwrap(), b.unwrap());
        assert_eq!((a.strong_eq(&b), a.weak_eq(&b)), (strong, weak), "{one} {two}");
    }
    for broken in ["", "1", "\"1", "1\"", "w/\"1\"", "W/1", "\"a\"b", "\"a b\"", "*"] {
        assert_eq!(EntityTag::parse(broken.as_bytes()), None, "{broken}");
    }
    assert!(EntityTag::parse(b"\"\"").is_some() && EntityTag::parse(b" \"a,b\" ").is_some());
}

#[test]
fn rfc9110_13_1_1_if_match() {
    let get = Method::GET;
    for (value, expected) in [
        ("\"a\"", Pass),
        ("\"x\", \"a\"", Pass),
        ("*", Pass),
        ("\"x\"", Failed),
        ("W/\"a\"", Failed),
        ("", Failed),
        ("a", Failed),
    ] {
        check(&get, &[("if-match", value)], expected);
    }
    check(&get, &[("if-match", "\"x\""), ("if-match", "\"a\"")], Pass);
}

// RFC 9111 §4.3.2 [conditional.evaluate]
#[test]
fn rfc9110_13_1_2_if_none_match() {
    for (value, expected) in [
        ("\"a\"", NotModified),
        ("W/\"a\"", NotModified),
        ("\"x\", \"y\", \"a\"", NotModified),
        ("x, \"a\"", NotModified),
        ("\"x,\", \"a\"", NotModified),
        ("*", NotModified),
        ("\"x\"", Pass),
        // One tag with a comma in it, and then something that is none.
        ("\"x,\"a\"", Pass),
        ("\"A\"", Pass),
    ] {
        check(&Method::GET, &[("if-none-match", value)], expected);
        let writing = if expected == NotModified { Failed } else { expected };
        check(&Method::PUT, &[("if-none-match", value)], writing);
    }
    check(&Method::HEAD, &[("if-none-match", "\"a\"")], NotModified);
}

#[test]
fn rfc9110_13_1_3_if_modified_since() {
    for (value, expected) in [
        (BEFORE, Pass),
        (MODIFIED, NotModified),
        (AFTER, NotModified),
        ("yesterday", Pass),
        ("", Pass),
    ] {
        check(&Method::GET, &[("if-modified-since", value)], expected);
        check(&Method::HEAD, &[("if-modified-since", value)], expected);
        check(&Method::POST, &[("if-modified-since", value)], Pass);
    }
    // RFC 9111 §4.3.2 [conditional.date]
    let check_date = |stored: &[(&str, &str)], expected| {
        let request = headers(&[("if-modified-since", MODIFIED)]);
        let found = evaluate(&Method::GET, &request, StatusCode::OK, &headers(stored));
        assert_eq!(found, expected, "{stored:?}");
    };
    check_date(&[("date", BEFORE)], NotModified);
    check_date(&[("date", AFTER)], Pass);
    check_date(&[], Pass);
}

#[test]
fn rfc9110_13_1_4_if_unmodified_since() {
    for (value, expected) in
        [(BEFORE, Failed), (MODIFIED, Pass), (AFTER, Pass), ("yesterday", Pass)]
    {
        check(&Method::GET, &[("if-unmodified-since", value)], expected);
    }
    let request = headers(&[("if-unmodified-since", BEFORE)]);
    let stored = headers(&[("date", AFTER)]);
    assert_eq!(evaluate(&Method::GET, &request, StatusCode::OK, &stored), Pass);
}

#[test]
fn rfc9110_13_2_2_precedence() {
    let get = &Method::GET;
    // If-Match overrules If-Unmodified-Since.
    check(get, &[("if-match", "\"a\""), ("if-unmodified-since", BEFORE)], Pass);
    check(get, &[("if-match", "\"x\""), ("if-unmodified-since", AFTER)], Failed);
    // If-None-Match overrules If-Modified-Since.
    check(get, &[("if-none-match", "\"x\""), ("if-modified-since", AFTER)], Pass);
    check(get, &[("if-none-match", "\"a\""), ("if-modified-since", BEFORE)], NotModified);
    // The first failure ends it; a success goes on.
    check(get, &[("if-match", "\"x\""), ("if-none-match", "\"a\"")], Failed);
    check(get, &[("if-match", "\"a\""), ("if-none-match", "\"a\"")], NotModified);
    check(get, &[("if-unmodified-since", AFTER), ("if-none-match", "\"a\"")], NotModified);
}

// RFC 9110 §13.2.1
#[test]
fn rfc9110_13_2_1_only_where_it_would_succeed() {
    let stored = headers(&[("etag", "\"a\"")]);
    for request in [headers(&[("if-none-match", "\"a\"")]), headers(&[("if-match", "\"x\"")])] {
        for status in [StatusCode::NOT_FOUND, StatusCode::MOVED_PERMANENTLY] {
            assert_eq!(evaluate(&Method::GET, &request, status, &stored), Pass);
        }
    }
}

// RFC 9110 §13.1.5
#[test]
fn rfc9110_13_1_5_if_range() {
    let check = |value: Option<&str>, stored: &[(&str, &str)], expected: bool| {
        let request: Vec<_> = value.iter().map(|value| ("if-range", *value)).collect();
        let holds = if_range_holds(&headers(&request), &headers(stored));
        assert_eq!(holds, expected, "{value:?} {stored:?}");
    };
    let stored = &[("etag", "\"a\""), ("last-modified", MODIFIED), ("date", AFTER)][..];
    check(None, stored, true);
    check(Some("\"a\""), stored, true);
    check(Some("\"x\""), stored, false);
    check(Some("W/\"a\""), stored, false);
    check(Some("\"a\""), &[("etag", "W/\"a\"")], false);
    check(Some("\"a\""), &[], false);
    check(Some("a"), stored, false);
    check(Some(MODIFIED), stored, true);
    check(Some(BEFORE), stored, false);
    check(Some(AFTER), stored, false);
    // §8.8.2.2: modified in the second it was sent, it may have been modified again.
    check(Some(MODIFIED), &[("last-modified", MODIFIED), ("date", MODIFIED)], false);
    check(Some(MODIFIED), &[("last-modified", MODIFIED)], false);
}
