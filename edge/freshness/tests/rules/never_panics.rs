//! Arbitrary bytes in every field that is parsed.

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use proptest::prelude::*;
use weir_edge_freshness::{
    CacheControl, CacheStatus, ContentRange, EntityTag, Exchange, Freshness, Lifetime,
    RequestControl, Rules, Storability, Trouble, Windows, also_invalid, control::SECONDS_MAX, date,
    evaluate, if_range_holds, may_serve_stale, select, storable, strip_hop_by_hop, update, updates,
    vary,
};

const FIELDS: [&str; 21] = [
    "age",
    "cache-control",
    "cdn-cache-control",
    "connection",
    "content-range",
    "date",
    "etag",
    "expires",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "pragma",
    "range",
    "set-cookie",
    "surrogate-control",
    "transfer-encoding",
    "vary",
];

/// Bytes that mean something to the parsers, and others.
fn value() -> impl Strategy<Value = HeaderValue> {
    let piece = prop_oneof![
        "[ -~]{0,6}".prop_map(String::into_bytes),
        prop::collection::vec(prop_oneof![0x20..0x7f_u8, 0x80..=0xff_u8], 0..6),
        prop::sample::select(vec![
            "max-age=",
            "s-maxage=",
            "private",
            "no-store",
            "\"",
            "\\",
            ",",
            ";",
            "=",
            "-",
            "bytes=",
            "bytes ",
            "*",
            "W/\"",
            "99999999999999999999",
            "0",
            "/",
            "Sun, 06 Nov 1994 08:49:37 GMT",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop::collection::vec(piece, 0..8)
        .prop_map(|pieces| HeaderValue::from_bytes(&pieces.concat()).unwrap())
}

fn map() -> impl Strategy<Value = HeaderMap> {
    prop::collection::vec((prop::sample::select(FIELDS.to_vec()), value()), 0..12).prop_map(|all| {
        let mut map = HeaderMap::new();
        for (name, value) in all {
            map.append(name, value);
        }
        map
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_exchange_is_decided(
        request in map(),
        response in map(),
        status in 100..600_u16,
        size in any::<u64>(),
        times in any::<(u64, u64, u64)>(),
    ) {
        let status = StatusCode::from_u16(status).unwrap();
        let exchange = Exchange {
            method: &Method::GET,
            request: &request,
            status,
            response: &response,
            request_millis: times.0,
            response_millis: times.1,
        };
        if let Storability::Store(lifetime) = storable(&exchange, &Rules::default()) {
            prop_assert!(!response.contains_key("set-cookie"));
            prop_assert!(lifetime.lifetime_millis <= SECONDS_MAX * 1000);
            let fresh = lifetime.freshness(times.2);
            let control = RequestControl::parse(&request);
            // What a request accepts is fresh, or the request said how stale it may be.
            if lifetime.satisfies(&control, times.2) {
                let is_fresh = matches!(fresh, Freshness::Fresh { .. });
                prop_assert!(is_fresh || control.max_stale.is_some());
            }
        }
        evaluate(&Method::GET, &request, status, &response);
        if_range_holds(&request, &response);
        select(&request, size);
        ContentRange::of(&response);
        for path in also_invalid("http", "a", "/b?c", &response) {
            prop_assert!(path.starts_with('/'));
        }
        if let vary::Selecting::Fields(names) = vary::selecting(&response) {
            vary::selected_by(&request, &names);
        }
        // Nothing stale stands in for what asks to be revalidated.
        let lifetime = Lifetime::of(status, &response, times.0, times.1, &Rules::default());
        let windows = Windows::of(&response, 1000);
        let asks = RequestControl::parse(&request);
        for trouble in [Trouble::Revalidating, Trouble::ServerError, Trouble::Unreachable] {
            let may = may_serve_stale(&lifetime, &windows, &asks, trouble, times.2);
            prop_assert!(!may || lifetime.freshness(times.2) != Freshness::MustRevalidate);
        }
        let mut stored = response.clone();
        updates(&stored, &request);
        update(&mut stored, &request, times.1);
        let mut stripped = request.clone();
        strip_hop_by_hop(&mut stripped);
        prop_assert!(!stripped.contains_key("connection"));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60), text in ".{0,30}") {
        date::parse(&bytes);
        EntityTag::parse(&bytes);
        ContentRange::parse(&bytes);
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            CacheControl::parse([&value]);
        }
        CacheStatus { detail: Some(&text), ..CacheStatus::default() }.value(&text);
    }
}
