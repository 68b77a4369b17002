//! Structured fields: `CDN-Cache-Control` read (RFC 9213), `Cache-Status` written (RFC 9211).

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sfv::{Dictionary, List, Parser};
use weir_edge_freshness::{CacheStatus, Forward, Targeted, response_control};

use crate::fields::prefix;

const CDN: HeaderName = HeaderName::from_static("cdn-cache-control");

pub(crate) fn run(input: &[u8]) {
    read(input);
    written(input);
}

fn read(input: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(input) else { return };
    let dictionary = Parser::new(value.as_bytes()).parse::<Dictionary>();
    let counts = dictionary.is_ok_and(|dictionary| !dictionary.is_empty());
    let headers = HeaderMap::from_iter([(CDN, value)]);
    let (control, targeted) = response_control(&headers);
    assert_eq!(targeted == Targeted::Cdn, counts, "all of it or nothing");
    assert!(counts || control == response_control(&HeaderMap::new()).0);
}

fn written(input: &[u8]) {
    let ([ttl, flags], text) = prefix::<2>(input);
    let text = String::from_utf8_lossy(text);
    let (cache, detail) = text.split_at(text.floor_char_boundary(text.len() / 2));
    let on = |bit: u8| flags & (1 << bit) != 0;
    let status = CacheStatus {
        fwd: on(0).then_some(Forward::Stale),
        fwd_status: on(1).then_some(StatusCode::NOT_MODIFIED),
        ttl: on(2).then_some((i64::from(ttl) - 128) << (flags & 63)),
        stored: on(3),
        collapsed: on(4).then_some(on(5)),
        detail: on(6).then_some(detail),
    };
    let value = status.value(cache);
    let list = Parser::new(value.as_bytes()).parse::<List>();
    let members = list.unwrap_or_else(|why| panic!("{value:?}: {why}")).len();
    assert_eq!(members, 1, "{value:?}");
}
