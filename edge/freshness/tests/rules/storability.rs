//! RFC 9111 §3: what may be stored.

use http::{Method, StatusCode, header};
use weir_edge_freshness::{Exchange, PassReason, Rules, Storability, storable};

use crate::{NOW, headers};

struct Case<'a> {
    method: Method,
    request: &'a [(&'a str, &'a str)],
    status: u16,
    response: &'a [(&'a str, &'a str)],
    rules: Rules,
}

impl Default for Case<'_> {
    fn default() -> Self {
        Self {
            method: Method::GET,
            request: &[],
            status: 200,
            response: &[("cache-control", "max-age=60")],
            rules: Rules::default(),
        }
    }
}

/// `None`: stored.
#[track_caller]
fn check(case: &Case<'_>, expected: Option<PassReason>) {
    let (request, response) = (headers(case.request), headers(case.response));
    let exchange = Exchange {
        method: &case.method,
        request: &request,
        status: StatusCode::from_u16(case.status).unwrap(),
        response: &response,
        request_millis: NOW * 1000,
        response_millis: NOW * 1000,
    };
    let reason = match storable(&exchange, &case.rules) {
        Storability::Store(_) => None,
        Storability::Pass(reason) => Some(reason),
    };
    assert_eq!(
        reason, expected,
        "{} {} {:?} {:?}",
        case.method, case.status, case.request, case.response
    );
}

#[track_caller]
fn check_response(response: &[(&str, &str)], expected: Option<PassReason>) {
    check(&Case { response, ..Case::default() }, expected);
}

// RFC 9111 §3 [store.method]
#[test]
fn rfc9111_3_methods() {
    check(&Case::default(), None);
    for method in [Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
        check(&Case { method, ..Case::default() }, Some(PassReason::Method));
    }
}

// RFC 9111 §3 [store.final, store.understood, store.explicit]
#[test]
fn rfc9111_3_statuses() {
    let check = |status, response, expected| {
        check(&Case { status, response, ..Case::default() }, expected);
    };
    let explicit = &[("cache-control", "max-age=60")][..];
    for status in [200, 203, 204, 301, 302, 307, 308, 403, 404, 410, 418, 500, 503] {
        check(status, explicit, None);
    }
    for status in [100, 206, 304] {
        check(status, explicit, Some(PassReason::Status));
    }
    // RFC 9110 §15.1: without a word only those that are cacheable by default.
    let quiet = &[("etag", "\"1\"")][..];
    for (status, stored) in [
        (200, true),
        (404, true),
        (410, true),
        (302, false),
        (403, false),
        (500, false),
        (503, false),
    ] {
        check(status, quiet, (!stored).then_some(PassReason::Status));
    }
    check(302, &[("expires", "Thu, 01 Jan 2032 00:00:00 GMT")], None);
    // RFC 9111 §5.2.2.3 [must-understand.no-store]
    let understand = &[("cache-control", "must-understand, no-store, max-age=60")][..];
    check(200, understand, None);
    check(418, understand, Some(PassReason::Status));
}

// RFC 9111 §3 [store.no-store, store.private]
// RFC 9111 §5.2.2.5 [no-store.store]
// RFC 9111 §5.2.2.7 [private.unqualified]
#[test]
fn rfc9111_3_directives() {
    let pass = Some;
    check_response(&[("cache-control", "no-store, max-age=60")], pass(PassReason::NoStore));
    check_response(&[("cache-control", "NO-STORE")], pass(PassReason::NoStore));
    check_response(&[("cache-control", "private, max-age=60")], pass(PassReason::Private));
    check_response(&[("cache-control", "private=\"x\", max-age=60")], pass(PassReason::Private));
    check_response(&[("cache-control", "no-cache"), ("etag", "\"1\"")], None);
    // RFC 9111 §5.2.1.5 [request.no-store]
    let no_store = Case { request: &[("cache-control", "no-store")], ..Case::default() };
    check(&no_store, pass(PassReason::RequestNoStore));
    // A private cache may.
    let rules = Rules { shared: false, ..Rules::default() };
    let response = &[("cache-control", "private, max-age=60")][..];
    check(&Case { response, rules, ..Case::default() }, None);
    // RFC 9213 §2.2: what is addressed to us decides.
    check_response(&[("cache-control", "no-store"), ("cdn-cache-control", "max-age=60")], None);
    check_response(
        &[("cache-control", "max-age=60"), ("cdn-cache-control", "no-store")],
        pass(PassReason::NoStore),
    );
}

// RFC 9111 §3 [store.authorized]
// RFC 9111 §3.5 [authorized.shared]
#[test]
fn rfc9111_3_5_authorization() {
    let request = &[("authorization", "Basic eDp5")][..];
    for (text, stored) in [
        ("max-age=60", false),
        ("public, max-age=60", true),
        ("s-maxage=60", true),
        ("must-revalidate, max-age=60", true),
        ("proxy-revalidate, max-age=60", false),
    ] {
        let response = &[("cache-control", text)][..];
        let expected = (!stored).then_some(PassReason::Authorization);
        check(&Case { request, response, ..Case::default() }, expected);
    }
    let rules = Rules { store_authorized: true, ..Rules::default() };
    check(&Case { request, rules, ..Case::default() }, None);
}

#[test]
fn cookies_are_not_shared() {
    let response = &[("cache-control", "public, max-age=60"), ("set-cookie", "a=b")][..];
    check_response(response, Some(PassReason::SetCookie));
    let rules = Rules { store_set_cookie: true, ..Rules::default() };
    check(&Case { response, rules, ..Case::default() }, None);
}

// RFC 9111 §4.1, as far as it goes here.
#[test]
fn rfc9111_4_1_vary() {
    let age = ("cache-control", "max-age=60");
    check_response(&[age, ("vary", "")], None);
    check_response(&[age, ("vary", "*")], Some(PassReason::VaryAny));
    check_response(&[age, ("vary", "cookie, *")], Some(PassReason::VaryAny));
    check_response(&[age, ("vary", "Cookie")], Some(PassReason::Vary));
    check_response(&[age, ("vary", "b\u{e9}d")], Some(PassReason::Vary));
    check_response(&[age, ("vary", "Accept-Encoding")], None);
    check_response(&[age, ("vary", "accept-encoding, user-agent")], Some(PassReason::Vary));
    check_response(
        &[age, ("vary", "accept-encoding"), ("content-encoding", "gzip")],
        Some(PassReason::Vary),
    );
    let rules = Rules { vary_safe: vec![header::ORIGIN], ..Rules::default() };
    let response = &[age, ("vary", "Origin"), ("vary", "accept-encoding")][..];
    check(&Case { response, rules: rules.clone(), ..Case::default() }, None);
    let response = &[age, ("vary", "Origin, Cookie")][..];
    check(&Case { response, rules, ..Case::default() }, Some(PassReason::Vary));
}

#[test]
fn what_can_never_answer_is_useless() {
    check_response(&[], Some(PassReason::Useless));
    check_response(&[("cache-control", "max-age=0")], Some(PassReason::Useless));
    check_response(&[("cache-control", "max-age=0"), ("etag", "\"1\"")], None);
    check_response(&[("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")], None);
    let rules = Rules { default_ttl_millis: Some(1), ..Rules::default() };
    check(&Case { response: &[], rules, ..Case::default() }, None);
}
