//! RFC 9111 §4.4: what an unsafe request makes invalid.

use http::{Method, StatusCode};
use weir_edge_freshness::{also_invalid, invalidates};

use crate::headers;

// RFC 9111 §4.4 [unsafe.nonerror]
#[test]
fn rfc9111_4_4_methods_and_statuses() {
    let check = |method: &str, status: u16, expected: bool| {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(invalidates(&method, status), expected, "{method} {status}");
    };
    for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH"] {
        for status in [200, 201, 204, 302, 303] {
            check(method, status, true);
        }
        for status in [400, 404, 500, 503] {
            check(method, status, false);
        }
    }
    for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
        check(method, 200, false);
    }
}

fn check(fields: &[(&str, &str)], expected: &[&str]) {
    let paths = also_invalid("http", "cdn.example:8080", "/a/b/c?q=1", &headers(fields));
    assert_eq!(paths, expected, "{fields:?}");
}

// RFC 9111 §4.4 [unsafe.location]
#[test]
fn rfc9111_4_4_location_and_content_location() {
    check(&[], &[]);
    check(&[("location", "/x"), ("content-location", "/y?z")], &["/x", "/y?z"]);
    check(&[("location", "/x"), ("content-location", "/x")], &["/x"]);
    // The request's own is invalid anyway.
    check(&[("content-location", "/a/b/c?q=1")], &[]);
    for (reference, expected) in [
        ("d", "/a/b/d"),
        ("d?e", "/a/b/d?e"),
        ("?e", "/a/b/c?e"),
        ("../d", "/a/d"),
        ("../../../d", "/d"),
        ("./", "/a/b/"),
        ("..", "/a/"),
        ("/x/./y/../z", "/x/z"),
        ("/x#y", "/x"),
        (" /x ", "/x"),
        ("/x?a/../b", "/x?a/../b"),
        ("/x:y", "/x:y"),
        ("http://cdn.example:8080/x", "/x"),
        ("HTTP://CDN.example:8080/x?y", "/x?y"),
        ("http://cdn.example:8080", "/"),
        ("http://cdn.example:8080?y", "/?y"),
        ("//cdn.example:8080/x", "/x"),
        ("//cdn.example:8080//x", "//x"),
    ] {
        check(&[("location", reference)], &[expected]);
    }
}

// RFC 9111 §4.4 [unsafe.other-origin]
#[test]
fn rfc9111_4_4_never_of_another_origin() {
    for reference in [
        "http://other.example:8080/x",
        "http://cdn.example/x",
        "https://cdn.example:8080/x",
        "http://user@cdn.example:8080/x",
        "//other.example/x",
        "mailto:a@b",
        "http:x",
        "http:///x",
    ] {
        check(&[("location", reference)], &[]);
    }
    let paths = |scheme, authority, location| {
        also_invalid(scheme, authority, "/", &headers(&[("location", location)]))
    };
    assert_eq!(paths("https", "a", "https://a:443/x"), ["/x"]);
    assert_eq!(paths("http", "a:80", "http://A/x"), ["/x"]);
    assert!(paths("https", "a", "https://a:80/x").is_empty());
}
